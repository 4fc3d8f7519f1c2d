"""Computing the runs of a job, with one file for each as soon as it is done."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import archenc
from archenc.benchmarks.jobs import Failure, Job
from archenc.benchmarks.methods import Method
from archenc.benchmarks.protocol import SELECTIONS, Protocol
from archenc.benchmarks.runs import run_id
from archenc.dataset import ArchDataset
from archenc.dataset.splits import Split
from archenc.files.machine import machine, versions
from archenc.files.trusted import write_json
from archenc.graphs import ArchGraphs
from archenc.heads.base import INTERVAL
from archenc.metrics import evaluate

if TYPE_CHECKING:
    from archenc.predictor import Predictor


@dataclass(frozen=True)
class TrainingSet:
    """What one run is trained on: n architectures, their labels (n,), and the seed of the predictor."""

    graphs: ArchGraphs
    y: np.ndarray
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What one run gave.

    Attributes:
        scores: float64 (T,) predictions for the test set, after each of the epochs that count.
        fit_seconds, predict_seconds: wall time of training, and of one prediction of the test set.
        fit_cpu_seconds: time of all processors for the training.
        deviations: float64 (T,) of the last predictions, of a predictor with calibrated ones.
    """

    scores: list[np.ndarray]
    fit_seconds: float
    predict_seconds: float
    fit_cpu_seconds: float
    deviations: np.ndarray | None = None


class Data(NamedTuple):
    """The data with the label that is trained on and with the one that is scored, and the split."""

    dataset: ArchDataset
    scored: ArchDataset
    split: Split


@functools.lru_cache(maxsize=1)
def load(protocol: Protocol) -> Data:
    """The data of a protocol, once for each process."""
    dataset = archenc.load_dataset(protocol.dataset, label=protocol.label)
    scored = dataset if protocol.test_label is None else dataset.with_label(protocol.test_label)
    return Data(dataset, scored, protocol.split.apply(dataset, protocol.test_label))


def run_job(job: Job) -> list[Failure]:
    """Compute the runs of a job and write a file for each; one that raises is reported, the others go on."""
    data, left = load(job.protocol), list(job.seeds)
    dataset, split = data.dataset, data.split
    try:
        picked = [split.training_subset(job.size, job.protocol.subset_seed(seed)) for seed in left]
        training_sets = [
            TrainingSet(dataset.graphs[rows], dataset.y[rows], seed)
            for rows, seed in zip(picked, left, strict=True)
        ]
        last_epochs = SELECTIONS[job.protocol.selection]
        for outcome in fit_and_predict(job.method, training_sets, dataset.graphs[split.test], last_epochs):
            write_run(job, left[0], outcome, data)
            del left[0]
    except OSError:
        raise  # a full disk or a missing permission stops everything
    except Exception as error:
        failed, *others = left
        failures = [Failure.of(job, failed, error)]
        return failures + (run_job(replace(job, seeds=tuple(others))) if others else [])
    return []


def fit_and_predict(
    method: Method, training_sets: Sequence[TrainingSet], test: ArchGraphs, last_epochs: int
) -> Iterator[Outcome]:
    """Train one predictor on each training set and let it score the test set.

    The outcomes come in order, each as soon as it is known. A predictor with epochs scores after each of the
    ``last_epochs`` last ones, another one once.
    """
    for training_set in training_sets:
        yield _fit_and_predict_one(method.predictor(training_set.seed), training_set, test, last_epochs)


def _fit_and_predict_one(
    predictor: Predictor, training_set: TrainingSet, test: ArchGraphs, last_epochs: int
) -> Outcome:
    scores: list[np.ndarray] = []
    predicting: list[float] = []
    deviations: np.ndarray | None = None

    def on_epoch_end(epoch: int, _: Predictor) -> None:
        if predictor.epochs - last_epochs < epoch < predictor.epochs:
            start = time.perf_counter()
            scores.append(predictor.predict(test))
            predicting.append(time.perf_counter() - start)

    start, cpu = time.perf_counter(), time.process_time()
    predictor.fit(training_set.graphs, training_set.y, on_epoch_end=on_epoch_end)
    fit_seconds, fit_cpu = time.perf_counter() - start - sum(predicting), time.process_time() - cpu
    start = time.perf_counter()  # of the last epoch
    if predictor.calibrated:
        last, deviations = predictor.predict(test, return_std=True)
    else:
        last = predictor.predict(test)
    predicting.append(time.perf_counter() - start)
    return Outcome([*scores, last], fit_seconds, sum(predicting) / len(predicting), fit_cpu, deviations)


def write_run(job: Job, seed: int, outcome: Outcome, data: Data) -> None:
    """Write a run's file, whole or not at all."""
    dataset, scored, split = data
    y_true = scored.y[split.test]
    by_epoch = [evaluate(y_true, scores, job.protocol.metrics) for scores in outcome.scores]
    means = {name: float(np.mean([values[name] for values in by_epoch])) for name in job.protocol.metrics}
    coverage = _coverage(y_true, outcome) if scored is dataset else {}  # another label may be in other units
    key = job.key(seed)
    seen = {"architectures": len(dataset), "digest": dataset.digest, "duplicates": dataset.duplicates}
    write_json(
        job.path(seed),
        {
            "run": run_id(key),
            "key": key,
            "metrics": {name: value if np.isfinite(value) else None for name, value in means.items()},
            "epochs_averaged": len(by_epoch),
            **coverage,
            "dataset": seen if scored is dataset else {**seen, "test_digest": scored.digest},
            "split": {
                "name": split.name,
                "pool": len(split.pool),
                "test": len(split.test),
                "digest": split.digest,
            },
            "seconds": {
                "fit": round(outcome.fit_seconds, 6),
                "predict": round(outcome.predict_seconds, 6),
                "fit_cpu": round(outcome.fit_cpu_seconds, 6),
            },
            "versions": versions(),
            "machine": machine(),
            "command": job.command,
        },
    )


def _coverage(y_true: np.ndarray, outcome: Outcome) -> dict[str, float]:
    """The share of labels in the interval that is to hold 80 percent of them, if there is one."""
    if outcome.deviations is None:
        return {}
    inside = np.abs(y_true - outcome.scores[-1]) <= INTERVAL * outcome.deviations
    return {"coverage": float(inside[np.isfinite(y_true)].mean())}
