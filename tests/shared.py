"""A few cells with labels that can be computed, a predictor that is fitted in no time, a pretraining of
seconds; work counted, not seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils._python_dispatch import TorchDispatchMode

import archenc
from archenc import Predictor
from archenc.graphs import ArchGraphs
from archenc.spaces.cell import CellSpace

# -- cells and a predictor; work -----------------------------------------------------------------------------


SPACE = archenc.create_space("nasbench201")
ALL = SPACE.enumerate()
RNG = np.random.default_rng(0)
TRAINED = ALL[RNG.permutation(len(ALL))[:24]]
POOL = ALL[RNG.permutation(len(ALL))[:300]]
FEW = 12


def accuracy(graphs):
    """Convolutions are good, and a little difference makes the labels unlike."""
    costs = SPACE.costs(graphs)["parameters"]
    return 60.0 + 5.0 * (graphs.ops == 3 + 1).sum((1, 2)).numpy() + costs / 1e6


Y = accuracy(TRAINED)


def cheap(random_state=0):
    return Predictor("op-count", "gp", "mse", head_params={"restarts": 0}, random_state=random_state)


def dominated(values, row):
    return ((values >= row).all(1) & (values > row).any(1)).any()


class _Count(TorchDispatchMode):
    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def torch_calls(work: Callable[[], Any]) -> int:
    """How many operations of torch ``work`` calls: a loop over architectures shows as thousands more for more
    of them.
    """
    with _Count() as count:
        work()
    return count.calls


# -- a pretraining -------------------------------------------------------------------------------------------


PRETRAINING_SPACE = CellSpace("small", ["conv", "pool"], max_nodes=5)
GRAPHS = PRETRAINING_SPACE.sample(150, seed=0)
SMALL = {"hidden_dim": 16, "layers": 2}
SETTINGS: dict[str, Any] = {"encoder_params": SMALL, "epochs": 3, "batch_size": 16}


def run(folder: Path, graphs: ArchGraphs = GRAPHS, **changes: Any) -> dict[str, Any]:
    """Pretrain arch2vec in ``folder`` and give the card."""
    return archenc.pretrain("arch2vec", graphs, folder, **{**SETTINGS, **changes})
