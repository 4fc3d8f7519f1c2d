"""What others hand to a space: input of any type, descriptions from a file, objects that are no
architectures.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidArchitecture, InvalidParameter, UnknownName
from archenc.files.text import shown
from archenc.spaces import OperationSpace, from_config
from archenc.spaces.base import Space
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.definition import CellDefinition
from archenc.spaces.chain import ChainSpace
from archenc.spaces.genetic_cnn import GeneticCNN
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.nasbench_nlp import NASBenchNLP
from archenc.testing import registered_spaces
from tests.bad_input import assert_one_sentence
from tests.shared import SPACES as EXAMPLES

SPACES = EXAMPLES | registered_spaces() | {"operations": OperationSpace(max_nodes=12)}
each_space = pytest.mark.parametrize("name", SPACES)


def refused(call, error, match=None):
    with pytest.raises(error, match=match) as caught:
        call()
    assert_one_sentence(caught.value)


# -- other input of parse ------------------------------------------------------------------------------------

NONE_AT_ALL = [
    None,
    2.5,
    math.nan,
    np.array(5),
    torch.tensor(5),
    object(),
    len,
    True,
    10**5_000,
    [None],
    [[[]]],
    {None: None},
]


@each_space
def test_input_of_no_architecture_is_refused(name):
    for given in NONE_AT_ALL:
        refused(lambda given=given: SPACES[name].parse(given), InvalidArchitecture)


@each_space
def test_no_architectures_are_an_empty_batch(name):
    space = SPACES[name]
    for given in ((), [], np.array([])):
        graphs = space.parse(given)
        assert len(graphs) == 0
        assert space.hash(graphs).shape == (0, 16)
        assert space.format(graphs) == []
        assert [
            len(form(graphs)) for form in (space.validate, space.simplify, space.node_form, space.mutate)
        ] == [0] * 4


@each_space
def test_messages_need_no_architecture(name, monkeypatch):
    """Their examples are constants: drawing one costs seconds in a large space."""
    space = SPACES[name]
    for method in ("sample", "enumerate", "format"):
        monkeypatch.setattr(
            type(space),
            method,
            lambda *args, **kwargs: pytest.fail("an error message asked for an architecture"),
        )
    for text in ("{adjacency", "[" * 100_000, "", b"\xff\x00"):
        refused(lambda text=text: space.parse(text), InvalidArchitecture)


def test_a_missing_concatenation_is_said_without_a_gap():
    cell = [("sep_conv_3x3", 0), ("sep_conv_3x3", 1)] * 5
    genotype = {"normal": cell, "normal_concat": [2], "reduce": cell}
    refused(lambda: SPACES["pnas"].parse(genotype), InvalidArchitecture, "intermediate node; add it")


def test_graphs_of_a_large_space_are_drawn_by_arrays(monkeypatch):
    """No loop over all pairs of nodes."""
    for owner in (CellSpace, CellDefinition):
        monkeypatch.setattr(owner, "node_pairs", lambda space: pytest.fail("all pairs of nodes were listed"))
    space = OperationSpace(max_nodes=40)
    graphs = space.mutate(space.sample(3))
    assert len(graphs) == 3


# -- one architecture or several -----------------------------------------------------------------------------


@each_space
def test_arrays_and_lists_of_texts_are_several_architectures(name):
    space = SPACES[name]
    texts = space.format(space.sample(3))
    expected = space.hash(space.parse(texts))
    for several in (np.array(texts), np.array(texts, dtype=object), tuple(texts), iter(texts)):
        assert (space.hash(space.parse(several)) == expected).all()
    assert len(space.parse(np.array(texts[:1]))) == 1


@each_space
def test_the_wrong_one_of_several_texts_is_named(name):
    space = SPACES[name]
    good = space.format(space.sample(1))[0]
    for wrong in ("no architecture", good + "x", ""):
        for several in ([good, good, wrong], np.array([good, good, wrong])):
            refused(lambda several=several: space.parse(several), InvalidArchitecture, "architecture 2")


AWKWARD = ["{a", "[b", "|c", "'", '"', "\n", "it's", "\\", "../x", "\x1b[31m", "ü", "[", "5", "None"]


@pytest.mark.parametrize(
    "space",
    [
        CellSpace("w", AWKWARD, max_nodes=4, topology=[(0, 1), (1, 2), (2, 3)], cells=cells)
        for cells in (1, 2)
    ],
)
def test_awkward_names_in_a_fixed_topology(space):
    graphs = space.sample(60)
    assert (space.parse(space.format(graphs)).ops == graphs.ops).all()
    names = [[space.operations[k] for k in row] for row in space.to_ops(graphs).tolist()]
    assert (space.parse(names).ops == graphs.ops).all()
    assert (space.parse(names[0]).ops == graphs[0].ops).all()
    assert (space.parse(space.to_ops(graphs)).ops == graphs.ops).all()


@pytest.mark.parametrize("nodes", [2, 60])
def test_awkward_names_in_a_genotype(nodes):
    space = GenotypeSpace("quoted", [*AWKWARD, "long" * 25], nodes=nodes, skip_op=None)
    graphs = space.sample(20)
    assert (space.parse(space.format(graphs)).ops == graphs.ops).all()


def test_operations_beside_dicts():
    space = EXAMPLES["chain"]
    as_dict = {"adjacency": np.eye(5, k=1, dtype=int), "ops": ["input", "k5", "id", "k3", "output"]}
    assert space.to_ops(space.parse([["id", "k3", "k5"], as_dict])).tolist() == [[0, 1, 2], [2, 0, 1]]


def test_names_that_could_be_architectures_are_refused():
    refused(
        lambda: CellSpace("mine", ["a", '["a"]'], max_nodes=3, topology=[(0, 1), (1, 2)]),
        InvalidParameter,
        "JSON",
    )
    refused(lambda: ChainSpace("mine", ["01", "b"], [[0, 1]] * 2), InvalidParameter, "code of a network")
    refused(lambda: ChainSpace("mine", ["a", "b"], [[0, 1]] * 2, symbols=" x"), InvalidParameter, "visible")


def test_what_is_said_twice_must_agree():
    line, other = [[0, 1, 0], [0, 0, 1], [0, 0, 0]], [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    cell = {"ops": ["input", "maxpool3x3", "output"], "adjacency": line}
    space = SPACES["nasbench101"]
    assert len(space.parse({**cell, "matrix": np.array(line)})) == 1
    refused(
        lambda: space.parse({**cell, "matrix": other}), InvalidArchitecture, "'adjacency' and 'matrix' differ"
    )
    twice = json.dumps(cell)[:-1] + f', "adjacency": {other}}}'
    refused(lambda: space.parse(twice), InvalidArchitecture, "JSON")
    genotype = SPACES["darts"].format(SPACES["darts"].sample(1))[0]
    refused(
        lambda: SPACES["darts"].parse(genotype[:-1] + ", normal_concat=[2, 3, 4, 5])"),
        InvalidArchitecture,
        "no genotype",
    )


# -- spaces from a description -------------------------------------------------------------------------------

HUGE = [10**6, 10**9, 10**400]
ODD = [None, "x", 2.5, True, -1, [[]], [None], {}, math.nan, math.inf, *HUGE]
OPTIONAL = {"max_edges", "topology", "none_op", "skip_op", "runs", "identity", "symbols"}  # may be None
CONFIGS = {
    "cell": CellSpace("mine", ["a", "b"], max_nodes=4).config(),
    "edges": CellSpace("mine", ["a", "b"], op_on="edge", max_nodes=4, edges_per_pair=2).config(),
    "chain": ChainSpace("mine", ["a", "b"], [[0, 1]] * 3).config(),
    "genotype": GenotypeSpace("mine", ["a", "b"], nodes=2, skip_op=None).config(),
    "stages": GeneticCNN().config(),
    "recurrent": NASBenchNLP().config(),
    "operations": OperationSpace().config(),
}


def fields():
    for kind, config in CONFIGS.items():
        for field in config["parameters"]:
            yield kind, field


@pytest.mark.parametrize(("kind", "field"), list(fields()))
def test_any_wrong_value_of_a_description_is_refused(kind, field):
    config = CONFIGS[kind]
    for value in ODD:
        right = (
            (value is None and field in OPTIONAL)
            or (value == "x" and field == "name")
            or (isinstance(value, bool) and field == "distinct_inputs")
            or (value == 10**6 and field == "max_edges")
        )
        if right:
            continue
        wrong = {**config, "parameters": {**config["parameters"], field: value}}
        refused(lambda wrong=wrong: from_config(wrong), InvalidParameter)


@pytest.mark.parametrize("number", HUGE)
def test_sizes_are_refused_before_anything_is_built(number, monkeypatch):
    for build in ("node_pairs", "edge_slots", "cells_from_ops"):
        monkeypatch.setattr(CellSpace, build, lambda *args: pytest.fail("something was built"))
    for build in ("node_pairs", "edge_slots", "fixed_arrays"):
        monkeypatch.setattr(CellDefinition, build, lambda *args: pytest.fail("something was built"))
    refused(lambda: OperationSpace(max_nodes=number), InvalidParameter, "to 10,000")
    refused(lambda: NASBenchNLP(max_nodes=number), InvalidParameter, "to 10,000")
    refused(lambda: CellSpace("s", ["a"], max_nodes=7, cells=number), InvalidParameter, "10,000")
    refused(
        lambda: CellSpace("s", ["a"], max_nodes=200, op_on="edge"),
        InvalidParameter,
        "19,900 places for operations",
    )
    refused(
        lambda: CellSpace("s", ["a"], max_nodes=7, edges_per_pair=number, op_on="edge"),
        InvalidParameter,
        "edges_per_pair",
    )
    refused(lambda: GenotypeSpace("s", ["a"], nodes=number, skip_op=None), InvalidParameter, "to 60")
    refused(lambda: GeneticCNN([number]), InvalidParameter, "stages")
    refused(lambda: ChainSpace("s", ["a"], [[0]] * 10**6), InvalidParameter, "1,000,000 choices are too many")
    refused(
        lambda: CellSpace("s", ["a"], max_nodes=7, topology=[[0, 1]] * 10**6),
        InvalidParameter,
        "topology are too many",
    )


def test_the_largest_spaces_are_cheap_to_describe():
    assert from_config(OperationSpace(max_nodes=10_000).config()).max_nodes == 10_000
    chain = ChainSpace("long", ["a", "b"], [[0, 1]] * 9_998)
    assert len(chain.topology) == 9_999
    refused(chain.enumerate, InvalidParameter, r"about 10\^3009 writings")
    many = CellSpace("many", [f"o{k}" for k in range(250)], op_on="edge", max_nodes=3, edges_per_pair=250)
    refused(many.enumerate, InvalidParameter, "writings")


DESCRIPTIONS = {
    "no dict": None,
    "a list": ["cell", {}],
    "empty": {},
    "no parameters": {"name": "cell"},
    "more than that": {"name": "nasbench101", "parameters": {}, "other": 1},
    "parameters in a list": {"name": "nasbench101", "parameters": []},
    "a parameter without a name": {"name": "nasbench101", "parameters": {5: 1}},
    "an unknown parameter": {"name": "nasbench101", "parameters": {"max_nodes": 7}},
    "a nearly known one": {"name": "operations", "parameters": {"max_node": 7}},
    "a missing parameter": {"name": "cell", "parameters": {"name": "mine", "operations": ["a"]}},
    "none of the parameters": {"name": "genotype", "parameters": {}},
}


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_descriptions_of_no_space(kind):
    refused(lambda: from_config(DESCRIPTIONS[kind]), InvalidParameter)


@pytest.mark.parametrize("name", ["nasbench", "../x", "", 5, None, ["cell"], "x" * 10**6])
def test_descriptions_of_unknown_spaces(name):
    refused(lambda: from_config({"name": name, "parameters": {}}), UnknownName)
    refused(lambda: archenc.create_space(name), UnknownName)


def test_spaces_by_name_need_their_parameters():
    refused(lambda: archenc.create_space("cell"), InvalidParameter, "needs the parameter 'name'")
    refused(lambda: archenc.create_space("nasbench201", nodes=4), InvalidParameter, "no parameter 'nodes'")


def test_a_text_is_no_list_of_operations():
    refused(
        lambda: CellSpace("mine", "conv", max_nodes=3), InvalidParameter, "operations is 'conv'; give a list"
    )
    refused(
        lambda: GenotypeSpace("mine", "conv", nodes=3), InvalidParameter, "operations is 'conv'; give a list"
    )
    refused(
        lambda: OperationSpace(operations="linear"), InvalidParameter, "operations is 'linear'; give a list"
    )


def test_any_text_may_be_the_name_of_a_space():
    space = CellSpace("../\x1b[31m/\n", ["a"], max_nodes=3)
    refused(lambda: space.parse(5), InvalidArchitecture)
    refused(lambda: space.hash(SPACES["darts"].sample(1)), InvalidArchitecture, r"x1b\[31m")
    refused(
        lambda: space.parse({"adjacency": [[0, 1], [0, 0]], "ops": ["a\x1b", "output"]}), InvalidArchitecture
    )
    assert "\x1b" not in str(InvalidParameter("\x1b; \n"))
    for name in ("", "x" * 101, "\ud800", b"x", 5):
        refused(lambda name=name: CellSpace(name, ["a"], max_nodes=3), InvalidParameter, "name of text")


def test_values_are_shown_shortly():
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert all(
        0 < len(shown(value)) <= 60
        for value in (10**5_000, "x" * 10**6, deep, [10**400] * 9, b"\x00" * 99, len)
    )


# -- graphs, counts and seeds --------------------------------------------------------------------------------

TAKE_GRAPHS = ("hash", "format", "validate", "simplify", "mutate", "costs", "node_form")


@each_space
@pytest.mark.parametrize("method", TAKE_GRAPHS)
def test_only_graphs_of_the_space_are_taken(name, method):
    space = SPACES[name]
    other = SPACES["darts" if name != "darts" else "nasbench201"].sample(2)
    for given in (None, [], "x", ["x"], 5, np.zeros((1, 3, 3)), torch.zeros(1), space, {"ops": []}):
        refused(
            lambda given=given: getattr(space, method)(given),
            InvalidArchitecture,
            "no batch of architectures",
        )
    refused(lambda: getattr(space, method)(other), InvalidArchitecture, "belong to the space")


def test_a_space_of_somebody_else_need_not_look_at_what_it_is_given():
    class Mine(CellSpace):
        def hash(self, graphs):
            return super().hash(graphs)[:, :8]

        def costs(self, graphs, *, classes=10):
            return {"parameters": np.full(len(graphs), classes)}

    mine = Mine("mine", ["a"], max_nodes=3)
    graphs = mine.sample(2)
    assert mine.hash(graphs=graphs).shape == (2, 8)
    assert mine.costs(graphs, classes=3)["parameters"].tolist() == [3, 3]
    refused(lambda: mine.hash(None), InvalidArchitecture)
    refused(lambda: mine.costs([1, 2]), InvalidArchitecture)
    assert Space.hash(mine, graphs).shape == (2, 16)


@each_space
def test_counts_and_seeds_that_are_none(name):
    space = SPACES[name]
    for count in (-1, 2.0, 2.5, "3", None, True, math.nan, [2], 10**12, 10**5_000):
        refused(lambda count=count: space.sample(count), InvalidParameter, "cannot be drawn|too many")
    graphs = space.sample(np.int64(2), np.int64(3))
    for seed in (-1, 0.0, "3", None, True, [1], np.random.RandomState(0), torch.Generator()):
        refused(lambda seed=seed: space.sample(2, seed), InvalidParameter, "the seed is")
        refused(lambda seed=seed: space.mutate(graphs, seed), InvalidParameter, "the seed is")
    assert len(space.sample(2, np.random.default_rng(0))) == 2


def test_arrays_of_numbers_that_are_none():
    for table in (
        None,
        [[0], [0, 1]],
        [["a"] * 40],
        np.zeros((1, 40)) + 0.5,
        torch.ones(1, 40, requires_grad=True) / 2,
        5,
    ):
        refused(lambda table=table: SPACES["nsga-net-micro"].from_genomes(table), InvalidArchitecture)
        refused(lambda table=table: SPACES["darts"].from_genotypes(table), InvalidArchitecture)
        refused(lambda table=table: SPACES["genetic-cnn"].from_bits(table), InvalidArchitecture)
        refused(lambda table=table: SPACES["nasbench201"].from_ops(table), InvalidArchitecture)
        refused(lambda table=table: SPACES["nasbench201"].from_naslib(table), InvalidArchitecture)
        refused(lambda table=table: SPACES["nasbench-graph"].from_hashes(table), InvalidArchitecture)
        refused(lambda table=table: SPACES["nasbench101"].from_bits(table, table, table), InvalidArchitecture)
        refused(
            lambda table=table: SPACES["nasbench101"].from_arrays(table, table, table), InvalidArchitecture
        )
