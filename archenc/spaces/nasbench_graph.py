"""NAS-Bench-Graph: graph neural networks of four operations, each with exactly one input; the leaves are
joined at the output.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, read_each
from archenc.files.text import shown
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT, ArchGraphs
from archenc.spaces.base import as_array, as_sequence, is_list, is_whole
from archenc.spaces.cell import CellSpace, notation
from archenc.spaces.cell.drawing import change_one
from archenc.spaces.cell.enumeration import all_digits, first_of_each

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
LINKS = np.array(  # the input node of each computing node: 0 the raw input, k the k-th computing node
    [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 1],
        [0, 0, 1, 2],
        [0, 0, 1, 3],
        [0, 1, 1, 1],
        [0, 1, 1, 2],
        [0, 1, 2, 2],
        [0, 1, 2, 3],
    ]
)
_DIGITS = 10 ** np.arange(4, -1, -1)
_BASE5 = 5 ** np.arange(3, -1, -1)
_EXAMPLE = '{"link": [0, 0, 1, 2], "ops": ["gcn", "gat", "gin", "skip"]}'


def _relabellings() -> tuple[np.ndarray, np.ndarray]:
    """For each of the 625 link lists, the number of its canonical list (-1: none) and (4,) which old node
    each new node is.
    """
    number = np.full(625, -1)
    order = np.zeros((625, 4), dtype=np.int64)
    for permutation in itertools.permutations(
        range(1, 5)
    ):  # the identity first, so that canonical lists stay as they are
        old = np.array([0, *permutation])
        for k, links in enumerate(LINKS):
            written = np.empty(4, dtype=np.int64)
            written[old[1:] - 1] = old[links]
            code = int(written @ _BASE5)
            if number[code] < 0:
                number[code], order[code] = k, old[1:] - 1
    return number, order


def _adjacencies() -> np.ndarray:
    """(9, 6, 6): the adjacency of each canonical link list."""
    adjacency = np.zeros((len(LINKS), 6, 6), dtype=np.uint8)
    for k, links in enumerate(LINKS):
        adjacency[k, links, np.arange(1, 5)] = 1
        adjacency[k, :5, 5] = adjacency[k, :5, 1:5].sum(1) == 0
    return adjacency


_CANONICAL, _ORDER = _relabellings()
_ADJACENCY = _adjacencies()


class NASBenchGraph(CellSpace):
    """The space of NAS-Bench-Graph: nine wirings of four computing nodes with one of nine operations on each.

    Architectures are written as the benchmark's hash, an int or its text (``"77016"``: link list 7,
    operations 7, 0, 1, 6), or as a dict or JSON text ``{"link": [0, 0, 1, 2], "ops": ["gcn", "gat", "gin",
    "skip"]}`` in which ``link`` gives the input of each computing node. A link list that is not one of the
    nine canonical ones is brought to its canonical one by relabelling the nodes. The order of exchangeable
    nodes is kept as given: :meth:`hash` is equal for all of them, :meth:`to_hashes` is not.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench-graph")
        >>> space.format(space.sample(1, seed=0))[0]
        '75422'
    """

    paper = (
        "Qin, Zhang, Wang, Zhang, Zhu: NAS-Bench-Graph, NeurIPS 2022 datasets and benchmarks, section 3.1, "
        "arXiv:2206.09166"
    )

    def __init__(self) -> None:
        super().__init__("nasbench-graph", OPERATIONS, max_nodes=6, max_edges=8, skip_op="skip")

    def config(self) -> dict[str, Any]:
        return {"name": "nasbench-graph", "parameters": {}}

    # -- reading and writing ---------------------------------------------------------------------------------

    def parse(self, architectures: Any) -> ArchGraphs:
        items = [architectures] if isinstance(architectures, int | np.integer) else as_sequence(architectures)
        table = np.array(read_each(items, self._numbers), dtype=np.int64).reshape(-1, 5)
        return self._from_numbers(table[:, 0], table[:, 1:])

    def format(self, graphs: ArchGraphs) -> list[str]:
        """The benchmark's hash as decimal text, of the form as given."""
        return [str(value) for value in self.to_hashes(graphs)]

    def from_hashes(self, hashes: Any) -> ArchGraphs:
        """Architectures from the benchmark's hashes, integers (N,).

        Raises:
            InvalidArchitecture: a number whose five decimal digits are not a link list and four operations, 0
                to 8 each.
        """
        values = as_array(hashes)
        if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
            raise InvalidArchitecture(
                f"hashes of type {values.dtype} and shape {values.shape}; give one whole number an "
                "architecture"
            )
        digits = values.astype(np.int64)[:, None] // _DIGITS % 10
        wrong = (values < 0) | (values >= 100_000) | (digits > 8).any(1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            fault = f"{values[row]} is no hash of NAS-Bench-Graph"
            raise InvalidArchitecture(f"architecture {row}: {fault}; give five digits from 0 to 8", row)
        return self._from_numbers(digits[:, 0], digits[:, 1:])

    def to_hashes(self, graphs: ArchGraphs) -> np.ndarray:
        """(N,) int64: the benchmark's hash of each architecture, of the form as given."""
        self.check_form(graphs)
        links, ops = self._canonical(graphs)
        hashes: np.ndarray = links * _DIGITS[0] + ops @ _DIGITS[1:]
        return hashes

    def _numbers(self, item: Any, where: str) -> list[int]:
        """Link list number and four operation numbers of one architecture in any of its forms."""
        if isinstance(item, str | bytes):
            item = notation.load_json(item, where, self.name, f"46118 or as {_EXAMPLE}")
        if is_whole(item):
            value = int(item)
            if not (0 <= value < 100_000 and all(digit in "012345678" for digit in str(value))):
                raise InvalidArchitecture(
                    f"{where}: {shown(value)} is no hash of NAS-Bench-Graph; give five digits from 0 to 8"
                )
            return [value // 10**k % 10 for k in range(4, -1, -1)]
        if not isinstance(item, Mapping) or "link" not in item or "ops" not in item:
            raise InvalidArchitecture(
                f"{where}: neither a hash nor a dict with 'link' and 'ops'; write it as 46118 or as "
                f"{_EXAMPLE}"
            )
        link, names = item["link"], item["ops"]
        if not _is_four(link) or not all(
            isinstance(node, int | np.integer) and 0 <= node <= 4 for node in link
        ):
            raise InvalidArchitecture(
                f"{where}: 'link' is {shown(link)}; give the input node of each of the four nodes, 0 to 4"
            )
        code = int(np.array(link) @ _BASE5)
        if _CANONICAL[code] < 0:
            raise InvalidArchitecture(
                f"{where}: the links {list(link)} have a cycle; let every chain of inputs end at node 0"
            )
        if not _is_four(names):
            raise InvalidArchitecture(f"{where}: 'ops' is {shown(names)}; give four operations")
        ops = [
            notation.op_number(self.definition, name, f"{where}, node {node}")
            for node, name in enumerate(names, start=1)
        ]
        return [int(_CANONICAL[code]), *(ops[old] for old in _ORDER[code])]

    def _from_numbers(self, links: np.ndarray, operations: np.ndarray) -> ArchGraphs:
        """Cells from canonical link list numbers (R,) and operation numbers (R, 4)."""
        ops = np.empty((len(links), 6), dtype=np.uint8)
        ops[:, 0], ops[:, -1] = INPUT, OUTPUT
        ops[:, 1:-1] = operations + NODE_OFFSET
        return self.graphs(_ADJACENCY[links], ops)

    def _canonical(self, graphs: ArchGraphs) -> tuple[np.ndarray, np.ndarray]:
        """Canonical link list numbers (R,) and operation numbers (R, 4) of valid cells, relabelled where
        needed.
        """
        return _relabel(_links(graphs), graphs.ops[:, 1:-1].numpy().astype(np.int64) - NODE_OFFSET)

    # -- what belongs to the space, and drawing from it ------------------------------------------------------

    def choice_faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        expected = np.zeros(tuple(graphs.adjacency.shape), dtype=np.uint8)
        np.put_along_axis(expected[:, :5, 1:5], _links(graphs)[:, None, :], 1, axis=1)
        expected[:, :5, 5] = expected[:, :5, 1:5].sum(2) == 0
        wrong = torch.from_numpy((expected != graphs.adjacency.numpy()).any((1, 2)))
        return [
            (
                wrong,
                "not every computing node has one input, or other nodes than the leaves are joined at the "
                "output; read it with parse",
            )
        ]

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        return self._from_numbers(
            rng.integers(len(LINKS), size=rows), rng.integers(len(OPERATIONS), size=(rows, 4))
        )

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        """Change one operation or the input of one node, with equal probability."""
        number, ops = self._canonical(parents)
        rows = np.arange(len(ops))
        links = LINKS[number]
        node = rng.integers(4, size=len(rows))
        links[rows, node] = rng.integers(node + 1)  # an earlier node, so there is no cycle
        rewired = self._from_numbers(*_relabel(links, ops))
        other = self._from_numbers(number, change_one(torch.from_numpy(ops), len(OPERATIONS), rng).numpy())
        rewire = torch.from_numpy(rng.random(len(rows)) < 0.5)[:, None]
        return self.graphs(
            torch.where(rewire[:, :, None], rewired.adjacency, other.adjacency),
            torch.where(rewire, rewired.ops, other.ops),
        )

    def enumerate(self) -> ArchGraphs:
        """One writing of each isomorphism class (:meth:`hash`): of the 59,049 hashes the lowest ones, in
        ascending order.

        These are 35,919. The benchmark trained 26,206 of them, as it also moves skips to one place.
        """
        numbers = all_digits(len(OPERATIONS), 5)
        graphs = self._from_numbers(numbers[:, 0], numbers[:, 1:])
        return graphs[first_of_each(self.hash(graphs))]


def _links(graphs: ArchGraphs) -> np.ndarray:
    """(R, 4) int64: the first input node of each computing node."""
    first: np.ndarray = graphs.adjacency[:, :5, 1:5].numpy().argmax(1)
    return first


def _relabel(links: np.ndarray, operations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical link list numbers (R,) and operation numbers (R, 4) of acyclic link lists (R, 4)."""
    code = links @ _BASE5
    return _CANONICAL[code], np.take_along_axis(operations, _ORDER[code], axis=1)


def _is_four(value: Any) -> bool:
    return is_list(value) and len(value) == 4
