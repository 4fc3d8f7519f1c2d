"""Zero-cost proxies: formulas against plain computations, what they must not depend on, the cache, the
command.
"""

from __future__ import annotations

import copy
import csv
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import archenc
from archenc import proxies
from archenc.commands.app import main
from archenc.errors import CorruptFile, InvalidParameter, UnknownName
from archenc.proxies.run import Store, batch_of
from archenc.proxies.scores import PROXIES, ZEN_STEP, Probe, initialise, score
from tests.bad_input import refused

SPACE = archenc.create_space("nasbench201")
SMALL = proxies.Setting("noise", batch=6, channels=4, resolution=8)
CELL = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|")
DEAD = SPACE.from_ops([[0, 0, 0, 0, 0, 0]])


def fresh(graphs=CELL, seed=3):
    """A network, its batch, and the probe that sees both."""
    network = SMALL.network(graphs, seed)
    images, classes = batch_of("noise", SMALL.batch, 8, seed)
    return network, images, classes, Probe(copy.deepcopy(network), images, classes, seed)


def values(graphs, names=None, **options):
    options = {"seeds": [0], "setting": SMALL, "cache": False, **options}
    return proxies.compute(graphs, names, **options)


# -- formulas ------------------------------------------------------------------------------------------------


def test_gradients_of_one_batch():
    network, images, classes, probe = fresh()
    nn.functional.cross_entropy(network(images), classes).backward()
    weights = [w for w in network.parameters() if w.dim() > 1]
    found = score(probe, ["grad-norm", "snip", "layer-gradients"])
    assert found["grad-norm"] == pytest.approx(
        0.5 * math.log(sum(float((w.grad**2).sum()) for w in weights)), rel=1e-5
    )
    assert found["snip"] == pytest.approx(
        math.log(sum(float((w.grad * w.detach()).abs().sum()) for w in weights)), rel=1e-5
    )
    layers = [math.log(float(w.grad.norm()) / 1e-8 + 1) for w in weights if w.dim() == 4]
    assert found["layer-gradients"] == pytest.approx(sum(layers), rel=1e-4)


def test_fisher_of_channels():
    network, images, classes, probe = fresh()
    kept = []

    def keep(module, given, output):
        output.retain_grad()
        kept.append(output)

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(keep)
    nn.functional.cross_entropy(network(images), classes).backward()
    expected = 0.0
    for z in kept:
        for channel in range(z.shape[1]):
            sums = (z[:, channel].detach() * z.grad[:, channel]).sum((1, 2))
            expected += float((sums**2).mean()) / 2
    assert score(probe, ["fisher"])["fisher"] == pytest.approx(math.log(expected), rel=1e-4)


class Plain(nn.Identity):
    """In the place of a normalisation."""


def test_synaptic_flow_of_a_network_without_normalisation():
    network, *_, probe = fresh()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, Plain())
    network = network.double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_()
    network(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum().backward()
    expected = sum(float((w.detach() * w.grad).sum()) for w in network.parameters() if w.dim() > 1)
    found = score(probe, ["synflow"])["synflow"]
    assert found == pytest.approx(math.log(expected), abs=1e-3)  # normalisations divide by sqrt(1 + 1e-5)


def test_naswot_counts_pairs_of_images():
    network, images, _, probe = fresh()
    codes = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _, given, output: codes.append((output > 0).flatten(1)))
    network(images)
    codes = torch.cat(codes, 1)
    kernel = [[float((a == b).sum()) for b in codes] for a in codes]
    expected = float(torch.logdet(torch.tensor(kernel, dtype=torch.float64)))
    found = score(probe, ["naswot", "relus"])
    assert found["naswot"] == pytest.approx(expected, rel=1e-6)
    assert found["relus"] == pytest.approx(math.log(codes.shape[1]))


