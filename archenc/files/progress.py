"""What goes on beside long work: one way to show progress, a bar on standard error, only in a terminal and
only for what takes longer than two seconds; and no collection of garbage where there is none.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from archenc.files.text import visible

T = TypeVar("T")


def progress(
    items: Iterable[T], description: str, *, total: int | None = None, show: bool = True
) -> Iterable[T]:
    """Iterate over ``items`` behind a bar with the time left; silent when standard error is not a terminal or
    ``show`` is False.

    Args:
        items: what to iterate over.
        description: what is going on, in a word or two.
        total: number of items, where they have no length.
        show: False for no bar at all.
    """
    if not show or not sys.stderr.isatty():
        return items
    bar: Iterable[T] = _bar(items, description, total=total)
    return bar


def progress_by_cost(
    items: Iterable[T], description: str, cost: Callable[[T], float], total: float
) -> Iterator[T]:
    """Like :func:`progress`, of items that take unequally long: the bar moves on by the cost of each.

    Args:
        items: what to iterate over.
        description: what is going on, in a word or two.
        cost: of an item, in any unit.
        total: the cost of all.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    style = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    with _bar(None, description, total=total, smoothing=0, miniters=0, bar_format=style) as bar:
        for item in items:
            yield item
            bar.update(cost(item))


def _bar(items: Iterable[T] | None, description: str, **options: Any) -> Any:
    from tqdm import tqdm

    return tqdm(items, desc=visible(description), delay=2, leave=False, dynamic_ncols=True, **options)


def annotate(bar: Iterable[T], values: Mapping[str, float]) -> None:
    """Show ``values`` behind a bar that :func:`progress` gave, if it is one."""
    show = getattr(bar, "set_postfix", None)
    if show is not None:
        show(values)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Spare the collector of cyclic garbage from looking again and again at many new objects, all of which
    stay: that takes longer than to make them.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
