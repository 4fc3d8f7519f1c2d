"""A fitted predictor: what it holds and how it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin

from archenc.encoder import Encoder
from archenc.errors import InvalidParameter, InvalidTable, NotFitted
from archenc.files.values import as_frame, as_labels
from archenc.graphs import ArchGraphs, as_graphs
from archenc.heads.base import GIVE_DEVIATIONS, INTERVAL, NeuralHead
from archenc.losses import Loss
from archenc.metrics import kendall_tau
from archenc.predictor import companions
from archenc.predictor.companions import Companion
from archenc.spaces.base import Space
from archenc.torch_state import plain_torch
from archenc.training import Network, score_all
from archenc.training.side_information import SideInformation
from archenc.training.targets import ColumnTransforms, LabelTransform

if TYPE_CHECKING:
    import pandas

NUMBERS_PER_BLOCK = 2**26
"""Numbers of an encoding that :meth:`FittedPredictor.predict` holds at once for an estimator head: 256
MiB.
"""


class FittedPredictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """What a predictor can do once it has learnt.

    Attributes:
        fitted_params_: the parameters of the fit as plain values. What is predicted and saved depends on
            these.
        space_: the search space of the training graphs.
        simplified_: whether these were simplified.
        side_: what was learnt about side information, the columns that are appended to a fixed encoding.
        encoder_: the encoder, trained.
        network_: encoder and neural head, if there was gradient training.
        head_: the head, trained.
        loss_: the loss it was trained with.
        labels_: the transform from labels to targets.
        companions_: the companions, trained.
        losses_: mean training loss of each epoch, if there was gradient training since it was built or read.
    """

    fitted_params_: dict[str, Any]
    space_: Space
    simplified_: bool
    side_: SideInformation
    encoder_: Encoder
    network_: Network
    head_: Any  # a NeuralHead or an EstimatorHead
    loss_: Loss
    losses_: list[float]
    labels_: LabelTransform | ColumnTransforms
    companions_: list[Companion]

    def checked_parameters(self) -> dict[str, Any]:
        """All parameters as plain values; raises :class:`InvalidParameter` for what is none or makes no
        sense.
        """
        raise NotImplementedError

    @overload
    def predict(self, graphs: Any, return_std: Literal[False] = False) -> np.ndarray: ...

    @overload
    def predict(self, graphs: Any, return_std: Literal[True]) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(self, graphs: Any, return_std: bool = False) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """float64 (N,): a score for each architecture, higher is better; in the labels' units if the loss is
        pointwise.

        With a head of T outputs (N, T), in the order of the labels.

        Args:
            graphs: the architectures, in any form that :func:`archenc.graphs.as_graphs` takes.
            return_std: whether the standard deviation of each prediction, in the same units, is given beside
                it, as in scikit-learn.

        Raises:
            NotFitted: before :meth:`fit`.
            InvalidArchitecture: no architectures of the space.
            InvalidTable: architectures of another space or without the side information of the training, or
                one whose score is not a finite number.
            InvalidParameter: deviations of a head that has none.
        """
        graphs = self._usable(graphs)
        if return_std:
            return self.in_label_units(*self.raw_distribution(graphs))
        if len(graphs) == 0:
            return np.zeros(self._shape(0))
        return _checked_scores(
            self._in_units(companions.mix(self.companions_, self.raw_scores(graphs), graphs))
        )

    def raw_scores(self, graphs: ArchGraphs) -> np.ndarray:
        """float64 (N,): what the head gives, which is in the units of the loss's targets, without
        companions.
        """
        with plain_torch(self.fitted_params_["device"]):
            if isinstance(self.head_, NeuralHead):
                return score_all(self.network_, self._network_inputs(graphs)).double().cpu().numpy()
            return np.concatenate([self.head_.predict(block) for block in self._blocks(graphs)])

    def raw_distribution(self, graphs: ArchGraphs) -> tuple[np.ndarray, np.ndarray]:
        """Means with companions, and standard deviations, float64 (N,) each, in the units of the loss's
        targets.

        Raises:
            InvalidParameter: the head has no deviations.
        """
        if not self.has_std:
            raise InvalidParameter(
                f"the head {self.fitted_params_['head']!r} does not say how sure it is; {GIVE_DEVIATIONS}"
            )
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
        """Scores in the units of the labels if they have one under the loss, else as they are."""
        return scores if self.loss_.ranks else self.labels_.inverse(self.loss_.to_targets(scores))

    def in_label_units(self, mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What :meth:`raw_distribution` gives, in the units of the labels; there the interval of 80 percent
        is as wide as it is here.
        """
        width = self._in_units(mean + INTERVAL * deviation) - self._in_units(mean - INTERVAL * deviation)
        return _checked_scores(self._in_units(mean)), _checked_scores(width / (2 * INTERVAL))

    def predict_frame(self, graphs: Any) -> pandas.DataFrame:
        """:meth:`predict` as a pandas DataFrame: the columns ``architecture`` (text), ``score`` and, where
        the head has it, ``std``.

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
        """What a head that chooses did: members, weights, out-of-fold Kendall's tau, seconds; raises
        :class:`NotFitted` before a fit.
        """
        if not hasattr(self, "head_"):
            raise NotFitted("this predictor is not fitted; call fit(graphs, y) first")
        report: dict[str, Any] = dict(getattr(self.head_, "report_", {}))
        if "out_of_fold" in report:
            report["out_of_fold"] = self._in_units(np.asarray(report["out_of_fold"])).tolist()
        beside = {each.predictor.fitted_params_["encoder"]: each.scale.weight for each in self.companions_}
        return (
            {name: self.fitted_params_[name] for name in ("encoder", "head", "loss")}
            | {"companions": beside}
            | report
        )

    @property
    def has_std(self) -> bool:
        """Whether the fitted head has deviations (:attr:`archenc.heads.base.Head.has_std`)."""
        return bool(self.head_.has_std)

    @property
    def calibrated(self) -> bool:
        """Whether the fitted head's deviations are (:attr:`archenc.heads.base.Head.calibrated`)."""
        return bool(self.head_.calibrated)

    def _repr_html_(self) -> str:
        from archenc.predictor.display import predictor_html

        return predictor_html(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # scikit-learn's bundle has its own HTML, and notebooks ask for the bundle first.
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def embed(self, graphs: Any) -> np.ndarray:
        """float32 (N, dim): the encodings of the fitted encoder, without side information."""
        graphs = self._usable(graphs)
        return self.encoder_.encode(graphs.to(self.fitted_params_["device"]))

    def score(self, graphs: Any, y: Any) -> float:
        """Kendall's tau-b between predictions and labels; of the last column where there are several."""
        return float(kendall_tau(final_labels(as_labels(y)), final_labels(self.predict(graphs))))

    # -- shapes and units ------------------------------------------------------------------------------------

    def _shape(self, n: int) -> tuple[int, ...]:
        """Of the labels or predictions of n architectures."""
        return (n,) if self.head_.outputs == 1 else (n, self.head_.outputs)

    def _network_inputs(self, graphs: ArchGraphs) -> ArchGraphs | torch.Tensor:
        graphs = graphs.to(self.fitted_params_["device"])
        if self.encoder_.fixed:
            return torch.as_tensor(self._encodings(graphs), device=graphs.device)
        return self.encoder_.prepare(graphs)

    def _encodings(self, graphs: ArchGraphs) -> np.ndarray:
        """What the head gets of a finished encoding: that of the graph, and side information."""
        return self.side_.appended(self.encoder_.encode(graphs.to(self.fitted_params_["device"])), graphs)

    def _usable(self, architectures: Any) -> ArchGraphs:
        """Architectures as those of the training; raises :class:`NotFitted`, or :class:`InvalidTable` for
        others.
        """
        if not hasattr(self, "head_"):
            raise NotFitted("this predictor is not fitted; call fit(graphs, y) first")
        graphs = as_graphs(architectures, self.space_, self.fitted_params_["notation"])
        if graphs.space != self.space_:
            raise InvalidTable(
                f"this predictor was fitted on {self.space_.name!r} and cannot rank {graphs.space.name!r}; "
                "fit another one"
            )
        if graphs.simplified != self.simplified_ and not self.encoder_.simplify:
            was, given = ("simplified", "plain") if self.simplified_ else ("plain", "simplified")
            raise InvalidTable(
                f"this predictor was fitted on {was} graphs and would score {given} ones otherwise; give it "
                f"{was} ones"
            )
        return graphs


def _checked_scores(scores: np.ndarray) -> np.ndarray:
    bad = np.argwhere(~np.isfinite(scores))
    if len(bad):
        raise InvalidTable(
            f"the score of architecture {bad[0][0]} is {scores[tuple(bad[0])]} ({len(bad)} such scores in "
            "all); "
            "fit again with a smaller lr, with gradient_clip, or with labels in another unit"
        )
    return scores


def final_labels(values: np.ndarray) -> np.ndarray:
    """(n,): the values at the end of the training, where there are several."""
    return values[:, -1] if values.ndim == 2 else values
