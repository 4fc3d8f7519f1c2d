"""Mutants of good architectures and good descriptions of spaces: read and written back as the same, or
refused in one sentence.
"""

from __future__ import annotations

import functools
import json
from collections import Counter

import numpy as np
import pytest

from archenc.errors import ArchencError
from archenc.registry import SPACES as REGISTRY
from archenc.spaces import OperationSpace, from_config
from archenc.spaces.cell import CellSpace
from archenc.spaces.chain import ChainSpace
from archenc.spaces.genetic_cnn import StageSpace
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.nasbench201 import NASBench201
from archenc.testing import registered_spaces
from tests.bad_input import assert_one_sentence
from tests.mutants import mutate_bytes, mutate_json, mutate_text
from tests.spaces.examples import SPACES as EXAMPLES

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
    "stages": StageSpace("stages", (1, 3), skip_bits=True),
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
    if isinstance(space, StageSpace):
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
