"""Jobs on this machine: in this process, or in several of one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from archenc.benchmarks.jobs import Failure, J
from archenc.files.progress import progress_by_cost

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(
    jobs: Sequence[J],
    workers: int,
    compute: Callable[[J], list[Failure]],
    costs: Sequence[float] | None = None,
) -> list[Failure]:
    """Compute all jobs; gives what failed.

    Args:
        jobs: what to compute.
        workers: 1 for this process, or a number of processes of one thread each.
        compute: computes a job and gives its runs that failed.
        costs: about how long each job takes, in any unit, to tell the time left; by default equally long.
    """
    costs = costs or [1.0] * len(jobs)
    if workers == 1 or len(jobs) < 2:
        numbered = progress_by_cost(enumerate(jobs), "jobs", lambda item: costs[item[0]], sum(costs))
        return [failure for _, job in numbered for failure in compute(job)]
    failures: list[Failure] = []
    context = multiprocessing.get_context("spawn")
    with (
        _single_threaded(),
        ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_start_worker) as pool,
    ):
        futures = {pool.submit(compute, job): at for at, job in enumerate(jobs)}
        done = progress_by_cost(
            as_completed(futures), "jobs", lambda future: costs[futures[future]], sum(costs)
        )
        try:
            for future in done:
                try:
                    failures += future.result()
                except BrokenProcessPool:
                    failures += _lost(jobs[futures[future]])
        except BaseException:  # finished runs lie in their files, so workers may be stopped anywhere
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


def _lost(job: J) -> list[Failure]:
    """The runs of a job that its worker process had not written."""
    reason = "a worker process died, perhaps for want of memory; run the same command again"
    return [
        Failure(job.method.name, job.size, seed, reason) for seed in job.seeds if not job.path(seed).exists()
    ]


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
    """What a worker process does first: it computes in one thread, and ends with its parent in any case."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """Wait for the end of the parent, then end at once: runs are written whole or not at all."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
