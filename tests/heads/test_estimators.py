"""Ridge, Gaussian process, DNGO, random forest and boosted trees."""

import json

import numpy as np
import pytest
from safetensors.numpy import load, save
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor

from archenc.errors import CorruptFile, InvalidParameter, NotFitted
from archenc.heads.boosting import LightGBMHead, XGBoostHead, newton_terms
from archenc.heads.dngo import DNGOHead
from archenc.heads.forest import RandomForestHead
from archenc.heads.gp import GaussianProcessHead
from archenc.heads.linear import RidgeHead
from archenc.losses import BCELoss, ComparatorLoss, HingeLoss, ListMLELoss, MSELoss
from archenc.metrics import kendall_tau

SQUARED_ERROR = [RidgeHead, GaussianProcessHead, DNGOHead, RandomForestHead]
BOOSTED = [LightGBMHead, XGBoostHead]
SCORE_LOSSES = [MSELoss(), HingeLoss(), BCELoss(), ListMLELoss()]

each_head = pytest.mark.parametrize("head", [*SQUARED_ERROR, *BOOSTED])
boosted = pytest.mark.parametrize("head", BOOSTED)


def problem(n, seed=0, noise=0.1):
    """Bits, counts and a constant column, as encodings of architectures are; the target depends on some of
    them.
    """
    rng = np.random.RandomState(seed)
    bits, counts = rng.randint(0, 2, (n, 8)), rng.randint(0, 6, (n, 4))
    encodings = np.concatenate([bits, counts, np.ones((n, 1))], axis=1).astype(np.float32)
    targets = (
        2.0 * bits[:, 0] - bits[:, 1] + counts[:, 0] + 0.5 * bits[:, 2] * counts[:, 1] + noise * rng.randn(n)
    )
    return encodings, (targets - targets.mean()) / targets.std()


def build(head, **parameters):
    few = {"n_estimators": 100} if head in (RandomForestHead, *BOOSTED) else {}
    return head(**{**few, "random_state": 0, **parameters})


def through_files(head, other):
    arrays, values = head.state()
    return other.restore(
        load(save({k: np.ascontiguousarray(v) for k, v in arrays.items()})), json.loads(json.dumps(values))
    )


# -- all -----------------------------------------------------------------------------------------------------


@each_head
def test_learns_from_a_few_hundred_labels(head):
    z, y = problem(600)
    fitted = build(head).fit(z[:300], y[:300], MSELoss())
    scores = fitted.predict(z[300:])
    assert scores.shape == (300,)
    assert scores.dtype == np.float64
    assert kendall_tau(y[300:], scores) > 0.75
    assert np.sqrt(np.mean((scores - y[300:]) ** 2)) < 0.45  # in units of the targets, whose deviation is 1


@each_head
def test_restored_predictions_are_equal(head):
    z, y = problem(80)
    fitted = build(head).fit(z, y, MSELoss())
    z_new = problem(3000, seed=1)[0]
    assert np.array_equal(
        through_files(fitted, build(head, random_state=7)).predict(z_new), fitted.predict(z_new)
    )


