"""Data sets of one's own: a table of architectures, or a folder of ONNX models and a table of them."""

from __future__ import annotations

import gzip
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import archenc
from archenc import Predictor
from archenc.commands.app import main
from archenc.datasets import table
from archenc.errors import InvalidParameter, InvalidTable
from archenc.spaces import OperationSpace, from_modules
from archenc.spaces.cell import CellSpace
from tests.bad_input import assert_one_sentence

CELL = "|{}~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
CONV, POOL = CELL.format("nor_conv_3x3"), CELL.format("avg_pool_3x3")
# isomorphic to the cell with one convolution 0->3 and nothing else: the edge 0->1 leads nowhere in both
OWN = CellSpace("own", ("conv", "pool"), max_nodes=4)


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


CSV = f'"arch",accuracy,note,latency\n"{CONV}",91.5,first,1\n"{POOL}",88.25,second,2.5\n'
JSONL = "".join(
    json.dumps({"arch": arch, "accuracy": accuracy, "note": note, "latency": latency}) + "\n"
    for arch, accuracy, note, latency in ((CONV, 91.5, "first", 1), (POOL, 88.25, "second", 2.5))
)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("my.csv", CSV),
        ("my.csv.gz", CSV),
        ("my.jsonl", JSONL),
        ("my.jsonl.gz", JSONL),
        ("MY.CSV", "\ufeff" + CSV),
    ],
)
def test_all_formats_give_the_same_data_set(tmp_path: Path, file: str, text: str) -> None:
    dataset = archenc.load_dataset(
        "table", path=write(tmp_path / file, text), space="nasbench201", label="accuracy"
    )
    assert dataset.space.format(dataset.graphs) == [CONV, POOL]
    assert dict(dataset.labels).keys() == {"accuracy", "latency"}, "text columns are no labels"
    assert dataset.y.tolist() == [91.5, 88.25]
    assert dataset.y.dtype == np.float64
    assert dataset.labels["latency"].tolist() == [1.0, 2.5]
    assert dataset.duplicates == "none"
    assert list(dataset.provenance.files) == [str(tmp_path / file)]


