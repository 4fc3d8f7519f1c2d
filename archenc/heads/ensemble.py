"""An ensemble of multi-layer perceptrons, trained as one program."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.files.sealed import saved_arrays, saved_numbers
from archenc.files.trusted import Field
from archenc.heads.base import EstimatorHead
from archenc.losses import Loss, MSERankLoss, PointwiseLoss, ScoreLoss
from archenc.registry.rules import Count, Depth, Positive, Probability, Seed, Sizes
from archenc.torch_state import plain_torch

ROWS_PER_BLOCK = 8192

Layer = tuple[Tensor, Tensor]
"""Weights (E, in, out) and biases (E, 1, out) of one layer of all E members."""


class MLPEnsembleHead(EstimatorHead):
    """The mean score of several multi-layer perceptrons that differ in initial weights and in the order of
    their minibatches.

    Each member is a stack of linear maps with a ReLU behind all but the last. It starts from Glorot's uniform
    weights and zero biases, and Adam trains it at a constant rate. All members are trained at once as batched
    matrices; as no gradient passes between them, each learns what it would learn alone. The defaults are
    those of BANANAS; its encoding is "path", its loss the absolute error. Standard deviations are those of
    the members' scores, as in BANANAS: they say how much the members differ, without the noise of labels.

    Deviation: the targets are what the predictor's label transform gives, where BANANAS divides its absolute
        error by the distance of the
    true error from a lower bound.

    Args:
        members: number of perceptrons.
        hidden: hidden sizes of each.
        epochs: passes over the training set.
        batch_size: architectures in a minibatch.
        lr: Adam's rate.
        betas: Adam's decay rates of the moments.
        random_state: seed of initial weights and minibatches.

    Examples:
        >>> import numpy as np
        >>> from archenc.heads.ensemble import MLPEnsembleHead
        >>> from archenc.losses import MSELoss
        >>> encodings = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        >>> targets = encodings[:, 0].astype(float)
        >>> head = MLPEnsembleHead(epochs=5, random_state=0).fit(encodings, targets, MSELoss())
        >>> head.predict(encodings[:5]).shape
        (5,)
    """

    accepts = (PointwiseLoss,)
    has_std = True
    paper = "White, Neiswanger, Savani: BANANAS, AAAI 2021, section 4, arXiv:1910.11858"

    layers_: list[Layer]

    def __init__(
        self,
        *,
        members: Depth = 5,
        hidden: Sizes = (20,) * 10,
        epochs: Count = 200,
        batch_size: Count = 32,
        lr: Positive = 0.01,
        betas: tuple[Probability, Probability] = (0.9, 0.99),
        random_state: Seed | None = None,
    ) -> None:
        self.members = members
        self.has_std = members > 1
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.betas = betas
        self.random_state = random_state

    @classmethod
    def rejects(cls, loss: Loss) -> str | None:
        if not isinstance(loss, ScoreLoss):
            return (
                "it scores one architecture at a time; use the head 'comparator' with this loss, or the "
                "loss 'mae'"
            )
        if not isinstance(loss, PointwiseLoss):
            remedy = f"use the loss 'mae' or 'mse', or the head 'mlp' with {loss.name!r}"
            return (
                "it averages the scores of its members, which are on one scale only under a pointwise "
                f"loss; {remedy}"
            )
        if isinstance(loss, MSERankLoss):
            return (
                "it takes one mean over all members, between which this loss would form pairs; use the "
                "loss 'mse', or the head 'mlp'"
            )
        return None

    @plain_torch()
    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: PointwiseLoss) -> MLPEnsembleHead:
        generator = torch.Generator().manual_seed(
            int(np.random.RandomState(self.random_state).randint(2**31))
        )
        x, y = (torch.tensor(values, dtype=torch.float32) for values in (encodings, targets))
        layers = self._initial_layers(x.shape[1], generator)
        optimiser = torch.optim.Adam(
            [tensor for layer in layers for tensor in layer], lr=self.lr, betas=self.betas
        )
        for _ in range(self.epochs):
            orders = torch.rand(self.members, len(y), generator=generator, dtype=torch.float32).argsort(1)
            for batch in torch.split(orders, self.batch_size, dim=1):
                scores = ensemble_scores(layers, x[batch])
                optimiser.zero_grad()
                total = self.members * loss(
                    scores.flatten(), y[batch].flatten()
                )  # the sum of the members' own mean losses
                total.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        self.layers_ = [(weights.detach(), biases.detach()) for weights, biases in layers]
        return self

    def _initial_layers(self, dim: int, generator: torch.Generator) -> list[Layer]:
        layers = []
        for inputs, outputs in pairwise([dim, *self.hidden, 1]):
            bound = math.sqrt(6 / (inputs + outputs))
            weights = torch.empty(self.members, inputs, outputs, dtype=torch.float32).uniform_(
                -bound, bound, generator=generator
            )
            biases = torch.zeros(self.members, 1, outputs, dtype=torch.float32)
            layers.append((weights.requires_grad_(), biases.requires_grad_()))
        return layers

    def predict(self, encodings: np.ndarray) -> np.ndarray:
        mean: np.ndarray = self._scores(encodings).mean(0).numpy()
        return mean

    def predict_distribution(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.has_std:
            return super().predict_distribution(encodings)
        scores = self._scores(encodings)
        return scores.mean(0).numpy(), scores.std(0, correction=0).numpy()

    @plain_torch()
    @torch.no_grad()
    def _scores(self, encodings: np.ndarray) -> Tensor:
        """(E, n): those of each member."""
        self._check_fitted()
        blocks = torch.split(torch.tensor(encodings, dtype=torch.float32), ROWS_PER_BLOCK)
        return torch.cat(
            [ensemble_scores(self.layers_, block.expand(self.members, -1, -1)).double() for block in blocks],
            dim=1,
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_fitted()
        arrays: dict[str, np.ndarray] = {}
        for number, (weights, biases) in enumerate(self.layers_):
            arrays |= {f"weights.{number}": weights.numpy(), f"biases.{number}": biases.numpy()}
        return arrays, {}

    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> MLPEnsembleHead:
        saved_numbers(values)
        fields: dict[str, Field] = {}
        first = arrays.get("weights.0", np.zeros(0)).shape  # (E, dim, out)
        for number, (inputs, outputs) in enumerate(
            pairwise([first[1] if len(first) == 3 else None, *self.hidden, 1])
        ):
            fields[f"weights.{number}"] = ((self.members, inputs, outputs), "f")
            fields[f"biases.{number}"] = ((self.members, 1, outputs), "f")
        tensors = [torch.tensor(array, dtype=torch.float32) for array in saved_arrays(arrays, fields)]
        self.layers_ = list(zip(tensors[::2], tensors[1::2], strict=True))
        return self

    def takes(self, dim: int) -> bool:
        return self.layers_[0][0].shape[1] == dim


def ensemble_scores(layers: list[Layer], x: Tensor) -> Tensor:
    """Scores (E, B) of E perceptrons, each for its own encodings x (E, B, dim)."""
    for weights, biases in layers[:-1]:
        x = torch.relu(torch.baddbmm(biases, x, weights))
    weights, biases = layers[-1]
    return torch.baddbmm(biases, x, weights).squeeze(-1)
