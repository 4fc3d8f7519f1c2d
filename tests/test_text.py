"""Text of others on a terminal, in a spreadsheet and in Markdown."""

from __future__ import annotations

import io
import re
import time
from itertools import accumulate
from pathlib import Path

import pytest

from archenc.files.progress import progress, progress_by_cost
from archenc.files.text import csv_cell, csv_text, markdown, say, visible

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größer ± 1, 名前", "größer ± 1, 名前"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202eright to left", r"\u202eright to left"),
        ("\x9b31m\x7f\u2028\ufeff\udcff", r"\x9b31m\x7f\u2028\ufeff\udcff"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert visible(text) == shown
    say(text, "next")
    assert capsys.readouterr().out == f"{shown}\nnext\n"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_formulas_become_text(text: str) -> None:
    assert csv_cell(text) == f"'{visible(text)}"


@pytest.mark.parametrize("value", [-1.5, 3, "-1.5", "+3e-4", "a=b", "archenc bench run x", None])
def test_what_is_no_formula_stays(value: object) -> None:
    assert csv_cell(value) == value


def test_csv_has_one_line_for_each_record() -> None:
    text = csv_text([{"name": "=a", "n": -1}, {"n": 2, "=more": 'say "b,\n\x1b"'}])
    assert text == "name,n,'=more\n'=a,-1,\n,2," + r'"say ""b,\n\x1b"""' + "\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("val_accuracy@108/mean [1][2], p < .05", r"val_accuracy@108/mean [1][2], p \< .05"),
        ("<script>a|b & `c`</script>", r"\<script>a\|b \& \`c\`\</script>"),
        ("[here](javascript:x) ![i](y)", r"[here\](javascript:x) ![i\](y)"),
        ("*a* _b_ ~c~ $d$ a_b", r"\*a\* \_b\_ \~c\~ \$d\$ a_b"),
        ("https://e.x www.e.x @you", r"https\://e.x www\.e.x \@you"),
        ("a\n# b\\", r"a\\n# b\\"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_commands_print_in_no_other_way() -> None:
    sources = [
        path
        for room in ("archenc", "encoders", "benchmarks", "datasets")
        for path in (ROOT / room).rglob("*.py")
    ]
    printing = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        if re.search(r"\b(print|typer\.echo)\(", path.read_text("utf-8"))
    }
    assert printing == {"archenc/files/text.py"}


# -- more ----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stderr", "show"), [(io.StringIO(), True), (Terminal(), False)])
def test_silent_without_a_terminal_or_when_told(
    stderr: io.StringIO, show: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stderr)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    assert list(progress(range(3), "counting", show=show)) == [0, 1, 2]
    assert stderr.getvalue() == ""


def test_a_terminal_sees_only_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, shown in ((0.001, False), (5.0, True)):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        now = [0.0]

        def clock(now: list[float] = now, seconds: float = seconds) -> float:
            now[0] += seconds
            return now[0]

        monkeypatch.setattr("tqdm.std.time", clock)
        assert list(progress(iter(range(3)), "counting", total=3)) == [0, 1, 2]
        assert ("counting" in terminal.getvalue()) is shown


@pytest.mark.parametrize("costs", [[1.0, 3.0, 6.0], [6.0, 3.0, 1.0]])
def test_a_bar_moves_on_by_the_cost_of_what_is_done(
    costs: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, now = Terminal(), [0.0]
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    for cost in progress_by_cost(costs, "counting", float, 10.0):
        now[0] += 10 * cost  # ten seconds for each unit
    shown = [line for line in terminal.getvalue().split("\r") if "counting" in line]
    assert [re.sub(r"\|.*\|", "", line).split(maxsplit=1)[1].strip() for line in shown] == [
        f"{10 * done:.0f}% [{_clock(10 * done)}<{_clock(100 - 10 * done)}]" for done in accumulate(costs)
    ]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def test_a_bar_by_cost_is_silent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    assert list(progress_by_cost(range(3), "counting", float, 3.0)) == [0, 1, 2]
    assert stderr.getvalue() == ""
