"""Own generators, and torch as it is by default: results that depend on nothing that torch keeps for the
whole process or thread.

torch draws from one generator of the process, makes numbers of one default dtype on one default device, and a
``no_grad``, ``inference_mode`` or ``autocast`` of the caller reaches into everything that is called inside. A
fit here has generators of its own (:func:`own_state`), so that fits in several threads give what each gives
alone and the generator of the process is left where it was.

A part of a predictor needs nothing for this where it draws in its constructor and by
:class:`torch.nn.Dropout`; for any other draw it asks :func:`own_generator`. The generators have the stream
that torch's own has after ``torch.manual_seed`` of the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class Generators:
    """Generators of one seed, one for each device.

    Args:
        seed: of each of them.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._of_device: dict[torch.device, torch.Generator] = {}

    def on(self, device: torch.device | str) -> torch.Generator:
        """That of a device, always the same one."""
        device = torch.device(device)
        if device not in self._of_device:
            self._of_device[device] = torch.Generator(device).manual_seed(self.seed)
        return self._of_device[device]


_CURRENT: ContextVar[Generators | None] = ContextVar(
    "archenc_generators", default=None
)  # each thread has a value of its own


def own_generator(device: torch.device | str = "cpu") -> torch.Generator | None:
    """What to draw from on a device: the generator of the fit that runs in this thread, or None, torch's own,
    outside of one.
    """
    generators = _CURRENT.get()
    return None if generators is None else generators.on(device)


@contextmanager
def own_state(seed: int, device: torch.device | str = "cpu") -> Iterator[Generators]:
    """Inside, this thread draws from new generators of ``seed`` wherever :func:`own_generator` is asked; also
    :func:`plain_torch`.
    """
    generators = Generators(seed)
    before = _CURRENT.set(generators)
    try:
        with plain_torch(device):
            yield generators
    finally:
        _CURRENT.reset(before)


@contextmanager
def plain_torch(device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, gradients are taken in full precision and tensors made on the CPU unless said otherwise,
    whatever the caller has set.

    Args:
        device: where the computation runs.
    """
    on_cpu = (
        nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    )  # the latter slows each call of torch
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(torch.device(device).type, enabled=False),
        on_cpu,
    ):
        yield


@contextmanager
def building() -> Iterator[None]:
    """Inside, modules are made with float32 weights that are drawn from :func:`own_generator`; also
    :func:`plain_torch`.
    """
    with plain_torch(), _Building(own_generator()):
        yield


_FLOATS = {torch.empty, torch.zeros, torch.ones, torch.eye, torch.linspace, torch.rand, torch.randn}
"""What makes numbers of the default dtype if it is given none."""
_DRAWS = {
    *(
        torch.rand,
        torch.randn,
        torch.randint,
        torch.randperm,
        torch.normal,
        torch.bernoulli,
        torch.multinomial,
    ),
    *(Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.bernoulli_, Tensor.exponential_),
    *(nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_),
}
"""What takes a generator; the rest of :mod:`torch.nn.init` comes down to these."""


class _Building(TorchFunctionMode):
    """Gives calls of torch what they leave to the state of the process: a dtype, and a generator if there is
    one of our own.

    Each call gets some microseconds longer by it, so that a step of a training would take up to a quarter
    longer.
    """

    def __init__(self, generator: torch.Generator | None) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _FLOATS and given.get("dtype") is None:
            given["dtype"] = torch.float32
        if func in _DRAWS and given.get("generator") is None:
            given["generator"] = self.generator
        return func(*args, **given)


class Dropout(nn.Dropout):
    """torch's dropout, from :func:`own_generator`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        generator = own_generator(input.device)
        if generator is None or not self.training or not 0 < self.p < 1 or not input.numel():
            return super().forward(input)
        kept = torch.empty_like(input).bernoulli_(1 - self.p, generator=generator)
        return input * kept.div_(1 - self.p)


def own_dropout(network: nn.Module) -> None:
    """Let all :class:`torch.nn.Dropout` in a network be :class:`Dropout`, whoever wrote it."""
    for module in network.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout
