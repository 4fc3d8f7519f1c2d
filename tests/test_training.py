"""The learning-rate schedule, the loop around it, tracking, and heads of several outputs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidParameter, InvalidTable
from archenc.heads.neural import AnytimeHead, MLPHead
from archenc.losses import HingeLoss, MSELoss
from archenc.metrics import kendall_tau
from archenc.predictor import Predictor
from archenc.training import (
    AveragedWeights,
    Network,
    PretrainingSchedule,
    Schedule,
    Standardise,
    Task,
    fit_network,
)
from archenc.training.tracking import create_tracker
from tests.bad_input import assert_one_sentence


def test_rate_rises_then_falls_to_zero():
    schedule = Schedule(epochs=10, lr_schedule="cosine", warmup_epochs=2)
    rates = [
        schedule.rate(step, 4) for step in (1, 3, 7, 23, 39)
    ]  # 4 steps an epoch: the end of epoch 0.5, 1, 2, 6, 10
    assert rates == pytest.approx([1e-3 * part for part in (0.25, 0.5, 1.0, 0.5, 0.0)])
    assert Schedule(epochs=10).rate(29, 4) == 1e-3


def test_rate_of_a_pretraining_falls_in_a_line():
    schedule = PretrainingSchedule(epochs=2, lr=0.5, lr_schedule="linear", warmup_steps=2)
    assert [schedule.rate(step, 3) for step in range(6)] == pytest.approx(
        [0.25, 0.5, 0.5, 0.375, 0.25, 0.125]
    )
    with pytest.raises(InvalidParameter, match="averages no weights"):
        PretrainingSchedule(ema=0.9)


def test_adamw_decays_weights_without_a_gradient():
    """With targets that are met exactly, Adam leaves the weights alone and AdamW shrinks them by lr x decay a
    step.
    """
    inputs, targets = torch.zeros(4, 2), torch.zeros(4)
    for optimizer, factor in (("adam", 1.0), ("adamw", (1 - 0.1 * 0.5) ** 3)):
        head = MLPHead(2, hidden=())
        torch.nn.init.zeros_(next(m for m in head.modules() if isinstance(m, torch.nn.Linear)).bias)
        network = Network(Standardise(inputs), head)
        before = network.state_dict()[
            "head." + next(n for n, _ in head.named_parameters() if "weight" in n)
        ].clone()
        decay = 0.5 if optimizer == "adamw" else 0.0
        schedule = Schedule(epochs=3, lr=0.1, weight_decay=decay, optimizer=optimizer)
        fit_network(Task(network, inputs, targets, MSELoss(), torch.Generator().manual_seed(0)), schedule)
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


def linear_network():
    """A linear head on finished encodings, with something to learn."""
    torch.manual_seed(0)
    inputs = torch.randn(12, 3)
    return (
        Network(Standardise(inputs), MLPHead(3, hidden=())),
        inputs,
        inputs @ torch.tensor([1.0, -2.0, 0.5]),
    )


def trained(**schedule):
    """The weights (4,) in the end, and those that the callback saw after each epoch."""
    network, inputs, targets = linear_network()
    seen = []
    generator = torch.Generator().manual_seed(0)
    task = Task(network, inputs, targets, MSELoss(), generator)
    fit_network(task, Schedule(**schedule), lambda epoch: seen.append(weights_of(network)))
    return weights_of(network), seen


def weights_of(network):
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()


def test_averaged_weights_are_the_mean_over_the_steps():
    """With one step an epoch a run without averaging shows the weights of every step, so training does not
    see the averages either.
    """
    plain = {"epochs": 5, "batch_size": 12, "lr": 0.1}
    last, steps = trained(**plain)
    expected = [
        sum(0.7 ** (t - s) * steps[s] for s in range(t + 1)) / sum(0.7 ** (t - s) for s in range(t + 1))
        for t in range(5)
    ]
    averaged, seen = trained(**plain, ema=0.7)
    torch.testing.assert_close(torch.stack(seen), torch.stack(expected))
    assert torch.equal(averaged, seen[-1])
    assert not torch.allclose(averaged, last)


def test_averages_are_used_only_for_a_while():
    network, *_ = linear_network()
    averages = AveragedWeights(network, 0.9)
    averages.update()
    before = weights_of(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    with averages.in_use():
        assert torch.equal(weights_of(network), before)
    assert torch.equal(weights_of(network), before + 1.0)


def test_a_clipped_gradient_bounds_the_step(monkeypatch):
    """Gradient descent at rate 1 moves by the gradient, so by its greatest length at most."""
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, lr, **_: torch.optim.SGD(parameters, lr=lr))
    start, once = weights_of(linear_network()[0]), {"epochs": 1, "batch_size": 12, "lr": 1.0}
    free, clipped, loose = (trained(**once, gradient_clip=limit)[0] - start for limit in (None, 0.25, 1e6))
    assert free.norm() > 1.0
    assert clipped.norm().item() == pytest.approx(0.25, rel=1e-4)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm())
    assert torch.equal(loose, free)


def test_the_comparators_reference_is_encoded_with_the_averages():
    """What is compared and what it is compared with come from the same weights."""
    space = archenc.create_space("nasbench201")
    graphs, y = space.sample(12, 0), list(range(12))
    parameters = {"encoder_params": {"hidden": [4]}, "epochs": 3, "lr": 0.05, "ema": 0.9, "random_state": 0}
    predictor = archenc.Predictor("gcn", "comparator", "comparator", **parameters).fit(graphs, y)
    torch.testing.assert_close(predictor.head_.reference, torch.from_numpy(predictor.embed(graphs)))


def test_the_last_batch_of_one_is_left_out_of_ranking():
    predictor = archenc.Predictor("op-count", epochs=2, batch_size=4, random_state=0)
    space = archenc.create_space("nasbench201")
    predictor.fit(space.sample(5, 0), [1.0, 2.0, 3.0, 4.0, 5.0])
    assert all(math.isfinite(score) for score in predictor.predict(space.sample(5, 1)))


# -- more ----------------------------------------------------------------------------------------------------


def test_no_tracker_keeps_nothing(tmp_path: Path) -> None:
    tracker = create_tracker(None, tmp_path, {"a": 1})
    tracker.log({"tau": 0.5}, step=1)
    tracker.finish()
    assert list(tmp_path.iterdir()) == []


def test_json_lines(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    tracker = create_tracker("jsonl", folder, {"size": 10})
    assert not folder.exists()  # nothing is written before there is a value
    tracker.log({"tau": 0.5}, step=1)
    tracker.log({"tau": float("nan")}, step=2)
    tracker.finish()
    lines = [
        json.loads(line, parse_constant=pytest.fail)
        for line in (folder / "tracking.jsonl").read_text().splitlines()
    ]
    assert lines == [{"config": {"size": 10}}, {"step": 1, "tau": 0.5}, {"step": 2, "tau": None}]


def test_wandb_is_offline_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple] = []

    class Wandb:
        @staticmethod
        def Settings(**settings):
            return settings

        @staticmethod
        def init(**options):
            calls.append(("init", options))
            return Wandb

        @staticmethod
        def log(values, step):
            calls.append(("log", values, step))

        @staticmethod
        def finish():
            calls.append(("finish",))

    monkeypatch.setitem(__import__("sys").modules, "wandb", Wandb)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: Wandb)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracker = create_tracker("wandb", tmp_path, {"size": 10})
    assert calls == []
    tracker.log({"tau": 0.5}, step=3)
    tracker.finish()
    (name, options), *others = calls
    assert (name, options["mode"], options["config"], options["dir"]) == (
        "init",
        "offline",
        {"size": 10},
        str(tmp_path),
    )
    assert others == [("log", {"tau": 0.5}, 3), ("finish",)]


@pytest.mark.parametrize(("tracker", "name"), [("jsonl", "tracking.jsonl"), ("wandb", "wandb")])
def test_links_in_the_folder_are_not_followed_out_of_it(tracker: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).symlink_to(tmp_path / "profile")
    with pytest.raises(InvalidParameter, match="leads out of the folder") as caught:
        create_tracker(tracker, tmp_path / "folder", {})
    assert_one_sentence(caught.value)
    assert not (tmp_path / "profile").exists()


def test_unknown_trackers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="jsonl or wandb"):
        create_tracker("mlflow", tmp_path, {})


# -- accuracies at several times of a training, by a head of an output for each ------------------------------

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
