import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from torch import nn

from archenc import Predictor, load_dataset
from archenc.errors import InvalidParameter, NotFitted
from archenc.heads.ensemble import MLPEnsembleHead
from archenc.losses import BCELoss, ComparatorLoss, HingeLoss, ListMLELoss, MAELoss, MSELoss

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
