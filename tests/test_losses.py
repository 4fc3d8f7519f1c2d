import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archenc.errors import InvalidParameter
from archenc.losses import (
    BCELoss,
    ComparatorLoss,
    HingeLoss,
    ListMLELoss,
    MAELoss,
    MSELoss,
    MSERankLoss,
    ordered_pairs,
)

ALL_PAIRS = {"pair_ratio": None}
ON_SCORES = {
    "mse": MSELoss(),
    "mse-sigmoid": MSELoss(sigmoid=True),
    "mae": MAELoss(),
    "mse-rank": MSERankLoss(weight=0.3),
    "hinge": HingeLoss(margin=0.5, **ALL_PAIRS),
    "bce": BCELoss(**ALL_PAIRS),
    "listmle": ListMLELoss(),
}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def pairwise_oracle(scores, targets, pair_loss):
    losses = []
    for i, j in combinations(range(len(scores)), 2):
        if targets[i] != targets[j]:
            better, worse = (i, j) if targets[i] > targets[j] else (j, i)
            losses.append(pair_loss(scores[better] - scores[worse]))
    return sum(losses) / len(losses)


def listmle_oracle(scores, targets):
    order = sorted(range(len(scores)), key=lambda i: (-targets[i], i))
    terms = [
        math.log(sum(math.exp(scores[k]) for k in order[i:])) - scores[order[i]] for i in range(len(order))
    ]
    return sum(terms) / len(terms)


def mse_rank_oracle(scores, targets):
    pairs = list(zip(scores, targets, strict=True))
    differences = sum(abs((s - t) - (y - z)) for s, y in pairs for t, z in pairs)
    return sum((s - y) ** 2 for s, y in pairs) / len(pairs) + 0.3 * differences / len(pairs) ** 2


ORACLES = {
    "mse": lambda s, y: sum((a - b) ** 2 for a, b in zip(s, y, strict=True)) / len(s),
    "mse-sigmoid": lambda s, y: sum((sigmoid(a) - b) ** 2 for a, b in zip(s, y, strict=True)) / len(s),
    "mae": lambda s, y: sum(abs(a - b) for a, b in zip(s, y, strict=True)) / len(s),
    "mse-rank": mse_rank_oracle,
    "hinge": lambda s, y: pairwise_oracle(s, y, lambda margin: max(0.0, 0.5 - margin)),
    "bce": lambda s, y: pairwise_oracle(s, y, lambda margin: -math.log(sigmoid(margin))),
    "listmle": listmle_oracle,
}


def example(n=9, seed=0):
    rng = np.random.RandomState(seed)
    targets = np.round(rng.rand(n), 1)
    targets[:3] = 0.5, 0.5, 0.9  # a tie for sure
    return rng.randn(n), targets


def tensors(*arrays):
    return tuple(torch.from_numpy(array) for array in arrays)


# -- values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_SCORES)
def test_value_is_that_of_an_explicit_loop(name):
    scores, targets = example()
    assert ON_SCORES[name](*tensors(scores, targets)).item() == pytest.approx(
        ORACLES[name](list(scores), list(targets)), rel=1e-12
    )


def test_gates_worked_example():
    # GATES writes the hinge as max(0, m - y (s_2 - s_1)) with y = 1 if the second is better: here pairs
    # (1,2), (1,3) and (2,3)
    scores, accuracies = torch.tensor([0.30, 0.35, 0.10]), torch.tensor([90.0, 91.0, 92.0])
    assert HingeLoss()(scores, accuracies).item() == pytest.approx((0.05 + 0.30 + 0.35) / 3)


def test_comparator_loss_is_the_negative_log_probability_without_padding():
    logits = torch.tensor([2.0, -1.0, 5.0])
    expected = -(math.log(sigmoid(2.0)) + math.log(sigmoid(-1.0))) / 2
    assert ComparatorLoss().from_logits(logits[:2]).item() == pytest.approx(expected)
    assert ComparatorLoss().from_logits(logits, torch.tensor([True, True, False])).item() == pytest.approx(
        expected
    )


@pytest.mark.parametrize("name", ["hinge", "bce", "listmle"])
def test_ranking_losses_see_only_differences_of_scores_and_the_order_of_targets(name):
    scores, targets = tensors(*example())
    value = ON_SCORES[name](scores, targets)
    assert torch.allclose(ON_SCORES[name](scores + 7, targets), value)
    assert torch.equal(ON_SCORES[name](scores, targets.exp()), value)


