"""An encoder of one's own: how many edges enter and leave the nodes of each operation.

Run it by ``python examples/encoder.py``; it checks the contract on example spaces, then ranks cells with it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

import archenc
from archenc.encoder import Encoder
from archenc.graphs import ArchGraphs
from archenc.registry import ENCODERS
from archenc.spaces.base import Space
from archenc.testing import check_encoder, example_spaces


class DegreeEncoder(Encoder):
    """In-degrees and out-degrees of a cell's nodes, summed over the nodes of each operation.

    Shapes:
        R rows; returns (R, 2 K) float32 for K kinds of nodes.
    """

    form = "node"
    fixed = True
    invariant = True
    paper = "none: an example"

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.cell_dim = 2 * len(space.node_vocabulary)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        edges = graphs.adjacency.float()
        degrees = torch.stack([edges.sum(1), edges.sum(2)], dim=2)  # (R, V, 2)
        kinds = one_hot(graphs.ops.long(), graphs.num_ops).float()  # (R, V, K)
        return (kinds.transpose(1, 2) @ degrees).flatten(1)


def check() -> None:
    """Raise :class:`AssertionError` with a sentence if the contract is broken."""
    for space in example_spaces().values():
        check_encoder(DegreeEncoder, space)


if __name__ == "__main__":
    check()
    ENCODERS.register("degree", DegreeEncoder)
    train, test = archenc.load_dataset("nasbench201-analog").split(train_size=78, seed=0)
    predictor = archenc.Predictor("degree", "xgboost", "mse", random_state=0).fit(train.graphs, train.y)
    print(f"Kendall's tau on {len(test):,} cells after 78 labels: {predictor.score(test.graphs, test.y):.3f}")
