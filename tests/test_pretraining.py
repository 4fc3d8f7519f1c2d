"""Pretraining: the folder, going on after an interruption, and what is refused."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import archenc
from archenc.errors import (
    ArchencError,
    CannotWrite,
    CorruptFile,
    DataNotFound,
    InvalidParameter,
    InvalidTable,
    UnknownName,
)
from archenc.files import trusted as files
from archenc.pretraining import PretrainableEncoder, PretrainingSchedule
from archenc.pretraining.folder import PretrainingFolder
from archenc.training.tracking import JSONLTracker
from tests.bad_input import assert_one_sentence
from tests.mutants import mutate_json
from tests.shared import GRAPHS, SMALL, run


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainableEncoder, "draws", 50)
        yield


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A folder whose pretraining ended after the second epoch."""
    return interrupt(tmp_path / "interrupted", monkeypatch, epoch=2)


class Interrupted(Exception):
    pass


class Interrupter:
    def __init__(self, epoch):
        self.epoch = epoch

    def log(self, values, step):
        if step == self.epoch:
            raise Interrupted

    def finish(self):
        pass


def interrupt(folder, monkeypatch, epoch):
    with pytest.raises(Interrupted):
        run(folder, tracker=Interrupter(epoch))
    return folder


def weights(folder):
    return load_file(folder / "weights.safetensors")


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


# -- what is left in the end ---------------------------------------------------------------------------------


def test_the_folder_of_a_finished_pretraining(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "embeddings.safetensors",
        "pretraining.json",
        "weights.safetensors",
    ]
    card = json.loads((finished / "pretraining.json").read_text())
    assert card["settings"]["encoder"] == "arch2vec"
    assert card["settings"]["encoder_params"] == SMALL
    assert card["settings"]["schedule"]["epochs"] == 3
    assert card["architectures"] == len(GRAPHS)
    assert len(card["history"]) == 3
    assert card["history"][-1]["loss"] < card["history"][0]["loss"]
    assert {"reconstruction_accuracy", "validity", "uniqueness"} <= card["figures"].keys()
    assert card["seconds"]["training"] > 0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(finished, tmp_path):
    run(tmp_path / "again")
    assert_same_weights(weights(finished), weights(tmp_path / "again"))
    run(tmp_path / "other", seed=1)
    assert not torch.equal(weights(finished)["mu.weight"], weights(tmp_path / "other")["mu.weight"])


def test_it_leaves_the_callers_chance_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path / "p", epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_asking_for_what_is_finished_gives_its_card(finished):
    before = (finished / "weights.safetensors").stat().st_mtime_ns
    assert run(finished) == json.loads((finished / "pretraining.json").read_text())
    assert (finished / "weights.safetensors").stat().st_mtime_ns == before


