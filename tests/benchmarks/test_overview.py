"""Which method is best over all benchmarks, against slow code and by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from statistics import fmean

import pytest
from scipy import stats

import archenc
from archenc.benchmarks.protocol import list_protocols, load_protocol
from archenc.benchmarks.reports.overview import (
    BUDGETS,
    auto_markdown,
    benchmarks,
    critical_difference,
    overview_csv,
    standings,
)
from archenc.benchmarks.reports.rows import KINDS, LISTS_OF_CHOICES, SPACES, kind_of_dataset, kind_of_space
from archenc.benchmarks.runs import COMMITTED, Run, leaderboards, read_runs
from archenc.errors import DataNotFound
from archenc.files.documents import plain_values, record
from tests.benchmarks.made_up import made_up_run

A, B, C = "gates+mlp+hinge", "gcn+mlp+hinge", "path+gp+mse"


@pytest.fixture
def boards(make_run: Callable[..., Run]):
    """Leaderboards of protocols by name: method -> size -> values by seed."""

    def boards(content):
        runs = []
        for at, (name, methods) in enumerate(content.items()):
            protocol = load_protocol(name)
            for method, sizes in methods.items():
                for size, values in sizes.items():
                    for seed, value in enumerate(values):
                        run = plain_values(make_run(protocol, method, size, seed, value))
                        run["split"]["digest"] = f"{at:064x}"
                        runs.append(record(run, Run, "the run"))
        return leaderboards(runs)

    return boards


def by_method(lines):
    return {line["method"]: line for line in lines}


def test_tau_is_by_that_of_the_best_and_ranks_are_over_shared_benchmarks(boards):
    found = benchmarks(
        boards(
            {
                "predictability-nasbench201-cifar10": {A: {50: [0.8]}, B: {50: [0.4]}, C: {50: [0.2]}},
                "predictability-nasbench201-cifar100": {A: {50: [0.3]}, B: {50: [0.6]}},
                "predictability-nasbench-macro": {A: {50: [0.5, 0.7]}, B: {50: [0.3, 0.3]}},
            }
        ),
        50,
    )
    lines = by_method(standings(found))
    assert list(lines) == [A, B, C], "C is on one of three benchmarks and comes last"
    assert float(lines[A]["normalised_tau"]) == pytest.approx(fmean([1, 0.5, 1]), abs=1e-4)
    assert float(lines[B]["normalised_tau"]) == pytest.approx(fmean([0.5, 1, 0.5]), abs=1e-4)
    assert [float(lines[name]["mean_rank"]) for name in (A, B)] == pytest.approx([4 / 3, 5 / 3], abs=1e-3)
    assert [lines[name]["wins"] for name in (A, B, C)] == [2, 1, 0]
    assert lines[C]["mean_rank"] == ""
    assert (lines[C]["benchmarks"], lines[C]["of"], lines[A]["ranked_on"]) == (1, 3, 3)
    for line in lines.values():
        low, mean, high = (float(line[f"normalised_tau{part}"]) for part in ("_low", "", "_high"))
        assert low <= mean <= high
    assert float(lines[A]["normalised_tau_low"]) < 0.7, "resampled benchmarks can all be the one it loses"


def test_a_benchmark_takes_part_at_the_size_of_most_methods_nearest_to_the_budget(boards):
    content = {"nasbench201-p2": {A: {39: [0.5], 78: [0.6], 390: [0.8]}, B: {39: [0.4], 78: [0.5]}}}
    assert [one.size for one in benchmarks(boards(content), 50)] == [39]
    content["nasbench201-p2"][C] = {78: [0.1]}
    assert [one.size for one in benchmarks(boards(content), 50)] == [78]
    assert benchmarks(boards(content), 200) == [], "one method alone is no comparison"
    assert benchmarks(boards(content), 10) == []


def test_protocols_on_one_split_are_one_benchmark(make_run):
    runs = [make_run(load_protocol("nasbench201-p2"), A, 78, seed, 0.7) for seed in range(3)]
    runs += [make_run(load_protocol("nasbench201-cifar10"), A, 78, 0, 0.1)]
    runs += [make_run(load_protocol("nasbench201-cifar10"), B, 78, 0, 0.5)]
    (one,) = benchmarks(leaderboards(runs), 50)
    assert {name: len(row.runs) for name, row in one.rows.items()} == {A: 3, B: 1}


def test_the_critical_difference_is_that_of_the_table_in_demsar_2006():
    # q at 5 percent for 2, 4 and 10 methods: table 5(a)
    for methods, q in ((2, 1.960), (4, 2.569), (10, 3.164)):
        expected = q * (methods * (methods + 1) / (6 * 14)) ** 0.5
        assert critical_difference(methods, 14) == pytest.approx(expected, abs=2e-3)


def test_committed_ranks_are_those_of_slow_code():
    boards = leaderboards(read_runs(COMMITTED))
    (auto,) = [
        line
        for line in csv.DictReader(overview_csv(boards).splitlines())
        if (line["kind"], line["labels"], line["method"]) == ("edge-cell", "200", "auto")
    ]
    found = [one for one in benchmarks(boards, 200) if one.kind == "edge-cell"]
    ranked = ["auto", "gates+mlp+hinge", "gcn+mlp+hinge", "path-2000+gp+mse"]
    ranks = []
    for one in found:
        if all(name in one.rows for name in ranked):
            means = [one.rows[name].mean("kendall_tau") for name in ranked]
            ranks.append(stats.rankdata([-mean for mean in means])[0])
    assert float(auto["mean_rank"]) == pytest.approx(fmean(ranks), abs=1e-3)
    assert int(auto["ranked_on"]) == len(ranks) > 5


def test_every_protocol_has_a_kind_of_space_and_every_kind_a_benchmark():
    kinds = {name: kind_of_dataset(load_protocol(name).dataset) for name in list_protocols()}
    assert set(kinds.values()) == set(KINDS)
    assert kind_of_dataset("somebody's") == ""


def test_spaces_of_data_sets_are_what_they_are_said_to_be():
    seen = 0
    for name, space in SPACES.items():
        try:
            found = archenc.load_dataset(name).space
        except DataNotFound:
            continue
        seen += 1
        assert kind_of_space(found) == kind_of_dataset(name), name
        assert found == archenc.create_space(space), name
    assert seen, "one data set needs no file"
    for name in LISTS_OF_CHOICES:
        with suppress(DataNotFound):
            assert kind_of_space(archenc.load_dataset(name).space) == kind_of_dataset(name), name


def test_budgets_cover_all_sizes_once():
    ranges = list(BUDGETS.values())
    assert all(low <= labels <= high for labels, (low, high) in BUDGETS.items())
    assert all(one[1] + 1 == next_[0] for one, next_ in pairwise(ranges))


# -- more ----------------------------------------------------------------------------------------------------


SETTING = {
    "name": "p",
    "version": 1,
    "dataset": "d",
    "label": "l",
    "metrics": ["kendall_tau"],
    "split": {"kind": "halves", "seed": 0},
    "selection": "last_epoch",
}


def run(method, seed, tau, **more):
    content = {"name": method, "encoder": method, "simplify": False}
    key = {"protocol": SETTING, "method": content, "size": 50, "seed": seed, "archenc": "0"}
    seconds = {"fit": 1.0, "predict": 1.0} | ({"fit_cpu": 2.0 + seed} if more else {})
    return made_up_run(key, {"kendall_tau": tau}, seconds=seconds, **more)


OTHERS = [run("weak", 0, 0.1), run("weak", 1, 0.2), run("strong", 0, 0.5), run("strong", 1, 0.7)]


def cells(runs):
    lines = [line for line in auto_markdown(leaderboards(runs)).splitlines() if line.startswith("| p ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_best_other_method_and_the_difference_on_the_same_runs():
    ours = [run("auto", 0, 0.6, coverage=0.7), run("auto", 1, 0.9, coverage=0.9)]
    (line,) = cells([*ours, *OTHERS])
    assert line[1:4] == ["50", "0.750", "-1.156 to 2.656"]  # 12.706 standard errors of .15
    assert line[4:7] == ["2", "strong", "0.600"]
    assert line[7] == "+0.150 ± 0.635"
    assert line[8:] == ["0.80", "2.5"]


def test_without_common_runs_the_means_are_compared():
    (line,) = cells([run("auto", 5, 0.6), *OTHERS])
    assert line[3] == ""
    assert line[7:] == ["+0.000", "", ""]


@pytest.mark.parametrize("runs", [OTHERS, [run("auto", 0, 0.6)]])
def test_what_stands_alone_has_no_line(runs):
    assert cells(runs) == []
