"""Predictors that somebody sent: nothing of a folder is trusted; and folders that an interrupted save
leaves.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

import archenc
from archenc.errors import ArchencError, CannotWrite, CorruptFile, InvalidParameter
from archenc.files import trusted as files
from archenc.files.sealed import as_large_as
from archenc.heads.base import NeuralHead
from archenc.predictor import Predictor
from archenc.registry import ENCODERS, HEADS
from tests.bad_input import assert_one_sentence
from tests.mutants import mutate_bytes, mutate_json

SPACE = archenc.create_space("nasbench201")
GRAPHS = SPACE.sample(30, 0)
Y = 50.0 + 10.0 * (GRAPHS.ops == 4).sum((1, 2)).numpy() + np.linspace(0, 1, 30)
KNOWN = GRAPHS.with_architecture_features(np.stack([Y, np.where(Y > 60, Y, np.nan)], axis=1))
TREES = {"n_estimators": 3, "max_depth": 2}

FITTED = {
    "mlp": {
        "encoder": "gates",
        "epochs": 1,
        "encoder_params": {"layers": [8, 8]},
        "head_params": {"hidden": [6]},
    },
    "fixed": {"encoder": "op-count", "loss": "mse", "epochs": 1},
    "comparator": {
        "encoder": "op-count",
        "head": "comparator",
        "loss": "comparator",
        "epochs": 1,
        "head_params": {"hidden": [8]},
    },
    "ridge": {"encoder": "op-count", "head": "ridge", "loss": "mse"},
    "gp": {"encoder": "op-count", "head": "gp", "loss": "mse", "head_params": {"restarts": 0}},
    "grouped-gp": {
        "encoder": "op-count",
        "head": "grouped-gp",
        "loss": "mse",
        "head_params": {"groups": [2, 3]},
    },
    "mixture": {
        "encoder": "op-count",
        "head": "mixture",
        "loss": "mse",
        "head_params": {"members": {"gp": {"restarts": 0}, "ridge": {}}, "folds": 2},
    },
    "companions": {
        "encoder": "op-count",
        "head": "gp",
        "loss": "mse",
        "head_params": {"restarts": 0},
        "companions": [
            {
                "encoder": "gates",
                "epochs": 1,
                "encoder_params": {"layers": [8]},
                "head_params": {"hidden": []},
                "weight": 2.0,
            }
        ],
    },
    "random-forest": {
        "encoder": "op-count",
        "head": "random-forest",
        "loss": "mse",
        "head_params": {"n_estimators": 3},
    },
    "xgboost": {"encoder": "op-count", "head": "xgboost", "head_params": TREES},
    "lightgbm": {"encoder": "op-count", "head": "lightgbm", "head_params": TREES},
    "bags": {"encoder": "op-count", "head": "lightgbm", "head_params": {**TREES, "bags": 2}},
    "side information": {"encoder": "op-count", "head": "ridge", "loss": "mse"},
    "dngo": {
        "encoder": "op-count",
        "head": "dngo",
        "loss": "mse",
        "head_params": {"hidden": [4], "epochs": 2},
    },
    "mlp-ensemble": {
        "encoder": "op-count",
        "head": "mlp-ensemble",
        "loss": "mae",
        "head_params": {"members": 2, "hidden": [4], "epochs": 2},
    },
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each of :data:`FITTED`."""
    root = tmp_path_factory.mktemp("saved")
    graphs = {name: KNOWN if name == "side information" else GRAPHS for name in FITTED}
    return {
        name: Predictor(random_state=0, **parameters).fit(graphs[name], Y).save(root / name)
        for name, parameters in FITTED.items()
    }


def changed(folder: Path, out: Path, *, description=lambda d: d, weights=lambda w: w) -> Path:
    """A copy with another description or other weights, and the checksum that goes with them."""
    shutil.copytree(folder, out)
    arrays = weights(load_file(out / "weights.safetensors"))
    (out / "weights.safetensors").write_bytes(save(arrays))
    sealed = json.loads((out / "predictor.json").read_text())
    sealed["weights_sha256"] = files.sha256(out / "weights.safetensors")
    (out / "predictor.json").write_text(json.dumps(description(sealed)))
    return out


def with_parameters(**parameters):
    """The description with other parameters of the predictor."""
    return {"description": lambda d: {**d, "parameters": {**d["parameters"], **parameters}}}


def with_arrays(**changes):
    """The weights with some arrays replaced by what a function makes of them; ``__`` stands for a point."""
    names = {name.replace("__", "."): change for name, change in changes.items()}
    return {
        "weights": lambda w: {
            name: np.ascontiguousarray(names.get(name, lambda a: a)(array)) for name, array in w.items()
        }
    }


