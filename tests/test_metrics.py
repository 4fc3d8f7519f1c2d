"""Metrics, and labels and encodings brought to one scale."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

import archenc
from archenc import Predictor, metrics
from archenc.encoder import Encoder
from archenc.errors import InvalidParameter, InvalidTable, UnknownName
from archenc.graphs import ArchGraphs
from archenc.heads.scaling import VaryingColumns
from archenc.registry import ENCODERS
from archenc.spaces.base import Space
from archenc.training import targets as labels
from archenc.training.targets import LabelTransform
from tests.bad_input import assert_one_sentence

small = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=15).map(
    lambda rows: np.array(rows, dtype=float).T
)


def tau_oracle(true, score):
    concordant = discordant = ties_true = ties_score = 0
    for i, j in combinations(range(len(true)), 2):
        sign = np.sign(true[i] - true[j]) * np.sign(score[i] - score[j])
        concordant, discordant = concordant + (sign > 0), discordant + (sign < 0)
        ties_true, ties_score = ties_true + (true[i] == true[j]), ties_score + (score[i] == score[j])
    pairs = len(true) * (len(true) - 1) / 2
    return (concordant - discordant) / math.sqrt((pairs - ties_true) * (pairs - ties_score))


def pearson_oracle(true, score):
    a, b = true - sum(true) / len(true), score - sum(score) / len(score)
    return sum(a * b) / math.sqrt(sum(a * a) * sum(b * b))


def mean_ranks(values):
    return np.array([sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values])


def predicted_top(true, score, k):
    """Positions, each pick being the highest prediction left and of those the lowest label."""
    left, top = list(range(len(true))), []
    for _ in range(k):
        pick = max(left, key=lambda i: (score[i], -true[i]))
        left.remove(pick)
        top.append(pick)
    return top


@settings(max_examples=100, deadline=None)
@given(small)
def test_correlations_are_those_of_explicit_loops(rows):
    true, score = rows
    if len(set(true)) == 1:
        assert all(
            math.isnan(f(true, score)) for f in (metrics.kendall_tau, metrics.spearman, metrics.pearson)
        )
    elif len(set(score)) == 1:
        assert (
            metrics.kendall_tau(true, score)
            == metrics.spearman(true, score)
            == metrics.pearson(true, score)
            == 0
        )
    else:
        assert metrics.kendall_tau(true, score) == pytest.approx(tau_oracle(true, score))
        assert metrics.pearson(true, score) == pytest.approx(pearson_oracle(true, score))
        assert metrics.spearman(true, score) == pytest.approx(
            pearson_oracle(mean_ranks(true), mean_ranks(score))
        )


@settings(max_examples=100, deadline=None)
@given(small, st.data())
def test_metrics_at_k_are_those_of_explicit_loops(rows, data):
    true, score = rows
    k = data.draw(st.integers(1, len(true)))
    top = predicted_top(true, score, k)
    ranks = [1 + sum(other > y for other in true) for y in true]
    assert metrics.precision_at_k(true, score, k) == pytest.approx(
        sum(true[i] >= sorted(true)[-k] for i in top) / k
    )
    assert metrics.best_rank_at_k(true, score, k) == min(ranks[i] for i in top)
    assert metrics.worst_rank_at_k(true, score, k) == max(ranks[i] for i in top)
    assert metrics.regret(true, score, k) == max(true) - max(true[i] for i in top)


@settings(max_examples=50, deadline=None)
@given(small, st.randoms(use_true_random=False))
def test_the_order_of_the_data_does_not_matter(rows, random):
    order = list(range(rows.shape[1]))
    random.shuffle(order)
    names = [
        "kendall_tau",
        "spearman",
        "rmse",
        "r2",
        "precision@2",
        "best_rank@2",
        "worst_rank@2",
        "regret@2",
    ]
    before, after = metrics.evaluate(*rows, names), metrics.evaluate(*rows[:, order], names)
    assert after == pytest.approx(before, nan_ok=True)


def test_worked_example():
    true, score = [91.0, 94.0, 93.0, 90.0, 92.0], [5.0, 3.0, 4.0, 1.0, 2.0]
    assert metrics.kendall_tau(true, score) == pytest.approx((6 - 4) / 10)
    assert metrics.precision_at_k(true, score, 2) == 0.5
    assert metrics.best_rank_at_k(true, score, 1) == 4
    assert metrics.best_rank_at_k(true, score, 2) == 2
    assert metrics.worst_rank_at_k(true, score, 3) == 4
    assert metrics.regret(true, score, 1) == 3.0
    assert metrics.regret(true, score, 2) == 1.0


def test_errors_are_in_units_of_the_labels():
    assert metrics.rmse([90.0, 92.0], [91.0, 95.0]) == pytest.approx(math.sqrt(5))
    assert metrics.r2([90.0, 92.0, 94.0], [90.0, 92.0, 94.0]) == 1
    assert metrics.r2([90.0, 92.0, 94.0], [92.0, 92.0, 92.0]) == 0
    assert math.isnan(metrics.r2([90.0, 90.0], [90.0, 91.0]))


def test_a_predictor_that_does_not_rank_gets_no_credit():
    true, constant = (
        np.arange(100.0),
        np.ones(100),
    )  # sorted: a stable order would look like a perfect or a useless predictor
    for y in (true, true[::-1]):
        assert metrics.kendall_tau(y, constant) == 0
        assert metrics.precision_at_k(y, constant, 10) == 0
        assert metrics.best_rank_at_k(y, constant, 10) == 91
        assert metrics.regret(y, constant, 10) == 90


def test_labels_that_equal_the_kth_best_count_as_top():
    assert metrics.precision_at_k([3.0, 3.0, 3.0, 1.0], [1.0, 2.0, 4.0, 3.0], 1) == 1
    assert metrics.precision_at_k([3.0, 3.0, 3.0, 1.0], [1.0, 2.0, 4.0, 3.0], 2) == 0.5


def test_k_is_a_count_or_a_fraction():
    true = score = np.arange(200.0)
    assert metrics.worst_rank_at_k(true, score, 3) == 3
    assert metrics.worst_rank_at_k(true, score, 0.29) == 58  # 0.29 * 200 = 57.99...
    assert metrics.worst_rank_at_k(true, score, 1.0) == 200
    assert metrics.worst_rank_at_k(true, score, 0.001) == 1
    for k in (0, 201, 0.0, 1.5, -1, float("nan")):
        with pytest.raises(InvalidParameter, match="give a whole number from 1 to 200"):
            metrics.regret(true, score, k)


@pytest.mark.parametrize("metric", metrics.METRICS.values(), ids=metrics.METRICS)
def test_bad_arrays_are_refused(metric):
    good = np.arange(300.0)
    bad = good.copy()
    bad[7] = np.nan
    with pytest.raises(InvalidTable, match=r"predictions\[7\] is nan"):
        metric(good, bad)
    with pytest.raises(InvalidTable, match=r"labels\[7\] is nan"):
        metric(bad, good)
    for other in (good[:-1], good[:, None], np.float64(1.0)):
        with pytest.raises(InvalidTable, match="give one of each"):
            metric(good, other)
    with pytest.raises(InvalidTable, match="at least one"):
        metric([], [])


def test_names():
    true, score = np.arange(100.0), np.random.RandomState(0).rand(100)
    values = metrics.evaluate(true, score, ["kendall_tau", "precision@7", "precision@20%", "regret@1"])
    assert list(values) == ["kendall_tau", "precision@7", "precision@20%", "regret@1"]
    assert values["precision@7"] == metrics.precision_at_k(true, score, 7)
    assert values["precision@20%"] == metrics.precision_at_k(true, score, 20)
    assert list(metrics.evaluate(true, score)) == list(metrics.METRICS)
    for name, hint in [
        ("kendal_tau", "did you mean 'kendall_tau'"),
        ("regret", "regret@10"),
        ("rmse@3", "rmse"),
        ("precision@-1", "precision@10"),
    ]:
        with pytest.raises(UnknownName, match=hint):
            metrics.metric(name)


def test_tiny_and_huge_values_correlate():
    y = np.array([1.0, 2.0, 3.0, 5.0])
    for scale in (1e-300, 1e300):
        assert metrics.pearson(y, y * scale) == pytest.approx(1)
        assert metrics.kendall_tau(y, y * scale) == 1


def test_tau_of_a_whole_benchmark_is_not_quadratic():
    y, noise = np.random.RandomState(0).randn(2, 200_000)
    tracemalloc.start()
    try:
        metrics.kendall_tau(y, y + noise)
        assert tracemalloc.get_traced_memory()[1] < 2**28  # 2e10 pairs do not fit into this
    finally:
        tracemalloc.stop()


LABELS = arrays(np.float64, st.integers(2, 30), elements=st.floats(-100, 100).map(lambda v: round(v, 3)))


@pytest.mark.parametrize("kind", ["standardize", "normal-scores", "none"])
@given(y=LABELS)
def test_inverse_undoes_forward_and_order_is_kept(kind, y):
    transform = LabelTransform.fit(kind, y)
    beyond = np.concatenate([y, [y.min() - 5.0, y.max() + 5.0]])
    np.testing.assert_allclose(transform.inverse(transform.forward(beyond)), beyond, atol=1e-6)
    order = np.argsort(beyond, kind="stable")
    assert (np.diff(transform.forward(beyond)[order]) >= 0).all()


def test_normal_scores_depend_on_ranks_only():
    y = np.array([1.0, 2.0, 3.0, 1000.0])
    np.testing.assert_allclose(
        LabelTransform.fit("normal-scores", y).forward(y),
        LabelTransform.fit("normal-scores", np.log(y)).forward(np.log(y)),
    )
    assert LabelTransform.fit("normal-scores", y).forward(y).sum() == pytest.approx(0.0)


def test_standardised_labels_have_mean_0_and_deviation_1():
    y = np.array([90.0, 91.0, 94.0])
    z = LabelTransform.fit("standardize", y).forward(y)
    assert (z.mean(), z.std()) == (pytest.approx(0.0), pytest.approx(1.0))


def test_a_long_lower_tail_does_not_stretch_the_top():
    y = np.concatenate([[10.0], np.linspace(90.0, 94.0, 50)])
    transform = LabelTransform.fit("normal-scores", y)
    assert 94.0 < transform.inverse(np.array([4.0]))[0] < 97.0


@pytest.mark.parametrize("kind", ["standardize", "normal-scores", "none", "fraction"])
def test_each_column_has_a_transform_of_its_own(kind):
    y = np.array([[10.0, 94.0, 3.0], [70.0, 91.0, 3.0], [70.0, 92.5, 3.0], [30.0, 90.0, 3.0]])
    transform = labels.fit(kind, y)
    beyond = np.concatenate([y, y + 7.0])
    for t in range(3):
        alone = LabelTransform.fit(kind, y[:, t])
        np.testing.assert_array_equal(transform.forward(beyond)[:, t], alone.forward(beyond[:, t]))
        np.testing.assert_array_equal(transform.inverse(beyond)[:, t], alone.inverse(beyond[:, t]))
    for fitted, values in ((transform, beyond), (labels.fit(kind, y[:, 0]), beyond[:, 0])):
        np.testing.assert_array_equal(labels.restore(fitted.arrays).forward(values), fitted.forward(values))


EXTREME = {
    "float max": np.array([1.0, -1.0, 0.5, 1.0]) * np.finfo(np.float64).max,
    "1e308": np.array([1e308, -1e308, 1e307, 5e307]),
    "1e300": np.array([1.0, 2.0, 3.0, 4.0]) * 1e300,
    "1e20, all the same": np.full(4, 1e20),
    "1e-300": np.array([1.0, 2.0, 3.0, 4.0]) * 1e-300,
    "1e-308": np.array([1.0, 2.0, 3.0, 4.0]) * 1e-308,
    "denormal": np.array([0.0, 5e-324, 1e-323, 0.0]),
    "mixed": np.array([1e300, -1e-300, 0.0, 90.0]),
}
USABLE = {
    "constant": np.full(4, 90.0),
    "constant, not a float's": np.full(4, 0.1),
    "zero": np.zeros(4),
    "two distinct": np.array([0.0, 1.0, 0.0, 1.0]),
    "two neighbours": np.array([90.0, np.nextafter(90.0, 91.0), 90.0, 90.0]),
    "large neighbours": np.array([1e15, np.nextafter(1e15, 0.0), 1e15, 1e15]),
    "a denormal beside zero": np.array([0.0, 5e-324, 90.0, 91.0]),
    "three, of which two denormal": np.array([0.0, 5e-324, 90.0]),
    "large": np.array([1e15, -1e15, 1e-30, 0.0]),
    "small": np.array([1.0, 2.0, 3.0, 4.0]) * 1e-30,
}
KINDS = ["standardize", "normal-scores", "fraction", "none"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EXTREME)
def test_labels_that_overflow_are_refused(kind, name):
    for y in (EXTREME[name], np.stack([np.arange(4.0), EXTREME[name]], axis=1)):
        with pytest.raises(
            InvalidTable, match=r"the labels (reach|differ by no more than) .*another unit"
        ) as caught:
            labels.fit(kind, y)
        assert_one_sentence(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", USABLE)
def test_targets_of_any_other_labels_are_finite(kind, name):
    y = USABLE[name]
    transform = LabelTransform.fit(kind, y)
    z = transform.forward(y)
    assert np.isfinite(z).all()
    assert np.isfinite(transform.inverse(np.concatenate([z, z - 5.0, z + 5.0]))).all()
    assert (np.diff(z[np.argsort(y, kind="stable")]) >= 0).all()


@pytest.mark.parametrize(
    ("head", "loss"), [("mlp", "mse"), ("mlp", "hinge"), ("ridge", "mse"), ("random-forest", "mse")]
)
@pytest.mark.parametrize(
    "name", ["1e308", "1e-308", "constant", "two neighbours", "a denormal beside zero", "large"]
)
def test_predictions_are_finite_or_refused(head, loss, name):
    graphs = archenc.create_space("nasbench201").sample(4, 0)
    predictor = Predictor("op-count", head, loss, epochs=2, label_transform="standardize", random_state=0)
    if name in EXTREME or (name, loss) == ("constant", "hinge"):  # which leaves nothing to rank
        with pytest.raises(InvalidTable):
            predictor.fit(graphs, {**EXTREME, **USABLE}[name])
    else:
        assert np.isfinite(predictor.fit(graphs, USABLE[name]).predict(graphs)).all()


def test_a_training_that_diverges_is_refused():
    graphs = archenc.create_space("nasbench201").sample(8, 0)
    with pytest.raises(InvalidParameter, match=r"the training diverged, .*smaller lr") as caught:
        Predictor("op-count", "mlp", "mse", lr=1e30, epochs=5, random_state=0).fit(graphs, np.arange(8.0))
    assert_one_sentence(caught.value)


def test_a_score_that_is_not_finite_is_refused(monkeypatch):
    graphs = archenc.create_space("nasbench201").sample(8, 0)
    predictor = Predictor("op-count", "ridge", "mse", random_state=0).fit(graphs, np.arange(8.0))
    monkeypatch.setattr(predictor.head_, "predict", lambda encodings: np.where(np.arange(8) < 3, 1.0, np.inf))
    with pytest.raises(
        InvalidTable, match=r"the score of architecture 3 is (inf|nan) \(5 such scores in all\)"
    ) as caught:
        predictor.predict(graphs)
    assert_one_sentence(caught.value)


# -- columns that are constant up to float noise count as constant, for every head ---------------------------


HEADS: dict[str, dict[str, Any]] = {
    name: {} for name in archenc.list_heads() if name not in ("anytime", "mlp-ensemble")
}
HEADS["gp"] = {"head_params": {"kernel": "rbf+linear"}}
HEADS["mlp"] = {"epochs": 30}
HEADS["comparator"] = {"epochs": 30, "loss": "comparator"}
HEADS["dngo"] = {"head_params": {"epochs": 20}}


class NoisyEncoder(Encoder):
    """How often each operation occurs, and a number that is .7 but for rounding, or ``away`` from that."""

    fixed = True
    paper = "none: a test"
    away = 0.0

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.cell_dim = len(space.operations) + 1

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        counts = torch.stack(
            [(graphs.ops == k).flatten(1).sum(1) for k in range(1, self.cell_dim)], dim=1
        ).float()
        return torch.cat([counts, 0.7 + self.away + 1e-7 * counts[:, -1:]], dim=1)


@pytest.fixture(autouse=True)
def noisy() -> Iterator[None]:
    ENCODERS.register("noisy", NoisyEncoder)
    yield
    ENCODERS.unregister("noisy")


@pytest.mark.parametrize("head", HEADS)
def test_float_noise_moves_no_prediction(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = archenc.create_space("nasbench201").sample(60, seed=0)
    column = archenc.create_encoder("noisy", graphs.space).encode(graphs)[:, -1]
    assert 0 < column.std() < 2e-7
    y = 70 + 5.0 * (graphs.ops == 3).flatten(1).sum(1).numpy() + (graphs.ops == 5).flatten(1).sum(1).numpy()
    predictor = Predictor(
        **{"encoder": "noisy", "head": head, "loss": "mse", "random_state": 0, **HEADS[head]}
    ).fit(graphs[:40], y[:40])
    usual = predictor.predict(graphs[40:])
    monkeypatch.setattr(NoisyEncoder, "away", 1.0)
    assert np.abs(predictor.predict(graphs[40:]) - usual).max() < 1e-3 * usual.std()


def test_columns_that_vary_are_standardised() -> None:
    encodings = (
        np.random.default_rng(0).normal([0.0, 5.0, 1e6], [1.0, 0.01, 1e4], (200, 3)).astype(np.float32)
    )
    columns = VaryingColumns(encodings)
    assert columns.varies.all()
    np.testing.assert_allclose(columns.transform(encodings).mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(columns.transform(encodings).std(0), 1, atol=1e-6)
