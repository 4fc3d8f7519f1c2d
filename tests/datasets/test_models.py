"""A folder of ONNX models and a table as a data set."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import archenc
from archenc import Predictor
from archenc.cli import main
from archenc.errors import InvalidTable
from archenc.spaces import OperationSpace, from_modules

pytest.importorskip("onnx")
EXAMPLE = torch.zeros(1, 4, 8, 8)


def networks():
    """Chains of 3x3 and 1x1 convolutions."""
    kernels = [[1], [3], [1, 1], [1, 3], [3, 1], [3, 3]]
    return [nn.Sequential(*[layer for k in sizes for layer in (nn.Conv2d(4, 4, k, padding=k // 2), nn.ReLU())]) for sizes in kernels]


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
    assert repr(dataset).startswith(f"ArchDataset({folder.name}: 6 architectures of operations, y = 'accuracy'")
    assert dataset.space == OperationSpace(max_nodes=6)
    assert (dataset.graphs.hash() == from_modules(networks(), EXAMPLE).hash()).all()
    assert len(dataset.provenance.files) == 7
    for encoder in ("gates", "gcn"):
        predictor = Predictor(encoder, "mlp", "hinge", epochs=2, random_state=0).fit(dataset.graphs, dataset.y)
        assert np.isfinite(predictor.predict(dataset.graphs)).all()


def test_options_of_tables_hold(folder, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("file,top1,ms\n1.onnx,80,3\n1.onnx,82,5\n0.onnx,,1\n")
    options = {"folder": folder, "table": other, "model": "file", "missing": "keep"}
    with pytest.raises(InvalidTable, match=r"line 3: the architecture of line 2 again"):
        archenc.load_dataset("models", **options)
    dataset = archenc.load_dataset("models", label="ms", duplicates="mean", space=OperationSpace(max_nodes=20), **options)
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
