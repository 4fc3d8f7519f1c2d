"""One way to show progress: a bar on standard error, only in a terminal and only for what takes longer than
two seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TypeVar

from archenc.files.text import visible

T = TypeVar("T")


def progress(
    items: Iterable[T], description: str, *, total: int | None = None, show: bool = True
) -> Iterable[T]:
    """Iterate over ``items`` behind a bar; silent when standard error is not a terminal or ``show`` is False.

    Args:
        items: what to iterate over.
        description: what is going on, in a word or two.
        total: number of items, where they have no length.
        show: False for no bar at all.
    """
    if not show or not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(
        items, desc=visible(description), total=total, delay=2, leave=False, dynamic_ncols=True
    )
    return bar


def annotate(bar: Iterable[T], values: Mapping[str, float]) -> None:
    """Show ``values`` behind a bar that :func:`progress` gave, if it is one."""
    show = getattr(bar, "set_postfix", None)
    if show is not None:
        show(values)
