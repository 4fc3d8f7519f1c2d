"""``archenc bench speed``, of training and scoring: milliseconds beside a plain GATES.

The plain one is what one would write first: a graph of PyTorch Geometric for each cell, its DataLoader, a
gate for each node, messages along the edges of each cell. It has the weights of ours, so that both have to
give the same encodings.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.utils import scatter

import archenc
from archenc.encoders.gates import GATESEncoder, GATESNodeLayer
from archenc.files.reports import text_table
from archenc.graphs import ArchGraphs
from archenc.spaces.nasbench101 import NASBench101

PLAIN_CELLS = 4096
"""Cells of which the plain encoder makes graphs and scores."""


class PlainGATES(nn.Module):
    """GATES for operations on nodes, over sparse batches, with the weights of an encoder."""

    def __init__(self, encoder: GATESEncoder) -> None:
        super().__init__()
        self.ours = encoder
        self.divisor = encoder.space.max_nodes - 1

    def forward(self, batch: Any) -> Tensor:
        """(B, dim)."""
        ops = self.ours.op_embedding()[batch.x]
        start = self.ours.initial_state()
        states = start[torch.where(batch.first, 0, 1)]
        for layer in self.ours.flow:
            assert isinstance(layer, GATESNodeLayer)
            if layer is not self.ours.flow[0]:
                states = torch.relu(states)
            x = states @ layer.weight
            received = x + scatter(x[batch.edge_index[0]], batch.edge_index[1], 0, len(x), reduce="sum")
            states = layer.gates(ops) * received + torch.where(batch.first[:, None], x, 0.0) + layer.bias
        behind = torch.where(batch.first[:, None], 0.0, states)
        sums: Tensor = scatter(behind, batch.batch, 0, batch.num_graphs, reduce="sum")
        return sums / self.divisor


def plain_graphs(graphs: ArchGraphs) -> list[Data]:
    """One graph after the other."""
    found = []
    for adjacency, ops, mask in zip(graphs.adjacency, graphs.ops, graphs.mask, strict=True):
        there = mask.nonzero()[:, 0]
        edges = adjacency[there][:, there].nonzero().T.contiguous()
        found.append(Data(x=ops[there].long(), edge_index=edges, first=there == 0, num_nodes=len(there)))
    return found


class Row(NamedTuple):
    """Milliseconds of ours, and of the plain one."""

    name: str
    ours: float
    plain: float
    same: bool


def steps(cells: ArchGraphs, sizes: Sequence[int], rounds: int) -> Iterator[Row]:
    """A step of gradient descent on so many random cells."""
    torch.manual_seed(0)
    encoder = archenc.create_encoder("gates", cells.space)
    assert isinstance(encoder, GATESEncoder)
    plain = PlainGATES(encoder)
    store, data = encoder.prepare(cells), plain_graphs(cells)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.0)
    weights, rng = torch.randn(encoder.dim), np.random.default_rng(0)

    def step(encode: Callable[[], Tensor]) -> tuple[float, Tensor]:
        start = time.process_time()
        encodings = encode()
        optimizer.zero_grad()
        (encodings @ weights).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return 1e3 * (time.process_time() - start), encodings.detach()

    def plainly(few: list[Data]) -> Tensor:
        encodings: Tensor = plain(next(iter(DataLoader(few, batch_size=len(few)))))  # type: ignore[arg-type]
        return encodings

    for size in sizes:
        times: list[tuple[float, float]] = []
        same = True
        for _ in range(rounds):
            at = rng.permutation(len(cells))[:size]
            rows, few = torch.from_numpy(at), [data[k] for k in at]
            mine, encodings = step(functools.partial(lambda rows: encoder(store[rows]), rows))
            other, expected = step(functools.partial(plainly, few))
            times.append((mine, other))
            same = same and bool(torch.allclose(encodings, expected, rtol=1e-4, atol=1e-5))
        ours, others = zip(*times, strict=True)
        yield Row(f"step of {size} cells", min(ours), min(others), same)


@torch.no_grad()
def scoring(cells: ArchGraphs) -> Row:
    """All cells, what is found once for a store included; the plain one takes some, its time is scaled."""
    torch.manual_seed(0)
    encoder = archenc.create_encoder("gates", cells.space).eval()
    assert isinstance(encoder, GATESEncoder)
    start = time.process_time()
    found = encoder.encode(cells)
    ours = time.process_time() - start
    few = cells[:PLAIN_CELLS]
    start = time.process_time()
    batches = DataLoader(plain_graphs(few), batch_size=512)  # type: ignore[arg-type]
    expected = torch.cat([PlainGATES(encoder)(batch) for batch in batches]).numpy()
    plain = (time.process_time() - start) * len(cells) / len(few)
    same = bool(np.allclose(found[: len(few)], expected, rtol=1e-4, atol=1e-5))
    return Row(f"scoring {len(cells):,} cells", 1e3 * ours, 1e3 * plain, same)


def table(rounds: int) -> list[str]:
    """The lines of the table."""
    space = NASBench101()
    rows = [*steps(space.sample(2048, 0), (72, 512), rounds), scoring(space.sample(30_000, 1))]
    lines = [
        [
            row.name,
            f"{row.ours:,.1f}",
            f"{row.plain:,.1f}",
            f"{row.plain / row.ours:.1f}",
            "yes" if row.same else "NO",
        ]
        for row in rows
    ]
    return text_table(["GATES", "ms", "plain, ms", "ratio", "same"], lines).split("\n")
