"""Search spaces: what an architecture is, and what can be done with it."""

from __future__ import annotations

from typing import Any

from archenc.registry import SPACES
from archenc.spaces.base import Space


def from_config(config: dict[str, Any]) -> Space:
    """Build the space that :meth:`Space.config` described: ``{"name": registered name, "parameters": {...}}``."""
    space: Space = SPACES.get(config["name"])(**config["parameters"])
    return space


__all__ = ["Space", "from_config"]