def test_every_epoch_is_tracked(tmp_path):
    run(tmp_path / "p", tracker=JSONLTracker(tmp_path / "p", {}))
    records = [json.loads(line) for line in (tmp_path / "p/tracking.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records[1:]] == [1, 2, 3]
    assert {"loss", "reconstruction_accuracy"} <= records[1].keys()


def test_a_tenth_is_held_out_and_measured(monkeypatch, tmp_path):
    seen = {}
    original = archenc.registry.ENCODERS.get("arch2vec").pretraining_metrics

    def spy(self, examples, generator):
        seen["held out"] = len(examples)
        assert not self.training
        return original(self, examples, generator)

    monkeypatch.setattr(archenc.registry.ENCODERS.get("arch2vec"), "pretraining_metrics", spy)
    run(tmp_path / "p", epochs=1)
    assert seen == {"held out": 15}


# -- going on after an interruption --------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_what_was_interrupted_ends_with_the_same_weights(epoch, finished, tmp_path, monkeypatch):
    folder = interrupt(tmp_path / "p", monkeypatch, epoch)
    assert not (folder / "pretraining.json").exists()
    card = run(folder)
    assert_same_weights(weights(finished), weights(folder))
    done = json.loads((finished / "pretraining.json").read_text())
    assert [e["loss"] for e in card["history"]] == [e["loss"] for e in done["history"]]


def test_a_warm_up_and_adamw_are_resumed_too(tmp_path, monkeypatch):
    more = {"warmup_steps": 20, "optimizer": "adamw", "weight_decay": 0.1}
    run(tmp_path / "whole", **more)
    with pytest.raises(Interrupted):
        run(tmp_path / "parts", tracker=Interrupter(2), **more)
    run(tmp_path / "parts", **more)
    assert_same_weights(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


KILLED = """
    import sys, torch, archenc
    from archenc.spaces.cell import CellSpace
    torch.set_num_threads(1)
    graphs = CellSpace("small", ["conv", "pool"], max_nodes=5).sample(150, seed=0)
    print("begin", flush=True)
    parameters = {"hidden_dim": 16, "layers": 2}
    archenc.pretrain("arch2vec", graphs, sys.argv[1], encoder_params=parameters, epochs=40, batch_size=16)
"""


def start(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begin\n"
    return process


def test_kill_dash_nine_at_random_moments(tmp_path):
    seed = int.from_bytes(os.urandom(4))
    moments = random.Random(seed)
    folder, kills = tmp_path / "killed", 0
    for _ in range(2):
        process = start(folder)
        time.sleep(moments.uniform(0.1, 0.9))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert kills, "every process had finished before it was killed"
    run(folder, epochs=40)
    run(tmp_path / "whole", epochs=40)
    assert_same_weights(weights(tmp_path / "whole"), weights(folder))
    assert not list(folder.glob(".*")), f"seed {seed}: something half-written is left"


# -- a write that fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing", ["checkpoint-2.safetensors", "checkpoint.json", "weights.safetensors", "pretraining.json"]
)
def test_a_full_disk_leaves_the_last_checkpoint_whole(failing, finished, tmp_path, monkeypatch):
    replace, folder, calls = os.replace, tmp_path / "p", []

    def full(source, target):
        calls.append(os.path.basename(target))
        if calls[-1] == failing and (failing != "checkpoint.json" or calls.count(failing) == 3):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(CannotWrite, match="No space left") as caught:
        run(folder)
    assert_one_sentence(caught.value)
    monkeypatch.undo()
    assert not list(folder.glob(".*"))
    assert (folder / "checkpoint.json").is_file()
    run(folder)
    assert_same_weights(weights(finished), weights(folder))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder, error in ((tmp_path / "file", InvalidParameter), (tmp_path / "file" / "below", CannotWrite)):
        with pytest.raises(error) as caught:
            run(folder)
        assert_one_sentence(caught.value)


def test_a_folder_that_vanishes_is_made_again(finished, tmp_path):
    class Remover(Interrupter):
        def log(self, values, step):
            if step == 1:
                shutil.rmtree(tmp_path / "p")

    run(tmp_path / "p", tracker=Remover(0))
    assert_same_weights(weights(finished), weights(tmp_path / "p"))


# -- what does not belong together ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, "seed = 0 instead of 4"),
        ({"epochs": 5}, "schedule.epochs = 3 instead of 5"),
        ({"lr": 0.1}, "schedule.lr"),
        ({"encoder_params": {**SMALL, "layers": 3}}, "encoder_params.layers = 2 instead of 3"),
        ({"simplify": True}, "simplify"),
        ({"graphs": GRAPHS[:100]}, "data_sha256"),
    ],
)
@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_other_settings_do_not_go_on_in_the_folder(state, changes, named, request):
    folder = request.getfixturevalue(state)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InvalidParameter, match=named) as caught:
        run(folder, **changes)
    assert_one_sentence(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"mine")
    with pytest.raises(InvalidParameter, match=r"holds 'weights\.safetensors'") as caught:
        run(tmp_path)
    assert_one_sentence(caught.value)
    assert (tmp_path / "weights.safetensors").read_bytes() == b"mine"


def checkpoint_of(folder):
    return folder / json.loads((folder / "checkpoint.json").read_text())["tensors"]


def truncate(folder):
    path = checkpoint_of(folder)
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(folder):
    content = bytearray(checkpoint_of(folder).read_bytes())
    content[-5] ^= 1
    checkpoint_of(folder).write_bytes(content)


def drop_tensors(folder):
    checkpoint_of(folder).unlink()


def point_outside(folder):
    edit(folder, tensors="../elsewhere.safetensors")


def half_a_history(folder):
    edit(folder, history=[])


def no_history(folder):
    edit(folder, history=None)


def other_format(folder):
    edit(folder, format=99)


def not_json(folder):
    (folder / "checkpoint.json").write_text("{")


def edit(folder, **changes):
    path = folder / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def foreign_tensors(folder):
    """Tensors of another encoder under a checksum that fits."""
    path = checkpoint_of(folder)
    save_file({"weights.elsewhere": torch.zeros(3)}, path)
    edit(folder, sha256={path.name: files.sha256(path)})


def reseal(folder, change):
    """Other tensors of the same encoder under a checksum that fits."""
    path = checkpoint_of(folder)
    save_file({name: change(name, tensor).contiguous() for name, tensor in load_file(path).items()}, path)
    edit(folder, sha256={path.name: files.sha256(path)})


def nan_weights(folder):
    reseal(folder, lambda name, tensor: tensor * float("nan") if name.startswith("weights.mu") else tensor)


def short_moments(folder):
    reseal(
        folder, lambda name, tensor: tensor[..., 1:] if name.endswith("exp_avg") and tensor.dim() else tensor
    )


