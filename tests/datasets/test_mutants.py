"""Mutants of good tables, label files and imported tables: each is refused in one sentence, or is a data set
that can be used.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.commands.app import main
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench301, nds
from archenc.errors import ArchencError
from archenc.spaces.cell import CellSpace
from archenc.spaces.genotype.darts import DARTS
from tests.bad_input import assert_one_sentence
from tests.mutants import Rng, mutate_bytes, mutate_json, mutate_text

MUTANTS = [pytest.param(range(30), id="few"), pytest.param(range(30, 330), id="many", marks=pytest.mark.slow)]
CELL = "|{}~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|{}~2|"
CELLS = [
    CELL.format(one, other)
    for one in ("nor_conv_3x3", "avg_pool_3x3", "none")
    for other in ("skip_connect", "none")
]
OWN = CellSpace("own", ("conv", "pool"), max_nodes=4)
ROWS = [{"arch": cell, "acc": 90.0 + k, "note": "größer, x", "ms": k} for k, cell in enumerate(CELLS)]
MATRICES = [
    {"adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "operations": ["input", op, "output"], "acc": number}
    for number, op in enumerate(("conv", "pool"))
]
CSV = "arch,acc,note,ms\n" + "".join(
    f'"{row["arch"]}",{row["acc"]},"{row["note"]}",{row["ms"]}\n' for row in ROWS
)


def use(dataset: ArchDataset) -> None:
    """What anybody does with a data set."""
    repr(dataset)
    assert len(dataset.digest) == 64
    for label in dataset.labels:
        chosen = dataset.with_label(label)
        rows = len(chosen.labelled_rows())
        chosen.deduplicated("mean")
        if rows >= 4:
            train, test = chosen.split(train_size=1, seed=0)
            assert len(train) == 1
            assert len(test) >= 1


def survive(read: Callable[[], ArchDataset]) -> bool:
    """Whether a mutant could be read; it may be refused, but in one sentence."""
    try:
        dataset = read()
    except ArchencError as error:
        assert_one_sentence(error)
        return False
    try:
        use(dataset)
    except ArchencError as error:  # of a table of one row, for example
        assert_one_sentence(error)
    return True


def jsonl(rows: Any) -> str:
    return "\n".join(json.dumps(row) for row in (rows if isinstance(rows, list) else [rows]))


FORMS: dict[str, Callable[[Rng], bytes]] = {
    "t.csv": lambda rng: mutate_text(CSV, rng).encode("utf-8", "surrogatepass"),
    "bytes.csv": lambda rng: mutate_bytes(CSV.encode(), rng),
    "t.csv.gz": lambda rng: mutate_bytes(gzip.compress(CSV.encode(), mtime=0), rng),
    "t.jsonl": lambda rng: jsonl(mutate_json(ROWS, rng)).encode(),
    "text.jsonl": lambda rng: mutate_text(jsonl(ROWS), rng).encode("utf-8", "surrogatepass"),
    "matrices.jsonl": lambda rng: jsonl(mutate_json(MATRICES, rng)).encode(),
}


@pytest.mark.parametrize("seeds", MUTANTS)
@pytest.mark.parametrize("name", FORMS)
def test_tables(tmp_path: Path, name: str, seeds: range) -> None:
    space = OWN if name.startswith("matrices") else archenc.create_space("nasbench201")
    path = tmp_path / name
    read = []
    for seed in seeds:
        path.write_bytes(FORMS[name](np.random.default_rng(seed)))
        options = {"missing": "keep", "duplicates": ("keep", "mean")[seed % 2]} if seed % 3 else {}
        read.append(
            survive(lambda options=options: archenc.load_dataset("table", path=path, space=space, **options))
        )  # type: ignore[misc]
    assert not all(read), "no mutant was refused"


@pytest.mark.parametrize("seeds", MUTANTS)
@pytest.mark.parametrize("name", ["accuracies.csv", "accuracies.jsonl"])
def test_label_files_of_models(tmp_path: Path, name: str, seeds: range) -> None:
    """The models themselves are no ONNX files here, so that none can be read: what matters is which file is
    looked for.
    """
    rows = [{"model": f"{number}.onnx", "acc": number} for number in range(4)]
    for number in range(4):
        (tmp_path / f"{number}.onnx").write_bytes(b"no model")
    for seed in seeds:
        rng = np.random.default_rng(seed)
        text = (
            jsonl(mutate_json(rows, rng))
            if name.endswith("l")
            else mutate_text("model,acc\n0.onnx,1\n1.onnx,2\n", rng)
        )
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        assert not survive(lambda: archenc.load_dataset("models", folder=tmp_path, table=name))


def imported(kind: str, data: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """An imported table of made-up trainings: where it lies and what is in it."""
    genotypes = DARTS().to_genotypes(DARTS().sample(8, 0))
    columns = {
        name: np.arange(8.0) + 80 for name in (nasbench301.COLUMNS if kind == "nasbench301" else nds.COLUMNS)
    }
    if kind == "nasbench301":
        return data / nasbench301.PATH, {"genotype": genotypes, **columns}
    space = archenc.create_space("nds-darts")
    graphs = space.sample(8, 0)
    more = {
        "genotype": space.to_genotypes(graphs),
        "concat": space.to_concat(graphs),
        "published_file": np.array("DARTS"),
    }  # type: ignore[attr-defined]
    return data / "nds" / "darts.npz", more | columns


def changed(arrays: dict[str, np.ndarray], rng: Rng) -> dict[str, Any]:
    """Another shape, type, values, or none, for one of the arrays."""
    name = list(arrays)[rng.integers(len(arrays))]
    array = arrays[name]
    some = array.reshape(-1).copy()
    if some.dtype.kind in "uif":
        some[rng.integers(some.size)] = rng.choice([0, 1, 7, 200, 255])
    elif some.dtype.kind == "b":
        some[:] = False
    others = [
        array[:0] if array.ndim else array,
        array[..., None],
        array.astype("S4"),
        array.ravel(),
        some.reshape(array.shape),
        None,
    ]
    if array.dtype.kind == "f":
        others += [np.full(array.shape, value) for value in (np.nan, np.inf, 1e308, -0.0)]
    chosen = others[rng.integers(len(others))]
    return {key: value for key, value in (arrays | {name: chosen}).items() if value is not None}


@pytest.mark.parametrize("seeds", MUTANTS)
@pytest.mark.parametrize("kind", ["nasbench301", "nds-darts"])
def test_imported_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, seeds: range) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    path, arrays = imported(kind, tmp_path)
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    assert survive(lambda: archenc.load_dataset(kind))
    whole = path.read_bytes()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        if seed % 2:
            path.write_bytes(mutate_bytes(whole, rng))
        else:
            np.savez(path, **changed(arrays, rng))
        survive(lambda: archenc.load_dataset(kind))


def test_names_of_columns_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t\x1b[2J.csv").write_text(
        f'arch,"\x1b[31mred\nlicence: MIT\u202e"\n{CELLS[0]},1\n{CELLS[1]},2\n'
    )
    for command in ("show", "verify"):
        assert (
            main(
                ["data", command, "table", "--path", str(tmp_path / "t\x1b[2J.csv"), "--space", "nasbench201"]
            )
            == 0
        )
        printed = capsys.readouterr().out
        assert "\x1b" not in printed
        assert "\u202e" not in printed
        assert "\nlicence: MIT" not in printed
