"""Building objects from named parameters, with errors a person can read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from archenc.errors import InvalidParameter, hint, shown
from archenc.registry.rules import checked

F = TypeVar("F", bound=Callable[..., Any])


def build(kind: str, name: str, factory: Callable[..., Any], /, *args: Any, **parameters: Any) -> Any:
    """Call ``factory`` with ``args`` and with parameters that are checked by its annotations
    (:mod:`archenc.registry.rules`).

    Raises:
        InvalidParameter: a parameter that it does not take, with the nearest one; one that it misses; or a
            value of another kind.
    """
    owner = f"the {kind} {name!r}"
    rest = list(inspect.signature(factory).parameters.values())[len(args) :]
    keywords = [p for p in rest if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    known = [p.name for p in keywords]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in rest)
    for parameter in parameters:
        if parameter not in known and not takes_any:
            remedy = hint(parameter, known, f"it takes {', '.join(known) or 'none'}")
            raise InvalidParameter(f"{owner} has no parameter {shown(parameter)}; {remedy}")
    missing = [p.name for p in keywords if p.default is p.empty and p.name not in parameters]
    if missing:
        raise InvalidParameter(f"{owner} needs the parameter {missing[0]!r}; give it by name")
    from archenc.torch_state import building

    checked_parameters = checked_by(factory, parameters, owner)
    with building():
        return factory(*args, **checked_parameters)


def checked_by(factory: Callable[..., Any], parameters: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The parameters of a function or class as plain values of the kinds that its annotations say; others are
    taken as they are.

    Raises:
        InvalidParameter: a value of another kind.
    """
    rules = _rules(factory)
    return {
        name: checked(owner, name, value, rules[name]) if name in rules else value
        for name, value in parameters.items()
    }


def check_fields(record: Any, owner: str) -> None:
    """:func:`checked_by` for the fields of a dataclass, in its ``__post_init__``."""
    given = {field.name: getattr(record, field.name) for field in fields(record)}
    for name, value in checked_by(type(record), given, owner).items():
        object.__setattr__(record, name, value)  # dataclasses of parameters are frozen


def fields_of(record: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each field of a dataclass, the given one or its default; raises :class:`TypeError` for
    other names.
    """
    values = {field.name: field.default for field in fields(record)}
    for name in given:
        if name not in values:
            raise TypeError(f"unexpected keyword argument {name!r}")
    return {**values, **given}


def takes_fields(record: type) -> Callable[[F], F]:
    """Says of a function with ``**options`` that these are the fields of a dataclass, to all who ask for its
    signature.
    """

    def with_fields(function: F) -> F:
        signature = inspect.signature(function)
        named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
            )
            for field in fields(record)
        ]
        function.__signature__ = signature.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
        return function

    return with_fields


def _rules(factory: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(factory, functools.partial):
        factory = factory.func
    try:
        return get_type_hints(factory.__init__ if inspect.isclass(factory) else factory, include_extras=True)
    except (NameError, TypeError):  # annotations that only a type checker can evaluate
        return {}


class Checked:
    """Base of the parts that are built from parameters: their constructors take keywords by
    :func:`checked_by`, whoever calls them.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            type.__setattr__(cls, "__init__", _checking(cls.__init__))


def _checking(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def checking(self: Any, *args: Any, **parameters: Any) -> None:
        init(self, *args, **checked_by(init, parameters, type(self).__name__))

    return checking
