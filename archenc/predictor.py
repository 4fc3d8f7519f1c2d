"""Predictor: an encoder, a head and a loss as one scikit-learn estimator over graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from archenc import create_encoder, labels
from archenc.encoder import Encoder
from archenc.errors import InvalidParameter, InvalidTable, NotFitted
from archenc.graphs import ArchGraphs
from archenc.heads.base import NeuralHead
from archenc.losses import Loss, MSELoss, PointwiseLoss
from archenc.metrics import kendall_tau
from archenc.parameters import build
from archenc.pretrained import FrozenEncoder, load_pretrained, read_card
from archenc.registry import HEADS, LOSSES, normalise
from archenc.torch_state import ordinary, own_state, plain_torch
from archenc.training import LRSchedule, Network, Optimizer, Schedule, Standardise, fit_network, score_all

EpochCallback = Callable[[int, "Predictor"], None]


class Predictor(BaseEstimator):  # type: ignore[misc]
    """Ranks architectures of the space it was fitted on.

    A learned encoder and a neural head are trained together by Adam. A fixed encoding is computed once and its columns are standardised for
    a neural head. An estimator head (ridge, Gaussian process, trees) is fitted on the fixed encoding; on a learned encoder, it is fitted on
    the embeddings that the encoder learnt with an MLP head under the same loss.

    Args:
        encoder: name of an encoder (``archenc.list_encoders()``).
        head: name of a head.
        loss: name of a loss.
        simplify: whether the encoder sees simplified graphs.
        pretrained: the encoder's pretrained weights: the folder of an ``archenc pretrain``, or a name (``archenc.list_pretrained()``).
        fine_tune: whether pretrained weights are trained together with the head; if not, they are frozen and the encoding is a fixed one.
        encoder_params, head_params, loss_params: their keyword parameters; those of a pretrained encoder are known and can be left out.
        epochs, batch_size, lr, weight_decay, lr_schedule, optimizer, warmup_epochs, gradient_clip, ema: of the gradient training
            (:class:`archenc.training.Schedule`).
        label_transform: what the loss sees (:meth:`archenc.labels.LabelTransform.fit`). It matters to pointwise losses only, and their
            predictions come back in the labels' units. The default, the normal quantiles of the labels' ranks, ranks best in our
            measurements: accuracies have a long lower tail, which otherwise dominates a squared error.
        random_state: seed of initial weights, minibatches, pairs and trees; None draws one.
        device: where the gradient training runs.
        progress: a progress bar, if the standard error is a terminal.

    Attributes:
        space_: the search space of the training graphs.
        encoder_: the encoder, trained.
        encoder_params_: its keyword parameters.
        network_: encoder and neural head, if there was gradient training.
        head_: the head, trained.
    """

    def __init__(
        self,
        encoder: str = "gates",
        head: str = "mlp",
        loss: str = "hinge",
        *,
        simplify: bool = False,
        pretrained: str | Path | None = None,
        fine_tune: bool = False,
        encoder_params: dict[str, Any] | None = None,
        head_params: dict[str, Any] | None = None,
        loss_params: dict[str, Any] | None = None,
        epochs: int = 200,
        batch_size: int = 512,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        lr_schedule: LRSchedule = "constant",
        optimizer: Optimizer = "adam",
        warmup_epochs: int = 0,
        gradient_clip: float | None = None,
        ema: float | None = None,
        label_transform: str = "normal-scores",
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        progress: bool = False,
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.loss = loss
        self.simplify = simplify
        self.pretrained = pretrained
        self.fine_tune = fine_tune
        self.encoder_params = encoder_params
        self.head_params = head_params
        self.loss_params = loss_params
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.warmup_epochs = warmup_epochs
        self.gradient_clip = gradient_clip
        self.ema = ema
        self.label_transform = label_transform
        self.random_state = random_state
        self.device = device
        self.progress = progress

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(self, graphs: ArchGraphs, y: np.ndarray, on_epoch_end: EpochCallback | None = None) -> Predictor:
        """Train on n architectures and their labels, higher is better.

        Args:
            graphs: n architectures of one space.
            y: (n,) finite labels, for example accuracies in percent; (n, T) for a head of T outputs, in order of the training time, the
                final accuracy last.
            on_epoch_end: called as ``on_epoch_end(epoch, self)`` after each epoch of a predictor with a neural head.

        Raises:
            InvalidTable: labels that are missing, not finite, or not as many for each architecture as the head has outputs.
            UnknownName, InvalidParameter: an encoder, head, loss or parameter that does not exist or does not go together.
        """
        y = _checked_labels(graphs, y)
        self._check_parameters()
        seed = self._seed()
        self.space_ = graphs.space
        self.loss_ = self._build_loss()
        self.labels_ = labels.fit(self.label_transform, y)
        targets = self.labels_.forward(y)
        with own_state(seed, self.device):
            graphs = ordinary(graphs)
            self.encoder_ = self._initial_encoder().to(self.device)
            if self._head_is_neural():
                self._fit_neural(graphs, targets, seed, on_epoch_end)
            else:
                self._fit_estimator(graphs, targets, seed)
        return self

    def _fit_neural(self, graphs: ArchGraphs, targets: np.ndarray, seed: int, on_epoch_end: EpochCallback | None) -> None:
        self.head_ = self._build_head(dim=self.encoder_.dim)
        self._check_outputs(targets)
        self._train(graphs, targets, seed, on_epoch_end)

    def _fit_estimator(self, graphs: ArchGraphs, targets: np.ndarray, seed: int) -> None:
        self.head_ = self._build_head(random_state=seed)
        self._check_outputs(targets)
        if not self.encoder_.fixed:  # the encoder learns with an MLP head first
            final = self.head_
            self.head_ = build("head", "mlp", HEADS.get("mlp"), self.encoder_.dim)
            self._train(graphs, targets, seed, None)
            self.head_ = final
        self.head_.fit(self.encoder_.encode(graphs.to(self.device)), targets, self.loss_)

    def _train(self, graphs: ArchGraphs, targets: np.ndarray, seed: int, on_epoch_end: EpochCallback | None) -> None:
        inputs = self._network_inputs(graphs)
        first = Standardise(inputs) if isinstance(inputs, torch.Tensor) else self.encoder_
        self.network_ = Network(first, self.head_).to(self.device)
        fit_network(
            self.network_,
            inputs,
            torch.as_tensor(targets, dtype=torch.float32, device=self.device),
            self.loss_,
            Schedule(**{field.name: getattr(self, field.name) for field in fields(Schedule)}),
            torch.Generator().manual_seed(seed),
            None if on_epoch_end is None else lambda epoch: on_epoch_end(epoch, self),
            self.progress,
        )

    def _network_inputs(self, graphs: ArchGraphs) -> ArchGraphs | torch.Tensor:
        graphs = graphs.to(self.device)
        if self.encoder_.fixed:
            return torch.as_tensor(self.encoder_.encode(graphs), device=self.device)
        return self.encoder_.prepare(graphs)

    # -- using -----------------------------------------------------------------------------------------------------

    def predict(self, graphs: ArchGraphs) -> np.ndarray:
        """float64 (N,): a score for each architecture, higher is better; in the labels' units if the loss is pointwise.

        With a head of T outputs (N, T), in the order of the labels.

        Raises:
            NotFitted: before :meth:`fit`.
            InvalidTable: architectures of another space.
        """
        self._check_usable(graphs)
        if len(graphs) == 0:
            return np.zeros(self._shape(0))
        with plain_torch(self.device):
            if isinstance(self.head_, NeuralHead):
                scores = score_all(self.network_, self._network_inputs(graphs)).double().cpu().numpy()
            else:
                scores = self.head_.predict(self.encoder_.encode(graphs.to(self.device)))
        return self.labels_.inverse(self.loss_.predicted_targets(scores)) if isinstance(self.loss_, PointwiseLoss) else scores

    def embed(self, graphs: ArchGraphs) -> np.ndarray:
        """float32 (N, dim): the encodings of the fitted encoder."""
        self._check_usable(graphs)
        return self.encoder_.encode(graphs.to(self.device))

    def score(self, graphs: ArchGraphs, y: np.ndarray) -> float:
        """Kendall's tau-b between predictions and labels; of the last column where there are several."""
        return float(kendall_tau(_final(np.asarray(y)), _final(self.predict(graphs))))

    def save(self, folder: str | Path) -> Path:
        """Write ``predictor.json`` and ``weights.safetensors`` into ``folder``, which is made if absent; nothing is pickled."""
        from archenc.persistence import save_predictor

        if not hasattr(self, "head_"):
            raise NotFitted("this predictor is not fitted and cannot be saved; call fit(graphs, y) first")
        return save_predictor(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """Read what :meth:`save` wrote; predictions are equal."""
        from archenc.persistence import load_predictor

        with own_state(seed=0):
            return load_predictor(Path(folder))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        for name in ("epochs", "batch_size"):
            if not isinstance(getattr(self, name), int | np.integer) or getattr(self, name) < 1:
                raise InvalidParameter(f"the predictor got {name} = {getattr(self, name)!r}; give a whole number of at least 1")
        if not self.lr > 0 or not self.weight_decay >= 0:
            raise InvalidParameter(
                f"the predictor got lr = {self.lr!r} and weight_decay = {self.weight_decay!r}; give a positive rate and a decay from 0 up"
            )
        if self.fine_tune and self.pretrained is None:
            raise InvalidParameter("fine_tune is for pretrained weights; give pretrained=..., or leave fine_tune out")
        for name, kinds in (("lr_schedule", LRSchedule), ("optimizer", Optimizer)):
            if getattr(self, name) not in get_args(kinds):
                raise InvalidParameter(f"there is no {name} {getattr(self, name)!r}; choose one of {', '.join(get_args(kinds))}")
        if not isinstance(self.warmup_epochs, int | np.integer) or not 0 <= self.warmup_epochs < self.epochs:
            raise InvalidParameter(
                f"the predictor got warmup_epochs = {self.warmup_epochs!r}; give a whole number below its {self.epochs} epochs"
            )
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise InvalidParameter(f"the predictor got gradient_clip = {self.gradient_clip!r}; give a positive length, or None not to clip")
        if self.ema is not None and not 0 < self.ema < 1:
            raise InvalidParameter(f"the predictor got ema = {self.ema!r}; give a decay between 0 and 1, or None not to average weights")
        try:
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise InvalidParameter(
                f"the device {self.device!r} cannot be used here; choose 'cpu', or 'cuda' on a machine with a GPU"
            ) from error

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _build_encoder(self) -> Encoder:
        encoder = create_encoder(self.encoder, self.space_, simplify=self.simplify, **(self.encoder_params or {}))
        return encoder if self.pretrained is None or self.fine_tune else FrozenEncoder(encoder)

    def _initial_encoder(self) -> Encoder:
        """A new encoder, or the pretrained one."""
        self.encoder_params_ = self.encoder_params or {}
        if self.pretrained is None:
            return self._build_encoder()
        settings = read_card(self.pretrained)["settings"]
        wanted = {"encoder": normalise(self.encoder), "simplify": self.simplify, "space": self.space_.config()}
        wanted["encoder_params"] = self.encoder_params_ = self.encoder_params or settings["encoder_params"]
        for name, value in wanted.items():
            if value != (normalise(settings[name]) if name == "encoder" else settings[name]):
                raise InvalidParameter(
                    f"the weights {str(self.pretrained)!r} were pretrained with {name} = {settings[name]!r:.120} and the predictor has "
                    f"{value!r:.120}; give it the same, or other weights"
                )
        encoder = load_pretrained(self.pretrained)
        return encoder if self.fine_tune else FrozenEncoder(encoder)

    def _build_loss(self) -> Loss:
        loss: Loss = build("loss", self.loss, LOSSES.get(self.loss), **(self.loss_params or {}))
        if isinstance(loss, MSELoss) and loss.sigmoid and self.label_transform != "fraction":
            raise InvalidParameter("the loss 'mse' with sigmoid needs accuracies from 0 to 1; give label_transform='fraction'")
        return loss

    def _head_is_neural(self) -> bool:
        return issubclass(HEADS.get(self.head), NeuralHead)

    def _build_head(self, dim: int | None = None, **fixed: Any) -> Any:
        factory = HEADS.get(self.head)
        reason = factory.rejects(self.loss_)
        if reason is not None:
            raise InvalidParameter(f"the head {self.head!r} cannot be trained with the loss {self.loss!r}: {reason}")
        return build("head", self.head, factory, *([] if dim is None else [dim]), **fixed, **(self.head_params or {}))

    def _shape(self, n: int) -> tuple[int, ...]:
        """Of the labels or predictions of n architectures."""
        return (n,) if self.head_.outputs == 1 else (n, self.head_.outputs)

    def _check_outputs(self, targets: np.ndarray) -> None:
        outputs, parts = self.head_.outputs, self.encoder_.parts
        if outputs not in (1, parts):
            raise InvalidParameter(
                f"the head {self.head!r} needs an encoding of {outputs} parts and that of the encoder {self.encoder!r} has {parts}; "
                f"choose the encoder 'ta-gates' with {{'anytime': True, 'steps': {outputs}}}, or the head 'mlp'"
            )
        if targets.shape != self._shape(len(targets)):
            remedy = "one label for each architecture" if outputs == 1 else f"{outputs} columns, the final accuracy last"
            raise InvalidTable(f"y has shape {targets.shape} and the head {self.head!r} learns {outputs} labels; give {remedy}")

    def _check_usable(self, graphs: ArchGraphs) -> None:
        if not hasattr(self, "head_"):
            raise NotFitted("this predictor is not fitted; call fit(graphs, y) first")
        if graphs.space != self.space_:
            raise InvalidTable(f"this predictor was fitted on {self.space_.name!r} and cannot rank {graphs.space.name!r}; fit another one")


def _checked_labels(graphs: ArchGraphs, y: np.ndarray) -> np.ndarray:
    y = np.asarray(y, dtype=np.float64)
    if y.ndim not in (1, 2) or len(y) != len(graphs):
        raise InvalidTable(f"y has shape {y.shape} for {len(graphs)} architectures; give one label each")
    if len(y) < 2:
        raise InvalidTable(f"{len(y)} labelled architectures cannot be ranked; give at least 2")
    bad = np.argwhere(~np.isfinite(y))
    if len(bad):
        first, place = y[tuple(bad[0])], ", ".join(map(str, bad[0]))
        raise InvalidTable(f"y[{place}] is {first} ({len(bad)} such labels in all); drop those architectures or give finite labels")
    return y


def _final(values: np.ndarray) -> np.ndarray:
    """(n,): the values at the end of the training."""
    return values if values.ndim == 1 else values[:, -1]
