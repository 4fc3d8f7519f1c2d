"""How the spaces are built: no circle of imports, no override of what is private, files that can be read."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import archenc.spaces
from archenc.registry import SPACES
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.definition import CellDefinition
from archenc.spaces.cell.drawing import random_cells
from archenc.spaces.cell.enumeration import free_cells
from archenc.spaces.cell.notation import Cell
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.genotype.notation import GenotypeDefinition

ROOT = Path(archenc.spaces.__file__).parent
FILES = {"/".join(("archenc", "spaces", *path.relative_to(ROOT).parts)): path for path in ROOT.rglob("*.py")}
MODULES = {
    name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for name, path in FILES.items()
}


def imported(path: Path) -> set[str]:
    """The modules of archenc.spaces that a file imports anywhere, for a type checker only, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & MODULES.keys()) or {node.module}
    return found & MODULES.keys()


def test_no_circle_of_imports():
    tuple(TopologicalSorter({name: imported(path) for name, path in MODULES.items()}).static_order())


def test_what_a_definition_says_is_known_without_the_space():
    spaces = {CellSpace.__module__, GenotypeSpace.__module__}
    for part in (CellDefinition, Cell, random_cells, free_cells, GenotypeDefinition):
        assert not imported(MODULES[part.__module__]) & spaces, part
    assert imported(MODULES[CellDefinition.__module__]) == {"archenc.spaces.parameters"}


def test_files_are_short():
    for path in MODULES.values():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


@pytest.mark.parametrize("name", SPACES.names())
def test_no_space_overrides_what_is_private(name):
    bases = [base for base in SPACES.get(name).__mro__ if base.__module__.startswith("archenc.spaces")]
    own = [
        {name for name in vars(base) if name[0] == "_" and not name.startswith(("__", "_abc"))}
        for base in bases
    ]
    for at, attributes in enumerate(own):
        for above in own[at + 1 :]:
            assert not attributes & above, f"{bases[at].__name__} overrides {attributes & above}"
