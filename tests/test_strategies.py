"""What search strategies do."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import archenc
from archenc.errors import DataNotFound, InvalidParameter
from archenc.registry import STRATEGIES
from archenc.search.candidates import Listed
from archenc.search.pareto import crowding, hypervolume, leading
from archenc.search.search import Search, create_search
from archenc.search.strategies.bayesian import acquire
from archenc.spaces.chain import ChainSpace
from archenc.testing.strategies import worth

QUICK = {"encoder": "op-count", "head": "gp", "loss": "mse"}
LINE = ChainSpace("line", ["a", "b", "c", "d"], choices=[[0, 1, 2, 3]] * 3)
"""64 architectures."""


def _distance(a: str, b: str) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def test_neighbours_are_all_one_change_away() -> None:
    cells = Listed(LINE.enumerate())
    texts = LINE.format(LINE.enumerate())
    for number in (0, 17, 63):
        expected = {text for text in texts if _distance(text, texts[number]) == 1}
        assert {texts[at] for at in cells.neighbours(number)} == expected


def test_evolution_changes_the_best_of_the_young() -> None:
    """A tournament of all: the parent is the best of the last four trainings, not of all."""
    search = create_search("evolution", LINE, population_size=4, sample_size=4)
    search.tell(LINE.parse(["333", "000", "001", "010", "100"]), [9.0, 1.0, 5.0, 2.0, 3.0])
    for text in LINE.format(search.ask(4)):
        assert _distance(text, "001") == 1


def _height(texts: list[str]) -> list[float]:
    """A hill with its top at 000 and a lower one at 333."""
    return [max(9 - sum(map(int, text)), sum(map(int, text)) - 1.5) for text in texts]


def test_local_search_climbs_and_begins_anew_on_top() -> None:
    search = create_search("local-search", LINE, initial=1, start=LINE.parse(["332"]), random_state=0)
    here, seen, climbs = "332", ["332"], 1
    search.tell(search.ask(1), _height([here]))
    for _ in range(40):
        (text,) = LINE.format(search.ask(1))
        near = [other for other in LINE.format(LINE.enumerate()) if _distance(other, here) == 1]
        if set(near) <= set(seen):
            climbs += 1
            assert text not in near
            moved = True
        else:
            assert text in near
            moved = _height([text]) > _height([here])
        seen.append(text)
        search.tell(LINE.parse([text]), _height([text]))
        here = text if moved else here
    assert climbs > 1
    assert "000" in seen or "333" in seen


def test_expected_improvement_is_the_integral() -> None:
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(size=5), rng.random(5) + 0.1
    found = acquire("ei", mean, deviation, 0.3, 0.0, rng)
    for at in range(5):
        curve = norm(mean[at], deviation[at])
        integral = quad(lambda y, c=curve: (y - 0.3) * c.pdf(y), 0.3, 12)[0]
        assert found[at] == pytest.approx(integral, rel=1e-6)


def test_a_penalised_batch_is_spread_out() -> None:
    """Of equal encodings, one is asked for; the best ones alone would be their copies."""
    space = archenc.create_space("nasbench201")
    cells = space.sample(300, seed=0)
    options: dict[str, Any] = {"initial": 2, "predictor": QUICK, "random_state": 0}

    def kinds(batch: str) -> int:
        search = create_search("bayesian", space, batch=batch, **options)
        search.tell(cells[:40], worth(cells[:40]))
        encoder = archenc.create_encoder("op-count", space)
        return len(np.unique(encoder.encode(search.ask(8)), axis=0))

    assert kinds("penalisation") == 8
    assert kinds("best") < 8


def _counted_fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of labels of each fit from here on."""
    fits: list[int] = []
    original = archenc.Predictor.fit

    def fit(self: archenc.Predictor, graphs: Any, y: Any) -> archenc.Predictor:
        fits.append(len(graphs))
        return original(self, graphs, y)

    monkeypatch.setattr(archenc.Predictor, "fit", fit)
    return fits


def test_two_stages_learn_from_the_first_alone(monkeypatch) -> None:
    fits = []
    original = archenc.Predictor.fit
    monkeypatch.setattr(
        archenc.Predictor,
        "fit",
        lambda self, graphs, y: fits.append(len(graphs)) or original(self, graphs, y),
    )
    search = create_search("neural-predictor", LINE, first=10, predictor=QUICK)
    for _ in range(4):
        batch = search.ask(5)
        search.tell(batch, worth(batch))
    assert fits == [10, 10]


def test_one_asking_is_one_fit(monkeypatch) -> None:
    fits = []
    original = archenc.Predictor.fit
    monkeypatch.setattr(
        archenc.Predictor,
        "fit",
        lambda self, graphs, y: fits.append(len(graphs)) or original(self, graphs, y),
    )
    for name in ("predictor", "bayesian"):
        search = create_search(name, LINE, initial=8, predictor=QUICK)
        search.tell(first := search.ask(8), worth(first))
        search.ask(20)
    assert fits == [8, 8]


