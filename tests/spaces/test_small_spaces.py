"""How spaces are built (no circle of imports, no override of what is private), and TransNAS-Bench-101."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest
import torch

import archenc
import archenc.spaces
from archenc.errors import InvalidArchitecture
from archenc.graphs.paths import is_connected
from archenc.graphs.transforms import live_edges
from archenc.registry import SPACES
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.definition import CellDefinition
from archenc.spaces.cell.drawing import random_cells
from archenc.spaces.cell.enumeration import free_cells
from archenc.spaces.cell.notation import Cell
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.genotype.notation import GenotypeDefinition
from archenc.spaces.transnas101 import OPERATIONS, TransNAS101Micro

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


# -- transNAS-Bench-101 micro: the official string, numbering, enumeration -----------------------------------


SPACE = TransNAS101Micro()
TEXT, NUMBERS = "64-41414-3_02_113", [3, 0, 2, 1, 1, 3]


def test_the_string():
    graphs = SPACE.parse(TEXT)
    assert SPACE.to_ops(graphs).tolist() == [NUMBERS]
    for k, (source, target) in zip(NUMBERS, EDGES, strict=True):
        assert int(graphs.ops[0, source, target]) == k + 1
    assert SPACE.format(graphs) == [TEXT]


def test_every_other_notation():
    names = [OPERATIONS[k] for k in NUMBERS]
    for one in ("3_02_113", f" {TEXT}\n", names, NUMBERS, tuple(NUMBERS), np.array(NUMBERS)):
        assert SPACE.format(SPACE.parse(one)) == [TEXT]
    assert SPACE.format(SPACE.parse([TEXT, "3_02_113", names, NUMBERS])) == [TEXT] * 4


def test_all_cells_are_read_and_printed_in_counting_order():
    graphs = SPACE.enumerate()
    texts = SPACE.format(graphs)
    assert len(graphs) == 4_096
    assert texts == sorted(set(texts))
    assert texts[0] == "64-41414-0_00_000"
    assert texts[-1] == "64-41414-3_33_333"
    assert torch.equal(SPACE.parse(texts).ops, graphs.ops)
    assert int((~is_connected(live_edges(graphs).any(1))).sum()) == 169


def test_zero_and_identity_are_known():
    """0 -conv3x3-> 1 -skip-> 3 computes what 0 -conv3x3-> 3 computes."""
    first, second = SPACE.parse(["3_00_010", "0_00_300"])
    simple = [SPACE.hash(SPACE.simplify(SPACE.node_form(one))).tobytes() for one in (first, second)]
    assert simple[0] == simple[1]


def test_it_is_registered_and_not_nasbench201():
    assert archenc.create_space("transnas101-micro") == SPACE
    assert archenc.create_space("nasbench201") != SPACE


def test_the_other_macro_structures_are_refused():
    with pytest.raises(InvalidArchitecture, match="write it as 64-41414-"):
        SPACE.parse("64-12414-3_02_113")
