"""Genetic CNN: networks of stages, each a graph of convolutions that is written as one bit for each pair of
nodes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter, read_each
from archenc.files.text import shown
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT, ArchGraphs, transforms
from archenc.graphs.hashing import wl_hash
from archenc.spaces.base import as_array, as_sequence, generator, is_list
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.enumeration import all_digits, refuse_above
from archenc.spaces.parameters import space_name, truth, whole_numbers

CONV, NONE = NODE_OFFSET, NODE_OFFSET + 1
MAX_STAGES, MAX_STAGE_NODES = 100, 100


class WiredStageSpace(CellSpace):
    """Networks of S stages of K_s nodes that all convolve; a cell is a stage.

    A stage has K_s (K_s - 1) / 2 bits, one for each edge i -> j between its nodes, in the order 12, 13, 23,
    14, 24, 34, ... (and one more for the edge from input to output, where ``skip_bits``). An architecture is
    written with a ``|`` between stages and a ``-`` before the bits of each target node
    (``"1-01|0-10-111|0-11-010-0011"``; the skip bit stands behind a last ``-``), or as its bits: text or a
    list of all of them.

    The graph of a stage follows Genetic CNN, section 3.1: nodes without a source are fed by the stage's
    input, nodes without a target feed its output, and a node without either is left out. So that the bits can
    be read back, a left-out node stays in the graph, without edges and as operation ``none``;
    :meth:`simplify` cuts it, and :meth:`hash` does not see it. A stage without any connection is an edge from
    input to output.

    Args:
        name: what the space is called.
        stages: nodes K_s of each stage, 1 to 100 of at most 100 stages.
        skip_bits: whether each stage has the bit of the edge from input to output.
    """

    def __init__(self, name: str, stages: Sequence[int], *, skip_bits: bool = False) -> None:
        where = f"the space {space_name(name)!r}"
        self.stages = whole_numbers(where, "stages", stages, 1, MAX_STAGE_NODES, MAX_STAGES)
        self.skip_bits = truth(where, "skip_bits", skip_bits)
        if not self.stages or (max(self.stages) == 1 and not self.skip_bits):
            raise InvalidParameter(
                f"{where} has stages of {shown(self.stages)} nodes and so no bits; give one of two or more "
                "nodes"
            )
        super().__init__(
            name, ("conv", "none"), max_nodes=max(self.stages) + 2, cells=len(self.stages), none_op="none"
        )
        self.edges = [[(i, j) for j in range(2, nodes + 1) for i in range(1, j)] for nodes in self.stages]

    @property
    def stage_lengths(self) -> tuple[int, ...]:
        """Bits of each stage."""
        return tuple(len(edges) + self.skip_bits for edges in self.edges)

    # -- bits and graphs -------------------------------------------------------------------------------------

    def from_bits(self, bits: Any) -> ArchGraphs:
        """Architectures from their bits (N, L), which are numbers 0 and 1 or truth values.

        Raises:
            InvalidArchitecture: another width, or other numbers.
        """
        table = as_array(bits)
        width = sum(self.stage_lengths)
        if (
            table.ndim != 2
            or table.shape[1] != width
            or table.dtype.kind not in "buif"
            or not np.isin(table, (0, 1)).all()
        ):
            raise InvalidArchitecture(
                f"{self.name} takes {width} bits an architecture, not {table.dtype} {table.shape}; give (N, "
                f"{width}) of 0 and 1"
            )
        rows, nodes = len(table), self.max_nodes
        adjacency = torch.zeros(rows, self.cells, nodes, nodes, dtype=torch.bool)
        skip = torch.zeros(rows, self.cells, dtype=torch.bool)
        first = 0
        for stage, edges in enumerate(self.edges):
            source, target = np.array(edges, dtype=np.int64).reshape(-1, 2).T
            adjacency[:, stage, source, target] = torch.from_numpy(
                table[:, first : first + len(edges)].astype(bool)
            )
            first += len(edges)
            if self.skip_bits:
                skip[:, stage] = torch.from_numpy(table[:, first].astype(bool))
                first += 1
        return self._wire(adjacency.flatten(0, 1), skip.flatten())

    def _wire(self, edges: Tensor, skip: Tensor) -> ArchGraphs:
        """Cells from the edges (R, V, V) between their nodes: inputs, outputs and left-out nodes by the rules
        of the paper.
        """
        rows = len(edges)
        node = torch.arange(self.max_nodes)
        size = torch.tensor(self.stages).repeat(rows // self.cells)
        mask = (node <= size[:, None]) | (node == self.max_nodes - 1)
        has_source, has_target = edges.any(1), edges.any(2)
        used = has_source | has_target
        empty = ~used.any(1)

        adjacency = edges.clone()
        adjacency[:, 0] = used & ~has_source
        adjacency[:, :, -1] = used & ~has_target
        adjacency[:, 0, -1] = skip | empty
        adjacency[:, 0, 1] |= (
            skip & empty
        )  # there the skip bit changes nothing, and an edge to a left-out node keeps it
        ops = torch.where(mask, torch.where(used, CONV, NONE), 0).to(torch.uint8)
        ops[:, 0], ops[:, -1] = INPUT, OUTPUT
        return ArchGraphs(self, adjacency.to(torch.uint8), ops, mask)

    def _edges_and_skip(self, graphs: ArchGraphs) -> tuple[Tensor, Tensor]:
        """Edges between the nodes of each cell (R, V, V), and its skip bit (R,)."""
        adjacency = graphs.adjacency.bool()
        edges = adjacency.clone()
        edges[:, 0] = edges[:, :, -1] = False
        empty = ~edges.flatten(1).any(1)
        return edges, torch.where(empty, adjacency[:, 0, 1], adjacency[:, 0, -1]) & self.skip_bits

    def to_bits(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, L) uint8: the bits that :meth:`from_bits` takes."""
        self.check_form(graphs)
        edges, skip = (
            part.reshape(len(graphs), self.cells, *part.shape[1:]).numpy()
            for part in self._edges_and_skip(graphs)
        )
        parts = []
        for stage, pairs in enumerate(self.edges):
            source, target = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
            parts.append(edges[:, stage, source, target])
            if self.skip_bits:
                parts.append(skip[:, stage, None])
        return np.concatenate(parts, axis=1).astype(np.uint8)

    # -- reading and writing ---------------------------------------------------------------------------------

    def parse(self, architectures: Any) -> ArchGraphs:
        rows = read_each(as_sequence(architectures, _is_number), self._bits)
        return self.from_bits(np.array(rows, dtype=np.uint8).reshape(-1, sum(self.stage_lengths)))

    def _bits(self, item: Any, where: str) -> list[int]:
        example = self._text("0" * sum(self.stage_lengths))
        bits = item
        if isinstance(item, str):
            text = item.strip()
            if re.sub("[01]", "0", text) == example:
                text = re.sub("[|-]", "", text)
            bits = [int(bit) for bit in text] if set(text) <= {"0", "1"} else []
        if (
            not is_list(bits)
            or len(bits) != sum(self.stage_lengths)
            or not all(_is_number(bit) and bit in (0, 1) for bit in bits)
        ):
            remedy = f"write {sum(self.stage_lengths)} bits, such as {example:.200}"
            raise InvalidArchitecture(f"{where}: {shown(item)} is no architecture of {self.name}; {remedy}")
        return [int(bit) for bit in bits]

    def _text(self, bits: str) -> str:
        """With a ``|`` behind each stage and a ``-`` behind the bits of each target node."""
        rest = iter(bits)
        runs = ([*range(1, nodes), *([1] if self.skip_bits else [])] for nodes in self.stages)
        return "|".join(
            "-".join("".join(itertools.islice(rest, length)) for length in lengths) for lengths in runs
        )

    def format(self, graphs: ArchGraphs) -> list[str]:
        """The text of each architecture, such as ``"1-01|0-10-111|0-11-010-0011"``."""
        return [self._text("".join(map(str, bits))) for bits in self.to_bits(graphs).tolist()]

    # -- what belongs to the space, and drawing from it ------------------------------------------------------

    def choice_faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        expected = self._wire(*self._edges_and_skip(graphs))
        same = (graphs.adjacency == expected.adjacency).flatten(1).all(1) & (graphs.ops == expected.ops).all(
            1
        )
        return [
            (
                ~same,
                f"inputs, outputs or unused nodes are not wired as in {self.name}; read it from its bits "
                "with parse",
            )
        ]

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        """Every bit is 1 with probability 1/2 (Genetic CNN, section 3.2)."""
        return self.from_bits(rng.integers(2, size=(rows // self.cells, sum(self.stage_lengths))))

    def mutate(self, graphs: ArchGraphs, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """Turn one random bit of each architecture; :func:`archenc.search.operators.mutate` turns each with
        some probability.
        """
        bits = self.to_bits(graphs)
        bits[np.arange(len(bits)), generator(seed).integers(bits.shape[1], size=len(bits))] ^= 1
        return self.from_bits(bits)

    def enumerate(self) -> ArchGraphs:
        """Every bit string once, the last bit changing fastest, up to 2 million of them."""
        width = sum(self.stage_lengths)
        refuse_above(self.name, 2**width)
        return self.from_bits(all_digits(2, width))

    def hash(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 16) uint8, equal for architectures that compute the same, whichever of their nodes are left
        out.
        """
        return wl_hash(transforms.simplify(graphs))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | np.integer | np.bool_)


class GeneticCNN(WiredStageSpace):
    """The space of Genetic CNN: stages of convolutions, by default three of 3, 4 and 5 nodes (CIFAR-10): 19
    bits.

    The 2^19 = 524,288 writings are 6 * 31 * 302 = 56,172 networks, as it does not matter which node is which.
    The input and the output of a stage convolve too (once only, where the stage has no connection).

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("genetic-cnn")
        >>> space.format(space.sample(1, seed=0))[0]
        '1-11|0-00-000|1-11-111-1111'
    """

    paper = "Xie, Yuille: Genetic CNN, ICCV 2017, section 3.1, arXiv:1703.01513"

    def __init__(self, stages: Sequence[int] = (3, 4, 5)) -> None:
        super().__init__("genetic-cnn", stages)

    def config(self) -> dict[str, Any]:
        return {"name": "genetic-cnn", "parameters": {"stages": list(self.stages)}}
