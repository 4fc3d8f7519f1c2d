"""A module that is left as it was, whatever its own code does while it is traced."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from torch import Tensor, nn

_FOREIGN = sys.stdlib_module_names | {
    "torch",
    "numpy",
}  # what such objects hold (loggers, locks, caches) is not the module's own


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Undo what the block does to the attributes of a module, of its submodules and of the objects that they
    hold.

    Attributes are parameters, buffers, hooks, training flags and all others, the content of lists, dicts,
    sets and deques among them. What the block writes into a tensor is not undone.
    """
    kept = [(container, _copied(container)) for container in _containers(model)]
    try:
        yield
    finally:
        for container, content in kept:
            container.clear()
            (container.extend if isinstance(container, list | deque) else container.update)(content)


def _containers(model: nn.Module) -> Iterator[Any]:
    """Each mutable container that a module reaches through attributes: the attributes of modules and objects
    are one as well.
    """
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict | list | set | deque):
            yield value
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset | deque):
            waiting.extend(value)
        elif _has_own_attributes(value):
            waiting.append(vars(value))


def _copied(container: Any) -> Any:
    return dict(container) if isinstance(container, dict) else list(container)


def _has_own_attributes(value: Any) -> bool:
    if isinstance(value, nn.Module):
        return True
    if isinstance(value, Tensor | type | FunctionType | ModuleType) or not hasattr(value, "__dict__"):
        return False
    return type(value).__module__.partition(".")[0] not in _FOREIGN
