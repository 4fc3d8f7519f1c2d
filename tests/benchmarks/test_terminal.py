"""Tables as wide as a terminal, how long runs will take, and which method is recommended."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from archenc.benchmarks.forecast import duration_text, forecast, seconds_of
from archenc.benchmarks.jobs import plan
from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.protocol import load_protocol
from archenc.benchmarks.recommend import Evidence, choose, evidence
from archenc.benchmarks.reports.terminal import View, fit, leaderboard_text
from archenc.benchmarks.runs import COMMITTED, leaderboards, read_runs
from archenc.commands.app import main
from archenc.errors import InvalidParameter

(BOARD,) = leaderboards(read_runs(COMMITTED / "nasbench201-p2.jsonl"))
ANALOG = str(COMMITTED / "nasbench201-analog.jsonl")


def table(view):
    """The lines of the table by method."""
    lines = leaderboard_text(BOARD, view).split("\n\n")[1].split("\n")
    return lines[0], {line.split()[0]: line for line in lines[1:]}


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_a_table_fits_its_terminal_and_says_what_it_left_out(width):
    text = leaderboard_text(BOARD, View(width=width))
    rows = text.split("\n\n")[1].split("\n")
    assert max(map(len, rows)) <= width
    assert len(rows) == 1 + len(BOARD.methods)
    shown = re.split("  +", rows[0])
    gone = text.partition("left out for want of width: ")[2].split("; ")
    for size in BOARD.sizes:
        assert (f"n = {size}" in shown) != (f"n = {size}" in gone)


def test_elsewhere_than_a_terminal_everything_is_there():
    text = leaderboard_text(BOARD)
    assert "left out" not in text
    for name in BOARD.methods:
        assert f"\n{name} " in text
    assert "± " in text


def test_the_best_of_each_column_has_a_star():
    header, lines = table(View(width=100))
    assert lines["auto"].count("*") == len(BOARD.sizes) - header.count("x")
    assert not any("*" in line for name, line in lines.items() if name != "auto")


def test_rows_are_chosen_by_words_and_sorted_by_a_column():
    _, lines = table(View(only=("gates", "auto", "-ta-")))
    assert set(lines) == {
        name for name in BOARD.methods if ("gates" in name or name == "auto") and "ta-" not in name
    }
    _, lines = table(View(sort="method"))
    assert list(lines) == sorted(BOARD.methods)
    order = View(sort="78").order(BOARD)
    values = [row.mean("kendall_tau") for name in order if (row := BOARD.cell(name, 78)) is not None]
    assert values == sorted(values, reverse=True)
    assert all(BOARD.cell(name, 78) is None for name in order[len(values) :]), "what is not there comes last"
    fastest = View(sort="seconds").order(BOARD)[0]
    rows = [row for name in BOARD.methods if (row := BOARD.cell(name, BOARD.sizes[-1])) is not None]
    assert fastest == min(rows, key=lambda row: row.seconds("fit")).method.name


def test_wrong_columns_and_words_are_refused(capsys):
    with pytest.raises(InvalidParameter, match="choose one of method, seconds, 7, 39"):
        View(sort="40").order(BOARD)
    with pytest.raises(InvalidParameter, match="no method of nasbench201-p2 has a name with nothing"):
        View(only=("nothing",)).order(BOARD)
    assert main(["bench", "show", ANALOG, "--filter", "nothing"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_real_terminal_gets_its_width():
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "archenc.commands.app", "bench", "show", ANALOG]
    process = subprocess.Popen(command, stdout=slave, env={**os.environ, "COLUMNS": "70"})
    os.close(slave)
    text = b""
    try:
        while part := os.read(master, 65536):
            text += part
    except OSError:  # the other side was closed
        pass
    os.close(master)
    assert process.wait() == 0
    rows = text.decode().replace("\r", "").split("\n\n")[1].split("\n")
    assert max(map(len, rows)) <= 70
    assert "left out for want of width" in text.decode()


def test_a_table_without_room_keeps_its_first_column():
    text, gone = fit(["method", "b", "c", "d"], [["x" * 60, "1", "2", "3"]], 10)
    assert "…" in text
    assert gone == ["deviations and numbers of runs", "b", "d"]


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


# -- which method --------------------------------------------------------------------------------------------


def made_up(method, tau, low, high, seconds=1.0, count=2):
    return Evidence(method, tau, low, high, count, 2, seconds, 0.0, ("one@50",))


def test_auto_is_recommended_where_the_best_is_within_its_interval():
    best, auto = made_up("a", 1.0, 0.9, 1.0), made_up("auto", 0.95, 0.9, 1.0)
    assert choose([best, auto], None) is auto
    assert choose([best, made_up("auto", 0.8, 0.7, 0.9)], None) is best


def test_what_is_too_slow_or_run_on_few_benchmarks_is_not_recommended():
    slow, fast = made_up("a", 1.0, 0.9, 1.0, 100.0), made_up("b", 0.5, 0.4, 0.6, 5.0)
    assert choose([slow, fast], 1) is fast
    assert choose([slow, fast], 0.01) is None
    assert choose([made_up("a", 1.0, 0.9, 1.0, count=0)], None) is None


def test_two_hundred_darts_cells_and_one_minute(capsys):
    assert main(["recommend", "--space", "darts", "--labels", "200", "--minutes", "1"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("200 labels of darts (two cells or more (DARTS)), 1 minute of CPU: use ")
    assert "predictability-nasbench301-surrogate at 200" in text
    assert "next: archenc suggest runs.csv --space darts" in text
    assert main(["recommend", "--space", "darts", "--labels", "200", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "cells"
    assert found["method"] in [one["method"] for one in found["evidence"]]


def test_a_method_that_is_not_auto_is_given_as_python(capsys):
    options = ["--dataset", "nasbench201-analog", "--labels", "39", "--minutes", "0.02"]
    assert main(["recommend", *options]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    call = line.removeprefix("next, in Python: ")
    assert call != line
    import archenc

    assert isinstance(eval(call, {"archenc": archenc}), archenc.Predictor)


def test_evidence_is_of_the_kind_of_space_and_of_labels_near():
    found = evidence("chain", 50)
    assert {name for one in found for name in one.names} == {"predictability-nasbench-macro@50"}
    assert found[0].method == "auto"
    assert evidence("chain", 100_000), "far from every benchmark the nearest ones count"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give one of --space NAME and --dataset NAME"),
        (["--space", "darts", "--dataset", "nasbench201-analog"], "give one of"),
        (["--space", "dart"], "did you mean 'darts'"),
        (["--space", "darts", "--minutes", "-1"], "--minutes"),
    ],
)
def test_wrong_questions_are_refused_in_a_sentence(options, words, capsys):
    assert main(["recommend", *options]) == 2
    assert words in capsys.readouterr().err
