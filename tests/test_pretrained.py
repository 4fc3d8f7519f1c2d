"""What a pretraining leaves: encoders, embeddings, weights by name, and predictors on them."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import archenc
from archenc import Predictor
from archenc.encoder import Encoder
from archenc.errors import (
    ArchencError,
    CorruptFile,
    DataNotFound,
    InvalidArchitecture,
    InvalidParameter,
    UnknownName,
)
from archenc.files import trusted as files
from archenc.graphs.hashing import wl_hash
from archenc.graphs.transforms import isomorphic_twin
from archenc.pretraining import PretrainableEncoder
from archenc.pretraining.weights import FrozenEncoder, load_pretrained, pretrained_folder, read_card
from tests.bad_input import assert_one_sentence
from tests.mutants import mutate_json
from tests.shared import GRAPHS, SMALL
from tests.shared import PRETRAINING_SPACE as SPACE

Y = 90.0 + GRAPHS.adjacency.sum((1, 2)).double().numpy()


def test_embeddings_are_found_by_architecture(finished):
    encoder = archenc.load_pretrained(finished)
    assert isinstance(encoder, Encoder)
    assert not encoder.training
    embeddings = archenc.load_embeddings(finished)
    np.testing.assert_allclose(embeddings.values, encoder.encode(GRAPHS), atol=1e-6)
    order = np.random.default_rng(0).permutation(len(GRAPHS))[:40]
    np.testing.assert_allclose(embeddings.lookup(GRAPHS[order]), encoder.encode(GRAPHS[order]), atol=1e-5)
    np.testing.assert_allclose(
        embeddings.lookup(isomorphic_twin(GRAPHS, 3)), encoder.encode(GRAPHS), atol=1e-5
    )
    assert embeddings.lookup(GRAPHS[:0]).shape == (0, 16)


def test_places_of_none_edges_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(PretrainableEncoder, "draws", 50)
    space = archenc.create_space("nasbench201")
    graphs = space.enumerate()[::13]
    archenc.pretrain("arch2vec", graphs, tmp_path / "p", encoder_params=SMALL, epochs=1, batch_size=256)
    embeddings = archenc.load_embeddings(tmp_path / "p")
    assert np.array_equal(embeddings.rows(graphs), np.arange(len(graphs)))


def test_an_architecture_without_an_embedding(finished):
    embeddings = archenc.load_embeddings(finished)
    others = archenc.create_space("nasbench101").sample(3, seed=0)
    known = {row.tobytes() for row in embeddings.hashes}
    drawn = SPACE.sample(500, seed=1)
    new = [row.tobytes() not in known for row in wl_hash(drawn)]
    unknown = drawn[np.flatnonzero(new)[:1]]
    for graphs in (others, unknown):
        with pytest.raises(InvalidArchitecture) as caught:
            embeddings.lookup(graphs)
        assert_one_sentence(caught.value)


def without_card(folder):
    (folder / "pretraining.json").unlink()


def without_files(folder):
    (folder / "weights.safetensors").unlink()
    (folder / "embeddings.safetensors").unlink()


def damaged_files(folder):
    for name in ("weights.safetensors", "embeddings.safetensors"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])


def foreign_files(folder):
    card = json.loads((folder / "pretraining.json").read_text())
    for name in ("weights.safetensors", "embeddings.safetensors"):
        save_file({"elsewhere": torch.zeros(2)}, folder / name)
        card["sha256"][name] = files.sha256(folder / name)
    (folder / "pretraining.json").write_text(json.dumps(card))


def card_of_nothing(folder):
    card = json.loads((folder / "pretraining.json").read_text())
    (folder / "pretraining.json").write_text(json.dumps({**card, "settings": {"encoder": 3}}))


@pytest.mark.parametrize(
    "damage", [without_card, without_files, damaged_files, foreign_files, card_of_nothing]
)
@pytest.mark.parametrize("load", [archenc.load_pretrained, archenc.load_embeddings])
def test_a_damaged_folder_is_refused(damage, load, copy):
    damage(copy)
    with pytest.raises((CorruptFile, DataNotFound)) as caught:
        load(copy)
    assert_one_sentence(caught.value)


def resealed(folder, change):
    """Change the arrays of both files and give the card their new checksums."""
    card = json.loads((folder / "pretraining.json").read_text())
    for name in ("weights.safetensors", "embeddings.safetensors"):
        save_file(
            {key: change(key, tensor).contiguous() for key, tensor in load_file(folder / name).items()},
            folder / name,
        )
        card["sha256"][name] = files.sha256(folder / name)
    (folder / "pretraining.json").write_text(json.dumps(card))


def with_settings(folder, **changes):
    card = json.loads((folder / "pretraining.json").read_text())
    card["settings"] |= changes
    (folder / "pretraining.json").write_text(json.dumps(card))


TAMPERED = {
    "NaN": lambda folder: resealed(folder, lambda _, t: t * float("nan") if t.is_floating_point() else t),
    "half precision": lambda folder: resealed(folder, lambda _, t: t.half()),
    "other shapes": lambda folder: resealed(folder, lambda _, t: t[..., :-1] if t.dim() else t),
    "no embedding": lambda folder: resealed(folder, lambda _, t: t[:0] if t.dim() else t),
    "an encoder that is no text": lambda folder: with_settings(folder, encoder=5),
    "an unknown space": lambda folder: with_settings(folder, space={"name": "nowhere", "parameters": {}}),
    "a space of a list": lambda folder: with_settings(folder, space=[]),
    "an unknown key": lambda folder: with_settings(folder, colour="blue"),
}


@pytest.mark.parametrize("case", TAMPERED)
@pytest.mark.parametrize("load", [archenc.load_pretrained, archenc.load_embeddings])
def test_a_tampered_folder_is_refused(case, load, copy):
    TAMPERED[case](copy)
    with pytest.raises(CorruptFile) as caught:
        load(copy)
    assert_one_sentence(caught.value)
    assert str(copy) in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [{"hidden_dim": 16_384, "layers": 40}, {"hidden_dim": 16, "layers": 3}, {"hidden_dim": 17, "layers": 2}],
)
def test_an_encoder_that_the_weights_do_not_fill_is_not_built(params, copy):
    with_settings(copy, encoder_params=params)
    with pytest.raises(CorruptFile) as caught:
        archenc.load_pretrained(copy)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_mutants_of_the_card(count, copy):
    rng = np.random.default_rng(0)
    good = json.loads((copy / "pretraining.json").read_text())
    refused = 0
    for _ in range(count):
        (copy / "pretraining.json").write_text(json.dumps(mutate_json(good, rng)), errors="surrogatepass")
        for load in (archenc.load_pretrained, archenc.load_embeddings):
            try:
                load(copy)
            except ArchencError as error:
                assert_one_sentence(error)
                refused += 1
    assert refused > count


def test_names_that_do_not_exist():
    for load in (archenc.load_pretrained, archenc.load_embeddings):
        with pytest.raises(UnknownName) as caught:
            load("arch2vec-nowhere")
        assert_one_sentence(caught.value)


def test_weights_by_name(copy, monkeypatch):
    (copy / "embeddings.safetensors").unlink()
    monkeypatch.setattr("archenc.pretraining.weights.pretrained_folders", lambda: {"small": copy})
    assert archenc.list_pretrained() == ["small"]
    assert archenc.load_pretrained("Small").space == SPACE
    with pytest.raises(DataNotFound, match="load_pretrained") as caught:
        archenc.load_embeddings("small")
    assert_one_sentence(caught.value)


# -- predictors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["mlp", "ridge"])
@pytest.mark.parametrize("fine_tune", [False, True])
def test_a_predictor_on_pretrained_weights(head, fine_tune, copy, tmp_path):
    encoder = archenc.load_pretrained(copy)
    predictor = Predictor(
        "arch2vec", head, "mse", pretrained=copy, fine_tune=fine_tune, epochs=5, random_state=0
    )
    predictor.fit(GRAPHS, Y)
    unchanged = np.allclose(predictor.embed(GRAPHS), encoder.encode(GRAPHS), atol=1e-6)
    assert unchanged is not fine_tune
    assert isinstance(predictor.encoder_, FrozenEncoder) is not fine_tune
    scores = predictor.predict(GRAPHS)
    predictor.save(tmp_path / "saved")
    shutil.rmtree(copy)
    loaded = Predictor.load(tmp_path / "saved")
    assert np.array_equal(loaded.predict(GRAPHS), scores)
    assert np.array_equal(Predictor.load(loaded.save(tmp_path / "again")).predict(GRAPHS), scores)


def test_fine_tuning_starts_from_the_pretrained_weights(finished):
    predictor = Predictor(
        "arch2vec", pretrained=finished, fine_tune=True, epochs=1, lr=1e-12, random_state=0
    ).fit(GRAPHS[:8], Y[:8])
    learnt, given = predictor.encoder_.state_dict(), load_file(finished / "weights.safetensors")
    for name in (name for name in given if "running" not in name and "num_batches" not in name):
        torch.testing.assert_close(learnt[name], given[name])


@pytest.mark.parametrize(
    "settings",
    [
        {"encoder": "gae"},
        {"simplify": True},
        {"encoder_params": {"layers": 3}},
        {"pretrained": "no such name"},
        {"pretrained": None, "fine_tune": True},
    ],
)
def test_predictors_that_do_not_fit_the_weights(settings, finished):
    with pytest.raises((InvalidParameter, UnknownName)) as caught:
        Predictor(**{"encoder": "arch2vec", "pretrained": finished, **settings}).fit(GRAPHS, Y)
    assert_one_sentence(caught.value)


def test_another_space_than_that_of_the_weights(finished):
    graphs = archenc.create_space("nasbench101").sample(10, seed=0)
    with pytest.raises(InvalidParameter, match="space") as caught:
        Predictor("arch2vec", pretrained=finished).fit(graphs, np.arange(10.0))
    assert_one_sentence(caught.value)


# -- the weights that come with archenc: small, whole, and as good as their cards say ------------------------


NAMES = archenc.list_pretrained()


def test_there_are_weights_of_both_encoders_for_both_spaces():
    assert {
        f"{encoder}-{space}" for encoder in ("arch2vec", "cate") for space in ("nasbench101", "nasbench201")
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_the_weights_are(name):
    card = read_card(name)
    assert name.startswith(card["settings"]["encoder"])
    assert name.endswith(card["settings"]["space"]["name"])
    assert card["command"].startswith(
        f"archenc pretrain {card['settings']['encoder']} --dataset {card['dataset']}"
    )
    assert f"--seed {card['settings']['seed']}" in card["command"]
    assert len(card["history"]) == card["settings"]["schedule"]["epochs"]
    assert (pretrained_folder(name) / "weights.safetensors").stat().st_size <= 2 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_as_good_as_the_card_says(name):
    card, encoder = read_card(name), load_pretrained(name)
    graphs = encoder.space.sample(3000, seed=1)
    with torch.no_grad():
        found = encoder.pretraining_metrics(
            encoder.pretraining_examples(graphs), torch.Generator().manual_seed(0)
        )
    if (
        "masked_accuracy" in found
    ):  # sampled cells are others than those held out, and easier or harder to guess
        known = card["figures"]["masked_accuracy"] - card["figures"]["chance"]
        assert found["masked_accuracy"] - found["chance"] >= 0.5 * known
    elif encoder.invariant:
        assert found == pytest.approx({share: card["figures"][share] for share in found}, abs=3)
    else:  # trained on cells in the order of the enumeration, which sampled ones have by chance only
        assert found["reconstruction_accuracy"] > 50
