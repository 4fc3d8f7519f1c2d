"""What is no architecture: each kind is a typed error of one sentence that names the place and the remedy;
mutants of good ones are read and written back as the same, or refused so.
"""

from __future__ import annotations

import functools
import json
from collections import Counter

import numpy as np
import pytest

from archenc.errors import ArchencError, InvalidArchitecture
from archenc.registry import SPACES as REGISTRY
from archenc.spaces import OperationSpace, from_config
from archenc.spaces.cell import CellSpace
from archenc.spaces.chain import ChainSpace
from archenc.spaces.genetic_cnn import WiredStageSpace
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.nasbench201 import NASBench201
from archenc.testing import registered_spaces
from tests.bad_input import assert_one_sentence
from tests.mutants import mutate_bytes, mutate_json, mutate_text
from tests.shared import SPACES as EXAMPLES

CONV, POOL = "conv3x3-bn-relu", "maxpool3x3"
LINE = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
OPS = ["input", CONV, "output"]
GOOD101 = {"adjacency": LINE, "ops": OPS}
GOOD201 = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
GOOD_EDGES = {"nodes": 3, "edges": [[0, 1, "a"], [1, 2, "id"]]}
GOOD_GRAPH = {"link": [0, 0, 1, 2], "ops": ["gcn", "gat", "gin", "skip"]}


def node(**changes):
    return {**GOOD101, **changes}


def edges(*triples, **more):
    return {"nodes": 3, "edges": list(triples), **more}


