"""What NAS-Bench-201 and TransNAS-Bench-101 share: cells of four nodes that are all joined, with an operation
on each of the six edges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from archenc.errors import InvalidArchitecture, read_each
from archenc.files.text import shown
from archenc.graphs import ArchGraphs
from archenc.spaces.base import as_sequence, is_list, is_whole
from archenc.spaces.cell import CellSpace, notation
from archenc.spaces.cell.notation import Cell

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


class FourNodeSpace(CellSpace):
    """Cells of four joined nodes whose operations include "none" and "skip_connect", written as the
    benchmark's own string.

    They are also read as six operations (names or numbers k) in the order of ``EDGES``, as the text of six
    such numbers (``"(4, 0, 3, 1, 4, 3)"`` or ``"4 0 3 1 4 3"``), and as a dict of the six edges in any order,
    or its JSON text: ``{"0_1": "none", ...}``, where a key can also be ``"0->1"``, ``"1<-0"`` or ``(0, 1)``.

    A space that takes further forms overrides :meth:`read_operations`, or :meth:`read_text` for texts.

    Attributes:
        title: the benchmark's name, for messages.
        pattern: its string; the six groups are the operations in the order of ``EDGES``.
        example: such a string.
    """

    title: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]
    example: ClassVar[str]

    def __init__(self, name: str, operations: Sequence[str]) -> None:
        super().__init__(
            name,
            operations,
            op_on="edge",
            max_nodes=4,
            topology=EDGES,
            none_op="none",
            skip_op="skip_connect",
        )
        self._numbers = {operation: k for k, operation in enumerate(operations)}

    def config(self) -> dict[str, Any]:
        return {"name": self.name, "parameters": {}}

    def parse(self, architectures: Any) -> ArchGraphs:
        return self.parse_items(as_sequence(architectures, self.is_part))

    def parse_items(self, items: Sequence[Any]) -> ArchGraphs:
        """A batch of the architectures that a list holds."""
        rows = [cell for cells in read_each(items, self.read_one) for cell in cells]
        return self.from_ops(np.array(rows, dtype=np.int64).reshape(-1, 6))

    def read_one(self, item: Any, where: str) -> list[Cell | list[int]]:
        operations = self.read_operations(item, where)
        if len(operations) == 6:
            try:
                return [[self._numbers[name] for name in operations]]
            except (KeyError, TypeError):
                pass  # they are numbers, or one is wrong
        return [notation.read_ops(self.definition, operations, where)]

    def read_operations(self, item: Any, where: str) -> Sequence[Any]:
        """The names or numbers of one architecture's operations, in the order of ``EDGES``, not yet checked.

        Raises:
            InvalidArchitecture: what is no architecture in any form.
        """
        if isinstance(item, str):
            return self.read_text(item.strip(), where)
        if isinstance(item, Mapping):
            return self._from_edges(item, where)
        if is_list(item):
            return list(item)
        raise InvalidArchitecture(
            f"{where}: a {type(item).__name__} is no {self.title} architecture; write it as {self.example}"
        )

    def read_text(self, text: str, where: str) -> Sequence[Any]:
        """What :meth:`read_operations` gives, of a text."""
        match = self.pattern.fullmatch(text)
        if match is not None:
            return match.groups()
        if text.startswith("{"):
            return self.read_operations(
                notation.load_json(text, where, self.name, '{"0_1": "none", ...}'), where
            )
        if numbers := six_numbers(text):
            return numbers
        raise InvalidArchitecture(
            f"{where}: {shown(text)} is no {self.title} string; write it as {self.example}"
        )

    def _from_edges(self, item: Mapping[Any, Any], where: str) -> list[Any]:
        """The operations of a dict of edges, in the order of ``EDGES``."""
        found: dict[tuple[int, int], Any] = {}
        for key, operation in item.items():
            edge = _edge(key)
            if edge not in EDGES:
                raise InvalidArchitecture(
                    f"{where}: {shown(key)} is no edge of {self.title}; name the six edges '0_1' to '2_3'"
                )
            if edge in found:
                raise InvalidArchitecture(
                    f"{where}: the edge '{edge[0]}_{edge[1]}' is given twice; give each of the six edges once"
                )
            found[edge] = operation
        for source, target in EDGES:
            if (source, target) not in found:
                raise InvalidArchitecture(
                    f"{where}: the edge '{source}_{target}' is missing; give each of the six edges an "
                    "operation"
                )
        return [found[edge] for edge in EDGES]


_SIX_NUMBERS = re.compile(r"[(\[]?\s*\d{1,3}(?:(?:\s*,\s*|\s+)\d{1,3}){5}\s*,?\s*[)\]]?", re.ASCII)
_FORWARD = re.compile(r"\s*([0-3])\s*(?:_|->)\s*([0-3])\s*", re.ASCII)
_BACKWARD = re.compile(r"\s*([0-3])\s*<-\s*([0-3])\s*", re.ASCII)


def six_numbers(text: str) -> list[int]:
    """The numbers of the text of six; an empty list for another text."""
    return (
        [int(number) for number in re.findall(r"\d+", text)] if _SIX_NUMBERS.fullmatch(text.strip()) else []
    )


def _edge(key: Any) -> tuple[int, int] | None:
    """Source and target of an edge that is named by its key: ``"0_1"``, ``"0->1"``, ``"1<-0"`` or ``(0,
    1)``.
    """
    if isinstance(key, tuple) and len(key) == 2 and all(is_whole(node) for node in key):
        return int(key[0]), int(key[1])
    text = key if isinstance(key, str) else ""
    if match := _FORWARD.fullmatch(text):
        return int(match[1]), int(match[2])
    if match := _BACKWARD.fullmatch(text):
        return int(match[2]), int(match[1])
    return None
