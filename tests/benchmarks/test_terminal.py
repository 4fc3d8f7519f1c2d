"""Tables as wide as a terminal, and how long runs will take."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import archenc
from archenc.benchmarks.evidence import MethodEvidence, choose, find_evidence, is_near
from archenc.benchmarks.forecast import costs_of, duration_text, forecast, seconds_of
from archenc.benchmarks.jobs import plan
from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.next import groups, read_all
from archenc.benchmarks.protocol import load_protocol
from archenc.benchmarks.recommend import best_other, parts_of
from archenc.benchmarks.reports.rows import SPACES, fit_cost, kind_of_dataset, scoring_cost
from archenc.benchmarks.reports.terminal import View, comparison_text, leaderboard_text, next_text
from archenc.benchmarks.runs import COMMITTED, leaderboards, read_runs
from archenc.commands.app import main
from archenc.errors import InvalidParameter
from archenc.files.terminal import DEVIATIONS, Table, Terminal, this_terminal
from archenc.files.text import BOLD, PLAIN, say_styled

(BOARD,) = leaderboards(read_runs(COMMITTED / "nasbench201-p2.jsonl"))
ANALOG = str(COMMITTED / "nasbench201-analog.jsonl")
P2 = str(COMMITTED / "nasbench201-p2.jsonl")
LEFT_OUT = "left out for want of width: "


def table(view):
    """The lines of the table by method."""
    lines = leaderboard_text(BOARD, view).split("\n\n")[1].split("\n")
    return lines[0], {line.split()[0]: line for line in lines[1:]}


def values(size):
    """Kendall's tau of the methods that were run at a size."""
    rows = [(name, BOARD.cell(name, size)) for name in BOARD.methods]
    return {name: row.mean("kendall_tau") for name, row in rows if row is not None}


# -- width ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_a_table_fits_its_terminal_and_says_what_it_left_out(width):
    text = leaderboard_text(BOARD, View(terminal=Terminal(width)))
    rows = text.split("\n\n")[1].split("\n")
    assert max(map(len, rows)) <= width
    assert len(rows) == 1 + len(BOARD.methods)
    shown = re.split("  +", rows[0])
    gone = text.partition(LEFT_OUT)[2].split("; ")
    for size in BOARD.sizes:
        assert (f"n = {size}" in shown) != (f"n = {size}" in gone)


def test_elsewhere_than_a_terminal_everything_is_there():
    text = leaderboard_text(BOARD)
    assert "left out" not in text
    for name in BOARD.methods:
        assert f"\n{name} " in text
    assert "± " in text


def test_names_are_cut_no_further_than_they_must_be():
    lines = [["x" * 30, "1"], ["y" * 40, "2"]]
    for width, length in ((50, 40), (40, 37), (30, 27)):
        text, _ = Table(["method", "n"], lines).text(Terminal(width))
        first = max(len(line.split()[0]) for line in text.split("\n"))
        assert first == length
    assert "yyy…yyy" in text


def test_a_table_without_room_keeps_its_first_column():
    wide = Table(["method", "b", "c"], [["x" * 60, "0.5 ± 0.1 (3)", "2"]], expendable=[DEVIATIONS, 2])
    text, note = wide.text(Terminal(10))
    assert "…" in text
    assert "±" not in text
    assert note == f"{LEFT_OUT}{DEVIATIONS}; c"


@pytest.mark.parametrize("width", [60, 80])
def test_published_numbers_and_suggestions_fit_too(width):
    group = groups(read_all(COMMITTED))[0]
    compared = str(comparison_text(BOARD, View(terminal=Terminal(width)))).split("\n\n")[1]
    suggested = next_text(group, Terminal(width)).split("\n\n")[1]
    for text in (compared, suggested):
        assert max(map(len, text.split("\n"))) <= width
    assert "mean of the 10" in suggested


# -- marks ---------------------------------------------------------------------------------------------------


def test_the_best_of_each_size_has_a_star():
    header, lines = table(View(terminal=Terminal(100)))
    assert lines["auto"].count("*") == sum(f"n = {size} " in f"{header} " for size in BOARD.sizes)
    assert not any("*" in line for name, line in lines.items() if name != "auto")