NINE = np.triu(np.ones((7, 7), int), 1)
MALFORMED = {
    # operations on nodes: NAS-Bench-101
    "not a dict": ("nasbench101", 5, "int"),
    "a list of numbers": ("nasbench101", [1, 2], "int"),
    "not JSON": ("nasbench101", "{adjacency", "JSON"),
    "JSON of something else": ("nasbench101", "[1, 2]", "list"),
    "JSON nested without end": ("nasbench101", "[" * 100_000, "JSON"),
    "no adjacency": ("nasbench101", {"ops": OPS}, "'adjacency' is missing"),
    "no operations": ("nasbench101", {"adjacency": LINE}, "'ops' is missing"),
    "operations as text": ("nasbench101", node(ops="input"), "one operation name a node"),
    "operations as numbers": ("nasbench101", node(ops=[0, 1, 2]), "one operation name a node"),
    "unknown operation": (
        "nasbench101",
        node(ops=["input", "conv5x5", "output"]),
        "node 1: unknown operation 'conv5x5'",
    ),
    "two inputs": ("nasbench101", node(ops=["input", "input", "output"]), "2 input"),
    "no output": ("nasbench101", node(ops=["input", CONV, CONV]), "0 output"),
    "more operations than nodes": ("nasbench101", node(ops=["input", CONV, CONV, "output"]), "4 x 4"),
    "adjacency not square": ("nasbench101", node(adjacency=[[0, 1, 0], [0, 0, 1]]), "3 x 3"),
    "ragged adjacency": ("nasbench101", node(adjacency=[[0, 1, 0], [0, 0, 1], [0]]), "differ in length"),
    "adjacency with a 2": ("nasbench101", node(adjacency=[[0, 2, 0], [0, 0, 1], [0, 0, 0]]), "0 and 1"),
    "adjacency of text": (
        "nasbench101",
        node(adjacency=[["0", "1", "0"], ["0", "0", "1"], ["0", "0", "0"]]),
        "0 and 1",
    ),
    "adjacency with NaN": ("nasbench101", node(adjacency=np.where(np.array(LINE), np.nan, 0)), "0 and 1"),
    "adjacency is None": ("nasbench101", node(adjacency=None), "missing"),
    "adjacency of half edges": ("nasbench101", node(adjacency=np.array(LINE) * 0.5), "0 and 1"),
    "a cycle": (
        "nasbench101",
        {
            "adjacency": [[0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]],
            "ops": ["input", CONV, POOL, "output"],
        },
        r"cycle among the nodes \[1, 2, 3\]",
    ),
    "a self-loop": ("nasbench101", node(adjacency=[[0, 1, 0], [0, 1, 1], [0, 0, 0]]), "cycle"),
    "no path": ("nasbench101", node(adjacency=[[0, 1, 0], [0, 0, 0], [0, 0, 0]]), "no path"),
    "no edges": ("nasbench101", node(adjacency=np.zeros((3, 3))), "no path"),
    "too many edges": (
        "nasbench101",
        {"adjacency": NINE, "ops": ["input", *[CONV] * 5, "output"]},
        "more than 9 edges",
    ),
    "too many nodes": (
        "nasbench101",
        {"adjacency": np.eye(8, k=1, dtype=int), "ops": ["input", *[CONV] * 6, "output"]},
        "8 nodes",
    ),
    "nothing at all": ("nasbench101", {"adjacency": [], "ops": []}, "shape"),
    # a string: NAS-Bench-201
    "string cut short": ("nasbench201", GOOD201[:-2], "no NAS-Bench-201 string"),
    "string with a node too many": (
        "nasbench201",
        GOOD201 + "+|none~0|none~1|none~2|none~3|",
        "no NAS-Bench-201 string",
    ),
    "string with wrong sources": (
        "nasbench201",
        GOOD201.replace("none~2", "none~1"),
        "no NAS-Bench-201 string",
    ),
    "string with an unknown operation": (
        "nasbench201",
        GOOD201.replace("none~2", "conv~2"),
        "place 5: unknown operation 'conv'",
    ),
    "empty string": ("nasbench201", "", "no NAS-Bench-201 string"),
    "bytes": ("nasbench201", GOOD201.encode(), "bytes"),
    "five operations": ("nasbench201", ["none"] * 5, "5 operations"),
    "operation number 5": ("nasbench201", [0, 0, 0, 0, 0, 5], "place 5: 5 is no operation"),
    "negative operation number": ("nasbench201", [0, -1, 0, 0, 0, 0], "place 1: -1"),
    "operation number 2.5": ("nasbench201", [[0, 0, 0, 0, 0, 2.5]], "2.5"),
    "nested with a wrong source": (
        "nasbench201",
        ((("none", 0),), (("none", 0), ("none", 0)), (("none", 0), ("none", 1), ("none", 2))),
        "node 2: its sources",
    ),
    "nested of two nodes": ("nasbench201", ((("none", 0),), (("none", 0), ("none", 1))), "3 operations"),
    "None": ("nasbench201", None, "NoneType"),
    "a list of None": ("nasbench201", [None], "NoneType"),
    # operations on edges
    "no edge list": ("edges", {"nodes": 3}, "'edges' is missing"),
    "edges as a dict": ("edges", {"edges": {"0": 1}}, "'edges' is missing or no list"),
    "edge of two numbers": ("edges", edges([0, 1]), r"edge 0: \[0, 1\] is no edge"),
    "edge to a node that is not there": ("edges", edges([0, 1, "a"], [1, 3, "a"]), "edge 1: 3 is no node"),
    "edge from a named node": ("edges", edges(["x", 1, "a"]), "'x' is no node"),
    "edge with an unknown operation": ("edges", edges([0, 2, "conv"]), "edge 0: unknown operation 'conv'"),
    "edge with operation 7": ("edges", edges([0, 2, 7]), "edge 0: 7 is no operation"),
    "two edges between two nodes": ("edges", edges([0, 2, "a"], [0, 2, "id"]), "edge 1: more edges 0 -> 2"),
    "edges in a circle": ("edges", edges([0, 1, "a"], [1, 1, "a"], [1, 2, "a"]), "cycle"),
    "nodes out of range": ("edges", edges([0, 2, "a"], nodes=9), "9 nodes"),
    "nodes no number": ("edges", edges([0, 2, "a"], nodes="3"), "'3' nodes"),
    "edges that do not arrive": ("edges", edges([0, 1, "a"]), "no path"),
    # fixed topologies and several cells
    "one cell of two": ("diamond", {"adjacency": [[0]], "ops": ["input"]}, "has 2 cells"),
    "three cells of two": ("diamond", [[["a", "a"]] * 3], "has 2 cells"),
    "cell with an operation missing": (
        "diamond",
        [["a", "b"], ["a"]],
        "cell 1: 1 operations for a cell of 2",
    ),
    "edges other than the topology's": (
        "chain",
        {
            "adjacency": np.eye(5, k=1, dtype=int) + np.eye(5, k=4, dtype=int),
            "ops": ["input", "id", "k3", "k5", "output"],
        },
        "fixed topology",
    ),
    "fewer nodes than the topology": (
        "chain",
        {"adjacency": LINE, "ops": ["input", "id", "output"]},
        "3 nodes",
    ),
    # TransNAS-Bench-101 micro
    "string with operation 4": (
        "transnas101-micro",
        "64-41414-3_02_114",
        "no TransNAS-Bench-101 micro string",
    ),
    "string of another macro structure": (
        "transnas101-micro",
        "64-12414-3_02_113",
        "no TransNAS-Bench-101 micro string",
    ),
    "string with five digits": (
        "transnas101-micro",
        "64-41414-3_02_11",
        "no TransNAS-Bench-101 micro string",
    ),
    "a pooling": (
        "transnas101-micro",
        ["none"] * 5 + ["avg_pool_3x3"],
        "place 5: unknown operation 'avg_pool_3x3'",
    ),
    "bytes of a string": ("transnas101-micro", b"64-41414-3_02_113", "bytes"),
    # NAS-Bench-Graph
    "hash with a nine": ("nasbench-graph", 77916, "77916 is no hash"),
    "hash of six digits": ("nasbench-graph", "177016", "177016 is no hash"),
    "negative hash": ("nasbench-graph", -1, "-1 is no hash"),
    "hash that is no number": ("nasbench-graph", "seven", "JSON"),
    "hash with a point": ("nasbench-graph", 77016.0, "cannot read a float"),
    "no links": ("nasbench-graph", {"ops": GOOD_GRAPH["ops"]}, "'link' and 'ops'"),
    "three links": ("nasbench-graph", {**GOOD_GRAPH, "link": [0, 0, 1]}, "'link' is"),
    "links in a circle": ("nasbench-graph", {**GOOD_GRAPH, "link": [2, 1, 0, 0]}, "cycle"),
    "a link to node 5": ("nasbench-graph", {**GOOD_GRAPH, "link": [0, 0, 1, 5]}, "'link' is"),
    "an unknown layer": (
        "nasbench-graph",
        {**GOOD_GRAPH, "ops": ["gcn", "gat", "gin", "mlp"]},
        "node 4: unknown operation 'mlp'",
    ),
}
GOOD = {
    "transnas101-micro": "64-41414-3_02_113",
    "nasbench101": GOOD101,
    "nasbench201": GOOD201,
    "edges": GOOD_EDGES,
    "nasbench-graph": GOOD_GRAPH,
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed(kind):
    name, architecture, message = MALFORMED[kind]
    with pytest.raises(InvalidArchitecture, match=message) as caught:
        EXAMPLES[name].parse(architecture)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("name", GOOD)
def test_what_the_malformed_ones_were_made_from_is_good(name):
    assert len(EXAMPLES[name].parse(GOOD[name])) == 1


@pytest.mark.parametrize("kind", [kind for kind, (name, _, _) in MALFORMED.items() if name in GOOD])
def test_the_position_is_named(kind):
    """In a batch of three, the third is wrong."""
    name, architecture, _ = MALFORMED[kind]
    if isinstance(architecture, list) and name not in ("nasbench201", "transnas101-micro"):
        architecture = architecture[0]
    with pytest.raises(InvalidArchitecture, match="architecture 2") as caught:
        EXAMPLES[name].parse([GOOD[name], GOOD[name], architecture])
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("hashes", [[0.5], [-1], [100_000], [9], [[1, 2]], ["5"]])
def test_hashes_that_are_none(hashes):
    with pytest.raises(InvalidArchitecture) as caught:
        EXAMPLES["nasbench-graph"].from_hashes(hashes)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    "tuples",
    [
        [(0, 1, 2)],
        [(0, 1, 2, 3, 4, 5)],
        [(0, 0, 0, 0, 0, -1)],
        [("none",) * 6],
        [0, 1, 2, 3, 4, 0],
        [(0,) * 6, (0,)],
    ],
)
def test_naslib_tuples_that_are_none(tuples):
    with pytest.raises(InvalidArchitecture) as caught:
        EXAMPLES["nasbench201"].from_naslib(tuples)
    assert_one_sentence(caught.value)


