"""What NAS-Bench-201 and TransNAS-Bench-101 share: cells of four nodes that are all joined, with an operation on each of the six edges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.graphs import ArchGraphs
from archenc.spaces import notation
from archenc.spaces.base import as_sequence, is_list
from archenc.spaces.cell import CellSpace
from archenc.text import shown

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


class FourNodeSpace(CellSpace):
    """Cells of four joined nodes whose operations include "none" and "skip_connect", written as the benchmark's own string.

    Attributes:
        title: the benchmark's name, for messages.
        pattern: its string; the six groups are the operations in the order of ``EDGES``.
        example: such a string.
    """

    title: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]
    example: ClassVar[str]

    def __init__(self, name: str, operations: Sequence[str]) -> None:
        super().__init__(name, operations, op_on="edge", max_nodes=4, topology=EDGES, none_op="none", skip_op="skip_connect")
        self._numbers = {operation: k for k, operation in enumerate(operations)}

    def config(self) -> dict[str, Any]:
        return {"name": self.name, "parameters": {}}

    def parse(self, architectures: Any) -> ArchGraphs:
        items = as_sequence(architectures, self._is_part)
        rows = [self._operation_numbers(item, f"architecture {number}") for number, item in enumerate(items)]
        return self.from_ops(np.array(rows, dtype=np.int64).reshape(-1, 6))

    def _is_part(self, item: Any) -> bool:
        """Whether an item of a sequence is only a part of an architecture."""
        return notation.is_part(self, item)

    def _operation_numbers(self, item: Any, where: str) -> list[int]:
        """The six operation numbers of one architecture in any of its forms."""
        operations = self._operations(item, where)
        try:
            return [self._numbers[name] for name in operations] if len(operations) == 6 else notation.read_ops(self, operations, where)
        except (KeyError, TypeError):
            return notation.read_ops(self, operations, where)  # numbers, or says which one is wrong

    def _operations(self, item: Any, where: str) -> Sequence[Any]:
        """The names or numbers of the operations of one architecture, as they stand in it."""
        if isinstance(item, str):
            match = self.pattern.fullmatch(item.strip())
            if match is None:
                raise InvalidArchitecture(f"{where}: {shown(item)} is no {self.title} string; write it as {self.example}")
            return match.groups()
        if is_list(item):
            return list(item)
        raise InvalidArchitecture(f"{where}: a {type(item).__name__} is no {self.title} architecture; write it as {self.example}")
