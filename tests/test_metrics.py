import math
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archenc import metrics
from archenc.errors import InvalidParameter, InvalidTable, UnknownName

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
