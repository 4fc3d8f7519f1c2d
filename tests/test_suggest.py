"""What to train next: the function."""

from __future__ import annotations

import numpy as np
import pytest

import archenc
from archenc import Predictor
from archenc.errors import InvalidArchitecture, InvalidParameter, InvalidTable
from archenc.graphs.hashing import sortable_keys
from archenc.search.pareto import crowding, leading
from archenc.search.suggest import suggest, trust, untrained
from tests.bad_input import assert_one_sentence
from tests.shared import ALL, POOL, SPACE, TRAINED, Y, accuracy, cheap, dominated


def test_the_best_of_the_space_are_suggested_and_no_twin_of_what_is_known():
    found = suggest(TRAINED, Y, 20, predictor=cheap())
    assert len(found.graphs) == len(np.unique(sortable_keys(found.graphs.hash()))) == 20
    assert not np.isin(sortable_keys(found.graphs.hash()), sortable_keys(TRAINED.hash())).any()
    assert (np.diff(found.score) <= 0).all()
    assert (found.low < found.score).all()
    assert (found.score < found.high).all()
    assert set(found.reasons) == {"predicted best"}
    assert accuracy(found.graphs).mean() > np.sort(Y)[-5:].mean()
    np.testing.assert_array_equal(ALL[found.positions].hash(), found.graphs.hash())


def test_a_trained_architecture_among_the_candidates_is_left_out_with_its_twins():
    pool = archenc.graphs.concatenate([TRAINED[:5], POOL[:4], POOL[:4]])
    assert untrained(pool, TRAINED).tolist() == [5, 6, 7, 8]
    with pytest.raises(InvalidParameter, match="only 4 of 13 candidates are left"):
        suggest(TRAINED, Y, 5, candidates=pool, predictor=cheap())


def test_what_differs_in_dead_ends_only_is_a_twin_too():
    texts = [
        f"|none~0|+|none~0|{dead}~1|+|nor_conv_3x3~0|none~1|none~2|" for dead in ("none", "avg_pool_3x3")
    ]
    other = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    assert len(np.unique(sortable_keys(SPACE.parse(texts).hash()))) == 2, "they are no isomorphic ones"
    assert untrained(SPACE.parse([texts[1], other]), SPACE.parse(texts[0])).tolist() == [1]
    assert untrained(SPACE.parse([*texts, other]), TRAINED).tolist() == [0, 2]


@pytest.mark.parametrize(
    "name",
    [
        "darts",
        "nasbench101",
        "nasbench-graph",
        "nasbench-macro",
        "genetic-cnn",
        "nasbench-nlp",
        "proxylessnas",
    ],
)
def test_twins_are_found_in_every_kind_of_space(name):
    graphs = archenc.create_space(name).sample(12, 2)
    fresh = untrained(graphs, graphs[:4])
    assert set(fresh) <= set(range(4, 12))
    assert len(fresh) >= 4


def test_the_nearest_trained_architecture_is_named():
    found = suggest(TRAINED, Y, 5, candidates=POOL, predictor=cheap())
    ours, theirs = (found.predictors[0].embed(graphs) for graphs in (found.graphs, TRAINED))
    scale = np.where(theirs.std(0) > 0, theirs.std(0), np.inf)
    for row, nearest in zip(ours, found.nearest, strict=True):
        distances = (((row - theirs) / scale) ** 2).sum(1)
        assert distances[nearest] == pytest.approx(distances.min())


@pytest.mark.parametrize(("explore", "uncertain"), [(0.0, 0), (0.3, 3), (1.0, 10)])
def test_a_share_is_chosen_for_being_uncertain(explore, uncertain):
    found = suggest(TRAINED, Y, 10, candidates=POOL, explore=explore, predictor=cheap())
    bold = np.array(found.reasons) == "uncertain"
    assert bold.sum() == uncertain
    score, deviation = found.predictors[0].predict(POOL[untrained(POOL, TRAINED)], return_std=True)
    assert len(np.unique(found.positions)) == 10
    if uncertain == 10:
        highest = np.sort(score + 2 * deviation)[-10:]
        np.testing.assert_allclose(np.sort(found.score + 2 * found.deviation), highest)


def test_several_objectives_give_a_front_that_nothing_beats():
    found = suggest(
        TRAINED,
        Y,
        8,
        candidates=POOL,
        known=lambda graphs: -SPACE.costs(graphs)["parameters"][:, None],
        predictor=cheap(),
    )
    fresh = POOL[untrained(POOL, TRAINED)]
    values = np.column_stack([found.predictors[0].predict(fresh), -SPACE.costs(fresh)["parameters"]])
    assert found.score.shape == (8, 2)
    assert set(found.reasons) == {"predicted front 1"}
    for row in found.score:
        assert not ((values >= row).all(1) & (values > row).any(1)).any()


def test_every_column_of_labels_has_a_predictor():
    found = suggest(TRAINED, np.column_stack([Y, -Y]), 5, candidates=POOL, predictor=cheap())
    assert len(found.predictors) == 2
    np.testing.assert_allclose(found.score[:, 0], -found.score[:, 1], atol=0.5)


