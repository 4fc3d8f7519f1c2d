"""The predictor as a scikit-learn user meets it, and companions beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import archenc
from archenc.errors import CorruptFile, DataNotFound, InvalidParameter, InvalidTable, NotFitted, UnknownName
from archenc.predictor import Predictor
from archenc.predictor.companions import neighbours
from archenc.search.suggest import trust
from tests.bad_input import assert_one_sentence

SPACE = archenc.create_space("nasbench201")
GRAPHS = SPACE.sample(60, 0)
Y = 50.0 + 10.0 * (GRAPHS.ops == 4).sum((1, 2)).numpy() + np.linspace(0, 1, 60)  # convolutions are good

QUICK = {
    "fixed encoding, neural head": {"encoder": "adjacency", "epochs": 10},
    "learned encoding, neural head": {"encoder": "gates", "epochs": 10, "encoder_params": {"layers": [8, 8]}},
    "averaged weights": {
        "encoder": "gcn",
        "epochs": 10,
        "encoder_params": {"hidden": [8]},
        "ema": 0.9,
        "gradient_clip": 0.1,
    },
    "comparator": {"encoder": "op-count", "head": "comparator", "loss": "comparator", "epochs": 10},
    "fixed encoding, ridge": {"encoder": "path", "head": "ridge", "loss": "mse"},
    "learned encoding, ridge": {
        "encoder": "gcn",
        "head": "ridge",
        "loss": "mse",
        "epochs": 10,
        "encoder_params": {"hidden": [8]},
    },
    "simplified, Gaussian process": {"encoder": "path", "head": "gp", "loss": "mse", "simplify": True},
    "boosted trees": {
        "encoder": "op-count",
        "head": "lightgbm",
        "loss": "listmle",
        "head_params": {"n_estimators": 20},
    },
}


@pytest.mark.parametrize("parameters", QUICK.values(), ids=QUICK.keys())
def test_predictions_survive_saving_bit_for_bit(parameters, tmp_path):
    predictor = Predictor(random_state=0, **parameters).fit(GRAPHS, Y)
    loaded = Predictor.load(predictor.save(tmp_path / "p"))
    np.testing.assert_array_equal(loaded.predict(GRAPHS), predictor.predict(GRAPHS))
    np.testing.assert_array_equal(loaded.embed(GRAPHS), predictor.embed(GRAPHS))
    assert loaded.get_params() == predictor.get_params()
    assert {p.name for p in (tmp_path / "p").iterdir()} == {"predictor.json", "weights.safetensors"}


@pytest.mark.parametrize("parameters", QUICK.values(), ids=QUICK.keys())
def test_a_seed_fixes_everything(parameters):
    first, second = (Predictor(random_state=1, **parameters).fit(GRAPHS, Y).predict(GRAPHS) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_training_does_not_disturb_the_global_random_state():
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Predictor("gates", epochs=2, random_state=0).fit(GRAPHS, Y)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("transform", ["standardize", "normal-scores"])
def test_pointwise_predictions_come_in_the_labels_units(transform):
    predictor = Predictor("op-count", "ridge", "mse", label_transform=transform, random_state=0).fit(
        GRAPHS, Y
    )
    assert np.abs(predictor.predict(GRAPHS) - Y).mean() < 5.0


def test_the_papers_mse_predicts_percent_through_a_sigmoid():
    predictor = Predictor(
        "op-count", loss="mse", loss_params={"sigmoid": True}, label_transform="fraction", random_state=0
    ).fit(GRAPHS, Y)
    assert ((predictor.predict(GRAPHS) > 0) & (predictor.predict(GRAPHS) < 100)).all()
    assert np.abs(predictor.predict(GRAPHS) - Y).mean() < 10.0


def test_a_ranking_loss_ignores_monotone_changes_of_the_labels():
    plain = Predictor("op-count", epochs=5, random_state=0).fit(GRAPHS, Y).predict(GRAPHS)
    cubed = Predictor("op-count", epochs=5, random_state=0).fit(GRAPHS, Y**3).predict(GRAPHS)
    np.testing.assert_array_equal(plain, cubed)


def test_scikit_learn_tools_work():
    predictor = Predictor("op-count", "ridge", "mse", random_state=0)
    assert clone(predictor).get_params() == predictor.get_params()
    assert cross_val_score(predictor, GRAPHS, Y, cv=3).mean() > 0.5
    search = GridSearchCV(
        predictor, {"encoder": ["op-count", "adjacency"], "simplify": [False, True]}, cv=2
    ).fit(GRAPHS, Y)
    assert search.best_params_["encoder"] in ("op-count", "adjacency")


def test_callback_sees_every_epoch_with_a_usable_predictor():
    seen = []
    Predictor("op-count", epochs=3, random_state=0).fit(
        GRAPHS, Y, lambda epoch, p: seen.append((epoch, len(p.predict(GRAPHS))))
    )
    assert seen == [(1, 60), (2, 60), (3, 60)]


def test_an_empty_batch_has_no_scores():
    assert Predictor("op-count", "ridge", "mse").fit(GRAPHS, Y).predict(GRAPHS[[]]).shape == (0,)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"encoder": "gate"}, UnknownName),
        ({"head": "gp", "loss": "hinge"}, InvalidParameter),
        ({"head": "comparator", "loss": "mse"}, InvalidParameter),
        ({"head": "mlp", "loss": "comparator"}, InvalidParameter),
        ({"head": "xgboost", "loss": "comparator", "encoder": "path"}, InvalidParameter),
        ({"encoder_params": {"layer": [3]}}, InvalidParameter),
        ({"loss_params": {"marign": 1.0}}, InvalidParameter),
        ({"label_transform": "log"}, InvalidParameter),
        ({"loss": "mse", "loss_params": {"sigmoid": True}}, InvalidParameter),
        ({"epochs": 0}, InvalidParameter),
        ({"batch_size": 2.5}, InvalidParameter),
        ({"lr": -1.0}, InvalidParameter),
        ({"lr_schedule": "stepwise"}, InvalidParameter),
        ({"optimizer": "sgd"}, InvalidParameter),
        ({"warmup_epochs": 1}, InvalidParameter),
        ({"gradient_clip": 0.0}, InvalidParameter),
        ({"ema": 1.0}, InvalidParameter),
        ({"ema": 0}, InvalidParameter),
        ({"device": "tpu9"}, InvalidParameter),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(parameters, error):
    with pytest.raises(error) as caught:
        Predictor(**{"encoder": "gates", "epochs": 1, **parameters}).fit(GRAPHS, Y)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    "y",
    [
        Y[:-1],
        np.where(np.arange(60) == 7, np.nan, Y),
        np.where(np.arange(60) == 7, np.inf, Y),
        np.stack([Y, Y], 1),
    ],
)
def test_bad_labels_are_refused_in_a_sentence(y):
    with pytest.raises(InvalidTable) as caught:
        Predictor("gates").fit(GRAPHS, y)
    assert_one_sentence(caught.value)


def test_nothing_is_left_of_the_choice_to_who_asks_for_a_choice():
    assert Predictor().encoder == "auto"
    named = {"pretrained": "arch2vec-nasbench201"}
    for part in (
        {"head": "gp"},
        {"loss": "mse"},
        {"simplify": True},
        {"head_params": {}},
        {"companions": []},
        named,
    ):
        with pytest.raises(InvalidParameter, match="'auto' chooses all parts") as caught:
            Predictor(**part).fit(GRAPHS, Y)
        assert_one_sentence(caught.value)


def test_use_before_fit_and_on_another_space():
    with pytest.raises(NotFitted):
        Predictor().predict(GRAPHS)
    fitted = Predictor("op-count", "ridge", "mse").fit(GRAPHS, Y)
    with pytest.raises(InvalidTable, match="nasbench101"):
        fitted.predict(archenc.create_space("nasbench101").sample(3, 0))


def damage_weights(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def drop_weights(folder):
    (folder / "weights.safetensors").unlink()


def other_format(folder):
    path = folder / "predictor.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


def other_encoder(folder):
    path = folder / "predictor.json"
    description = json.loads(path.read_text())
    description["parameters"]["encoder"] = "gcn"
    path.write_text(json.dumps(description))


def not_json(folder):
    (folder / "predictor.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (damage_weights, CorruptFile),
        (drop_weights, DataNotFound),
        (other_format, CorruptFile),
        (other_encoder, CorruptFile),
        (not_json, CorruptFile),
    ],
)
def test_a_damaged_folder_is_refused_in_a_sentence(damage, error, tmp_path):
    folder = Predictor("op-count", epochs=1, random_state=0).fit(GRAPHS, Y).save(tmp_path / "p")
    damage(folder)
    with pytest.raises(error) as caught:
        Predictor.load(folder)
    assert_one_sentence(caught.value)


def test_loading_from_nowhere(tmp_path):
    with pytest.raises(DataNotFound) as caught:
        Predictor.load(tmp_path)
    assert_one_sentence(caught.value)


# -- companions ----------------------------------------------------------------------------------------------

NASBENCH101 = archenc.create_space("nasbench101")
KNOWN, UNSEEN = NASBENCH101.sample(30, 0), NASBENCH101.sample(40, 1)
LABELS = 80 + (KNOWN.ops == 3).sum(1).numpy() + np.linspace(0, 0.1, 30)
RIDGE = {"encoder": "adjacency", "head": "ridge", "loss": "mse"}


def op_counts(**parameters):
    return Predictor("op-count", "ridge", "mse", random_state=0, label_transform="standardize", **parameters)


def test_a_score_is_the_weighted_mean_of_standardised_scores():
    both = op_counts(companions=[RIDGE | {"weight": 3.0}]).fit(KNOWN, LABELS)
    alone, other = op_counts().fit(KNOWN, LABELS), Predictor(**RIDGE, random_state=1).fit(KNOWN, LABELS)
    near = neighbours(KNOWN, 0)
    own, theirs = alone.raw_scores(near), other.predict(near)
    scaled = own.mean() + own.std() * (other.predict(UNSEEN) - theirs.mean()) / theirs.std()
    expected = (alone.raw_scores(UNSEEN) + 3 * scaled) / 4
    np.testing.assert_allclose(both.raw_scores(UNSEEN), alone.raw_scores(UNSEEN))
    np.testing.assert_allclose(both.predict(UNSEEN), LABELS.mean() + LABELS.std() * expected)


def test_deviations_are_those_of_the_head_and_the_mean_is_that_of_predict():
    both = Predictor("op-count", "gp", "mse", random_state=0, companions=[RIDGE]).fit(KNOWN, LABELS)
    mean, deviation = both.predict(UNSEEN, return_std=True)
    np.testing.assert_array_equal(mean, both.predict(UNSEEN))
    assert (deviation > 0).all()
    assert both.report_["companions"] == {"adjacency": 1.0}


def test_what_is_measured_is_said_to_be_without_companions():
    report = Predictor("auto", random_state=0, budget="fast").fit(KNOWN, LABELS).report_
    assert report["companions"] == {}
    both = Predictor("op-count", "mixture", "mse", random_state=0, companions=[RIDGE]).fit(KNOWN, LABELS)
    assert str(trust(both, LABELS)).startswith(
        "grouped-gp + xgboost + adjacency on 30 labels; left out in turn, without adjacency: tau 0."
    )


def test_neighbours_are_one_change_away_and_carry_no_label():
    near = neighbours(KNOWN, 0)
    assert len(near) == 512
    assert (near.hash() != KNOWN[np.arange(512) % 30].hash()).any(1).all()
    assert neighbours(KNOWN, 0).hash().tolist() == near.hash().tolist()


def test_equal_labels_have_nothing_to_rank():
    fitted = op_counts(companions=[{"encoder": "gates", "loss": "hinge", "epochs": 1}]).fit(
        KNOWN, np.full(30, 90.0)
    )
    assert fitted.companions_ == []
    np.testing.assert_allclose(fitted.predict(UNSEEN), 90.0)


@pytest.mark.parametrize(
    "companion",
    [{"wieght": 2.0}, {"weight": -1.0}, {"weight": "much"}, {"encoder": "gaets"}, {"head": "mlp", "lr": 0}],
)
def test_what_is_no_companion(companion):
    with pytest.raises(archenc.errors.ArchencError) as caught:
        op_counts(companions=[RIDGE | companion]).fit(KNOWN, LABELS)
    assert_one_sentence(caught.value)


def test_a_head_of_several_outputs_has_no_place_for_companions():
    several = Predictor(
        "ta-gates",
        "anytime",
        "hinge",
        encoder_params={"anytime": True, "steps": 2},
        epochs=1,
        companions=[RIDGE],
    )
    with pytest.raises(InvalidParameter, match="no place for companions"):
        several.fit(KNOWN, np.stack([LABELS, LABELS + np.linspace(1, 0, 30)], 1))


@pytest.mark.parametrize(("budget", "networks"), [("fast", 0), ("normal", 2), ("thorough", 6)])
def test_budgets_buy_networks(budget, networks):
    chosen = archenc.recommend(NASBENCH101, 50, budget)["companions"] or []
    assert len(chosen) == networks
    assert sum(each["weight"] for each in chosen) == pytest.approx(3.0 if networks else 0.0)


def test_networks_go_where_operations_sit_on_nodes_of_wirings_that_differ():
    def encoders(name, n):
        return [
            each["encoder"] for each in archenc.recommend(archenc.create_space(name), n)["companions"] or []
        ]

    assert encoders("nasbench101", 50) == ["flowerformer", "gates"]
    assert encoders("nasbench101", 500) == ["flowerformer"]
    assert encoders("nasbench-nlp", 500) == ["gates", "gates"]
    assert encoders("nasbench-macro", 50) == encoders("nasbench201", 50) == encoders("darts", 50) == []
    assert encoders("nasbench201", 10) == ["wl"]