@each_head
def test_same_seed_same_predictions_and_inputs_untouched(head):
    z, y = problem(80)
    before = z.copy(), y.copy()
    first, second = (build(head).fit(z, y, MSELoss()).predict(z) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(z, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize("head", [DNGOHead, RandomForestHead, *BOOSTED])
def test_seeds_differ(head):
    z, y = problem(80)
    first, second = (build(head, random_state=seed).fit(z, y, MSELoss()).predict(z) for seed in (0, 1))
    assert not np.array_equal(first, second)


@each_head
def test_says_nothing(head, capfd):
    z, y = problem(40)
    fitted = build(head).fit(z, y, MSELoss())
    through_files(fitted, build(head)).predict(z)
    assert capfd.readouterr() == ("", "")


@each_head
def test_must_be_fitted_first(head):
    with pytest.raises(NotFitted, match="call fit"):
        build(head).predict(np.zeros((1, 3), dtype=np.float32))
    with pytest.raises(NotFitted, match="call fit"):
        build(head).state()


@each_head
def test_uninformative_encodings_predict_the_mean(head):
    z, y = np.ones((30, 4), dtype=np.float32), np.random.RandomState(0).randn(30) + 5
    fitted = build(head).fit(z, y, MSELoss())
    scores = fitted.predict(z[:3])
    assert np.array_equal(through_files(fitted, build(head)).predict(z[:3]), scores)
    assert np.ptp(scores) < 1e-9
    assert scores == pytest.approx(y.mean(), abs=0.3)  # the forest's is a mean over bootstrap samples


@each_head
@pytest.mark.parametrize("n", [2, 3, 5])
def test_very_few_labels(head, n, capfd):
    z, y = problem(40)
    assert np.isfinite(build(head).fit(z[:n], y[:n], MSELoss()).predict(z)).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("head", SQUARED_ERROR)
def test_minimisers_of_the_squared_error_take_nothing_else(head):
    assert head.rejects(MSELoss()) is None
    assert "use the loss 'mse'" in head.rejects(MSELoss(sigmoid=True))
    for loss in SCORE_LOSSES[1:]:
        assert "'lightgbm'" in head.rejects(loss)
    assert "the head 'comparator'" in head.rejects(ComparatorLoss())


# -- each ----------------------------------------------------------------------------------------------------


def test_ridge_solves_its_normal_equations():
    z, y = problem(50)
    scale = z.std(0)
    x = (z - z.mean(0)) / np.where(scale > 0, scale, 1)
    w = np.linalg.solve(x.T @ x + 3.0 * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    np.testing.assert_allclose(
        RidgeHead(alpha=3.0).fit(z, y, MSELoss()).predict(z), x @ w + y.mean(), atol=1e-5
    )


def test_gaussian_process_is_the_posterior_mean():
    z, y = problem(40)
    head = GaussianProcessHead(random_state=0).fit(z, y, MSELoss())
    z_new = problem(5, seed=1)[0]
    scale = np.where(z.std(0) > 0, z.std(0), 1)
    x, x_new = (z - z.mean(0)) / scale, (z_new - z.mean(0)) / scale
    c, length, v = np.exp(head.theta_)
    start = head._kernel(z.shape[1]).theta
    assert (
        head.process_.log_marginal_likelihood(head.theta_) > head.process_.log_marginal_likelihood(start) + 1
    )

    def kernel(a, b):
        return c * np.exp(-((a[:, None] - b) ** 2).sum(-1) / (2 * length**2))

    expected = kernel(x_new, x) @ np.linalg.solve(kernel(x, x) + v * np.eye(40), y)
    np.testing.assert_allclose(head.predict(z_new), expected, atol=1e-4)


@pytest.mark.parametrize("kernel", ["rbf", "rbf+linear"])
def test_gaussian_process_seeks_hyper_parameters_on_a_subset_and_conditions_on_all(kernel, monkeypatch):
    z, y = problem(1500)
    sizes = []
    likelihood = GaussianProcessRegressor.log_marginal_likelihood

    def counting(process, *arguments, **options):
        if options.get("eval_gradient"):
            sizes.append(len(process.X_train_))
        return likelihood(process, *arguments, **options)

    monkeypatch.setattr(GaussianProcessRegressor, "log_marginal_likelihood", counting)
    head = GaussianProcessHead(kernel=kernel, search_size=100, random_state=0).fit(
        z[:1200], y[:1200], MSELoss()
    )
    assert set(sizes) == {100}
    assert head.targets_.shape == (1200,)
    assert kendall_tau(y[1200:], head.predict(z[1200:])) > 0.85


def test_gaussian_process_works_blockwise(monkeypatch):
    z, y = problem(60)
    head = GaussianProcessHead(random_state=0).fit(z[:20], y[:20], MSELoss())
    whole = head.predict(z)
    monkeypatch.setattr("archenc.heads.gp.KERNEL_VALUES_PER_BLOCK", 100)
    np.testing.assert_allclose(head.predict(z), whole, atol=1e-12)
    assert head.predict(z[:0]).shape == (0,)


def test_gaussian_process_knows_its_kernels():
    with pytest.raises(InvalidParameter, match="choose 'rbf'"):
        GaussianProcessHead(kernel="matern")


def test_forest_predicts_what_scikit_learn_predicts():
    z, y = problem(100)
    head = RandomForestHead(n_estimators=30, max_features=0.4, min_samples_leaf=2, random_state=3).fit(
        z, y, MSELoss()
    )
    theirs = RandomForestRegressor(30, max_features=0.4, min_samples_leaf=2, random_state=3).fit(z, y)
    z_new = (
        np.random.RandomState(2).randint(-1, 12, (1500, z.shape[1])).astype(np.float32) / 2
    )  # halves fall on thresholds
    np.testing.assert_allclose(head.predict(z_new), theirs.predict(z_new), atol=1e-12)


# -- boosting ------------------------------------------------------------------------------------------------


@boosted
@pytest.mark.parametrize("loss", SCORE_LOSSES, ids=lambda loss: loss.name)
def test_boosting_ranks_under_every_loss_on_scores(head, loss):
    assert head.rejects(loss) is None
    z, y = problem(400)
    fitted = build(head, n_estimators=200).fit(z[:200], y[:200], loss)
    assert kendall_tau(y[200:], fitted.predict(z[200:])) > 0.8
    restored = through_files(fitted, build(head))
    assert np.array_equal(restored.predict(z), fitted.predict(z))


@boosted
@pytest.mark.parametrize("loss", [MSELoss(), BCELoss()], ids=lambda loss: loss.name)
def test_boosting_splits_with_39_labels(head, loss):
    z, y = problem(400)
    scores = build(head, n_estimators=300).fit(z[:39], y[:39], loss).predict(z[39:])
    assert len(np.unique(scores)) > 100
    assert kendall_tau(y[39:], scores) > 0.5


@boosted
def test_boosting_one_tree_under_mse_is_a_newton_step_from_the_mean(head):
    z = np.repeat([[0.0], [1.0]], 10, axis=0).astype(np.float32)
    y = np.repeat([5.0, 9.0], 10)
    fitted = head(
        n_estimators=1,
        learning_rate=0.5,
        max_depth=1,
        subsample=1.0,
        colsample=1.0,
        reg_lambda=4.0,
        random_state=0,
    ).fit(z, y, MSELoss())
    # a leaf of 10 labels 2 from the mean: gradient 2 * 2 * 10, curvature 2 * 10 + 4
    assert fitted.predict(z[[0, -1]]) == pytest.approx([7 - 0.5 * 40 / 24, 7 + 0.5 * 40 / 24], abs=1e-5)


@boosted
def test_boosting_under_mse_is_equivariant_and_under_ranking_losses_invariant_to_the_labels_offset(head):
    z, y = problem(60)
    for loss, offset in ((MSELoss(), 90.0), (BCELoss(), 0.0)):
        plain, shifted = (
            build(head, n_estimators=20).fit(z, y + shift, loss).predict(z) for shift in (0.0, 90.0)
        )
        np.testing.assert_allclose(shifted, plain + offset, atol=1e-4)


def test_newton_terms_are_positive():
    y, saturated = np.arange(5.0), np.array([0.0, 0.0, 1e3, 2e3, 3e3])
    assert np.array_equal(newton_terms(HingeLoss(), np.zeros(5), y)[1], np.ones(5))
    assert (newton_terms(BCELoss(), saturated, y)[1] > 0).all()
    assert (newton_terms(MSELoss(sigmoid=True), saturated, y / 5)[1] > 0).all()


@boosted
def test_tied_targets_give_a_constant(head):
    z, _ = problem(40)
    for loss in SCORE_LOSSES[:3]:
        assert np.ptp(build(head, n_estimators=20).fit(z, np.full(40, 3.0), loss).predict(z)) < 1e-6


@boosted
def test_boosting_refuses_the_comparator_loss(head):
    assert "the head 'comparator'" in head.rejects(ComparatorLoss())


@boosted
def test_damaged_model_is_refused(head, capfd):
    with pytest.raises(CorruptFile, match="train and save it again"):
        head().restore({"model": np.frombuffer(b"no model", dtype=np.uint8)}, {"start": 0.0})
