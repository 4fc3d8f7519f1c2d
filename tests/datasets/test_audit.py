from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.dataset.splits import Split, everything, halves
from archenc.datasets.audit import audit, find_split, nearest_labels, noise, share_text, unlabelled
from archenc.errors import ArchencError, InvalidParameter, InvalidTable, UnknownName
from archenc.graphs.hashing import wl_hash
from tests.bad_input import assert_one_sentence
from tests.datasets.test_fetch_mirror import run


def cell(*edges: str) -> str:
    """A NAS-Bench-201 cell from its six operations' first letters: n(one), s(kip), c(onv 3x3), p(ool)."""
    names = {"n": "none", "s": "skip_connect", "c": "nor_conv_3x3", "p": "avg_pool_3x3"}
    a, b, c, d, e, f = (names[letter] for letter in edges[0])
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


# edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3
POOL = ["cnnncn", "nnncnn", "pnnnpn", "cccccc"]
TEST = ["ncnnnc", "nnnpnn", "cnpncn", "csnnss"]
"""The first test cell is the first pool cell with nodes 1 and 2 exchanged, the second has only the wiring of
the second, the third is the first pool cell and one dead edge, which changes its wiring; the fourth has a
wiring of its own.
"""


@pytest.fixture
def small() -> ArchDataset:
    graphs = archenc.create_space("nasbench201").parse([cell(text) for text in POOL + TEST])
    y = np.array([90.0, 80.0, 50.0, 95.0, 90.0, 60.0, 90.5, 70.0])
    labels = {"toy/accuracy": y, "toy/parameters": np.array([2.0, 1, 0, 6, 2, 0, 2, 1])}
    return ArchDataset(
        "small", graphs, labels, "toy/accuracy", splits={"own": Split("own", np.arange(4), np.arange(4, 8))}
    )


def test_a_small_split_by_hand(small: ArchDataset) -> None:
    found = audit(small, small.splits["own"])
    assert (found.pool, found.test, found.repeated) == (4, 4, 0)
    assert found.twins == 1
    assert found.simplified_twins == 2
    assert (found.wirings.pool, found.wirings.test, found.wirings.shared, found.wirings.known) == (3, 4, 2, 2)
    assert found.shift["label, median"] == (85.0, 80.0)
    assert found.shift["edges"] == ((2 + 1 + 2 + 6) / 4, (2 + 1 + 3 + 4) / 4)
    assert found.shift["input-output edge, % of cells"] == (50.0, 25.0)
    assert found.shift["nor_conv_3x3"] == ((2 + 1 + 0 + 6) / 4, (2 + 0 + 2 + 1) / 4)
    # scores 2, 0, 2, 1 for labels 90, 60, 90.5, 70: five pairs in order and one tie
    assert found.baselines["parameter count"] == pytest.approx(5 / np.sqrt(6 * 5))
    assert found.noise is None
    assert found.label_tau is None
    assert "50.0 % of the test set have a wiring of the pool" in found.verdict
    for part in ("small, split own", "parameter count", "verdict: "):
        assert part in found.text()


def test_scoring_the_training_architectures_is_seen(small: ArchDataset) -> None:
    labelled = replace(small, labels={**small.labels, "toy/test_accuracy": -small.y})
    found = audit(labelled, everything(8), test_label="toy/test_accuracy")
    assert (found.repeated, found.twins) == (8, 8)
    assert found.label_tau == pytest.approx(-1)
    assert found.baselines["nearest neighbour, one-hot adjacency"] == pytest.approx(-1), (
        "each cell is its own neighbour"
    )
    assert "100.0 % of the test set can be trained on" in found.verdict
    assert "tau -1.000 with the one that is scored" in found.text()


def test_wirings_are_isomorphism_classes_of_the_bare_graphs() -> None:
    graphs = archenc.create_space("nasbench101").sample(80, seed=3)
    digests = [row.tobytes() for row in wl_hash(unlabelled(graphs))]
    bare = [nx.DiGraph([(int(i), int(j)) for i, j in adjacency.nonzero()]) for adjacency in graphs.adjacency]
    for one in range(80):
        for other in range(one):
            assert (digests[one] == digests[other]) == nx.is_isomorphic(bare[one], bare[other])


def test_nearest_labels_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    points, queries, y = rng.integers(0, 2, (30, 6)), rng.integers(0, 2, (2000, 6)), rng.normal(size=30)
    expected = []
    for query in queries:
        distances = [sum(a != b for a, b in zip(point, query, strict=True)) for point in points]
        expected.append(
            np.mean(
                [label for label, distance in zip(y, distances, strict=True) if distance == min(distances)]
            )
        )
    np.testing.assert_allclose(nearest_labels(points, y, queries), expected)


