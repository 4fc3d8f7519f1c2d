"""The contract of a search space."""

from __future__ import annotations

import json

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.graphs import INPUT, OUTPUT, PAD, ArchGraphs, paths, transforms
from archenc.graphs.hashing import wl_hash
from archenc.registry import SPACES, create_space
from archenc.spaces import from_config, needs_parameters
from archenc.spaces.base import Space
from archenc.spaces.cell import CellSpace
from archenc.testing.assertions import (
    assert_raises,
    equal,
    same_rows,
)


def registered_spaces() -> dict[str, Space]:
    """Every registered space that needs no parameters and has cells of at most 64 nodes."""
    spaces = {name: create_space(name) for name in SPACES.names() if not needs_parameters(SPACES.get(name))}
    return {name: space for name, space in spaces.items() if space.max_nodes <= 64}


def example_spaces() -> dict[str, Space]:
    """A few spaces that have between them what the others have: three published ones and two described
    ones.
    """
    spaces = {name: create_space(name) for name in ("nasbench-graph", "nasbench101", "nasbench201")}
    spaces["free nodes"] = CellSpace(
        "free nodes", ["conv", "pool", "skip"], max_nodes=6, max_edges=8, skip_op="skip"
    )
    spaces["free edges"] = CellSpace(
        "free edges",
        ["none", "conv", "skip"],
        op_on="edge",
        max_nodes=5,
        num_inputs=2,
        cells=2,
        edges_per_pair=2,
        none_op="none",
        skip_op="skip",
    )
    return spaces


def check_space(space: Space, n: int = 64) -> None:
    """Conventions, text and configuration there and back, sampling, mutation, isomorphism and
    simplification.
    """
    graphs = space.sample(n, seed=0)
    assert len(graphs) == n, f"sample({n}) gave {len(graphs)} architectures"
    space.validate(graphs)
    _check_conventions(graphs)
    assert equal(graphs, space.sample(n, seed=0)), "the same seed gave other architectures"
    assert not equal(graphs, space.sample(n, seed=1)), "two seeds gave the same architectures"

    assert equal(space.parse(space.format(graphs)), graphs), "parse(format(graphs)) is not the same as graphs"
    assert from_config(json.loads(json.dumps(space.config()))) == space, (
        "config(), through JSON, does not build the space again"
    )
    assert_raises(InvalidArchitecture, lambda: space.parse(["no architecture"]), "parsing nonsense")

    children = space.validate(space.mutate(graphs, seed=0))
    assert not same_rows(graphs, children).any(), "mutate() left an architecture as it was"
    assert equal(children, space.mutate(graphs, seed=0)), "the same seed gave other mutants"

    twins = transforms.isomorphic_twin(
        graphs, seed=0
    )  # need not be valid: a space may hold only one of the isomorphic forms
    hashes = space.hash(graphs)
    assert hashes.shape == (n, 16), f"hash() gave shape {hashes.shape} instead of {(n, 16)}"
    assert hashes.dtype == np.uint8, f"hash() gave {hashes.dtype} instead of uint8"
    assert (hashes == space.hash(twins)).all(), "isomorphic architectures have different hashes"
    assert len(np.unique(hashes, axis=0)) > n // 8, "hash() hardly tells architectures apart"

    simple = space.simplify(graphs)
    assert simple.simplified, "simplify() did not mark its result as simplified"
    assert (wl_hash(simple) == wl_hash(space.simplify(twins))).all(), (
        "simplified isomorphic architectures differ"
    )
    assert equal(space.simplify(simple), simple), "simplifying twice is not the same as once"
    assert space.node_form(graphs).num_nodes == space.num_node_form_nodes, (
        "num_node_form_nodes is not that of node_form()"
    )


def _check_conventions(graphs: ArchGraphs) -> None:
    space, ops, mask = graphs.space, graphs.ops, graphs.mask
    assert not graphs.adjacency.tril().any(), "an edge does not lead from a lower to a higher node"
    assert graphs.num_nodes == space.max_nodes, (
        f"the arrays have {graphs.num_nodes} nodes, the space {space.max_nodes}"
    )
    assert mask[:, : space.num_inputs].all(), "an input node is masked"
    assert mask[:, -1].all(), "the output node is masked or not the last one"
    assert not (mask[:, 1:-1] & ~mask[:, :-2]).any(), "padding does not lie just before the output node"
    assert paths.is_connected(graphs.adjacency, space.num_inputs).all(), "no path leads from input to output"
    assert graphs.op_on == space.op_on, "the graphs are not in the space's own form"
    if graphs.op_on == "node":
        assert (ops[:, : space.num_inputs] == INPUT).all(), "an input node does not have the input's id"
        assert (ops[:, -1] == OUTPUT).all(), "the last node does not have the output's id"
        assert ((ops == PAD) == ~mask).all(), "mask and padding ids differ"
    else:
        assert ((graphs.edge_ops() != 0).any(1) == graphs.adjacency.bool()).all(), (
            "edges and their operations differ"
        )
