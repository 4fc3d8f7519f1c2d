"""Work counted instead of seconds, which say more about what else the machine does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _Count(TorchDispatchMode):
    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def torch_calls(work: Callable[[], Any]) -> int:
    """How many operations of torch ``work`` calls: a loop over architectures shows as thousands more for more
    of them.
    """
    with _Count() as count:
        work()
    return count.calls
