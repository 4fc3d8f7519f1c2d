"""Predicting the accuracies of architectures at several times of their training, with a head of an output for
each.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidParameter, InvalidTable
from archenc.heads.neural import AnytimeHead
from archenc.losses import HingeLoss, MSELoss
from archenc.metrics import kendall_tau
from archenc.predictor import Predictor
from archenc.training import Network
from tests.bad_input import assert_one_sentence

GRAPHS = archenc.create_space("nasbench101").sample(120, 0)
CONV3, CONV1, POOL = ((GRAPHS.ops == k).sum(1).numpy() for k in (3, 4, 5))
EDGES = GRAPHS.adjacency.sum((1, 2)).numpy()
Y = np.stack(
    [20.0 + 8.0 * POOL + EDGES, 90.0 + CONV3 - 0.6 * POOL + 0.1 * EDGES], axis=1
)  # pooling is good early, not in the end
SMALL = {"anytime": True, "layers": [32, 32]}


def anytime(loss="mse", **parameters):
    settings = {"encoder_params": SMALL, "epochs": 60, "lr": 5e-3, "random_state": 0, **parameters}
    return Predictor("ta-gates", "anytime", loss, **settings)


@pytest.mark.parametrize("loss", ["mse", "hinge", "listmle"])
def test_every_column_is_learnt_and_saved(loss, tmp_path):
    predictor = anytime(loss).fit(GRAPHS[:80], Y[:80])
    scores = predictor.predict(GRAPHS[80:])
    assert scores.shape == (40, 2)
    for t in (0, 1):
        assert kendall_tau(Y[80:, t], scores[:, t]) > 0.8
    assert predictor.score(GRAPHS[80:], Y[80:]) == kendall_tau(Y[80:, 1], scores[:, 1])
    assert predictor.score(GRAPHS[80:], Y[80:, 1]) == kendall_tau(Y[80:, 1], scores[:, 1])
    loaded = Predictor.load(predictor.save(tmp_path / "p"))
    np.testing.assert_array_equal(loaded.predict(GRAPHS), predictor.predict(GRAPHS))
    assert loaded.predict(GRAPHS[:0]).shape == (0, 2)


@pytest.mark.parametrize("transform", ["standardize", "normal-scores"])
def test_predictions_come_in_the_units_of_each_column(transform):
    predictor = anytime(label_transform=transform).fit(GRAPHS, Y)
    assert (np.abs(predictor.predict(GRAPHS) - Y).mean(0) < 0.3 * np.abs(Y - Y.mean(0)).mean(0)).all()


@pytest.mark.parametrize("loss", [MSELoss(), HingeLoss(pair_ratio=None)], ids=["mse", "hinge"])
def test_the_losses_of_the_columns_are_added(loss):
    torch.manual_seed(0)
    network = Network(torch.nn.Identity(), AnytimeHead(8)).eval()
    encodings, targets = torch.randn(6, 8), torch.randn(6, 2)
    scores = network(encodings)
    expected = loss(scores[:, 0], targets[:, 0]) + loss(scores[:, 1], targets[:, 1])
    torch.testing.assert_close(network.loss(encodings, targets, loss, torch.Generator()), expected)


def test_three_times():
    y = np.concatenate([Y, 100.0 - Y[:, :1]], axis=1)
    predictor = anytime("hinge", encoder_params={**SMALL, "steps": 3}, head_params={"outputs": 3}).fit(
        GRAPHS, y
    )
    assert [
        kendall_tau(target, score) > 0.8
        for target, score in zip(y.T, predictor.predict(GRAPHS).T, strict=True)
    ] == [True] * 3


@pytest.mark.parametrize(
    "y",
    [Y[:, 1], Y[:, :1], np.concatenate([Y, Y], axis=1), Y[:-1], Y[:, :, None], np.where(Y < 40, np.nan, Y)],
)
def test_labels_that_do_not_fit_the_head_are_refused(y):
    with pytest.raises(InvalidTable) as caught:
        anytime(epochs=1).fit(GRAPHS, y)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("encoder", "head", "loss"),
    [("gates", "mlp", "mse"), ("path", "ridge", "mse"), ("op-count", "comparator", "comparator")],
)
def test_heads_of_one_output_refuse_several_labels(encoder, head, loss):
    with pytest.raises(InvalidTable, match="one label for each") as caught:
        Predictor(encoder, head, loss, epochs=1).fit(GRAPHS, Y)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [
        ("ta-gates", {}),
        ("ta-gates", {"anytime": True, "steps": 4}),
        ("gates", {}),
        ("gcn", {"hidden": [15]}),
        ("op-count", {}),
    ],
)
def test_encodings_without_a_part_for_each_output_are_refused(encoder, parameters):
    with pytest.raises(InvalidParameter, match="parts") as caught:
        Predictor(encoder, "anytime", encoder_params=parameters, epochs=1).fit(GRAPHS, Y)
    assert_one_sentence(caught.value)


def test_a_head_of_one_output_takes_all_parts_of_an_anytime_encoding():
    predictor = Predictor("ta-gates", "mlp", encoder_params=SMALL, epochs=60, lr=5e-3, random_state=0).fit(
        GRAPHS, Y[:, 1]
    )
    assert predictor.score(GRAPHS, Y[:, 1]) > 0.8


def test_accuracies_after_36_and_108_epochs_of_nasbench101(data_root):
    dataset = archenc.load_dataset("nasbench101").subset("full_metrics")
    train, test = dataset.split(train_size=150, seed=0)
    test = test[np.arange(1000) * 7]
    y, true = (
        np.stack([part.labels[f"cifar10/val_accuracy@{epochs}/mean"] for epochs in (36, 108)], axis=1)
        for part in (train, test)
    )
    predictor = anytime(encoder_params={"anytime": True, "layers": [32, 32, 32]}, epochs=60, lr=5e-3).fit(
        train.graphs, y
    )
    scores = predictor.predict(test.graphs)
    early, final = (kendall_tau(true[:, t], scores[:, t]) for t in (0, 1))
    assert early > 0.65
    assert final > 0.7
    assert early > kendall_tau(true[:, 0], scores[:, 1]), (
        "the first step knows better what holds after 36 epochs"
    )
    np.testing.assert_allclose(scores.mean(0), true.mean(0), atol=2.0)
