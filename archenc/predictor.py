"""Predictor: an encoder, a head and a loss as one scikit-learn estimator over graphs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state

from archenc import companions, labels
from archenc.automatic import Budget, recommend
from archenc.encoder import Encoder
from archenc.errors import InvalidParameter, InvalidTable, NotFitted
from archenc.graphs import ArchGraphs, as_graphs
from archenc.heads.base import GIVE_DEVIATIONS, INTERVAL, NeuralHead
from archenc.losses import Loss, MSELoss, PointwiseLoss
from archenc.metrics import kendall_tau
from archenc.parameters import build, checked_by
from archenc.pretrained import FrozenEncoder, load_pretrained, read_card
from archenc.pretraining import check_device
from archenc.registry import ENCODERS, HEADS, LOSSES, normalise
from archenc.rules import Count, Name, NotNegative, Positive, RandomState, Share, Whole
from archenc.side_information import SideInformation, refuse_side_information
from archenc.spaces.base import Space
from archenc.torch_state import ordinary, own_state, plain_torch
from archenc.training import LRSchedule, Network, Optimizer, Schedule, Standardise, fit_network, score_all
from archenc.values import as_frame, as_labels

if TYPE_CHECKING:
    import pandas

EpochCallback = Callable[[int, "Predictor"], None]
Transform = Literal["normal-scores", "standardize", "fraction", "none"]
NUMBERS_PER_BLOCK = 2**26
"""Numbers of an encoding that :meth:`Predictor.predict` holds at once for an estimator head: 256 MiB."""


class Predictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Ranks architectures of the space it was fitted on.

    A learned encoder and a neural head are trained together by Adam. A fixed encoding is computed once and its columns are standardised for
    a neural head. An estimator head (ridge, Gaussian process, trees) is fitted on the fixed encoding; on a learned encoder, it is fitted on
    the embeddings that the encoder learnt with an MLP head under the same loss.

    Args:
        encoder: name of an encoder (``archenc.list_encoders()``), or ``"auto"`` for the encoder, head and loss that
            :func:`archenc.recommend` gives for the space and the number of labels; what it did is in :attr:`report_`.
        head: name of a head; the one given here is for an encoder of your own choice.
        loss: name of a loss; likewise.
        simplify: whether the encoder sees simplified graphs.
        pretrained: the encoder's pretrained weights: the folder of an ``archenc pretrain``, or a name (``archenc.list_pretrained()``).
        fine_tune: whether pretrained weights are trained together with the head; if not, they are frozen and the encoding is a fixed one.
        encoder_params, head_params, loss_params: their keyword parameters; those of a pretrained encoder are known and can be left out.
        companions: the parameters of further predictors, each with a ``weight`` (1 by default), that are trained on the same labels. The
            score is then a weighted mean of standardised scores, in which this predictor's own head counts 1 (:mod:`archenc.companions`).
        budget: what the encoder ``"auto"`` may cost (:func:`archenc.recommend`).
        epochs, batch_size, lr, weight_decay, lr_schedule, optimizer, warmup_epochs, gradient_clip, ema: of the gradient training
            (:class:`archenc.training.Schedule`).
        label_transform: what the loss sees (:meth:`archenc.labels.LabelTransform.fit`). It matters to pointwise losses only, and their
            predictions come back in the labels' units. The default, the normal quantiles of the labels' ranks, ranks best in our
            measurements: accuracies have a long lower tail, which otherwise dominates a squared error.
        random_state: seed of initial weights, minibatches, pairs and trees, or a generator to draw one from; None draws one.
        device: where the gradient training runs.
        progress: a progress bar, if the standard error is a terminal.
        space: the space of the architectures, or its name, for those that are given as texts, dicts, networkx graphs and so on
            (:func:`archenc.graphs.as_graphs`); None learns it from the graphs of :meth:`fit`.
        notation: how numbers in such architectures are read, one of the space's ``notations``, as ``"naslib"``; None for its default.

    Attributes:
        fitted_params_: the parameters of :meth:`fit` as plain values. What is predicted and saved depends on these, whatever
            :meth:`set_params` changes later.
        space_: the search space of the training graphs.
        simplified_: whether these were simplified.
        side_: what was learnt about side information, the columns that are appended to a fixed encoding.
        encoder_: the encoder, trained.
        network_: encoder and neural head, if there was gradient training.
        head_: the head, trained.
        companions_: the companions, trained.
    """

    def __init__(
        self,
        encoder: Name = "auto",
        head: Name = "mlp",
        loss: Name = "hinge",
        *,
        simplify: bool = False,
        pretrained: str | Path | None = None,
        fine_tune: bool = False,
        encoder_params: dict[str, Any] | None = None,
        head_params: dict[str, Any] | None = None,
        loss_params: dict[str, Any] | None = None,
        companions: list[dict[str, Any]] | None = None,
        budget: Budget = "normal",
        epochs: Count = 200,
        batch_size: Count = 512,
        lr: Positive = 1e-3,
        weight_decay: NotNegative = 0.0,
        lr_schedule: LRSchedule = "constant",
        optimizer: Optimizer = "adam",
        warmup_epochs: Whole = 0,
        gradient_clip: Positive | None = None,
        ema: Share | None = None,
        label_transform: Transform = "normal-scores",
        random_state: RandomState = None,
        device: Name = "cpu",
        progress: bool = False,
        space: Space | Name | None = None,
        notation: Name | None = None,
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
        self.companions = companions
        self.budget = budget
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
        self.space = space
        self.notation = notation

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(self, graphs: Any, y: Any, on_epoch_end: EpochCallback | None = None) -> Predictor:
        """Train on n architectures and their labels, higher is better.

        Args:
            graphs: n architectures of one space: graphs, or with ``space`` whatever :func:`archenc.graphs.as_graphs` takes. What is known
                of each (:meth:`archenc.graphs.ArchGraphs.with_architecture_features`) is appended to a fixed encoding.
            y: (n,) or (n, 1) finite labels, for example accuracies in percent; (n, T) for a head of T outputs, in order of the training
                time, the final accuracy last.
            on_epoch_end: called as ``on_epoch_end(epoch, self)`` after each epoch of a predictor with a neural head.

        Raises:
            InvalidTable: labels that are missing, not finite, all equal where they are to be ranked, or not as many for each
                architecture as the head has outputs.
            InvalidArchitecture: no architectures of the space, or no graphs where the space is not known.
            UnknownName, InvalidParameter: an encoder, head, loss or parameter that does not exist or does not go together.
        """
        parameters = self._checked_parameters()
        graphs = self._given(graphs)
        y = _checked_labels(graphs, y)
        seed = _seed(self.random_state)
        with self._all_or_nothing():
            self.side_ = SideInformation.fit(graphs)
            self.fitted_params_ = self.side_.told(_chosen(parameters, graphs))
            self.space_, self.simplified_, self.companions_ = graphs.space, graphs.simplified, []
            self.loss_ = self._build_loss()
            self._check_order(y)
            self.labels_ = labels.fit(self.fitted_params_["label_transform"], y)
            targets = self.labels_.forward(y)
            with own_state(seed, parameters["device"]):
                graphs = ordinary(graphs)
                self.encoder_ = self._initial_encoder().to(parameters["device"])
                if not self.encoder_.fixed:
                    refuse_side_information(graphs, self.fitted_params_["encoder"])
                if self._head_is_neural():
                    self._fit_neural(graphs, targets, seed, on_epoch_end)
                else:
                    self._fit_estimator(graphs, targets, seed)
            self.companions_ = companions.fit(self, graphs, y, seed)
            self.predict(graphs[:2])  # raises where the training has gone astray
        return self

    def _given(self, architectures: Any) -> ArchGraphs:
        """The architectures to learn from; raises :class:`InvalidTable` for those of another space than ``space``."""
        space = self._named_space()
        graphs = as_graphs(architectures, space, self.notation)
        if space is not None and graphs.space != space:
            raise InvalidTable(f"the predictor is for {space.name!r} and the graphs belong to {graphs.space.name!r}; change one of them")
        return graphs

    def _named_space(self) -> Space | None:
        """The space that the parameter ``space`` says."""
        from archenc import create_space

        return create_space(self.space) if isinstance(self.space, str) else self.space

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Fitted attributes are made afresh inside; if that fails, those of before are back."""
        attributes: dict[str, Any] = self.__dict__
        before = {name: attributes.pop(name) for name in list(attributes) if name.endswith("_")}
        try:
            yield
        except BaseException:
            for name in [name for name in attributes if name.endswith("_")]:
                del attributes[name]
            attributes.update(before)
            raise

    def _fit_neural(self, graphs: ArchGraphs, targets: np.ndarray, seed: int, on_epoch_end: EpochCallback | None) -> None:
        self.head_ = self._build_head(dim=self.encoder_.dim + self.side_.dim)
        self._check_outputs(targets)
        self._train(graphs, targets, seed, on_epoch_end)

    def _fit_estimator(self, graphs: ArchGraphs, targets: np.ndarray, seed: int) -> None:
        final = self._build_head(random_state=seed)
        self.head_ = final
        self._check_outputs(targets)
        if not self.encoder_.fixed:  # the encoder learns with an MLP head first
            self.head_ = build("head", "mlp", HEADS.get("mlp"), self.encoder_.dim)
            self._train(graphs, targets, seed, None)
            self.head_ = final
        final.fit(self._encodings(graphs), targets, self.loss_)

    def _train(self, graphs: ArchGraphs, targets: np.ndarray, seed: int, on_epoch_end: EpochCallback | None) -> None:
        parameters = self.fitted_params_
        if parameters["batch_size"] < 2 and self.loss_.kind != "pointwise":
            raise InvalidParameter(
                f"in batches of one the loss {parameters['loss']!r} has nothing to compare; give a batch_size from 2 up, or the loss 'mse'"
            )
        inputs = self._network_inputs(graphs)
        first = Standardise(inputs) if isinstance(inputs, torch.Tensor) else self.encoder_
        self.network_ = Network(first, self.head_).to(parameters["device"])
        fit_network(
            self.network_,
            inputs,
            torch.as_tensor(targets, dtype=torch.float32, device=parameters["device"]),
            self.loss_,
            Schedule(**{field.name: parameters[field.name] for field in fields(Schedule)}),
            torch.Generator().manual_seed(seed),
            None if on_epoch_end is None else lambda epoch: on_epoch_end(epoch, self),
            parameters["progress"],
        )
        if not all(bool(weight.isfinite().all()) for weight in self.network_.state_dict().values()):
            raise InvalidParameter("the training diverged, with weights that are not finite; give a smaller lr, or gradient_clip")

    def _network_inputs(self, graphs: ArchGraphs) -> ArchGraphs | torch.Tensor:
        graphs = graphs.to(self.fitted_params_["device"])
        if self.encoder_.fixed:
            return torch.as_tensor(self._encodings(graphs), device=graphs.device)
        return self.encoder_.prepare(graphs)

    def _encodings(self, graphs: ArchGraphs) -> np.ndarray:
        """What the head gets of a finished encoding: that of the graph, and side information."""
        return self.side_.appended(self.encoder_.encode(graphs.to(self.fitted_params_["device"])), graphs)

    # -- using -----------------------------------------------------------------------------------------------------

    @overload
    def predict(self, graphs: Any, return_std: Literal[False] = False) -> np.ndarray: ...

    @overload
    def predict(self, graphs: Any, return_std: Literal[True]) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(self, graphs: Any, return_std: bool = False) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """float64 (N,): a score for each architecture, higher is better; in the labels' units if the loss is pointwise.

        With a head of T outputs (N, T), in the order of the labels.

        Args:
            graphs: the architectures, in any form that :func:`archenc.graphs.as_graphs` takes.
            return_std: whether the standard deviation of each prediction, in the same units, is given beside it, as in scikit-learn.

        Raises:
            NotFitted: before :meth:`fit`.
            InvalidArchitecture: no architectures of the space.
            InvalidTable: architectures of another space or without the side information of the training, or one whose score is not a
                finite number.
            InvalidParameter: deviations of a head that has none.
        """
        graphs = self._usable(graphs)
        if return_std:
            return self.in_label_units(*self.raw_distribution(graphs))
        if len(graphs) == 0:
            return np.zeros(self._shape(0))
        return _checked_scores(self._in_units(companions.mix(self.companions_, self.raw_scores(graphs), graphs)))

    def raw_scores(self, graphs: ArchGraphs) -> np.ndarray:
        """float64 (N,): what the head gives, which is in the units of the loss's targets, without companions."""
        with plain_torch(self.fitted_params_["device"]):
            if isinstance(self.head_, NeuralHead):
                return score_all(self.network_, self._network_inputs(graphs)).double().cpu().numpy()
            return np.concatenate([self.head_.predict(block) for block in self._blocks(graphs)])

    def raw_distribution(self, graphs: ArchGraphs) -> tuple[np.ndarray, np.ndarray]:
        """Means with companions, and standard deviations, float64 (N,) each, in the units of the loss's targets.

        Raises:
            InvalidParameter: the head has no deviations.
        """
        if not self.has_std:
            raise InvalidParameter(f"the head {self.fitted_params_['head']!r} does not say how sure it is; {GIVE_DEVIATIONS}")
        if len(graphs) == 0:
            return np.zeros(0), np.zeros(0)
        with plain_torch(self.fitted_params_["device"]):
            means, deviations = zip(*map(self.head_.predict_distribution, self._blocks(graphs)), strict=True)
        return companions.mix(self.companions_, np.concatenate(means), graphs), np.concatenate(deviations)

    def _blocks(self, graphs: ArchGraphs) -> Iterator[np.ndarray]:
        """The encodings of architectures, a block of them at a time."""
        rows = max(1, NUMBERS_PER_BLOCK // self.encoder_.dim)
        return (self._encodings(graphs[start : start + rows]) for start in range(0, len(graphs), rows))

    def _in_units(self, scores: np.ndarray) -> np.ndarray:
        """Scores in the units of the labels if the loss is pointwise, else as they are."""
        return self.labels_.inverse(self.loss_.predicted_targets(scores)) if isinstance(self.loss_, PointwiseLoss) else scores

    def in_label_units(self, mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What :meth:`raw_distribution` gives, in the units of the labels; there the interval of 80 percent is as wide as it is here."""
        width = self._in_units(mean + INTERVAL * deviation) - self._in_units(mean - INTERVAL * deviation)
        return _checked_scores(self._in_units(mean)), _checked_scores(width / (2 * INTERVAL))

    def predict_frame(self, graphs: Any) -> pandas.DataFrame:
        """:meth:`predict` as a pandas DataFrame: the columns ``architecture`` (text), ``score`` and, where the head has it, ``std``.

        With a head of T outputs the columns ``score0`` to ``score{T - 1}``.

        Raises:
            DataNotFound: pandas, which archenc does not need otherwise, is not installed.
        """
        graphs = self._usable(graphs)
        columns: dict[str, Any] = {"architecture": self.space_.format(graphs)}
        if self.has_std:
            columns["score"], columns["std"] = self.predict(graphs, return_std=True)
        elif (scores := self.predict(graphs)).ndim == 1:
            columns["score"] = scores
        else:
            columns |= {f"score{at}": column for at, column in enumerate(scores.T)}
        return as_frame(columns)

    @property
    def report_(self) -> dict[str, Any]:
        """What a head that chooses did: members, weights, out-of-fold Kendall's tau, seconds; raises :class:`NotFitted` before a fit."""
        if not hasattr(self, "head_"):
            raise NotFitted("this predictor is not fitted; call fit(graphs, y) first")
        report: dict[str, Any] = dict(getattr(self.head_, "report_", {}))
        if "out_of_fold" in report:
            report["out_of_fold"] = self._in_units(np.asarray(report["out_of_fold"])).tolist()
        beside = {each.predictor.fitted_params_["encoder"]: each.scale.weight for each in self.companions_}
        return {name: self.fitted_params_[name] for name in ("encoder", "head", "loss")} | {"companions": beside} | report

    @property
    def has_std(self) -> bool:
        """Whether the fitted head has deviations (:attr:`archenc.heads.base.Head.has_std`)."""
        return bool(self.head_.has_std)

    @property
    def calibrated(self) -> bool:
        """Whether the fitted head's deviations are (:attr:`archenc.heads.base.Head.calibrated`)."""
        return bool(self.head_.calibrated)

    def embed(self, graphs: Any) -> np.ndarray:
        """float32 (N, dim): the encodings of the fitted encoder, without side information."""
        graphs = self._usable(graphs)
        return self.encoder_.encode(graphs.to(self.fitted_params_["device"]))

    def score(self, graphs: Any, y: Any) -> float:
        """Kendall's tau-b between predictions and labels; of the last column where there are several."""
        return float(kendall_tau(_final(as_labels(y)), _final(self.predict(graphs))))

    def save(self, folder: str | Path) -> Path:
        """Write ``predictor.json`` and ``weights.safetensors`` into ``folder``, which is made if absent; nothing is pickled.

        Raises:
            NotFitted: before :meth:`fit`.
            InvalidParameter, CannotWrite: no folder, or one that cannot be written; an older predictor in it stays as it was.
        """
        from archenc.persistence import save_predictor

        if not hasattr(self, "head_"):
            raise NotFitted("this predictor is not fitted and cannot be saved; call fit(graphs, y) first")
        return save_predictor(self, folder)

    @classmethod
    def load(cls, folder: str | Path, device: str | None = None) -> Predictor:
        """Read what :meth:`save` wrote, whoever sent it; predictions are equal.

        Args:
            folder: where it lies.
            device: where it predicts, if not where it was trained.

        Raises:
            DataNotFound, CorruptFile: there is no predictor, or one that cannot be rebuilt; nothing of it is trusted.
        """
        from archenc.persistence import load_predictor

        return load_predictor(folder, device)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _checked_parameters(self) -> dict[str, Any]:
        """All parameters as plain values, which JSON can hold; raises :class:`InvalidParameter` for what is none or makes no sense."""
        parameters = checked_by(type(self), self.get_params(deep=False), "the predictor")
        if not isinstance(parameters["random_state"], int):
            parameters["random_state"] = None  # what a generator draws is in the weights
        if parameters["pretrained"] is not None:
            parameters["pretrained"] = str(parameters["pretrained"])
        elif parameters["fine_tune"]:
            raise InvalidParameter("fine_tune is for pretrained weights; give pretrained=..., or leave fine_tune out")
        if "simplify" in (parameters["encoder_params"] or {}):
            raise InvalidParameter("encoder_params holds 'simplify', which is a parameter of the predictor; give it as simplify=...")
        if (space := self._named_space()) is not None:
            parameters["space"] = space.config()
        Schedule(**{field.name: parameters[field.name] for field in fields(Schedule)})
        check_device(parameters["device"])
        return parameters

    def _build_encoder(self) -> Encoder:
        used = self.fitted_params_
        factory, parameters = ENCODERS.get(used["encoder"]), used["encoder_params"] or {}
        encoder: Encoder = build("encoder", used["encoder"], factory, self.space_, simplify=used["simplify"], **parameters)
        return encoder if used["pretrained"] is None or used["fine_tune"] else FrozenEncoder(encoder)

    def _initial_encoder(self) -> Encoder:
        """A new encoder, or the pretrained one, whose parameters are then the used ones."""
        used = self.fitted_params_
        if used["pretrained"] is None:
            return self._build_encoder()
        settings = read_card(used["pretrained"])["settings"]
        used["encoder_params"] = used["encoder_params"] or settings["encoder_params"]
        wanted = {"encoder": normalise(used["encoder"]), "space": self.space_.config()}
        wanted |= {name: used[name] for name in ("simplify", "encoder_params")}
        for name, value in wanted.items():
            if value != (normalise(settings[name]) if name == "encoder" else settings[name]):
                raise InvalidParameter(
                    f"the weights {used['pretrained']!r} were pretrained with {name} = {settings[name]!r:.120} and the predictor has "
                    f"{value!r:.120}; give it the same, or other weights"
                )
        encoder = load_pretrained(used["pretrained"])
        return encoder if used["fine_tune"] else FrozenEncoder(encoder)

    def _build_loss(self) -> Loss:
        used = self.fitted_params_
        loss: Loss = build("loss", used["loss"], LOSSES.get(used["loss"]), **(used["loss_params"] or {}))
        if isinstance(loss, MSELoss) and loss.sigmoid and used["label_transform"] != "fraction":
            raise InvalidParameter("the loss 'mse' with sigmoid needs accuracies from 0 to 1; give label_transform='fraction'")
        return loss

    def _head_is_neural(self) -> bool:
        return issubclass(HEADS.get(self.fitted_params_["head"]), NeuralHead)

    def _build_head(self, dim: int | None = None, **fixed: Any) -> Any:
        name, parameters = self.fitted_params_["head"], self.fitted_params_["head_params"] or {}
        factory = HEADS.get(name)
        reason = factory.rejects(self.loss_)
        if reason is not None:
            raise InvalidParameter(f"the head {name!r} cannot be trained with the loss {self.fitted_params_['loss']!r}: {reason}")
        return build("head", name, factory, *([] if dim is None else [dim]), **{**fixed, **parameters})

    def _shape(self, n: int) -> tuple[int, ...]:
        """Of the labels or predictions of n architectures."""
        return (n,) if self.head_.outputs == 1 else (n, self.head_.outputs)

    def _check_outputs(self, targets: np.ndarray) -> None:
        used, outputs, parts = self.fitted_params_, self.head_.outputs, self.encoder_.parts
        if outputs not in (1, parts):
            raise InvalidParameter(
                f"the head {used['head']!r} needs an encoding of {outputs} parts and that of the encoder {used['encoder']!r} has {parts}; "
                f"choose the encoder 'ta-gates' with {{'anytime': True, 'steps': {outputs}}}, or the head 'mlp'"
            )
        if targets.shape != self._shape(len(targets)):
            remedy = "one label for each architecture" if outputs == 1 else f"{outputs} columns, the final accuracy last"
            raise InvalidTable(f"y has shape {targets.shape} and the head {used['head']!r} learns {outputs} labels; give {remedy}")

    def _check_order(self, y: np.ndarray) -> None:
        if self.loss_.kind != "pointwise" and (y == y[:1]).all(axis=0).any():
            raise InvalidTable(
                f"all {len(y)} labels are equal and the loss {self.loss_.name!r} has nothing to rank; give others, or the loss 'mse'"
            )

    def _usable(self, architectures: Any) -> ArchGraphs:
        """Architectures as those of the training; raises :class:`NotFitted`, or :class:`InvalidTable` for others."""
        if not hasattr(self, "head_"):
            raise NotFitted("this predictor is not fitted; call fit(graphs, y) first")
        graphs = as_graphs(architectures, self.space_, self.fitted_params_["notation"])
        if graphs.space != self.space_:
            raise InvalidTable(f"this predictor was fitted on {self.space_.name!r} and cannot rank {graphs.space.name!r}; fit another one")
        if graphs.simplified != self.simplified_ and not self.encoder_.simplify:
            was, given = ("simplified", "plain") if self.simplified_ else ("plain", "simplified")
            raise InvalidTable(f"this predictor was fitted on {was} graphs and would score {given} ones otherwise; give it {was} ones")
        return graphs


def _chosen(parameters: dict[str, Any], graphs: ArchGraphs) -> dict[str, Any]:
    """The parameters, with those that ``"auto"`` stands for."""
    if normalise(parameters["encoder"]) != "auto":
        return parameters
    _check_left_to_auto(parameters)
    chosen = parameters | recommend(graphs.space, len(graphs), parameters["budget"])
    known_more = graphs.architecture_features is not None  # networks do not see it
    return chosen | ({"companions": None} if known_more else {})


def _check_left_to_auto(parameters: dict[str, Any]) -> None:
    """Raise :class:`InvalidParameter` for a part that was given to ``"auto"``, which would not use it."""
    usual = {name: parameter.default for name, parameter in inspect.signature(Predictor).parameters.items()}
    parts = ("head", "loss", "simplify", "pretrained", "encoder_params", "head_params", "loss_params", "companions")
    given = [name for name in parts if parameters[name] != usual[name]]
    if given:
        raise InvalidParameter(f"the encoder 'auto' chooses all parts, and {given[0]} was given; leave it out, or give an encoder too")


def _seed(random_state: Any) -> int:
    """A seed: the given one, or one drawn from the given generator, or from numpy's global one."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _checked_labels(graphs: ArchGraphs, given: Any) -> np.ndarray:
    y = as_labels(given)
    if y.ndim not in (1, 2) or len(y) != len(graphs):
        raise InvalidTable(f"y has shape {y.shape} for {len(graphs)} architectures; give one label each")
    if len(y) < 2:
        raise InvalidTable(f"{len(y)} labelled architectures cannot be ranked; give at least 2")
    bad = np.argwhere(~np.isfinite(y))
    if len(bad):
        first, place = y[tuple(bad[0])], ", ".join(map(str, bad[0]))
        raise InvalidTable(f"y[{place}] is {first} ({len(bad)} such labels in all); drop those architectures or give finite labels")
    return y


def _checked_scores(scores: np.ndarray) -> np.ndarray:
    bad = np.argwhere(~np.isfinite(scores))
    if len(bad):
        raise InvalidTable(
            f"the score of architecture {bad[0][0]} is {scores[tuple(bad[0])]} ({len(bad)} such scores in all); "
            "fit again with a smaller lr, with gradient_clip, or with labels in another unit"
        )
    return scores


def _final(values: np.ndarray) -> np.ndarray:
    """(n,): the values at the end of the training, where there are several."""
    return values[:, -1] if values.ndim == 2 else values
