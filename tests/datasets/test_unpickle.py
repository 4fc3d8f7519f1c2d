from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from archenc.datasets.sources.unpickle import load_pickle
from archenc.errors import CorruptFile, DataNotFound, UnsafePickle
from tests.bad_input import assert_one_sentence


class Harmless:
    """What stands in for an allowed global."""


def write(path: Path, content: bytes) -> dict[str, Any]:
    path.write_bytes(content)
    return {
        "path": path,
        "allowed": {"collections.OrderedDict": Harmless},
        "sha256": hashlib.sha256(content).hexdigest(),
        "max_bytes": 10_000,
    }


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploited",)


def test_allowed_globals_become_stand_ins(tmp_path: Path) -> None:
    loaded = load_pickle(**write(tmp_path / "good.pickle", pickle.dumps([OrderedDict, (1, 2.5, "text")])))
    assert loaded == [Harmless, (1, 2.5, "text")]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafePickle, match="mkdir") as caught:
        load_pickle(**write(tmp_path / "bad.pickle", pickle.dumps(Exploit(), protocol)))
    assert_one_sentence(caught.value)
    assert os.listdir(tmp_path) == ["bad.pickle"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"(S'1'\nibuiltins\neval\n.", "builtins.eval"),
        (b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.", "OrderedDict.__init__"),
        (b"cnumpy\nfromfile\n.", "numpy.fromfile"),
        (b"Pan outside object\n.", "outside object"),
    ],
)
def test_every_way_to_name_something_else_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(UnsafePickle, match=name) as caught:
        load_pickle(**write(tmp_path / "bad.pickle", content))
    assert_one_sentence(caught.value)


def test_binary_persistent_objects_are_refused(tmp_path: Path) -> None:
    class Persistent(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return 7 if obj == "mine" else None

    stream = io.BytesIO()
    Persistent(stream).dump(["mine"])
    with pytest.raises(UnsafePickle):
        load_pickle(**write(tmp_path / "bad.pickle", stream.getvalue()))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        pickle.dumps(list(range(100)))[:50],
        b"hello",
        b".",
        b"(]",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"}(K\x01u.",
        b"\x80\xff.",
    ],
)
def test_a_damaged_pickle_is_a_typed_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorruptFile, match=r"bad\.pickle") as caught:
        load_pickle(**write(tmp_path / "bad.pickle", content))
    assert_one_sentence(caught.value)


def test_another_file_is_not_opened_at_all(tmp_path: Path) -> None:
    arguments = write(tmp_path / "bad.pickle", pickle.dumps(Exploit()))
    with pytest.raises(CorruptFile, match="SHA-256") as caught:
        load_pickle(**(arguments | {"sha256": "0" * 64}))
    assert not isinstance(caught.value, UnsafePickle), "the checksum comes before the content"
    assert_one_sentence(caught.value)


def test_size_is_bounded(tmp_path: Path) -> None:
    arguments = write(tmp_path / "big.pickle", pickle.dumps(b"x" * 1000))
    with pytest.raises(CorruptFile, match="larger") as caught:
        load_pickle(**(arguments | {"max_bytes": 999}))
    assert_one_sentence(caught.value)


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound) as caught:
        load_pickle(tmp_path / "absent", {}, sha256="", max_bytes=1)
    assert_one_sentence(caught.value)
