"""What the arrays of a batch mean, the same for every space.

* ``adjacency[n, i, j] = 1`` is an edge from node ``i`` to node ``j``; nodes are in topological order
    (strictly upper triangular).
* The input nodes come first (``0 .. num_inputs - 1``), the output node is always the last one (``V - 1``),
  padding lies just before it.
* Operations on nodes: ``ops`` is (R, V) with 0 padding, 1 input, 2 output, ``k + 3`` the space's k-th
    operation.
* Operations on edges: ``ops`` is (R, V, V), or (R, S, V, V) where a pair of nodes may be joined by up to S
  edges, with 0 no edge, ``k + 1`` the space's k-th operation.
* An architecture of several cells (DARTS: normal and reduction) is that many consecutive rows: R = N * cells.
* Features of the operations, where there are any, have the shape of ``ops`` and one axis more, and are zero
    where there is no operation.
* Features of whole architectures, where there are any, are (N, k): a row for each architecture, not for each
    cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor

OpOn = Literal["node", "edge"]
Index = int | slice | Sequence[int] | np.ndarray | Tensor

PAD, INPUT, OUTPUT, NODE_OFFSET = 0, 1, 2, 3
ABSENT, EDGE_OFFSET = 0, 1
LARGEST_FEATURE = 1e100
"""Magnitude of what is known of an architecture: differences of two such numbers, and their products, are
still numbers.
"""


class SpaceOfGraphs(Protocol):
    """What is asked of the search space of a batch: a part of :class:`archenc.spaces.base.Space`, which
    explains it.
    """

    @property
    def name(self) -> str: ...

    @property
    def operations(self) -> Sequence[str]: ...

    @property
    def op_on(self) -> OpOn: ...

    @property
    def max_nodes(self) -> int: ...

    @property
    def num_inputs(self) -> int: ...

    @property
    def cells(self) -> int: ...

    @property
    def edges_per_pair(self) -> int: ...

    @property
    def topology(self) -> Any: ...

    @property
    def node_vocabulary(self) -> Sequence[str]: ...

    @property
    def edge_vocabulary(self) -> Sequence[str]: ...

    @property
    def num_node_form_nodes(self) -> int: ...

    @property
    def notations(self) -> Sequence[str]: ...

    @property
    def published_hash(self) -> bool: ...

    @property
    def reads_only_paths(self) -> bool: ...

    def operation_number(self, name: str, where: str) -> int: ...

    def parse(self, architectures: Any) -> Any: ...

    def format(self, graphs: Any) -> list[str]: ...

    def validate(self, graphs: Any) -> Any: ...

    def sample(self, n: int, seed: Any = 0) -> Any: ...

    def node_form(self, graphs: Any) -> Any: ...


class Batch(Protocol):
    """What is asked of a batch where it is turned into something else: a part of
    :class:`archenc.graphs.ArchGraphs`.
    """

    @property
    def space(self) -> Any: ...

    @property
    def adjacency(self) -> Tensor: ...

    @property
    def ops(self) -> Tensor: ...

    @property
    def mask(self) -> Tensor: ...

    @property
    def features(self) -> Tensor | None: ...

    @property
    def op_on(self) -> OpOn: ...

    @property
    def num_nodes(self) -> int: ...

    def __len__(self) -> int: ...

    def edge_ops(self) -> Tensor: ...

    def edge_features(self) -> Tensor | None: ...
