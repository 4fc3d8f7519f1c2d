"""What reports are made of: text, figures and pages in which names of others are text."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree import ElementTree

import jinja2
import pytest

from archenc.files.reports import figure_label, markdown_table, page, svg, text_table
from tests.hostile import MARKER, _Page


def text_of(html: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    assert found is not None
    return found[1]


def small_page(title: str) -> str:
    return page(
        "archenc.benchmarks.embeddings",
        "embeddings.html",
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
            "archenc.benchmarks.embeddings",
            "embeddings.html",
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