def test_jacobians_of_images():
    network, images, _, probe = fresh()
    images.requires_grad_()
    network(images).sum().backward()
    rows = images.grad.flatten(1).double().numpy()
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(rows)) + 1e-5
    expected = -(np.log(eigenvalues) + 1 / eigenvalues).sum()
    assert score(probe, ["jacov"])["jacov"] == pytest.approx(expected, rel=1e-2)


def test_zen_moves_the_images():
    network, images, _, probe = fresh()
    variances = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(
                lambda _, given, output: variances.append(
                    float(given[0].transpose(0, 1).flatten(1).var(1, unbiased=False).mean())
                )
            )
    with torch.no_grad():
        first = network.features(images)
        count = len(variances)
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(3))
        second = network.features(images + ZEN_STEP * noise)
    expected = math.log(float((first - second).abs().mean())) + sum(
        0.5 * math.log(variance) for variance in variances[:count]
    )
    assert score(probe, ["zen"])["zen"] == pytest.approx(expected, rel=1e-4)


def test_multiply_adds_are_those_of_the_space():
    scores = proxies.compute(
        CELL, ["multiply-adds"], seeds=[0], setting=proxies.Setting("noise", 4, 16, 5, 32), cache=False
    )
    classifier = 64 * 10 + 10
    expected = math.log(SPACE.costs(CELL)["flops"][0] - classifier)
    assert scores.values[0, 0] == pytest.approx(expected)


# -- what they depend on -------------------------------------------------------------------------------------


def test_a_score_is_the_same_alone_and_with_others_and_leaves_torch_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    together = values(SPACE.sample(4, 1))
    assert torch.equal(torch.get_rng_state(), state)
    alone = values(SPACE.sample(4, 1)[2])
    np.testing.assert_allclose(together.values[2], alone.values[0], rtol=1e-6)
    assert together.names == tuple(PROXIES)


def test_a_score_does_not_depend_on_which_others_are_asked_for():
    together = fresh()[3]
    found = score(together, [*PROXIES])
    for name in PROXIES:
        assert score(fresh()[3], [name])[name] == pytest.approx(found[name], rel=1e-6)


def test_weights_are_shared_by_networks():
    one, other = (SMALL.network(SPACE.from_ops([row]), 0) for row in ([3, 2, 0, 1, 0, 3], [3, 0, 4, 0, 3, 3]))
    common = [name for name, _ in one.named_parameters() if name in dict(other.named_parameters())]
    assert "cells.0.edges.0_1.conv.weight" in common
    assert all(torch.equal(one.get_parameter(name), other.get_parameter(name)) for name in common)
    again = SMALL.network(SPACE.from_ops([[3, 2, 0, 1, 0, 3]]), 1)
    assert not torch.equal(one.stem.conv.weight, again.stem.conv.weight)


def test_what_computes_nothing_does_not_count():
    """A convolution behind which no path leads to the output, and one that no path reaches."""
    plain = SPACE.from_ops([[0, 0, 0, 3, 0, 0]])
    for row in ([3, 0, 0, 3, 0, 0], [0, 0, 3, 3, 0, 0], [0, 0, 0, 3, 2, 0]):
        found = score(
            Probe(SMALL.network(SPACE.from_ops([row]), 0), *batch_of("noise", 6, 8, 0), 0), [*PROXIES]
        )
        expected = score(Probe(SMALL.network(plain, 0), *batch_of("noise", 6, 8, 0), 0), [*PROXIES])
        assert found == pytest.approx(expected, rel=1e-5)


def test_equal_networks_are_computed_once():
    graphs = SPACE.from_ops([[0, 0, 0, 3, 0, 0], [3, 0, 0, 3, 0, 0], [0, 0, 0, 2, 0, 0], [1, 0, 0, 0, 3, 0]])
    scores = values(graphs, ["naswot"], seeds=[0, 1])
    assert (scores.different, scores.computed) == (2, 4)
    assert scores["naswot"][0] == scores["naswot"][1] == scores["naswot"][3] != scores["naswot"][2]


