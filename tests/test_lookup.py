"""Rows of given architectures in a data set."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

import archenc
from archenc.dataset import ArchDataset
from archenc.errors import InvalidArchitecture, InvalidParameter, UnknownName
from archenc.graphs import as_graphs
from tests.bad_input import refused

SPACE = archenc.create_space("nasbench201")
CELLS = archenc.create_space("nasbench101")
CONV = "conv3x3-bn-relu"
SPEC = SimpleNamespace(matrix=[[0, 1, 0], [0, 0, 1], [0, 0, 0]], ops=["input", CONV, "output"])


def cells_101():
    graphs = CELLS.enumerate(max_nodes=4)
    return ArchDataset("small", graphs, {"acc": np.arange(len(graphs), dtype=float)}, "acc")


def test_rows_of_nasbench101():
    dataset = cells_101()
    hashes = [digest.tobytes().hex() for digest in dataset.graphs.hash()]
    assert dataset.find(hashes[7].upper()).tolist() == [7]
    twin = {
        "adjacency": [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
        "ops": ["input", "maxpool3x3", CONV, "output"],
    }
    turned = twin | {"ops": ["input", CONV, "maxpool3x3", "output"]}
    rows = dataset.find([hashes[3], twin, turned, SPEC, hashes[0]])
    assert rows.dtype == np.int64
    assert rows[1] == rows[2]
    assert hashes[rows[3]] == as_graphs(SPEC, CELLS).hash()[0].tobytes().hex()
    assert (rows[0], rows[4]) == (3, 0)
    assert dataset.find(dataset.graphs[::-1]).tolist() == [*range(len(dataset))][::-1]
    assert dataset.find([]).shape == (0,)


def test_what_a_data_set_does_not_have():
    dataset, unknown = (
        cells_101(),
        CELLS.format(
            CELLS.parse({"adjacency": np.eye(7, k=1, dtype=int), "ops": ["input", *[CONV] * 5, "output"]})
        )[0],
    )
    refused(lambda: dataset.find([SPEC, "0" * 32]), UnknownName, "position 1")
    refused(lambda: dataset.find([SPEC, unknown]), UnknownName, "position 1")
    assert dataset.find(["0" * 32, SPEC, unknown], missing="mark").tolist() == [-1, dataset.find(SPEC)[0], -1]
    assert dataset[:0].find(["0" * 32, SPEC], missing="mark").tolist() == [-1, -1]
    refused(lambda: dataset.find(SPEC, missing="drop"), InvalidParameter)
    refused(lambda: dataset.find(["0" * 32, "nonsense"]), InvalidArchitecture, "architecture 1")
    refused(lambda: dataset.find(SPACE.sample(2, 0)), InvalidArchitecture)
    refused(lambda: as_graphs([SPEC, "0" * 32], CELLS), InvalidArchitecture, "architecture 1.*dataset.find")


def test_an_architecture_is_found_in_its_own_row_before_that_of_a_twin():
    """Without "none" edges many cells of NAS-Bench-201 are isomorphic, but each was trained."""
    graphs = SPACE.from_index(np.arange(15_625))
    dataset = ArchDataset("all", graphs, {}, "")
    assert (dataset.find(graphs) == np.arange(15_625)).all()
    six = SPACE.to_naslib(graphs[5])[0].tolist()
    assert dataset.find([17, SPACE.format(graphs[1])[0], six], notation="naslib").tolist() == [17, 1, 5]
    none = SPACE.parse([["skip_connect", "none", "none", "none", "none", "none"], ["none"] * 6])
    simplified = ArchDataset("simplified", SPACE.simplify(SPACE.node_form(none)), {}, "")
    assert simplified.find(none).tolist() == [0, 0]
