"""Small tables, read: TransNAS-Bench-101, the surrogate of NAS-Bench-301, and NDS of synthetic files."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets import nasbench301_surrogate, nds, transnas101
from archenc.datasets.sources import json_stream
from archenc.datasets.sources.fetch import import_file
from archenc.errors import CorruptFile, DataNotFound
from archenc.files.trusted import open_npz
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from archenc.testing import check_dataset
from tests.bad_input import assert_one_sentence

PUBLISHED = {
    "class_scene/val_accuracy@last/single": (54.9363, 7.4841),
    "class_object/val_accuracy@last/single": (45.5862, 21.2032),
    "room_layout/val_negative_loss@last/single": (-0.6010, -1.0943),
    "jigsaw/val_accuracy@last/single": (95.3722, 0.0348),
    "segmentsemantic/val_pixel_accuracy@last/single": (94.6125, 91.6412),
    "normal/val_ssim@last/single": (0.5873, 0.2057),
    "autoencoder/val_ssim@last/single": (0.5772, 0.0012),
}


@pytest.fixture(scope="module")
def dataset(data_root: Path) -> ArchDataset:
    if not (data_root / "transnas101" / "micro.npz").is_file():
        pytest.skip(f"needs {data_root / 'transnas101' / 'micro.npz'}")
    return archenc.load_dataset("transnas101-micro")


def test_labels(dataset: ArchDataset) -> None:
    assert len(dataset) == 4_096
    assert dataset.labels.keys() == dataset.descriptions.keys() == PUBLISHED.keys()
    assert dataset.label == "class_scene/val_accuracy@last/single"
    for label, description in dataset.descriptions.items():
        assert "validation data, last epoch, one training" in description, label
    assert dataset.labels[dataset.label].dtype == np.float64


@pytest.mark.parametrize(("label", "extremes"), PUBLISHED.items())
def test_best_and_worst_of_every_task(
    dataset: ArchDataset, label: str, extremes: tuple[float, float]
) -> None:
    y = dataset.labels[label]
    np.testing.assert_allclose([y.max(), y.min()], extremes, atol=0.00006)


def test_the_disconnected_cells_are_the_worst_of_four_tasks(dataset: ArchDataset) -> None:
    connected = is_connected(live_edges(dataset.graphs).any(1)).numpy()
    assert (~connected).sum() == 169
    for label in PUBLISHED:
        if label.startswith(("class_scene", "room_layout", "normal", "autoencoder")):
            y = dataset.labels[label]
            assert y[~connected].max() <= y[connected].min(), label


def test_cells_with_the_same_labels_are_in_one_group(dataset: ArchDataset) -> None:
    """A split by groups does not put one training on both sides."""
    rows = np.unique(np.stack(list(dataset.labels.values())), axis=1, return_inverse=True)[1].ravel()
    assert dataset.groups is not None
    assert len(np.unique(rows)) == 2_994
    assert len(np.unique(dataset.groups)) == 937
    assert len(np.unique(np.stack([rows, dataset.groups]), axis=1).T) == 2_994
    assert dataset.duplicates == "kept"


def test_changed_tables_are_refused(
    dataset: ArchDataset, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(data_root / transnas101.TABLE.path, allow_pickle=False) as table:
        arrays = dict(table)
    arrays["jigsaw_valid_top1_final"][5] += 1
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    (tmp_path / "transnas101").mkdir()
    np.savez(tmp_path / transnas101.TABLE.path, **arrays)
    with pytest.raises(CorruptFile, match="not the published ones") as caught:
        transnas101.load()
    assert_one_sentence(caught.value)


def test_without_the_table_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="archenc data fetch transnas101-micro") as caught:
        transnas101.load()
    assert_one_sentence(caught.value)


# -- more ----------------------------------------------------------------------------------------------------


@pytest.fixture
def table(data_root: Path) -> dict[str, np.ndarray]:
    return open_npz(data_root / nasbench301_surrogate.TABLE.path, None, 2**25)


def test_published_facts(table: dict[str, np.ndarray]) -> None:
    dataset = archenc.load_dataset("nasbench301-surrogate")
    assert len(dataset) == 1_218
    assert "surrogate" in dataset.label, "a prediction must not look like a measurement"
    assert list(dataset.labels) == [dataset.label]
    assert "predicts" in dataset.descriptions[dataset.label]
    assert dataset.y.min() == pytest.approx(90.73, abs=0.005)
    assert dataset.y.max() == pytest.approx(94.49, abs=0.005)
    assert dataset.y.mean() == pytest.approx(93.11, abs=0.005)
    both = table["surrogate_val_acc"]
    assert np.isfinite(both[:, 1]).sum() == 7
    np.testing.assert_array_equal(dataset.y, both[:, 0])


def test_genotypes_are_those_of_the_table(table: dict[str, np.ndarray]) -> None:
    dataset, unlabelled = (
        archenc.load_dataset("nasbench301-surrogate"),
        archenc.load_dataset("nasbench301-unlabelled"),
    )
    for graphs, field in ((dataset.graphs, "genotype"), (unlabelled.graphs, "unlabelled_genotype")):
        codes = (100 * table[field][..., 0].astype(int) + table[field][..., 1]).reshape(-1, 2, 4, 2)
        ours = dataset.space.to_genotypes(graphs).astype(int)
        np.testing.assert_array_equal(
            np.sort(codes), np.sort((100 * ours[..., 0] + ours[..., 1]).reshape(codes.shape))
        )
    assert len(unlabelled) == 11_221
    assert not unlabelled.labels
    hashes = np.concatenate([dataset.graphs.hash(), unlabelled.graphs.hash()])
    assert len(np.unique(hashes, axis=0)) == 1_218 + 11_221, "no two are isomorphic"


def test_the_texts_of_naslib(table: dict[str, np.ndarray]) -> None:
    """NASLib's text of the first genotype, whose stored value is 93.9010..."""
    text = (
        "[[(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)], "
        "[(0, 3), (1, 3), (1, 1), (0, 5), (2, 3), (0, 2), (4, 4), (3, 1)]]"
    )
    dataset = archenc.load_dataset("nasbench301-surrogate")
    [row] = np.flatnonzero((dataset.graphs.hash() == dataset.space.parse(text).hash()).all(1))
    assert dataset.y[row] == pytest.approx(93.901068063, abs=1e-9)


