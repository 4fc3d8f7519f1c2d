"""TransNAS-Bench-101 micro: the official string, numbering, enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidArchitecture
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.transnas101 import OPERATIONS, TransNAS101Micro

SPACE = TransNAS101Micro()
TEXT, NUMBERS = "64-41414-3_02_113", [3, 0, 2, 1, 1, 3]


def test_the_string():
    graphs = SPACE.parse(TEXT)
    assert SPACE.to_ops(graphs).tolist() == [NUMBERS]
    for k, (source, target) in zip(NUMBERS, EDGES, strict=True):
        assert int(graphs.ops[0, source, target]) == k + 1
    assert SPACE.format(graphs) == [TEXT]


def test_every_other_notation():
    names = [OPERATIONS[k] for k in NUMBERS]
    for one in ("3_02_113", f" {TEXT}\n", names, NUMBERS, tuple(NUMBERS), np.array(NUMBERS)):
        assert SPACE.format(SPACE.parse(one)) == [TEXT]
    assert SPACE.format(SPACE.parse([TEXT, "3_02_113", names, NUMBERS])) == [TEXT] * 4


def test_all_cells_are_read_and_printed_in_counting_order():
    graphs = SPACE.enumerate()
    texts = SPACE.format(graphs)
    assert len(graphs) == 4_096
    assert texts == sorted(set(texts))
    assert texts[0] == "64-41414-0_00_000"
    assert texts[-1] == "64-41414-3_33_333"
    assert torch.equal(SPACE.parse(texts).ops, graphs.ops)
    assert int((~is_connected(live_edges(graphs).any(1))).sum()) == 169


def test_zero_and_identity_are_known():
    """0 -conv3x3-> 1 -skip-> 3 computes what 0 -conv3x3-> 3 computes."""
    first, second = SPACE.parse(["3_00_010", "0_00_300"])
    simple = [SPACE.hash(SPACE.simplify(SPACE.node_form(one))).tobytes() for one in (first, second)]
    assert simple[0] == simple[1]


def test_it_is_registered_and_not_nasbench201():
    assert archenc.create_space("transnas101-micro") == SPACE
    assert archenc.create_space("nasbench201") != SPACE


def test_the_other_macro_structures_are_refused():
    with pytest.raises(InvalidArchitecture, match="write it as 64-41414-"):
        SPACE.parse("64-12414-3_02_113")
