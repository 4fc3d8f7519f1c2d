"""Search spaces: what an architecture is, and what can be done with it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from archenc.errors import InvalidParameter
from archenc.files.text import shown
from archenc.registry import SPACES
from archenc.spaces.base import Space

if TYPE_CHECKING:
    from archenc.spaces.stages import StageSpace
    from archenc.spaces.traced.onnx_file import from_onnx
    from archenc.spaces.traced.pytorch import from_module, from_modules
    from archenc.spaces.traced.space import OperationSpace

_LAZY = {
    "OperationSpace": "archenc.spaces.traced.space",
    "StageSpace": "archenc.spaces.stages",
    "from_module": "archenc.spaces.traced.pytorch",
    "from_modules": "archenc.spaces.traced.pytorch",
    "from_onnx": "archenc.spaces.traced.onnx_file",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'archenc.spaces' has no attribute {name!r}")


def from_config(config: dict[str, Any]) -> Space:
    """Build the space that :meth:`Space.config` described: ``{"name": registered name, "parameters":
    {...}}``.

    The description may come from a file that somebody sent: it is checked, and what it asks for is bounded,
    before anything is built.

    Raises:
        UnknownName: no space is registered under the name.
        InvalidParameter: no such description, or parameters that describe no space.
    """
    if not isinstance(config, dict) or config.keys() != {"name", "parameters"}:
        raise InvalidParameter(
            f"{shown(config)} describes no space; give a dict of its 'name' and its 'parameters'"
        )
    name, parameters = config["name"], config["parameters"]
    if not isinstance(parameters, dict) or not all(isinstance(key, str) for key in parameters):
        raise InvalidParameter(
            f"{shown(parameters)} are no parameters of the space {shown(name)}; give a dict of them by name"
        )
    return SPACES.create(name, **parameters)


def needs_parameters(factory: Callable[..., Space]) -> bool:
    """Whether a class of spaces, or a function that gives one, has parameters without a default."""
    parameters = inspect.signature(factory).parameters.values()
    any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(one.default is one.empty and one.kind not in any_number for one in parameters)


__all__ = [
    "OperationSpace",
    "Space",
    "StageSpace",
    "from_config",
    "from_module",
    "from_modules",
    "from_onnx",
    "needs_parameters",
]
