"""A pretraining of seconds, on which tests of the loop and of what comes of it are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import archenc
from archenc.graphs import ArchGraphs
from archenc.spaces.cell import CellSpace

SPACE = CellSpace("small", ["conv", "pool"], max_nodes=5)
GRAPHS = SPACE.sample(150, seed=0)
SMALL = {"hidden_dim": 16, "layers": 2}
SETTINGS: dict[str, Any] = {"encoder_params": SMALL, "epochs": 3, "batch_size": 16}


def run(folder: Path, graphs: ArchGraphs = GRAPHS, **changes: Any) -> dict[str, Any]:
    """Pretrain arch2vec in ``folder`` and give the card."""
    return archenc.pretrain("arch2vec", graphs, folder, **{**SETTINGS, **changes})