def with_cell(**parameters):
    space = {"name": "c", "operations": ["a", "b"], "op_on": "edge", "max_nodes": 4} | parameters
    return {"description": lambda d: {**d, "space": {"name": "cell", "parameters": space}}}


def chain(layers):
    space = {"name": "c", "operations": ["a", "b"], "choices": [[0, 1]] * layers}
    return {"description": lambda d: {**d, "space": {"name": "chain", "parameters": space}}}


def filled(value):
    def fill(array):
        array.reshape(-1)[0] = value
        return array

    return fill


def with_three_columns(arrays):
    labels = {f"labels.{name}.{t}": arrays[f"labels.{name}"] for name in "xz" for t in range(3)}
    return {"head.coefficients": arrays["head.coefficients"]} | labels


TAMPERED = {
    # what is no text, no device, no parameter
    "encoder 5": ("mlp", with_parameters(encoder=5)),
    "head None": ("mlp", with_parameters(head=None)),
    "loss a list": ("mlp", with_parameters(loss=["hinge"])),
    "unknown encoder": ("mlp", with_parameters(encoder="gatez")),
    "device 5": ("mlp", with_parameters(device=5)),
    "device x": ("mlp", with_parameters(device="x")),
    "device cuda:99": ("mlp", with_parameters(device="cuda:99")),
    "device of ridge": ("ridge", with_parameters(device="x")),
    "unknown parameter": ("mlp", with_parameters(epoch=3)),
    "parameters a list": ("mlp", {"description": lambda d: {**d, "parameters": []}}),
    "unknown key": ("mlp", {"description": lambda d: {**d, "wieghts": 1}}),
    "another format": ("mlp", {"description": lambda d: {**d, "format": 2}}),
    "no space": ("mlp", {"description": lambda d: {name: d[name] for name in d if name != "space"}}),
    "encoder_params text": ("mlp", with_parameters(encoder_params="x")),
    # sizes
    "another hidden size": ("mlp", with_parameters(head_params={"hidden": [9]})),
    "immense head": ("mlp", with_parameters(head_params={"hidden": [20_000] * 40})),
    "wide head": ("mlp", with_parameters(head_params={"hidden": [16_384] * 8})),
    "wide encoder": ("mlp", with_parameters(encoder_params={"layers": [16_384] * 4})),
    "wide ensemble": ("mlp-ensemble", with_parameters(head_params={"members": 2, "hidden": [16_384] * 8})),
    "immense cell": ("fixed", with_cell(max_nodes=10**6)),
    "more immense cell": ("fixed", with_cell(max_nodes=10**9)),
    "immense chain": ("fixed", chain(10**6)),
    "immense cell of a learned encoder": ("mlp", with_cell(max_nodes=10**6)),
    # weights
    "NaN weights": ("mlp", with_arrays(network__head__first__weight=filled(np.nan))),
    "infinite weights": ("ridge", with_arrays(head__coefficients=filled(np.inf))),
    "half precision": ("ridge", with_arrays(head__coefficients=lambda a: a.astype(np.float16))),
    "transposed weights": ("mlp", with_arrays(network__head__first__weight=lambda a: a.T)),
    "a missing array": (
        "mlp",
        {"weights": lambda w: {name: w[name] for name in w if name != "network.head.first.bias"}},
    ),
    "labels of other lengths": ("fixed", with_arrays(labels__x=lambda a: a[:-1])),
    "labels that fall": ("fixed", with_arrays(labels__x=lambda a: a[::-1])),
    "labels of shape (n, 1)": ("fixed", with_arrays(labels__z=lambda a: a[:, None])),
    "one label": ("ridge", with_arrays(labels__x=lambda a: a[:1], labels__z=lambda a: a[:1])),
    "labels of three columns": ("ridge", {"weights": with_three_columns}),
    # heads
    "short coefficients": ("ridge", with_arrays(head__coefficients=lambda a: a[:-1])),
    "coefficients of two dimensions": ("ridge", with_arrays(head__coefficients=lambda a: a[None])),
    "intercept text": ("ridge", {"description": lambda d: {**d, "head": {"intercept": "x"}}}),
    "no intercept": ("ridge", {"description": lambda d: {**d, "head": {}}}),
    "reference of another length": ("comparator", with_arrays(network__head__reference=lambda a: a[:, 1:])),
    "targets of another length": ("gp", with_arrays(head__targets=lambda a: a[1:])),
    "narrow encodings": ("gp", with_arrays(head__encodings=lambda a: a[:, 1:])),
    "a kernel with a parameter more": ("gp", with_arrays(head__theta=lambda a: np.append(a, 0.0))),
    "a kernel out of bounds": ("gp", with_arrays(head__theta=filled(300.0))),
    "more rows than a kernel may have": (
        "gp",
        with_arrays(
            head__encodings=lambda a: np.zeros((10**5, a.shape[1]), a.dtype),
            head__targets=lambda a: np.zeros(10**5),
        ),
    ),
    "a tree in a circle": (
        "random-forest",
        with_arrays(head__left=lambda a: np.where(np.arange(len(a)) == 1, 0, a)),
    ),
    "a child that is none": ("random-forest", with_arrays(head__right=lambda a: np.where(a > 3, 10**9, a))),
    "a feature that is none": ("random-forest", with_arrays(head__feature=filled(10**6))),
    "a root that is none": ("random-forest", with_arrays(head__root=filled(-1))),
    "no tree": ("random-forest", with_arrays(head__root=lambda a: a[:0])),
    "precision below zero": ("dngo", with_arrays(head__precisions=filled(-1.0))),
    "a short mean": ("dngo", with_arrays(head__mean=lambda a: a[:-1])),
    "a member less": ("mlp-ensemble", with_arrays(head__weights__1=lambda a: a[:1])),
    "weights of whole numbers": ("mlp-ensemble", with_arrays(head__weights__0=lambda a: a.astype(np.int64))),
    "half a booster": ("xgboost", with_arrays(head__model=lambda a: a[: len(a) // 2])),
    "another booster": (
        "xgboost",
        with_arrays(head__model=lambda a: np.frombuffer(b"tree\nversion=v4\n", np.uint8)),
    ),
    "half a text of trees": ("lightgbm", with_arrays(head__model=lambda a: a[: len(a) // 4])),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_tampered_folder_is_refused_before_anything_large_is_built(case, saved, tmp_path):
    name, changes = TAMPERED[case]
    folder = changed(saved[name], tmp_path / "p", **changes)
    with pytest.raises(CorruptFile) as caught:
        Predictor.load(folder)
    assert_one_sentence(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("field", "digit"),
    [("left_child=", "7"), ("split_feature=", "9"), ("num_cat=", "1"), ("leaf_value=", "1e999 ")],
)
def test_a_tampered_text_of_trees(field, digit, saved, tmp_path):
    def tamper(array):
        return np.frombuffer(array.tobytes().replace(field.encode(), (field + digit).encode()), np.uint8)

    with pytest.raises(CorruptFile) as caught:
        Predictor.load(changed(saved["lightgbm"], tmp_path / "p", **with_arrays(head__model=tamper)))
    assert_one_sentence(caught.value)


def test_no_more_numbers_than_the_weights_hold():
    with as_large_as([np.zeros(10)]):
        torch.nn.Linear(1_000, 1_000)
        with pytest.raises(CorruptFile) as caught:
            torch.nn.Linear(10**6, 10**6)
    assert_one_sentence(caught.value)


# -- mutants -------------------------------------------------------------------------------------------------


def is_refused_or_usable(folder: Path) -> bool:
    try:
        scores = Predictor.load(folder).predict(KNOWN)
    except ArchencError as error:
        assert_one_sentence(error)
        return True
    assert np.isfinite(scores).all()
    return False


def some(few, many):
    return [few, pytest.param(many, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", some(20, 300))
@pytest.mark.parametrize("name", FITTED)
def test_mutants_of_the_description(name, count, saved, tmp_path):
    rng = np.random.default_rng(0)
    folder = Path(shutil.copytree(saved[name], tmp_path / "p"))
    good = json.loads((folder / "predictor.json").read_text())
    refused = 0
    for _ in range(count):
        (folder / "predictor.json").write_text(json.dumps(mutate_json(good, rng)), errors="surrogatepass")
        refused += is_refused_or_usable(folder)
    assert refused > count // 3


@pytest.mark.parametrize("count", some(20, 300))
@pytest.mark.parametrize("name", FITTED)
def test_mutants_of_the_header_of_the_weights(name, count, saved, tmp_path):
    rng = np.random.default_rng(0)
    folder = Path(shutil.copytree(saved[name], tmp_path / "p"))
    description = json.loads((folder / "predictor.json").read_text())
    content = (folder / "weights.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    refused = 0
    for _ in range(count):
        (folder / "weights.safetensors").write_bytes(mutate_bytes(content[:end], rng) + content[end:])
        description["weights_sha256"] = files.sha256(folder / "weights.safetensors")
        (folder / "predictor.json").write_text(json.dumps(description))
        refused += is_refused_or_usable(folder)
    assert refused > count // 2


@pytest.mark.parametrize("count", some(40, 600))
@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_mutants_of_boosted_trees(name, count, saved):
    rng = np.random.default_rng(0)
    head = Predictor.load(saved[name]).head_
    arrays, values = head.state()
    encodings = np.zeros((5, 4), np.float32)
    for _ in range(count):
        model = np.frombuffer(mutate_bytes(arrays["model"].tobytes(), rng), np.uint8)
        try:
            head.restore({"model": model}, values)
        except CorruptFile as error:
            assert_one_sentence(error)
        else:
            if head.takes(encodings.shape[1]):
                assert np.isfinite(head.predict(encodings)).all()


# -- whatever is registered ----------------------------------------------------------------------------------

LOSS = {"comparator": "comparator", "mlp": "hinge", "xgboost": "hinge", "lightgbm": "hinge"}


@pytest.mark.parametrize("encoder", archenc.list_encoders())
def test_every_encoder_is_loaded_with_equal_predictions(encoder, tmp_path):
    if ENCODERS.get(encoder).unsupported(SPACE):
        pytest.skip("not defined on this space")
    predictor = Predictor(encoder, epochs=1, random_state=0).fit(GRAPHS[:8], Y[:8])
    before = torch.random.get_rng_state()
    loaded = Predictor.load(predictor.save(tmp_path / "p"))
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(loaded.predict(GRAPHS), predictor.predict(GRAPHS))


@pytest.mark.parametrize("head", [name for name in archenc.list_heads() if name != "anytime"])
@pytest.mark.parametrize("encoder", ["op-count", "gcn"])
def test_every_head_is_loaded_with_equal_predictions(head, encoder, tmp_path):
    quick = {} if issubclass(HEADS.get(head), NeuralHead) else FITTED[head].get("head_params", {})
    loss = LOSS.get(head, "mse")
    predictor = Predictor(encoder, head, loss, epochs=1, random_state=0, head_params=quick).fit(GRAPHS, Y)
    loaded = Predictor.load(predictor.save(tmp_path / "p"))
    np.testing.assert_array_equal(loaded.predict(GRAPHS), predictor.predict(GRAPHS))
    again = Predictor.load(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.predict(GRAPHS), predictor.predict(GRAPHS))


@pytest.mark.parametrize("head", ["xgboost", "lightgbm"])
def test_boosted_trees_of_full_size_are_read_bit_for_bit(head, tmp_path):
    predictor = Predictor("adjacency", head, "mse", random_state=0).fit(GRAPHS, Y)
    loaded = Predictor.load(predictor.save(tmp_path / "p"))
    others = SPACE.sample(200, 1)
    np.testing.assert_array_equal(loaded.predict(others), predictor.predict(others))


def test_a_forest_saved_with_the_depth_of_its_trees(saved, tmp_path):
    folder = changed(
        saved["random-forest"], tmp_path / "p", weights=lambda w: {**w, "head.depth": np.array([4, 4, 4])}
    )
    np.testing.assert_array_equal(
        Predictor.load(folder).predict(GRAPHS), Predictor.load(saved["random-forest"]).predict(GRAPHS)
    )


def test_another_device_than_that_of_the_training(saved, tmp_path):
    folder = changed(saved["mlp"], tmp_path / "p", **with_parameters(device="cuda:99"))
    loaded = Predictor.load(folder, device="cpu")
    assert loaded.device == "cpu"
    np.testing.assert_array_equal(loaded.predict(GRAPHS), Predictor.load(saved["mlp"]).predict(GRAPHS))


# -- saving --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_save_that_fails_leaves_the_older_predictor_or_the_new_one(failing, saved, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(saved["ridge"], tmp_path / "p"))
    older, new = Predictor.load(folder), Predictor.load(saved["mlp"])
    replace, calls = os.replace, []

    def failing_replace(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        return replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", failing_replace)
        with pytest.raises(CannotWrite) as caught:
            new.save(folder)
    assert_one_sentence(caught.value)
    expected = older if failing < 3 else new
    np.testing.assert_array_equal(Predictor.load(folder).predict(GRAPHS), expected.predict(GRAPHS))
    new.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["predictor.json", "weights.safetensors"]
    np.testing.assert_array_equal(Predictor.load(folder).predict(GRAPHS), new.predict(GRAPHS))


@pytest.mark.parametrize("target", ["file", "file/below", "x" * 300, "nul\0", None, 5])
def test_targets_that_cannot_be_written(target, saved, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((InvalidParameter, CannotWrite)) as caught:
        Predictor.load(saved["ridge"]).save(tmp_path / target if isinstance(target, str) else target)
    assert_one_sentence(caught.value)


def test_what_was_loaded_is_saved_as_it_was_fitted(saved, tmp_path):
    loaded = Predictor.load(saved["ridge"])
    scores = loaded.predict(GRAPHS)
    loaded.set_params(loss="hinge", head="mlp", encoder="gates")
    np.testing.assert_array_equal(Predictor.load(loaded.save(tmp_path / "p")).predict(GRAPHS), scores)
