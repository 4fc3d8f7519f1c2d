"""Crossover and mutation: the worked examples, and what the children may be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archenc.errors import InvalidParameter
from archenc.search.operators import crossover, mutate
from archenc.spaces.chain import ProxylessNAS
from archenc.spaces.genetic_cnn import GeneticCNN
from archenc.spaces.nsga_net import NSGANetMicro
from tests.bad_input import assert_one_sentence


def bits(text):
    return [int(bit) for bit in text if bit in "01"]


FIRST, SECOND = bits("101 001100 0111010001"), bits("110 001001 0100000101")
STAGES = GeneticCNN().stage_lengths

NORMAL = [0, 2, 0, 0, 0, 7, 0, 2, 0, 3, 1, 3, 1, 7, 3, 3, 1, 2, 3, 4]
REDUCTION = [0, 2, 1, 6, 0, 1, 1, 3, 1, 7, 1, 6, 3, 0, 1, 1, 3, 0, 1, 7]
ONE, OTHER = NORMAL + REDUCTION, REDUCTION + NORMAL
CELLS = {"stages": (20, 20), "gene": 2}

WORKED = [  # parents, kind, the first child; the second one has all that the first has not
    (FIRST, SECOND, "genes", {"stages": STAGES}, bits("111 001000 0101010001")),
    (FIRST, SECOND, "stages", {"stages": STAGES}, bits("110 001100 0100000101")),
    (FIRST, SECOND, "one stage", {"stages": STAGES}, bits("101 001001 0111010001")),
    (ONE, OTHER, "stages", CELLS, REDUCTION + REDUCTION),
    (ONE, OTHER, "one stage", CELLS, REDUCTION + REDUCTION),
    (
        ONE,
        OTHER,
        "genes of one stage",
        CELLS,
        [*NORMAL, 0, 2, 1, 6, 0, 7, 1, 3, 0, 3, 1, 6, 3, 0, 3, 3, 3, 0, 1, 7],
    ),
]
GENES_OF_BOTH_CELLS = [
    0,
    2,
    0,
    0,
    0,
    1,
    1,
    3,
    0,
    3,
    1,
    3,
    3,
    0,
    3,
    3,
    1,
    2,
    3,
    4,
    0,
    2,
    0,
    0,
    0,
    1,
    0,
    2,
    1,
    7,
    1,
    6,
    3,
    0,
    1,
    1,
    1,
    2,
    1,
    7,
]


def children(first, second, kind, layout, couples=20_000):
    parents = np.tile(first, (couples, 1)), np.tile(second, (couples, 1))
    return crossover(*parents, kind, **layout, seed=0)


@pytest.mark.parametrize(("first", "second", "kind", "layout", "child"), WORKED)
def test_worked_examples_are_drawn(first, second, kind, layout, child):
    ones, others = children(first, second, kind, layout)
    at = np.flatnonzero((ones == child).all(1))
    assert at.size, "the worked child is never drawn"
    assert (others[at] == np.where(np.array(child) == first, second, first)).all()


def test_genes_of_both_cells_are_exchanged_in_the_worked_example():
    layout = {
        "stages": (40,),
        "gene": 2,
    }  # 2^14 ways to exchange the 14 pairs that differ: given the right ones, the worked children
    pairs = np.array(GENES_OF_BOTH_CELLS).reshape(-1, 2)
    from_other = (pairs == np.array(OTHER).reshape(-1, 2)).all(1) & (
        pairs != np.array(ONE).reshape(-1, 2)
    ).any(1)
    assert from_other.nonzero()[0].tolist() == [2, 3, 6, 11, 13, 18]
    ones, _ = children(ONE, OTHER, "genes", layout, couples=200_000)
    assert (ones == GENES_OF_BOTH_CELLS).all(1).any()


def stage_bounds(stages):
    ends = np.cumsum(stages)
    return list(zip([0, *ends[:-1]], ends, strict=True))


@given(seed=st.integers(0, 2**32 - 1))
def test_each_kind_exchanges_what_it_says(seed):
    couples, stages = 30, (4, 6, 2)
    first, second = np.zeros((couples, 12), dtype=int), np.ones((couples, 12), dtype=int)
    for kind in ("genes", "stages", "one stage", "genes of one stage"):
        one, other = crossover(first, second, kind, stages=stages, gene=2, seed=seed)
        assert (one + other == 1).all(), "what one child gets, the other gives"
        assert (one[:, ::2] == one[:, 1::2]).all(), "a gene stays whole"
        parts = np.stack([one[:, a:b].mean(1) for a, b in stage_bounds(stages)], axis=1)
        if kind in ("stages", "one stage"):
            assert np.isin(parts, (0, 1)).all()
        if kind == "one stage":
            assert (parts.sum(1) == 1).all()
        if kind == "genes of one stage":
            assert ((parts > 0).sum(1) <= 1).all()


def test_the_probability_is_that_of_an_exchange():
    first, second = np.zeros((2_000, 12), dtype=int), np.ones((2_000, 12), dtype=int)
    for kind in ("genes", "stages"):
        for probability in (0.0, 0.2, 1.0):
            one, _ = crossover(first, second, kind, stages=(4, 6, 2), probability=probability, seed=0)
            assert abs(one.mean() - probability) < 0.02


@given(seed=st.integers(0, 2**32 - 1))
def test_children_and_mutants_of_valid_pairs_are_valid(seed):
    space = NSGANetMicro()
    first, second = (space.to_genomes(space.sample(20, seed + k)) for k in range(2))
    for kind in ("genes", "stages", "one stage", "genes of one stage"):
        for offspring in crossover(first, second, kind, stages=space.stage_lengths, gene=2, seed=seed):
            space.validate(space.from_genomes(offspring))
    space.validate(space.from_genomes(mutate(first, space.genome_choices, probability=0.3, seed=seed)))


def test_mutation_of_bits_and_of_choices():
    example = np.array([bits("1010011000111010001")])
    worked = bits("1110110000101011001")  # five bits turned
    assert np.flatnonzero(example[0] != worked).tolist() == [1, 4, 6, 11, 15]
    drawn = mutate(np.tile(example, (200_000, 1)), 2, probability=5 / 19, seed=0)
    assert (drawn == worked).all(1).any()
    assert abs((drawn != example).mean() - 5 / 19) < 1e-3
    assert (mutate(example, 2, probability=0, seed=0) == example).all()
    assert (mutate(example, 2, probability=1, seed=0) == 1 - example).all()

    space = ProxylessNAS()
    parents = space.to_ops(space.sample(300, 0))
    choices = [len(layer) for layer in space.choices]
    changed = mutate(parents, choices, probability=1, seed=0)
    assert (changed != parents).all()
    space.from_ops(changed)
    assert {tuple(np.unique(changed[:, layer])) for layer in (0, 1)} == {tuple(range(6)), tuple(range(7))}, (
        "any other choice"
    )


def test_what_does_not_fit_is_refused():
    genomes = np.zeros((3, 6), dtype=int)
    cases = [
        ("choose one of genes", lambda: crossover(genomes, genomes, "points", stages=(6,))),
        ("do not fit", lambda: crossover(genomes, genomes[:2], "genes", stages=(6,))),
        ("do not fit", lambda: crossover(genomes, genomes, "genes", stages=(5,))),
        ("do not fit", lambda: crossover(genomes, genomes, "genes", stages=(3, 3), gene=2)),
        ("do not fit", lambda: mutate(genomes, [2, 2], probability=0.5)),
        ("do not fit", lambda: mutate(genomes, 2, probability=1.5)),
        ("do not fit", lambda: mutate(genomes, 0, probability=0.5)),
    ]
    for message, call in cases:
        with pytest.raises(InvalidParameter, match=message) as caught:
            call()
        assert_one_sentence(caught.value)
