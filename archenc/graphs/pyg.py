"""Architectures from graphs of PyTorch Geometric, and data sets as its data sets and loaders.

The graphs follow the conventions of :mod:`archenc.graphs.to_pyg`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, InMemoryDataset

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs.conventions import ABSENT, INPUT, NODE_OFFSET, OUTPUT, PAD, SpaceOfGraphs
from archenc.graphs.paths import is_connected
from archenc.graphs.store import ArchGraphs
from archenc.graphs.to_pyg import collated, slices_of, targets_of
from archenc.graphs.to_pyg import to_batch as to_batch
from archenc.graphs.to_pyg import to_data_list as to_data_list
from archenc.registry.rules import Count, Seed, checked


def from_batch(space: SpaceOfGraphs, batch: Batch) -> ArchGraphs:
    """The architectures of a PyG batch that follows this module's conventions; it gives back what
    :func:`to_batch` was given.

    Raises:
        InvalidArchitecture: something else, or a graph that is no architecture of the space: which one, and
            what is wrong with it.
    """
    try:
        graphs = _read(space, _fields(space, batch))
        if graphs.op_on == space.op_on:
            space.validate(graphs)
        else:
            _check_node_form(graphs)
    except InvalidArchitecture as error:
        raise InvalidArchitecture(
            f"the PyG batch does not hold architectures of {space.name}: {error}"
        ) from None
    return graphs


def _fields(space: SpaceOfGraphs, batch: Any) -> dict[str, Tensor]:
    """The tensors of a batch that are used, of the right kinds and shapes: x, edge_index, batch, edge_attr,
    cell and op_features.
    """
    if not isinstance(batch, Batch):
        kind = type(batch).__name__
        raise InvalidArchitecture(
            f"it is a {kind}; give a Batch, such as Batch.from_data_list(...) of what "
            "archenc.graphs.pyg.to_data_list gives"
        )
    fields = {
        name: batch.get(name) for name in ("x", "edge_index", "batch", "cell", "edge_attr", "op_features")
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    needed = ["x", "edge_index", "batch", *(["cell"] if space.cells > 1 else [])]
    for name in [name for name in (*needed, "edge_attr") if name in needed or name in fields]:
        value = fields.get(name)
        if (
            not isinstance(value, Tensor)
            or value.is_floating_point()
            or value.is_complex()
            or value.dtype == torch.bool
        ):
            raise InvalidArchitecture(
                f"{name!r} is no tensor of whole numbers; make it by archenc.graphs.pyg.to_batch"
            )
        fields[name] = value.cpu().long()
    nodes, edges = fields["x"].numel(), fields["edge_index"].shape[-1]
    per_row = edges if "edge_attr" in fields else nodes
    shapes = {"x": nodes, "batch": nodes, "cell": nodes, "edge_attr": edges, "edge_index": 2 * edges}
    for name, value in fields.items():
        fits = value.numel() == shapes[name] if name in shapes else value.dim() == 2 and len(value) == per_row
        if not fits or (name == "edge_index" and value.dim() != 2):
            shape = tuple(value.shape)
            raise InvalidArchitecture(
                f"{name!r} has shape {shape} for {nodes} nodes and {edges} edges; make it by "
                "archenc.graphs.pyg.to_batch"
            )
    return {
        name: value.flatten() if name in ("x", "batch", "cell", "edge_attr") else value
        for name, value in fields.items()
    }


def _read(space: SpaceOfGraphs, fields: dict[str, Tensor]) -> ArchGraphs:
    """The graphs of checked fields, whose edges may still be any."""
    on_nodes = "edge_attr" not in fields
    nodes = space.num_node_form_nodes if on_nodes else space.max_nodes
    vocabulary = space.node_vocabulary if on_nodes else space.edge_vocabulary
    ids = fields["x"] if on_nodes else fields["edge_attr"]
    cell = fields["cell"] if space.cells > 1 else torch.zeros_like(fields["batch"])
    row = fields["batch"] * space.cells + cell
    count = torch.bincount(row.clamp(min=0))
    count = torch.nn.functional.pad(count, (0, -len(count) % space.cells))
    wrong = (row.diff() < 0).any() or (row < 0).any() or (cell < 0).any() or (cell >= space.cells).any()
    if (
        wrong
        or (count > nodes).any()
        or (count < space.num_inputs + 1).any()
        or (ids <= 0).any()
        or (ids >= len(vocabulary)).any()
    ):
        least = space.num_inputs + 1
        raise InvalidArchitecture(
            f"its nodes do not fit; give {least} to {nodes} nodes a cell, cells in order, and ids from 1 to "
            f"{len(vocabulary) - 1}"
        )
    source, target = fields["edge_index"]
    if fields["edge_index"].numel() and not 0 <= int(fields["edge_index"].min()) <= int(
        fields["edge_index"].max()
    ) < len(row):
        raise InvalidArchitecture(
            f"an edge ends at a node that is not among the {len(row)}; give numbers from 0 to {len(row) - 1}"
        )
    if (row[source] != row[target]).any():
        raise InvalidArchitecture("an edge joins two cells or architectures; give edges inside of each")
    number = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
    place = torch.where(
        number == count[row] - 1, nodes - 1, number
    )  # the output is the last node, padding lies before it
    at, i, j = row[source], place[source], place[target]
    mask = torch.zeros(len(count), nodes, dtype=torch.bool)
    mask[row, place] = True
    adjacency = torch.zeros(len(count), nodes, nodes, dtype=torch.uint8)
    adjacency[at, i, j] = 1
    features = fields.get("op_features")
    if on_nodes:
        ops = torch.full((len(count), nodes), PAD, dtype=torch.uint8)
        ops[row, place] = ids.to(torch.uint8)
        return ArchGraphs(space, adjacency, ops, mask, features=_scattered(features, ops.shape, (row, place)))
    roles = torch.where(
        number < space.num_inputs, INPUT, torch.where(place == nodes - 1, OUTPUT, NODE_OFFSET)
    )
    if (fields["x"] != roles).any():
        first = int(row[(fields["x"] != roles).nonzero()[0, 0]]) // space.cells
        raise InvalidArchitecture(
            f"architecture {first}: 'x' has other numbers than 1 for the first nodes, the inputs, 2 for the "
            "last and 3 between; mend it"
        )
    slot = _occurrence((at * nodes + i) * nodes + j)
    if (slot >= space.edges_per_pair).any():
        first = int(at[(slot >= space.edges_per_pair).nonzero()[0, 0]]) // space.cells
        raise InvalidArchitecture(
            f"architecture {first}: two nodes are joined by too many edges; give at most "
            f"{space.edges_per_pair}"
        )
    ops = torch.full((len(count), space.edges_per_pair, nodes, nodes), ABSENT, dtype=torch.uint8)
    ops[at, slot, i, j] = ids.to(torch.uint8)
    features = _scattered(features, ops.shape, (at, slot, i, j))
    if space.edges_per_pair == 1:
        ops, features = ops.squeeze(1), None if features is None else features.squeeze(1)
    return ArchGraphs(space, adjacency, ops, mask, features=features)


def _check_node_form(graphs: ArchGraphs) -> None:
    """Raise :class:`InvalidArchitecture` for what the node form of a space with operations on edges can never
    be.
    """
    space, edges, ops = graphs.space, graphs.adjacency.bool(), graphs.ops
    inputs, interior = space.num_inputs, graphs.ops[:, space.num_inputs : -1]
    ends = (
        (ops[:, :inputs] == INPUT).all(1)
        & (ops[:, -1] == OUTPUT)
        & ~((interior == INPUT) | (interior == OUTPUT)).any(1)
    )
    faults = [
        (edges.tril().flatten(1).any(1), "an edge leads backwards; order the nodes topologically"),
        (edges[:, :, :inputs].flatten(1).any(1), "an edge enters an input node; remove it"),
        (~ends, "input or output ids stand elsewhere than at the ends; move them"),
    ]
    if space.topology is None:
        faults.append(
            (
                ~is_connected(graphs.adjacency, inputs),
                "no path leads from the input to the output; add an edge",
            )
        )
    else:
        fixed = space.node_form(space.sample(1, seed=0)).adjacency[:1]
        faults.append(
            (
                (graphs.adjacency != fixed).flatten(1).any(1),
                f"the edges are not those of {space.name}; use its own",
            )
        )
    for broken, sentence in faults:
        if broken.any():
            raise InvalidArchitecture(
                f"architecture {int(broken.nonzero()[0, 0]) // space.cells}: {sentence}"
            )


def _scattered(features: Tensor | None, shape: torch.Size, places: tuple[Tensor, ...]) -> Tensor | None:
    """Features (n, k) at their ``places`` of zeros (*shape, k)."""
    return (
        None
        if features is None
        else torch.zeros(*shape, features.shape[-1], dtype=torch.float32).index_put(places, features.float())
    )


def _occurrence(keys: Tensor) -> Tensor:
    """How many times the same key stood before each position."""
    order = keys.argsort(stable=True)
    ordered = keys[order]
    starts = torch.cat([torch.ones(1, dtype=torch.bool), ordered[1:] != ordered[:-1]])[: len(keys)]
    index = torch.arange(len(keys))
    before = torch.empty_like(index)
    before[order] = index - torch.where(starts, index, 0).cummax(0).values
    return before


class Labelled(Protocol):
    """What is asked of a data set (:class:`archenc.dataset.ArchDataset`): architectures and a label of
    each.
    """

    @property
    def graphs(self) -> ArchGraphs: ...

    @property
    def y(self) -> np.ndarray: ...


class ArchInMemoryDataset(InMemoryDataset):
    """A data set's architectures with its selected label as ``y``, stored collated; built by array
    operations.

    Args:
        dataset: architectures without the selected label have ``y`` NaN; take
            ``dataset[dataset.labelled_rows()]`` to leave them out.
    """

    def __init__(self, dataset: Labelled) -> None:
        super().__init__(None)
        tensors, nodes, edges = collated(dataset.graphs)
        tensors["y"] = targets_of(dataset.graphs, dataset.y)
        self._data = Data(**tensors)
        self.slices = slices_of(tensors, nodes, edges)


class ArchLoader:
    """Minibatches of a data set, dense or as PyG batches, in the same order for the same seed; see
    :func:`loader`.
    """

    def __init__(
        self, dataset: Labelled, form: Literal["dense", "pyg"], batch_size: int, shuffle: bool, seed: int
    ) -> None:
        self.graphs = dataset.graphs
        self.targets = targets_of(dataset.graphs, dataset.y)
        self.form = form
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.graphs) // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = np.arange(len(self.graphs))
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        self.epoch += 1
        for start in range(0, len(order), self.batch_size):
            rows = torch.from_numpy(order[start : start + self.batch_size])
            graphs, targets = self.graphs[rows], self.targets[rows]
            yield (graphs, targets) if self.form == "dense" else to_batch(graphs, targets)


def loader(
    dataset: Labelled,
    form: Literal["dense", "pyg"] = "dense",
    batch_size: int = 512,
    shuffle: bool = False,
    seed: int = 0,
) -> ArchLoader:
    """Minibatches of ``dataset`` with its selected label, one form or the other, in the same order for the
    same seed.

    Args:
        dataset: the data set.
        form: ``"dense"`` yields (:class:`ArchGraphs`, float32 targets (B,)), ``"pyg"`` yields a ``Batch``
            with ``y`` (B,).
        batch_size: architectures a batch; the last one may be smaller.
        shuffle: whether each pass is in a new random order, which depends on ``seed`` and the number of the
            pass.
        seed: for ``shuffle``.

    Raises:
        InvalidParameter: an unknown form or a batch size below 1.
    """
    if form not in ("dense", "pyg"):
        raise InvalidParameter(f"there is no form {form!r}; choose 'dense' or 'pyg'")
    batch_size, seed = (
        checked("the loader", "batch_size", batch_size, Count),
        checked("the loader", "seed", seed, Seed),
    )
    return ArchLoader(dataset, form, batch_size, shuffle, seed)
