"""Running a protocol: which runs are missing, who computes them, and one file for each as soon as it is done."""

from __future__ import annotations

import functools
import importlib.metadata
import multiprocessing
import os
import platform
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import archenc
from archenc.benchmarks.methods import Method
from archenc.benchmarks.protocol import SELECTIONS, Protocol
from archenc.benchmarks.results import finished, run_id, run_key
from archenc.dataset import ArchDataset
from archenc.errors import ArchencError
from archenc.files import write_json
from archenc.graphs import ArchGraphs
from archenc.heads.base import INTERVAL
from archenc.metrics import evaluate, metric
from archenc.progress import progress
from archenc.splits import Split

if TYPE_CHECKING:
    from archenc.predictor import Predictor

PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "lightgbm", "xgboost")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """Runs that are computed together: the seeds of one method at one training size.

    Attributes:
        protocol, method: what is run.
        size: number of training architectures.
        seeds: of the runs that are missing.
        folder: where run files go.
        command: what a user types to get these runs, without the seeds.
    """

    protocol: Protocol
    method: Method
    size: int
    seeds: tuple[int, ...]
    folder: Path
    command: str

    def key(self, seed: int) -> dict[str, Any]:
        return run_key(self.protocol, self.method, self.size, seed)

    def path(self, seed: int) -> Path:
        """The run's file."""
        return self.folder / f"{run_id(self.key(seed))}.json"


@dataclass(frozen=True)
class Failure:
    """A run that raised."""

    method: str
    size: int
    seed: int
    reason: str


def summarise(failures: Iterable[Failure]) -> list[str]:
    """One sentence for each method and reason, with the sizes and seeds that failed."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.method, failure.reason), []).append(failure)

    def values(group: list[Failure], name: str) -> str:
        return ", ".join(map(str, sorted({getattr(failure, name) for failure in group})))

    return [f"{method} (size {values(g, 'size')}; seed {values(g, 'seed')}): {reason}" for (method, reason), g in sorted(groups.items())]


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


# -- planning ------------------------------------------------------------------------------------------------------


def plan(
    protocol: Protocol, methods: Iterable[Method], sizes: Sequence[int], seeds: Sequence[int], folder: Path, command: str, force: bool
) -> tuple[list[Job], list[str]]:
    """The jobs that are left to do, largest first, and a sentence for each damaged run file.

    Args:
        protocol: what is measured.
        methods: what is run, in every combination with
        sizes: training sizes, and
        seeds: seeds.
        folder: where run files are and go.
        command: the command line up to the choice of methods.
        force: compute finished runs again.
    """
    for name in protocol.metrics:
        metric(name)
    jobs, warnings = [], []
    for method in methods:
        for size in sizes:
            job = Job(protocol, method, size, tuple(seeds), folder, f"{command} --methods {shlex.quote(method.name)} --sizes {size}")
            states = {seed: finished(job.path(seed)) for seed in seeds}
            warnings += [warning for _, warning in states.values() if warning is not None]
            left = tuple(seed for seed, (done, _) in states.items() if force or not done)
            if left:
                jobs.append(replace(job, seeds=left))
    return sorted(jobs, key=lambda job: -job.size * len(job.seeds)), warnings


# -- computing -----------------------------------------------------------------------------------------------------


def fit_and_predict(method: Method, training_sets: Sequence[TrainingSet], test: ArchGraphs, last_epochs: int) -> Iterator[Outcome]:
    """Train one predictor on each training set and let it score the test set; the outcomes come in order, each as soon as it is known.

    A predictor with epochs scores after each of the ``last_epochs`` last ones, another one once.
    """
    for training_set in training_sets:
        yield _fit_and_predict_one(method.predictor(training_set.seed), training_set, test, last_epochs)


def _fit_and_predict_one(predictor: Predictor, training_set: TrainingSet, test: ArchGraphs, last_epochs: int) -> Outcome:
    scores: list[np.ndarray] = []
    predicting: list[float] = []

    def predict() -> None:
        start = time.perf_counter()
        scores.append(predictor.predict(test))
        predicting.append(time.perf_counter() - start)

    def on_epoch_end(epoch: int, _: Predictor) -> None:
        if predictor.epochs - last_epochs < epoch < predictor.epochs:
            predict()

    start, cpu = time.perf_counter(), time.process_time()
    predictor.fit(training_set.graphs, training_set.y, on_epoch_end=on_epoch_end)
    fit_seconds, fit_cpu = time.perf_counter() - start - sum(predicting), time.process_time() - cpu
    predict()  # the last epoch
    deviations = predictor.predict(test, return_std=True)[1] if predictor.calibrated else None
    return Outcome(scores, fit_seconds, sum(predicting) / len(predicting), fit_cpu, deviations)


@functools.lru_cache(maxsize=1)
def load(protocol: Protocol) -> tuple[ArchDataset, ArchDataset, Split]:
    """The data with the label that is trained on and with the one that is scored, and the split, once for each process."""
    dataset = archenc.load_dataset(protocol.dataset, label=protocol.label)
    scored = dataset if protocol.test_label is None else dataset.with_label(protocol.test_label)
    return dataset, scored, protocol.split.apply(dataset, protocol.test_label)


def run_job(job: Job) -> list[Failure]:
    """Compute the runs of a job and write a file for each; a run that raises is reported, and the others go on."""
    dataset, scored, split = load(job.protocol)
    left = list(job.seeds)
    try:
        picked = [split.training_subset(job.size, job.protocol.subset_seed(seed)) for seed in left]
        training_sets = [TrainingSet(dataset.graphs[rows], dataset.y[rows], seed) for rows, seed in zip(picked, left, strict=True)]
        last_epochs = SELECTIONS[job.protocol.selection]
        for outcome in fit_and_predict(job.method, training_sets, dataset.graphs[split.test], last_epochs):
            write_run(job, left[0], outcome, dataset, scored, split)
            del left[0]
    except OSError:
        raise  # a full disk or a missing permission stops everything
    except Exception as error:
        failed, *others = left
        failures = [Failure(job.method.name, job.size, failed, reason_of(error))]
        return failures + (run_job(replace(job, seeds=tuple(others))) if others else [])
    return []


def reason_of(error: Exception) -> str:
    """What a run failed of, on one line."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, ArchencError) else f"{type(error).__name__}: {text}"


