"""Everything that is registered keeps its contract, and the checks notice what does not; and golden numbers:
hashes, samples and fixed encodings that others may have stored must not change unnoticed.

Where a change is meant, print the new numbers by ``python -m tests.test_contracts`` and say in the changelog
that stored ones are void.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import archenc
from archenc.encoder import Encoder
from archenc.errors import DataNotFound
from archenc.losses import MSELoss
from archenc.spaces import StageSpace
from archenc.testing import (
    check_dataset,
    check_encoder,
    check_head,
    check_loss,
    check_space,
    example_spaces,
    registered_spaces,
)

# -- contracts -----------------------------------------------------------------------------------------------


LAYERS = {"layers": [1, 3], "attributes": {"op": ["conv", "mb"], "kernel": [3, 5], "expand": [1, 6]}}
CHOICES = StageSpace(
    "choices",
    stages={"body": LAYERS, "tail": {"attributes": {"se": [True, False]}}},
    globals={"resolution": [128, 160, 192]},
    conditions=[{"attribute": "body.expand", "when": {"body.op": "mb"}}],
    constraints=[{"forbid": {"resolution": 192, "body.kernel": 5}}],
)
SPACES = registered_spaces() | example_spaces() | {"choices": CHOICES}
FAST = {*example_spaces(), "nasbench-macro", "choices"}
SMALL = {
    "arch2vec": {"hidden_dim": 32, "layers": 2},
    "gae": {"hidden_dim": 32, "layers": 2},
    "vgae": {"hidden_dim": 32, "layers": 2},
    "brp-nas": {"hidden": (32, 32, 32), "dropout": 0.0},
    "cate": {
        "dim": 32,
        "layers": 2,
        "heads": 4,
        "hidden_dim": 64,
        "cross_layers": 1,
        "cross_hidden_dim": 64,
        "dropout": 0.0,
    },
    "dvae": {"hidden_dim": 16, "latent_dim": 8},
    "gates": {"layers": (32, 32, 32)},
    "flowerformer": {"dim": 32, "layers": 2, "heads": 4, "attention_dropout": 0.0},
    "path": {"cutoff": 10_000},  # every sequence of a chain of 8
    "nn-former": {"dim": 32, "layers": 2, "hidden_dim": 64, "dropout": 0.0},
}


@pytest.mark.parametrize("name", SPACES)
def test_space(name):
    check_space(SPACES[name])


@pytest.mark.parametrize(
    "space", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in SPACES]
)
@pytest.mark.parametrize("encoder", archenc.list_encoders())
def test_encoder(encoder, space):
    check_encoder(encoder, SPACES[space], **SMALL.get(encoder, {}))


@pytest.mark.parametrize("name", archenc.list_losses())
def test_loss(name):
    check_loss(name)


@pytest.mark.parametrize("name", archenc.list_heads())
def test_head(name):
    check_head(name)


def datasets():
    for name in archenc.list_datasets():
        enumerates = (
            name == "nasbench101-space" and "ARCHENC_DATA" not in os.environ
        )  # takes minutes where the table is absent
        if name not in ("table", "models"):
            yield pytest.param(name, marks=pytest.mark.slow if enumerates else ())


@pytest.mark.parametrize("name", list(datasets()))
def test_dataset(name):
    try:
        check_dataset(name)
    except DataNotFound as missing:
        pytest.skip(str(missing))


# -- the checks notice ---------------------------------------------------------------------------------------


class Sound(Encoder):
    """An encoder that is right; each of the following breaks one rule."""

    paper = "none: a test"

    def __init__(self, space, *, width=8, simplify=False):
        super().__init__(space, simplify=simplify)
        self.linear = nn.Linear(space.max_nodes**2 + 30, width)
        self.cell_dim = width

    def numbers(self, graphs):
        ops = nn.functional.one_hot(graphs.ops.long(), 30).sum(1).float()
        return torch.cat([graphs.adjacency.float().flatten(1), ops], 1)

    def encode_cells(self, graphs):
        return self.linear(self.numbers(graphs))


class DependsOnBatch(Sound):
    def encode_cells(self, graphs):
        encodings = super().encode_cells(graphs)
        return encodings - encodings.mean(0)


class DeadParameter(Sound):
    def __init__(self, space, *, simplify=False):
        super().__init__(space, simplify=simplify)
        self.unused = nn.Parameter(torch.zeros(3))


class Unseeded(Sound):
    def __init__(self, space, *, simplify=False):
        super().__init__(space, simplify=simplify)
        nn.init.normal_(
            self.linear.weight,
            generator=torch.Generator().manual_seed(int(np.random.default_rng().integers(2**31))),
        )


class ClaimsInvariance(Sound):
    invariant = True


class WrongDim(Sound):
    def encode_cells(self, graphs):
        return super().encode_cells(graphs).double()


class NotOneProgram(Sound):
    def encode_cells(self, graphs):
        encodings = super().encode_cells(graphs)
        return encodings * (1.0 if self.linear.bias.sum().item() > -1e9 else 0.0)


class HalfState(Sound):
    def __init__(self, space, *, simplify=False):
        super().__init__(space, simplify=simplify)
        self.shift = torch.randn(())

    def encode_cells(self, graphs):
        return super().encode_cells(graphs) + self.shift


class NoDefault(Sound):
    def __init__(self, space, *, width, simplify=False):
        super().__init__(space, width=width, simplify=simplify)


class Constant(Sound):
    def encode_cells(self, graphs):
        return 0.0 * super().encode_cells(graphs)


class DrawsFromTheProcess(Sound):
    def encode_cells(self, graphs):
        return nn.functional.dropout(super().encode_cells(graphs), 0.01, self.training)


class DrawsFromItsOwn(Sound):
    def __init__(self, space, *, simplify=False):
        super().__init__(space, simplify=simplify)
        self.dropout = nn.Dropout(0.01)

    def encode_cells(self, graphs):
        return self.dropout(super().encode_cells(graphs))


@pytest.mark.parametrize("encoder", [Sound, DrawsFromItsOwn])
def test_a_sound_encoder_passes(encoder):
    check_encoder(encoder, SPACES["free nodes"])
    assert "checked-sound" not in archenc.list_encoders()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (DependsOnBatch, "what else is in the batch"),
        (DeadParameter, "unused"),
        (Unseeded, "same seed"),
        (ClaimsInvariance, "isomorphic"),
        (WrongDim, "float32"),
        (HalfState, "state_dict"),
        (NotOneProgram, "vmap"),
        (NoDefault, "'width' has no default"),
        (Constant, "same encoding"),
        (DrawsFromTheProcess, "global generator"),
    ],
)
def test_a_broken_encoder_fails(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_encoder(broken, SPACES["free nodes"])


class WrongWay(MSELoss):
    def point_loss(self, scores, targets):
        return (scores + targets).square()


class WrongDerivatives(MSELoss):
    def derivatives(self, scores, targets):
        gradient, hessian = super().derivatives(scores, targets)
        return gradient, 2 * hessian


@pytest.mark.parametrize(("broken", "message"), [(WrongWay, "reversed"), (WrongDerivatives, "Hessian")])
def test_a_broken_loss_fails(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_loss(broken)


# -- golden numbers ------------------------------------------------------------------------------------------


GOLDEN = Path(__file__).parent / "golden.json"
FIXED = ["adjacency", "path", "op-count", "op-onehot", "graf", "graf-plus", "wl"]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def measure(space):
    graphs = space.sample(50, seed=0)
    numbers = {
        "texts": hashlib.sha256("\n".join(space.format(graphs)).encode()).hexdigest()[:16],
        "hashes": digest(graphs.hash()),
    }
    numbers["mutants"] = digest(space.mutate(graphs, seed=0).hash())
    for name in FIXED:
        if archenc.registry.ENCODERS.get(name).unsupported(space) is None:
            for simplify in (False, True):
                encoder = archenc.create_encoder(name, space, simplify=simplify)
                numbers[f"{name}, simplify={simplify}"] = digest(
                    encoder.encode(graphs).round(4)
                )  # some are means
    return numbers


@pytest.mark.parametrize("name", example_spaces())
def test_nothing_that_is_stored_changes(name):
    assert measure(example_spaces()[name]) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    print(json.dumps({name: measure(space) for name, space in example_spaces().items()}, indent=2))
