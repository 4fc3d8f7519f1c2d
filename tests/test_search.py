"""A search: asked and told in any order, with failures, from files; and what each strategy does."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.errors import (
    ArchencError,
    CorruptFile,
    InvalidArchitecture,
    InvalidParameter,
    InvalidTable,
    UnknownName,
)
from archenc.graphs import concatenate
from archenc.graphs.hashing import sortable_keys
from archenc.registry import STRATEGIES
from archenc.search.base import State, Strategy
from archenc.search.candidates import Embedded, Listed, Unlisted, candidates_of
from archenc.search.search import create_search
from archenc.spaces.chain import ChainSpace
from archenc.testing import check_strategy
from archenc.testing.strategies import worth

QUICK = {"encoder": "op-count", "head": "gp", "loss": "mse"}
SMALL: dict[str, dict[str, Any]] = {
    "evolution": {"population_size": 8, "sample_size": 3},
    "local-search": {"initial": 5},
    "predictor": {"initial": 6, "pool": 100, "predictor": QUICK},
    "neural-predictor": {"first": 8, "pool": 100, "predictor": QUICK},
    "bayesian": {"initial": 6, "pool": 100, "predictor": QUICK},
    "bananas": {"initial": 6, "pool": 40, "predictor": {**QUICK, "encoder": "path"}},
    "nasbowl": {"initial": 6, "pool": 40},
}
"""Parameters for a quick check; those without models, and of others' packages, have none."""

LINE = ChainSpace("line", ["a", "b", "c", "d"], choices=[[0, 1, 2, 3]] * 3)
"""64 architectures."""


@pytest.mark.parametrize("name", archenc.list_strategies())
def test_every_strategy_keeps_the_contract(name) -> None:
    check_strategy(name, **SMALL.get(name, {}))


LARGE = [
    "evolution",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("local-search", "predictor", "bayesian", "nasbowl")
    ),
]


@pytest.mark.parametrize("name", LARGE)
def test_spaces_too_large_to_list_are_searched(name) -> None:
    assert candidates_of(archenc.create_space("darts"), None, False).listed is False
    check_strategy(name, "darts", **SMALL[name])


@pytest.mark.parametrize(
    "parameters",
    [
        {"acquisition": "ucb", "batch": "believer"},
        {"acquisition": "thompson", "batch": "best"},
        {"acquisition": "ei", "batch": "penalisation"},
    ],
    ids=lambda each: each["batch"],
)
def test_every_batch_of_bayesian_optimisation_keeps_the_contract(parameters) -> None:
    check_strategy("bayesian", **SMALL["bayesian"], **parameters)


def test_an_evolutionary_inner_search_keeps_the_contract() -> None:
    check_strategy("predictor", **{**SMALL["predictor"], "inner": "evolution"})


class Broken(Strategy):
    """Asks for the same again."""

    paper = "none"

    def propose(self, state: State, count: int) -> list[int]:
        return [0] * count


def test_the_contract_finds_a_strategy_that_asks_twice() -> None:
    STRATEGIES.register("broken", Broken)
    try:
        with pytest.raises(AssertionError, match="twice"):
            check_strategy("broken")
    finally:
        STRATEGIES.unregister("broken")


# -- asking and telling --------------------------------------------------------------------------------------


def test_starting_points_come_first_and_count() -> None:
    start = LINE.parse(["000", "123"])
    search = create_search("evolution", LINE, start=start, random_state=0)
    asked = search.ask(4)
    assert LINE.format(asked)[:2] == ["000", "123"]
    assert len(np.unique(sortable_keys(asked.hash()))) == 4


def test_what_was_told_twice_counts_with_its_mean_and_failures_never_are_best() -> None:
    search = create_search("random", LINE, random_state=0)
    search.tell(LINE.parse(["000", "111", "222"]), [3.0, 2.0, np.nan])
    search.tell(LINE.parse(["000"]), [0.0])
    graphs, y = search.best(5)
    assert LINE.format(graphs) == ["111", "000"]
    assert y.tolist() == [2.0, 1.5]
    assert search.history.y.tolist()[:2] == [3.0, 2.0]
    assert search.history.asked.tolist() == [False] * 4


def test_pending_is_what_was_asked_for_and_not_told() -> None:
    search = create_search("random", LINE, random_state=3)
    first, second = search.ask(2), search.ask(3)
    search.tell(second, worth(second))
    assert LINE.format(search.pending) == LINE.format(first)
    assert LINE.format(search.history.graphs) == LINE.format(second)
    assert search.history.asked.all()


