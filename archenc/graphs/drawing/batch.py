"""What a batch of architectures shows of itself in a notebook."""

from __future__ import annotations

from typing import Any

from archenc.files.reports import fragment
from archenc.graphs.drawing.picture import picture

MOST_SHOWN = 6
"""Architectures that are drawn."""


def batch_html(graphs: Any) -> str:
    """What it is, and its first architectures."""
    facts = [("space", graphs.space.name), ("architectures", f"{len(graphs):,}")]
    facts += [("nodes", f"up to {graphs.num_nodes}, operations on {graphs.op_on}s")]
    shown = min(MOST_SHOWN, len(graphs))
    pictures = [(f"architecture {at}", picture(graphs[[at]]).svg) for at in range(shown)]
    left = len(graphs) - shown
    return fragment("ArchGraphs", facts, pictures, [f"and {left:,} more"] if left else [])
