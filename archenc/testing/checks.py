"""Contract checks for those who write an encoder, head, loss, space or data set, here or in a package of
their own.

Each check raises :class:`AssertionError` with a sentence that says what is broken::

    from archenc.testing.checks import check_encoder, example_spaces

    @pytest.mark.parametrize("space", example_spaces().values(), ids=str)
    def test_my_encoder(space):
        check_encoder(MyEncoder, space)
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from archenc.dataset.loading import load_dataset
from archenc.encoder import Encoder
from archenc.errors import InvalidArchitecture, InvalidParameter, UnknownName
from archenc.graphs import INPUT, OUTPUT, PAD, ArchGraphs, paths, transforms
from archenc.graphs.hashing import wl_hash
from archenc.heads.base import EstimatorHead, Head, NeuralHead
from archenc.losses import (
    ComparatorLoss,
    DrawsPairs,
    ListwiseLoss,
    Loss,
    PairwiseLoss,
    PointwiseLoss,
    ScoreLoss,
)
from archenc.metrics import kendall_tau
from archenc.predictor import Predictor
from archenc.registry import ENCODERS, HEADS, LOSSES, SPACES, create_space
from archenc.spaces import from_config
from archenc.spaces.base import Space
from archenc.spaces.cell import CellSpace
from archenc.testing.assertions import (
    all_examples,
    assert_close,
    assert_deviations,
    assert_keywords,
    assert_pretrains,
    assert_raises,
    can_pretrain,
    equal,
    registered_name,
    resolve,
    same_rows,
)
from archenc.torch_state import building, own_state


def registered_spaces() -> dict[str, Space]:
    """Every registered space that needs no parameters."""
    return {
        name: create_space(name)
        for name in SPACES.names()
        if name not in ("cell", "chain", "genotype", "operations")
    }


def example_spaces() -> dict[str, Space]:
    """A few spaces that have between them what the others have: three published ones and two described
    ones.
    """
    spaces = {name: create_space(name) for name in ("nasbench-graph", "nasbench101", "nasbench201")}
    spaces["free nodes"] = CellSpace(
        "free nodes", ["conv", "pool", "skip"], max_nodes=6, max_edges=8, skip_op="skip"
    )
    spaces["free edges"] = CellSpace(
        "free edges",
        ["none", "conv", "skip"],
        op_on="edge",
        max_nodes=5,
        num_inputs=2,
        cells=2,
        edges_per_pair=2,
        none_op="none",
        skip_op="skip",
    )
    return spaces


# -- spaces --------------------------------------------------------------------------------------------------


def check_space(space: Space, n: int = 64) -> None:
    """Conventions, text and configuration there and back, sampling, mutation, isomorphism and
    simplification.
    """
    graphs = space.sample(n, seed=0)
    assert len(graphs) == n, f"sample({n}) gave {len(graphs)} architectures"
    space.validate(graphs)
    _check_conventions(graphs)
    assert equal(graphs, space.sample(n, seed=0)), "the same seed gave other architectures"
    assert not equal(graphs, space.sample(n, seed=1)), "two seeds gave the same architectures"

    assert equal(space.parse(space.format(graphs)), graphs), "parse(format(graphs)) is not the same as graphs"
    assert from_config(json.loads(json.dumps(space.config()))) == space, (
        "config(), through JSON, does not build the space again"
    )
    assert_raises(InvalidArchitecture, lambda: space.parse(["no architecture"]), "parsing nonsense")

    children = space.validate(space.mutate(graphs, seed=0))
    assert not same_rows(graphs, children).any(), "mutate() left an architecture as it was"
    assert equal(children, space.mutate(graphs, seed=0)), "the same seed gave other mutants"

    twins = transforms.isomorphic_twin(
        graphs, seed=0
    )  # need not be valid: a space may hold only one of the isomorphic forms
    hashes = space.hash(graphs)
    assert hashes.shape == (n, 16), f"hash() gave shape {hashes.shape} instead of {(n, 16)}"
    assert hashes.dtype == np.uint8, f"hash() gave {hashes.dtype} instead of uint8"
    assert (hashes == space.hash(twins)).all(), "isomorphic architectures have different hashes"
    assert len(np.unique(hashes, axis=0)) > n // 8, "hash() hardly tells architectures apart"

    simple = space.simplify(graphs)
    assert simple.simplified, "simplify() did not mark its result as simplified"
    assert (wl_hash(simple) == wl_hash(space.simplify(twins))).all(), (
        "simplified isomorphic architectures differ"
    )
    assert equal(space.simplify(simple), simple), "simplifying twice is not the same as once"
    assert space.node_form(graphs).num_nodes == space.num_node_form_nodes, (
        "num_node_form_nodes is not that of node_form()"
    )


def _check_conventions(graphs: ArchGraphs) -> None:
    space, ops, mask = graphs.space, graphs.ops, graphs.mask
    assert not graphs.adjacency.tril().any(), "an edge does not lead from a lower to a higher node"
    assert graphs.num_nodes == space.max_nodes, (
        f"the arrays have {graphs.num_nodes} nodes, the space {space.max_nodes}"
    )
    assert mask[:, : space.num_inputs].all(), "an input node is masked"
    assert mask[:, -1].all(), "the output node is masked or not the last one"
    assert not (mask[:, 1:-1] & ~mask[:, :-2]).any(), "padding does not lie just before the output node"
    assert paths.is_connected(graphs.adjacency, space.num_inputs).all(), "no path leads from input to output"
    assert graphs.op_on == space.op_on, "the graphs are not in the space's own form"
    if graphs.op_on == "node":
        assert (ops[:, : space.num_inputs] == INPUT).all(), "an input node does not have the input's id"
        assert (ops[:, -1] == OUTPUT).all(), "the last node does not have the output's id"
        assert ((ops == PAD) == ~mask).all(), "mask and padding ids differ"
    else:
        assert ((graphs.edge_ops() != 0).any(1) == graphs.adjacency.bool()).all(), (
            "edges and their operations differ"
        )


# -- encoders ------------------------------------------------------------------------------------------------


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


# -- losses --------------------------------------------------------------------------------------------------


def check_loss(entry: str | type[Loss]) -> None:
    """Direction, gradients, the derivatives for boosting, independence of the order of the batch."""
    loss_class: type[Loss] = resolve(LOSSES, entry)
    assert_keywords(loss_class, set())
    kinds = (PointwiseLoss, PairwiseLoss, ListwiseLoss, ComparatorLoss)
    assert issubclass(loss_class, ScoreLoss | ComparatorLoss), (
        f"it is none of {', '.join(kind.__name__ for kind in kinds)}"
    )
    assert loss_class.paper, "the class attribute 'paper' is not set"
    loss = loss_class()
    rng = np.random.default_rng(0)
    targets, scores = torch.from_numpy(rng.normal(size=8)), torch.from_numpy(rng.normal(size=8))
    if isinstance(loss, DrawsPairs):
        worse, better = loss.pairs(targets, torch.Generator().manual_seed(0))
        assert bool((targets[worse] < targets[better]).all()), "pairs() does not give (worse, better)"
    if isinstance(loss, ComparatorLoss):
        right, wrong = (loss.from_logits(torch.full((4,), logit)) for logit in (2.0, -2.0))
        assert right < wrong, "from_logits is lower where worse beats better"
        return

    def of(values: Tensor) -> Tensor:
        return loss(values, targets, torch.Generator().manual_seed(0))

    assert of(scores).shape == (), "the loss is not a scalar"
    assert of(targets) < of(-targets), "the reversed ranking has a lower loss than the perfect one"
    leaf = scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(of(leaf), leaf)
    assert of(scores - 1e-3 * gradient) < of(scores), "a step against the gradient does not lower the loss"
    assert torch.autograd.gradcheck(of, [leaf], raise_exception=False), (
        "the gradient is not that of finite differences"
    )
    order = torch.from_numpy(rng.permutation(8))
    assert torch.allclose(loss(scores[order], targets[order]), loss(scores, targets)), (
        "the loss depends on the order of the batch"
    )
    _check_derivatives(loss, scores.numpy(), targets.numpy())


def _check_derivatives(loss: ScoreLoss, scores: np.ndarray, targets: np.ndarray) -> None:
    def gradient_at(values: np.ndarray) -> np.ndarray:
        leaf = torch.from_numpy(values).requires_grad_()
        total = len(values) * loss(leaf, torch.from_numpy(targets))
        return torch.autograd.grad(total, leaf)[0].numpy()

    gradient, curvature = loss.derivatives(scores, targets)
    steps = 1e-5 * np.eye(len(scores))
    by_differences = [
        (gradient_at(scores + step) - gradient_at(scores - step))[i] / 2e-5 for i, step in enumerate(steps)
    ]
    assert gradient.dtype == curvature.dtype == np.float64, "derivatives() does not give float64"
    assert_close(gradient, gradient_at(scores), "derivatives() gives another gradient than differentiation")
    assert_close(
        curvature,
        np.array(by_differences),
        "derivatives() gives another Hessian diagonal than finite differences",
    )


# -- heads ---------------------------------------------------------------------------------------------------


def check_head(entry: str | type[Head]) -> None:
    """With every loss that the head does not reject: it learns, repeats itself with the same seed, and
    survives saving and loading.
    """
    head_class: type[Head] = resolve(HEADS, entry)
    assert_keywords(head_class, {"random_state"} if issubclass(head_class, EstimatorHead) else set())
    assert issubclass(head_class, NeuralHead | EstimatorHead), (
        "a head must be a NeuralHead or an EstimatorHead"
    )
    accepted = [name for name in LOSSES.names() if head_class.rejects(LOSSES.get(name)()) is None]
    assert accepted, "the head rejects every loss"
    space = CellSpace("check", ["conv", "pool"], max_nodes=5)
    graphs = space.sample(48, seed=0)
    y = 90.0 + graphs.adjacency.sum((1, 2)).double().numpy() + 0.1 * np.arange(48)
    outputs = 1 if issubclass(head_class, EstimatorHead) else head_class(16).outputs
    if outputs > 1:
        y = np.stack([y, *[-y] * (outputs - 1)], axis=1)
    encoder_class = _Edges if outputs == 1 else _Steps
    with registered_name(HEADS, entry) as name, registered_name(ENCODERS, encoder_class) as encoder:
        for loss in LOSSES.names():
            if loss in accepted:
                _check_fitted_head(name, encoder, loss, graphs, y)
            else:
                predictor = _predictor(name, encoder, loss, outputs)
                assert_raises(
                    InvalidParameter, partial(predictor.fit, graphs, y), f"the rejected loss {loss!r}"
                )


class _Edges(Encoder):
    """Which nodes have an edge to which: a fixed encoding for checks of heads."""

    form = "node"
    fixed = True

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.cell_dim = space.max_nodes**2

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return graphs.adjacency.flatten(1).float()


class _Steps(Encoder):
    """A linear map of the edges for each of several outputs, for checks of heads that have as many."""

    form = "node"

    def __init__(self, space: Space, *, simplify: bool = False, steps: int = 2) -> None:
        super().__init__(space, simplify=simplify)
        self.parts, self.cell_dim = steps, 16 * steps
        self.map = torch.nn.Linear(space.max_nodes**2, self.cell_dim)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        mapped: Tensor = self.map(graphs.adjacency.flatten(1).float())
        return mapped.relu()


def _predictor(head: str, encoder: str, loss: str, outputs: int) -> Predictor:
    """With an encoding of as many parts as the head has outputs."""
    if outputs == 1:
        return Predictor(encoder, head, loss, epochs=40, random_state=0)
    return Predictor(
        encoder, head, loss, encoder_params={"steps": outputs}, epochs=40, lr=1e-2, random_state=0
    )


def _check_fitted_head(head: str, encoder: str, loss: str, graphs: ArchGraphs, y: np.ndarray) -> None:
    outputs = 1 if y.ndim == 1 else y.shape[1]
    predictor = _predictor(head, encoder, loss, outputs).fit(graphs, y)
    scores = predictor.predict(graphs)
    assert scores.shape == y.shape, f"predict gave shape {scores.shape} instead of {y.shape}"
    assert scores.dtype == np.float64, f"predict gave {scores.dtype} instead of float64"
    assert np.isfinite(scores).all(), f"with the loss {loss!r} a score is not finite"
    assert predictor.score(graphs, y) > 0.3, f"with the loss {loss!r} it did not learn its own training set"
    assert_close(predictor.predict(graphs[:5]), scores[:5], "a score depends on what else is predicted")
    again = _predictor(head, encoder, loss, outputs).fit(graphs, y)
    assert np.array_equal(again.predict(graphs), scores), (
        f"with the loss {loss!r} the same seed gives other scores"
    )
    with tempfile.TemporaryDirectory() as folder:
        predictor.save(folder)
        loaded = Predictor.load(folder)
        assert np.array_equal(loaded.predict(graphs), scores), (
            f"with the loss {loss!r} loading gives other scores"
        )
        assert_deviations(predictor, loaded, graphs)


# -- data sets -----------------------------------------------------------------------------------------------


def check_dataset(name: str, **options: Any) -> None:
    """Labels, default label, architectures that belong to the space, splits, provenance and a stable digest.

    Raises:
        DataNotFound: the data set's files are not there.
    """
    dataset = load_dataset(name, **options)
    n = len(dataset)
    assert n > 0, "the data set is empty"
    dataset.space.validate(dataset.graphs)
    some = dataset.graphs[np.linspace(0, n - 1, 5).astype(int)]
    assert equal(dataset.space.parse(dataset.space.format(some)), some), (
        "the architectures do not survive format and parse"
    )
    for label, values in dataset.labels.items():
        assert values.shape == (n,), f"the label {label!r} has shape {values.shape} instead of {(n,)}"
        assert values.dtype == np.float64, f"the label {label!r} is {values.dtype} instead of float64"
        assert np.isfinite(values).any(), f"the label {label!r} has no finite value"
        assert dataset.descriptions.get(label), f"the label {label!r} has no description"
        if "accuracy" in label:
            assert 1.0 < np.nanmax(values) <= 100.0, f"the label {label!r} is an accuracy and not in percent"
    if dataset.labels:
        assert len(dataset.labelled_rows()) > 0, f"the default label {dataset.label!r} has no finite value"
    assert_raises(
        UnknownName, lambda: dataset.with_label("no such label"), "asking for a label that does not exist"
    )
    for split_name, split in dataset.splits.items():
        both = np.concatenate([split.pool, split.test])
        assert len(np.unique(both)) == len(both), f"the split {split_name!r} has an architecture twice"
        assert both.min() >= 0, f"the split {split_name!r} has a negative position"
        assert both.max() < n, f"the split {split_name!r} points outside the data set"
    assert dataset.provenance.citation, "the provenance has no citation"
    assert dataset.provenance.licence, "the provenance says nothing of a licence"
    assert dataset.digest == load_dataset(name, **options).digest, "loading twice gives two digests"
