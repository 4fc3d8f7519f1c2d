"""The benchmark of searches: protocols, runs, what is computed of them, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from archenc.benchmarks import searches
from archenc.benchmarks.collected import collect
from archenc.benchmarks.reports.searches import groups, queries_to, search_text, standings
from archenc.benchmarks.runs import COMMITTED
from archenc.benchmarks.search_protocols import (
    SearchSetting,
    find_contender,
    list_searches,
    load_search_protocol,
)
from archenc.commands.app import main
from archenc.errors import CorruptFile, InvalidParameter, UnknownName
from archenc.files.documents import plain_values, record
from archenc.registry import STRATEGIES
from archenc.search.search import Search

NAME = "search-transnas101-jigsaw"
CHEAP = ("random", "evolution", "local-search")


def _run(*arguments: str) -> int:
    return main(["bench", "run", NAME, *arguments])


@pytest.fixture(scope="module")
def runs(data_root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("searches")
    assert (
        main(["bench", "run", NAME, "--methods", ",".join(CHEAP), "--seeds", "0,1,2", "--runs", str(folder)])
        == 0
    )
    return folder


def test_protocols_name_tables_labels_and_strategies_that_exist() -> None:
    for name in list_searches():
        protocol = load_search_protocol(name)
        for strategy in protocol.strategies:
            contender = find_contender(strategy)
            STRATEGIES.create(contender.strategy, **contender.parameters)
        assert max(protocol.checkpoints) <= protocol.queries
    with pytest.raises(UnknownName, match="nasbench201"):
        load_search_protocol("search-nasbench20")
    with pytest.raises(UnknownName):
        find_contender("nothing")


def test_a_run_is_what_the_table_says(runs) -> None:
    """Recomputed by a plain loop over the rows that a run queried."""
    protocol = load_search_protocol(NAME)
    table = searches.ground(protocol.bare)
    for run in searches.read_searches(runs):
        best, steps = -np.inf, []
        for query, row in enumerate(run.rows, start=1):
            label = float(table.y[row])
            if label > best:
                best = label
                steps.append((query, label, label, 1 + int((table.y > label).sum())))
        assert [(s.query, s.label, s.reported, s.rank) for s in run.steps] == steps
        assert len(set(run.rows)) == protocol.queries
        assert run.reached(best) == steps[-1][0]
        assert run.reached(best + 1) is None
        assert run.at(1).label == table.y[run.rows[0]]


def test_the_same_seed_gives_the_same_run(runs, tmp_path) -> None:
    assert (
        main(["bench", "run", NAME, "--methods", "local-search", "--seeds", "1", "--runs", str(tmp_path)])
        == 0
    )
    (again,) = searches.read_searches(tmp_path)
    (before,) = [run for run in searches.read_searches(runs) if run.run == again.run]
    assert (again.rows, again.steps, again.table) == (before.rows, before.steps, before.table)


def test_finished_runs_are_not_made_again(runs, monkeypatch) -> None:
    def no(*_: object) -> None:
        raise AssertionError("a finished run was computed again")

    monkeypatch.setattr(Search, "ask_numbers", no)
    assert main(["bench", "run", NAME, "--methods", "random", "--seeds", "0,1", "--runs", str(runs)]) == 0


def test_what_is_missing_is_said_and_not_made(runs, capsys) -> None:
    arguments = ["--methods", "random", "--seeds", "0,1,7,8", "--runs", str(runs), "--dry-run"]
    before = sorted(runs.iterdir())
    assert main(["bench", "run", NAME, *arguments]) == 0
    assert capsys.readouterr().out == f"2 runs are missing in {runs}\n"
    assert sorted(runs.iterdir()) == before


def test_the_table_counts_queries(runs) -> None:
    (group,) = groups(searches.read_searches(runs))
    header, lines = standings(group)
    assert len(lines) == len(CHEAP)
    assert all(len(line) == len(header) for line in lines)
    found = queries_to([run for run in group if run.key.strategy.name == "random"], group[0].table.top10)
    assert len(found) == 3
    assert "4,096 architectures" in search_text(group)


def test_runs_are_collected(runs, tmp_path) -> None:
    assert list(collect([runs], tmp_path).values()) == [9]
    found = searches.read_searches(tmp_path / "searches.jsonl")
    assert {run.run for run in found} == {run.run for run in searches.read_searches(runs)}


def test_a_damaged_run_is_refused(runs, tmp_path) -> None:
    path = next(runs.glob("search-*.json"))
    content = json.loads(path.read_text("utf-8"))
    for change in ({"rows": content["rows"][:-1]}, {"steps": []}, {"key": {**content["key"], "seed": 77}}):
        damaged = tmp_path / path.name
        damaged.write_text(json.dumps({**content, **change}), "utf-8")
        with pytest.raises(CorruptFile):
            searches.read_search(damaged)


def test_wrong_names_are_one_sentence(capfd) -> None:
    for arguments in (["--methods", "evolutoin"], ["--seeds", "x"]):
        assert main(["bench", "run", NAME, *arguments]) == 2
        assert len(capfd.readouterr().err.strip().splitlines()) == 1


def test_committed_searches_are_those_that_the_commands_would_make() -> None:
    for run in searches.read_searches(COMMITTED):
        protocol = load_search_protocol(run.key.protocol.name)
        contender = find_contender(run.key.strategy.name)
        job = searches.SearchJob(protocol, contender, protocol.queries, (run.key.seed,), Path(), "")
        expected = {**job.key(run.key.seed), "archenc": run.key.archenc}
        assert plain_values(run.key) == expected, f"{run.run} was changed after it was run"


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(data_root, tmp_path) -> None:
    """Ten kills, then the same files as without."""
    arguments = ["bench", "run", NAME, "--methods", ",".join(CHEAP), "--seeds", "0,1,2,3,4"]
    command = [sys.executable, "-m", "archenc.commands.app", *arguments, "--runs"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start = time.monotonic()
    assert main([*arguments, "--runs", str(whole)]) == 0
    took = time.monotonic() - start
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen(
            [*command, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(3 + took * rng.random())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert main([*arguments, "--runs", str(killed)]) == 0
    names = sorted(path.name for path in whole.iterdir())
    assert sorted(path.name for path in killed.iterdir() if not path.name.startswith(".")) == names
    for name in names:
        one, other = (searches.read_search(folder / name) for folder in (whole, killed))
        assert (one.rows, one.steps) == (other.rows, other.steps)


# -- trainings of several lengths ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_epochs(data_root, tmp_path_factory) -> list[searches.SearchRun]:
    folder = tmp_path_factory.mktemp("epochs")
    methods = "random,successive-halving,bohb"
    arguments = ["--methods", methods, "--seeds", "0,1", "--runs", str(folder)]
    assert main(["bench", "run", "search-nasbench201-epochs", *arguments]) == 0
    return searches.read_searches(folder)


def test_a_search_spends_the_epochs_of_its_queries_and_no_more(by_epochs) -> None:
    """Counted by a plain loop; only full trainings improve anything."""
    for run in by_epochs:
        setting = run.key.protocol
        full, spent, best, steps = 200, 0, -np.inf, {}
        table = searches.ground(setting)
        for row, epochs in zip(run.rows, run.epochs, strict=True):
            spent += epochs
            if epochs == full and table.y[row] > best:
                best = float(table.y[row])
                steps[best] = -(-spent // full)
        assert spent <= setting.queries * full < spent + full
        assert {step.label: step.query for step in run.steps} == steps
        short = sum(epochs == 12 for epochs in run.epochs)
        assert (short > 0) == (run.key.strategy.name != "random")


def test_a_longer_training_of_the_same_network_may_go_on() -> None:
    setting = load_search_protocol("search-nasbench-nlp-epochs").bare
    assert searches._spent(setting, [7, 8, 7], [10, 50, 50]).tolist() == [1, 2, 2]
    anew = load_search_protocol("search-nasbench201-epochs").bare
    assert searches._spent(anew, [7, 8, 7], [12, 200, 200]).tolist() == [1, 2, 3]


def test_lengths_of_training_have_to_end_with_the_label() -> None:
    content = plain_values(load_search_protocol("search-nasbench201-epochs").bare)
    for rungs in (content["rungs"][::-1], content["rungs"][:1]):
        with pytest.raises(InvalidParameter, match="rungs"):
            record({**content, "rungs": rungs}, SearchSetting, "the protocol", "correct it", InvalidParameter)
