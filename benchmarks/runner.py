"""Computing the runs of a job, with one file for each as soon as it is done."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
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
from archenc.files.documents import canonical_json
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


class Encodings:
    """What fixed encoders make of test sets, so that each is encoded once in a process and not for every
    seed, size and epoch.

    Args:
        most_bytes: of encodings that are kept; those used last stay.

    Attributes:
        saved: seconds that encodings took which were found here.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.saved = most_bytes, 0.0
        self._kept: dict[str, tuple[np.ndarray, float]] = {}

    def serve(self, predictor: Predictor) -> None:
        """Let the encoder of a predictor look here first, if it is fixed."""
        encoder = predictor.encoder_
        if encoder.fixed and "encode" not in vars(encoder):
            parts = ("encoder", "encoder_params", "simplify")
            name = canonical_json([predictor.fitted_params_[part] for part in parts])
            vars(encoder)["encode"] = functools.partial(self._encode, encoder.encode, name)

    def _encode(
        self, encode: Callable[[ArchGraphs], np.ndarray], name: str, graphs: ArchGraphs
    ) -> np.ndarray:
        content = hashlib.blake2b(f"{name} {canonical_json(graphs.space.config())}".encode())
        for array in (graphs.adjacency, graphs.ops, graphs.mask, graphs.features):
            content.update(b"" if array is None else array.cpu().numpy().tobytes())
        content.update(f"{graphs.ops.shape} {graphs.simplified}".encode())
        key = content.hexdigest()
        if key in self._kept:
            encodings, seconds = self._kept.pop(key)
            self.saved += seconds
        else:
            start = time.perf_counter()
            encodings = encode(graphs)
            seconds = time.perf_counter() - start
        self._kept[key] = encodings, seconds
        while sum(kept.nbytes for kept, _ in self._kept.values()) > self.most_bytes:
            del self._kept[next(iter(self._kept))]
        return encodings


ENCODINGS = Encodings(most_bytes=2**28)


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
    deviations: list[np.ndarray] = []
    spent: list[float] = []
    saved = ENCODINGS.saved

    def score() -> None:
        start = time.perf_counter()
        ENCODINGS.serve(predictor)
        if predictor.calibrated:
            mean, deviation = predictor.predict(test, return_std=True)
            deviations.append(deviation)
        else:
            mean = predictor.predict(test)
        scores.append(mean)
        spent.append(time.perf_counter() - start)

    def on_epoch_end(epoch: int, _: Predictor) -> None:
        if predictor.epochs - last_epochs < epoch < predictor.epochs:
            score()

    start, cpu = time.perf_counter(), time.process_time()
    predictor.fit(training_set.graphs, training_set.y, on_epoch_end=on_epoch_end)
    fit_seconds, fit_cpu = time.perf_counter() - start - sum(spent), time.process_time() - cpu
    score()  # after the last epoch
    alone = (sum(spent) + ENCODINGS.saved - saved) / len(spent)  # as if nothing had been encoded before
    return Outcome(scores, fit_seconds, alone, fit_cpu, deviations[-1] if deviations else None)


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