# -- mutants of good architectures and good descriptions of spaces -------------------------------------------

SPACES = {
    **registered_spaces(),
    "operations": OperationSpace(max_nodes=24),
    **{
        name: EXAMPLES[name]
        for name in (
            "chain",
            "diamond",
            "nodes",
            "two inputs",
            "edges",
            "parallel",
            "fixed parallel",
            "genotype",
        )
    },
    "layers": ChainSpace("layers", ["a", "it's", "c\n"], [[0, 1], [2, 1], [0]], identity="a"),
    "quoted": GenotypeSpace("../x\x1b", ["it's", '"\\', "a\nb", "ü"], nodes=2, skip_op=None),
    "bracketed": CellSpace(
        "bracketed", ["{a", "[b", "|c"], max_nodes=4, topology=[(0, 1), (1, 2), (2, 3)], cells=2
    ),
    "stages": WiredStageSpace("stages", (1, 3), skip_bits=True),
}


def values_of(space, graphs):
    """Good input other than text, as JSON could hold it: dicts, lists of operations, bits, pairs and
    numbers.
    """
    texts = space.format(graphs)
    found = []
    for read in (json.loads, eval_genotype):
        try:
            found += [read(text) for text in texts]
        except (ValueError, TypeError):
            continue
    if space.topology is not None:
        found += space.to_ops(graphs).tolist()
    if isinstance(space, WiredStageSpace):
        found += space.to_bits(graphs).tolist()
    if isinstance(space, NASBench201):
        found += json.loads(json.dumps(space.to_tuples(graphs)))
    if hasattr(space, "to_genotypes"):
        found += space.to_genotypes(graphs).tolist()
    return found