@pytest.mark.parametrize(
    "name", ["nasbench101", "transnas101-micro", "nasbench-macro", "darts", "nasnet", "nsga-net-micro"]
)
def test_every_space_that_builds_networks_has_them(name):
    scores = values(archenc.create_space(name).sample(2, 2), setting=proxies.Setting("noise", batch=4))
    assert np.isfinite(scores.values).mean() > 0.9


@pytest.mark.parametrize("images", ["photos", "digits", "noise"])
def test_images_are_standardised_and_have_classes(images):
    batch, classes = batch_of(images, 20, 16, 0)
    assert batch.shape == (20, 3, 16, 16)
    torch.testing.assert_close(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    assert classes.bincount().tolist() == [2] * 10
    again, _ = batch_of(images, 20, 16, 0)
    other, _ = batch_of(images, 20, 16, 1)
    assert torch.equal(batch, again)
    assert not torch.equal(batch, other)


# -- networks that give none ---------------------------------------------------------------------------------


def test_a_network_without_a_path_has_no_number():
    scores = values(archenc.graphs.concatenate([DEAD, CELL]))
    missing = dict(zip(scores.names, np.isnan(scores.values[0]).tolist(), strict=True))
    assert missing["grad-norm"]
    assert missing["jacov"]
    assert missing["naswot"] or missing["synflow"]
    assert not missing["multiply-adds"]
    assert scores.missing_networks == 1
    assert np.isfinite(scores.values[1]).all()


def test_the_combination_puts_them_last():
    graphs = archenc.graphs.concatenate([SPACE.sample(6, 0), DEAD])
    scores = values(graphs)
    combined = scores.combined()
    assert combined.argmin() == 6
    assert np.isfinite(combined).all()
    single = scores.combined(["multiply-adds"])
    assert np.array_equal(
        np.argsort(single, kind="stable"), np.argsort(scores["multiply-adds"], kind="stable")
    )


def test_the_mean_is_over_the_seeds_that_gave_a_number():
    table = np.array([[[1.0], [np.nan]], [[3.0], [np.nan]], [[np.nan], [np.nan]]])
    scores = proxies.ProxyScores(("zen",), table, 2, 0)
    np.testing.assert_array_equal(scores.values, [[2.0], [np.nan]])


def test_as_side_information():
    graphs = SPACE.sample(30, 0)
    graphs = graphs.with_architecture_features(values(graphs, ["naswot", "synflow", "jacov"]).values)
    predictor = archenc.Predictor("op-count", "ridge", "mse").fit(graphs, np.arange(30.0))
    assert predictor.predict(graphs).shape == (30,)


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"names": ["nazwot"]}, UnknownName, "no proxy 'nazwot' here; did you mean 'naswot'"),
        ({"names": []}, InvalidParameter, "nothing to compute"),
        ({"seeds": []}, InvalidParameter, "nothing to compute"),
        ({"seeds": [-1]}, InvalidParameter, "the seed is -1"),
        ({"setting": proxies.Setting(resolution=18)}, InvalidParameter, "multiple of 4"),
        ({"setting": proxies.Setting(resolution=256)}, InvalidParameter, "regions of the photos"),
        (
            {"graphs": archenc.create_space("genetic-cnn").sample(2, 0)},
            InvalidParameter,
            "no network is built",
        ),
    ],
)
def test_what_cannot_be_computed(options, error, says):
    graphs = options.pop("graphs", CELL)
    options = {"names": ["naswot"], "cache": False, **options}
    refused(lambda: proxies.compute(graphs, **options), error, says)


@pytest.mark.parametrize(("given", "says"), [({"images": "cats"}, "'cats'"), ({"batch": 1}, "batch of 1")])
def test_no_setting(given, says):
    refused(lambda: proxies.Setting(**given), InvalidParameter, says)