def test_other_values_are_refused(
    table: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table["surrogate_val_acc"][5, 0] += 1e-9
    (tmp_path / "naslib_nb301").mkdir()
    np.savez(tmp_path / "naslib_nb301/surrogate.npz", **table)
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path))
    with pytest.raises(CorruptFile, match="not the published ones"):
        archenc.load_dataset("nasbench301-surrogate")


ROWS = 9


def genotype(text: str) -> dict[str, Any]:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    fields = {str(k.arg): k.value for k in call.keywords}
    return {
        k: list(eval_range(v)) if isinstance(v, ast.Call) else ast.literal_eval(v) for k, v in fields.items()
    }


def eval_range(tree: ast.Call) -> range:
    return range(*(ast.literal_eval(argument) for argument in tree.args))


def records(family: str) -> list[dict[str, Any]]:
    """Trainings with synthetic numbers."""
    space = archenc.create_space(nds.SPACES[family])
    return [
        {
            "job_id": f"synthetic-{number}",
            "rng_seed": 1,
            "params": 1_000_000.0 + number,
            "flops": 2e8 + number,
            "net": {
                "genotype": genotype(text),
                "width": 16 + number,
                "depth": 20,
                "aux": False,
                "drop_prob": 0.0,
            },
            "optim": {"base_lr": 0.1, "wd": 5e-4, "max_ep": 3},
            "iter_time": 0.25,
            "train_ep_top1": [80.0, 30.0, 5.0 + number],
            "train_ep_loss": [2.0, float("nan"), 0.5],
            "test_ep_top1": [85.0, 40.0, 6.5 + number],
            "min_test_top1": 6.5 + number,
        }
        for number, text in enumerate(space.format(space.sample(ROWS, 1)))
    ]


