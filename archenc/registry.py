"""Names to objects, through packaging entry points.

Built-in encoders, heads, losses, spaces and data sets are declared in setup.cfg exactly as a third party declares its own,
and nothing is imported before it is asked for. Code that is not packaged (a notebook, a script) uses :meth:`Registry.register`.
"""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from archenc.errors import InvalidParameter, UnknownName
from archenc.text import visible


def normalise(name: str) -> str:
    """Lower case, hyphens: ``"XGBoost"`` and ``"op_count"`` become ``"xgboost"`` and ``"op-count"``."""
    return name.strip().lower().replace("_", "-")


class Registry:
    """The objects of one kind, by name.

    Args:
        kind: what an entry is called in messages, for example ``"encoder"``.
        group: the entry-point group, for example ``"archenc.encoders"``.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._registered: dict[str, Any] = {}

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {normalise(point.name): point for point in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """All names, sorted; imports nothing."""
        return sorted({*self._entry_points(), *self._registered})

    def register(self, name: str, entry: Any) -> Any:
        """Add ``entry`` under ``name`` for this process; raises :class:`InvalidParameter` when the name is taken."""
        key = normalise(name)
        if key in self.names() and self._registered.get(key) is not entry:
            raise InvalidParameter(f"the {self.kind} name {key!r} is already taken; choose another one")
        self._registered[key] = entry
        return entry

    def unregister(self, name: str) -> None:
        """Take back what :meth:`register` added."""
        self._registered.pop(normalise(name), None)

    def get(self, name: str) -> Any:
        """The object called ``name``; raises :class:`UnknownName` with the nearest names."""
        key = normalise(str(name))
        if key in self._registered:
            return self._registered[key]
        points = self._entry_points()
        if key in points:
            return points[key].load()
        names = self.names()
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}"
        raise UnknownName(f"there is no {self.kind} called {visible(f'{name!r:.80}')}; {hint}")


ENCODERS = Registry("encoder", "archenc.encoders")
HEADS = Registry("head", "archenc.heads")
LOSSES = Registry("loss", "archenc.losses")
SPACES = Registry("space", "archenc.spaces")
DATASETS = Registry("data set", "archenc.datasets")
