"""What can be told of architectures, as columns of numbers: operations, places, links, motifs, depth."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy import sparse

from archenc.errors import InvalidParameter
from archenc.graphs import EDGE_OFFSET, INPUT, NODE_OFFSET, ArchGraphs
from archenc.graphs.hashing import mix, wl_labels
from archenc.graphs.transforms import narrowed
from archenc.spaces.base import Space
from archenc.spaces.cell.definition import sort_slots
from archenc.spaces.chain import ChainSpace
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.stages import StageSpace

Kind = Literal["operation", "place", "link", "motif", "number"]
ROUNDS = 2
"""Of refinement: the sources of a motif's operation, and theirs."""
RARE, COMMON = 0.01, 0.5
"""Motifs and links count that occur in this share of all architectures, or in this share of the best."""
MOST_MOTIFS, MOST_PLACES = 400, 200
"""Those that vary most are looked at."""
NUMBERS_PER_BLOCK = 2**25
"""Of adjacency matrices whose motifs are counted at once."""


@dataclass(frozen=True)
class Tree:
    """A motif: an operation, and the motifs of its sources as far down as it goes."""

    name: str
    sources: tuple[Tree, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.sources))})" if self.sources else self.name


@dataclass(frozen=True, eq=False)
class Part:
    """Something that N architectures have or do not have.

    Attributes:
        kind: what it is.
        name: in the words of the space.
        values: (N,), how often it occurs, or a number such as the depth; of a place the number k of the
            operation there, -1 where there is none.
        position: of a place its column of :func:`chosen`, of an operation its number k.
        options: of a place the names of the operations.
        tree: of a motif.
    """

    kind: Kind
    name: str
    values: np.ndarray
    position: int = -1
    options: tuple[str, ...] = ()
    tree: Tree | None = None


def parts_of(graphs: ArchGraphs, best: np.ndarray) -> list[Part]:
    """All that varies among architectures.

    * An operation is counted over all cells, as the architecture is written.
    * A place is an edge, node or layer that carries a choice, where places mean the same in all
        architectures: operations on edges, or a fixed topology.
    * Elsewhere node numbers mean nothing; there it is links, counted by the operations that they join.
    * A motif is a Weisfeiler-Lehman subtree of one or two rounds, as in the encoder ``wl`` (NASBOWL, section
        3.1): an operation, its sources, and theirs.
    * A number is the depth (most operations on a path), the operations that compute something, and the
        parameters where the space knows them.

    Links, motifs and depth are those of the simplified op-on-node form, without what computes nothing and
    without skip connections.

    Args:
        graphs: N architectures.
        best: int64, those that matter most: what is common among them is counted, even if it is rare else.
    """
    form = _computing(graphs)
    beside = _places(graphs) if has_places(graphs) else _links(form, best)
    return _varying([*_operations(graphs), *beside, *_motifs(form, best), *_numbers(graphs, form)])


def sizes_of(graphs: ArchGraphs) -> list[Part]:
    """The numbers and then the operations of :func:`parts_of`, as far as they vary."""
    return _varying([*_numbers(graphs, _computing(graphs)), *_operations(graphs)])


def _computing(graphs: ArchGraphs) -> ArchGraphs:
    """The simplified op-on-node form."""
    form = graphs.with_features(None).with_architecture_features(None)
    form = graphs.space.node_form(form)
    return narrowed(form if form.simplified else graphs.space.simplify(form))


def _varying(parts: list[Part]) -> list[Part]:
    return [part for part in parts if np.ptp(part.values) > 0]


# -- operations and places -----------------------------------------------------------------------------------


def chosen(graphs: ArchGraphs) -> np.ndarray:
    """int16 (N, P): the number k of the operation at each place of the arrays, -1 where none is chosen."""
    offset = NODE_OFFSET if graphs.op_on == "node" else EDGE_OFFSET
    numbers = graphs.ops.reshape(len(graphs), -1).cpu().numpy().astype(np.int16) - offset
    join = graphs.space.join_op
    fixed = -1 if join is None else graphs.space.operations.index(join)
    return np.where((numbers < 0) | (numbers == fixed), np.int16(-1), numbers)