@pytest.mark.parametrize("family", nds.SPACES)
def test_import_and_load(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    name = f"nds-{family.lower()}"
    with pytest.raises(DataNotFound, match=f"archenc data import {name}") as missing:
        archenc.load_dataset(name)
    assert_one_sentence(missing.value)
    given = records(family)
    (tmp_path / f"{family}.json").write_text(json.dumps(given))
    import_file(name, tmp_path / f"{family}.json")
    check_dataset(name)
    dataset = archenc.load_dataset(name)
    assert list(dataset.descriptions) == list(dataset.labels)
    space = archenc.create_space(nds.SPACES[family])
    assert dataset.space == space
    assert (dataset.graphs.ops == space.sample(ROWS, 1).ops).all(), "with the concat lists of the records"
    assert dataset.label == "cifar10/test_accuracy@last/single"
    assert dataset.y.tolist() == [93.5 - number for number in range(ROWS)]
    assert dataset.labels["cifar10/train_accuracy@last/single"].tolist() == [
        95.0 - number for number in range(ROWS)
    ]
    for label, expected in (("parameters", 1_000_000), ("flops", 200_000_000), ("width", 16)):
        assert dataset.labels[f"cifar10/{label}"].tolist() == [expected + number for number in range(ROWS)]


def test_lists_of_top_and_mid_and_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_DATA", str(tmp_path / "data"))
    given = records("ENAS")
    (tmp_path / "ENAS_in.json").write_text(json.dumps({"top": given[:4], "mid": given[4:]}, indent=1))
    import_file("nds-enas", tmp_path / "ENAS_in.json")
    dataset = archenc.load_dataset("nds-enas")
    assert list(dataset.descriptions) == list(dataset.labels)
    assert dataset.label == "imagenet/test_accuracy@last/single"
    assert dataset.y.tolist() == [93.5 - number for number in range(ROWS)]
    assert any("ENAS_in.json" in note for note in dataset.provenance.notes)


def test_concat_lists_beyond_the_loose_ends_are_kept(tmp_path: Path) -> None:
    given = records("NASNet")
    given[2]["net"]["genotype"]["reduce_concat"] = [2, 3, 4, 5, 6]
    (tmp_path / "NASNet.json").write_text(json.dumps(given))
    table = nds.build("NASNet", tmp_path / "NASNet.json")["nds/nasnet.npz"]
    assert table["concat"][2, 1].all()
    assert not table["concat"].all()


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_records_across_chunks(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    values: list[Any] = [
        {"a": [1, 2.5, "é,]}"]},
        12_345,
        -1.5e3,
        "text",
        None,
        True,
        [],
        {},
        {"b": {"c": [[]]}},
    ]
    path = tmp_path / "values.json"
    for indent in (None, 2):
        path.write_text(json.dumps(values, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
        assert list(json_stream.read_records(path, (), 100)) == values
        path.write_text(
            json.dumps({"top": values, "mid": values[:2]}, indent=indent, ensure_ascii=False),
            encoding="utf-8",
        )
        assert list(json_stream.read_records(path, ("top", "mid"), 100)) == values + values[:2]
    path.write_text("[]")
    assert list(json_stream.read_records(path, (), 100)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "[1, 2",
        "[1 2]",
        "[1,, 2]",
        "[1, 2] 3",
        '{"top": [1]',
        '{"other": [1]}',
        '{"top": 1}',
        "[" * 100_000,
        "[\ud800]",
        '["a',
    ],
)
def test_what_is_no_list_of_records(text: str, tmp_path: Path) -> None:
    path = tmp_path / "DARTS.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorruptFile) as error:
        nds.build("DARTS", path)
    assert_one_sentence(error.value)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "DARTS.json"
    path.write_text(json.dumps(records("DARTS")))
    monkeypatch.setattr(nds, "MAX_RECORDS", ROWS - 1)
    with pytest.raises(CorruptFile, match="more than 8 records"):
        nds.build("DARTS", path)
    path.write_text('["' + 5_000 * "a")
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    monkeypatch.setattr(json_stream, "MAX_RECORD", 1_000)
    with pytest.raises(CorruptFile, match="not a JSON list"):
        nds.build("DARTS", path)
    monkeypatch.setattr(json_stream, "MAX_FILE_BYTES", 1_000)
    with pytest.raises(CorruptFile, match="larger than 1,000 bytes"):
        nds.build("DARTS", path)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("test_ep_top1", [], "test_ep_top1"),
        ("test_ep_top1", None, "test_ep_top1"),
        ("params", "many", "params"),
        ("flops", 1e300, "flops"),
        ("net", {}, "no 'genotype'"),
        ("net", 3, "record 4"),
        ("net", {"genotype": {"normal": [], "reduce": []}, "width": 1, "depth": 1}, "architecture 4"),
    ],
)
def test_what_is_no_record(key: str, value: Any, match: str, tmp_path: Path) -> None:
    given = records("Amoeba")
    given[4][key] = value
    (tmp_path / "Amoeba.json").write_text(json.dumps(given))
    with pytest.raises(CorruptFile, match=match) as error:
        nds.build("Amoeba", tmp_path / "Amoeba.json")
    assert_one_sentence(error.value)


def test_other_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "DARTS.json").write_text(json.dumps(records("DARTS")))
    with pytest.raises(CorruptFile, match="keep the published name") as error:
        nds.build("ENAS", tmp_path / "DARTS.json")
    assert_one_sentence(error.value)
