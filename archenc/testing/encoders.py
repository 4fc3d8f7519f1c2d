"""The contract of an encoder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from archenc.encoder import Encoder
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, transforms
from archenc.metrics import kendall_tau
from archenc.predictor import Predictor
from archenc.registry import ENCODERS
from archenc.spaces.base import Space
from archenc.testing.assertions import (
    all_examples,
    assert_close,
    assert_keywords,
    assert_pretrains,
    assert_raises,
    can_pretrain,
    registered_name,
    resolve,
)
from archenc.torch_state import building, own_state


def check_encoder(entry: str | type[Encoder], space: Space, **hyperparameters: Any) -> None:
    """Shapes, determinism, independence of the batch, invariance, state, gradients, several seeds as one
    program, learning.

    Where the encoder does not support ``space``, only that it says so.

    Args:
        entry: a registered name or a class.
        space: what it is checked on.
        hyperparameters: instead of the defaults, for example smaller sizes.
    """
    encoder_class: type[Encoder] = resolve(ENCODERS, entry)
    assert_keywords(encoder_class, {"simplify"})
    assert encoder_class.paper, "the class attribute 'paper' is not set"
    if encoder_class.unsupported(space) is not None:
        assert_raises(
            InvalidParameter,
            lambda: encoder_class(space),
            "building an encoder for a space that it does not support",
        )
        return

    def build(seed: int, **more: Any) -> Encoder:
        with own_state(seed), building():
            return encoder_class(space, **hyperparameters, **more)

    graphs = space.sample(24, seed=0)
    _check_encodings(build, graphs)
    _check_state(build, graphs)
    if encoder_class.invariant:
        encoder = build(
            0, simplify=space.op_on == "edge"
        )  # edges that carry "none" differ between isomorphic architectures
        twins = transforms.isomorphic_twin(graphs, seed=0)
        assert_close(
            encoder.encode(twins),
            encoder.encode(graphs),
            "invariant = True, but isomorphic architectures differ",
        )
    if encoder_class.fixed:
        assert not list(build(0).parameters()), "a fixed encoding has parameters"
    else:
        if can_pretrain(build(0), graphs):
            assert_pretrains(build(0), build(0), graphs)
        _check_gradients(build(0), graphs)
        _check_vmap([build(0), build(1)], graphs)
    with registered_name(ENCODERS, entry) as name:
        _check_learning(build, name, space, hyperparameters)


Build = Callable[..., Encoder]


def _check_encodings(build: Build, graphs: ArchGraphs) -> None:
    encoder, n = build(0), len(graphs)
    output, encodings = build(0)(graphs), encoder.encode(graphs)
    assert output.shape == (n, encoder.dim), (
        f"forward gave shape {tuple(output.shape)} instead of {(n, encoder.dim)}"
    )
    assert output.dtype == torch.float32, f"forward gave {output.dtype} instead of float32"
    assert encodings.shape == (n, encoder.dim), (
        f"encode gave shape {encodings.shape} instead of {(n, encoder.dim)}"
    )
    assert encodings.dtype == np.float32, f"encode gave {encodings.dtype} instead of float32"
    assert np.isfinite(encodings).all(), "an encoding holds a number that is not finite"
    assert len(np.unique(encodings, axis=0)) > 1, "all architectures get the same encoding"
    assert encoder.encode(graphs[:0]).shape == (0, encoder.dim), (
        "encoding no architectures does not give (0, dim)"
    )
    assert encoder.training, "encode does not leave the encoder in the mode in which it was"
    assert_close(
        encoder.eval().encode(graphs), encodings, "encode depends on the mode in which the encoder was before"
    )
    assert np.array_equal(build(0).encode(graphs), encodings), "the same seed gives another encoder"
    assert_close(encoder.encode(encoder.prepare(graphs)), encodings, "encodings of prepared graphs differ")
    order = np.random.default_rng(0).permutation(n)
    assert_close(
        encoder.encode(graphs[order]), encodings[order], "an encoding depends on the order of the batch"
    )
    assert_close(
        encoder.encode(graphs, batch_size=1), encodings, "an encoding depends on what else is in the batch"
    )


def _check_state(build: Build, graphs: ArchGraphs) -> None:
    first, second = build(0), build(1)
    state = {name: tensor.contiguous() for name, tensor in first.state_dict().items()}
    second.load_state_dict(load(save(state)))
    assert_close(
        second.encode(graphs), first.encode(graphs), "the encodings are not restored with the state_dict"
    )


def _check_gradients(encoder: Encoder, graphs: ArchGraphs) -> None:
    prepared = encoder.prepare(graphs)
    encodings = encoder(prepared)
    weights = torch.randn(encodings.shape, generator=torch.Generator().manual_seed(0))
    total, auxiliary = (encodings * weights).sum(), encoder.auxiliary_loss(prepared, encodings)
    if auxiliary is not None:
        total = total + auxiliary
    if can_pretrain(
        encoder, graphs
    ):  # what only pretraining needs, a decoder for example, is trained by its loss
        total = total + encoder.pretraining_loss(*all_examples(encoder, graphs))
    total.backward()  # type: ignore[no-untyped-call]
    branches = bool(
        (prepared.adjacency.sum(1) > 1).any()
    )  # in a chain, attention over its one source teaches a node nothing
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches the parameter {name!r}"
        assert bool(parameter.grad.isfinite().all()), f"the gradient of {name!r} is not finite"
        assert not branches or bool(parameter.grad.any()), f"the gradient of {name!r} is zero"


def _check_vmap(encoders: list[Encoder], graphs: ArchGraphs) -> None:
    template = encoders[0].eval()
    prepared = template.prepare(graphs)
    state = torch.func.stack_module_state([encoder.eval() for encoder in encoders])  # type: ignore[arg-type]
    try:
        with torch.no_grad():
            together = torch.func.vmap(lambda *one: torch.func.functional_call(template, one, (prepared,)))(
                *state
            )
    except RuntimeError as error:
        raise AssertionError(
            f"it cannot run as one program with other seeds (torch.func.vmap): {error}"
        ) from error
    for encodings, encoder in zip(together, encoders, strict=True):
        assert_close(
            encodings.numpy(),
            encoder.encode(graphs),
            "several seeds as one program (vmap) do not give what each gives alone",
        )


class _Learnt(Exception):
    """Ends the training of :func:`_check_learning`."""


def _check_learning(build: Build, name: str, space: Space, hyperparameters: dict[str, Any]) -> None:
    """An encoder must fit what another one of its kind, of other weights, says of 32 architectures."""
    pool = space.sample(400, seed=1)
    encodings = build(7).encode(pool)
    at = np.sort(np.unique(encodings.round(4), axis=0, return_index=True)[1])[:32]
    shown = encodings[at] - encodings[at].mean(0)
    y = (shown / (shown.std(0) + 1e-6)) @ np.random.default_rng(0).normal(size=shown.shape[1])
    graphs, best = pool[at], [-1.0]

    def judge(epoch: int, predictor: Predictor) -> None:
        if epoch % 5 == 0:
            best.append(kendall_tau(y, predictor.predict(graphs)))
            if best[-1] > 0.95:
                raise _Learnt

    head = {"dropout": 0.0}
    drawn = torch.get_rng_state()
    student = Predictor(
        name,
        "mlp",
        "mse",
        encoder_params=hyperparameters,
        head_params=head,
        epochs=300,
        lr=3e-3,
        random_state=0,
    )
    with contextlib.suppress(_Learnt):
        student.fit(graphs, y, on_epoch_end=judge)
    assert max(best) > 0.95, (
        f"it did not learn to rank {len(at)} architectures in 300 epochs: tau {max(best):.3f}"
    )
    assert torch.equal(torch.get_rng_state(), drawn), (
        "training draws from torch's global generator; ask archenc.torch_state.own_generator"
    )
