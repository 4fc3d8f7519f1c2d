"""What the contract checks of :mod:`archenc.testing` share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs
from archenc.pretraining import PretrainableEncoder
from archenc.registry import Registry
from archenc.torch_state import own_dropout, own_state


def resolve(registry: Registry, entry: Any) -> Any:
    """The class that ``entry`` names or is."""
    return registry.get(entry) if isinstance(entry, str) else entry


def assert_deviations(predictor: Any, loaded: Any, graphs: ArchGraphs) -> None:
    """A fitted predictor says how sure it is if its head declares that, and as surely when it was saved and
    loaded; else it refuses.

    Args:
        predictor: the fitted predictor.
        loaded: the same one, saved and loaded.
        graphs: some architectures.
    """
    if not predictor.head_.has_std:
        assert_raises(
            InvalidParameter,
            lambda: predictor.predict(graphs, return_std=True),
            "return_std of a head without has_std",
        )
        return
    mean, deviation = predictor.predict(graphs, return_std=True)
    assert np.array_equal(mean, predictor.predict(graphs)), (
        "predict(return_std=True) gives other scores than predict"
    )
    assert deviation.shape == mean.shape, (
        f"the deviations have shape {deviation.shape} instead of {mean.shape}"
    )
    assert np.isfinite(deviation).all(), "a standard deviation is not finite"
    assert deviation.min() >= 0, "a standard deviation is negative"
    assert deviation.max() > 0, "all standard deviations are zero"
    assert loaded.head_.has_std, "the loaded head does not declare its deviations"
    assert np.array_equal(loaded.predict(graphs, return_std=True)[1], deviation), (
        "loading gives other deviations"
    )


@contextmanager
def registered_name(registry: Registry, entry: Any) -> Iterator[str]:
    """The name of an entry, which a class gets for a while."""
    if isinstance(entry, str):
        yield entry
        return
    name = f"checked-{entry.__name__}"
    registry.register(name, entry)
    try:
        yield name
    finally:
        registry.unregister(name)


def assert_keywords(factory: Any, required: set[str]) -> None:
    """Everything but a space or a dimension is keyword-only with a default, and the ``required`` keywords are
    there.
    """
    parameters = list(inspect.signature(factory).parameters.values())
    keywords = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    for p in keywords.values():
        assert p.default is not p.empty, f"the hyper-parameter {p.name!r} has no default"
    others = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert set(others) <= {"space", "dim"}, f"the parameters {others} are not all keyword-only"
    assert required <= set(keywords), (
        f"the keyword {', '.join(sorted(required - set(keywords)))!r} is missing"
    )


def assert_raises(error: type[Exception], call: Callable[[], Any], what: str) -> None:
    """``call`` raises ``error`` with a sentence."""
    try:
        call()
    except error as raised:
        sentence = str(raised)
    else:
        raise AssertionError(f"{what} does not raise {error.__name__}")
    assert sentence, f"{what} raises {error.__name__} without a sentence"


def same_rows(a: ArchGraphs, b: ArchGraphs) -> np.ndarray:
    """Bool (N,): which architectures are equal number for number."""
    same = (
        (a.adjacency == b.adjacency).flatten(1).all(1)
        & (a.ops == b.ops).flatten(1).all(1)
        & (a.mask == b.mask).all(1)
    )
    return same.reshape(-1, a.space.cells).all(1).numpy()


def equal(a: ArchGraphs, b: ArchGraphs) -> bool:
    """Whether two batches are of one space and equal number for number."""
    return a.space == b.space and a.ops.shape == b.ops.shape and bool(same_rows(a, b).all())


def assert_close(actual: np.ndarray, expected: np.ndarray, otherwise: str) -> None:
    """Equal but for the rounding of float32."""
    assert np.allclose(actual, expected, rtol=1e-4, atol=1e-5), otherwise


def can_pretrain(encoder: Encoder, graphs: ArchGraphs) -> TypeGuard[PretrainableEncoder]:
    """Whether the encoder learns without accuracies here; it may say that the space lacks what it needs for
    that, costs for example.
    """
    if not isinstance(encoder, PretrainableEncoder):
        return False
    try:
        encoder.pretraining_examples(graphs)
    except InvalidParameter as error:
        sentence = str(error)
    else:
        return True
    assert sentence, "pretraining_examples raises InvalidParameter without a sentence"
    return False


def all_examples(encoder: PretrainableEncoder, graphs: ArchGraphs) -> tuple[Any, torch.Generator]:
    """A batch of examples and a generator in the same state each time."""
    examples = encoder.pretraining_examples(graphs)
    assert len(examples) > 0, f"{len(graphs)} architectures give no example to learn from"
    return examples[torch.arange(len(examples))], torch.Generator().manual_seed(0)


def assert_pretrains(encoder: Encoder, twin: Encoder, graphs: ArchGraphs) -> None:
    """The pretraining of an encoder keeps its contract; ``twin`` is another object with the same weights."""
    assert isinstance(encoder, PretrainableEncoder)
    assert isinstance(twin, PretrainableEncoder)
    encoder.pretraining_schedule()
    own_dropout(encoder)
    own_dropout(twin)

    def loss_of(model: PretrainableEncoder) -> Tensor:
        with own_state(seed=0):
            return model.pretraining_loss(*all_examples(model, graphs))

    before = loss_of(encoder)
    assert before.shape == (), f"pretraining_loss gave shape {tuple(before.shape)} instead of a scalar"
    assert bool(before.isfinite()), "pretraining_loss is not finite"
    assert torch.equal(loss_of(twin), before), (
        "pretraining_loss draws from elsewhere than the generator and torch_state.own_generator"
    )
    optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    for _ in range(20):
        optimiser.zero_grad()
        loss_of(encoder).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert loss_of(encoder) < before, "twenty steps of gradient descent do not lower pretraining_loss"
    examples, generator = encoder.pretraining_examples(graphs), torch.Generator()
    encoder.draws = 200  # enough to see that the figures are finite
    encoder.eval()
    with torch.no_grad():
        first, second = (encoder.pretraining_metrics(examples, generator.manual_seed(0)) for _ in range(2))
        figures = encoder.pretraining_figures(graphs, generator.manual_seed(0))
    assert first, "pretraining_metrics gives no measure"
    assert first == second, "pretraining_metrics gives other values for the same examples and generator"
    values = np.array([*first.values(), *figures.values()])
    assert np.isfinite(values).all(), "a metric or figure of the pretraining is not finite"