def _operations(graphs: ArchGraphs) -> list[Part]:
    numbers, names = chosen(graphs), graphs.space.operations
    return [Part("operation", name, (numbers == k).sum(1), k) for k, name in enumerate(names)]


def has_places(graphs: ArchGraphs) -> bool:
    """Whether a place of the arrays means the same in all architectures."""
    return graphs.op_on == "edge" or graphs.space.topology is not None


def _places(graphs: ArchGraphs) -> list[Part]:
    numbers = chosen(graphs)
    varying = np.flatnonzero(numbers.min(0) < numbers.max(0))
    spread = np.array([1 - _squares(numbers[:, at]) for at in varying])
    kept = np.sort(varying[np.argsort(-spread, kind="stable")[:MOST_PLACES]])
    options = tuple(graphs.space.operations)
    return [Part("place", _place(graphs, at), numbers[:, at], at, options) for at in kept.tolist()]


def _squares(values: np.ndarray) -> float:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(shares @ shares)


def _place(graphs: ArchGraphs, position: int) -> str:
    """What the space calls a column of :func:`chosen`."""
    space, shape = graphs.space, graphs.ops.shape[1:]
    cell, *at = (int(axis) for axis in np.unravel_index(position, (space.cells, *shape)))
    if graphs.op_on == "node":
        name = f"layer {at[0] - 1}" if isinstance(space, ChainSpace) else f"node {at[0]}"
        name = space.place_names[at[0] - 1] if isinstance(space, StageSpace) else name
    else:
        name = f"edge {at[-2]}->{at[-1]}" + (f" (slot {at[0] + 1})" if len(at) == 3 else "")
    return name + _of_cell(space, cell)


def _of_cell(space: Space, cell: int) -> str:
    if space.cells == 1:
        return ""
    if isinstance(space, GenotypeSpace):
        return f" of the {('normal', 'reduction')[cell]} cell"
    return f" of cell {cell + 1}"


def exchanged(graphs: ArchGraphs, part: Part, partner: np.ndarray) -> ArchGraphs:
    """The architectures with one of their operations or places exchanged, in the rest as they are.

    At a place each gets its partner's operation. Of an operation o each gets its partner's places of o: where
    exactly one of the two has o, it gets what the partner has there. Only what both have is exchanged, so
    that edges stay as they are.

    Args:
        graphs: N architectures.
        part: an operation or a place.
        partner: int64 (N,), the architecture from which each gets it.
    """
    own = torch.from_numpy(chosen(graphs))
    other = own[partner]
    taken = (own >= 0) & (other >= 0)
    if part.kind == "operation":
        taken &= (own == part.position) != (other == part.position)
    else:
        taken &= torch.arange(own.shape[1]) == part.position

    def mixed(values: torch.Tensor) -> torch.Tensor:
        flat = values.reshape(*own.shape, -1)
        return torch.where(taken.to(values.device)[..., None], flat[partner], flat).reshape(values.shape)

    features = None if graphs.features is None else mixed(graphs.features)
    ops = mixed(graphs.ops)
    return replace(graphs, ops=ops if graphs.features is not None else sort_slots(ops), features=features)


# -- numbers, links and motifs -------------------------------------------------------------------------------


def _numbers(graphs: ArchGraphs, form: ArchGraphs) -> list[Part]:
    cells, computing = graphs.space.cells, (form.ops >= NODE_OFFSET).sum(1)
    depths = _depth(form).reshape(-1, cells)
    found = [Part("number", f"depth{_of_cell(graphs.space, cell)}", depths[:, cell]) for cell in range(cells)]
    found.append(Part("number", "computing operations", computing.reshape(-1, cells).sum(1).numpy()))
    with suppress(InvalidParameter):  # where the space does not say which network its cells make up
        found.append(Part("number", "parameters", graphs.space.costs(graphs)["parameters"]))
    return found


