"""DNGO: Bayesian linear regression on a basis that a network learns."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from archenc.errors import CorruptFile
from archenc.files.sealed import saved_arrays, saved_numbers
from archenc.files.trusted import Field
from archenc.heads.base import SquaredErrorHead
from archenc.heads.scaling import VaryingColumns
from archenc.losses import Loss
from archenc.registry.rules import Count, Layers, NotNegative, Positive, Seed

LOG_BOUNDS = (-10.0, 10.0)
"""Of the logarithms of alpha and beta."""
ROWS_PER_BLOCK = 8192
ARRAYS = ("encodings_scale", "targets_scale", "precisions", "mean", "root")
"""What is kept beside the layers."""


class DNGOHead(SquaredErrorHead):
    """The predictive mean of Bayesian linear regression on the last hidden layer of a multi-layer perceptron.

    The perceptron, with tanh behind each hidden layer, is fitted to the targets by Adam on the squared error.
    Its output layer is then
    replaced: with phi the last hidden layer and a constant 1, t = w·phi + noise, w ~ N(0, I / alpha), noise ~
        N(0, 1 / beta), and alpha and
    beta are those of the highest marginal likelihood. With K = beta Phiᵀ Phi + alpha I and m = beta K⁻¹ Phiᵀ
    t, the prediction at phi has the mean m·phi and the variance phiᵀ K⁻¹ phi + 1 / beta
    (:meth:`predict_distribution`). Encodings and targets are standardised first.

    Size, minibatches and epochs of the perceptron are those of CATE's released search (whose loss is a
    weighted one); pybnn, the implementation behind it, has ``hidden=(50, 50, 50), epochs=500,
    weight_decay=0.0``. Without decay the basis fits the training targets so closely that ranks suffer and the
    standard deviation is far too small; the default was chosen on adjacency and path encodings of cells of
    NAS-Bench-101 and NAS-Bench-201, with 78 and 250 labels.

    Deviations: the original averages over draws of alpha and beta by slice sampling, tunes the network's
        hyper-parameters, decay included,
    by Bayesian optimisation, and has a quadratic prior mean, for which the constant stands here.

    Args:
        hidden: hidden sizes of the perceptron; the last one is the size of the basis.
        epochs: passes over the training set.
        batch_size: architectures in a minibatch.
        lr: Adam's rate.
        weight_decay: lambda in the loss (|errors|² + lambda |weights|²) / (2 n) of a minibatch of n, without
            the biases.
        random_state: seed of initial weights and minibatches.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.dngo import DNGOHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> head = DNGOHead(epochs=5, random_state=0).fit(encodings, encodings[:, 0].astype(float), MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    has_std = True
    paper = (
        "Snoek et al.: Scalable Bayesian Optimization Using Deep Neural Networks, ICML 2015, section 3, "
        "arXiv:1502.05700"
    )

    layers_: list[tuple[np.ndarray, np.ndarray]]
    encodings_scale_: np.ndarray
    targets_scale_: np.ndarray
    precisions_: np.ndarray
    mean_: np.ndarray
    root_: np.ndarray

    def __init__(
        self,
        *,
        hidden: Layers = (128,),
        epochs: Count = 100,
        batch_size: Count = 10,
        lr: Positive = 0.01,
        weight_decay: NotNegative = 0.3,
        random_state: Seed | None = None,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.random_state = random_state

    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Loss) -> DNGOHead:
        columns, deviation = VaryingColumns(encodings), float(targets.std())
        self.encodings_scale_ = np.stack([columns.mean, columns.scale])
        self.targets_scale_ = np.array([targets.mean(), deviation if deviation > 1e-12 else 1.0])
        x, t = self._standardised(encodings), (targets - self.targets_scale_[0]) / self.targets_scale_[1]
        self.layers_ = self._learnt_layers(x, t)
        phi = self._basis(encodings)
        self.precisions_ = np.array(best_precisions(phi, t))
        self.mean_, self.root_ = posterior(phi, t, *self.precisions_)
        return self

    def _learnt_layers(self, x: np.ndarray, t: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights and biases of the hidden layers."""
        network = MLPRegressor(
            hidden_layer_sizes=tuple(self.hidden),
            activation="tanh",
            alpha=self.weight_decay,
            batch_size=min(self.batch_size, len(t)),
            learning_rate_init=self.lr,
            max_iter=self.epochs,
            n_iter_no_change=self.epochs,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():  # that it could go on after the given number of epochs
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(x, t)
        return list(zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True))

    def _standardised(self, encodings: np.ndarray) -> np.ndarray:
        centre, scale = self.encodings_scale_
        standard: np.ndarray = (encodings - centre) / scale
        return standard

    def _basis(self, encodings: np.ndarray) -> np.ndarray:
        """phi: (n, D), the last hidden layer and a constant 1."""
        x = self._standardised(encodings)
        for weights, biases in self.layers_:
            x = np.tanh(x @ weights + biases)
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        return self.predict_distribution(encodings)[0]

    def predict_distribution(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, dim) to the mean and the standard deviation (n,) of what would be observed, noise included, in
        the units of the targets.
        """
        self._check_fitted()
        means, variances = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, len(encodings), ROWS_PER_BLOCK):
            phi = self._basis(encodings[start : start + ROWS_PER_BLOCK])
            means.append(phi @ self.mean_)
            variances.append(((phi @ self.root_) ** 2).sum(1) + 1 / self.precisions_[1])
        centre, scale = self.targets_scale_
        return centre + scale * np.concatenate(means), scale * np.sqrt(np.concatenate(variances))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        arrays = {name: getattr(self, f"{name}_") for name in ARRAYS}
        for number, (weights, biases) in enumerate(self.layers_):
            arrays |= {f"weights.{number}": weights, f"biases.{number}": biases}
        return arrays, {}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> DNGOHead:
        saved_numbers(values)
        basis = self.hidden[-1] + 1
        fields: dict[str, Field] = {
            "encodings_scale": ((2, None), "f"),
            "targets_scale": ((2,), "f"),
            "precisions": ((2,), "f"),
            "mean": ((basis,), "f"),
            "root": ((basis, basis), "f"),
        }
        sizes = [arrays["encodings_scale"].shape[-1] if "encodings_scale" in arrays else None, *self.hidden]
        for number, (inputs, outputs) in enumerate(pairwise(sizes)):
            fields |= {f"weights.{number}": ((inputs, outputs), "f"), f"biases.{number}": ((outputs,), "f")}
        found = dict(zip(fields, saved_arrays(arrays, fields), strict=True))
        if (
            min(found["encodings_scale"][1].min(initial=1), found["targets_scale"][1], *found["precisions"])
            <= 0
        ):
            raise CorruptFile("a scale or a precision of the head is not positive; train and save again")
        for name in ARRAYS:
            setattr(self, f"{name}_", found[name])
        self.layers_ = [
            (found[f"weights.{number}"], found[f"biases.{number}"]) for number in range(len(self.hidden))
        ]
        return self

    def takes(self, dim: int) -> bool:
        return int(self.encodings_scale_.shape[1]) == dim


def posterior(phi: np.ndarray, t: np.ndarray, alpha: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """The mean m (D,) of the weights and a root R (D, D) of their covariance K⁻¹ = R Rᵀ, given a basis Phi
    (n, D) and targets t (n,).
    """
    eigenvalues, axes = np.linalg.eigh(phi.T @ phi)
    root = axes / np.sqrt(beta * np.maximum(eigenvalues, 0.0) + alpha)
    return beta * root @ (root.T @ (phi.T @ t)), root


def log_marginal_likelihood(phi: np.ndarray, t: np.ndarray, alpha: float, beta: float) -> float:
    """The logarithm of N(t | 0, Phi Phiᵀ / alpha + I / beta), the weights integrated out, for a basis Phi (n,
    D) and targets t (n,).
    """
    return _Evidence(phi, t)(np.log([alpha, beta]))


def best_precisions(phi: np.ndarray, t: np.ndarray) -> tuple[float, float]:
    """The alpha and beta of the highest marginal likelihood, from exp(-10) to exp(10)."""
    evidence = _Evidence(phi, t)
    search = minimize(
        lambda logs: -evidence(logs), np.log([1.0, 10.0]), method="L-BFGS-B", bounds=[LOG_BOUNDS] * 2
    )
    alpha, beta = np.exp(search.x)
    return float(alpha), float(beta)


class _Evidence:
    """The log marginal likelihood along the principal axes of the basis, where the covariance of the targets
    is diagonal.
    """

    def __init__(self, phi: np.ndarray, t: np.ndarray) -> None:
        axes, lengths, _ = np.linalg.svd(phi, full_matrices=False)
        self.squares, self.along = lengths**2, axes.T @ t
        self.others = len(t) - len(lengths)  # directions in which there is only noise
        self.outside = float(((t - axes @ self.along) ** 2).sum()) if self.others else 0.0

    def __call__(self, logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        variances = self.squares / alpha + 1 / beta
        log_determinant = np.log(variances).sum() - self.others * logs[1]
        distance = (self.along**2 / variances).sum() + beta * self.outside
        return float(
            -0.5 * (log_determinant + distance + (len(variances) + self.others) * math.log(2 * math.pi))
        )