def test_several_objectives_are_fronts() -> None:
    search = create_search("random", LINE)
    search.tell(LINE.parse(["000", "111", "222"]), [[3.0, 0.0], [2.0, 2.0], [1.0, 1.0]])
    graphs, values = search.best(3)
    assert LINE.format(graphs) == ["000", "111", "222"]
    assert values.shape == (3, 2)


def test_a_table_of_results_goes_in_as_it_is(tmp_path) -> None:
    (tmp_path / "results.csv").write_text("arch,accuracy\n000,1\n123,2\n321,\n", "utf-8")
    data = archenc.load_dataset("table", path=tmp_path / "results.csv", space=LINE, missing="keep")
    search = create_search("evolution", LINE)
    search.tell(data.graphs, data.y)
    assert len(search.history) == 3
    assert not {"000", "123", "321"} & set(LINE.format(search.ask(20)))


def test_twins_are_candidates_only_on_demand() -> None:
    space = archenc.create_space("nasbench201")
    cells = space.enumerate()
    keys = sortable_keys(cells.hash())
    values, count = np.unique(keys, return_counts=True)
    twins = cells[np.flatnonzero(keys == values[count > 1][0])]
    few = concatenate([twins, space.sample(1, 4)])
    assert len(Listed(few).numbers) == 2
    assert len(create_search("random", space, candidates=few, twins=True).ask(len(few))) == len(few)


WRONG = {
    "count": (lambda s: s.ask(0), InvalidParameter, "at least 1"),
    "too many": (lambda s: s.ask(65), InvalidParameter, "ask for at most 64"),
    "shape": (lambda s: s.tell(LINE.parse(["000"]), [1.0, 2.0]), InvalidTable, "one value each"),
    "infinite": (lambda s: s.tell(LINE.parse(["000"]), [np.inf]), InvalidTable, "NaN"),
    "text": (lambda s: s.tell(LINE.parse(["000"]), ["good"]), InvalidTable, "y"),
    "objectives": (lambda s: s.tell(LINE.parse(["000"]), [[1.0, 2.0]]), InvalidTable, "nsga2"),
    "epochs": (lambda s: s.tell(LINE.parse(["000"]), [1.0], epochs=[1.5]), InvalidTable, "whole numbers"),
    "other space": (
        lambda s: s.tell(archenc.create_space("nasbench201").sample(1), [1.0]),
        InvalidArchitecture,
        "space",
    ),
    "no results": (lambda s: s.best(), InvalidTable, "tell one first"),
    "strategy": (lambda s: create_search("evolutoin", LINE), UnknownName, "evolution"),
    "parameter": (lambda s: create_search("evolution", LINE, size=3), InvalidParameter, "size"),
    "predictor": (lambda s: create_search("bayesian", LINE, predictor=3), InvalidParameter, "predictor"),
    "no deviations": (
        lambda s: _told(
            create_search("bayesian", LINE, initial=2, predictor={"encoder": "path", "head": "mlp"})
        ).ask(),
        InvalidParameter,
        "how sure",
    ),
    "candidates": (
        lambda s: create_search("random", LINE, candidates=LINE.parse(["000"]), start=LINE.parse(["111"])),
        InvalidArchitecture,
        "none of the candidates",
    ),
    "twins": (lambda s: create_search("random", "darts", twins=True), InvalidParameter, "too large"),
}


def _told(search: Any) -> Any:
    graphs = LINE.sample(10, seed=1)
    search.tell(graphs, worth(graphs))
    return search


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_in_a_sentence(case) -> None:
    call, error, words = WRONG[case]
    search = create_search("evolution", LINE)
    with pytest.raises(error, match=words):
        call(search)
    assert len(search.history) == 0
    assert len(search.pending) == 0


# -- near by an encoding -------------------------------------------------------------------------------------


def test_an_encoding_says_what_is_near() -> None:
    """Against the distances of all pairs."""
    encoder = archenc.create_encoder("op-count", space=LINE)
    near = Embedded(LINE.enumerate(), encoder, nearest=5)
    rows = encoder.encode(near.all)
    rows = (rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-6)
    far = ((rows[:, None] - rows[None]) ** 2).sum(2)
    for number in (0, 17, 63):
        found = near.neighbours(number)
        assert len(set(found.tolist()) - {number}) == 5
        others = np.delete(far[number], number)
        np.testing.assert_allclose(np.sort(far[number][found]), np.sort(others)[:5], atol=1e-4)


