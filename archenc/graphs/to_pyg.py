"""Architectures as graphs of PyTorch Geometric.

One architecture is one ``Data``. Operations on nodes: ``x`` int64 (n, 1) holds the ids of
:mod:`archenc.graphs`. Operations on
edges: ``edge_attr`` int64 (e, 1) holds them, and ``x`` says 1 for an input node, 2 for the output and 3 for
    the rest. Padding is left
out. The nodes of several cells (DARTS: normal and reduction) are disjoint, and ``cell`` int64 (n,) tells them
apart. Features of the operations, where there are any, are ``op_features`` float32 (n, k) or (e, k).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch as PyGBatch
from torch_geometric.data import Data

from archenc.errors import InvalidParameter
from archenc.files.progress import nothing_collected
from archenc.files.values import as_numbers
from archenc.graphs.conventions import ABSENT, INPUT, NODE_OFFSET, OUTPUT, Batch


def collated(graphs: Batch) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """All architectures in a row: tensors by name, nodes (N,) and edges (N,) of each; node numbers start at 0
    in each architecture.
    """
    cells = graphs.space.cells
    mask = graphs.mask
    number = mask.flatten().cumsum(0).reshape(mask.shape) - 1  # of each node in the whole batch
    nodes = mask.sum(1).reshape(-1, cells).sum(1)
    first = nodes.cumsum(0) - nodes
    if graphs.op_on == "node":
        row, source, target = graphs.adjacency.nonzero().T
        tensors = {"x": graphs.ops[mask].long()[:, None]}
        features = None if graphs.features is None else graphs.features[mask]
    else:
        ops, features = graphs.edge_ops(), graphs.edge_features()
        row, slot, source, target = (ops != ABSENT).nonzero().T
        roles = torch.full((graphs.num_nodes,), NODE_OFFSET)
        roles[: graphs.space.num_inputs] = INPUT
        roles[-1] = OUTPUT
        tensors = {
            "x": roles.expand(mask.shape)[mask][:, None],
            "edge_attr": ops[row, slot, source, target].long()[:, None],
        }
        features = None if features is None else features[row, slot, source, target]
    edge_index = torch.stack([number[row, source], number[row, target]]) - first[row // cells]
    tensors = {"x": tensors.pop("x"), "edge_index": edge_index, **tensors}
    if features is not None:
        tensors["op_features"] = features
    if cells > 1:
        tensors["cell"] = (torch.arange(len(mask)) % cells)[:, None].expand(mask.shape)[mask]
    return tensors, nodes, torch.bincount(row // cells, minlength=len(graphs))


def targets_of(graphs: Batch, y: Any) -> Tensor:
    """float32 (N,): a target for each architecture; raises :class:`InvalidParameter` for other numbers of
    them.
    """
    targets = torch.as_tensor(as_numbers(y, "y", InvalidParameter), dtype=torch.float32)
    if targets.shape != (len(graphs),):
        raise InvalidParameter(
            f"y has shape {tuple(targets.shape)} for {len(graphs)} architectures; give one number each"
        )
    return targets


def slices_of(tensors: dict[str, Tensor], nodes: Tensor, edges: Tensor) -> dict[str, Tensor]:
    """Where each architecture's part of each tensor begins and ends, (N + 1,) each."""
    counts = {"edge_index": edges, "edge_attr": edges, "y": torch.ones_like(nodes)}
    counts["op_features"] = edges if "edge_attr" in tensors else nodes
    return {name: torch.nn.functional.pad(counts.get(name, nodes).cumsum(0), (1, 0)) for name in tensors}


def to_data_list(graphs: Batch, y: Any = None) -> list[Data]:
    """One ``Data`` an architecture, with ``y`` (1,) float32 where targets (N,) are given."""
    tensors, nodes, edges = collated(graphs)
    if y is not None:
        tensors["y"] = targets_of(graphs, y)
    bounds = {name: slices.diff().tolist() for name, slices in slices_of(tensors, nodes, edges).items()}
    parts = {
        name: torch.split(tensor, bounds[name], dim=1 if name == "edge_index" else 0)
        for name, tensor in tensors.items()
    }
    with nothing_collected():
        return [Data(**dict(zip(parts, values, strict=True))) for values in zip(*parts.values(), strict=True)]


def to_batch(graphs: Batch, y: Any = None) -> PyGBatch:
    """The whole batch as one disconnected graph, as ``Batch.from_data_list(to_data_list(graphs, y))`` but
    without its loop.
    """
    tensors, nodes, edges = collated(graphs)
    if y is not None:
        tensors["y"] = targets_of(graphs, y)
    slices = slices_of(tensors, nodes, edges)
    first = slices["x"][:-1]
    none = torch.zeros_like(first)
    increments = {name: first if name == "edge_index" else none for name in tensors}
    tensors["edge_index"] = tensors["edge_index"] + first.repeat_interleave(edges)
    batch = PyGBatch(
        _base_cls=Data, batch=torch.arange(len(graphs)).repeat_interleave(nodes), ptr=slices["x"], **tensors
    )
    batch._num_graphs = len(graphs)  # what Batch.to_data_list and indexing read
    batch._slice_dict = slices
    batch._inc_dict = increments
    return batch