def test_guided_searches_find_the_best_sooner_than_random_ones() -> None:
    space = archenc.create_space("nasbench201")

    def best(name: str, **parameters: Any) -> float:
        search = create_search(name, space, random_state=0, **parameters)
        for _ in range(6):
            batch = search.ask(10)
            search.tell(batch, worth(batch))
        return float(search.best()[1][0])

    optimum = worth(space.enumerate()).max()
    assert best("bayesian", predictor=QUICK) == optimum
    assert best("predictor", predictor=QUICK, initial=10) == optimum
    assert best("random") < optimum


def test_promotions_are_those_of_a_plain_count() -> None:
    """Recomputed by slow code: the best third of a rung may be promoted, once, the highest rung first."""
    rungs = (1, 3, 9)
    search = create_search("successive-halving", LINE, epochs=rungs, eta=3, random_state=0)
    results: dict[tuple[str, int], float] = {}
    rng = np.random.default_rng(1)
    for step in range(60):
        batch = search.ask(1)
        (text,), (epochs,) = LINE.format(batch), search.epochs(batch).tolist()
        expected: set[tuple[str, int]] = set()
        for low, high in ((3, 9), (1, 3)):
            rung = [(y, name) for (name, length), y in results.items() if length == low]
            best = sorted((each for each in rung if not np.isnan(each[0])), reverse=True)[: len(rung) // 3]
            expected = {(name, high) for _, name in best if (name, high) not in results}
            if expected:
                break
        assert ((text, epochs) in expected) if expected else (epochs == 1 and (text, 1) not in results)
        y = np.nan if step % 5 == 4 else float(rng.random())
        results[text, epochs] = y
        search.tell(batch, [y])
    assert {length for _, length in results} == set(rungs)
    longest = max(length for (_, length), y in results.items() if not np.isnan(y))
    assert search.best()[1][0] == max(y for (_, length), y in results.items() if length == longest and y == y)


def test_the_model_of_bohb_finds_the_good_places() -> None:
    """Only "d" is good anywhere: the model soon asks for it far more often than a draw would."""
    space = ChainSpace("long", ["a", "b", "c", "d"], choices=[[0, 1, 2, 3]] * 8)
    search = create_search("bohb", space, epochs=(1, 3), explore=0.0, random_state=0)
    shares = []
    for _ in range(30):
        batch = search.ask(4)
        shares += [text.count("3") / 8 for text in space.format(batch)]
        search.tell(batch, [text.count("3") for text in space.format(batch)])
    assert np.mean(shares[-40:]) > 0.4 > np.mean(shares[:8])


def test_bohb_refuses_what_is_no_vector() -> None:
    with pytest.raises(InvalidParameter, match="successive-halving"):
        create_search("bohb", "nasbench101")


def test_a_genetic_search_dominates_more_than_a_draw() -> None:
    space = archenc.create_space("nasbench201")
    cells = Listed(space.enumerate())
    flops = space.costs(cells.all)["flops"].astype(float)
    both = np.stack([worth(cells.all), -flops], axis=1)
    scaled = (both - both.min(axis=0)) / np.ptp(both, axis=0)

    def volume(name: str, seed: int) -> float:
        search = Search(STRATEGIES.create(name), cells, random_state=seed)
        for _ in range(8):
            numbers = search.ask_numbers(20)
            search.tell_numbers(numbers, scaled[numbers])
        return hypervolume(search.history.y, np.zeros(2))

    gains = [volume("nsga2", seed) - volume("random", seed) for seed in range(4)]
    assert min(gains) > 0


def test_the_volume_of_two_boxes() -> None:
    assert hypervolume(np.array([[1.0, 2.0], [3.0, 1.0], [0.5, 0.5]]), np.zeros(2)) == pytest.approx(4.0)


def test_fronts_and_crowding_are_those_of_pymoo() -> None:
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    values = np.random.default_rng(0).random((200, 2))
    positions, fronts = leading(values, 200)
    for at, front in enumerate(NonDominatedSorting().do(-values), start=1):
        assert set(positions[fronts == at].tolist()) == set(front.tolist())
        np.testing.assert_allclose(
            crowding(values[front]), 2 * calc_crowding_distance(-values[front]), rtol=1e-9
        )


@pytest.mark.parametrize(
    ("package", "need"),
    [
        ("optuna", lambda: create_search("bohb", LINE)),
        ("pymoo.indicators.hv", lambda: hypervolume(np.ones((1, 2)), np.zeros(2))),
    ],
)
def test_a_missing_package_is_one_sentence(package, need, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataNotFound, match=r'pip install "archenc\[search\]"'):
        need()
