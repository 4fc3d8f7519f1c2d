"""What estimators of accuracy are worth: zero-cost scores, early accuracies, sizes, and scores of your own.

The criteria are those of Ning et al., Evaluating Efficient Performance Estimators of Neural Architectures,
NeurIPS 2021: rank correlations, how well the best and the worst architectures are told apart, which ones are
over- or underestimated, and how much the ranking varies with the random seed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from archenc.dataset import ArchDataset, load_dataset
from archenc.dataset.rows import parse_rows, read_rows
from archenc.errors import InvalidParameter, InvalidTable, listed
from archenc.metrics import (
    best_rank_at_k,
    kendall_tau,
    precision_at_k,
    spearman,
    worst_rank_at_k,
)
from archenc.search.choices import sizes_of

LEAST = 20
"""Architectures that an estimator must know to be judged."""
SHARE, COUNT = 0.05, 10
"""K of the precisions, a share of the architectures, and of the ranks, a number of them."""
GROUPS = 5
MOST_OPERATIONS = 12
"""More operations than these are not looked at one by one."""
KINDS = ("zero-cost", "early", "size", "repeats", "chosen", "given")
_LABEL = re.compile(r"(?P<task>[^/]+)/(?P<metric>[^/@]+)(@(?P<epochs>[0-9]{1,9}))?(/(?P<how>.+))?")
_SEED = re.compile(r"(?P<stem>.+)/(repeat|seed)[0-9]+")
_SIZES = ("parameters", "flops", "mflops")


@dataclass(frozen=True, eq=False)
class Estimator:
    """Numbers that stand for the accuracy of N architectures; higher is better.

    Attributes:
        name: of its label, or of its column in a file; with ``*`` for its seeds.
        kind: one of :data:`KINDS`.
        values: (S, N), a row for each random seed; NaN where it knows nothing.
    """

    name: str
    kind: str
    values: np.ndarray


@dataclass(frozen=True)
class Group:
    """Architectures of about the same size: mean difference of ranks, and tau among them (NaN if undefined).

    Attributes:
        low, high: range of the property.
        count: number of architectures.
        shift: mean of estimated minus true rank, in percent of all ranks; above 0 are overestimated ones.
        tau: Kendall's tau within the group.
    """

    low: float
    high: float
    count: int
    shift: float
    tau: float


@dataclass(frozen=True)
class Bias:
    """Whether an estimator prefers architectures with more of something.

    Attributes:
        shift: Spearman's rho of the property with estimated minus true rank; above 0, architectures with more
            of it are overestimated.
        score, label: Spearman's rho of the property with the estimates and with the labels.
        groups: up to five groups of the property, from low to high.
    """

    shift: float
    score: float
    label: float
    groups: tuple[Group, ...]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What an estimator is worth on the architectures that it knows; means over its seeds.

    Attributes:
        estimator: what is judged.
        count: architectures that it knows with all of its seeds.
        tau, spearman: rank correlations with the label.
        shared_tau: Kendall's tau on the architectures that every estimator knows; NaN if they are too few.
        top, bottom: share of the best (worst) 5 percent by estimate that are among the best (worst) 5 percent
            by label.
        best_rank, worst_rank: the best and the worst true rank, from 1, among the 10 with the highest
            estimates.
        tau_std: standard deviation of tau over seeds; NaN for one.
        agreement: mean tau of one seed with another; NaN for one.
        rank_std: mean over architectures of the standard deviation of the estimated rank over seeds, in
            percent of all ranks; NaN for one.
        biases: by property.
    """

    estimator: Estimator
    count: int
    tau: float
    spearman: float
    shared_tau: float
    top: float
    bottom: float
    best_rank: float
    worst_rank: float
    tau_std: float
    agreement: float
    rank_std: float
    biases: Mapping[str, Bias]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The verdicts on all estimators of one label.

    Attributes:
        dataset, label: what is estimated.
        architectures: how many have the label.
        shared: how many of them every estimator knows.
        verdicts: by kind, and the highest tau first.
    """

    dataset: str
    label: str
    architectures: int
    shared: int
    verdicts: tuple[Verdict, ...]


# -- estimators ----------------------------------------------------------------------------------------------


def properties_of(data: ArchDataset) -> dict[str, np.ndarray]:
    """Depth, operations that compute something, parameters, and how often each operation occurs; float64 (N,)
    each.

    Parameters are counted by the space, or else a label of the data set.
    """
    parts = sizes_of(data.graphs)
    found = {part.name: part.values.astype(np.float64) for part in parts if part.kind == "number"}
    label = f"{data.label.partition('/')[0]}/parameters"
    if label in data.labels and "parameters" not in found:
        found["parameters"] = data.labels[label]
    operations = [part for part in parts if part.kind == "operation"]
    few = operations if len(operations) <= MOST_OPERATIONS else []
    return found | {f"number of {part.name}": part.values.astype(np.float64) for part in few}


def estimators_of(data: ArchDataset, chosen: Sequence[str] = ()) -> list[Estimator]:
    """What a data set holds that estimates its selected label.

    Zero-cost scores and sizes of the same task, accuracies after fewer epochs, and repeats of the label, each
    against all: how far any estimator can come. Labels that differ in their seed alone are one estimator.

    Args:
        data: with the label selected.
        chosen: labels to judge in place of those; sizes are judged beside them.

    Raises:
        UnknownName: no such label.
    """
    for name in chosen:
        data.with_label(name)
    kinds = {name: "chosen" if chosen else _kind(name, data.label) for name in chosen or data.labels}
    stems: dict[tuple[str, str], list[str]] = {}
    for name, kind in kinds.items():
        if kind and name != data.label:
            seed = None if chosen else _SEED.fullmatch(name)
            stems.setdefault((name if seed is None else f"{seed['stem']}/*", kind), []).append(name)
    found = [
        Estimator(stem if len(names) > 1 else names[0], kind, np.stack([data.labels[name] for name in names]))
        for (stem, kind), names in stems.items()
        if kind != "repeats" or len(names) > 1
    ]
    sizes = {name: values for name, values in properties_of(data).items() if not name.startswith("number of")}
    return [*found, *(Estimator(name, "size", values[None]) for name, values in sizes.items())]


def _kind(name: str, target: str) -> str:
    """What a label is to another one; empty if it estimates nothing of it."""
    one, other = _LABEL.fullmatch(name), _LABEL.fullmatch(target)
    if one is None or other is None or one["task"] != other["task"]:
        return ""
    if one["metric"].startswith("zc-"):
        return "zero-cost"
    if one["metric"] in _SIZES:
        return "size" if one["metric"] != "parameters" else ""  # a property of its own
    alike = one["metric"] == other["metric"]
    if one["epochs"] is None or other["epochs"] is None or one["metric"].endswith("seconds"):
        return ""
    if int(one["epochs"]) < int(other["epochs"]):
        return "early" if alike or one["metric"].startswith(("val_", "train_")) else ""
    return "repeats" if alike and one["epochs"] == other["epochs"] and _SEED.fullmatch(name) else ""


def read_scores(path: Path, data: ArchDataset) -> dict[str, np.ndarray]:
    """The columns of a CSV or JSONL table with a column ``arch``, float64 (N,) each; NaN where it has no
    number.

    Raises:
        InvalidTable: the line that is wrong, or a table without an architecture of the data set.
    """
    rows = read_rows(path)
    for line, row in rows:
        if row.get("arch") in (None, ""):
            raise InvalidTable(f"{path}, line {line}: there is no architecture in a column 'arch'; fill it")
    names = dict.fromkeys(name for _, row in rows for name in row if name not in ("arch", ""))
    if not rows or not names:
        raise InvalidTable(f"{path} holds no scores; write a column 'arch' and one for each estimator")
    at = data.find(parse_rows(path, data.space, [(line, row["arch"]) for line, row in rows]), missing="mark")
    if (at < 0).all():
        raise InvalidTable(f"{path} holds no architecture of the data set {data.name!r}; give its own scores")
    found = {}
    for name in names:
        values = np.full(len(data), np.nan)
        numbers = np.array([_number(path, line, name, row.get(name)) for line, row in rows])
        values[at[at >= 0]] = numbers[at >= 0]
        found[name] = values
    return found


def _number(path: Path, line: int, name: str, value: object) -> float:
    try:
        number = float("nan") if value in (None, "") else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidTable(f"{path}, line {line}: {value!r:.60} in {name!r:.60} is no number; leave it empty")
    return number if np.isfinite(number) else float("nan")


def given_estimators(data: ArchDataset, paths: Sequence[Path]) -> list[Estimator]:
    """The scores in files (:func:`read_scores`); columns of one name in several files are its seeds."""
    columns: dict[str, list[np.ndarray]] = {}
    for path in paths:
        for name, values in read_scores(path, data).items():
            columns.setdefault(name, []).append(values)
    return [Estimator(name, "given", np.stack(values)) for name, values in columns.items()]


def diagnose_all(names: Sequence[str], labels: str | None, paths: Sequence[Path]) -> list[Diagnosis]:
    """The diagnosis of each data set, ``NAME`` or ``NAME:LABEL``, as a command asks for it.

    Args:
        names: data sets.
        labels: labels to judge with commas between them, or None for all that estimate something.
        paths: files of scores, of architectures of a single data set.
    """
    if paths and len(names) > 1:
        raise InvalidParameter("--scores are those of one data set; name just one")
    chosen = [] if labels is None else [name.strip() for name in labels.split(",")]
    found = []
    for text in dict.fromkeys(names):
        name, _, label = text.partition(":")
        data = load_dataset(name, label=label or None)
        found.append(diagnose(data, [*estimators_of(data, chosen), *given_estimators(data, paths)]))
    return found


# -- verdicts ------------------------------------------------------------------------------------------------


def diagnose(data: ArchDataset, estimators: Sequence[Estimator]) -> Diagnosis:
    """Judge estimators of the selected label of a data set.

    Raises:
        InvalidTable: none of them knows 20 labelled architectures.
    """
    y, properties = data.y, properties_of(data)
    known = {each: np.isfinite(y) & np.isfinite(each.values).all(0) for each in estimators}
    judged = [each for each in estimators if known[each].sum() >= LEAST and np.ptp(y[known[each]]) > 0]
    if not judged:
        raise InvalidTable(
            f"no estimator of {data.label!r} in {data.name!r} knows {LEAST} architectures with different "
            f"labels; give scores of your own, or choose among the labels {listed(list(data.labels))}"
        )
    shared = np.logical_and.reduce([known[each] for each in judged])
    verdicts = [_verdict(each, y, known[each], shared, properties) for each in judged]
    verdicts.sort(key=lambda each: (KINDS.index(each.estimator.kind), -each.tau))
    return Diagnosis(data.name, data.label, int(np.isfinite(y).sum()), int(shared.sum()), tuple(verdicts))


def _verdict(
    one: Estimator, y: np.ndarray, known: np.ndarray, shared: np.ndarray, properties: Mapping[str, np.ndarray]
) -> Verdict:
    pairs = list(_pairs(one, y, known))
    taus = [kendall_tau(true, score) for true, score in pairs]
    common = [pair for pair in _pairs(one, y, shared) if len(pair[0]) >= LEAST]
    ranks = np.stack([_ranks(score) for _, score in pairs])
    several = len(pairs) > 1
    return Verdict(
        estimator=one,
        count=int(known.sum()),
        tau=float(np.mean(taus)),
        spearman=float(np.mean([spearman(*pair) for pair in pairs])),
        shared_tau=float(np.mean([kendall_tau(*pair) for pair in common])) if common else float("nan"),
        top=float(np.mean([precision_at_k(*pair, SHARE) for pair in pairs])),
        bottom=float(np.mean([precision_at_k(-true, -score, SHARE) for true, score in pairs])),
        best_rank=float(np.mean([best_rank_at_k(*pair, COUNT) for pair in pairs])),
        worst_rank=float(np.mean([worst_rank_at_k(*pair, COUNT) for pair in pairs])),
        tau_std=float(np.std(taus, ddof=1)) if several else float("nan"),
        agreement=(
            float(np.mean([kendall_tau(a[1], b[1]) for a, b in combinations(pairs, 2)]))
            if several
            else float("nan")
        ),
        rank_std=float(ranks.std(0, ddof=1).mean()) if several else float("nan"),
        biases={
            name: bias(pairs, values[known])
            for name, values in properties.items()
            if np.isfinite(values[known]).all() and np.ptp(values[known]) > 0
        },
    )


def _pairs(one: Estimator, y: np.ndarray, known: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labels and estimates of each seed; a repeat of the label is judged by the mean of the other repeats."""
    for seed, values in enumerate(one.values):
        apart = one.kind == "repeats"
        true = np.delete(one.values, seed, axis=0).mean(0) if apart else y
        yield true[known], values[known]


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mean ranks in percent, the lowest value first."""
    return 100 * np.asarray(rankdata(values)) / len(values)


def bias(pairs: Sequence[tuple[np.ndarray, np.ndarray]], values: np.ndarray) -> Bias:
    """The bias of estimates against a property; means over seeds.

    Args:
        pairs: labels and estimates (N,) of each seed.
        values: (N,) the property, which varies.
    """
    shifts = [_ranks(score) - _ranks(true) for true, score in pairs]
    cuts = np.unique(np.quantile(values, np.arange(1, GROUPS) / GROUPS))
    number = np.searchsorted(cuts, values, side="left")
    groups = []
    for at in np.unique(number):
        chosen = number == at
        inside = [kendall_tau(true[chosen], score[chosen]) for true, score in pairs]
        shift = float(np.mean([each[chosen].mean() for each in shifts]))
        low, high = float(values[chosen].min()), float(values[chosen].max())
        groups.append(Group(low, high, int(chosen.sum()), shift, float(np.mean(inside))))
    return Bias(
        shift=float(np.mean([spearman(values, each) for each in shifts])),
        score=float(np.mean([spearman(values, score) for _, score in pairs])),
        label=float(np.mean([spearman(values, true) for true, _ in pairs])),
        groups=tuple(groups),
    )
