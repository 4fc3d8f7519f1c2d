"""The contract of a head: an encoding in, a score out; higher is better.

There are two kinds. A :class:`NeuralHead` is a module that is trained by gradient descent, together with a
learned encoder. An :class:`EstimatorHead` is fitted once on finished encodings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from archenc.errors import InvalidParameter, NotFitted
from archenc.losses import ComparatorLoss, Loss, MSELoss, ScoreLoss
from archenc.registry.parameters import Checked

GIVE_DEVIATIONS = (
    "choose 'mixture', 'gp', 'dngo', 'random-forest' or 'mlp-ensemble', or give boosted trees by "
    "head_params={'bags': 10} bags to differ"
)
"""What to do where a head has no deviations."""

COVERAGE = 0.8
"""Share of unseen labels that an interval is to hold."""
INTERVAL = float(norm.ppf((1 + COVERAGE) / 2))
"""Deviations to either side that hold as much of a normal distribution."""


class Head(Checked, ABC):
    """What both kinds share; the annotations of a constructor's keywords are checked
    (:mod:`archenc.registry.rules`).

    Attributes:
        paper: authors, venue, year and section of the source, where there is one.
        accepts: the kinds of losses that it can be trained with.
        outputs: labels of an architecture that it learns and predicts. With more than one, scores and targets
            are (n, outputs), and the head takes an encoding of as many parts
            (:attr:`archenc.encoder.Encoder.parts`).
        has_std: whether it says how sure it is (:meth:`EstimatorHead.predict_distribution`); where that
            depends on parameters, the class says what holds for the defaults, and an instance what holds for
            its own.
        calibrated: whether deviations are scaled by what was predicted without an architecture's own label,
            so that 1.28 of them to either side are to hold 80 percent of unseen labels.

    Examples:
        >>> import archenc
        >>> archenc.list_heads()[:4]
        ['anytime', 'comparator', 'dngo', 'gp']
    """

    paper: ClassVar[str] = ""
    accepts: ClassVar[tuple[type[Loss], ...]] = (ScoreLoss,)
    outputs: int = 1
    has_std: bool = False
    calibrated: ClassVar[bool] = False

    @classmethod
    def rejects(cls, loss: Loss) -> str | None:
        """Why the head cannot be trained with ``loss``, with the remedy, or None if it can."""
        if isinstance(loss, cls.accepts):
            return None
        return (
            "it scores one architecture at a time; use the head 'comparator' with this loss, or the loss "
            "'bce'"
        )


class NeuralHead(nn.Module, Head):
    """A module ``Head(dim, **hyperparameters)`` on encodings of length ``dim``.

    A subclass gives :meth:`forward`. One that learns from something else than scores, as a comparator does
    from pairs of encodings, gives :meth:`loss` too, and :meth:`after_epoch` if its scores depend on what it
    was trained on.
    """

    @abstractmethod
    def forward(self, encodings: Tensor) -> Tensor:
        """(B, dim) to scores (B,), or (B, outputs) if there are several."""

    def loss(self, encodings: Tensor, targets: Tensor, loss: Any, generator: torch.Generator) -> Tensor:
        """What is minimised on a batch, a scalar; the losses of several outputs are added.

        Args:
            encodings: (B, dim).
            targets: (B,), or (B, outputs) if there are several; higher is better.
            loss: one that the head does not reject.
            generator: for what is drawn.
        """
        scores: Tensor = self(encodings)
        if scores.dim() == 1:
            scalar: Tensor = loss(scores, targets, generator)
            return scalar
        columns = zip(scores.unbind(1), targets.unbind(1), strict=True)
        return torch.stack([loss(of_output, target, generator) for of_output, target in columns]).sum()

    def after_epoch(self, encode: Callable[[], Tensor]) -> None:
        """Called after each epoch of the training.

        Args:
            encode: gives the encodings (n, dim) of all that is trained on, in evaluation mode and without
                gradients; nothing is encoded unless it is called.
        """


class EstimatorHead(Head):
    """An estimator ``Head(*, ..., random_state=None)`` that is fitted on finished encodings.

    Attributes:
        teacher: name of the neural head under which a learned encoder learns the encodings first.
    """

    teacher: ClassVar[str] = "mlp"

    @abstractmethod
    def fit(self, encodings: np.ndarray, targets: np.ndarray, loss: Any) -> EstimatorHead:
        """Fit on (n, dim) float32 encodings and (n,) float64 targets, higher is better, under a loss that it
        does not reject.
        """

    @abstractmethod
    def predict(self, encodings: np.ndarray) -> np.ndarray:
        """(n, dim) to float64 (n,) scores, in the units of the targets where the loss is pointwise."""

    def predict_distribution(self, encodings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, dim) to what :meth:`predict` gives and its standard deviations, float64 (n,) each, of heads
        that have some (``has_std``).

        They are those of a label that would be observed, noise included, as far as the head's docstring says
        nothing else.
        """
        raise InvalidParameter(
            f"the head {type(self).__name__} does not say how sure it is; {GIVE_DEVIATIONS}"
        )

    @abstractmethod
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What was learnt: arrays for safetensors and JSON values; no pickle."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> EstimatorHead:
        """Take back what :meth:`state` gave; predictions are equal afterwards.

        Raises:
            CorruptFile: what comes from a file of somebody else and cannot be of such a head.
        """

    def takes(self, dim: int) -> bool:
        """Whether a restored head can score encodings of this length, as far as it knows."""
        return True

    def _check_fitted(self) -> None:
        """Raises :class:`NotFitted` unless there are attributes that :meth:`fit` or :meth:`restore` set,
        whose names end in ``_``.
        """
        if not any(name.endswith("_") for name in vars(self)):
            raise NotFitted(
                f"this {type(self).__name__} is not fitted; call fit(encodings, targets, loss) first"
            )


class SquaredErrorHead(EstimatorHead):
    """An estimator that minimises the squared error by construction."""

    accepts = (MSELoss,)

    @classmethod
    def rejects(cls, loss: Loss) -> str | None:
        if isinstance(loss, MSELoss) and not loss.sigmoid:
            return None
        other = "'comparator'" if isinstance(loss, ComparatorLoss) else "'lightgbm', 'xgboost' or 'mlp'"
        return (
            f"it minimises the squared error; use the loss 'mse' without sigmoid, or the head {other} with "
            f"{loss.name!r}"
        )
