import numpy as np
import pytest

import archenc
from archenc.errors import InvalidParameter
from archenc.predictor import Predictor
from archenc.predictor.companions import neighbours
from archenc.search.suggest import trust
from tests.bad_input import assert_one_sentence

SPACE = archenc.create_space("nasbench101")
GRAPHS, UNSEEN = SPACE.sample(30, 0), SPACE.sample(40, 1)
Y = 80 + (GRAPHS.ops == 3).sum(1).numpy() + np.linspace(0, 0.1, 30)
RIDGE = {"encoder": "adjacency", "head": "ridge", "loss": "mse"}


def op_counts(**parameters):
    return Predictor("op-count", "ridge", "mse", random_state=0, label_transform="standardize", **parameters)


def test_a_score_is_the_weighted_mean_of_standardised_scores():
    both = op_counts(companions=[RIDGE | {"weight": 3.0}]).fit(GRAPHS, Y)
    alone, other = op_counts().fit(GRAPHS, Y), Predictor(**RIDGE, random_state=1).fit(GRAPHS, Y)
    near = neighbours(GRAPHS, 0)
    own, theirs = alone.raw_scores(near), other.predict(near)
    scaled = own.mean() + own.std() * (other.predict(UNSEEN) - theirs.mean()) / theirs.std()
    expected = (alone.raw_scores(UNSEEN) + 3 * scaled) / 4
    np.testing.assert_allclose(both.raw_scores(UNSEEN), alone.raw_scores(UNSEEN))
    np.testing.assert_allclose(both.predict(UNSEEN), Y.mean() + Y.std() * expected)


def test_deviations_are_those_of_the_head_and_the_mean_is_that_of_predict():
    both = Predictor("op-count", "gp", "mse", random_state=0, companions=[RIDGE]).fit(GRAPHS, Y)
    mean, deviation = both.predict(UNSEEN, return_std=True)
    np.testing.assert_array_equal(mean, both.predict(UNSEEN))
    assert (deviation > 0).all()
    assert both.report_["companions"] == {"adjacency": 1.0}


def test_what_is_measured_is_said_to_be_without_companions():
    report = Predictor("auto", random_state=0, budget="fast").fit(GRAPHS, Y).report_
    assert report["companions"] == {}
    both = Predictor("op-count", "mixture", "mse", random_state=0, companions=[RIDGE]).fit(GRAPHS, Y)
    assert str(trust(both, Y)).startswith(
        "grouped-gp + xgboost + adjacency on 30 labels; left out in turn, without adjacency: tau 0."
    )


def test_neighbours_are_one_change_away_and_carry_no_label():
    near = neighbours(GRAPHS, 0)
    assert len(near) == 512
    assert (near.hash() != GRAPHS[np.arange(512) % 30].hash()).any(1).all()
    assert neighbours(GRAPHS, 0).hash().tolist() == near.hash().tolist()


def test_equal_labels_have_nothing_to_rank():
    fitted = op_counts(companions=[{"encoder": "gates", "loss": "hinge", "epochs": 1}]).fit(
        GRAPHS, np.full(30, 90.0)
    )
    assert fitted.companions_ == []
    np.testing.assert_allclose(fitted.predict(UNSEEN), 90.0)


@pytest.mark.parametrize(
    "companion",
    [{"wieght": 2.0}, {"weight": -1.0}, {"weight": "much"}, {"encoder": "gaets"}, {"head": "mlp", "lr": 0}],
)
def test_what_is_no_companion(companion):
    with pytest.raises(archenc.errors.ArchencError) as caught:
        op_counts(companions=[RIDGE | companion]).fit(GRAPHS, Y)
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
        several.fit(GRAPHS, np.stack([Y, Y + np.linspace(1, 0, 30)], 1))


@pytest.mark.parametrize(("budget", "networks"), [("fast", 0), ("normal", 2), ("thorough", 6)])
def test_budgets_buy_networks(budget, networks):
    chosen = archenc.recommend(SPACE, 50, budget)["companions"] or []
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