@pytest.mark.parametrize("name", ["random", "evolution", "local-search"])
def test_strategies_search_by_an_encoding(name, tmp_path) -> None:
    encoder = archenc.create_encoder("adjacency", space=LINE)
    near = Embedded(LINE.enumerate(), encoder)
    search = create_search(name, LINE, candidates=near, random_state=3, **SMALL.get(name, {}))
    for _ in range(5):
        batch = search.ask(4)
        search.tell(batch, worth(batch))
    again = archenc.load_search(search.save(tmp_path / "s.json"), candidates=near)
    assert LINE.format(again.ask(4)) == LINE.format(search.ask(4))
    assert len(set(LINE.format(search.history.graphs))) == 20
    with pytest.raises(InvalidParameter, match="not those"):
        archenc.load_search(tmp_path / "s.json", candidates=near.all)
    with pytest.raises(InvalidArchitecture, match="nasbench201"):
        create_search(name, "nasbench201", candidates=near)


# -- files ---------------------------------------------------------------------------------------------------


def test_a_search_over_a_list_wants_it_again(tmp_path) -> None:
    few = LINE.sample(20, seed=1)
    search = create_search("evolution", LINE, candidates=few, start=few[:2])
    search.ask(1)
    path = search.save(tmp_path / "s.json")
    with pytest.raises(InvalidParameter, match="give candidates"):
        archenc.load_search(path)
    with pytest.raises(InvalidParameter, match="not those"):
        archenc.load_search(path, candidates=few[1:])
    assert LINE.format(archenc.load_search(path, candidates=few).ask(1)) == LINE.format(search.ask(1))


def test_a_predictor_is_saved_with_its_search(tmp_path) -> None:
    predictor = archenc.Predictor("path", "gp", "mse", encoder_params={"cutoff": 20})
    search = create_search("bayesian", LINE, predictor=predictor, initial=4)
    again = archenc.load_search(search.save(tmp_path / "s.json"))
    assert again.strategy.parameters() == search.strategy.parameters()
    assert again.strategy.parameters()["predictor"] == {
        "encoder": "path",
        "head": "gp",
        "loss": "mse",
        "encoder_params": {"cutoff": 20},
    }


CHANGES = {
    "no JSON": lambda text: text[:-20],
    "format": lambda text: text.replace('"format": 1', '"format": 2'),
    "strategy": lambda text: text.replace('"evolution"', '"revolution"'),
    "parameter": lambda text: text.replace('"population_size": 30', '"population_size": -1'),
    "architecture": lambda text: text.replace('"arch": "', '"arch": "9', 1),
    "epochs": lambda text: text.replace('"epochs": 0', '"epochs": -3', 1),
    "space": lambda text: text.replace('"chain"', '"chian"', 1),
    "objectives": lambda text: text.replace('"y": [\n', '"y": [\n1.0,\n', 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_file_is_refused_in_a_sentence(change, tmp_path) -> None:
    search = create_search("evolution", LINE)
    batch = search.ask(3)
    search.tell(batch, worth(batch))
    path = search.save(tmp_path / "s.json")
    text = path.read_text("utf-8")
    damaged = CHANGES[change](text)
    assert damaged != text
    path.write_text(damaged, "utf-8")
    with pytest.raises(ArchencError) as raised:
        archenc.load_search(path)
    assert isinstance(raised.value, CorruptFile)
    assert str(path) in str(raised.value)


def test_a_strategy_without_a_name_cannot_be_saved(tmp_path) -> None:
    with pytest.raises(InvalidParameter, match="entry point"):
        create_search(Broken(), LINE).save(tmp_path / "s.json")
    assert not list(tmp_path.iterdir())


def test_drawn_architectures_of_a_large_space_are_not_kept() -> None:
    search = create_search("random", "darts")
    search.ask(7)
    candidates = search.candidates
    assert isinstance(candidates, Unlisted)
    assert len(candidates.graphs(np.array([number for number, _ in search.asked]))) == 7
    assert len(candidates._number) == 7


def test_the_file_is_plain_json(tmp_path) -> None:
    search = create_search("random", LINE)
    search.tell(search.ask(1), [np.nan], epochs=3)
    content = json.loads(search.save(tmp_path / "s.json").read_text("utf-8"))
    assert content["told"][0] | {"arch": ""} == {"arch": "", "y": [None], "epochs": 3, "asked": True}
