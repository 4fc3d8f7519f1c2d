"""Spaces of cells of named operations."""

from archenc.spaces.cell.definition import CellDefinition
from archenc.spaces.cell.space import CellSpace

__all__ = [
    "CellDefinition",
    "CellSpace",
]