def test_the_best_of_the_rows_that_are_shown_is_bold_where_it_can_be():
    view = View(only=("gates", "lstm"), terminal=Terminal(bold=True))
    _, lines = table(view)
    for size in BOARD.sizes:
        shown = {name: value for name, value in values(size).items() if name in lines}
        if shown:
            best = max(shown, key=shown.__getitem__)
            assert f"{BOLD}{shown[best]:.3f} ±" in lines[best]
    filled = [size for size in BOARD.sizes if values(size).keys() & lines.keys()]
    assert "".join(lines.values()).count(BOLD) == len(filled) > 3
    assert "*" not in "".join(lines.values())
    stars = leaderboard_text(BOARD, View(only=("gates", "lstm")))
    plain = leaderboard_text(BOARD, view).replace(BOLD, "").replace(PLAIN, "")
    assert [line.split() for line in plain.split("\n\n")[1].split("\n")] == [
        line.replace(" *", "").split() for line in stars.split("\n\n")[1].split("\n")
    ]


def test_a_name_cannot_style_a_terminal(capsys):
    text, _ = Table(["method", "n"], [["\x1b[1m\x1b[31mx", "1"]], best=[(0, 1)]).text(Terminal(80, bold=True))
    say_styled(*text.split("\n"), "\x1b[31m")
    said = capsys.readouterr().out
    assert said.count("\x1b") == 2
    assert f"{BOLD}1{PLAIN}" in said
    assert "\\x1b[1m" in said


class Screen:
    """A standard output that is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "bold"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_bold_is_for_terminals_that_have_it(environment, bold, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "70")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert this_terminal() == Terminal()
    monkeypatch.setattr(sys, "stdout", Screen())
    assert this_terminal() == Terminal(70, bold)


def on_a_terminal(*options, **environment):
    """What a command writes to a real terminal."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "archenc.commands.app", *options]
    process = subprocess.Popen(command, stdout=slave, env={**os.environ, **environment})
    os.close(slave)
    text = b""
    try:
        while part := os.read(master, 65536):
            text += part
    except OSError:  # the other side was closed
        pass
    os.close(master)
    assert process.wait() == 0
    return text.decode().replace("\r", "")


def test_a_real_terminal_gets_its_width_and_bold_text():
    text = on_a_terminal("bench", "show", ANALOG, COLUMNS="60", TERM="xterm", NO_COLOR="")
    rows = text.replace(BOLD, "").replace(PLAIN, "").split("\n\n")[1].split("\n")
    assert max(map(len, rows)) <= 60
    assert LEFT_OUT in text
    assert BOLD in text


# -- rows and their order ------------------------------------------------------------------------------------


def test_rows_are_chosen_by_words():
    _, lines = table(View(only=("GATES", "auto", "-ta-", "!node")))
    assert set(lines) == {
        name
        for name in BOARD.methods
        if ("gates" in name or name == "auto") and "ta-" not in name and "node" not in name
    }
    assert len(lines) > 2


def test_rows_are_sorted_by_a_column():
    _, lines = table(View(sort="method"))
    assert list(lines) == sorted(BOARD.methods)
    for text in ("78", "n=78"):
        order, known = View(sort=text).order(BOARD), values(78)
        assert order[: len(known)] == sorted(known, key=lambda name: -known[name])
        assert set(order[len(known) :]) == set(BOARD.methods) - known.keys(), "what is not there comes last"
    last = [row for row in BOARD.rows if row.size == BOARD.sizes[-1]]
    fastest = min(last, key=lambda row: row.seconds("fit") + row.seconds("predict"))
    assert View(sort="seconds").order(BOARD)[0] == fastest.method.name


def test_published_numbers_are_chosen_and_sorted_with_ours(capsys):
    assert main(["bench", "compare", P2, "--filter", "gates,-ta-", "--sort", "n=78"]) == 0
    lines = capsys.readouterr().out.split("\n\n")[1].split("\n")[1:]
    papers = [line.split(" [")[0] for line in lines if "[" in line]
    assert papers == ["GATES + DELE", "GATES", "GATES, vanilla"]
    assert sum(line.startswith("gates-300x5+mlp+hinge") for line in lines) == 2


