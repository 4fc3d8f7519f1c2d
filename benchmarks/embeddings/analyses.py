"""What pretrained embeddings are worth: the analyses of arch2vec (Yan et al., NeurIPS 2020, section 4.1) in
numbers.

Each compares the pretrained embeddings with supervised ones: those of an encoder of the same kind and size
that learns from scratch, with an MLP head and a squared error, the labels that the Gaussian process gets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from archenc import metrics
from archenc.benchmarks.embeddings import walks
from archenc.dataset import ArchDataset
from archenc.encoder import Encoder
from archenc.errors import InvalidParameter, InvalidTable
from archenc.files.progress import progress
from archenc.heads.gp import GaussianProcessHead
from archenc.losses import MSELoss
from archenc.predictor import Predictor
from archenc.training.targets import LabelTransform

Projection = Literal["pca", "tsne", "umap"]
Rows = tuple[np.ndarray, np.ndarray]
"""Positions to learn from, and to judge predictions on."""

MAP_SIZE = 3_000
MIN_PAIRS = 20


@dataclass(frozen=True)
class Plan:
    """What is analysed and how.

    Attributes:
        training_size: labelled architectures that the Gaussian process and the supervised encoder learn from.
        repeats: how often they do, from other architectures each time.
        above: predictions are judged on those of the other architectures whose label is higher.
        projection: how the map is drawn.
        seed: of everything that is drawn.
    """

    training_size: int = 250
    repeats: int = 10
    above: float = 80.0
    projection: Projection = "pca"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.projection not in get_args(Projection):
            raise InvalidParameter(
                f"there is no map {self.projection!r}; choose one of {', '.join(get_args(Projection))}"
            )


@dataclass(frozen=True)
class Regression:
    """A Gaussian process on embeddings.

    Attributes:
        rmse, pearson: (repeats,), errors in units of the label, correlations of labels and predictions.
        labels, predictions: of the first repeat.
    """

    rmse: np.ndarray
    pearson: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray

    def numbers(self) -> dict[str, Any]:
        return {name: _over_repeats(getattr(self, name)) for name in ("rmse", "pearson")}


@dataclass(frozen=True)
class Distances:
    """L2 distances of embeddings by edit distance.

    Attributes:
        edits: the edit distances of at least 20 pairs, 1 to 8.
        mean, std, pairs: of the L2 distances at each, and how many there are.
        spearman: correlation of edit distances and mean L2 distances.
        spearman_of_pairs: the same of all single pairs.
    """

    edits: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    pairs: np.ndarray
    spearman: float
    spearman_of_pairs: float

    @property
    def monotone(self) -> bool:
        """Whether the mean L2 distance grows with every edit."""
        return len(self.mean) > 1 and bool((np.diff(self.mean) > 0).all())

    def numbers(self) -> dict[str, Any]:
        columns = zip(
            self.edits.tolist(), self.mean.tolist(), self.std.tolist(), self.pairs.tolist(), strict=True
        )
        return {
            "by_edit_distance": [
                dict(zip(("edits", "mean", "std", "pairs"), column, strict=True)) for column in columns
            ],
            "monotone": self.monotone,
            "spearman": _finite(self.spearman),
            "spearman_of_pairs": _finite(self.spearman_of_pairs),
        }


@dataclass(frozen=True)
class Map:
    """Embeddings in the plane, (n, 2), the labels that colour them, and for PCA the share of the variance
    that the plane holds.
    """

    points: np.ndarray
    labels: np.ndarray
    explained_variance: float | None


@dataclass(frozen=True)
class Analyses:
    """All analyses: ``"pretrained"`` and ``"supervised"``, and of autocorrelations also those of ``"edit"``
    walks.
    """

    plan: Plan
    architectures: int
    evaluated: int
    exact_edits: bool
    regressions: dict[str, Regression]
    distances: dict[str, Distances]
    maps: dict[str, Map]
    autocorrelations: dict[str, walks.Autocorrelation]

    def numbers(self) -> dict[str, Any]:
        """As JSON values; what is undefined is None."""
        edits = "exact" if self.exact_edits else "steps of the walk"
        return {
            "plan": asdict(self.plan),
            "architectures": self.architectures,
            "evaluated": self.evaluated,
            "gaussian_process": {"unit_of_rmse": "that of the label", **_each(self.regressions)},
            "l2_distance": {"edit_distance": edits, **_each(self.distances)},
            "map": {name: {"explained_variance": one.explained_variance} for name, one in self.maps.items()},
            "autocorrelation": {
                name: {"walks": one.walks, "by_steps": [_finite(value) for value in one.values.tolist()]}
                for name, one in self.autocorrelations.items()
            },
        }


def analyse(
    encoder: Encoder, settings: dict[str, Any], data: ArchDataset, plan: Plan, *, show_progress: bool = False
) -> Analyses:
    """All analyses of a pretrained encoder; the same arguments always give the same numbers.

    Args:
        encoder: the pretrained encoder.
        settings: those of its card, of which the supervised encoder is built.
        data: architectures of its space; those without the selected label are left out.
        plan: what is analysed and how.
        show_progress: a progress bar, if standard error is a terminal.

    Raises:
        InvalidParameter: another space, or a map that needs a package which is not there.
        InvalidTable: no label is selected, or too few architectures have one.
    """
    if data.space != encoder.space:
        raise InvalidParameter(
            f"the encoder was pretrained on {encoder.space.name!r} and the architectures of {data.name!r} "
            f"are of {data.space.name!r}; "
            "give a data set of the same space"
        )
    _projector(plan, 3)  # before any work
    data = data[data.labelled_rows()]
    splits = [split(data, plan, repeat) for repeat in range(plan.repeats)]
    learnt = [
        supervised_encoder(settings, data[train], plan.seed + repeat)
        for repeat, (train, _) in enumerate(progress(splits, "learning embeddings", show=show_progress))
    ]
    embeddings = {"pretrained": encoder.encode(data.graphs), "supervised": learnt[0].encode(data.graphs)}
    regressions = {
        "pretrained": regress((embeddings["pretrained"] for _ in splits), data.y, splits, plan),
        "supervised": regress((one.encode(data.graphs) for one in learnt), data.y, splits, plan),
    }
    wandering = walks.through_space(data.space, plan.seed)
    return Analyses(
        plan,
        len(data),
        len(regressions["pretrained"].labels),
        wandering.exact,
        regressions,
        {
            name: distances(one.encode(wandering.graphs), wandering)
            for name, one in (("pretrained", encoder), ("supervised", learnt[0]))
        },
        {name: project(values, data.y, plan) for name, values in embeddings.items()},
        walks.autocorrelations(data, embeddings, plan.seed),
    )


# -- Gaussian process ----------------------------------------------------------------------------------------


def split(data: ArchDataset, plan: Plan, repeat: int) -> Rows:
    """Random architectures to learn from, and all others whose label is above ``plan.above``; raises
    :class:`InvalidTable` for too few.
    """
    order = np.random.RandomState(plan.seed + repeat).permutation(len(data))
    train, others = order[: plan.training_size], order[plan.training_size :]
    test = others[data.y[others] > plan.above]
    if len(test) < 2:
        raise InvalidTable(
            f"{data.name} has {len(data)} architectures with a label {data.label!r}, and of those beside the "
            f"{len(train)} to learn from "
            f"{len(test)} with one above {plan.above:g}; learn from fewer, or judge on those above a lower "
            "one"
        )
    return train, test


def supervised_encoder(settings: dict[str, Any], data: ArchDataset, seed: int) -> Encoder:
    """An encoder of the pretrained one's kind and size that learns the labels of ``data`` from scratch."""
    predictor = Predictor(
        settings["encoder"],
        "mlp",
        "mse",
        simplify=settings["simplify"],
        encoder_params=settings["encoder_params"],
        random_state=seed,
    )
    return predictor.fit(data.graphs, data.y).encoder_


