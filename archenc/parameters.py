"""Building objects from named parameters, with errors a person can read."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from archenc.errors import InvalidParameter


def build(kind: str, name: str, factory: Callable[..., Any], /, *args: Any, **parameters: Any) -> Any:
    """Call ``factory``; raises :class:`InvalidParameter` that names a keyword it does not take and the nearest one it does."""
    known = [p.name for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for parameter in parameters:
        if parameter not in known:
            near = difflib.get_close_matches(parameter, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
            raise InvalidParameter(f"the {kind} {name!r} has no parameter {parameter!r}; {hint}")
    return factory(*args, **parameters)
