"""Heads that are networks: the perceptron, the anytime head, the comparator, the ensemble."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from torch import nn

from archenc import Predictor, load_dataset
from archenc.errors import InvalidParameter, NotFitted
from archenc.heads.ensemble import MLPEnsembleHead
from archenc.heads.neural import AnytimeHead, ComparatorHead, MLPHead
from archenc.losses import BCELoss, ComparatorLoss, HingeLoss, ListMLELoss, MAELoss, MSELoss
from tests.bad_input import assert_one_sentence

SCORE_LOSSES = [MSELoss(), HingeLoss(), BCELoss(), ListMLELoss()]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def comparator(pairing, **parameters):
    return ComparatorHead(6, pairing=pairing, **parameters).eval()


# -- multi-layer perceptron ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
def test_mlp_is_linear_relu_for_each_size_then_linear(hidden):
    head, z = MLPHead(6, hidden=hidden).eval(), torch.randn(3, 6)
    layers = [module for module in head.modules() if isinstance(module, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [*hidden, 1]
    x = z
    for layer in layers[:-1]:
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    assert torch.allclose(head(z), (x @ layers[-1].weight.T + layers[-1].bias)[:, 0], atol=1e-6)


def test_mlp_drops_units_in_training_only():
    head, z = MLPHead(6, dropout=0.5), torch.randn(3, 6)
    assert not torch.equal(head(z), head(z))
    head.eval()
    assert torch.equal(head(z), head(z))


# -- anytime -------------------------------------------------------------------------------------------------


def test_each_output_reads_its_own_part_of_the_encoding():
    head, z = AnytimeHead(12, outputs=3).eval(), torch.randn(5, 12, requires_grad=True)
    scores = head(z)
    assert scores.shape == (5, 3)
    for t, column in enumerate(scores.unbind(1)):
        (gradient,) = torch.autograd.grad(column.sum(), z, retain_graph=True)
        own = slice(4 * t, 4 * t + 4)
        assert gradient[:, own].any()
        gradient[:, own] = 0
        assert not gradient.any()
        assert torch.equal(column, head.heads[t](z[:, own]))


@pytest.mark.parametrize(("dim", "outputs"), [(12, 1), (12, 5), (12, 0)])
def test_encodings_that_cannot_be_cut_are_refused(dim, outputs):
    with pytest.raises(InvalidParameter, match="as many parts") as caught:
        AnytimeHead(dim, outputs=outputs)
    assert_one_sentence(caught.value)


# -- comparator ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairing", ["concat", "difference"])
def test_comparison_averages_the_probabilities_of_both_orders(pairing):
    head = comparator(pairing, hidden=(8, 4))
    a, b = torch.randn(2, 5, 6)

    def f(x, y):
        joined = torch.cat([x, y], 1) if pairing == "concat" else x - y
        return torch.sigmoid(head.rest(head.first(joined))[:, 0])

    assert torch.allclose(torch.sigmoid(head.compare(a, b)), (f(a, b) + 1 - f(b, a)) / 2, atol=1e-6)


@pytest.mark.parametrize("pairing", ["concat", "difference"])
def test_comparison_is_antisymmetric_and_finite(pairing):
    head = comparator(pairing)
    a, b = torch.randn(2, 50, 6) * torch.logspace(-2, 5, 50)[:, None]
    logits = head.compare(a, b)
    assert torch.isfinite(logits).all()
    assert torch.allclose(logits, -head.compare(b, a), rtol=1e-4, atol=1e-5)
    assert torch.allclose(head.compare(a, a), torch.zeros(50), atol=1e-5)


def test_score_is_the_mean_probability_of_beating_the_reference(monkeypatch):
    head, z, reference = comparator("concat"), torch.randn(7, 6), torch.randn(4, 6)
    with pytest.raises(NotFitted, match="set_reference"):
        head(z)
    head.set_reference(reference)
    expected = torch.stack([torch.sigmoid(head.compare(one.expand(4, -1), reference)).mean() for one in z])
    assert torch.allclose(head(z), expected, atol=1e-6)
    monkeypatch.setattr("archenc.heads.neural.PAIRS_PER_BLOCK", 8)  # blocks of two
    assert torch.allclose(head(z), expected, atol=1e-6)


def test_reference_is_part_of_the_state():
    head, z = comparator("concat"), torch.randn(7, 6)
    head.set_reference(torch.randn(4, 6))
    other = torch.nn.Sequential(comparator("concat"))
    other.load_state_dict(torch.nn.Sequential(head).state_dict())
    assert torch.equal(other(z), head(z))


def test_comparator_learns_to_rank():
    z = torch.randn(64, 6)
    y = z[:, 0] + z[:, 1]
    head, loss = ComparatorHead(6), ComparatorLoss()
    optimiser, generator = torch.optim.Adam(head.parameters(), 1e-2), torch.Generator().manual_seed(0)
    for _ in range(60):
        worse, better = loss.pairs(y, generator)
        optimiser.zero_grad()
        loss.from_logits(head.compare(z[better], z[worse])).backward()
        optimiser.step()
    head.eval().set_reference(z)
    assert torch.corrcoef(torch.stack([head(z).argsort().argsort(), y.argsort().argsort()]))[0, 1] > 0.95


def test_unknown_pairing_is_refused():
    with pytest.raises(InvalidParameter, match="choose 'concat' or 'difference'"):
        ComparatorHead(6, pairing="diff")


# -- losses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", SCORE_LOSSES, ids=lambda loss: loss.name)
def test_mlp_takes_losses_on_scores_and_comparator_refuses_them(loss):
    assert MLPHead.rejects(loss) is None
    assert AnytimeHead.rejects(loss) is None
    assert "the head 'mlp'" in ComparatorHead.rejects(loss)


def test_comparator_loss_needs_the_comparator_head():
    assert ComparatorHead.rejects(ComparatorLoss()) is None
    assert "the head 'comparator'" in MLPHead.rejects(ComparatorLoss())
    assert "the head 'comparator'" in AnytimeHead.rejects(ComparatorLoss())


HEADS = {
    "mlp": MLPHead(6),
    "anytime": AnytimeHead(6),
    "concat": comparator("concat"),
    "difference": comparator("difference"),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_several_heads_run_as_one_program(head):
    others = [
        type(head)(6, **({"pairing": head.pairing} if isinstance(head, ComparatorHead) else {})).eval()
        for _ in range(3)
    ]
    z = torch.randn(3, 10, 6)
    for other in others:
        if isinstance(other, ComparatorHead):
            other.set_reference(z[0])
    parameters, buffers = torch.func.stack_module_state(others)
    together = torch.func.vmap(lambda p, b, x: torch.func.functional_call(others[0], (p, b), (x,)))(
        parameters, buffers, z
    )
    assert torch.allclose(
        together, torch.stack([other(x) for other, x in zip(others, z, strict=True)]), atol=1e-6
    )


# -- ensemble of perceptrons ---------------------------------------------------------------------------------

SMALL = {"members": 3, "hidden": (12, 12), "epochs": 60, "random_state": 0}


def problem(n, seed=0):
    """Bits, as path encodings are; the target depends on some of them."""
    rng = np.random.RandomState(seed)
    bits = rng.randint(0, 2, (n, 10)).astype(np.float32)
    return bits, 2.0 * bits[:, 0] - bits[:, 1] + bits[:, 2] * bits[:, 3] + 0.1 * rng.randn(n)


def trained_alone(head, z, y, loss):
    """Oracle: every member as a torch module with an optimiser of its own, from the same initial weights and
    orders.
    """
    generator = torch.Generator().manual_seed(int(np.random.RandomState(head.random_state).randint(2**31)))
    members, optimisers = [], []
    start = head._initial_layers(z.shape[1], generator)
    for e in range(head.members):
        modules = []
        for weights, _ in start:
            modules += [nn.Linear(*weights.shape[1:]), nn.ReLU()]
            modules[-2].weight.data, modules[-2].bias.data = (
                weights[e].detach().T.clone(),
                torch.zeros(weights.shape[2]),
            )
        members.append(nn.Sequential(*modules[:-1]))
        optimisers.append(torch.optim.Adam(members[-1].parameters(), lr=head.lr, betas=head.betas))
    x, targets = torch.from_numpy(z), torch.from_numpy(y).float()
    for _ in range(head.epochs):
        orders = torch.rand(head.members, len(y), generator=generator).argsort(1)
        for member, optimiser, order in zip(members, optimisers, orders, strict=True):
            for batch in order.split(head.batch_size):
                optimiser.zero_grad()
                loss(member(x[batch])[:, 0], targets[batch]).backward()
                optimiser.step()
    return members


@pytest.mark.parametrize("loss", [MAELoss(), MSELoss()], ids=lambda loss: loss.name)
def test_members_are_those_trained_alone_and_the_score_is_their_mean(loss):
    z, y = problem(50)
    head = MLPEnsembleHead(members=3, hidden=(6, 5), epochs=5, batch_size=16, random_state=3).fit(
        z, y, loss
    )  # 16 + 16 + 16 + 2
    members = trained_alone(head, z, y, loss)
    z_new = problem(20, seed=1)[0]
    with torch.no_grad():
        alone = torch.stack([member(torch.from_numpy(z_new))[:, 0] for member in members])
    assert alone.std(0).min() > 1e-3  # the members differ
    assert head.predict(z_new) == pytest.approx(alone.mean(0).numpy(), abs=1e-5)


@pytest.mark.parametrize("loss", [MAELoss(), MSELoss()], ids=lambda loss: loss.name)
def test_learns_the_targets_in_their_units(loss):
    z, y = problem(500)
    scores = MLPEnsembleHead(**SMALL).fit(z[:200], y[:200] + 5, loss).predict(z[200:])
    assert scores.dtype == np.float64
    assert np.abs(scores - y[200:] - 5).mean() < 0.2  # the noise alone gives 0.08, a constant 1.0


def test_seed_and_state():
    z, y = problem(60)
    fitted = MLPEnsembleHead(**SMALL).fit(z, y, MAELoss())
    again, other = (
        MLPEnsembleHead(**{**SMALL, "random_state": seed}).fit(z, y, MAELoss()) for seed in (0, 1)
    )
    assert np.array_equal(again.predict(z), fitted.predict(z))
    assert not np.allclose(other.predict(z), fitted.predict(z))
    arrays, values = fitted.state()
    restored = MLPEnsembleHead(**SMALL).restore(load(save(arrays)), json.loads(json.dumps(values)))
    assert np.array_equal(restored.predict(z), fitted.predict(z))
    assert restored.predict(z[:0]).shape == (0,)


def test_training_leaves_torchs_random_state_alone():
    z, y = problem(20)
    before = torch.random.get_rng_state()
    MLPEnsembleHead(**{**SMALL, "epochs": 1, "random_state": None}).fit(z, y, MAELoss())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_blocks_do_not_matter(monkeypatch):
    z, y = problem(60)
    head = MLPEnsembleHead(**{**SMALL, "epochs": 5}).fit(z, y, MAELoss())
    whole = head.predict(z)
    monkeypatch.setattr("archenc.heads.ensemble.ROWS_PER_BLOCK", 7)
    np.testing.assert_allclose(head.predict(z), whole, atol=1e-6)


def test_pointwise_losses_only():
    assert MLPEnsembleHead.rejects(MAELoss()) is None
    assert MLPEnsembleHead.rejects(MSELoss(sigmoid=True)) is None
    for loss in (HingeLoss(), BCELoss(), ListMLELoss()):
        assert f"the head 'mlp' with {loss.name!r}" in MLPEnsembleHead.rejects(loss)
    assert "the head 'comparator'" in MLPEnsembleHead.rejects(ComparatorLoss())


def test_refusals():
    with pytest.raises(InvalidParameter, match="at least 1"):
        MLPEnsembleHead(members=0)
    with pytest.raises(NotFitted, match="call fit"):
        MLPEnsembleHead().predict(np.zeros((1, 3), dtype=np.float32))
    with pytest.raises(NotFitted, match="call fit"):
        MLPEnsembleHead().state()


def test_bananas_ranks_cells_from_78_labels():
    train, test = load_dataset("nasbench201-analog").split(train_size=78, seed=0)
    predictor = Predictor("path", "mlp-ensemble", "mae", simplify=True, random_state=0).fit(
        train.graphs, train.y
    )
    assert predictor.score(test.graphs[:2000], test.y[:2000]) > 0.65
