"""A folder of ONNX models and a table as a data set."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import archenc
from archenc import Predictor
from archenc.commands.app import main
from archenc.errors import InvalidParameter, InvalidTable
from archenc.spaces import OperationSpace, from_modules
from tests.bad_input import assert_one_sentence

pytest.importorskip("onnx")
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