def _depth(form: ArchGraphs) -> np.ndarray:
    """int64 (R,): most operations on a path from an input to the output."""
    edges, inputs = form.adjacency.bool(), form.space.num_inputs
    length = torch.full(form.mask.shape, -1)
    length[:, :inputs] = 0
    for node in range(inputs, form.num_nodes):
        longest = torch.where(edges[:, :, node], length, -1).amax(1)
        length[:, node] = torch.where(longest >= 0, longest + 1, -1)
    depth: np.ndarray = (length[:, -1] - 1).clamp(min=0).numpy()
    return depth


def _links(form: ArchGraphs, best: np.ndarray) -> list[Part]:
    space, ops = form.space, form.ops.numpy().astype(np.int64)
    row, source, target = (axis.numpy() for axis in form.adjacency.nonzero(as_tuple=True))
    architecture, cell = np.divmod(row, space.cells)
    key = (cell * form.num_ops + ops[row, source]) * form.num_ops + ops[row, target]
    counts, first = _counts(architecture, key, len(form), best)
    names = [
        " -> ".join(space.node_vocabulary[ops[row[at], end[at]]] for end in (source, target))
        + _of_cell(space, int(cell[at]))
        for at in first
    ]
    return [Part("link", name, column) for name, column in zip(names, counts.T, strict=True)]


def _motifs(form: ArchGraphs, best: np.ndarray) -> list[Part]:
    """Those of different columns, the shallow one where a deep one occurs with it everywhere."""
    row, node = (axis.numpy() for axis in form.mask.nonzero(as_tuple=True))
    row, node = row[node >= form.space.num_inputs], node[node >= form.space.num_inputs]
    architecture, cell = np.divmod(row, form.space.cells)
    labels, seen, found = _labels(form), set[bytes](), []
    for rounds in range(1, ROUNDS + 1):
        key = mix(labels[rounds, row, node] + cell.astype(np.uint64))
        counts, first = _counts(architecture, key, len(form), best)
        for at, column in zip(first.tolist(), counts.T, strict=True):
            if (content := column.tobytes()) not in seen:
                seen.add(content)
                tree = _tree(form, int(row[at]), int(node[at]), rounds)
                name = str(tree) + _of_cell(form.space, int(cell[at]))
                found.append(Part("motif", name, column, tree=tree))
    return found


def _labels(form: ArchGraphs) -> np.ndarray:
    """uint64 (ROUNDS + 1, R, V)."""
    size = max(1, NUMBERS_PER_BLOCK // (form.space.cells * form.num_nodes**2))
    blocks = [wl_labels(form[at : at + size], ROUNDS) for at in range(0, len(form), size)]
    return np.concatenate(blocks, axis=1)


def _tree(form: ArchGraphs, row: int, node: int, rounds: int) -> Tree:
    name = str(form.space.node_vocabulary[int(form.ops[row, node])])
    if not rounds or form.ops[row, node] == INPUT:
        return Tree(name)
    sources = form.adjacency[row, :, node].nonzero().flatten().tolist()
    found = sorted((_tree(form, row, at, rounds - 1) for at in sources), key=str)
    return Tree(name, tuple(found) or (Tree("nothing"),))


def _counts(
    architecture: np.ndarray, key: np.ndarray, count: int, best: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How often architectures have what is not too rare, int32 (N, J), and where each of these J stands
    first.

    Args:
        architecture: (n,), that of each occurrence.
        key: (n,), what occurs.
        count: N.
        best: the architectures that matter most.
    """
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    shape = (count, len(first))
    table = sparse.csr_array((np.ones(len(key), np.int32), (architecture, which.ravel())), shape=shape)
    share, common = ((table[rows] > 0).sum(0) / len(rows) for rows in (np.arange(count), best))
    varying = np.argsort(-(share * (1 - share)), kind="stable")[:MOST_MOTIFS]
    kept = np.union1d(varying[share[varying] >= RARE], np.flatnonzero(common >= COMMON))
    return table[:, kept].toarray(), first[kept]