def test_noise_of_repeats_by_hand(small: ArchDataset) -> None:
    repeats = np.array([[1.0, 2, 3, 4], [1, 2, 4, 3], [2, 1, 3, 4]])
    labels = {
        f"toy/accuracy@9/repeat{k}": np.append(np.full(4, np.nan), row) for k, row in enumerate(repeats)
    }
    dataset = replace(
        small, labels={**small.labels, **labels, "toy/accuracy@9/mean": small.y}, label="toy/accuracy@9/mean"
    )
    found = noise(dataset, np.arange(8))
    assert found is not None
    assert found.architectures == 4
    pairs = [
        kendall(a, b)
        for a, b in ((repeats[0], repeats[1]), (repeats[0], repeats[2]), (repeats[1], repeats[2]))
    ]
    assert found.pairwise == pytest.approx(np.mean(pairs))
    rest = [kendall(repeats[a], repeats[[b, c]].mean(0)) for a, b, c in list(permutations(range(3)))[::2]]
    assert found.against_rest == pytest.approx(np.mean(rest))
    assert noise(dataset, np.arange(4)) is None


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Tau-b by counting pairs."""
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(len(x)) for j in range(i)]
    untied = [sum(s[side] != 0 for s in signs) for side in (0, 1)]
    return float(sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1]))


def test_shares_round_neither_to_none_nor_to_all() -> None:
    assert [share_text(part, 9999) for part in (0, 1, 5000, 9998, 9999)] == [
        "0.0 %",
        "0.1 %",
        "50.0 %",
        "99.9 %",
        "100.0 %",
    ]


def test_splits_by_name(small: ArchDataset) -> None:
    parts = replace(small, subsets={"six": np.arange(6)})
    assert find_split(parts, "own") is small.splits["own"]
    assert find_split(parts, "halves-3").digest == halves(8, seed=3).digest
    six = find_split(parts, "halves-3", "six")
    assert (six.name, six.digest) == ("six/halves-3", halves(6, seed=3).digest)
    wrong: list[tuple[type[ArchencError], str, str | None]] = [
        (UnknownName, "owm", None),
        (UnknownName, "halves--1", None),
        (UnknownName, "halves-0", "seven"),
        (InvalidParameter, "own", "six"),
    ]
    for error, name, subset in wrong:
        with pytest.raises(error) as caught:
            find_split(parts, name, subset)
        assert_one_sentence(caught.value)


def test_a_split_without_labels_is_refused(small: ArchDataset) -> None:
    small.labels["toy/accuracy"][5] = np.nan
    for split in (small.splits["own"], Split("none", np.arange(0), np.arange(2))):
        with pytest.raises(InvalidTable) as caught:
            audit(small, split)
        assert_one_sentence(caught.value)


def test_the_published_halves_of_nasbench101_share_no_wiring(data_root: Path) -> None:
    dataset = archenc.load_dataset("nasbench101")
    found = audit(dataset, dataset.splits["ta7290"])
    assert (found.wirings.pool, found.wirings.test, found.wirings.shared, found.wirings.known) == (
        30,
        30,
        0,
        0,
    )
    assert (found.twins, found.simplified_twins) == (0, 0)
    assert found.shift["input-output edge, % of cells"] == pytest.approx((40.0, 0.0))
    assert found.shift["label, median"] == pytest.approx((92.07, 90.04), abs=0.006)
    assert found.shift["edges"] == (9.0, 9.0)
    assert found.noise is not None
    assert (found.noise.pairwise, found.noise.against_rest) == pytest.approx((0.795, 0.819), abs=0.0015)
    assert found.verdict.startswith("extrapolation")
    assert found.baselines["nearest neighbour, one-hot adjacency"] < 0.7


def test_random_halves_of_the_same_cells_share_every_wiring(data_root: Path) -> None:
    dataset = archenc.load_dataset("nasbench101")
    split = find_split(dataset, "halves-0", "ta14580")
    small = Split("smaller", split.pool, split.test[:1000])
    found = audit(dataset, small)
    assert found.wirings.known == 1000
    assert found.verdict.startswith("interpolation")
    assert found.baselines["nearest neighbour, one-hot adjacency"] > 0.7


def test_the_command(data_root: Path) -> None:
    output = run("audit", "nasbench201", "--split", "halves-0")
    for part in (
        "split halves-0",
        "cifar10/val_accuracy@200/mean",
        "parameter count",
        "once simplified",
        "verdict",
    ):
        assert part in output
    with pytest.raises(UnknownName, match="ta7290"):
        run("audit", "nasbench101", "--split", "ta7920")
