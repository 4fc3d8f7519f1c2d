"""How genotypes are read and written: text, dicts and lists of pairs."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.files.text import listed, shown
from archenc.spaces.base import as_array, is_list, is_whole

_CELLS = ("normal", "reduce")
_KEYS = {"normal", "normal_concat", "reduce", "reduce_concat"}
_EXAMPLES = {
    1: "Genotype(normal=[('skip_connect', 0), ...], normal_concat=range(2, 6))",
    2: "Genotype(normal=[('skip_connect', 0), ...], normal_concat=range(2, 6), reduce=[...], "
    "reduce_concat=range(2, 6))",
}

Cell = tuple[list[tuple[int, int]], list[bool] | None]
"""(input node, operation number) of each edge, and for each intermediate node whether it is concatenated,
where that was said.
"""


@dataclass(frozen=True)
class GenotypeDefinition:
    """What genotypes of a space are: parameters of ``GenotypeSpace``, which checks them."""

    name: str
    choices: tuple[str, ...]
    nodes: int
    cells: int


def as_table(space: GenotypeDefinition, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """int64 (N, *shape) of whole numbers; raises :class:`InvalidArchitecture` for anything else."""
    table = as_array(values)
    if table.shape == (0,):
        table = np.zeros((0, *shape), dtype=np.int64)
    if table.shape[1:] != shape or table.dtype.kind not in "biu":
        wanted = ", ".join(["N", *map(str, shape)])
        fault = f"{space.name} takes whole numbers of shape ({wanted}), not {table.dtype} {table.shape}"
        raise InvalidArchitecture(f"{fault}; reshape the array")
    return table.astype(np.int64)


def fault_at(space: GenotypeDefinition, row: int, edge: int, fault: str) -> InvalidArchitecture:
    """The error of a fault at an edge of row ``row`` of a batch."""
    architecture, cell = divmod(row, space.cells)
    where = f"architecture {architecture}, {_CELLS[cell]} cell, edge {edge}"
    return InvalidArchitecture(f"{where}: {fault}", architecture)


# -- reading -------------------------------------------------------------------------------------------------


def is_cell(item: Any) -> bool:
    """Whether an item of a sequence is one cell, a list of pairs, and not a genotype."""
    return (
        is_list(item)
        and not hasattr(item, "_asdict")
        and any(is_list(pair) and not any(map(is_list, pair)) for pair in item)
    )


def is_pair(item: Any) -> bool:
    """Whether an item of a sequence is one edge of a cell."""
    return is_list(item) and not hasattr(item, "_asdict") and not any(map(is_list, item))


def read(space: GenotypeDefinition, item: Any, where: str) -> list[Cell]:
    """The cells of one genotype in any of its forms."""
    if isinstance(item, str | bytes):
        item = _parse_text(space, item, where)
    elif isinstance(item, tuple) and hasattr(item, "_asdict"):
        item = item._asdict()
    if isinstance(item, Mapping):
        cells = _CELLS[: space.cells]
        unknown = [key for key in item if key not in _KEYS]
        missing = [key for key in cells if key not in item]
        if unknown or missing:
            fault = (
                f"the key {missing[0]!r} is missing" if missing else f"the key {shown(unknown[0])} is unknown"
            )
            raise InvalidArchitecture(f"{where}: {fault}; write it as {_EXAMPLES[space.cells]}")
        if space.cells == 1 and is_list(item.get("reduce")) and len(item["reduce"]):
            raise InvalidArchitecture(
                f"{where}: a reduction cell, and {space.name} has one cell; write it as {_EXAMPLES[1]}"
            )
        return [
            (
                _read_edges(space, item[key], f"{where}, {key} cell"),
                _read_concat(space, item.get(f"{key}_concat"), f"{where}, {key} cell"),
            )
            for key in cells
        ]
    if space.cells == 1:
        item = [item]
    if not is_list(item) or len(item) != space.cells:
        raise InvalidArchitecture(
            f"{where}: neither a genotype nor a pair of cells; write it as {_EXAMPLES[space.cells]}"
        )
    return [
        (_read_edges(space, edges, f"{where}, {key} cell"), None)
        for key, edges in zip(_CELLS, item, strict=False)
    ]


def _parse_text(space: GenotypeDefinition, text: str | bytes, where: str) -> Any:
    """The dict or the lists that a text stands for; nothing in it is executed."""
    try:
        if len(text) > _longest_text(space):
            raise ValueError
        tree = ast.parse(text.strip(), mode="eval").body
        if (
            isinstance(tree, ast.Call)
            and isinstance(tree.func, ast.Name)
            and tree.func.id == "Genotype"
            and not tree.args
        ):
            pairs: list[tuple[Any, Any]] = [(keyword.arg, _value(keyword.value)) for keyword in tree.keywords]
        elif isinstance(tree, ast.Dict):
            pairs = [
                (key and ast.literal_eval(key), _value(value))
                for key, value in zip(tree.keys, tree.values, strict=True)
            ]
        else:
            return ast.literal_eval(tree)
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError("a key stands twice")
        return found
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise InvalidArchitecture(
            f"{where}: {shown(text)} is no genotype of {space.name}; write it as {_EXAMPLES[space.cells]}"
        ) from None


def _longest_text(space: GenotypeDefinition) -> int:
    """Characters of the longest text to be read: 10,000, or twice as many as the space can write if those are
    more.
    """
    edge = max(len(repr(name)) for name in space.choices) + len("(, 99), ")
    return max(10_000, 2 * len(_CELLS) * space.nodes * (2 * edge + len("99, ")))


def _value(tree: ast.expr) -> Any:
    """A literal, or the numbers of ``range(start, stop)``."""
    if (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)
        and tree.func.id == "range"
        and not tree.keywords
    ):
        ends = [ast.literal_eval(argument) for argument in tree.args]
        if 1 <= len(ends) <= 2 and all(type(end) is int and 0 <= end <= 250 for end in ends):
            return list(range(*ends))
    return ast.literal_eval(tree)


def _read_edges(space: GenotypeDefinition, edges: Any, where: str) -> list[tuple[int, int]]:
    if not is_list(edges) or len(edges) != 2 * space.nodes:
        raise InvalidArchitecture(
            f"{where}: not a list of {2 * space.nodes} edges; give two for each of {space.nodes} "
            "intermediate nodes"
        )
    return [_read_edge(space, pair, f"{where}, edge {number}") for number, pair in enumerate(edges)]


def _read_edge(space: GenotypeDefinition, pair: Any, where: str) -> tuple[int, int]:
    """(operation name, input node), or (input node, operation number or name)."""
    if not is_list(pair) or len(pair) != 2:
        raise InvalidArchitecture(f"{where}: {shown(pair)} is no pair; write ('skip_connect', 0)")
    source, op = (pair[1], pair[0]) if isinstance(pair[0], str) else pair
    if isinstance(op, str) and op not in space.choices:
        raise InvalidArchitecture(
            f"{where}: unknown operation {shown(op)}; {space.name} knows {listed(space.choices)}"
        )
    number = space.choices.index(op) if isinstance(op, str) else op
    for value, limit, kind in ((source, 250, "input node"), (number, len(space.choices), "operation")):
        if not is_whole(value) or not 0 <= value < limit:
            raise InvalidArchitecture(
                f"{where}: {shown(value)} is no {kind}; write ('skip_connect', 0) or (0, 2)"
            )
    return int(source), int(number)


def _read_concat(space: GenotypeDefinition, concat: Any, where: str) -> list[bool] | None:
    if concat is None:
        return None
    interior = range(2, 2 + space.nodes)
    given = list(concat) if is_list(concat) or isinstance(concat, range) else [None]
    nodes = [node for node in given if isinstance(node, int | np.integer) and node in interior]
    if len(set(nodes)) != len(given):
        remedy = f"list intermediate nodes, 2 to {1 + space.nodes}, once each"
        raise InvalidArchitecture(f"{where}: the concat list is {shown(concat)}; {remedy}")
    return [node in given for node in interior]


# -- writing -------------------------------------------------------------------------------------------------


def write(space: GenotypeDefinition, cells: Sequence[Sequence[Sequence[int]]], concat: np.ndarray) -> str:
    """The text of one architecture from its (input node, operation number) pairs and its concatenated nodes,
    bool (cells, n).
    """
    parts = []
    for key, edges, joined in zip(_CELLS, cells, concat, strict=False):
        pairs = ", ".join(f"({space.choices[number]!r}, {source})" for source, number in edges)
        nodes = f"range(2, {2 + space.nodes})" if joined.all() else (np.flatnonzero(joined) + 2).tolist()
        parts.append(f"{key}=[{pairs}], {key}_concat={nodes}")
    return f"Genotype({', '.join(parts)})"
