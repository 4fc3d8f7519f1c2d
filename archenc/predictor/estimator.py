"""Predictor: an encoder, a head and a loss as one scikit-learn estimator over graphs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils import check_random_state

from archenc.errors import InvalidParameter, InvalidTable, NotFitted
from archenc.files.values import as_labels
from archenc.graphs import ArchGraphs, as_graphs, ordinary
from archenc.predictor import companions
from archenc.predictor.automatic import Budget, recommend
from archenc.predictor.fitted import FittedPredictor
from archenc.predictor.folder import load_predictor, save_predictor
from archenc.predictor.parts import build_encoder, build_head, build_loss, head_is_neural, pretrained_encoder
from archenc.pretraining import check_device
from archenc.registry import HEADS, as_space, normalise
from archenc.registry.parameters import checked_by, fields_of, takes_fields
from archenc.registry.rules import Name, RandomState
from archenc.spaces.base import Space
from archenc.torch_state import own_state
from archenc.training import Network, Schedule, Standardise, Task, fit_network
from archenc.training import targets as labels
from archenc.training.side_information import SideInformation, refuse_side_information

EpochCallback = Callable[[int, "Predictor"], None]
Transform = Literal["normal-scores", "standardize", "fraction", "none"]


class Predictor(FittedPredictor):
    """Ranks architectures of the space it was fitted on.

    A learned encoder and a neural head are trained together by Adam. A fixed encoding is computed once and
    its columns are standardised for a neural head. An estimator head (ridge, Gaussian process, trees) is
    fitted on the fixed encoding; on a learned encoder, it is fitted on the embeddings that the encoder learnt
    with an MLP head under the same loss.

    Args:
        encoder: name of an encoder (``archenc.list_encoders()``), or ``"auto"`` for the encoder, head and
            loss that :func:`archenc.recommend` gives for the space and the number of labels; what it did is
            in :attr:`report_`.
        head: name of a head; the one given here is for an encoder of your own choice.
        loss: name of a loss; likewise.
        simplify: whether the encoder sees simplified graphs.
        pretrained: the encoder's pretrained weights: the folder of an ``archenc pretrain``, or a name
            (``archenc.list_pretrained()``).
        fine_tune: whether pretrained weights are trained together with the head; if not, they are frozen and
            the encoding is a fixed one.
        encoder_params, head_params, loss_params: their keyword parameters; those of a pretrained encoder are
            known and can be left out.
        companions: the parameters of further predictors, each with a ``weight`` (1 by default), that are
            trained on the same labels. The score is then a weighted mean of standardised scores, in which
            this predictor's own head counts 1 (:mod:`archenc.predictor.companions`).
        budget: what the encoder ``"auto"`` may cost (:func:`archenc.recommend`).
        label_transform: what the loss sees (:meth:`archenc.training.targets.LabelTransform.fit`). It matters
            to pointwise losses only, and their predictions come back in the labels' units. The default, the
            normal quantiles of the labels' ranks, ranks best in our measurements: accuracies have a long
            lower tail, which otherwise dominates a squared error.
        random_state: seed of initial weights, minibatches, pairs and trees, or a generator to draw one from;
            None draws one.
        device: where the gradient training runs.
        progress: a progress bar, if the standard error is a terminal.
        space: the space of the architectures, or its name, for those that are given as texts, dicts, networkx
            graphs and so on (:func:`archenc.graphs.as_graphs`); None learns it from the graphs of
            :meth:`fit`.
        notation: how numbers in such architectures are read, one of the space's ``notations``, as
            ``"naslib"``; None for its default.
        training: ``epochs``, ``batch_size``, ``lr`` and all other fields of
            :class:`archenc.training.Schedule`.

    What it learns is in the attributes of :class:`archenc.predictor.fitted.FittedPredictor`.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> graphs = space.sample(60, seed=0)
        >>> y = space.costs(graphs)["flops"]  # stands for accuracies
        >>> predictor = archenc.Predictor("op-count", "ridge", "mse", random_state=0)
        >>> predictor.fit(graphs[:40], y[:40]).score(graphs[40:], y[40:]) > 0.8
        True
    """

    @takes_fields(Schedule)
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
        label_transform: Transform = "normal-scores",
        random_state: RandomState = None,
        device: Name = "cpu",
        progress: bool = False,
        space: Space | Name | None = None,
        notation: Name | None = None,
        **training: Any,
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
        self.label_transform = label_transform
        self.random_state = random_state
        self.device = device
        self.progress = progress
        self.space = space
        self.notation = notation
        for name, value in fields_of(Schedule, training).items():
            setattr(self, name, value)

    # -- fitting ---------------------------------------------------------------------------------------------

    def fit(self, graphs: Any, y: Any, on_epoch_end: EpochCallback | None = None) -> Predictor:
        """Train on n architectures and their labels, higher is better.

        Args:
            graphs: n architectures of one space: graphs, or with ``space`` whatever
                :func:`archenc.graphs.as_graphs` takes. What is known of each
                (:meth:`archenc.graphs.ArchGraphs.with_architecture_features`) is appended to a fixed
                encoding.
            y: (n,) or (n, 1) finite labels, for example accuracies in percent; (n, T) for a head of T
                outputs, in order of the training time, the final accuracy last.
            on_epoch_end: called as ``on_epoch_end(epoch, self)`` after each epoch of a predictor with a
                neural head.

        Raises:
            InvalidTable: labels that are missing, not finite, all equal where they are to be ranked, or not
                as many for each architecture as the head has outputs.
            InvalidArchitecture: no architectures of the space, or no graphs where the space is not known.
            UnknownName, InvalidParameter: an encoder, head, loss or parameter that does not exist or does not
                go together.
        """
        parameters = self.checked_parameters()
        graphs = self._given(graphs)
        y = _checked_labels(graphs, y)
        seed = _seed(self.random_state)
        with self._all_or_nothing():
            self.side_ = SideInformation.fit(graphs)
            self.fitted_params_ = self.side_.told(_chosen(parameters, graphs))
            self.space_, self.simplified_, self.companions_ = graphs.space, graphs.simplified, []
            self.loss_ = build_loss(self.fitted_params_)
            self._check_order(y)
            self.labels_ = labels.fit(self.fitted_params_["label_transform"], y)
            targets = self.labels_.forward(y)
            with own_state(seed, parameters["device"]):
                graphs = ordinary(graphs)
                made = build_encoder if self.fitted_params_["pretrained"] is None else pretrained_encoder
                self.encoder_ = made(self.fitted_params_, self.space_).to(parameters["device"])
                if not self.encoder_.fixed:
                    refuse_side_information(graphs, self.fitted_params_["encoder"])
                if head_is_neural(self.fitted_params_):
                    self._fit_neural(graphs, targets, seed, on_epoch_end)
                else:
                    self._fit_estimator(graphs, targets, seed)
            self.companions_ = companions.fit(self, graphs, y, seed)
            self.predict(graphs[:2])  # raises where the training has gone astray
        return self

    def _given(self, architectures: Any) -> ArchGraphs:
        """The architectures to learn from; raises :class:`InvalidTable` for those of another space than
        ``space``.
        """
        space = self._named_space()
        graphs = as_graphs(architectures, space, self.notation)
        if space is not None and graphs.space != space:
            raise InvalidTable(
                f"the predictor is for {space.name!r} and the graphs belong to {graphs.space.name!r}; change "
                "one of them"
            )
        return graphs

    def _named_space(self) -> Space | None:
        """The space that the parameter ``space`` says."""
        return as_space(self.space)

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

    def _fit_neural(
        self, graphs: ArchGraphs, targets: np.ndarray, seed: int, on_epoch_end: EpochCallback | None
    ) -> None:
        self.head_ = build_head(self.fitted_params_, self.loss_, self.encoder_.dim + self.side_.dim)
        self._check_outputs(targets)
        self._train(graphs, targets, seed, on_epoch_end)

    def _fit_estimator(self, graphs: ArchGraphs, targets: np.ndarray, seed: int) -> None:
        final: Any = build_head(self.fitted_params_, self.loss_, random_state=seed)
        self.head_ = final
        self._check_outputs(targets)
        if not self.encoder_.fixed:  # the encoder learns with a neural head first
            self.head_ = HEADS.create(final.teacher, self.encoder_.dim)
            self._train(graphs, targets, seed, None)
            self.head_ = final
        final.fit(self._encodings(graphs), targets, self.loss_)

    def _train(
        self, graphs: ArchGraphs, targets: np.ndarray, seed: int, on_epoch_end: EpochCallback | None
    ) -> None:
        parameters = self.fitted_params_
        if parameters["batch_size"] < 2 and self.loss_.ranks:
            raise InvalidParameter(
                f"in batches of one the loss {parameters['loss']!r} has nothing to compare; give a "
                "batch_size from 2 up, or the loss 'mse'"
            )
        inputs = self._network_inputs(graphs)
        first = Standardise(inputs) if isinstance(inputs, torch.Tensor) else self.encoder_
        self.network_ = Network(first, self.head_).to(parameters["device"])
        learnt = torch.as_tensor(targets, dtype=torch.float32, device=parameters["device"])
        self.losses_ = fit_network(
            Task(self.network_, inputs, learnt, self.loss_, torch.Generator().manual_seed(seed)),
            self._schedule(parameters),
            None if on_epoch_end is None else lambda epoch: on_epoch_end(epoch, self),
            parameters["progress"],
        )
        if not all(bool(weight.isfinite().all()) for weight in self.network_.state_dict().values()):
            raise InvalidParameter(
                "the training diverged, with weights that are not finite; give a smaller lr, or gradient_clip"
            )

    def save(self, folder: str | Path) -> Path:
        """Write ``predictor.json`` and ``weights.safetensors`` into ``folder``, which is made if absent;
        nothing is pickled.

        Raises:
            NotFitted: before :meth:`fit`.
            InvalidParameter, CannotWrite: no folder, or one that cannot be written; an older predictor in it
                stays as it was.
        """
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
            DataNotFound, CorruptFile: there is no predictor, or one that cannot be rebuilt; nothing of it is
                trusted.
        """
        return load_predictor(cls, folder, device)

    # -- parameters ------------------------------------------------------------------------------------------

    def checked_parameters(self) -> dict[str, Any]:
        """All parameters as plain values, which JSON can hold; raises :class:`InvalidParameter` for what is
        none or makes no sense.
        """
        parameters: dict[str, Any] = self.get_params(deep=False)
        for rules in (type(self), Schedule):
            parameters = checked_by(rules, parameters, "the predictor")
        if not isinstance(parameters["random_state"], int):
            parameters["random_state"] = None  # what a generator draws is in the weights
        if parameters["pretrained"] is not None:
            parameters["pretrained"] = str(parameters["pretrained"])
        elif parameters["fine_tune"]:
            raise InvalidParameter(
                "fine_tune is for pretrained weights; give pretrained=..., or leave fine_tune out"
            )
        if "simplify" in (parameters["encoder_params"] or {}):
            raise InvalidParameter(
                "encoder_params holds 'simplify', which is a parameter of the predictor; give it as "
                "simplify=..."
            )
        if (space := self._named_space()) is not None:
            parameters["space"] = space.config()
        self._schedule(parameters)
        check_device(parameters["device"])
        return parameters

    @staticmethod
    def _schedule(parameters: dict[str, Any]) -> Schedule:
        return Schedule(**{field.name: parameters[field.name] for field in fields(Schedule)})

    def _check_outputs(self, targets: np.ndarray) -> None:
        used, outputs, parts = self.fitted_params_, self.head_.outputs, self.encoder_.parts
        if outputs not in (1, parts):
            raise InvalidParameter(
                f"the head {used['head']!r} needs an encoding of {outputs} parts and that of the encoder "
                f"{used['encoder']!r} has {parts}; "
                f"choose an encoder that gives {outputs} parts, or a head of one output"
            )
        if targets.shape != self._shape(len(targets)):
            remedy = (
                "one label for each architecture"
                if outputs == 1
                else f"{outputs} columns, the final accuracy last"
            )
            raise InvalidTable(
                f"y has shape {targets.shape} and the head {used['head']!r} learns {outputs} labels; give "
                f"{remedy}"
            )

    def _check_order(self, y: np.ndarray) -> None:
        if self.loss_.ranks and (y == y[:1]).all(axis=0).any():
            raise InvalidTable(
                f"all {len(y)} labels are equal and the loss {self.loss_.name!r} has nothing to rank; give "
                "others, or the loss 'mse'"
            )


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
    parts = (
        "head",
        "loss",
        "simplify",
        "pretrained",
        "encoder_params",
        "head_params",
        "loss_params",
        "companions",
    )
    given = [name for name in parts if parameters[name] != usual[name]]
    if given:
        raise InvalidParameter(
            f"the encoder 'auto' chooses all parts, and {given[0]} was given; leave it out, or give an "
            "encoder too"
        )


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
        raise InvalidTable(
            f"y[{place}] is {first} ({len(bad)} such labels in all); drop those architectures or give finite "
            "labels"
        )
    return y