def test_a_space_too_large_to_list_is_sampled_around_the_best(monkeypatch):
    monkeypatch.setattr("archenc.search.suggest.SAMPLED", 200)
    space = archenc.create_space("darts")
    graphs = space.sample(12, 1)
    count = (graphs.ops == graphs.ops.max()).flatten(1).sum(1).reshape(-1, 2).sum(1).numpy() + np.linspace(
        0, 0.5, 12
    )
    found, again = (suggest(graphs, count, 6, predictor=cheap(), random_state=3) for _ in range(2))
    space.validate(found.graphs)
    np.testing.assert_array_equal(found.graphs.hash(), again.graphs.hash())
    assert found.score.mean() > count.mean()


def test_a_predictor_without_deviations_suggests_what_it_holds_for_best():
    found = suggest(TRAINED, Y, 3, candidates=POOL, predictor=Predictor("op-count", "ridge", "mse"))
    assert np.isnan(found.deviation).all()
    assert (np.diff(found.score) <= 0).all()


def test_texts_are_taken_where_the_space_is_known():
    found = suggest(
        SPACE.format(TRAINED), Y, 3, space="nasbench201", candidates=SPACE.format(POOL), predictor=cheap()
    )
    same = suggest(TRAINED, Y, 3, candidates=POOL, predictor=cheap())
    np.testing.assert_array_equal(found.positions, same.positions)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"count": 0}, InvalidParameter),
        ({"count": 301}, InvalidParameter),
        ({"count": "ten"}, InvalidParameter),
        ({"explore": 1.5}, InvalidParameter),
        ({"explore": float("nan")}, InvalidParameter),
        ({"explore": "much"}, InvalidParameter),
        ({"candidates": TRAINED}, InvalidParameter),
        ({"candidates": ["|none~0|"]}, InvalidArchitecture),
        ({"candidates": archenc.create_space("nasbench101").sample(3)}, InvalidArchitecture),
        ({"trained": ["|none~0|"]}, InvalidArchitecture),
        ({"y": Y[:-1]}, InvalidTable),
        ({"y": np.full(24, np.nan)}, InvalidTable),
        ({"y": ["good"] * 24}, InvalidTable),
        ({"y": []}, InvalidTable),
        ({"predictor": Predictor("op-count", "ridge", "mse"), "explore": 0.5}, InvalidParameter),
    ],
)
def test_nonsense_is_refused_in_a_sentence(changed, error):
    arguments = {"trained": TRAINED, "y": Y, "count": 5, "candidates": POOL, "predictor": cheap(), **changed}
    with pytest.raises(error) as caught:
        suggest(**arguments)
    assert_one_sentence(caught.value)


def test_what_is_said_about_a_predictor_is_what_it_did(monkeypatch):
    y = Y + np.linspace(0, 1e-3, len(Y))
    fitted = cheap().fit(TRAINED, y)
    assert str(trust(fitted, y)) == "op-count+gp+mse on 24 labels; how well it ranks was not measured"
    order = np.argsort(-y)
    scores = y.copy()
    scores[order[[0, 1]]] = y.min() - 1  # two of the five best are missed
    report = {
        "members": {"gp": {"weight": 1.0}, "trees": {"weight": 0.0}},
        "out_of_fold_tau": 0.7123,
        "out_of_fold": scores.tolist(),
    }
    monkeypatch.setattr(Predictor, "report_", report)
    assert str(trust(fitted, y)) == "gp on 24 labels; left out in turn: tau 0.71, top-5 hit 3 of 5"
    assert trust(fitted, y).better_than_chance
    report["out_of_fold_tau"] = 0.1
    assert trust(fitted, y).better_than_chance is False
    del report["out_of_fold"]
    assert str(trust(fitted, y)).endswith("tau 0.10")


# -- fronts of several objectives ----------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("ties", [False, True])
def test_fronts_are_those_of_the_definition(columns, ties):
    values = np.random.default_rng(1).random((60, columns))
    values = np.round(3 * values) if ties else values
    positions, fronts = leading(values, 60)
    assert sorted(positions) == list(range(60))
    if columns == 1:
        assert (np.diff(values[positions, 0]) <= 0).all()
        return
    left = np.arange(60)
    for front in range(1, fronts.max() + 1):
        expected = [at for at in left if not dominated(values[left], values[at])]
        assert sorted(positions[fronts == front]) == expected
        assert (np.diff(values[positions[fronts == front], 0]) <= 0).all()
        left = np.setdiff1d(left, expected)
    first, count = positions[fronts == 1], int((fronts == 1).sum())
    few, _ = leading(values, max(count - 1, 1))
    assert set(few) <= set(first)


def test_the_least_crowded_of_a_front_are_taken():
    values = np.array([[0.0, 10.0], [1.0, 9.0], [1.1, 8.9], [1.2, 8.8], [6.0, 4.0], [10.0, 0.0]])
    assert crowding(values).tolist()[0] == crowding(values).tolist()[-1] == np.inf
    assert leading(values, 3)[0].tolist() == [5, 4, 0]
    assert len(leading(values, 0)[0]) == 0
    assert not crowding(np.ones((4, 2))).any()
