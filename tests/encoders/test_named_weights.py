"""The weights that come with archenc: small, whole, and as good as their cards say."""

import pytest
import torch

import archenc
from archenc.pretraining.weights import load_pretrained, pretrained_folder, read_card

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
