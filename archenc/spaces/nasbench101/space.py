"""NAS-Bench-101: cells of at most seven nodes and nine edges, with one of three operations on each interior
node.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT, PAD, ArchGraphs, paths, transforms
from archenc.spaces.base import as_array
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.enumeration import all_digits
from archenc.spaces.nasbench101.costs import network_costs
from archenc.spaces.nasbench101.hash import big_endian_words, module_hashes
from archenc.spaces.networks import Network, Skeleton, reading
from archenc.spaces.networks import nasbench101 as networks

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
MAX_NODES, MAX_EDGES = 7, 9
_PAIRS = [
    (i, j) for j in range(MAX_NODES) for i in range(j)
]  # bit i + j (j - 1) / 2 of an adjacency code is the edge i -> j
_ROW_IDS = np.array(
    [INPUT, *range(NODE_OFFSET, NODE_OFFSET + len(OPERATIONS)), OUTPUT], dtype=np.uint8
)  # of a table's 0 to 4


class NASBench101(CellSpace):
    """The cell space of NAS-Bench-101: 423,624 cells up to isomorphism.

    Architectures are written as a dict or JSON text with ``adjacency`` (or ``matrix``) and ``ops``, as in the
    official records, or as a pair (matrix, ops). What lies on no input-output path is cut first, as the
    official ``ModelSpec`` does; then at most 7 nodes and 9 edges may be left.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench101")
        >>> space.sample(3, seed=0)
        ArchGraphs(nasbench101: 3 architectures, 7 nodes, ops on nodes)
    """

    size = 423_624
    skeletons = networks.SKELETONS
    published_hash = True
    paper = (
        "Ying, Klein, Christiansen, Real, Murphy, Hutter: NAS-Bench-101, ICML 2019, sections 2.1 and 2.2, "
        "arXiv:1902.09635"
    )

    def __init__(self) -> None:
        super().__init__("nasbench101", OPERATIONS, max_nodes=MAX_NODES, max_edges=MAX_EDGES)
        self.edge_probability = 0.5

    def config(self) -> dict[str, Any]:
        return {"name": "nasbench101", "parameters": {}}

    def hash(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 16) uint8: the official module hash, MD5 bytes (section 2.2 and the ``hash_module`` of the
        official records).

        A node starts from the MD5 of ``"(out-degree, in-degree, label)"`` with label -1 for the input, -2 for
        the output and k for operation k. As many rounds as there are nodes, it becomes the MD5 of its
        sources' sorted digests, "|", its targets' sorted digests, "|" and its own. The cell's hash is the MD5
        of the text of the sorted list of digests.
        """
        graphs = transforms.keep_nodes(
            graphs, graphs.mask
        )  # padding to its place before the output, wherever it was
        graphs = graphs.to("cpu")
        digests = np.zeros((len(graphs), 16), dtype=np.uint8)
        counts = graphs.mask.sum(1)
        for count in np.unique(counts.numpy()).tolist():
            rows = (counts == count).nonzero()[:, 0]
            at = torch.tensor([*range(count - 1), MAX_NODES - 1])
            adjacency = graphs.adjacency[rows][:, at][:, :, at].numpy().astype(bool)
            digests[rows.numpy()] = module_hashes(adjacency, graphs.ops[rows][:, at].numpy())
        return digests

    def costs(self, graphs: ArchGraphs) -> dict[str, np.ndarray]:
        """Parameters and FLOPs of the networks for CIFAR-10 (:mod:`archenc.spaces.nasbench101.costs`).

        What lies on no input-output path is cut first. The parameters are those of the official records,
        which have no FLOPs. Two writings of one cell can differ by a percent or two, where the channels do
        not divide evenly between the nodes that feed the output: the first of these get what is left over.
        :meth:`enumerate` and the tables give each cell in the writing of the records.
        """
        return network_costs(self.simplify(graphs))

    def network(self, graphs: ArchGraphs, skeleton: Skeleton) -> Network:
        """The network of the cell without what lies on no path from its input to its output."""
        with reading():
            cell = self.simplify(graphs)
        return networks.network(cell, skeleton)

    def enumerate(self, max_nodes: int = MAX_NODES) -> ArchGraphs:
        """Every cell of at most ``max_nodes`` nodes once, sorted by the official hash (the order of the
        official records).

        Each cell is given in the writing of the smallest code: adjacency bits first, then operations.
        """
        return self.enumerate_with_hashes(max_nodes)[0]

    def enumerate_with_hashes(self, max_nodes: int = MAX_NODES) -> tuple[ArchGraphs, np.ndarray]:
        """The cells of :meth:`enumerate`, and their official hashes (N, 16), which take most of its time."""
        if not isinstance(max_nodes, int) or not 2 <= max_nodes <= MAX_NODES:
            raise InvalidParameter(f"max_nodes is {max_nodes!r}; give a whole number from 2 to {MAX_NODES}")
        parts = [_canonical_cells(count) for count in range(2, max_nodes + 1)]
        sizes = np.repeat(np.arange(2, max_nodes + 1), [len(bits) for bits, _ in parts])
        graphs = self.from_bits(
            sizes, np.concatenate([bits for bits, _ in parts]), np.concatenate([ops for _, ops in parts])
        )
        digests = self.hash(graphs)
        order = np.lexsort(big_endian_words(digests).T[::-1])
        return graphs[order], digests[order]

    # -- packed tables ---------------------------------------------------------------------------------------

    def from_bits(self, n_nodes: Any, adj_bits: Any, ops5: Any) -> ArchGraphs:
        """Unpack a table of cells.

        Args:
            n_nodes: (N,) nodes of each cell, 2 to 7.
            adj_bits: (N,) integers; bit i + j (j - 1) / 2 is the edge i -> j (i < j).
            ops5: (N, 5) operation numbers k of the interior nodes, anything from 3 up where there is none.

        Raises:
            InvalidArchitecture: shapes that do not belong together or numbers out of range.
        """
        counts, bits, interior = map(_whole_numbers, (n_nodes, adj_bits, ops5))
        if counts.ndim != 1 or bits.shape != counts.shape or interior.shape != (*counts.shape, MAX_NODES - 2):
            raise InvalidArchitecture(
                f"tables of shape {counts.shape}, {bits.shape} and {interior.shape} differ; give (N,), (N,) "
                "and (N, 5)"
            )
        adjacency = np.zeros((len(counts), MAX_NODES, MAX_NODES), dtype=np.uint8)
        for bit, (source, target) in enumerate(_PAIRS):
            adjacency[:, source, target] = bits >> bit & 1
        ops = np.zeros((len(counts), MAX_NODES), dtype=np.int8)
        ops[:, 1:-1] = np.where(interior < len(OPERATIONS), interior.astype(np.int16) + 1, -1)
        ops[np.arange(len(counts)), np.clip(counts.astype(np.int64) - 1, 0, MAX_NODES - 1)] = (
            len(OPERATIONS) + 1
        )
        return self.from_arrays(adjacency, ops, counts)

    def to_bits(self, graphs: ArchGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The table that :meth:`from_bits` takes: uint8 (N,), uint32 (N,) and uint8 (N, 5) with 255 where
        there is no operation.
        """
        counts, adjacency, ops = self._output_after_interior(graphs)
        bits = np.zeros(len(counts), dtype=np.uint32)
        for bit, (source, target) in enumerate(_PAIRS):
            bits |= adjacency[:, source, target].astype(np.uint32) << np.uint32(bit)
        interior = (ops[:, 1:-1] >= NODE_OFFSET) & (np.arange(1, MAX_NODES - 1) < counts[:, None] - 1)
        return counts, bits, np.where(interior, ops[:, 1:-1] - NODE_OFFSET, 255).astype(np.uint8)

    def to_arrays(self, graphs: ArchGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The arrays that :meth:`from_arrays` takes: uint8 (N, 7, 7), int8 (N, 7) with -1 beyond the output,
        and uint8 (N,).
        """
        counts, adjacency, ops = self._output_after_interior(graphs)
        numbers = np.full(256, -1, dtype=np.int8)
        numbers[_ROW_IDS] = np.arange(len(_ROW_IDS))
        return adjacency, numbers[ops], counts

    def _output_after_interior(self, graphs: ArchGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Node counts, adjacency and ids with the output node at its count - 1 and padding behind it."""
        self.check_form(graphs)
        order = np.argsort(~graphs.mask.numpy(), axis=1, kind="stable")
        row = np.arange(len(order))[:, None]
        adjacency = graphs.adjacency.numpy()[row[:, :, None], order[:, :, None], order[:, None, :]]
        return graphs.mask.sum(1).to(torch.uint8).numpy(), adjacency, graphs.ops.numpy()[row, order]

    def from_arrays(self, adjacency: Any, ops: Any, n_nodes: Any) -> ArchGraphs:
        """Cells from arrays in which the output is node ``n_nodes - 1``; it is moved to the last position.

        Args:
            adjacency: (N, 7, 7), 1 for an edge i -> j, zero outside the first n_nodes rows and columns.
            ops: (N, 7): 0 input, 1 to 3 operation k + 1, 4 output; what stands beyond the output is not read.
            n_nodes: (N,) nodes of each cell, 2 to 7.

        Raises:
            InvalidArchitecture: shapes that do not belong together or numbers out of range.
        """
        wiring, labels, counts = map(_whole_numbers, (adjacency, ops, n_nodes))
        if wiring.shape != (len(counts), MAX_NODES, MAX_NODES) or labels.shape != (len(counts), MAX_NODES):
            raise InvalidArchitecture(
                f"tables of shape {wiring.shape} and {labels.shape} are no cells; give (N, 7, 7) and (N, 7) "
                "arrays"
            )
        if len(counts) and not (counts.min() >= 2 and counts.max() <= MAX_NODES):
            raise InvalidArchitecture(
                f"cells of {counts.min()} to {counts.max()} nodes; NAS-Bench-101 has 2 to {MAX_NODES}"
            )
        padded = np.zeros_like(wiring, dtype=np.uint8)
        node_ops = np.full(labels.shape, PAD, dtype=np.uint8)
        for count in range(2, MAX_NODES + 1):
            rows = np.flatnonzero(counts == count)
            own = labels[rows, :count]
            if own.size and not (own.min() >= 0 and own.max() < len(_ROW_IDS)):
                raise InvalidArchitecture(
                    f"a cell of {count} nodes has an operation outside 0 to 4; give a number for each of its "
                    "nodes"
                )
            place = np.array([*range(count - 1), MAX_NODES - 1])
            node_ops[rows[:, None], place] = _ROW_IDS[own.astype(np.int64)]
            padded[rows[:, None, None], place[:, None], place] = wiring[rows, :count, :count]
        return self.graphs(padded, node_ops)


def _whole_numbers(values: Any) -> np.ndarray:
    """The values as an array; raises :class:`InvalidArchitecture` unless they are whole numbers."""
    table = as_array(values)
    if table.ndim == 0 or (table.size and table.dtype.kind not in "biu"):
        raise InvalidArchitecture(
            f"an array of {table.dtype} {table.shape} is no part of a table of cells; give arrays of whole "
            "numbers"
        )
    return table


# -- enumeration ---------------------------------------------------------------------------------------------


def _canonical_cells(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """(M,) adjacency codes and (M, 5) operation numbers (255 = none) of all cells of exactly ``nodes`` nodes,
    one writing each.

    A wiring is kept if no relabelling of its interior nodes has a smaller code; of the operations on it,
    those are kept that no relabelling which leaves the wiring alone makes smaller.
    """
    interior = nodes - 2
    codes = _pruned_codes(nodes)
    permutations = list(itertools.permutations(range(1, nodes - 1)))
    images = np.stack([_relabelled(codes, (0, *permutation, nodes - 1)) for permutation in permutations])
    canonical = (images >= codes).all(axis=0)
    codes, symmetric = codes[canonical], (images == codes)[:, canonical]
    choices = all_digits(len(OPERATIONS), interior)
    weights = len(OPERATIONS) ** np.arange(interior - 1, -1, -1)
    smallest = np.ones((len(codes), len(choices)), dtype=bool)
    for permutation, leaves_alone in zip(permutations, symmetric, strict=True):
        moved = np.empty_like(choices)
        moved[:, np.array(permutation, dtype=np.int64) - 1] = choices
        smallest &= ~leaves_alone[:, None] | (moved @ weights >= np.arange(len(choices)))
    wiring, choice = np.nonzero(smallest)
    ops = np.full((len(wiring), MAX_NODES - 2), 255, dtype=np.uint8)
    ops[:, :interior] = choices[choice]
    return codes[wiring], ops


def _pruned_codes(nodes: int) -> np.ndarray:
    """(M,) int64: codes of all wirings of ``nodes`` nodes in topological order with every node on a path and
    at most nine edges.
    """
    pairs = _PAIRS[: nodes * (nodes - 1) // 2]
    codes = np.arange(2 ** len(pairs), dtype=np.int64)
    codes = codes[np.bitwise_count(codes) <= MAX_EDGES]
    adjacency = torch.zeros(len(codes), nodes, nodes, dtype=torch.uint8)
    for bit, (source, target) in enumerate(pairs):
        adjacency[:, source, target] = torch.from_numpy(codes >> bit & 1)
    whole = np.flatnonzero(paths.on_path(adjacency).all(1).numpy())
    return codes[whole]


def _relabelled(codes: np.ndarray, new: tuple[int, ...]) -> np.ndarray:
    """The codes after node v became ``new[v]``; a value above every code where an edge would lead
    backwards.
    """
    result = np.zeros_like(codes)
    for bit, (source, target) in enumerate(_PAIRS[: len(new) * (len(new) - 1) // 2]):
        if new[source] < new[target]:
            result |= (codes >> bit & 1) << _PAIRS.index((new[source], new[target]))
        else:
            result |= (codes >> bit & 1) << len(_PAIRS)
    return result