def write_run(job: Job, seed: int, outcome: Outcome, dataset: ArchDataset, scored: ArchDataset, split: Split) -> None:
    """Write a run's file, whole or not at all."""
    y_true = scored.y[split.test]
    by_epoch = [evaluate(y_true, scores, job.protocol.metrics) for scores in outcome.scores]
    means = {name: float(np.mean([values[name] for values in by_epoch])) for name in job.protocol.metrics}
    key = job.key(seed)
    test_digest = {} if scored is dataset else {"test_digest": scored.digest}
    write_json(
        job.path(seed),
        {
            "run": run_id(key),
            "key": key,
            "metrics": {name: value if np.isfinite(value) else None for name, value in means.items()},
            "epochs_averaged": len(by_epoch),
            **(_coverage(y_true, outcome) if scored is dataset else {}),  # another label may be in other units
            "dataset": {"architectures": len(dataset), "digest": dataset.digest, "duplicates": dataset.duplicates, **test_digest},
            "split": {"name": split.name, "pool": len(split.pool), "test": len(split.test), "digest": split.digest},
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


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, archenc and what computes."""
    return {"python": platform.python_version(), "archenc": archenc.__version__, **{p: importlib.metadata.version(p) for p in PACKAGES}}


def machine() -> dict[str, Any]:
    """Processor, logical cores, and threads of this process."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}


@functools.cache
def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


# -- running -------------------------------------------------------------------------------------------------------


def run(jobs: Sequence[Job], workers: int, compute: Callable[[Any], list[Failure]] = run_job) -> list[Failure]:
    """Compute all jobs, in this process or in ``workers`` processes of one thread each; gives the runs that failed."""
    if workers == 1 or len(jobs) < 2:
        return [failure for job in progress(jobs, "jobs") for failure in compute(job)]
    failures: list[Failure] = []
    context = multiprocessing.get_context("spawn")
    with _single_threaded(), ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_start_worker) as pool:
        futures = {pool.submit(compute, job): job for job in jobs}
        try:
            for future in progress(as_completed(futures), "jobs", total=len(futures)):
                try:
                    failures += future.result()
                except BrokenProcessPool:
                    job = futures[future]
                    reason = "a worker process died, perhaps for want of memory; run the same command again"
                    failures += [Failure(job.method.name, job.size, seed, reason) for seed in job.seeds if not job.path(seed).exists()]
        except BaseException:  # finished runs lie in their files, so workers may be stopped anywhere
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Worker processes inherit these variables before they import anything."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """What a worker process does first: it ends with its parent, however that ends, and computes in one thread."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """Wait for the end of the parent, then end at once: runs are written whole or not at all, so they may be stopped anywhere."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
