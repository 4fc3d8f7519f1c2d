"""Search spaces: what an architecture is, and what can be done with it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from archenc.registry import SPACES
from archenc.spaces.base import Space

if TYPE_CHECKING:
    from archenc.spaces.traced.onnx_file import from_onnx
    from archenc.spaces.traced.pytorch import from_module, from_modules
    from archenc.spaces.traced.space import OperationSpace

_LAZY = {
    "OperationSpace": "archenc.spaces.traced.space",
    "from_module": "archenc.spaces.traced.pytorch",
    "from_modules": "archenc.spaces.traced.pytorch",
    "from_onnx": "archenc.spaces.traced.onnx_file",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'archenc.spaces' has no attribute {name!r}")


def from_config(config: dict[str, Any]) -> Space:
    """Build the space that :meth:`Space.config` described: ``{"name": registered name, "parameters": {...}}``."""
    space: Space = SPACES.get(config["name"])(**config["parameters"])
    return space


__all__ = ["OperationSpace", "Space", "from_config", "from_module", "from_modules", "from_onnx"]
