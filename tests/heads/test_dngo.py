"""DNGO against closed forms, and what its standard deviation is worth."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from archenc.errors import InvalidParameter
from archenc.heads.dngo import DNGOHead, best_precisions, log_marginal_likelihood, posterior
from archenc.losses import MSELoss

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
