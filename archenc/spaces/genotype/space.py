"""GenotypeSpace: networks of a normal and a reduction cell, or of one cell, written as a genotype (DARTS,
NASNet, AmoebaNet, PNAS).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NoReturn, get_args

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, read_each
from archenc.graphs import ABSENT, EDGE_OFFSET, ArchGraphs
from archenc.spaces.base import as_array, as_sequence
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.drawing import from_edge_ops
from archenc.spaces.cell.enumeration import combined_cells, first_of_each, refuse_above
from archenc.spaces.genotype import notation
from archenc.spaces.genotype.node_form import INPUTS, node_form
from archenc.spaces.genotype.notation import GenotypeDefinition
from archenc.spaces.networks import Network, Skeleton
from archenc.spaces.networks import genotype as networks
from archenc.spaces.parameters import choice, operation_names, space_name, truth, whole_number

Output = Literal["all", "loose"]
MAX_INTERMEDIATE = 60


class GenotypeSpace(CellSpace):
    """A normal and a reduction cell, or one cell, of two input nodes and n intermediate nodes, each of which
    adds up two operations.

    Node 0 is the output of the cell before the previous one, node 1 that of the previous one, nodes 2 to n +
    1 are the intermediate ones and node n + 2 is the output, the concatenation of some intermediate nodes. An
    architecture is written as

    * the text ``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...],
      reduce_concat=[4, 5])``, two (operation, input node) pairs for each intermediate node in turn (Liu et
      al.: DARTS, ICLR 2019);
    * the dict of the same, or its JSON text; the two concat lists may be left out and then follow from
        ``output``;
    * two lists (normal, reduction) of (input node, operation number) pairs, or their text, as NASLib writes
        them.

    With ``cells=1`` there is only the normal one: ``Genotype(normal=[...], normal_concat=range(2, 6))``, or
    one list of pairs.

    Operations sit on edges. **The edges into the output carry the operation** ``"concat"`` (``join_op``),
    which the space appends to the list of operations: encoders that work on edges learn one weight for all of
    them, and what counts operations counts the concatenated nodes. They are no choice: :meth:`sample` and
    :meth:`mutate` set them by the rule ``output``. The node form (:meth:`node_form`) has no nodes for them:
    its nodes are the two inputs, the 2n operations and the output, which the operations of the concatenated
    nodes feed.

    The two edges into a node have no order: a text lists them by input node and then from the last operation
    of the list to the first.

    Args:
        name: what the space is called in messages and results.
        operations: names of the choosable operations; the position is the operation's number k.
        nodes: n, intermediate nodes of a cell, at most 60.
        skip_op: the operation that computes the identity, if there is one.
        none_op: the operation that computes zero, if there is one.
        distinct_inputs: whether the two input nodes of a node must differ.
        output: what is concatenated: ``"all"`` intermediate nodes, or ``"loose"``, those that no other node
            uses. Cells of the second kind that concatenate more than that can be read and belong to the
            space, too.
        cells: 2, or 1 where the network repeats one cell.

    Raises:
        InvalidParameter: parameters that describe no space.

    Examples:
        >>> from archenc.spaces.genotype import GenotypeSpace
        >>> space = GenotypeSpace("mine", ["conv", "skip"], nodes=2, skip_op="skip", cells=1)
        >>> space.sample(3, seed=0)
        ArchGraphs(mine: 3 architectures, 5 nodes, ops on edges)
    """

    join_op = "concat"
    skeletons = networks.SKELETONS

    def __init__(
        self,
        name: str,
        operations: Sequence[str],
        *,
        nodes: int,
        skip_op: str | None = "skip_connect",
        none_op: str | None = None,
        distinct_inputs: bool = False,
        output: Output = "all",
        cells: int = 2,
    ) -> None:
        where = f"the space {space_name(name)!r}"
        self.nodes = whole_number(where, "the number of intermediate nodes", nodes, 1, MAX_INTERMEDIATE)
        self.distinct_inputs = truth(where, "distinct_inputs", distinct_inputs)
        self.output: Output = "all" if choice(where, "output", output, get_args(Output)) == "all" else "loose"
        self.choices = operation_names(where, operations)
        super().__init__(
            name,
            (*self.choices, self.join_op),
            op_on="edge",
            max_nodes=INPUTS + self.nodes + 1,
            max_edges=3 * self.nodes,
            num_inputs=INPUTS,
            none_op=none_op,
            skip_op=skip_op,
            cells=whole_number(where, "the number of cells", cells, 1, 2),
            edges_per_pair=1 if distinct_inputs else 2,
        )
        self.join_id = len(self.choices) + EDGE_OFFSET

    @property
    def genotypes(self) -> GenotypeDefinition:
        """What the notation of the space depends on."""
        return GenotypeDefinition(self.name, self.choices, self.nodes, self.cells)

    def config(self) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "name": self.name,
            "operations": list(self.choices),
            "nodes": self.nodes,
            "skip_op": self.skip_op,
            "none_op": self.none_op,
            "distinct_inputs": self.distinct_inputs,
            "output": self.output,
        }
        if self.cells != 2:  # which files of older versions do not name
            parameters["cells"] = self.cells
        return {"name": "genotype", "parameters": parameters}

    def edge_slots(self) -> Tensor:
        """(E, 3): every (source, target, slot) that can hold an operation, the single slots of the edges into
        the output last.
        """
        interior = range(INPUTS, INPUTS + self.nodes)
        slots = [(i, j, s) for j in interior for i in range(j) for s in range(self.edges_per_pair)]
        return torch.tensor([*slots, *((i, self.max_nodes - 1, 0) for i in interior)], dtype=torch.int64)

    # -- genotypes as arrays ---------------------------------------------------------------------------------

    def from_genotypes(self, genotypes: Any, concat: Any = None) -> ArchGraphs:
        """Architectures from arrays.

        Args:
            genotypes: integers (N, cells, 2n, 2), by cell (0 normal, 1 reduction), edge, and what is said of
                it (0 input node, 1 operation number k); edge e enters intermediate node e // 2 + 2. Of one
                cell also (N, 2n, 2).
            concat: bool (N, cells, n), the intermediate nodes that are concatenated; by default what
                ``output`` says.

        Raises:
            InvalidArchitecture: another shape, an input node that does not come before the node, a number
                that is no operation, or cells that do not belong to the space.
        """
        genotypes = as_array(genotypes)
        if self.cells == 1 and genotypes.ndim == 3:
            genotypes = genotypes[:, None]
        shape = (self.cells, 2 * self.nodes, 2)
        table = notation.as_table(self.genotypes, genotypes, shape).reshape(-1, self.nodes, 2, 2)
        self._check_table(table)
        if concat is None:
            return self.validate(self._build(torch.from_numpy(table)))
        joined = notation.as_table(self.genotypes, concat, (self.cells, self.nodes)).reshape(-1, self.nodes)
        if len(joined) != len(table):
            lists, count = len(joined) // self.cells, len(table) // self.cells
            raise InvalidArchitecture(f"{lists} concat lists for {count} genotypes; give one for each")
        return self.validate(self._build(torch.from_numpy(table), torch.from_numpy(joined.astype(bool))))

    def _check_table(self, table: np.ndarray) -> None:
        """Raise :class:`InvalidArchitecture` unless pairs (R, n, 2, 2) of input node and number k make
        cells.
        """
        source, number = table[..., 0], table[..., 1]
        node = np.arange(INPUTS, INPUTS + self.nodes)[:, None]
        if (wrong := (source < 0) | (source >= node)).any():
            self._refuse(
                source, wrong, f"is no node before the one it enters of {self.name}; give an earlier node"
            )
        if (wrong := (number < 0) | (number >= len(self.choices))).any():
            self._refuse(number, wrong, f"is no operation of {self.name}; give 0 to {len(self.choices) - 1}")
        if self.distinct_inputs and (same := source[..., 0] == source[..., 1]).any():
            row, at = np.argwhere(same)[0].tolist()
            fault = "both edges of a node have the same input; let them differ"
            raise notation.fault_at(self.genotypes, row, 2 * at + 1, fault)

    def _refuse(self, values: np.ndarray, wrong: np.ndarray, fault: str) -> NoReturn:
        row, at, edge = np.argwhere(wrong)[0].tolist()
        raise notation.fault_at(self.genotypes, row, 2 * at + edge, f"{values[row, at, edge]} {fault}")

    def to_genotypes(self, graphs: ArchGraphs) -> np.ndarray:
        """Uint8 (N, cells, 2n, 2): what :meth:`from_genotypes` takes, the two edges of a node in the order of
        the text.
        """
        self.check_form(graphs)
        table = self._edges(graphs).reshape(-1, self.cells, 2 * self.nodes, 2)
        return table.to(torch.uint8).numpy()

    def to_concat(self, graphs: ArchGraphs) -> np.ndarray:
        """Bool (N, cells, n): which intermediate nodes each cell concatenates."""
        self.check_form(graphs)
        return graphs.adjacency[:, INPUTS:-1, -1].bool().reshape(-1, self.cells, self.nodes).numpy()

    def _build(self, table: Tensor, joined: Tensor | None = None) -> ArchGraphs:
        """Cells from (R, n, 2, 2) input nodes and operation numbers of each node's two edges, and from what
        is concatenated, (R, n).
        """
        rows, size = len(table), self.max_nodes
        ops = torch.zeros(rows, self.edges_per_pair, size, size, dtype=torch.uint8)
        row = torch.arange(rows)[:, None]
        node = torch.arange(INPUTS, INPUTS + self.nodes)
        for edge in range(2):
            source, number = table[:, :, edge].unbind(-1)
            ops[row, edge % self.edges_per_pair, source, node] = (number + EDGE_OFFSET).to(torch.uint8)
        if joined is None:
            joined = (
                torch.ones(rows, self.nodes, dtype=torch.bool) if self.output == "all" else _loose(ops.any(1))
            )
        ops[:, 0, INPUTS:-1, -1] = joined * self.join_id
        return from_edge_ops(self, ops, torch.ones(rows, size, dtype=torch.bool))

    def _places(self, graphs: ArchGraphs) -> tuple[Tensor, Tensor, Tensor]:
        """Where the two edges into each intermediate node are: int64 sources and slots, and ids, (R, n, 2)
        each; id 0 for no edge.
        """
        slots = graphs.edge_ops()[:, :, :-1, INPUTS:-1].permute(0, 3, 2, 1)  # (R, n, source, S)
        ids = slots.flatten(2)
        first = torch.argsort((ids == ABSENT).to(torch.uint8), dim=2, stable=True)[:, :, :2]
        return first // slots.shape[-1], first % slots.shape[-1], ids.gather(2, first)

    def _edges(self, graphs: ArchGraphs) -> Tensor:
        """int64 (R, n, 2, 2): input nodes and operation numbers of valid cells."""
        source, _, ids = self._places(graphs)
        return torch.stack([source, ids.long() - EDGE_OFFSET], dim=-1)

    # -- the node form ---------------------------------------------------------------------------------------

    @property
    def num_node_form_nodes(self) -> int:
        return INPUTS + 2 * self.nodes + 1

    def node_form(self, graphs: ArchGraphs) -> ArchGraphs:
        """Each operation as a node, fed by an input or by both operations of its input node; see the class
        for the output.
        """
        if graphs.op_on == "node":
            return graphs
        return node_form(graphs, self.nodes, *self._places(graphs))

    def network(self, graphs: ArchGraphs, skeleton: Skeleton) -> Network:
        """The network of a genotype whose operations are called as in DARTS or NASNet."""
        return networks.network(graphs, skeleton)

    # -- reading and writing ---------------------------------------------------------------------------------

    def parse(self, architectures: Any) -> ArchGraphs:
        if isinstance(architectures, np.ndarray) and architectures.ndim in (4, 2 + self.cells):
            return self.from_genotypes(architectures)
        items = as_sequence(architectures, notation.is_cell if self.cells > 1 else notation.is_pair)
        cells = [cell for read in read_each(items, partial(notation.read, self.genotypes)) for cell in read]
        table = np.array([edges for edges, _ in cells], dtype=np.int64).reshape(
            -1, self.cells, 2 * self.nodes, 2
        )
        graphs = self.from_genotypes(table, None)
        given = [joined is not None for _, joined in cells]
        if not any(given):
            return graphs
        concat = graphs.adjacency[:, INPUTS:-1, -1].bool().numpy().copy()
        concat[given] = np.array([joined for _, joined in cells if joined is not None], dtype=bool)
        return self.from_genotypes(table, concat.reshape(-1, self.cells, self.nodes))

    def format(self, graphs: ArchGraphs) -> list[str]:
        """The text ``Genotype(normal=..., normal_concat=..., reduce=..., reduce_concat=...)`` of each
        architecture.
        """
        write = partial(notation.write, self.genotypes)
        return [
            write(*one)
            for one in zip(self.to_genotypes(graphs).tolist(), self.to_concat(graphs), strict=True)
        ]

    # -- what belongs to the space, and drawing from it ------------------------------------------------------

    def choice_faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        ops = graphs.edge_ops()
        joins = ops[:, :, :, -1]
        joined, loose = graphs.adjacency[:, INPUTS:-1, -1].bool(), _loose(graphs.adjacency)
        needed = loose if self.output == "loose" else torch.ones_like(loose)
        which = " that no other node uses" if self.output == "loose" else ""
        other = (joins != ABSENT) & (joins != self.join_id)
        entering = ops[:, :, :, INPUTS:-1]
        return [
            (~graphs.mask.all(1), f"a node is missing; give all {self.nodes} intermediate nodes"),
            (
                ((entering != ABSENT).sum((1, 2)) != 2).any(1),
                "an intermediate node has not two incoming edges; give each two",
            ),
            (
                (entering == self.join_id).flatten(1).any(1),
                f"{self.join_op!r} enters an intermediate node; leave it to the output",
            ),
            (
                other.flatten(1).any(1)
                | (joins[:, 1:] != ABSENT).flatten(1).any(1)
                | (joins[:, :, :INPUTS] != ABSENT).flatten(1).any(1),
                "the output joins something else than intermediate nodes by single edges of "
                f"{self.join_op!r}; read the cell with parse",
            ),
            (
                (needed & ~joined).any(1),
                f"the output does not join every intermediate node{which}; add it to the concat list",
            ),
        ]

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        """Each genotype with the same probability."""
        before = np.arange(INPUTS, INPUTS + self.nodes)
        first = rng.integers(before, size=(rows, self.nodes))
        if self.distinct_inputs:
            second = (first + rng.integers(1, before, size=(rows, self.nodes))) % before
        else:
            second = rng.integers(before, size=(rows, self.nodes))
        numbers = rng.integers(len(self.choices), size=(rows, self.nodes, 2))
        return self._build(torch.from_numpy(np.stack([np.stack([first, second], axis=-1), numbers], axis=-1)))

    def mutate(self, graphs: ArchGraphs, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """The operation or the input node of one edge changes, with equal probability; what is concatenated
        follows ``output``.
        """
        return super().mutate(graphs, seed)

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        table = self._edges(parents)
        rows = np.arange(len(table))
        node, edge = rng.integers(self.nodes, size=len(rows)), rng.integers(2, size=len(rows))
        source, number = table[rows, node, edge].numpy().T
        rewire = rng.random(len(rows)) < 0.5
        other_source = (source + rng.integers(1, node + INPUTS)) % (node + INPUTS)
        if (
            self.distinct_inputs
        ):  # where that is the other edge's input, the proposal equals its parent and is drawn again
            other_source = np.where(
                other_source == table[rows, node, 1 - edge, 0].numpy(), source, other_source
            )
        other_number = (number + rng.integers(1, max(2, len(self.choices)), size=len(rows))) % len(
            self.choices
        )
        table[rows, node, edge, 0] = torch.from_numpy(np.where(rewire, other_source, source))
        table[rows, node, edge, 1] = torch.from_numpy(np.where(rewire, number, other_number))
        return self._build(table)

    def enumerate(self) -> ArchGraphs:
        return combined_cells(self, self._each_cell())

    def _each_cell(self) -> ArchGraphs:
        """One writing of each cell, up to an isomorphism."""
        choices = [self._choices_of_node(node) for node in range(INPUTS, INPUTS + self.nodes)]
        lengths = [len(pairs) for pairs in choices]
        refuse_above(self.name, math.prod(lengths))
        digits = np.unravel_index(np.arange(math.prod(lengths)), lengths)
        table = np.stack([pairs[digit] for pairs, digit in zip(choices, digits, strict=True)], axis=1)
        cells = self._build(torch.from_numpy(table))
        cells = replace(cells, space=self.single_cell)
        return cells[first_of_each(cells.hash())]

    def _choices_of_node(self, node: int) -> np.ndarray:
        """int64 (P, 2, 2): the pairs of (input node, operation number) that can enter a node, each in one
        order.
        """
        edges = list(itertools.product(range(node), range(len(self.choices))))
        refuse_above(self.name, math.comb(len(edges) + 1, 2))
        pairs = itertools.combinations_with_replacement(edges, 2)
        return np.array(
            [(one, other) for one, other in pairs if not self.distinct_inputs or one[0] != other[0]],
            dtype=np.int64,
        )


def _loose(adjacency: Tensor) -> Tensor:
    """Bool (R, n): the intermediate nodes that no other intermediate node uses."""
    return ~adjacency[:, INPUTS:-1, :-1].bool().any(2)
