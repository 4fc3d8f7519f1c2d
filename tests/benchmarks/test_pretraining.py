"""The tables of pretrained encoders."""

import json

from archenc.benchmarks.reports.pretraining import (
    card_of,
    known_cards,
    masked_markdown,
    quality_markdown,
    read_pretrainings,
    regression_markdown,
)

CARD = {
    "architectures": 100_000,
    "settings": {"encoder": "vgae", "space": {"name": "nasbench201"}, "encoder_params": {}},
    "figures": {"reconstruction_accuracy": 12.345, "validity": 50.0, "uniqueness": 60.0, "loss": 0.1},
    "history": [{}, {}],
    "seconds": {"training": 7.6},
    "machine": {"threads": 2},
}
CATE = CARD | {
    "settings": {"encoder": "cate", "space": {"name": "nasbench101"}, "encoder_params": {"mask": "direct"}},
    "figures": {"masked_accuracy": 40.0, "chance": 30.0},
}
CARDS = [card_of(CARD, "a card"), card_of(CATE, "a card")]


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_an_autoencoder_stands_beside_its_published_row():
    ours, published = cells(quality_markdown(CARDS))
    assert ours == [
        "vgae",
        "nasbench201",
        "archenc",
        "100,000",
        "12.35",
        "",
        "",
        "50.00",
        "60.00",
        "",
        "2",
        "8 (2 threads)",
    ]
    assert published[4:9] == ["98.32", "", "", "79.30", "88.42"]


def test_masked_operations_by_what_a_node_sees():
    assert cells(masked_markdown(CARDS)) == [
        ["nasbench101", "direct", "100,000", "40.00", "30.00", "2", "8 (2 threads)"]
    ]


def test_cards_and_reports_of_a_file(tmp_path):
    parts = {name: {"mean": 0.5, "std": 0.1} for name in ("pearson", "rmse")}
    report = {
        "dataset": "d",
        "label": "l",
        "plan": {"training_size": 250},
        "gaussian_process": {"pretrained": parts, "supervised": parts},
        "l2_distance": {"pretrained": {"monotone": True}, "supervised": {"monotone": False}},
    }
    path = tmp_path / "pretraining.json"
    path.write_text(json.dumps({"cards": {"one": CARD}, "reports": {"two": report}}))
    found = read_pretrainings(path)
    cards, lines = known_cards(found.cards), cells(regression_markdown(found.reports))
    assert CARDS[0] in cards
    assert len(cards) > 1, "those of the weights by name are there, too"
    assert [row[:2] for row in lines] == [["two", "pretrained"], ["two", "supervised"]]
    assert lines[0][4:] == ["0.500 ± 0.100", "0.500 ± 0.100", "yes"]
