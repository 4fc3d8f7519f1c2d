"""The study of suggestions: what is given to a method, what is written, and what the tables say."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archenc
from archenc.benchmarks import next as study
from archenc.benchmarks.methods import Method, find_method, load_methods
from archenc.benchmarks.protocol import load_protocol
from archenc.benchmarks.reports.rows import results_csv
from archenc.benchmarks.reports.tables import pages
from archenc.benchmarks.runs import Run, leaderboards, run_id
from archenc.commands.app import main
from archenc.errors import ArchencError, CorruptFile, DataNotFound, InvalidTable, UnknownName
from archenc.files.documents import plain_values, record
from archenc.graphs import ArchGraphs
from archenc.graphs.hashing import sortable_keys
from archenc.search.suggest import untrained
from tests.bad_input import assert_harmless_files, everywhere
from tests.benchmarks.made_up import forced
from tests.mutants import mutate_bytes, mutate_json

ROOT = Path(__file__).parent.parent.parent
GP = "graf-plus+gp+mse"
SMALL = ("--trained", "8", "--count", "3", "--rounds", "2", "--files", "0,1")


class Stub:
    """A predictor that remembers what it was given and scores every architecture by its number of edges."""

    has_std = False
    space = None
    given: list[tuple[ArchGraphs, np.ndarray]]

    def __init__(self) -> None:
        self.given = []

    def __sklearn_clone__(self) -> Stub:
        return self

    def fit(self, graphs: ArchGraphs, y: np.ndarray) -> Stub:
        self.given.append((graphs, y))
        return self

    def predict(self, graphs: ArchGraphs, return_std: bool = False) -> np.ndarray:
        assert not return_std, "a head that says nothing of deviations is not asked for them"
        return graphs.adjacency.sum((1, 2)).double().numpy()

    def embed(self, graphs: ArchGraphs) -> np.ndarray:
        return self.predict(graphs)[:, None]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """What every method fits."""
    stub = Stub()
    monkeypatch.setattr(Method, "predictor", lambda self, seed: stub)
    return stub


@pytest.fixture
def bench(protocol_file: Path, tmp_path: Path) -> Callable[..., int]:
    """The command on the tiny protocol, into ``tmp_path/runs``."""

    def call(*options: str) -> int:
        return main(["bench", "next", str(protocol_file), "--runs", str(tmp_path / "runs"), *SMALL, *options])

    return call


def test_suggestions_join_the_file_and_no_other_label_is_seen(
    bench: Callable[..., int], stub: Stub, tmp_path: Path
) -> None:
    assert bench("--methods", "gates+mlp+hinge", "--files", "1") == 0
    (run,) = study.read_all(tmp_path / "runs")
    data = archenc.load_dataset("tiny")
    trained = np.random.RandomState(1).permutation(60)[:8].tolist()
    assert list(run.start.rows) == trained
    for (graphs, y), suggested in zip(stub.given, run.rounds, strict=True):
        assert y.tolist() == data.y[trained].tolist(), "the labels of what was trained, and of nothing else"
        assert graphs.ops.equal(data.graphs[trained].ops)
        left = np.setdiff1d(np.arange(60), trained)
        assert set(suggested.rows) <= set(left.tolist())
        edges = stub.predict(data.graphs[left])
        best = np.sort(edges)[::-1][:3]
        assert stub.predict(data.graphs[list(suggested.rows)]).tolist() == best.tolist(), (
            "the best predictions among the others"
        )
        assert list(suggested.labels) == data.y[list(suggested.rows)].tolist()
        assert list(suggested.ranks) == [1 + int((data.y > label).sum()) for label in suggested.labels]
        trained += suggested.rows
    assert (run.table.architectures, run.table.best, run.table.digest) == (60, data.y.max(), data.digest)


@pytest.mark.parametrize("name", ["random", "op-count+ridge+mse"])
def test_no_twin_is_suggested(tiny: None, name: str) -> None:
    data = archenc.load_dataset("tiny")
    different = untrained(data.graphs, data.graphs[:1])[:20]  # also when simplified
    data = data[np.repeat(different, 3)]
    twins = sortable_keys(data.graphs.hash())
    classes = len(np.unique(twins))
    trained = np.array([0, 4, 8, 10])
    left = classes - len(np.unique(twins[trained]))
    method = study.RANDOM if name == "random" else find_method(name, {})
    chosen = study.choose(method, data, twins, trained, left, 0)
    assert len(np.unique(twins[np.concatenate([trained, chosen])])) == classes, "every other class once"
    assert not np.isin(twins[chosen], twins[trained]).any()
    with pytest.raises(ArchencError, match="architectures are left"):
        study.choose(method, data, twins, trained, left + 1, 0)


def test_a_second_call_computes_only_what_is_missing(
    bench: Callable[..., int], stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = ("--methods", f"{GP},random")
    assert bench(*methods) == 0
    first, paths = capsys.readouterr().out, sorted((tmp_path / "runs").iterdir())
    assert (len(stub.given), len(paths)) == (4, 4)
    assert bench(*methods) == 0
    assert len(stub.given) == 4, "two files, two rounds, and nothing again"
    assert capsys.readouterr().out == first
    lost, damaged = (path for path in paths if study.read_next(path).key.method.name == GP)
    lost.unlink()
    damaged.write_text(damaged.read_text()[:-9])
    assert bench(*methods) == 0
    assert len(stub.given) == 8
    assert f"{damaged.name} is damaged and is computed again" in " ".join(capsys.readouterr().err.split())
    assert sorted((tmp_path / "runs").iterdir()) == paths
    assert bench("--methods", GP, "--force", "--files", "0") == 0
    assert len(stub.given) == 10


def test_what_fails_is_said_and_the_rest_goes_on(
    bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--methods", f"gates+gp+bce,{GP}", "--files", "0") == 1
    errors = capsys.readouterr().err
    assert "gates+gp+bce (size 8; seed 0)" in errors
    assert "Traceback" not in errors
    assert len(study.read_all(tmp_path / "runs")) == 1
    assert bench("--methods", "random", "--trained", "58", "--files", "0") == 1
    assert "are left and 3 are to be suggested" in capsys.readouterr().err
    assert bench("--methods", "randon") == 2


def made_up(name: str, file: int, first: list[float], later: list[float], **table: Any) -> dict[str, Any]:
    """A run of 2 trained architectures and two rounds of two, on a table of 100 with the labels 1 to 100."""

    def part(labels: list[float]) -> dict[str, Any]:
        return {
            "rows": [0, 1],
            "labels": labels,
            "ranks": [101 - int(label) for label in labels],
            "seconds": 1.5,
        }

    key = {
        "protocol": {**load_protocol("nasbench201-analog").setting},
        "method": find_method(name, load_methods()).content,
        "plan": {"trained": 2, "count": 2, "rounds": 2},
        "file": file,
        "archenc": "1.0",
    }
    facts = {"digest": "d" * 64, "split": "5" * 64, "architectures": 100, "best": 100.0, **table}
    parts = {"start": part([50.0, 60.0]), "rounds": [part(first), part(later)]}
    machine = {"cpu": "abacus", "cores": 1, "threads": 1}
    return {
        "run": f"next-{run_id(key)}",
        "key": key,
        "table": facts,
        **parts,
        "versions": {},
        "machine": machine,
        "command": "make",
    }


def as_run(content: dict[str, Any]) -> study.NextRun:
    return record(content, study.NextRun, "the run")


def test_a_table_says_how_good_the_suggestions_were() -> None:
    contents = [
        made_up(GP, 0, [70.0, 80.0], [90.0, 95.0]),
        made_up(GP, 1, [80.0, 90.0], [10.0, 20.0]),
        made_up("gates+mlp+hinge", 0, [1.0, 3.0], [2.0, 4.0]),
    ]
    runs = list(map(as_run, contents))
    (group,) = study.groups(runs)
    header, (best, other) = study.standings(group)
    assert header[2:] == [
        *("mean of the 2", "median rank", "best of the 2", "its rank"),
        *("best after 6, median", "quartiles", "its rank", "seconds a round"),
    ]
    assert best == [
        GP,
        "2",
        "80.00 ± 7.07",
        "21",
        "85.00 ± 7.07",
        "16",
        "92.50",
        "91.25 to 93.75",
        "8",
        "1.5",
    ]
    assert other == [
        "gates+mlp+hinge",
        "1",
        "2.00",
        "99",
        "3.00",
        "98",
        "60.00",
        "60.00 to 60.00",
        "41",
        "1.5",
    ], "the file counts, too"
    assert "100 architectures, the best with 100.00" in study.heading(group)
    assert f"| {GP} | 2 |" in study.next_markdown(runs)


def test_other_plans_stand_apart_and_other_data_are_refused() -> None:
    one, other = made_up(GP, 0, [1.0, 2.0], [3.0, 4.0]), made_up(GP, 1, [1.0, 2.0], [3.0, 4.0], best=99.0)
    with pytest.raises(InvalidTable, match="different data"):
        study.groups([as_run(one), as_run(other)])
    trained = {**other["start"], "rows": [0, 1, 2], "labels": [1.0, 2.0, 3.0], "ranks": [1, 2, 3]}
    third = {
        **other,
        "key": {**other["key"], "plan": {"trained": 3, "count": 2, "rounds": 2}},
        "start": trained,
    }
    assert len(study.groups([as_run(one), as_run(third)])) == 2


def write(folder: Path, run: Any) -> Path:
    """A run file under the name that belongs to it, as far as it has one."""
    name = "next-0123456789abcdef"
    if isinstance(run, dict) and "key" in run:
        with contextlib.suppress(ValueError):  # no JSON
            name = f"next-{run_id(run['key'])}"
        run = {**run, "run": name}
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(run))
    return path


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"table": None}, "table"),
        ({"rounds": []}, "not as many as the plan says"),
        (
            {"start": {"rows": [0], "labels": [1.0], "ranks": [1], "seconds": 0}},
            "not as many as the plan says",
        ),
        ({"start": {"rows": [0, 1], "labels": [1.0, "x"], "ranks": [1, 2], "seconds": 0}}, "labels"),
        ({"unknown": 1}, "unknown"),
        ({"run": "next-0123456789abcdef"}, "name is not that of its key"),
    ],
)
def test_a_damaged_run_file_is_refused_in_one_sentence(
    tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    run = made_up(GP, 0, [1.0, 2.0], [3.0, 4.0])
    path = write(tmp_path, run)
    assert plain_values(study.read_next(path)) == run
    path.write_text(json.dumps({**run, **changes}))
    with pytest.raises(CorruptFile, match=part) as caught:
        study.read_all(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_mutants_of_run_files(tmp_path: Path) -> None:
    rng, good = np.random.default_rng(0), made_up(GP, 0, [1.0, 2.0], [3.0, 4.0])
    accepted = 0
    for number in range(60):
        path = write(tmp_path, mutate_json(good, rng))
        if number % 3 == 0:
            path.write_bytes(mutate_bytes(path.read_bytes(), rng))
        with contextlib.suppress(ArchencError):
            study.next_markdown([study.read_next(path)]).encode()
            accepted += 1
    assert 0 < accepted < 60


def test_whatever_runs_say_is_shown_as_text(tmp_path: Path) -> None:
    good = made_up(GP, 0, [1.0, 2.0], [3.0, 4.0])
    run = forced(as_run(good), everywhere(good, but=frozenset({"run"})))
    (tmp_path / "next.md").write_text(study.next_markdown([run]).removeprefix(study.PAGE))
    assert_harmless_files(tmp_path)


def test_runs_are_asked_for_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match="archenc bench next PROTOCOL"):
        study.read_all(tmp_path)


def test_the_page_is_made_with_the_others(tmp_path: Path) -> None:
    results = tmp_path / "benchmarks" / "results"
    (tmp_path / "README.md").write_text("")
    results.mkdir(parents=True)
    for name in ("nasbench201-analog.jsonl", "searches.jsonl", "pretraining.json"):
        (results / name).write_bytes((ROOT / "benchmarks" / "results" / name).read_bytes())
    write(results, made_up(GP, 0, [1.0, 2.0], [3.0, 4.0]))
    assert GP in pages(tmp_path)[results / "next.md"]


def test_committed_runs_are_those_that_the_command_would_make() -> None:
    folder = ROOT / "benchmarks" / "results"
    known = {name: find_method(name, load_methods()) for name in study.METHODS if name != "random"} | {
        "random": study.RANDOM
    }
    for run in study.read_all(folder):
        key = plain_values(run.key)
        setting, content = load_protocol(run.key.protocol.name).setting, known[run.key.method.name].content
        assert (key["protocol"], key["method"]) == (setting, content), (
            f"{run.run}: its protocol or its method was changed"
        )


def test_auto_is_a_method_without_a_head(tmp_path: Path, make_run: Callable[..., Run]) -> None:
    run = make_run(load_protocol("nasbench201-p2"), "auto", 39, 0, 0.5)
    assert ",auto,auto,,,False,auto,39," in results_csv(leaderboards([run]))
    method = find_method("auto", load_methods())
    assert method.content == {"name": "auto", "encoder": "auto", "simplify": False}
    assert method.predictor(3).get_params() == archenc.Predictor("auto", random_state=3).get_params()
    path = tmp_path / "methods.yaml"
    path.write_text("mine: {encoder: gates, head: mlp}\n")
    with pytest.raises(ArchencError, match="'loss' is missing"):
        load_methods(path)
    with pytest.raises(UnknownName):
        find_method("auto+mlp+mse", {})
