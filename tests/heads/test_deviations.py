"""Standard deviations: what they say, and where they depend on parameters."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from archenc import Predictor
from archenc.errors import CorruptFile, InvalidParameter
from archenc.heads.boosting import LightGBMHead, XGBoostHead
from archenc.heads.dngo import DNGOHead, best_precisions, log_marginal_likelihood, posterior
from archenc.heads.ensemble import MLPEnsembleHead
from archenc.heads.forest import RandomForestHead
from archenc.losses import MSELoss
from archenc.registry import HEADS
from archenc.spaces.cell import CellSpace
from archenc.testing.assertions import assert_deviations
from tests.heads.test_estimators import problem, through_files

SPACE = CellSpace("own", ["conv", "pool"], max_nodes=5)
BAGS = {"bags": 3, "n_estimators": 20}
WITH_DEVIATIONS = {
    "gp": {},
    "grouped-gp": {},
    "dngo": {},
    "mixture": {},
    "random-forest": {"n_estimators": 20},
    "mlp-ensemble": {"epochs": 5},
    "xgboost": BAGS,
    "lightgbm": BAGS,
}
each = pytest.mark.parametrize(("head", "parameters"), WITH_DEVIATIONS.items())


def graphs_and_labels(n=40):
    graphs = SPACE.sample(n, seed=0)
    return graphs, 90 + graphs.adjacency.sum((1, 2)).double().numpy() + np.random.default_rng(0).normal(
        size=n
    )


@each
def test_deviations_survive_a_folder(head, parameters, tmp_path):
    graphs, y = graphs_and_labels()
    predictor = Predictor("adjacency", head, "mse", head_params=parameters, random_state=0).fit(graphs, y)
    assert predictor.head_.has_std
    predictor.save(tmp_path)
    assert_deviations(predictor, Predictor.load(tmp_path), SPACE.sample(30, seed=1))


@each
def test_deviations_are_in_the_units_of_the_labels(head, parameters):
    graphs, y = graphs_and_labels()
    new, deviations = SPACE.sample(30, seed=1), []
    for factor in (1.0, 1024.0):  # exact in binary, so that no tie is decided otherwise
        predictor = Predictor(
            "adjacency", head, "mse", head_params=parameters, label_transform="standardize", random_state=0
        )
        deviations.append(predictor.fit(graphs, factor * y).predict(new, return_std=True)[1])
    np.testing.assert_allclose(deviations[1], 1024 * deviations[0], rtol=1e-6)


@pytest.mark.parametrize("head", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("loss", ["mse", "hinge"])
def test_bags_leave_predictions_as_they_are(head, loss):
    graphs, y = graphs_and_labels()
    plain, bagged = (
        Predictor("adjacency", head, loss, head_params={**BAGS, "bags": bags}, random_state=0).fit(graphs, y)
        for bags in (0, 3)
    )
    scores, deviation = bagged.predict(graphs, return_std=True)
    assert np.array_equal(scores, plain.predict(graphs))
    assert deviation.max() > 0
    with pytest.raises(InvalidParameter, match="'bags': 10"):
        plain.predict(graphs, return_std=True)


@pytest.mark.parametrize(
    ("head", "parameters"), [("mlp-ensemble", {"members": 1, "epochs": 1}), ("ridge", {}), ("xgboost", {})]
)
def test_who_cannot_say_how_sure_it_is_says_so(head, parameters):
    built = HEADS.get(head)(**parameters)
    assert not built.has_std
    z, y = problem(20)
    with pytest.raises(InvalidParameter, match="does not say how sure it is; choose"):
        built.fit(z, y, MSELoss()).predict_distribution(z)


def test_a_single_bag_is_refused():
    with pytest.raises(InvalidParameter, match="give at least 2, or 0"):
        XGBoostHead(bags=1)


@pytest.mark.parametrize("head", [XGBoostHead, LightGBMHead, RandomForestHead])
def test_trees_cover_unseen_labels(head):
    """Two of three labels lie within a deviation where errors are normal; a spread without the noise would
    hold far fewer.
    """
    z, y = problem(400, noise=2.0)
    fitted = head(random_state=0, n_estimators=100, **({} if head is RandomForestHead else {"bags": 5})).fit(
        z[:200], y[:200], MSELoss()
    )
    mean, deviation = fitted.predict_distribution(z[200:])
    assert 0.6 < (np.abs(mean - y[200:]) < deviation).mean() < 0.85


def test_the_variance_of_a_forest_is_that_between_and_within_its_leaves():
    """Oracle: all labels of the training set that reach a leaf, tree by tree, weighted as they were drawn."""
    z, y = np.zeros((60, 2), dtype=np.float32), np.random.default_rng(0).normal(size=60)
    head = RandomForestHead(n_estimators=30, random_state=0).fit(
        z, y, MSELoss()
    )  # no split: each tree is a leaf with its sample
    mean, deviation = head.predict_distribution(z[:1])
    assert mean[0] == pytest.approx(y.mean(), abs=0.1)
    assert deviation[0] == pytest.approx(y.std(), rel=0.1)
    assert head.trees_.value.std() < 0.3 * y.std()  # between the trees alone it would be much less


def test_forests_saved_without_variances_still_load():
    z, y = problem(40)
    head = RandomForestHead(n_estimators=5, random_state=0).fit(z, y, MSELoss())
    arrays, values = head.state()
    older = RandomForestHead().restore(
        {name: array for name, array in arrays.items() if name != "variance"}, values
    )
    assert np.array_equal(older.predict(z), head.predict(z))
    for wrong in (arrays["variance"][1:], -1 - arrays["variance"]):
        with pytest.raises(CorruptFile, match="variance"):
            RandomForestHead().restore({**arrays, "variance": wrong}, values)


@pytest.mark.parametrize("head", [XGBoostHead, LightGBMHead])
def test_bags_are_those_of_the_parameters(head):
    z, y = problem(40)
    fitted = head(random_state=0, **BAGS).fit(z, y, MSELoss())
    arrays, values = fitted.state()
    assert through_files(fitted, head(**BAGS)).takes(z.shape[1])
    for bags in (0, 2, 4):
        with pytest.raises(CorruptFile):
            head(bags=bags, n_estimators=20).restore(arrays, values)


def test_the_ensembles_deviation_is_that_of_its_members():
    z, y = problem(40)
    head = MLPEnsembleHead(members=3, hidden=(6,), epochs=3, random_state=0).fit(z, y, MSELoss())
    alone = []
    for member in range(3):
        one = MLPEnsembleHead(members=1, hidden=(6,))
        one.layers_ = [
            (weights[member : member + 1], biases[member : member + 1]) for weights, biases in head.layers_
        ]
        alone.append(one.predict(z))
    np.testing.assert_allclose(head.predict_distribution(z)[1], np.std(alone, axis=0), atol=1e-6)


# -- dNGO against closed forms, and what its standard deviation is worth -------------------------------------


PRECISIONS = [(1.0, 10.0), (0.2, 400.0), (50.0, 0.5)]


def basis(n, dim, seed=0):
    rng = np.random.RandomState(seed)
    phi = np.tanh(rng.randn(n, dim))
    phi[:, -1] = phi[:, 0] if dim > 1 else 1.0  # two equal functions
    return phi, phi @ rng.randn(dim) + 0.1 * rng.randn(n)


def smooth(n, seed=0):
    rng = np.random.RandomState(seed)
    z = rng.uniform(-1, 1, (n, 3)).astype(np.float32)
    return z, 90 + 3 * np.sin(2 * z[:, 0]) + z[:, 1] ** 2 + 0.3 * rng.randn(n)


@pytest.mark.parametrize(("alpha", "beta"), PRECISIONS)
@pytest.mark.parametrize(("n", "dim"), [(30, 4), (6, 9)])
def test_posterior_is_the_closed_form(n, dim, alpha, beta):
    phi, t = basis(n, dim)
    mean, root = posterior(phi, t, alpha, beta)
    covariance = np.linalg.inv(beta * phi.T @ phi + alpha * np.eye(dim))
    np.testing.assert_allclose(root @ root.T, covariance, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(mean, beta * covariance @ phi.T @ t, rtol=1e-8)


@pytest.mark.parametrize(("alpha", "beta"), PRECISIONS)
@pytest.mark.parametrize(("n", "dim"), [(30, 4), (6, 9), (7, 7)])
def test_marginal_likelihood_is_that_of_the_normal_distribution(n, dim, alpha, beta):
    phi, t = basis(n, dim)
    expected = multivariate_normal(np.zeros(n), phi @ phi.T / alpha + np.eye(n) / beta).logpdf(t)
    assert log_marginal_likelihood(phi, t, alpha, beta) == pytest.approx(expected, rel=1e-9)


def test_best_precisions_are_no_worse_than_those_of_a_grid_and_tell_the_noise():
    rng = np.random.RandomState(0)
    phi = rng.randn(400, 5)
    t = phi @ (0.5 * rng.randn(5)) + 0.2 * rng.randn(400)
    alpha, beta = best_precisions(phi, t)
    assert beta == pytest.approx(25, rel=0.2)
    best = log_marginal_likelihood(phi, t, alpha, beta)
    grid = np.exp(np.linspace(-9, 9, 40))
    assert best >= max(log_marginal_likelihood(phi, t, a, b) for a in grid for b in grid)


def test_prediction_is_bayesian_linear_regression_on_the_last_layer():
    z, y = smooth(60)
    head = DNGOHead(hidden=(7, 5), epochs=20, random_state=0).fit(z, y, MSELoss())
    alpha, beta = head.precisions_
    z_new = smooth(9, seed=1)[0]

    def phi(rows):
        x = (rows - z.astype(float).mean(0)) / z.astype(float).std(0)
        for weights, biases in head.layers_:
            x = np.tanh(x @ weights + biases)
        return np.column_stack([x, np.ones(len(x))])

    t = (y - y.mean()) / y.std()
    k = phi(z_new) @ phi(z).T / alpha  # the same process, by its kernel
    inverse = np.linalg.inv(phi(z) @ phi(z).T / alpha + np.eye(60) / beta)
    variance = (phi(z_new) ** 2).sum(1) / alpha - np.einsum("ij,jk,ik->i", k, inverse, k) + 1 / beta
    mean, deviation = head.predict_distribution(z_new)
    np.testing.assert_allclose(mean, y.mean() + y.std() * k @ inverse @ t, rtol=1e-6)
    np.testing.assert_allclose(deviation, y.std() * np.sqrt(variance), rtol=1e-5)
    assert np.array_equal(head.predict(z_new), mean)


def test_learns_a_smooth_function_and_how_well():
    (z, y), (z_new, y_new) = smooth(150), smooth(1000, seed=1)
    head = DNGOHead(random_state=0).fit(z, y, MSELoss())
    mean, deviation = head.predict_distribution(z_new)
    assert (
        np.sqrt(np.mean((mean - y_new) ** 2)) < 0.5
    )  # the noise alone gives 0.3, the mean of the targets 2.1
    assert 0.8 < np.mean(np.abs(mean - y_new) < 2 * deviation) < 0.995
    _, far = head.predict_distribution(np.array([[4, -4, 4]], dtype=np.float32))
    assert far[0] > deviation.mean()


def test_blocks_do_not_matter(monkeypatch):
    z, y = smooth(40)
    head = DNGOHead(epochs=5, random_state=0).fit(z, y, MSELoss())
    whole = head.predict_distribution(z)
    monkeypatch.setattr("archenc.heads.dngo.ROWS_PER_BLOCK", 7)
    np.testing.assert_allclose(head.predict_distribution(z), whole, rtol=1e-12)
    assert [part.shape for part in head.predict_distribution(z[:0])] == [(0,), (0,)]


@pytest.mark.parametrize(
    "parameters", [{"hidden": ()}, {"hidden": (4, 0)}, {"epochs": 0}, {"lr": 0.0}, {"weight_decay": -1.0}]
)
def test_refusals(parameters):
    with pytest.raises(InvalidParameter, match=r"DNGOHead got .*; give"):
        DNGOHead(**parameters)