def regress(
    embeddings: Iterable[np.ndarray], y: np.ndarray, splits: Sequence[Rows], plan: Plan
) -> Regression:
    """A Gaussian process (:class:`archenc.heads.gp.GaussianProcessHead`) for each split, on embeddings (N,
    dim) of its own.

    It learns the normal quantiles of the labels' ranks, as the predictors do by default, since a few networks
    that did not learn would dominate a squared error of accuracies; its predictions are brought back to the
    labels' units.
    """
    predictions = []
    for repeat, (values, (train, test)) in enumerate(zip(embeddings, splits, strict=True)):
        transform = LabelTransform.fit("normal-scores", y[train])
        process = GaussianProcessHead(random_state=plan.seed + repeat).fit(
            values[train], transform.forward(y[train]), MSELoss()
        )
        predictions.append(transform.inverse(process.predict(values[test])))
    pairs = [(y[test], predicted) for (_, test), predicted in zip(splits, predictions, strict=True)]
    rmse, pearson = (
        np.array([measure(*pair) for pair in pairs]) for measure in (metrics.rmse, metrics.pearson)
    )
    return Regression(rmse, pearson, *pairs[0])


# -- latent space --------------------------------------------------------------------------------------------


def distances(embeddings: np.ndarray, wandering: walks.Wandering) -> Distances:
    """L2 distances of the pairs of a walk, by edit distance; ``embeddings`` are those of its cells."""
    l2 = np.linalg.norm(embeddings[wandering.first] - embeddings[wandering.second], axis=1).astype(np.float64)
    groups = {edits: l2[wandering.edits == edits] for edits in range(1, walks.SPAN + 1)}
    groups = {edits: group for edits, group in groups.items() if len(group) >= MIN_PAIRS}
    edits, mean = np.array(list(groups)), np.array([group.mean() for group in groups.values()])
    std, pairs = (
        np.array([group.std() for group in groups.values()]),
        np.array([len(group) for group in groups.values()]),
    )
    spearman = metrics.spearman(edits, mean) if groups else math.nan
    return Distances(edits, mean, std, pairs, spearman, metrics.spearman(wandering.edits, l2))


