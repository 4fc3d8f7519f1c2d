"""Which method is recommended, and why."""

from __future__ import annotations

import json

import pytest

import archenc
from archenc.benchmarks.evidence import MethodEvidence, choose, find_evidence, is_near
from archenc.benchmarks.kinds import SPACES
from archenc.benchmarks.recommend import best_other, parts_of
from archenc.benchmarks.reports.rows import fit_cost, kind_of, scoring_cost
from archenc.commands.app import main

ONE_MINUTE = ["recommend", "--space", "darts", "--labels", "200", "--minutes", "1"]


SPACE_FILE = "{name: cell, parameters: {name: mine, operations: [conv, pool], max_nodes: 6}}"


def made_up(method, tau, low, high, seconds=1.0, count=2):
    return MethodEvidence(method, tau, low, high, count, 2, seconds, 0.0)


def test_auto_is_recommended_where_the_best_is_within_its_interval():
    best, auto = made_up("a", 1.0, 0.9, 1.0), made_up("auto", 0.95, 0.9, 1.0)
    assert choose([best, auto], None) is auto
    assert choose([best, made_up("auto", 0.8, 0.7, 0.9)], None) is best


def test_what_is_too_slow_or_run_on_few_benchmarks_is_not_recommended():
    slow, fast = made_up("a", 1.0, 0.9, 1.0, 100.0), made_up("b", 0.5, 0.4, 0.6, 5.0)
    assert choose([slow, fast], 1) is fast
    assert choose([slow, fast], 0.01) is None
    assert choose([made_up("a", 1.0, 0.9, 1.0, count=0)], None) is None


# -- which benchmarks speak ----------------------------------------------------------------------------------


def test_a_data_set_is_nearest_then_the_space_then_its_kind():
    for dataset, relation in (("nasbench201", "dataset"), ("transnas101-micro", "dataset"), (None, "space")):
        found = find_evidence("nasbench201", "edge-cell", 50, dataset)
        assert found.relation == relation
        assert found.benchmarks
        assert found.others
        for one in found.benchmarks:
            assert one.dataset == dataset if dataset else SPACES[one.dataset] == "nasbench201"
        for one in found.others:
            assert one.kind == "edge-cell"
            assert one.dataset != dataset if dataset else SPACES[one.dataset] != "nasbench201"
    found = find_evidence("a space of mine", "edge-cell", 50)
    assert found.relation == "kind"
    assert {one.kind for one in found.benchmarks} == {"edge-cell"}
    assert not found.others
    assert find_evidence("a space of mine", "no kind", 50).relation == "none"


@pytest.mark.parametrize(("labels", "near"), [(50, True), (200, True), (5, False), (100_000, False)])
def test_far_from_every_benchmark_of_the_kind_its_nearest_sizes_count(labels, near):
    found = find_evidence("pnas", "cells", labels)
    assert {kind_of(one.dataset) for one in found.benchmarks} == {"cells"}
    assert all(is_near(one.size, labels) is near for one in found.benchmarks)
    assert {one.size for one in found.benchmarks} == ({50} if labels < 100 else {200})


def test_the_best_other_method_is_the_best_that_is_fast_enough():
    (benchmark,) = find_evidence("darts", "cells", 200).benchmarks
    assert best_other(benchmark, None).method.name == "gates+mlp+hinge"
    row = benchmark.rows["gates+mlp+hinge"]
    minutes = (fit_cost(row) + scoring_cost(row)) / 60
    assert best_other(benchmark, 1.01 * minutes) is row
    other = best_other(benchmark, 0.99 * minutes)
    assert other.method.name not in ("auto", "gates+mlp+hinge")
    assert best_other(benchmark, 0) is None


# -- the command ---------------------------------------------------------------------------------------------


def test_two_hundred_darts_cells_and_one_minute(capsys):
    assert main(ONE_MINUTE) == 0
    text = capsys.readouterr().out
    assert text.startswith("200 labels of darts, 1 minute of CPU: use ")
    assert "by 1 benchmark of this space\n" in text
    lines = text.splitlines()
    at = next(
        k for k, line in enumerate(lines) if line.startswith("predictability-nasbench301-surrogate  200")
    )
    assert lines[at].split()[2] == "auto"
    assert lines[at + 1].split()[0] == "gates+mlp+hinge"
    assert "±" in lines[at]
    assert lines[-1] == "next: archenc suggest runs.csv --space darts"


def test_programs_get_all_of_it(capsys):
    assert main([*ONE_MINUTE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["space"], found["kind"], found["relation"], found["labels"]) == (
        "darts",
        "cells",
        "space",
        200,
    )
    assert found["method"] in [one["method"] for one in found["methods"]]
    assert found["auto"] == archenc.recommend(archenc.create_space("darts"), 200)
    (benchmark,) = found["benchmarks"]
    assert benchmark["methods"]["auto"]["runs"] == 3
    assert 0 < benchmark["methods"]["auto"]["std"] < benchmark["methods"]["auto"]["kendall_tau"] < 1


def test_a_method_that_is_not_auto_is_given_as_python(capsys):
    options = ["--dataset", "nasbench201-analog", "--labels", "39", "--minutes", "0.02"]
    assert main(["recommend", *options]) == 0
    text = capsys.readouterr().out
    call = text.splitlines()[-1].removeprefix("next, in Python: ")
    assert isinstance(eval(call, {"archenc": archenc}), archenc.Predictor)
    assert "methods take longer" in text


def test_a_budget_that_was_not_measured_is_said(capsys):
    asked = ["recommend", "--space", "nasbench101", "--labels", "50"]
    assert main([*asked, "--budget", "fast"]) == 0
    text = capsys.readouterr().out
    assert "auto was measured with the budget normal, not fast" in text
    assert text.endswith("next, in Python: archenc.Predictor('auto', budget='fast')\n")
    assert main([*asked, "--minutes", "0.1"]) == 0
    assert "auto is too slow; with --budget fast" in capsys.readouterr().out
    assert main(["recommend", "--space", "darts", "--labels", "200", "--budget", "fast"]) == 0
    assert "was measured" not in capsys.readouterr().out, "without networks both are the same"


def test_parts_that_are_there_several_times_are_counted():
    space = archenc.create_space("nasbench101")
    assert parts_of(archenc.recommend(space, 400, "thorough")).endswith(", with 3 x flowerformer+mlp+hinge")
    assert "with" not in parts_of(archenc.recommend(space, 400, "fast"))


def test_a_space_of_ones_own_gets_the_benchmarks_of_its_kind(tmp_path, capsys):
    (tmp_path / "my cells.yaml").write_text(SPACE_FILE)
    path = str(tmp_path / "my cells.yaml")
    assert main(["recommend", "--space", path, "--labels", "20000"]) == 0
    text = capsys.readouterr().out
    assert (
        "of spaces of its kind: one cell, operations on nodes (NAS-Bench-101); none has near 20,000" in text
    )
    assert f"next: archenc suggest runs.csv --space '{path}'" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give one of --space NAME and --dataset NAME"),
        (["--space", "darts", "--dataset", "nasbench201-analog"], "give one of"),
        (["--space", "dart"], "did you mean 'darts'"),
        (["--dataset", "nasbench20"], "did you mean 'nasbench201'"),
        (["--space", "darts", "--minutes", "-1"], "--minutes"),
        (["--space", "darts", "--minutes", "inf"], "--minutes is not a number"),
    ],
)
def test_wrong_questions_are_refused_in_a_sentence(options, words, capsys):
    assert main(["recommend", *options]) == 2
    assert words in capsys.readouterr().err
