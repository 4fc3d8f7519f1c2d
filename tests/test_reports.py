"""What reports are made of: text, figures and pages in which names of others are text."""

from __future__ import annotations

import base64
import gc
import hashlib
import io
import re
import time
from itertools import accumulate
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import pytest

from archenc.files.progress import nothing_collected, progress, progress_by_cost
from archenc.files.reports import figure_label, markdown_table, page, svg, text_table
from archenc.files.text import csv_cell, csv_text, markdown, say, visible
from tests.bad_input import MARKER, _Page


def text_of(html: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    assert found is not None
    return found[1]


def small_page(title: str) -> str:
    return page(
        "archenc.benchmarks.reports",
        "figures.html",
        title=title,
        introduction="",
        setting=[],
        header=[title],
        lines=[],
        figures=[],
    )


def test_the_policy_of_a_page_allows_its_own_script_and_style_alone() -> None:
    html = small_page("title")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert rules.pop("img-src") == "data:"
    for kind, tag in (("script", "script"), ("style", "style")):
        digest = base64.b64encode(hashlib.sha256(text_of(html, tag).encode()).digest()).decode()
        assert rules.pop(f"{kind}-src") == f"'sha256-{digest}'"
    assert not rules
    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_values_of_a_page_are_text() -> None:
    html = small_page(MARKER)
    _Page().feed(html)
    assert html.count("&lt;b onclick=&#34;x&#34;&gt;&amp;|") == 3
    assert "\x1b" not in html


def test_a_page_without_a_value_that_it_needs_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="introduction"):
        page(
            "archenc.benchmarks.reports",
            "figures.html",
            title="t",
            setting=[],
            header=[],
            lines=[],
            figures=[],
        )


@pytest.mark.parametrize(
    "name", [MARKER, "$\\frac{", "$x$", "_hidden", "名前 \U0001f9ea", "a" * 5_000, "\x00\x0b\ud800\ufffe", ""]
)
def test_a_figure_shows_any_name(name: str) -> None:
    def draw(figure) -> None:
        axes = figure.add_subplot()
        axes.plot([1, 2], [3, 4], label=figure_label(name))
        axes.set(title=figure_label(name), xlabel=figure_label(name))
        axes.set_xticks([1, 2], labels=[figure_label(name)] * 2)
        figure.legend(loc="outside right upper")

    text = svg(9, 4.8, draw)
    root = ElementTree.fromstring(text)
    assert root.attrib["width"] == "648pt"
    assert text == svg(9, 4.8, draw)


def test_labels_of_figures_are_bounded_and_never_hidden() -> None:
    assert figure_label("gates+mlp+hinge") == "gates+mlp+hinge"
    assert figure_label("_x") == " _x"
    label = figure_label("begin" + "x" * 5_000 + "end")
    assert len(label) == 40
    assert re.fullmatch("beginx+…x+end", label)


def test_tables_of_text_have_a_line_for_each_row() -> None:
    table = text_table(["a", "b"], [[MARKER, "1"], ["short", "2"]])
    assert len(table.splitlines()) == 3
    assert "\x1b" not in table
    assert len(markdown_table(["a"], [[MARKER]]).splitlines()) == 3


# -- text of others on a terminal, in a spreadsheet and in Markdown ------------------------------------------


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


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_collected_for_a_while(collects: bool) -> None:
    def fail() -> None:
        with nothing_collected():
            raise KeyError(gc.isenabled())

    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(KeyError, match="False"):
            fail()
        assert gc.isenabled() is collects
    finally:
        gc.enable()
