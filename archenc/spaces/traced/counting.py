"""Multiply-adds of operations that torch itself makes of others, such as einsum and tensordot: what the parts
of them cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_any, tree_map_only
from torch.utils.flop_counter import flop_registry

from archenc.spaces.traced.vocabulary import ADDENDS, ATEN, OTHER, multiply_adds


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what the kernels cost that a computation comes down to, and notes those of which nobody
    knows.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.unknown: list[str] = []

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in flop_registry:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **kwargs, out_val=result)
        elif is_known(func):
            shapes = [value.shape for value in args if isinstance(value, Tensor)]
            kind = ATEN.get(aten_name(func), OTHER)
            self.flops += (
                2 * multiply_adds(kind, shapes[aten_name(func) in ADDENDS :], result.shape)
                if kind == "matmul"
                else 0
            )
        elif tree_any(lambda value: isinstance(value, Tensor), (args, kwargs)):
            self.unknown.append(func._schema.name)
        return result


def aten_name(func: OpOverload) -> str:
    """The name of an operation without its namespace, overload and the underscore of in-place operations."""
    return str(func._schema.name.rpartition("::")[2].removesuffix("_"))


def is_known(func: OpOverload) -> bool:
    """Whether an operation has a name in the vocabulary, or computes each element by itself, or computes
    nothing.
    """
    if func.namespace != "aten":
        return False
    is_view = any(
        value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns
    )
    return aten_name(func) in ATEN or torch.Tag.pointwise in func.tags or is_view


def count(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[int, list[str]]:
    """Multiply-adds of a call, of whose tensors only the shapes matter, and the names of the operations in it
    whose costs are unknown.
    """
    args, kwargs = tree_map_only(Tensor, _without_data, (args, kwargs))
    with torch.no_grad(), _Counting() as counting:
        function(*args, **kwargs)
    return counting.flops // 2, counting.unknown  # torch counts multiplications and additions


def _without_data(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def count_einsum(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """Multiply-adds of an Einstein sum; raises RuntimeError for an equation that does not suit the shapes."""
    flops, _ = count(
        torch.einsum,
        equation,
        *(torch.empty(tuple(shape), dtype=torch.float32, device="meta") for shape in shapes),
    )
    return flops
