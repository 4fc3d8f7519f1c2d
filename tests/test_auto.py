"""``Predictor("auto")`` and ``suggest`` on what people bring: a sensible answer, or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc import Predictor
from archenc.errors import ArchencError, InvalidArchitecture, InvalidParameter, InvalidTable
from archenc.graphs import ArchGraphs
from archenc.graphs.hashing import sortable_keys
from archenc.metrics import kendall_tau
from archenc.search.suggest import suggest, trust
from archenc.spaces import OperationSpace, Space
from archenc.testing import example_spaces, registered_spaces
from tests.bad_input import assert_one_sentence

SPACE = archenc.create_space("nasbench201")
GRAPHS, UNSEEN = SPACE.sample(40, 0), SPACE.sample(100, 1)


def quality(graphs: ArchGraphs) -> np.ndarray:
    """Good cells have convolutions."""
    return (
        80
        + 5.0 * (graphs.ops == 4).flatten(1).sum(1).numpy()
        + 2.0 * (graphs.ops == 3).flatten(1).sum(1).numpy()
    )


Y = quality(GRAPHS)
SPACES: dict[str, Space] = (
    registered_spaces() | example_spaces() | {"operations": OperationSpace(max_nodes=16)}
)
QUICK = {"darts", "nasbench101", "nasbench201", "nasbench-macro", *example_spaces()}


def fitted(graphs: ArchGraphs, y: Any, seed: int = 0) -> Predictor:
    return Predictor("auto", random_state=seed).fit(graphs, y)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SPACES]
)
def test_auto_is_fitted_in_every_space(name: str) -> None:
    space = SPACES[name]
    predictor = fitted(space.sample(12, seed=0), np.random.default_rng(0).normal(90, 1, 12))
    mean, deviation = predictor.predict(space.sample(20, seed=1), return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()
    assert (deviation > 0).all()
    assert 85 < mean.min() <= mean.max() < 95


# -- labels that say little, nothing, or too much ------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_labels_give_no_confidence(seed: int) -> None:
    y = np.random.default_rng(seed).normal(90, 1, 40)
    predictor = fitted(GRAPHS, y)
    mean, deviation = predictor.predict(UNSEEN, return_std=True)
    assert y.min() <= mean.min() <= mean.max() <= y.max()
    assert deviation.mean() > 0.5
    assert predictor.report_["out_of_fold_tau"] < 0.4


@pytest.mark.parametrize("noise", [0.0, 1e-14])
def test_constant_labels_are_predicted(noise: float) -> None:
    mean, deviation = fitted(GRAPHS, 90.1 + noise * np.arange(40)).predict(UNSEEN, return_std=True)
    np.testing.assert_allclose(mean, 90.1)
    np.testing.assert_allclose(deviation, 0, atol=1e-6)


def test_one_diverged_training_spoils_nothing() -> None:
    y = Y.copy()
    y[np.argsort(Y)[20]] = 10.0
    mean, deviation = fitted(GRAPHS, y).predict(UNSEEN, return_std=True)
    assert (
        kendall_tau(quality(UNSEEN), mean)
        > kendall_tau(quality(UNSEEN), fitted(GRAPHS, Y).predict(UNSEEN)) - 0.15
    )
    best = np.argsort(-mean)[:10]
    assert quality(UNSEEN)[best].mean() > np.quantile(quality(UNSEEN), 0.75)
    assert (deviation[best] < 15).all()


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_handful_of_labels(n: int) -> None:
    mean, deviation = fitted(GRAPHS[:n], np.linspace(80, 90, n)).predict(UNSEEN, return_std=True)
    assert 70 < mean.min() <= mean.max() < 100
    assert np.isfinite(deviation).all()
    assert deviation.mean() > 1, "so few labels leave room"


def test_labels_of_one_architecture() -> None:
    y = np.random.default_rng(0).normal(90, 1, 12)
    mean, deviation = fitted(GRAPHS[[3] * 12], y).predict(UNSEEN, return_std=True)
    np.testing.assert_allclose(mean, y.mean(), atol=1)
    assert (deviation > 0.1).all()


def test_several_trainings_of_an_architecture_are_left_out_together() -> None:
    """The first training of a cell says what the others give, which is no sign of how well unseen cells are
    predicted.
    """
    rng = np.random.default_rng(0)
    y, noise = rng.normal(90, 1, 15), rng.normal(0, 0.01, 45)
    graphs = SPACE.enumerate()[np.repeat(np.arange(15) * 1_001, 3)]
    predictor = fitted(graphs, np.repeat(y, 3) + noise)
    assert predictor.report_["out_of_fold_tau"] < 0.5
    _, deviation = predictor.predict(UNSEEN, return_std=True)
    assert np.median(deviation) > 0.4, "labels of other architectures differ by 1"


def test_contradictory_labels_are_averaged() -> None:
    y = np.concatenate([Y, Y + 4, Y - 4])
    graphs = GRAPHS[np.tile(np.arange(40), 3)]
    tau = kendall_tau(quality(UNSEEN), fitted(graphs, y).predict(UNSEEN))
    assert tau > kendall_tau(quality(UNSEEN), fitted(GRAPHS, Y).predict(UNSEEN)) - 0.1


NO_LABELS: dict[str, Any] = {
    "nan": np.full(40, np.nan),
    "infinite": [np.inf] * 40,
    "text": ["good"] * 40,
    "too few": Y[:39],
    "too large": Y * 1e300,
    "none at all": None,
}


@pytest.mark.parametrize("y", NO_LABELS.values(), ids=NO_LABELS)
def test_labels_that_are_none(y: Any) -> None:
    for use in (fitted, suggest):
        with pytest.raises(ArchencError) as caught:
            use(GRAPHS, y)
        assert_one_sentence(caught.value)


# -- the same again ------------------------------------------------------------------------------------------


def test_a_seed_fixes_everything_and_files_hold_it(tmp_path: Path) -> None:
    first, second = fitted(GRAPHS, Y, seed=3), fitted(GRAPHS, Y, seed=3)
    loaded = Predictor.load(first.save(tmp_path / "auto"))
    expected = first.predict(UNSEEN, return_std=True)
    for other in (second, loaded):
        for ours, theirs in zip(expected, other.predict(UNSEEN, return_std=True), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert loaded.report_ == first.report_
    assert set(first.report_["members"]) == set(second.report_["members"])
    assert second.report_["out_of_fold_tau"] == first.report_["out_of_fold_tau"]


# -- suggestions ---------------------------------------------------------------------------------------------


def test_suggestions_are_new_and_good() -> None:
    found = suggest(GRAPHS, Y.tolist(), 10)
    assert len(found.graphs) == 10
    digests = sortable_keys(found.graphs.hash())
    assert len(set(digests)) == 10
    assert not np.isin(digests, sortable_keys(GRAPHS.hash())).any()
    assert quality(found.graphs).mean() > np.quantile(Y, 0.8)
    assert (found.low < found.score).all()
    assert (found.score < found.high).all()


def test_labels_without_relation_are_called_chance() -> None:
    labels = np.full(40, 90.0)
    found = trust(suggest(GRAPHS, labels, 2).predictors[0], labels)
    assert found.better_than_chance is False
    assert "tau 0.00" in str(found)


def test_a_large_space_is_sampled() -> None:
    space = archenc.create_space("darts")
    trained = space.sample(10, 0)
    found = suggest(trained, list(range(10)), 3, explore=1.0)
    assert found.reasons == ("uncertain",) * 3
    assert np.isfinite(found.score).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": -1}, "count is -1"),
        ({"count": 2.5}, "count is 2.5"),
        ({"count": 200_000}, r"only \d,\d{3} of 15,625 candidates are left"),
        ({"count": 3, "candidates": GRAPHS}, "only 0 of 40 candidates are left"),
        ({"explore": "much"}, "explore is 'much'"),
        ({"explore": float("nan")}, "explore is nan"),
        ({"candidates": archenc.create_space("nasbench101").sample(20)}, "belong to the space 'nasbench101'"),
        ({"predictor": Predictor("op-count", "ridge", "mse"), "explore": 0.5}, "does not say how sure it is"),
    ],
)
def test_what_cannot_be_suggested(given: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidArchitecture, InvalidParameter, InvalidTable), match=message) as caught:
        suggest(GRAPHS, Y, **given)
    assert_one_sentence(caught.value)


def test_any_predictor_with_deviations_suggests() -> None:
    found = suggest(GRAPHS, Y, 3, predictor=Predictor("op-count", "gp", "mse", random_state=0))
    assert (
        str(trust(found.predictors[0], Y))
        == "op-count+gp+mse on 40 labels; how well it ranks was not measured"
    )


def test_many_architectures_are_scored_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor("op-count", "gp", "mse", random_state=0).fit(GRAPHS, Y)
    whole = predictor.predict(UNSEEN, return_std=True)
    monkeypatch.setattr("archenc.predictor.fitted.NUMBERS_PER_BLOCK", 7 * predictor.encoder_.dim)
    for ours, theirs in zip(whole, predictor.predict(UNSEEN, return_std=True), strict=True):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(whole[0], predictor.predict(UNSEEN))
