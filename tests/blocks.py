"""Code blocks of the pages for people: read, run, and compared with what they are said to print.

A comment on the line before a block says what to do with it: ``<!-- slow -->``, it takes minutes;
``<!-- run -->``, its commands are run, which are otherwise only looked up; ``<!-- file NAME -->``, it is
written to that file. A ``text`` block is what the block before it prints, and a line ``# all of FILE`` is
that file.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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
