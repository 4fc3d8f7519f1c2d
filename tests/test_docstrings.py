"""Examples in docstrings run; every public class has one, and a link to its paper where it has a paper."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from types import ModuleType

import pytest

import archenc
from archenc.registry import ENCODERS, HEADS, LOSSES, SPACES

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
