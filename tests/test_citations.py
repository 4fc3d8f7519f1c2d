"""What to cite is said once on a terminal, and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from archenc.dataset import ArchDataset, Provenance, citations
from archenc.dataset.citations import remind
from archenc.spaces.nasbench201 import NASBench201


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(
        citations, "sys", SimpleNamespace(stderr=stream)
    )  # as pytest puts its own in place of sys.stderr
    monkeypatch.setenv("ARCHENC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARCHENC_QUIET", raising=False)
    return stream


def dataset(name: str = "numbers", citation: str = "Someone: Numbers, 2020") -> ArchDataset:
    graphs = NASBench201().sample(2, np.random.default_rng(0))
    return ArchDataset(
        name=name, graphs=graphs, labels={}, label="", provenance=Provenance(citation=citation)
    )


def test_once_for_each_data_set(terminal: Terminal) -> None:
    for name in ("numbers", "numbers", "letters"):
        remind(dataset(name))
    assert terminal.getvalue().splitlines() == [
        "archenc: for numbers, cite Someone: Numbers, 2020",
        "archenc: for letters, cite Someone: Numbers, 2020",
    ]


def test_names_are_neither_paths_nor_orders_to_the_terminal(terminal: Terminal, tmp_path: Path) -> None:
    for name in ("../../escaped", f"{tmp_path}/escaped", "", "\x1b[31mred"):
        remind(dataset(name, f"{name}: Numbers"))
        remind(dataset(name, f"{name}: Numbers"))
    assert len(terminal.getvalue().splitlines()) == 4
    assert "\x1b" not in terminal.getvalue()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]
    assert len(list((tmp_path / "cache" / "cited").iterdir())) == 4


def test_silence(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remind(dataset(citation=""))
    monkeypatch.setenv("ARCHENC_QUIET", "1")
    remind(dataset())
    monkeypatch.delenv("ARCHENC_QUIET")
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    remind(dataset())
    assert terminal.getvalue() == ""
    assert not (tmp_path / "cache").exists(), "what was not said is not remembered"


def test_a_cache_that_cannot_be_written_is_no_error(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    remind(dataset())
    assert "cite Someone" in terminal.getvalue()
