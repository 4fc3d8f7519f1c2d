"""Spaces of one cell, with "none" among the operations, and of any number of steps: what the logs of searches
hold.
"""

from __future__ import annotations

import json
from math import comb
from typing import Any

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs.hashing import sortable_keys
from archenc.spaces import Space, from_config
from archenc.spaces.cell import CellSpace
from archenc.spaces.genotype import GenotypeSpace
from archenc.testing import check_space
from tests.bad_input import assert_one_sentence

OPERATIONS = ("none", "skip_connect", "conv")
ROLES: dict[str, Any] = {"none_op": "none", "skip_op": "skip_connect"}


def genotype(nodes: int, **parameters: Any) -> GenotypeSpace:
    return GenotypeSpace("log", OPERATIONS, nodes=nodes, cells=1, **ROLES, **parameters)


def cell(**parameters: Any) -> CellSpace:
    return CellSpace("log", OPERATIONS, **ROLES, **parameters)


SPACES: dict[str, Space] = {
    **{f"genotype of {nodes}": genotype(nodes) for nodes in (1, 2, 7)},
    "genotype of 1, different inputs": genotype(1, distinct_inputs=True),
    "genotype of 3, different inputs": genotype(3, distinct_inputs=True, output="loose"),
    "edges": cell(op_on="edge", max_nodes=4, num_inputs=2),
    "one edge": cell(op_on="edge", max_nodes=2, topology=[(0, 1)]),
    "fixed edges": cell(op_on="edge", max_nodes=4, topology=[(0, 1), (0, 2), (1, 2), (2, 3)]),
    "nodes": cell(max_nodes=5),
    "one node": cell(max_nodes=3, topology=[(0, 1), (1, 2)]),
}


@pytest.mark.parametrize("name", SPACES)
def test_one_cell_goes_through_everything(name: str) -> None:
    space = SPACES[name]
    check_space(space, n=20)
    assert from_config(json.loads(json.dumps(space.config()))) == space
    graphs = space.sample(30, seed=1)
    assert len(graphs) == len(graphs.adjacency)
    for text, one in zip(space.format(graphs[:3]), sortable_keys(graphs.hash()), strict=False):
        assert sortable_keys(space.parse(text).hash()) == [one]
    for encoder in ("combined", "gates"):
        for simplify in (False, True):
            assert np.isfinite(archenc.create_encoder(encoder, space, simplify=simplify).encode(graphs)).all()


@pytest.mark.parametrize("operations", [("none",), ("none", "skip_connect")])
def test_operations_that_compute_nothing(operations: tuple[str, ...]) -> None:
    space = CellSpace("nothing", operations, op_on="edge", max_nodes=3, none_op="none")
    assert np.isfinite(archenc.create_encoder("gates", space).encode(space.sample(4))).all()


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_every_genotype_is_listed_once(nodes: int) -> None:
    space = genotype(nodes, output="loose")
    cells = space.enumerate()
    digests = sortable_keys(cells.hash())
    assert len(set(digests)) == len(cells)
    assert np.isin(sortable_keys(space.sample(500).hash()), digests).all()


def test_two_cells_are_all_pairs_of_one() -> None:
    one, two = (
        GenotypeSpace("g", ["a", "b"], nodes=1, skip_op=None, cells=cells).enumerate() for cells in (1, 2)
    )
    assert len(one) == comb(5, 2)
    assert len(two) == len(one) ** 2


def test_forms_of_one_cell() -> None:
    space = genotype(2)
    named = [("none", 0), ("conv", 1), ("skip_connect", 0), ("conv", 2)]
    pairs = [[0, 0], [1, 2], [0, 1], [2, 2]]
    text = f"Genotype(normal={named}, normal_concat=range(2, 4))"
    forms = [
        text,
        f"Genotype(normal={named}, normal_concat=range(2, 4), reduce=[], reduce_concat=[])",
        {"normal": named},
        named,
        pairs,
    ]
    forms += [
        str(pairs),
        json.dumps({"normal": named, "normal_concat": [2, 3]}),
        np.array(pairs),
        np.array([pairs]),
        np.array([[pairs]]),
    ]
    expected = space.parse(text)
    assert space.format(expected)[0].startswith("Genotype(normal=[")
    assert "reduce" not in space.format(expected)[0]
    for form in forms:
        assert torch.equal(space.parse(form).ops, expected.ops), form
    assert len(space.parse([text, named, {"normal": named}])) == 3
    assert space.to_genotypes(expected).shape == (1, 1, 4, 2)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("Genotype(normal=[('conv', 0), ('conv', 1)], reduce=[('conv', 0), ('conv', 1)])", "has one cell"),
        ([[0, 0], [1, 5]], "5 is no operation"),
        ([[0, 0], [2, 1]], "edge 1: 2 is no node before"),
        ([[0, 0]], "two for each of 1 intermediate nodes"),
    ],
)
def test_what_is_no_single_cell_is_refused(form: Any, message: str) -> None:
    with pytest.raises(InvalidArchitecture, match=message) as caught:
        genotype(1).parse(form)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("cells", [0, 3, "1", None, True])
def test_genotypes_have_one_cell_or_two(cells: Any) -> None:
    with pytest.raises(InvalidParameter, match="the number of cells"):
        GenotypeSpace("g", ["a"], nodes=1, skip_op=None, cells=cells)


def test_the_description_of_two_cells_is_what_it_was() -> None:
    assert "cells" not in GenotypeSpace("g", ["a"], nodes=1, skip_op=None).config()["parameters"]
