"""The learning-rate schedule and the loop around it."""

from __future__ import annotations

import math

import pytest
import torch

import archenc
from archenc.heads.neural import MLPHead
from archenc.losses import MSELoss
from archenc.training import Network, Schedule, Standardise, fit_network


def test_rate_rises_then_falls_to_zero():
    schedule = Schedule(epochs=10, lr_schedule="cosine", warmup_epochs=2)
    assert [schedule.rate(epoch) for epoch in (0, 1, 2, 6, 10)] == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
    assert Schedule(epochs=10).rate(7.3) == 1.0


def test_adamw_decays_weights_without_a_gradient():
    """With targets that are met exactly, Adam leaves the weights alone and AdamW shrinks them by lr x decay a step."""
    inputs, targets = torch.zeros(4, 2), torch.zeros(4)
    for optimizer, factor in (("adam", 1.0), ("adamw", (1 - 0.1 * 0.5) ** 3)):
        head = MLPHead(2, hidden=())
        torch.nn.init.zeros_(next(m for m in head.modules() if isinstance(m, torch.nn.Linear)).bias)
        network = Network(Standardise(inputs), head)
        before = network.state_dict()["head." + next(n for n, _ in head.named_parameters() if "weight" in n)].clone()
        decay = 0.5 if optimizer == "adamw" else 0.0
        schedule = Schedule(epochs=3, lr=0.1, weight_decay=decay, optimizer=optimizer)
        fit_network(network, inputs, targets, MSELoss(), schedule, torch.Generator().manual_seed(0))
        after = network.state_dict()["head." + next(n for n, _ in head.named_parameters() if "weight" in n)]
        torch.testing.assert_close(after, before * factor)


def test_an_encoders_auxiliary_loss_is_added():
    space = archenc.create_space("nasbench201")
    encoder = archenc.create_encoder("gcn", space, hidden=[4])
    graphs, targets = space.sample(6, 0), torch.arange(6.0)
    network = Network(encoder, MLPHead(encoder.dim, dropout=0.0)).eval()
    plain = network.loss(graphs, targets, MSELoss(), torch.Generator())
    encoder.auxiliary_loss = lambda batch, encodings: 2.0 * encodings.square().mean() + len(batch)
    added = network.loss(graphs, targets, MSELoss(), torch.Generator()) - plain
    assert added.item() == pytest.approx(2.0 * encoder(graphs).square().mean().item() + 6, rel=1e-5)


def test_the_last_batch_of_one_is_left_out_of_ranking():
    predictor = archenc.Predictor("op-count", epochs=2, batch_size=4, random_state=0)
    space = archenc.create_space("nasbench201")
    predictor.fit(space.sample(5, 0), [1.0, 2.0, 3.0, 4.0, 5.0])
    assert all(math.isfinite(score) for score in predictor.predict(space.sample(5, 1)))
