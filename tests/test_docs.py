"""The documentation: examples run and print what the page says, and the site builds without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.blocks import ROOT, assert_alike, assert_command_exists, assert_table, blocks, commands, run_page

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
