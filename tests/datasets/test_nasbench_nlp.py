from __future__ import annotations

import gzip
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets.recipes import nasbench_nlp as recipe
from archenc.datasets.recipes.nasbench_nlp import build, read_logs
from archenc.errors import CorruptFile, DataNotFound
from tests.bad_input import assert_one_sentence
from tests.spaces.test_nasbench_nlp import GRU, RNN, meaning

VAL, TEST = "ptb/val_negative_loss@50/best", "ptb/test_negative_loss@50/best"


@pytest.fixture(scope="module")
def cells(data_root: Path) -> dict[str, np.ndarray]:
    path = data_root / "nasbench_nlp" / "cells.npz"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with np.load(path, allow_pickle=False) as table:
        return dict(table)


@pytest.fixture(scope="module")
def dataset(cells: dict[str, np.ndarray]) -> ArchDataset:
    return archenc.load_dataset("nasbench-nlp")


@pytest.fixture(scope="module")
def recipes(data_root: Path, cells: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    with gzip.open(data_root / "nasbench_nlp" / "recipes.jsonl.gz") as lines:
        return [json.loads(line)["recipe"] for line in lines]


def test_published_facts(dataset: ArchDataset) -> None:
    ok = dataset.subset("ok")
    assert (len(dataset), len(ok)) == (14_322, 11_598)
    best = int(ok.y.argmax())
    assert dataset.subsets["ok"][best] == 1, "the LSTM is best"
    assert [-ok.y[best], -ok.labels[TEST].max()] == pytest.approx([4.40880, 4.36581], abs=5e-6)
    assert math.exp(-ok.y[best]) == pytest.approx(82.17, abs=0.005)
    assert -np.median(ok.y) == pytest.approx(4.937, abs=5e-4)
    assert -ok.y.min() == pytest.approx(9.93, abs=0.005)
    assert len(ok) - len(dataset.subset("ok-below-6")) == 1_699
    assert dataset.labels["ptb/parameters"].min() == 5_731_600
    assert dataset.labels["ptb/parameters"].max() == 26_826_000


def test_published_agreement(dataset: ArchDataset) -> None:
    ok = dataset.subset("ok")
    assert kendalltau(ok.y, ok.labels[TEST]).statistic == pytest.approx(0.962, abs=6e-4)
    early, late = (ok.labels[f"ptb/val_negative_loss@{epochs}/last"] for epochs in (10, 50))
    assert kendalltau(early, late).statistic == pytest.approx(0.802, abs=6e-4)


def test_failed_runs_have_no_losses_but_a_size(dataset: ArchDataset) -> None:
    failed = dataset.subset("failed")
    assert len(failed) == 2_724
    for name, values in failed.labels.items():
        assert np.isnan(values).all() == ("loss" in name), name


def test_nothing_of_a_recipe_is_lost(dataset: ArchDataset, recipes: list[dict[str, Any]]) -> None:
    rows = np.arange(0, len(dataset), 23)
    for row, text in zip(rows, dataset.space.format(dataset.graphs[rows]), strict=True):
        assert meaning(json.loads(text)) == meaning(recipes[row])
    groups = dataset.groups
    assert groups is not None
    assert groups.max() + 1 == 12_124


# -- the import ----------------------------------------------------------------------------------------------


def log(
    number: int = 1, cell: dict[str, Any] = RNN, losses: list[float] | None = None, **changes: Any
) -> dict[str, Any]:
    """A log as the release has it."""
    losses = [6.0, 5.5, 5.25] if losses is None else losses
    curves = {
        "train_losses": [loss - 0.5 for loss in losses],
        "val_losses": losses,
        "test_losses": [loss - 0.25 for loss in losses],
    }
    about = {
        "recepie_id": number,
        "recepies_list_path": "data/models_recepies.json",
        "recepie": json.dumps(cell),
        "num_params": 5_731_600,
    }
    return {
        "data": "data/ptb",
        "nlayers": 3,
        **about,
        "wall_times": [10.5] * len(losses),
        **curves,
        "status": "OK",
    } | changes


def archive(path: Path, logs: list[Any]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("logs/", "")
        file.writestr("logs/readme.txt", "not a log")
        for at, content in enumerate(logs):
            text = content if isinstance(content, str | bytes) else json.dumps(content)
            file.writestr(f"logs/log_stats_model_{at}_2020-04-19_08-20-59_999949254.json", text)
    return path


def test_real_runs_come_back_from_logs(
    cells: dict[str, np.ndarray], recipes: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = np.unique(np.concatenate([np.arange(0, 14_322, 301), np.flatnonzero(cells["status"] == 2)[:5]]))
    logs = []
    for row in rows[::-1]:
        recorded = int(cells["epochs_recorded"][row])
        about = {
            "recepies_list_path": str(cells["recipe_list_names"][cells["recipe_list"][row]]),
            "status": str(cells["status_names"][cells["status"][row]]),
            "num_params": int(cells["num_params"][row]),
            "wall_times": ([float(cells["wall_time_s"][row])] + [0.0] * recorded)[:recorded],
        }
        curves = {
            f"{part}_losses": cells[f"{part}_loss"][row, :recorded].astype(float).tolist()
            for part in ("train", "val", "test")
        }
        logs.append(log(int(cells["recipe_id"][row]), recipes[row], **about, **curves))
    table = read_logs(archive(tmp_path / "logs.zip", logs))
    assert table.keys() == cells.keys()
    for name, values in table.items():
        assert values.dtype == cells[name].dtype, name
        if name.startswith(("node_", "edge_")) and not name.endswith("ptr"):
            first = cells[f"{name[:4]}_ptr"]
            np.testing.assert_array_equal(
                values, np.concatenate([cells[name][first[row] : first[row + 1]] for row in rows]), name
            )
        elif name.endswith("ptr"):
            np.testing.assert_array_equal(np.diff(values), np.diff(cells[name])[rows], name)
        else:
            np.testing.assert_array_equal(
                values, cells[name] if name.endswith("names") else cells[name][rows], name
            )


def test_a_folder_of_logs_and_diverged_runs(tmp_path: Path) -> None:
    nan = math.nan
    runs = [
        log(7, GRU),
        log(3, losses=[5.0, nan, 4.0]),
        log(5, losses=[nan], status="loss is nan!"),
        log(6, losses=[], status="Exception: math range error"),
    ]
    for at, run in enumerate(runs):
        (tmp_path / f"log_stats_model_{at}_x.json").write_text(json.dumps(run))
    (tmp_path / "other.json").write_text("{}")
    table = read_logs(tmp_path)
    assert table["recipe_id"].tolist() == [3, 5, 6, 7]
    assert table["best_epoch"].tolist() == [2, -1, -1, 2]
    np.testing.assert_array_equal(table["best_val_loss"], np.array([4.0, nan, nan, 5.25], dtype=np.float32))
    np.testing.assert_array_equal(
        table["test_loss_at_best_val"], np.array([3.75, nan, nan, 5.0], dtype=np.float32)
    )
    assert table["epochs_recorded"].tolist() == [3, 1, 0, 3]
    np.testing.assert_array_equal(table["wall_time_s"], np.array([31.5, 10.5, 0.0, 31.5], dtype=np.float32))


def refused(path: Path, match: str) -> None:
    with pytest.raises(CorruptFile, match=match) as caught:
        read_logs(path)
    assert_one_sentence(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ("{", "not JSON"),
        ("[]", "is a list instead of an object"),
        (b"\xff", "not JSON"),
        ({}, "has no 'recepie'"),
        (log(status="stopped"), "not that of a run"),
        (log(recepie="{"), "not that of a run"),
        (log(recepie=json.dumps({"h_new_0": {"op": "conv", "input": ["x"]}})), "unknown operation"),
        (log(recepie=None), "not that of a run"),
        (
            log(
                cell={
                    "a_name_that_is_long": RNN["f"],
                    "h_new_0": {"op": "activation_tanh", "input": ["a_name_that_is_long"]},
                }
            ),
            "longer than 13",
        ),
        (log(recepie_id="1"), "not a whole number"),
        (log(num_params=2**31), "not a whole number"),
        (log(val_losses=[1.0]), "not of the same epochs"),
        (log(losses=[1.0] * 51), "not of the same epochs"),
        (log(test_losses=["a", "b", "c"]), "not that of a run"),
        (log(wall_times=[1.0, math.nan, 2.0]), "no number of seconds"),
        (log(recepies_list_path="elsewhere"), "not that of a run"),
        (log(), "two logs"),
        (" " * (recipe.MAX_LOG_BYTES + 1), "larger than"),
    ],
)
def test_a_bad_log_is_refused(tmp_path: Path, bad: Any, match: str) -> None:
    refused(archive(tmp_path / "logs.zip", [log(1), bad]), match)


def test_a_bad_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "logs.zip", [log(number) for number in range(1, 30)])
    whole = path.read_bytes()
    with pytest.raises(CorruptFile, match="29 logs instead of 14,322") as caught:
        build(path)
    assert_one_sentence(caught.value)
    for damaged in (
        whole[: len(whole) // 2],
        b"",
        b"PK\x03\x04 no archive",
        whole.replace(b"5.25", b"5.26", 1),
    ):
        path.write_bytes(damaged)
        refused(path, "not a whole zip file")
    refused(archive(path, []), "no file log_stats_model")


def test_without_the_table_the_remedy_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="archenc data import nasbench-nlp") as caught:
        archenc.load_dataset("nasbench-nlp")
    assert_one_sentence(caught.value)


def test_cells_are_read_once(dataset: ArchDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*arguments: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("archenc.spaces.nasbench_nlp.NASBenchNLP.parse", parse)
    again = archenc.load_dataset("nasbench-nlp")
    assert again.digest == dataset.digest
    assert again.groups is not dataset.groups
    np.testing.assert_array_equal(again.groups, dataset.groups)