# -- the cache -----------------------------------------------------------------------------------------------


def test_what_was_computed_is_not_computed_again(tmp_path):
    graphs = SPACE.sample(5, 0)
    first = values(graphs, ["naswot"], cache=tmp_path)
    again = values(graphs[[4, 0]], ["naswot"], cache=tmp_path)
    more = values(graphs, ["naswot", "zen"], cache=tmp_path)
    assert (first.computed, again.computed, more.computed) == (first.different, 0, first.different)
    np.testing.assert_array_equal(first["naswot"][[4, 0]], again["naswot"])
    np.testing.assert_array_equal(more["naswot"], first["naswot"])
    np.testing.assert_allclose(more["zen"], values(graphs, ["zen"])["zen"])


def test_other_settings_and_seeds_have_files_of_their_own(tmp_path):
    values(CELL, ["relus"], cache=tmp_path)
    values(CELL, ["relus"], cache=tmp_path, seeds=[1])
    values(CELL, ["relus"], cache=tmp_path, setting=proxies.Setting("noise", 7, 4, None, 8))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_score_without_a_number_is_kept_as_such(tmp_path):
    first = values(DEAD, ["snip"], cache=tmp_path)
    again = values(DEAD, ["snip"], cache=tmp_path)
    assert np.isnan([first.values, again.values]).all()
    assert again.computed == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"naswot": ', '"naswot": 1', 1),
        lambda text: text.replace('"key": "', '"key": "0', 1),
        lambda text: "\x00\xff" * 10 + "\n" + text.split("\n", 1)[1],
        lambda text: '{"key": "a", "values": {"naswot": 1e400}, "check": 0}\n' + text.split("\n", 1)[1],
    ],
)
def test_a_damaged_line_is_computed_again(damage, tmp_path):
    graphs = SPACE.sample(3, 0)
    first = values(graphs, ["naswot"], cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(damage(path.read_text()), "latin-1")
    second = values(graphs, ["naswot"], cache=tmp_path)
    third = values(graphs, ["naswot"], cache=tmp_path)
    assert (second.computed, third.computed) == (1, 0)
    np.testing.assert_array_equal(second.values, first.values)
    np.testing.assert_array_equal(third.values, first.values)
    assert Store(tmp_path, SPACE.config(), SMALL, 0).damaged == 1


def test_a_run_that_was_killed_goes_on(tmp_path):
    environment = {**os.environ, "ARCHENC_CACHE": str(tmp_path / "cache")}
    out = tmp_path / "out.csv"
    cells = tmp_path / "cells.txt"
    cells.write_text("\n".join(SPACE.format(SPACE.sample(40, 2))))
    words = ["proxies", "--space", "nasbench201", "--input", str(cells), "--out", str(out), "--seeds", "0"]
    command = [sys.executable, "-m", "archenc.commands.app", *words]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while running.poll() is None and sum(map(lines, (tmp_path / "cache").rglob("*.jsonl"))) < 3:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    kept = sum(map(lines, (tmp_path / "cache").rglob("*.jsonl")))
    assert kept >= 3
    assert not out.exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    different = int(done.stdout.split(" proxies; ")[1].split()[0])
    ran = int(done.stdout.split(" and ")[1].split()[0])
    assert different - kept <= ran <= different - kept + 1  # the last line may have been cut off
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["arch"] for row in rows] == SPACE.format(SPACE.sample(40, 2))


def lines(path):
    return path.read_bytes().count(b"\n")


# -- the command ---------------------------------------------------------------------------------------------

