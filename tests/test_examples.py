"""Parts written as somebody else would, by public names alone: they keep the contracts and run as scripts."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import archenc
from archenc.registry import ENCODERS, HEADS, LOSSES, SPACES

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


def test_each_kind_of_part_has_an_example() -> None:
    assert {path.stem for path in EXAMPLES} == {"encoder", "head", "loss", "space", "dataset"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_keeps_the_contract(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
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
