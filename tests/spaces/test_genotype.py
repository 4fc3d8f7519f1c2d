"""Two-cell genotype spaces against the published genotypes and a plain-Python oracle."""

from __future__ import annotations

import ast
from collections import Counter, namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archenc
from archenc.encoders.gcn import GCNEncoder
from archenc.encoders.path import PathEncoder
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs.transforms import line_graph
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.genotype.darts import DARTS, ENAS, NDSDARTS, PNAS, Amoeba, NASNet
from tests.bad_input import assert_one_sentence

SPACES = {space.name: space for space in (DARTS(), NDSDARTS(), NASNet(), Amoeba(), PNAS(), ENAS())}
DARTS_V2 = (  # Liu et al., ICLR 2019, figures 4 and 5
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', "
    "2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
NASNET_A = {  # Zoph et al., CVPR 2018, figure 4
    "normal": [
        *[
            ["sep_conv_5x5", 1],
            ["sep_conv_3x3", 0],
            ["sep_conv_5x5", 0],
            ["sep_conv_3x3", 0],
            ["avg_pool_3x3", 1],
            ["skip_connect", 0],
        ],
        *[["avg_pool_3x3", 0], ["avg_pool_3x3", 0], ["sep_conv_3x3", 1], ["skip_connect", 1]],
    ],
    "normal_concat": [2, 3, 4, 5, 6],
    "reduce": [
        *[
            ["sep_conv_5x5", 1],
            ["sep_conv_7x7", 0],
            ["max_pool_3x3", 1],
            ["sep_conv_7x7", 0],
            ["avg_pool_3x3", 1],
            ["sep_conv_5x5", 0],
        ],
        *[["skip_connect", 3], ["avg_pool_3x3", 2], ["sep_conv_3x3", 2], ["max_pool_3x3", 1]],
    ],
    "reduce_concat": [4, 5, 6],
}
COMPACT = (
    "[[(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)], [(0, 3), (1, 3), (1, 1), (0, 5), "
    "(2, 3), (0, 2), (4, 4), (3, 1)]]"
)


def plain(text):
    """Oracle: each cell of a genotype text as its nodes' multisets of (operation, input) and its concatenated
    nodes.
    """
    call = ast.parse(text, mode="eval").body
    fields = {k.arg: k.value for k in call.keywords}
    cells = []
    for name in ("normal", "reduce"):
        pairs = ast.literal_eval(fields[name])
        joined = ast.unparse(fields[f"{name}_concat"])
        concat = (
            list(range(*ast.literal_eval(joined.removeprefix("range"))))
            if joined.startswith("range")
            else ast.literal_eval(joined)
        )
        cells.append(([Counter(pairs[k : k + 2]) for k in range(0, len(pairs), 2)], sorted(concat)))
    return cells


@pytest.mark.parametrize(
    ("name", "billions"),
    [("nds-darts", 242), ("nasnet", 71_465_842), ("amoeba", 556_628), ("pnas", 556_628), ("enas", 5_063)],
)
def test_spaces_have_the_published_sizes(name, billions):
    """Radosavovic et al., ICCV 2019, on NAS design spaces: cells in billions, counted with the two operations
    of a node in order.
    """
    space = SPACES[name]
    cells = 1
    for node in range(2, 2 + space.nodes):
        cells *= (node * len(space.choices)) ** 2
    assert cells / 1e9 == pytest.approx(billions, abs=0.501)
    assert archenc.create_space(name) == space


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_text_says_what_the_arrays_say(name, seed):
    space = SPACES[name]
    graphs = space.sample(10, seed)
    for text, table in zip(space.format(graphs), space.to_genotypes(graphs), strict=True):
        for (nodes, concat), edges in zip(plain(text), table.tolist(), strict=True):
            pairs = [(space.choices[number], source) for source, number in edges]
            assert nodes == [Counter(pairs[k : k + 2]) for k in range(0, len(pairs), 2)]
            used = {source for source, _ in edges}
            interior = range(2, 2 + space.nodes)
            assert concat == [node for node in interior if space.output == "all" or node not in used]
    again = space.from_genotypes(space.to_genotypes(graphs), space.to_concat(graphs))
    assert torch.equal(again.ops, graphs.ops)
    assert torch.equal(space.from_genotypes(space.to_genotypes(graphs)).ops, graphs.ops), (
        "the concat lists follow from the rule"
    )


def test_published_genotypes():
    darts, nasnet = SPACES["darts"], SPACES["nasnet"]
    assert plain(darts.format(darts.parse(DARTS_V2))[0]) == plain(DARTS_V2)
    assert plain(nasnet.format(nasnet.parse(NASNET_A))[0])[1][1] == [4, 5, 6]
    assert (nasnet.to_concat(nasnet.parse(NASNET_A)).sum(2) == [[5, 3]]).all()
    unsaid = {key: value for key, value in NASNET_A.items() if "concat" not in key}
    assert torch.equal(nasnet.parse(unsaid).ops, nasnet.parse(NASNET_A).ops)
    more = NASNET_A | {"reduce_concat": [2, 4, 5, 6]}
    assert nasnet.to_concat(nasnet.parse(more))[0, 1].tolist() == [True, False, True, True, True]
    assert (nasnet.hash(nasnet.parse(more)) != nasnet.hash(nasnet.parse(NASNET_A))).any()


def test_all_forms_read_the_same():
    space = SPACES["darts"]
    lists = ast.literal_eval(COMPACT)
    table = np.array(lists)
    named = [[(space.choices[k], source) for source, k in cell] for cell in lists]
    Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    forms = [
        COMPACT,
        COMPACT.encode(),
        lists,
        table,
        {"normal": named[0], "reduce": named[1]},
        named,
        str(tuple(map(tuple, lists))),
    ]
    forms.append(Genotype(named[0], range(2, 6), named[1], [5, 4, 3, 2]))
    graphs = space.parse(forms)
    assert len(graphs) == len(forms)
    assert (graphs.ops == space.from_genotypes(table[None]).ops.repeat(len(forms), 1, 1)).all()
    for form in forms:
        assert torch.equal(space.parse(form).ops, graphs[0].ops), "one genotype is a batch of one"
    assert space.format(graphs[0])[0].startswith(
        "Genotype(normal=[('sep_conv_5x5', 0), ('sep_conv_3x3', 1), "
    )
    assert len(space.parse([])) == 0


def test_order_within_a_node_and_permutable_nodes_do_not_change_the_hash():
    space = SPACES["darts"]
    table = np.array(ast.literal_eval(COMPACT))
    swapped = table[:, [1, 0, 3, 2, 5, 4, 7, 6]]
    apart = np.array([[(0, 4), (1, 3), (0, 2), (1, 3), (0, 3), (1, 3), (2, 6), (3, 5)]] * 2)
    permuted = np.array([[(0, 2), (1, 3), (0, 4), (1, 3), (0, 3), (1, 3), (3, 6), (2, 5)]] * 2)
    crossed = np.array([[(0, 2), (1, 3), (0, 4), (1, 3), (0, 3), (1, 3), (2, 6), (3, 5)]] * 2)
    hashes = space.hash(space.from_genotypes([table, swapped, apart, permuted, crossed]))
    assert len(np.unique(hashes, axis=0)) == 3
    assert (hashes[0] == hashes[1]).all()
    assert (hashes[2] == hashes[3]).all()


@pytest.mark.parametrize("name", SPACES)
def test_node_form_is_the_line_graph_without_the_joining_edges(name):
    space = SPACES[name]
    graphs = space.sample(60, 5)
    form = space.node_form(graphs)
    assert form.num_nodes == 2 + 2 * space.nodes + 1
    assert form.mask.all()
    join = len(space.choices) + 3
    assert not (form.ops == join).any()
    slow = line_graph(graphs)  # the same with nodes for the joining edges
    for row in range(0, 120, 7):
        kept = [k for k in range(slow.num_nodes) if slow.mask[row, k] and slow.ops[row, k] != join]
        joins = [k for k in range(slow.num_nodes) if slow.ops[row, k] == join]
        adjacency = slow.adjacency[row][kept][:, kept].clone()
        adjacency[:, -1] = slow.adjacency[row][kept][:, joins].any(1)
        assert slow.ops[row, kept].tolist() == form.ops[row].tolist()
        assert torch.equal(adjacency.bool(), form.adjacency[row].bool())


def test_features_go_with_their_operations():
    space = SPACES["nasnet"]
    graphs = space.sample(9, 1)
    marked = graphs.with_features(graphs.ops[..., None].float())
    form = space.node_form(marked)
    expected = torch.where(form.ops >= 3, form.ops - 2, 0).float()
    assert torch.equal(form.features[..., 0], expected)


def test_sampling_is_uniform():
    space = GenotypeSpace("tiny", ["a", "b"], nodes=2, skip_op=None, distinct_inputs=True)
    drawn = space.to_genotypes(space.sample(6_000, 0)).reshape(-1, 8)
    counts = Counter(map(tuple, drawn.tolist()))
    assert len(counts) == 4 * 4 * 3, "two inputs with 2 x 2 operations, then three pairs of inputs"
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_enumeration_gives_every_cell_once():
    space = GenotypeSpace("tiny", ["a", "b"], nodes=1, skip_op=None, output="loose")
    cells = 2 * 3 + 4  # the same input twice with an unordered pair of operations, or both inputs
    assert len(space.enumerate()) == cells**2
    with pytest.raises(InvalidParameter, match="sample"):
        SPACES["darts"].enumerate()


@pytest.mark.parametrize("name", SPACES)
def test_a_mutant_differs_in_one_edge(name):
    space = SPACES[name]
    parents = space.sample(300, 2)
    children = space.mutate(parents, 3)
    rewired = 0
    for parent, child in zip(
        space.to_genotypes(parents).tolist(), space.to_genotypes(children).tolist(), strict=True
    ):
        differences = []
        for before, after in zip(parent, child, strict=True):
            for k in range(0, len(before), 2):
                gone = Counter(map(tuple, before[k : k + 2])) - Counter(map(tuple, after[k : k + 2]))
                come = Counter(map(tuple, after[k : k + 2])) - Counter(map(tuple, before[k : k + 2]))
                differences += zip(gone.elements(), come.elements(), strict=True)
        assert len(differences) == 1
        (old, new), *_ = differences
        assert (old[0] != new[0]) + (old[1] != new[1]) == 1
        rewired += old[0] != new[0]
    assert 75 < rewired < 225


def test_encoders_see_the_concatenation():
    """The same nodes, of which one is joined or not: in both forms another encoding."""
    space = SPACES["nasnet"]
    two = space.parse([NASNET_A, NASNET_A | {"reduce_concat": [2, 4, 5, 6]}])
    for encoder in (
        GCNEncoder(space),
        PathEncoder(space, cutoff=3_000),
        archenc.create_encoder("gates", space=space),
    ):
        first, second = encoder.encode(two)
        assert not np.allclose(first, second), type(encoder).__name__


def test_paths_are_sequences_of_the_choosable_operations():
    encoder = PathEncoder(SPACES["darts"])
    assert encoder.dim == 2 * 2 * (7 + 7**2 + 7**3 + 7**4)
    graphs = SPACES["darts"].parse(DARTS_V2)
    paths = encoder.encode(graphs)[0, : encoder.dim // 2]
    sep, skip, dil = (
        SPACES["darts"].choices.index(op) for op in ("sep_conv_3x3", "skip_connect", "dil_conv_3x3")
    )
    expected = {(0, (sep,)), (1, (sep,)), (0, (skip,)), (0, (sep, dil)), (1, (sep, dil))}
    at = [
        sum(2 * 7**k for k in range(1, len(ops)))
        + start * 7 ** len(ops)
        + sum(op * 7**k for k, op in enumerate(ops))
        for start, ops in expected
    ]
    assert set(np.flatnonzero(paths)) == set(at)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("__import__('os').system('true')", "no genotype"),
        ("Genotype(normal=open('x'))", "no genotype"),
        ("Genotype(normal=[], normal_concat=range(10**9), reduce=[])", "no genotype"),
        ("(" * 5_000, "no genotype"),
        ("[" * 50_000, "no genotype"),
        ("Genotype(reduce=[])", "'normal' is missing"),
        (DARTS_V2.replace("normal_concat", "normal_join"), "'normal_join' is unknown"),
        (DARTS_V2.replace("'dil_conv_3x3', 2", "'none', 2"), "unknown operation 'none'"),
        (DARTS_V2.replace("'dil_conv_3x3', 2", "'concat', 2"), "unknown operation 'concat'"),
        (
            DARTS_V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', 5"),
            "normal cell, edge 7: 5 is no node before",
        ),
        (DARTS_V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', 0"), "same input"),
        (DARTS_V2.replace("[2, 3, 4, 5]", "[2, 3, 4]"), "does not join every intermediate node"),
        (DARTS_V2.replace("[2, 3, 4, 5]", "[2, 3, 4, 9]"), "concat list"),
        (DARTS_V2.replace("[2, 3, 4, 5]", "[2, 2, 3, 4, 5]"), "concat list"),
        (COMPACT.replace("(3, 5)", "(3, 7)"), "operation"),
        (COMPACT.replace(", (3, 5)", ""), "8 edges"),
        (COMPACT.replace("(3, 5)", "(True, 5)"), "input node"),
        ({"normal": 3, "reduce": 4}, "8 edges"),
        (7, "cannot read"),
        (np.zeros((2, 2, 8, 3), dtype=int), "shape"),
        (np.zeros((2, 2, 8, 2)), "whole numbers"),
    ],
)
def test_what_is_no_genotype(given, match):
    with pytest.raises(InvalidArchitecture, match=match) as error:
        SPACES["darts"].parse(given)
    assert_one_sentence(error.value)


def test_loose_ends_must_be_joined():
    with pytest.raises(InvalidArchitecture, match="no other node uses"):
        SPACES["nasnet"].parse(NASNET_A | {"reduce_concat": [5, 6]})


@pytest.mark.parametrize(
    "parameters", [{"nodes": 0}, {"nodes": 2, "output": "some"}, {"nodes": 2, "skip_op": "b"}]
)
def test_what_is_no_space(parameters):
    with pytest.raises(InvalidParameter) as error:
        GenotypeSpace("mine", ["a"], **({"skip_op": "a"} | parameters))
    assert_one_sentence(error.value)


def test_validate_finds_cells_that_break_the_rules():
    space = SPACES["darts"]
    good = space.sample(1, 0)
    for at, number, match in (
        ((0, 5, 6), 1, "something else"),
        ((0, 0, 6), 8, "something else"),
        ((0, 2, 6), 0, "every intermediate"),
    ):
        ops = good.ops.clone()
        ops[at] = number
        adjacency = (ops != 0).to(torch.uint8)
        with pytest.raises(InvalidArchitecture, match=match):
            space.validate(space.graphs(adjacency, ops))
    ops = good.ops.clone()
    ops[0, :5, 5] = 1
    with pytest.raises(InvalidArchitecture, match="two incoming edges"):
        space.validate(space.graphs((ops != 0).to(torch.uint8), ops))