CHEAP = ["--proxies", "relus,multiply-adds", "--images", "noise", "--batch", "4", "--seeds", "0"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHENC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_files_of_the_command(tmp_path, cache, capsys):
    cells = tmp_path / "cells.txt"
    cells.write_text("\n".join(SPACE.format(archenc.graphs.concatenate([CELL, DEAD]))))
    words = ["proxies", "--space", "nasbench201", "--input", str(cells), *CHEAP]
    assert main([*words, "--out", str(tmp_path / "a.csv")]) == 0
    assert main([*words, "--out", str(tmp_path / "a.npz")]) == 0
    assert "2 architectures x 2 proxies" in capsys.readouterr().out
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["arch"] for row in rows] == SPACE.format(archenc.graphs.concatenate([CELL, DEAD]))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["values"].shape == (2, 2)
        assert [float(row["multiply-adds"]) for row in rows] == arrays["values"][:, 1].tolist()
        again = proxies.read(tmp_path / "a.npz", SPACE.from_ops([[0] * 6, [1] * 6]))
        np.testing.assert_array_equal(again, [arrays["values"][1], [np.nan, np.nan]])
    refused(lambda: proxies.read(cells, CELL), CorruptFile)
    data = archenc.load_dataset("table", path=tmp_path / "a.csv", space=SPACE, label="multiply-adds")
    assert data.y.tolist() == [float(row["multiply-adds"]) for row in rows]


def test_tau_beside_the_labels_of_a_data_set(tmp_path, cache, capsys, data_root):
    words = ["proxies", "--dataset", "nasbench201", "--count", "20", *CHEAP, "--out", str(tmp_path / "a.csv")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Kendall's tau with cifar10/val_accuracy@200/mean" in said
    assert main([*words, "--force", "--rows", "1,2"]) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--space", "nasbench201"], "give either --dataset NAME"),
        (["--dataset", "nasbench201", "--space", "nasbench201"], "give either --dataset NAME"),
        (["--dataset", "x", "--seeds", "a"], "--seeds 'a' are no whole numbers"),
        (["--dataset", "x", "--count", "3", "--rows", "1"], "give one of them"),
    ],
)
def test_wrong_options(words, says, tmp_path, capsys):
    assert main(["proxies", *words, "--out", str(tmp_path / "a.csv")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


# -- scores of operations ------------------------------------------------------------------------------------


def test_scores_of_operations_break_the_symmetry_of_ta_gates():
    graphs = SPACE.from_ops([[3, 0, 0, 1, 3, 0], [3, 2, 0, 1, 3, 4]])
    scores = proxies.operation_scores(graphs, setting=SMALL)
    k = len(proxies.OPERATION_SCORES)
    assert scores.shape == (*graphs.ops.shape, k)
    assert not np.allclose(scores[0, 0, 1], scores[0, 1, 3])  # two 3x3 convolutions
    assert not scores[0, 0, 2].any(), "an operation that is not there has no score"
    computed = scores[scores.any(-1)]
    np.testing.assert_allclose(computed.mean(0), 0, atol=1e-5)
    encoder = archenc.create_encoder("ta-gates", SPACE, symmetry_breaking="scores", score_dim=k)
    with torch.no_grad():
        with_scores = encoder(graphs.with_features(scores))
        without = encoder(graphs.with_features(np.zeros_like(scores)))
    assert not torch.allclose(with_scores, without)


def test_scores_of_operations_on_nodes():
    space = archenc.create_space("nasbench101")
    graphs = space.sample(4, 1)
    scores = proxies.operation_scores(graphs, setting=proxies.Setting("noise", 4, 8, 1, 8))
    there = (graphs.ops >= 3).numpy()
    assert scores[there].any(-1).all()
    assert not scores[~there].any()
    refused(
        lambda: proxies.operation_scores(archenc.create_space("darts").sample(1, 0)),
        InvalidParameter,
        "no scores of single operations",
    )


def test_initial_weights_are_those_of_he():
    network = archenc.create_space("nasbench101").build(
        archenc.create_space("nasbench101").sample(1, 0), channels=64
    )
    initialise(network, 0)
    weight = network.stem.conv.weight
    assert float(weight.detach().square().mean()) == pytest.approx(2 / 27, rel=0.1)
