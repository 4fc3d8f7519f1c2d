"""CellSpace: a search space that is described, not programmed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter, read_each
from archenc.graphs import ArchGraphs, OpOn
from archenc.spaces.base import Space, as_array, as_sequence, checked_count, checked_graphs, generator
from archenc.spaces.cell import drawing, enumeration, faults, notation
from archenc.spaces.cell.definition import CellDefinition
from archenc.spaces.cell.faults import Fault
from archenc.spaces.cell.notation import Cell


class CellSpace(Space):
    """Cells of named operations on the nodes or the edges of a directed acyclic graph.

    Nodes are numbered in topological order: the inputs first, the output last. With a free topology, any such
    graph of at most ``max_nodes`` nodes and ``max_edges`` edges belongs to the space if a path leads from an
    input to the output; nodes on no such path are cut when an architecture is read or drawn.

    An architecture is written as a dict or its JSON text:

    * operations on nodes: ``{"adjacency": [[0, 1], [0, 0]], "ops": ["input", "output"]}``, in any node order;
      with a free topology and one cell also as the pair of the two;
    * operations on edges: ``{"nodes": 3, "edges": [[0, 1, "conv"], [1, 2, "skip"]]}``, ``nodes`` being
      ``max_nodes`` when left out;
    * of a fixed topology also as the list of its operations (names or numbers k), in the order of
      :meth:`edge_slots` or of the nodes;
    * of several cells as the list of its cells.

    Edges that join the same pair of nodes carry no order and are kept sorted by operation.

    A space of one's own derives from this class, calls its constructor, has a :meth:`config`, and overrides
    what differs, each by itself:

    * what belongs to it: :meth:`choice_faults`, the rules beyond those of well-formed cells;
    * how it is drawn: :meth:`random_cells`, and :meth:`mutants` for a change of it. Both may propose what is
      not valid, or no change, and are asked again for it;
    * how it is written: :meth:`read_one` (and :meth:`is_part`, where it is no text), and :meth:`format`;
    * which are equal: :meth:`hash` and :meth:`simplify`;
    * what it costs: :meth:`costs`, and :attr:`parametric_ops`.

    Args:
        name: what the space is called in messages and results, 1 to 100 characters.
        operations: names of 1 to 250 operations, of 1 to 100 characters each; the position is the operation's
            number k.
        op_on: where operations sit, ``"node"`` or ``"edge"``.
        max_nodes: most nodes of a cell, inputs and output included. All cells of an architecture together
            have at most 10,000, and at most 10,000 places for operations on edges.
        max_edges: most edges of a cell, or None.
        topology: the fixed edges as (source, target) pairs, at most 100,000, or None when they are part of
            the choice.
        num_inputs: input nodes of a cell.
        none_op: the operation that computes zero, if there is one.
        skip_op: the operation that computes the identity, if there is one.
        cells: cells of an architecture.
        edges_per_pair: most edges that may join the same pair of nodes (operations on edges only); exactly so
            many with a fixed topology.

    Raises:
        InvalidParameter: parameters that describe no space.

    Examples:
        >>> from archenc import CellSpace
        >>> space = CellSpace("mine", ["conv", "pool"], max_nodes=5, max_edges=6)
        >>> space.sample(3, seed=0)
        ArchGraphs(mine: 3 architectures, 5 nodes, ops on nodes)
    """

    definition: CellDefinition
    """The parameters, checked; the space has each of them as an attribute, too."""
    edge_probability: float
    """Probability of each edge in :meth:`sample` before pruning, with a free topology."""

    def __init__(
        self,
        name: str,
        operations: Sequence[str],
        *,
        op_on: OpOn = "node",
        max_nodes: int,
        max_edges: int | None = None,
        topology: Sequence[Sequence[int]] | None = None,
        num_inputs: int = 1,
        none_op: str | None = None,
        skip_op: str | None = None,
        cells: int = 1,
        edges_per_pair: int = 1,
    ) -> None:
        self.definition = CellDefinition(
            name=name,
            operations=operations,
            op_on=op_on,
            max_nodes=max_nodes,
            max_edges=max_edges,
            topology=topology,
            num_inputs=num_inputs,
            none_op=none_op,
            skip_op=skip_op,
            cells=cells,
            edges_per_pair=edges_per_pair,
        )
        for field in fields(CellDefinition):
            setattr(self, field.name, getattr(self.definition, field.name))
        most = self.num_pairs * edges_per_pair
        self.edge_probability = 0.5 if max_edges is None else min(0.5, max_edges / most)

    # -- the definition --------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        return {
            "name": "cell",
            "parameters": {
                "name": self.name,
                "operations": list(self.operations),
                "op_on": self.op_on,
                "max_nodes": int(self.max_nodes),
                "max_edges": None if self.max_edges is None else int(self.max_edges),
                "topology": None if self.topology is None else [list(edge) for edge in self.topology],
                "num_inputs": int(self.num_inputs),
                "none_op": self.none_op,
                "skip_op": self.skip_op,
                "cells": int(self.cells),
                "edges_per_pair": int(self.edges_per_pair),
            },
        }

    def node_pairs(self) -> list[tuple[int, int]]:
        """The (source, target) pairs that an edge may join, by target and source."""
        return self.definition.node_pairs()

    @property
    def num_pairs(self) -> int:
        """How many pairs of nodes an edge joins or may join."""
        return self.definition.num_pairs

    @property
    def places(self) -> int:
        """Operations of a cell of a fixed topology."""
        return self.definition.places

    @property
    def single_cell(self) -> CellSpace:
        """The space of one cell of this space."""
        single = copy.copy(self)
        single.cells, single.definition = 1, replace(self.definition, cells=1)
        return single

    # -- arrays of operation numbers, for a fixed topology ---------------------------------------------------

    def from_ops(self, numbers: Any) -> ArchGraphs:
        """Architectures of a fixed topology from their operations' numbers k.

        Args:
            numbers: integers (N, cells * places), each cell in the order of :meth:`edge_slots` or of the
                interior nodes.

        Raises:
            InvalidArchitecture: a number that is no operation, or a wrong count of them.
            InvalidParameter: the space has a free topology.
        """
        if self.topology is None:
            raise self._free("parse")
        table = as_array(numbers)
        width = self.cells * self.places
        if (
            table.ndim != 2
            or table.shape[1] != width
            or (table.size and not np.issubdtype(table.dtype, np.integer))
        ):
            raise InvalidArchitecture(
                f"{self.name} takes {width} whole numbers an architecture, "
                f"not an array of {table.dtype} {table.shape}; reshape it"
            )
        wrong = (table < 0) | (table >= len(self.operations))
        if wrong.any():
            row, place = np.argwhere(wrong)[0]
            remedy = f"give 0 to {len(self.operations) - 1}"
            fault = f"{table[row, place]} is no operation of {self.name}"
            raise InvalidArchitecture(f"architecture {row}, place {place}: {fault}; {remedy}", int(row))
        numbers = torch.from_numpy(table.astype(np.int64))
        return self.cells_from_ops(numbers.reshape(len(table) * self.cells, self.places))

    def cells_from_ops(self, numbers: Tensor) -> ArchGraphs:
        """Cells of a fixed topology from their operations' numbers k, int64 (R, places), not checked."""
        return ArchGraphs(self, *self.definition.fixed_arrays(numbers))

    def to_ops(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, cells * places) int64: the numbers that :meth:`from_ops` takes."""
        if self.topology is None:
            raise self._free("format")
        self.check_form(graphs)
        return self.ops_of_cells(graphs).reshape(-1, self.cells * self.places).numpy()

    def _free(self, method: str) -> InvalidParameter:
        fault = f"the topology of {self.name!r} is free, so operations alone are no architecture"
        return InvalidParameter(f"{fault}; use {method} instead")

    def ops_of_cells(self, graphs: ArchGraphs) -> Tensor:
        """int64 (R, places): the numbers that :meth:`cells_from_ops` takes."""
        return self.definition.fixed_numbers(graphs)

    # -- reading and writing ---------------------------------------------------------------------------------

    @property
    def reads_only_paths(self) -> bool:
        """Of a free topology, unless a space reads its architectures in a way of its own."""
        return type(self).parse is CellSpace.parse and self.topology is None

    def parse(self, architectures: Any) -> ArchGraphs:
        parts = read_each(as_sequence(architectures, self.is_part), self.read_one)
        cells = [cell for part in parts for cell in part]
        return self.validate(ArchGraphs(self, *notation.stack(self.definition, cells)))

    def is_part(self, item: Any) -> bool:
        """Whether an item of a sequence is only an operation, or one cell of several, of an architecture."""
        return notation.is_part(self.definition, item)

    def read_one(self, item: Any, where: str) -> list[Cell | list[int]]:
        """The cells of one architecture as somebody gave it, which :meth:`validate` has yet to look at.

        Args:
            item: a text, dict, list, or anything else.
            where: what the architecture is called in messages.

        Returns:
            The arrays of each cell (:class:`archenc.spaces.cell.notation.Cell`), or the list of the numbers k
            of its operations where the topology is fixed.

        Raises:
            InvalidArchitecture: what is wrong, ``where``, and what a right one looks like.
        """
        return notation.read_one(self.definition, item, where)

    def format(self, graphs: ArchGraphs) -> list[str]:
        """Compact JSON: the list of operations for a fixed topology, else a dict (see the class)."""
        self.check_form(graphs)
        return notation.write(self.definition, graphs)

    # -- what belongs to the space ---------------------------------------------------------------------------

    def check_form(self, graphs: ArchGraphs) -> None:
        """Raise :class:`InvalidArchitecture` for what is no batch of the space in the form that it gives."""
        checked_graphs(self, graphs)
        if graphs.ops.shape[1:] != self.definition.ops_shape or graphs.simplified:
            raise InvalidArchitecture(
                f"the graphs were brought into another form than {self.name} gives; "
                "keep the original ones for this"
            )

    def faults(self, graphs: ArchGraphs) -> list[Fault]:
        """For each rule, bool (R,) where it is broken, and a sentence of what is wrong and the remedy."""
        return faults.form_faults(self.definition, graphs) + self.choice_faults(graphs)

    def choice_faults(self, graphs: ArchGraphs) -> list[Fault]:
        """The rules of this space for well-formed cells: by default those of its topology and most edges."""
        return faults.choice_faults(self.definition, graphs)

    def is_valid(self, graphs: ArchGraphs) -> Tensor:
        """Bool (R,): which cells belong to the space."""
        valid = torch.ones(graphs.adjacency.shape[0], dtype=torch.bool)
        for broken, _ in self.faults(graphs):
            valid &= ~broken
        return valid

    def validate(self, graphs: ArchGraphs) -> ArchGraphs:
        self.check_form(graphs)
        found = [
            (int(broken.nonzero()[0, 0]), sentence)
            for broken, sentence in self.faults(graphs)
            if broken.any()
        ]
        if found:
            row, sentence = min(found, key=lambda fault: fault[0])
            raise InvalidArchitecture(f"{self.definition.row_name(row)}: {sentence}", row // self.cells)
        return graphs

    # -- drawing, changing, counting -------------------------------------------------------------------------

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """Draw ``n`` architectures with replacement.

        Cells are those of :meth:`random_cells`, drawn again as long as they do not belong to the space.
        """
        rng, count = generator(seed), checked_count(self, n) * self.cells

        def propose(rows: Tensor) -> ArchGraphs:
            return self.random_cells(len(rows), rng)

        return drawing.until_good(self, count, propose, lambda cells, rows: self.is_valid(cells))

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        """``rows`` random cells, some of which may not be valid.

        Operations are uniform. With a free topology each edge is present with probability
        :attr:`edge_probability`, and the graph is pruned (NAS-Bench-101, ICML 2019, section 3, for any
        space).
        """
        if self.topology is not None:
            numbers = rng.integers(len(self.operations), size=(rows, self.places))
            return self.cells_from_ops(torch.from_numpy(numbers))
        return drawing.random_cells(self, rows, self.edge_probability, rng)

    def mutate(self, graphs: ArchGraphs, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """One random change (:meth:`mutants`) in one cell of each architecture."""
        self.check_form(graphs)
        graphs = graphs.with_features(None).with_architecture_features(None)  # they describe the parents
        rng = generator(seed)
        chosen = np.arange(len(graphs)) * self.cells + rng.integers(self.cells, size=len(graphs))
        parents = drawing.take_cells(graphs, torch.from_numpy(chosen))

        def good(children: ArchGraphs, rows: Tensor) -> Tensor:
            changed = (children.ops != parents.ops[rows]).flatten(1).any(1)
            changed |= (children.adjacency != parents.adjacency[rows]).flatten(1).any(1)
            return self.is_valid(children) & changed

        def propose(rows: Tensor) -> ArchGraphs:
            return self.mutants(drawing.take_cells(parents, rows), rng)

        children = drawing.until_good(self, len(graphs), propose, good)
        return drawing.put_cells(graphs, torch.from_numpy(chosen), children)

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        """Each cell of ``parents`` with one random change; some may be invalid or unchanged.

        With a fixed topology an operation changes. Otherwise one of: an operation changes, an edge comes or
        goes, a new node splits an edge; then nodes on no path are cut.
        """
        if self.topology is not None:
            numbers = drawing.change_one(self.ops_of_cells(parents), len(self.operations), rng)
            return self.cells_from_ops(numbers)
        return drawing.mutants(parents, rng)

    def enumerate(self) -> ArchGraphs:
        """Every architecture once, up to 2 million writings.

        With a fixed topology: all valid choices of operations, the last place changing fastest. Otherwise one
        writing of each isomorphism class (:meth:`hash` of a cell), by number of nodes.

        Raises:
            InvalidParameter: there are more writings than that.
        """
        if self.topology is not None:
            numbers = torch.from_numpy(enumeration.fixed_numbers(self.definition))
            graphs = self.cells_from_ops(numbers.reshape(len(numbers) * self.cells, self.places))
            valid = self.is_valid(graphs).reshape(-1, self.cells).all(1)
            return graphs if valid.all() else graphs[valid]
        single = self.single_cell
        return enumeration.combined_cells(self, enumeration.free_cells(single, single.is_valid))
