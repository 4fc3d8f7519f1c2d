"""The learning-rate schedule and the loop around it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

import archenc
from archenc.errors import InvalidParameter
from archenc.heads.neural import MLPHead
from archenc.losses import MSELoss
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
    monkeypatch.setattr(
        torch.optim, "Adam", lambda parameters, lr, weight_decay: torch.optim.SGD(parameters, lr=lr)
    )
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