def test_of_several_tables_those_are_shown_that_have_such_rows(tmp_path, capsys):
    for path in (ANALOG, P2):
        (tmp_path / Path(path).name).write_bytes(Path(path).read_bytes())
    assert main(["bench", "show", str(tmp_path), "--filter", "ta-gates", "--sort", "781"]) == 0
    assert capsys.readouterr().out.count("Kendall's tau") == 1
    assert main(["bench", "show", str(tmp_path), "--filter", "lstm"]) == 0
    assert capsys.readouterr().out.count("Kendall's tau") == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sort", "40"], "no column '40' to sort by; choose one of method, seconds, "),
        (["--sort", "n="], "no column 'n='"),
        (["--filter", "nothing"], "--filter 'nothing' leaves no method"),
        (["--filter", "gates,-g"], "leaves no method"),
    ],
)
def test_wrong_columns_and_words_are_refused(options, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (["show", P2], ["compare", P2], ["run", "nasbench201-analog"]):
        assert main(["bench", *command, *options]) == 2
        said = capsys.readouterr()
        assert words in said.err
        assert said.out == ""
    assert list(tmp_path.iterdir()) == [], "nothing is computed for a table that cannot be shown"


def test_a_view_without_a_column_keeps_the_order():
    assert View(sort="40").order(BOARD) == BOARD.methods
    with pytest.raises(InvalidParameter):
        View(sort="40").check(BOARD.methods, BOARD.sizes)


# -- how long it takes ---------------------------------------------------------------------------------------


def jobs(sizes, seeds=(0, 1), names=("gates+mlp+hinge",), folder="nowhere"):
    methods = load_methods()
    protocol = load_protocol("nasbench201-p2")
    return plan(protocol, [find_method(name, methods) for name in names], sizes, seeds, folder, "make")


def test_seconds_are_those_of_the_size_or_in_proportion_to_labels():
    known = [run for row in BOARD.rows for run in row.runs]
    (at,), (beyond,) = jobs([390]), jobs([780])
    row = BOARD.cell("gates+mlp+hinge", 390)
    expected = row.seconds("fit") + row.seconds("predict")
    assert seconds_of(at, known) == pytest.approx(expected)
    nearest = [run for run in known if run.key.method.name == "gates+mlp+hinge" and run.key.size == 390]
    assert seconds_of(beyond, nearest) == pytest.approx(2 * expected)
    assert seconds_of(at, []) is None


def test_the_forecast_counts_what_is_missing():
    known = [run for row in BOARD.rows for run in row.runs]
    wanted = jobs([39, 78])
    assert forecast(wanted, [], known, 1) == "4 runs, all of them finished"
    whole = forecast(wanted, wanted, known, 1)
    assert whole.startswith("4 runs take about ")
    assert forecast(wanted, wanted[:1], known, 2).startswith(
        "4 runs, 2 of them finished; the other 2 take about"
    )
    assert "in 2 processes" in forecast(wanted, wanted, known, 2)
    assert forecast(wanted, wanted, [], 1).startswith("4 runs: how long they take is not known")
    both = jobs([39], names=("gates+mlp+hinge", "gcn+mlp+listmle"))
    assert forecast(both, both, known, 1).endswith(", without 2 of methods that were never run")


def test_the_time_left_counts_jobs_by_their_cost():
    known = [run for row in BOARD.rows for run in row.runs]
    todo = jobs([39, 390], names=("gates+mlp+hinge", "gcn+mlp+listmle"))
    costs = costs_of(todo, known)
    first, second = (seconds_of(job, known) for job in todo[:2])
    mean = (first + second) / 2
    assert costs == pytest.approx([2 * first, 2 * second, 2 * mean, 2 * mean])
    assert costs_of(todo, []) == [2.0] * 4


def test_durations_are_said_in_words():
    said = {
        0.2: "1 second",
        59: "59 seconds",
        60: "1 minute",
        150: "2 minutes",
        3600: "1 hour",
        9000: "2.5 hours",
    }
    assert {seconds: duration_text(seconds) for seconds in said} == said


def test_a_dry_run_computes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "run", "nasbench201-analog", "--dry-run", "--jobs", "2"]) == 0
    assert capsys.readouterr().out.startswith("144 runs take about ")
    assert list(tmp_path.iterdir()) == []


# -- which method is recommended, and why --------------------------------------------------------------------


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
    assert {kind_of_dataset(one.dataset) for one in found.benchmarks} == {"cells"}
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