def short_chance(folder):
    reseal(folder, lambda name, tensor: tensor[:-1] if name.startswith("rng") else tensor)


@pytest.mark.parametrize(
    "damage",
    [
        nan_weights,
        short_moments,
        short_chance,
        truncate,
        flip_a_bit,
        drop_tensors,
        point_outside,
        half_a_history,
        no_history,
        other_format,
        not_json,
        foreign_tensors,
    ],
)
def test_a_damaged_checkpoint_is_refused_and_left_as_it_is(damage, interrupted):
    damage(interrupted)
    before = {path.name: path.read_bytes() for path in interrupted.iterdir()}
    with pytest.raises((CorruptFile, DataNotFound)) as caught:
        run(interrupted)
    assert_one_sentence(caught.value)
    assert {path.name: path.read_bytes() for path in interrupted.iterdir()} == before


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_mutants_of_the_checkpoint(count, interrupted):
    """A mutant that is read is a checkpoint of this pretraining; none is taken for another one."""
    rng = np.random.default_rng(0)
    good = json.loads((interrupted / "checkpoint.json").read_text())
    refused = 0
    for _ in range(count):
        (interrupted / "checkpoint.json").write_text(
            json.dumps(mutate_json(good, rng)), errors="surrogatepass"
        )
        try:
            PretrainingFolder(interrupted, good["settings"]).read()
        except ArchencError as error:
            assert_one_sentence(error)
            refused += 1
    assert refused > count // 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("gcn", GRAPHS), InvalidParameter),
        (("arch2vec", GRAPHS[:1]), InvalidTable),
        (("arch3vec", GRAPHS), UnknownName),
    ],
)
def test_what_cannot_be_pretrained(arguments, error, tmp_path):
    with pytest.raises(error) as caught:
        archenc.pretrain(*arguments, tmp_path / "p")
    assert_one_sentence(caught.value)
    assert not (tmp_path / "p/checkpoint.json").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": 0.0},
        {"held_out": 1.0},
        {"optimizer": "sgd"},
        {"rate": 1},
        {"device": "abacus"},
    ],
)
def test_settings_that_make_no_sense(settings, tmp_path):
    with pytest.raises(InvalidParameter) as caught:
        archenc.pretrain("arch2vec", GRAPHS, tmp_path / "p", **settings)
    assert_one_sentence(caught.value)
    assert not (tmp_path / "p").exists()


def test_a_loss_that_is_no_number_ends_it(tmp_path):
    with pytest.raises(InvalidParameter, match="smaller lr") as caught:
        archenc.pretrain("gae", GRAPHS, tmp_path / "p", lr=1e30, epochs=3, batch_size=8)
    assert_one_sentence(caught.value)


# -- examples that are not architectures ---------------------------------------------------------------------


class Pairs:
    """Each architecture and the next."""

    def __init__(self, graphs):
        self.graphs = graphs

    def __len__(self):
        return len(self.graphs) - 1

    def __getitem__(self, index):
        return self.graphs[index], self.graphs[index + 1]


class NextEncoder(PretrainableEncoder):
    paper = "none: a test"

    def __init__(self, space, *, simplify=False):
        super().__init__(space, simplify=simplify)
        self.linear = torch.nn.Linear(space.max_nodes**2, 4)
        self.cell_dim = 4

    def encode_cells(self, graphs):
        return self.linear(graphs.adjacency.float().flatten(1))

    def pretraining_schedule(self):
        return PretrainingSchedule(epochs=2, batch_size=32, held_out=0.2)

    def pretraining_examples(self, graphs):
        return Pairs(self.prepare(graphs))

    def pretraining_loss(self, batch, generator):
        first, second = batch
        return (self(first) - self(second)).square().mean()

    def pretraining_metrics(self, examples, generator):
        return {"examples": float(len(examples))}


def test_an_encoder_may_learn_from_pairs(tmp_path):
    archenc.registry.ENCODERS.register("next", NextEncoder)
    try:
        card = archenc.pretrain("next", GRAPHS, tmp_path / "p")
        assert [epoch["examples"] for epoch in card["history"]] == [29.0, 29.0]
        assert archenc.load_embeddings(tmp_path / "p").values.shape == (150, 4)
    finally:
        archenc.registry.ENCODERS.unregister("next")


def test_a_published_schedule_is_that_of_its_space():
    class Published(NextEncoder):
        default_schedule = PretrainingSchedule(epochs=3)
        published_schedules: ClassVar = {"nasbench201": PretrainingSchedule(epochs=7)}
        pretraining_schedule = PretrainableEncoder.pretraining_schedule

    epochs = {
        name: Published(archenc.create_space(name)).pretraining_schedule().epochs
        for name in ("nasbench101", "nasbench201")
    }
    assert epochs == {"nasbench101": 3, "nasbench201": 7}