def project(embeddings: np.ndarray, labels: np.ndarray, plan: Plan) -> Map:
    """The map of at most 3,000 architectures, drawn at random."""
    rows = np.random.RandomState(plan.seed).permutation(len(labels))[:MAP_SIZE]
    values = embeddings[rows].astype(np.float64)
    if values.shape[1] < 2:
        values = np.pad(values, ((0, 0), (0, 1)))
    projector = _projector(plan, len(rows))
    points = np.asarray(projector.fit_transform(values), dtype=np.float64)
    ratios = getattr(projector, "explained_variance_ratio_", None)
    return Map(points, labels[rows], None if ratios is None else _finite(float(ratios.sum())))


def _projector(plan: Plan, count: int) -> Any:
    if plan.projection == "pca":
        return PCA(2, random_state=plan.seed)
    if plan.projection == "tsne":
        return TSNE(2, perplexity=min(30.0, (count - 1) / 3), random_state=plan.seed)
    try:
        from umap import UMAP  # type: ignore[import-not-found]
    except ImportError:
        raise InvalidParameter(
            "the map 'umap' needs the package umap-learn; install it, or choose 'pca' or 'tsne'"
        ) from None
    return UMAP(n_components=2, n_neighbors=min(15, count - 1), random_state=plan.seed, n_jobs=1)


# -- numbers -------------------------------------------------------------------------------------------------


def _each(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part.numbers() for name, part in parts.items()}


def _over_repeats(values: np.ndarray) -> dict[str, Any]:
    """Mean, standard deviation with n - 1 in the denominator, and the values themselves."""
    std = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return {
        "mean": _finite(float(values.mean())),
        "std": _finite(std),
        "values": [_finite(value) for value in values.tolist()],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
