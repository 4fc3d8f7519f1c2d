"""A data set of 60 cells and a protocol on it, small enough to run whole benchmarks in a test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import archenc
from archenc.benchmarks import runner
from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.protocol import Protocol
from archenc.benchmarks.runs import Run, run_key
from archenc.dataset import ArchDataset
from archenc.registry import DATASETS

TINY = {
    "name": "tiny",
    "version": 1,
    "purpose": "A protocol for tests.",
    "source": "None.",
    "dataset": "tiny",
    "label": "toy/accuracy",
    "split": {"kind": "halves", "seed": 0},
    "train_sizes": [8, 16],
    "seeds": [0, 1],
    "selection": "last_epoch",
    "metrics": ["kendall_tau", "regret@1"],
    "methods": ["op-count+ridge+mse", "adjacency+ridge+mse:simplify"],
}


def load_tiny() -> ArchDataset:
    graphs = archenc.create_space("nasbench201").sample(60, seed=1)
    noise = np.random.default_rng(0).normal(size=60)
    convolution = graphs.space.operations.index("nor_conv_3x3") + 1
    accuracy = 50 + 10.0 * (graphs.ops == convolution).sum((-1, -2)).numpy() + noise
    return ArchDataset("tiny", graphs, {"toy/accuracy": accuracy}, "toy/accuracy")


@pytest.fixture
def tiny() -> Iterator[None]:
    DATASETS.register("tiny", load_tiny)
    runner.load.cache_clear()
    yield
    DATASETS.unregister("tiny")
    runner.load.cache_clear()


@pytest.fixture
def content() -> dict:
    """The content of a valid protocol file."""
    return {**TINY, "split": dict(TINY["split"])}


@pytest.fixture
def protocol_file(tmp_path: Path, content: dict, tiny: None) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Makes up a run of a protocol: what its file would hold, without any computation."""
    from tests.benchmarks.made_up import made_up_run  # processes of tests read this file by itself

    methods = load_methods()

    def make_run(protocol: Protocol, method: str, size: int, seed: int, tau: float) -> Run:
        key = run_key(protocol, find_method(method, methods), size, seed)
        metrics = {"kendall_tau": tau, **{name: 0.5 for name in protocol.metrics if name != "kendall_tau"}}
        return made_up_run(
            key, metrics, command=f"archenc bench run {protocol.name} --methods {method} --sizes {size}"
        )

    return make_run
