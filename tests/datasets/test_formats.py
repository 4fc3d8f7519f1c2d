"""Formats of published files: TFRecords, and pickles that may name no more than an allow-list."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archenc.datasets.sources import tfrecord
from archenc.datasets.sources.tfrecord import MAX_RECORD_BYTES, read_records
from archenc.datasets.sources.unpickle import load_pickle
from archenc.errors import CorruptFile, DataNotFound, UnsafePickle
from tests.bad_input import assert_one_sentence
from tests.datasets.made_up import crc32c, frame


def checksums(parts: list[bytes]) -> list[int]:
    content = np.frombuffer(b"".join(parts), dtype=np.uint8)
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return tfrecord.crc32c(content, np.concatenate([[0], ends[:-1]]), ends).tolist()


def test_published_checksums() -> None:
    """The examples of RFC 3720, appendix B.4."""
    ascending = bytes(range(32))
    parts = [b"123456789", bytes(32), b"\xff" * 32, ascending, ascending[::-1], b""]
    assert checksums(parts) == [0xE3069283, 0x8A9136AA, 0x62A8AB43, 0x46DD794E, 0x113FDB5C, 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=70), min_size=1, max_size=8))
def test_checksums_of_any_parts(parts: list[bytes]) -> None:
    assert checksums(parts) == [crc32c(part) for part in parts]


RECORDS = [bytes([65 + k]) * (17 * k % 90) for k in range(12)]  # one of them is empty


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.tfrecord"
    path.write_bytes(b"".join(map(frame, RECORDS)))
    return path


def read(path: Path) -> list[bytes]:
    return [record for batch in read_records(path) for record in batch]


def test_records_come_back(file: Path) -> None:
    assert read(file) == RECORDS
    file.write_bytes(b"")
    assert read(file) == []


def test_a_file_larger_than_a_block_comes_in_parts(tmp_path: Path) -> None:
    records = [bytes([k]) * (MAX_RECORD_BYTES // 16 + k) for k in range(100)]
    path = tmp_path / "large.tfrecord"
    path.write_bytes(b"".join(map(frame, records)))
    batches = list(read_records(path, block_bytes=1))
    assert [record for batch in batches for record in batch] == records
    assert len(batches) > 5
    assert max(sum(map(len, batch)) for batch in batches) < 3 * MAX_RECORD_BYTES, (
        "what is in memory does not grow with the file"
    )


def refused(path: Path, match: str) -> None:
    with pytest.raises(CorruptFile, match=match) as caught:
        read(path)
    assert_one_sentence(caught.value)
    assert str(path) in str(caught.value)


def test_every_flipped_bit_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    start = sum(len(frame(record)) for record in RECORDS[:3])
    end = start + len(frame(RECORDS[3]))
    for at in range(start, end):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        file.write_bytes(damaged)
        inside = at - start < 12
        refused(
            file,
            f"record 3 at byte {start}: "
            + ("(the checksum of its length|it claims)" if inside else "the checksum of its data"),
        )


def test_every_truncation_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    borders = np.cumsum([0, *(len(frame(record)) for record in RECORDS)]).tolist()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        if size in borders:
            assert read(file) == RECORDS[: borders.index(size)]
        else:
            number = sum(border < size for border in borders) - 1
            refused(file, f"record {number} at byte {borders[number]}: the file ends within it")


@pytest.mark.parametrize("length", [MAX_RECORD_BYTES + 1, 2**31, 2**63, 2**64 - 1])
def test_an_absurd_length_is_refused_though_its_checksum_is_right(file: Path, length: int) -> None:
    header = struct.pack("<Q", length)
    with file.open("ab") as stream:
        stream.write(
            header
            + struct.pack("<I", int(tfrecord.masked(np.array(checksums([header]), dtype=np.uint32))[0]))
            + b"x" * 40
        )
    refused(file, f"record {len(RECORDS)} .*it claims to be {length:,} bytes long")


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<!DOCTYPE html><html><body>Not found</body></html>")
    refused(path, "record 0 at byte 0")
    with pytest.raises(DataNotFound, match="cannot be read") as caught:
        read(tmp_path / "nothing")
    assert_one_sentence(caught.value)


# -- more ----------------------------------------------------------------------------------------------------


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
