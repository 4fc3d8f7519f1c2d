"""A batch of architectures as dense padded arrays, and what can be made of it."""

from archenc.graphs.conventions import (
    ABSENT,
    EDGE_OFFSET,
    INPUT,
    LARGEST_FEATURE,
    NODE_OFFSET,
    OUTPUT,
    PAD,
    Index,
    OpOn,
)
from archenc.graphs.given import as_graphs
from archenc.graphs.store import ArchGraphs, concatenate, ordinary, positions

__all__ = [
    "ABSENT",
    "EDGE_OFFSET",
    "INPUT",
    "LARGEST_FEATURE",
    "NODE_OFFSET",
    "OUTPUT",
    "PAD",
    "ArchGraphs",
    "Index",
    "OpOn",
    "as_graphs",
    "concatenate",
    "ordinary",
    "positions",
]