def test_listmle_is_finite_and_has_gradients_for_extreme_scores():
    scores = torch.tensor([0.0, 500.0, -500.0], requires_grad=True)
    loss = ListMLELoss()(scores, torch.tensor([2.0, 0.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx((500 + 1000) / 3)
    assert scores.grad.tolist() == pytest.approx([-1 / 3, 2 / 3, -1 / 3])


@pytest.mark.parametrize("name", ["hinge", "bce"])
def test_without_pairs_the_loss_is_zero_and_differentiable(name):
    scores = torch.randn(4, requires_grad=True)
    loss = ON_SCORES[name](scores, torch.full((4,), 90.0))
    loss.backward()
    assert loss.item() == 0
    assert not scores.grad.any()


def test_mse_rank_counts_a_common_shift_once():
    scores, targets = tensors(*example())
    residuals = targets + 1.0 - targets  # scores that are all too high by one: no difference is wrong
    assert MSERankLoss(weight=5.0)(targets + 1.0, targets).item() == pytest.approx(
        residuals.square().mean().item()
    )
    assert MSERankLoss(weight=0.0)(scores, targets).item() == pytest.approx(MSELoss()(scores, targets).item())
    assert MSERankLoss()(scores[:1], targets[:1]).item() == pytest.approx(
        MSELoss()(scores[:1], targets[:1]).item()
    )


# -- derivatives ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_SCORES)
def test_gradient_by_finite_differences(name):
    scores, targets = tensors(*example())
    assert torch.autograd.gradcheck(lambda s: ON_SCORES[name](s, targets), scores.requires_grad_())


@pytest.mark.parametrize("name", ON_SCORES)
def test_derivatives_are_gradient_and_hessian_diagonal_of_n_times_the_loss(name):
    scores, targets = example(7)

    def total(s):
        return 7 * ON_SCORES[name](s, torch.from_numpy(targets))

    gradient, hessian = ON_SCORES[name].derivatives(scores, targets)
    at = torch.from_numpy(scores)
    np.testing.assert_allclose(gradient, torch.autograd.functional.jacobian(total, at), atol=1e-12)
    np.testing.assert_allclose(hessian, torch.autograd.functional.hessian(total, at).diagonal(), atol=1e-12)
    assert gradient.dtype == hessian.dtype == np.float64


def test_pair_ratio_does_not_thin_out_the_derivatives():
    scores, targets = example(30)
    for thinned, full in zip(
        BCELoss(pair_ratio=0.5).derivatives(scores, targets),
        ON_SCORES["bce"].derivatives(scores, targets),
        strict=True,
    ):
        assert np.array_equal(thinned, full)


def test_derivatives_over_drawn_pairs_repeat_themselves_and_estimate_those_over_all(monkeypatch):
    scores, targets = np.random.RandomState(0).randn(2, 200)
    full = np.concatenate(BCELoss().derivatives(scores, targets))
    monkeypatch.setattr("archenc.losses.pairwise.MAX_BOOSTING_PAIRS", 10_000)
    drawn = np.concatenate(BCELoss().derivatives(scores, targets))
    assert np.array_equal(drawn, np.concatenate(BCELoss().derivatives(scores, targets)))
    assert 0 < np.abs(drawn - full).max() < 0.4
    assert drawn @ full / (full @ full) == pytest.approx(1, abs=0.02)
    assert np.corrcoef(drawn, full)[0, 1] > 0.99


def test_derivatives_leave_their_inputs_alone():
    scores, targets = example()
    before = scores.copy(), targets.copy()
    for loss in ON_SCORES.values():
        loss.derivatives(scores, targets)
    assert np.array_equal(scores, before[0])
    assert np.array_equal(targets, before[1])


def test_derivatives_are_finite_for_extreme_scores():
    scores = np.array([0.0, 800.0, -800.0, 1.0])
    for loss in ON_SCORES.values():
        assert np.isfinite(np.stack(loss.derivatives(scores, np.array([0.1, 0.2, 0.3, 0.4])))).all()


# -- pairs ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=12))
def test_all_pairs_are_those_with_different_targets(targets):
    worse, better = ordered_pairs(torch.tensor(targets, dtype=torch.float32))
    n = range(len(targets))
    assert sorted(zip(worse.tolist(), better.tolist(), strict=True)) == [
        (i, j) for i in n for j in n if targets[i] < targets[j]
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=20), st.floats(0.1, 12), st.integers(0, 99))
def test_drawn_pairs_are_distinct_valid_and_as_many_as_asked(targets, ratio, seed):
    y = torch.tensor(targets, dtype=torch.float32)
    drawn = list(
        zip(
            *(
                part.tolist()
                for part in HingeLoss(pair_ratio=ratio).pairs(y, torch.Generator().manual_seed(seed))
            ),
            strict=True,
        )
    )
    existing = set(zip(*(part.tolist() for part in ordered_pairs(y)), strict=True))
    assert set(drawn) <= existing
    assert len(drawn) == len(set(drawn)) == min(len(existing), max(1, int(ratio * len(targets))))


@pytest.mark.parametrize("ratio", [2.0, 4.0])  # below and above half of all pairs: two ways of drawing
def test_pairs_are_drawn_uniformly(ratio):
    targets, generator = (
        torch.tensor([3.0, 1.0, 2.0, 2.0, 9.0, 7.0, 8.0, 5.0, 4.0, 6.0]),
        torch.Generator().manual_seed(0),
    )
    counts, draws = torch.zeros(10, 10), 2000
    for _ in range(draws):
        worse, better = BCELoss(pair_ratio=ratio).pairs(targets, generator)
        counts[worse, better] += 1
    valid = targets[:, None] < targets
    share = ratio * 10 / valid.sum()
    assert valid.sum() == 44
    assert not counts[~valid].any()
    assert (counts[valid] / draws - share).abs().max() < 5 * math.sqrt(share * (1 - share) / draws)


def test_pairs_follow_the_generator():
    targets = torch.randn(100, generator=torch.Generator().manual_seed(0))
    draw = [
        torch.stack(HingeLoss().pairs(targets, torch.Generator().manual_seed(seed))) for seed in (1, 1, 2)
    ]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


# -- several runs as one program -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mse", "mse-rank", "listmle"])
def test_pointwise_and_listwise_losses_work_under_vmap(name):
    scores, targets = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    loss = ON_SCORES[name]
    for over_all, single in (
        (torch.func.vmap(loss), loss),
        (torch.func.vmap(torch.func.grad(loss)), torch.func.grad(loss)),
    ):
        assert torch.allclose(
            over_all(scores, targets),
            torch.stack([single(s, y) for s, y in zip(scores, targets, strict=True)]),
        )


@pytest.mark.parametrize("name", ["hinge", "bce"])
def test_pairwise_losses_work_under_vmap_with_padded_pairs(name):
    scores = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1.0, 2, 3, 4, 5, 6, 7, 8], [1, 1, 1, 1, 2, 2, 2, 2]])  # 28 and 16 pairs
    loss = ON_SCORES[name]
    pairs = [loss.pairs(y) for y in targets]
    worse, better = (
        torch.nn.utils.rnn.pad_sequence(side, batch_first=True) for side in zip(*pairs, strict=True)
    )
    assert worse.shape == (2, 28)
    together = torch.func.vmap(torch.func.grad(loss.from_pairs))(scores, worse, better)
    assert torch.allclose(
        together, torch.stack([torch.func.grad(loss)(s, y) for s, y in zip(scores, targets, strict=True)])
    )


# -- refusals ------------------------------------------------------------------------------------------------


def test_comparator_loss_refuses_scores():
    scores, targets = example()
    with pytest.raises(InvalidParameter, match="use the head 'comparator'"):
        ComparatorLoss()(*tensors(scores, targets))
    with pytest.raises(InvalidParameter, match="use the head 'comparator'"):
        ComparatorLoss().derivatives(scores, targets)


@pytest.mark.parametrize(
    "build",
    [
        lambda: HingeLoss(margin=0.0),
        lambda: BCELoss(pair_ratio=0),
        lambda: HingeLoss(pair_ratio=float("nan")),
    ],
)
def test_senseless_hyper_parameters_are_refused(build):
    with pytest.raises(InvalidParameter, match="give a positive number"):
        build()


@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_a_negative_weight_is_refused(weight):
    with pytest.raises(InvalidParameter, match="give a number from 0 up"):
        MSERankLoss(weight=weight)
