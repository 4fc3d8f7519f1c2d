"""What is shown to people runs: blocks of pages, files of ``examples/``, examples in docstrings; and the site
builds without a warning.

A comment on the line before a block says what to do with it: ``<!-- slow -->``, it takes minutes;
``<!-- run -->``, its commands are run, which are otherwise only looked up; ``<!-- file NAME -->``, it is
written to that file. A ``text`` block is what the block before it prints, and a line ``# all of FILE`` is
that file.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import archenc
from archenc.registry import ENCODERS, HEADS, LOSSES, SPACES

# -- blocks of the pages -------------------------------------------------------------------------------------

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n+)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
INCLUDED = re.compile(r"^# all of (examples/\w+\.py)$", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    body: str
    mark: str = ""


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, with the files that they include."""
    found = BLOCK.finditer(page.read_text("utf-8"))
    return [Block(match["language"], _included(match["body"]), match["mark"] or "") for match in found]


def _included(body: str) -> str:
    return INCLUDED.sub(lambda match: (ROOT / match[1]).read_text("utf-8"), body)


def run(code: str, names: dict | None = None) -> str:
    """What Python code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "<block>", "exec"), {"__name__": "page"} if names is None else names)
    return printed.getvalue()


def run_page(page: Path, slow: bool) -> Iterator[tuple[Block, str, str | None]]:
    """Runs the blocks of a page in their order and in one namespace: each with what it printed, and what it
    is said to print. Without ``slow``, those that are marked so are left out.
    """
    names, found = {"__name__": "page"}, blocks(page)
    for block, after in zip(found, [*found[1:], None], strict=True):
        said = after.body if after is not None and after.language == "text" else None
        if block.mark.startswith("file "):
            Path(block.mark.removeprefix("file ")).write_text(block.body, "utf-8")
        elif block.language == "python" and (slow or block.mark != "slow"):
            yield block, run(block.body, names), said
        elif block.mark == "run":
            yield block, "".join(_printed(words) for words in commands([block])), said


def _printed(words: list[str]) -> str:
    from archenc.commands.app import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(words) == 0, words
    return printed.getvalue()


def commands(found: list[Block]) -> list[list[str]]:
    """The words behind ``archenc`` of each of its command lines."""
    lines = [line for block in found if block.language == "sh" for line in block.body.splitlines()]
    return [line.split(" #")[0].split()[1:] for line in lines if line.startswith("archenc ")]


def assert_command_exists(words: list[str], capsys: pytest.CaptureFixture) -> None:
    """A command with all of its options."""
    from archenc.commands.app import main

    names = words[:2] if words[0] in ("bench", "data") else words[:1]
    assert main([*names, "--help"]) == 0, words
    shown = capsys.readouterr().out
    assert all(word in shown for word in words if word.startswith("--")), words


def assert_alike(printed: str, said: str) -> None:
    """The same text line by line, but for numbers, which processors round differently."""
    lines, expected = printed.splitlines(), said.splitlines()
    assert len(lines) == len(expected), printed
    for line, stated in zip(lines, expected, strict=True):
        assert_line(line, stated, whole=0)


def assert_table(printed: str, said: str) -> None:
    """As many lines, and the same first and last one and heading: suggestions depend on the last digit."""
    lines, expected = printed.splitlines(), said.splitlines()
    assert len(lines) == len(expected), printed
    assert_line(lines[0], expected[0], whole=1)
    assert [line.split() for line in lines[1:3]] == [line.split() for line in expected[1:3]]
    assert lines[-1] == expected[-1]


def assert_line(line: str, stated: str, whole: int) -> None:
    """Equal but for numbers: those with a point may be off by 0.05 or a hundredth, others by ``whole``."""
    assert NUMBER.sub("#", line) == NUMBER.sub("#", stated)
    for got, told in zip(NUMBER.findall(line), NUMBER.findall(stated), strict=True):
        close = {"abs": 0.05, "rel": 0.01} if "." in told else {"abs": whole, "rel": 0}
        assert float(got) == pytest.approx(float(told), **close), line


# -- pages ---------------------------------------------------------------------------------------------------

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
LOADED = re.compile(
    r"<(?:script|img|iframe)[^>]*\ssrc=\"?https?:|<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*href=\"?https?:"
)
"""What a page would fetch from elsewhere."""
LANGUAGES = {"python", "sh", "text", "yaml", "csv"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_a(kind: str, mark: str = "") -> list[Path]:
    """The pages that hold such a block."""
    return [page for page in PAGES if any(b.language == kind and mark in b.mark for b in blocks(page))]


def check(page: Path, slow: bool) -> None:
    ran = list(run_page(page, slow))
    for block, printed, said in ran:
        if said is not None:
            (assert_alike if block.language == "python" else assert_table)(printed, said)
    assert ran or not slow


@pytest.mark.parametrize("page", with_a("python"), ids=name)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", with_a("python", "slow"), ids=name)
def test_the_slow_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(page, slow=True)


@pytest.mark.parametrize("page", with_a("sh"), ids=name)
def test_commands_exist_with_their_options(page, capsys):
    for words in commands(blocks(page)):
        assert_command_exists(words, capsys)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page):
    assert {block.language for block in blocks(page)} <= LANGUAGES
    fences = re.findall(r"^```", page.read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(page)), "a block is not seen"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not here; install the extra 'docs'")
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "Warning" not in built.stderr
    pages = {path: path.read_text("utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > 40
    for path, text in pages.items():
        assert not LOADED.findall(text), path
        assert 'class="arithmatex"' not in text, f"a formula of {path} is not drawn"
        assert path.parent.name != "reference" or ":class:" not in text, f"a role in {path} is not a link"


def test_the_readme_is_short_and_its_picture_is_what_archenc_draws(tmp_path):
    assert README.stat().st_size < 8_000
    from archenc.commands.app import main

    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    drawn = tmp_path / "cell.svg"
    assert main(["draw", cell, "--space", "nasbench201", "--out", str(drawn)]) == 0
    assert drawn.read_text() == (ROOT / "docs" / "assets" / "cell.svg").read_text()


def test_links_of_the_readme_lead_to_files():
    targets = re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", README.read_text("utf-8"))
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []


# -- files of examples/: parts written as somebody else would, by public names alone -------------------------

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_each_kind_of_part_has_an_example() -> None:
    assert {path.stem for path in EXAMPLES} == {"encoder", "head", "loss", "space", "dataset"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_keeps_the_contract(path: Path) -> None:
    spec = spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.check()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_needs_no_private_name(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    imported = [
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    defined = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    names = [name for name in (*imported, *used, *defined) if name.startswith("_")]
    assert [name for name in names if not name.startswith("__")] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_as_a_script(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, path], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


# -- examples in docstrings run; every public class has one, and a link to its paper  ------------------------


LINK = re.compile(r"\barXiv:\d{4}\.\d{4,5}\b|\bdoi:10\.\d{4,}/\S+|https?://\S+")


def public_classes() -> list[type]:
    """What is registered, and what ``archenc`` itself offers."""
    registered = [
        registry.get(name) for registry in (ENCODERS, HEADS, LOSSES, SPACES) for name in registry.names()
    ]
    offered = [found for name in archenc.__all__ if inspect.isclass(found := getattr(archenc, name))]
    return sorted({*registered, *offered}, key=lambda found: f"{found.__module__}.{found.__name__}")


def module_of(found: type) -> ModuleType:
    return importlib.import_module(found.__module__)


@pytest.mark.parametrize("found", public_classes(), ids=lambda found: found.__name__)
def test_a_public_class_has_an_example_that_runs(found: type) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(found, found.__name__, module_of(found), globs={})
    assert example.examples, f"the docstring of {found.__name__} has no example"
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert results.failed == 0


def documented(found: type) -> str:
    """What a reader of the class sees: its docstring and its paper."""
    return f"{inspect.getdoc(found)} {getattr(found, 'paper', '')}"


@pytest.mark.parametrize(
    "found",
    [found for found in public_classes() if getattr(found, "paper", "") and not found.paper.startswith("no")],
    ids=lambda found: found.__name__,
)
def test_a_paper_has_a_link(found: type) -> None:
    assert LINK.search(documented(found)), f"{found.__name__} names a paper without arXiv:, doi: or address"