def test_the_only_label_is_selected_and_of_several_none(tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", CSV)
    assert table.load(path=path, space="nasbench201").label == ""
    assert table.load(path=path, space="nasbench201", labels=["latency"]).label == "latency"
    assert table.load(path=path, space="nasbench201", labels="latency", name="mine").name == "mine"
    assert list(
        table.load(path=path, space="nasbench201", labels=["latency", "accuracy"], label="accuracy").labels
    ) == [
        "latency",
        "accuracy",
    ]


@pytest.mark.parametrize("file", ["my.csv", "my.jsonl"])
def test_adjacency_and_operations_columns(tmp_path: Path, file: str) -> None:
    cells = [
        {"adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "conv", "output"]},
        {
            "adjacency": [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
            "ops": ["input", "conv", "pool", "output"],
        },
    ]
    if file.endswith("csv"):
        rows = [
            f'"{cell["adjacency"]}","{json.dumps(cell["ops"])}",{k}'.replace('["', '[""')
            .replace('", "', '"", ""')
            .replace('"]', '""]')
            for k, cell in enumerate(cells)
        ]
        text = "matrix,ops,acc\n" + "\n".join(rows)
    else:
        text = "\n".join(
            json.dumps({"matrix": cell["adjacency"], "ops": cell["ops"], "acc": k})
            for k, cell in enumerate(cells)
        )
    dataset = table.load(path=write(tmp_path / file, text), space=OWN, adjacency="matrix", operations="ops")
    assert OWN.format(dataset.graphs) == OWN.format(OWN.parse(cells))
    assert dataset.y.tolist() == [0.0, 1.0]


def test_missing_labels_are_kept_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", f"arch,acc\n{CONV},\n{POOL},88.0\n")
    dataset = table.load(path=path, space="nasbench201", missing="keep")
    assert np.isnan(dataset.y[0])
    assert dataset.labelled_rows().tolist() == [1]


def test_isomorphic_rows_are_kept_or_averaged_on_request(tmp_path: Path) -> None:
    first = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"  # 0 -3x3-> 1 -1x1-> 3
    twin = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"  # 0 -3x3-> 2 -1x1-> 3
    path = write(
        tmp_path / "my.csv", f"arch,acc,ms\n{POOL},70,\n{first},90,2\n{twin},92,\n{CONV},80,1\n{first},94,6\n"
    )
    kept = table.load(path=path, space="nasbench201", missing="keep", duplicates="keep", label="acc")
    assert kept.y.tolist() == [70, 90, 92, 80, 94]
    assert kept.duplicates == "kept"
    averaged = table.load(path=path, space="nasbench201", missing="keep", duplicates="mean", label="acc")
    assert averaged.space.format(averaged.graphs) == [POOL, first, CONV]
    assert averaged.y.tolist() == [70, 92, 80]
    np.testing.assert_array_equal(averaged.labels["ms"], [np.nan, 4, 1])
    assert averaged.duplicates == "averaged"


def test_the_published_table_as_csv_equals_the_arrays(data_root: Path) -> None:
    dataset = archenc.load_dataset("nasbench201")
    own = table.load(
        path=data_root / "nasbench201" / "table.csv.gz",
        space="nasbench201",
        duplicates="keep",
        label="cifar10_test_acc_ep200_meanseeds",
    )
    np.testing.assert_array_equal(own.y, dataset.labels["cifar10/test_accuracy@200/mean"])
    assert bool((own.graphs.ops == dataset.graphs.ops).all())


# -- a folder of models --------------------------------------------------------------------------------------

EXAMPLE = torch.zeros(1, 4, 8, 8)


def networks():
    """Chains of 3x3 and 1x1 convolutions."""
    kernels = [[1], [3], [1, 1], [1, 3], [3, 1], [3, 3]]
    return [
        nn.Sequential(*[layer for k in sizes for layer in (nn.Conv2d(4, 4, k, padding=k // 2), nn.ReLU())])
        for sizes in kernels
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("onnx")
    place = tmp_path_factory.mktemp("networks")
    for number, network in enumerate(networks()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs one more package
            torch.onnx.export(network.eval(), (EXAMPLE,), str(place / f"{number}.onnx"), dynamo=False)
    rows = [f"{number}.onnx,{accuracy}" for number, accuracy in enumerate([70, 80, 75, 84, 85, 90])]
    (place / "accuracies.csv").write_text("\n".join(["model,accuracy", *rows]))
    return place


def test_a_folder_becomes_a_data_set_that_predictors_learn(folder):
    dataset = archenc.load_dataset("models", folder=folder)
    assert repr(dataset).startswith(
        f"ArchDataset({folder.name}: 6 architectures of operations, y = 'accuracy'"
    )
    assert dataset.space == OperationSpace(max_nodes=6)
    assert (dataset.graphs.hash() == from_modules(networks(), EXAMPLE).hash()).all()
    assert len(dataset.provenance.files) == 7
    for encoder in ("gates", "gcn"):
        predictor = Predictor(encoder, "mlp", "hinge", epochs=2, random_state=0).fit(
            dataset.graphs, dataset.y
        )
        assert np.isfinite(predictor.predict(dataset.graphs)).all()


def test_options_of_tables_hold(folder, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("file,top1,ms\n1.onnx,80,3\n1.onnx,82,5\n0.onnx,,1\n")
    options = {"folder": folder, "table": other, "model": "file", "missing": "keep"}
    with pytest.raises(InvalidTable, match=r"line 3: the architecture of line 2 again"):
        archenc.load_dataset("models", **options)
    dataset = archenc.load_dataset(
        "models", label="ms", duplicates="mean", space=OperationSpace(max_nodes=20), **options
    )
    assert dataset.graphs.num_nodes == 20
    assert dataset.y.tolist() == [4.0, 1.0]
    assert dataset.labels["top1"][0] == 81.0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("9.onnx,1", r"line 3: .*there is no file .*9\.onnx"),
        ("../secret.onnx,1", r"line 3: .*no ONNX file inside"),
        ("/etc/passwd,1", r"line 3: .*no ONNX file inside"),
        ("net.pt2,1", r"line 3: .*no ONNX file inside"),
        ("broken.onnx,1", r"line 3: .*broken\.onnx is no valid ONNX file"),
        ("0.onnx,high", r"line 3: 'high' in the column 'accuracy' is not a finite number"),
    ],
)
def test_faults_name_the_line(folder, row, message):
    (folder / "broken.onnx").write_bytes(b"\0\1\2")
    (folder / "faulty.csv").write_text(f"model,accuracy\n1.onnx,80\n{row}\n")
    with pytest.raises(InvalidTable, match=message):
        archenc.load_dataset("models", folder=folder, table="faulty.csv")


def test_the_command_line_says_what_is_missing(capsys):
    assert main(["data", "show", "models"]) == 2
    assert "the data set 'models' needs the parameter 'folder'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"model": 7, "accuracy": 1}, r"line 2: .*7 is no name of a file"),
        ({"model": ["0.onnx"], "accuracy": 1}, r"line 2: .*is no name of a file"),
        ({"model": {"x": 1}, "accuracy": 1}, r"line 2: .*is no name of a file"),
        ({"model": "a\0.onnx", "accuracy": 1}, r"line 2: .*no ONNX file inside"),
        ({"model": "link.onnx", "accuracy": 1}, r"line 2: .*no ONNX file inside"),
        ({"model": "loop.onnx", "accuracy": 1}, r"line 2: .*there is no file"),
        ({"model": "out/secret.onnx", "accuracy": 1}, r"line 2: .*no ONNX file inside"),
        ({"model": "x" * 5_000 + ".onnx", "accuracy": 1}, r"line 2: .*there is no file"),
        ({"model": "net.pt", "accuracy": 1}, r"line 2: .*no ONNX file inside"),
        ({"model": "sub", "accuracy": 1}, r"line 2: .*no ONNX file inside"),
        ({"model": "sub.onnx", "accuracy": 1}, r"line 2: .*there is no file"),
        ({"model": "1.onnx", "accuracy": 2}, r"line 2: the architecture of line 1 again"),
    ],
)
def test_names_stay_below_the_folder(folder, tmp_path, row, message):
    place = tmp_path / "sent"
    place.mkdir()
    (place / "1.onnx").write_bytes((folder / "1.onnx").read_bytes())
    (tmp_path / "secret.onnx").write_bytes((folder / "2.onnx").read_bytes())
    (place / "link.onnx").symlink_to(tmp_path / "secret.onnx")
    (place / "out").symlink_to(tmp_path)
    (place / "loop.onnx").symlink_to("loop.onnx")
    (place / "sub.onnx").mkdir()
    (place / "net.pt").write_bytes(pickle.dumps(RunsWhenUnpickled()))
    (place / "t.jsonl").write_text("\n".join(map(json.dumps, [{"model": "1.onnx", "accuracy": 1}, row])))
    with pytest.raises(InvalidTable, match=message) as caught:
        archenc.load_dataset("models", folder=place, table="t.jsonl")
    assert_one_sentence(caught.value)


class RunsWhenUnpickled:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize("value", [None, 5, ["a"], "a\0b", b"x"])
@pytest.mark.parametrize(("name", "option"), [("models", "folder"), ("models", "table"), ("table", "path")])
def test_what_is_no_path_is_refused(name, option, value, tmp_path):
    options = {"models": {"folder": tmp_path}, "table": {"space": "nasbench201"}}[name]
    with pytest.raises(InvalidParameter, match=f"got {option} = .*give a path") as caught:
        archenc.load_dataset(name, **(options | {option: value}))
    assert_one_sentence(caught.value)
