"""Names to objects, through packaging entry points.

Built-in encoders, heads, losses, spaces, data sets and search strategies are declared in setup.cfg exactly as
a third party declares its own, and nothing is imported before it is asked for. Code that is not packaged (a
notebook, a script) uses :meth:`Registry.register`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from archenc.errors import InvalidParameter, UnknownName, hint, shown

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset
    from archenc.encoder import Encoder
    from archenc.heads.base import Head
    from archenc.losses import Loss
    from archenc.search.base import Strategy
    from archenc.spaces.base import Space

T = TypeVar("T")


def normalise(name: str) -> str:
    """Lower case, hyphens: ``"XGBoost"`` and ``"op_count"`` become ``"xgboost"`` and ``"op-count"``."""
    return name.strip().lower().replace("_", "-")


@cache
def declared(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, read once a process, as the metadata of every installed package is looked
    through for them.
    """
    return tuple(entry_points(group=group))


class Registry(Generic[T]):
    """The objects of one kind, by the names of the classes or functions that build them.

    Args:
        kind: what an entry is called in messages, for example ``"encoder"``.
        group: the entry-point group, for example ``"archenc.encoders"``.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._registered: dict[str, type[T]] = {}

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {normalise(point.name): point for point in declared(self.group)}

    def names(self) -> list[str]:
        """All names, sorted; imports nothing."""
        return sorted({*self._entry_points(), *self._registered})

    def register(self, name: str, entry: Any) -> Any:
        """Add ``entry`` under ``name`` for this process; raises :class:`InvalidParameter` when the name is
        taken or none.
        """
        if not isinstance(name, str) or not name.strip():
            raise InvalidParameter(f"{name!r:.80} is no name for a {self.kind}; give it one of letters")
        key = normalise(name)
        if key in self.names() and self._registered.get(key) is not entry:
            raise InvalidParameter(f"the {self.kind} name {key!r} is already taken; choose another one")
        self._registered[key] = entry
        return entry

    def unregister(self, name: str) -> None:
        """Take back what :meth:`register` added."""
        self._registered.pop(normalise(name), None)

    def create(self, name: str, /, *args: Any, **parameters: Any) -> T:
        """Build what is called ``name``.

        Raises:
            UnknownName: there is none.
            InvalidParameter: a parameter that it does not take, misses, or that is of another kind.
        """
        from archenc.registry.parameters import build  # imports NumPy, which a list of names does without

        made: T = build(self.kind, name, self.get(name), *args, **parameters)
        return made

    def get(self, name: str) -> type[T]:
        """What builds those called ``name``; raises :class:`UnknownName` with the nearest names."""
        if not isinstance(name, str):
            raise UnknownName(f"there is no {self.kind} called {shown(name)}; give its name as text")
        key = normalise(name)
        if key in self._registered:
            return self._registered[key]
        if key not in self._entry_points():
            declared.cache_clear()  # its package may have been installed since
        points = self._entry_points()
        if key in points:
            entry: type[T] = points[key].load()
            return entry
        names = self.names()
        remedy = hint(key, names, f"choose one of {', '.join(names)}")
        raise UnknownName(f"there is no {self.kind} called {shown(name)}; {remedy}")


ENCODERS: Registry[Encoder] = Registry("encoder", "archenc.encoders")
HEADS: Registry[Head] = Registry("head", "archenc.heads")
LOSSES: Registry[Loss] = Registry("loss", "archenc.losses")
SPACES: Registry[Space] = Registry("space", "archenc.spaces")
DATASETS: Registry[ArchDataset] = Registry("data set", "archenc.datasets")
STRATEGIES: Registry[Strategy] = Registry("strategy", "archenc.strategies")


def create_space(name: str, **parameters: Any) -> Space:
    """Build a search space by name; raises :class:`InvalidParameter` for parameters that describe none."""
    return SPACES.create(name, **parameters)


def as_space(space: Space | str | None) -> Space | None:
    """A space, or the one of this name, or None where there is none."""
    return create_space(space) if isinstance(space, str) else space


def create_encoder(name: str, space: Space, **hyperparameters: Any) -> Encoder:
    """Build an encoder by name for a space; raises :class:`InvalidParameter` for a hyper-parameter it does
    not have.
    """
    return ENCODERS.create(name, space, **hyperparameters)