def eval_genotype(text):
    """The dict of a genotype's text."""
    return (
        eval(text, {"Genotype": dict, "range": lambda *ends: list(range(*ends))})
        if text.startswith("Genotype")
        else json.loads("")
    )


def as_array(value):
    try:
        return np.array(value)
    except ValueError:
        return np.array(value, dtype=object)


def mutants(space, count):
    """``count`` mutants of each kind of good input, and both alone and beside a good architecture."""
    rng = np.random.default_rng(len(space.name))
    graphs = space.sample(4, seed=1)
    texts = space.format(graphs)
    values = values_of(space, graphs)
    for number in range(count):
        text = texts[number % len(texts)]
        value = values[number % len(values)] if values else [text]
        mutant = (
            mutate_text(text, rng),
            mutate_bytes(text.encode(), rng),
            mutate_json(value, rng),
            as_array(mutate_json(value, rng)),
            mutate_json([text, value], rng),
        )[number % 5]
        yield mutant if number % 2 else [text, mutant]


def outcome(space, mutant):
    """What became of it; anything but a typed error or a round trip fails."""
    try:
        graphs = space.parse(mutant)
    except ArchencError as error:
        assert_one_sentence(error)
        return "refused"
    again = space.parse(space.format(graphs))
    assert (space.hash(again) == space.hash(graphs)).all(), "what was written is another architecture"
    return "read"


def fuzz(space, count, monkeypatch):
    drawn = list(mutants(space, count))

    def searched(*args, **kwargs):
        pytest.fail("reading drew or enumerated architectures")

    for method in ("sample", "enumerate", "mutate"):
        monkeypatch.setattr(type(space), method, searched)
    return Counter(outcome(space, mutant) for mutant in drawn)


@pytest.mark.parametrize("name", SPACES)
def test_mutants_of_architectures(name, monkeypatch):
    assert fuzz(SPACES[name], 20, monkeypatch)["refused"] > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_many_mutants_of_architectures(name, monkeypatch):
    found = fuzz(SPACES[name], 300, monkeypatch)
    assert found["refused"] > 100
    assert found["read"] > 3, "the mutants are all too far from what is right"


def fuzz_description(space, count, monkeypatch):
    monkeypatch.setattr(
        REGISTRY, "_entry_points", functools.cache(REGISTRY._entry_points)
    )  # which are read from disk each time
    rng = np.random.default_rng(len(space.name))
    for _ in range(count):
        mutant = mutate_json(space.config(), rng)
        try:
            built = from_config(mutant)
        except ArchencError as error:
            assert_one_sentence(error)
        else:
            assert from_config(json.loads(json.dumps(built.config()))) == built


@pytest.mark.parametrize("name", SPACES)
def test_mutants_of_descriptions(name, monkeypatch):
    fuzz_description(SPACES[name], 20, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_many_mutants_of_descriptions(name, monkeypatch):
    fuzz_description(SPACES[name], 300, monkeypatch)
