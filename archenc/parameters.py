"""Building objects from named parameters, with errors a person can read."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from archenc.errors import InvalidParameter


def build(kind: str, name: str, factory: Callable[..., Any], /, *args: Any, **parameters: Any) -> Any:
    """Call ``factory``; raises :class:`InvalidParameter` for a keyword that it does not take, with the nearest one, or that it misses."""
    keywords = [p for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY]
    known = [p.name for p in keywords]
    for parameter in parameters:
        if parameter not in known:
            near = difflib.get_close_matches(parameter, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
            raise InvalidParameter(f"the {kind} {name!r} has no parameter {parameter!r}; {hint}")
    missing = [p.name for p in keywords if p.default is p.empty and p.name not in parameters]
    if missing:
        raise InvalidParameter(f"the {kind} {name!r} needs the parameter {missing[0]!r}; give it by name")
    from archenc.torch_state import building

    with building():
        return factory(*args, **parameters)
