"""Tables as wide as a terminal, and how long runs will take."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from archenc.benchmarks.forecast import costs_of, duration_text, forecast, seconds_of
from archenc.benchmarks.jobs import plan
from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.next import groups, read_all
from archenc.benchmarks.protocol import load_protocol
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
