"""The house: what may import what, how long a file may be, and that nothing is missing from the wheel."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"archenc": "archenc", "encoders": "archenc.encoders"}
ROOMS |= {"datasets": "archenc.datasets", "benchmarks": "archenc.benchmarks"}
FLOORS = (
    "errors torch_state",
    "registry",
    "files",
    "metrics graphs",
    "losses spaces",
    "dataset encoder heads proxies",
    "training",
    "pretraining",
    "predictor",
    "search",
    "testing commands",
)
"""What stands on what in ``archenc``: a part imports those of earlier lines; ``archenc`` itself, any."""
NAMES_TYPES_ABOVE = ("archenc", "archenc.registry.names")
"""Modules whose imports for a type checker do not count: the face of all, and what the registries hold."""
MOST_LINES, MOST_FILES = 400, 500


@dataclass(frozen=True)
class House:
    """The modules of a source tree, by their import names."""

    root: Path

    def modules(self) -> dict[str, Path]:
        """Module names to files."""
        return {
            _name(package, path.relative_to(self.root / folder)): path
            for folder, package in ROOMS.items()
            for path in sorted((self.root / folder).rglob("*.py"))
        }

    def imports(self) -> Iterator[tuple[str, str]]:
        """Each module with each module of the house that it imports, wherever in its text."""
        known = self.modules()
        for module, path in known.items():
            for target in _imported(path, known, module not in NAMES_TYPES_ABOVE):
                if target != module:
                    yield module, target


def _name(package: str, path: Path) -> str:
    parts = [*path.parent.parts, *([] if path.stem == "__init__" else [path.stem])]
    return ".".join([package, *parts])


def _imported(path: Path, known: dict[str, Path], types_too: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text("utf-8"))
    typing = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    left_out = set() if types_too else {id(inner) for node in typing for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in known else node.module


def room(module: str) -> str:
    """``archenc``, or one of the rooms that stand on it."""
    return next(
        (package for package in list(ROOMS.values())[1:] if f"{module}.".startswith(f"{package}.")), "archenc"
    )


def part(module: str) -> str:
    """The part of the ground floor that a module is in; empty for ``archenc`` itself."""
    return module.split(".")[1] if "." in module else ""


# -- faults --------------------------------------------------------------------------------------------------


def upward(house: House) -> list[str]:
    """Imports of a part or room that stands above or beside."""
    level = {name: number for number, line in enumerate(FLOORS) for name in line.split()}
    faults = []
    for module, target in house.imports():
        here, there = room(module), room(target)
        if here != there:
            allowed = there == "archenc" or here == "archenc.benchmarks"
        elif here != "archenc" or module == "archenc" or part(module) == part(target):
            allowed = True
        else:
            allowed = part(target) != "" and level[part(target)] < level[part(module)]
        if not allowed:
            faults.append(f"{module} imports {target}")
    return faults


def circles(house: House) -> list[str]:
    """Modules that import each other, in any number of steps."""
    graph = networkx.DiGraph(house.imports())
    return [
        " ".join(sorted(found)) for found in networkx.strongly_connected_components(graph) if len(found) > 1
    ]


def private(house: House) -> list[str]:
    """Names with an underscore that are imported from another module."""
    known, faults = house.modules(), []
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in known:
                faults += [
                    f"{module} imports {node.module}.{alias.name}"
                    for alias in node.names
                    if re.fullmatch(r"_[^_]\w*", alias.name)
                ]
    return faults


def long_files(house: House) -> list[str]:
    """Files with more lines than fit one purpose."""
    lengths = {module: len(path.read_text("utf-8").splitlines()) for module, path in house.modules().items()}
    return [f"{module} has {length} lines" for module, length in lengths.items() if length > MOST_LINES]


def unpacked(house: House) -> list[str]:
    """Packages that ``setup.cfg`` does not name, which a wheel would lack."""
    config = ConfigParser()
    config.read(house.root / "setup.cfg")
    named = set(config["options"]["packages"].split())
    return sorted({module for module, path in house.modules().items() if path.name == "__init__.py"} - named)


def crowd(house: House) -> list[str]:
    """What is too much on the ground floor."""
    entries = [path.name for path in (house.root / "archenc").iterdir() if path.name != "__pycache__"]
    return [] if len(entries) <= 20 else sorted(entries)


RULES = (upward, circles, private, long_files, unpacked, crowd)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_stands(rule) -> None:
    assert rule(House(ROOT)) == []


# -- each rule fails on what it forbids ----------------------------------------------------------------------

PLANTED = {
    upward: (
        "archenc/graphs/planted.py",
        "def late():\n    from archenc.spaces.base import Space\n    return Space\n",
    ),
    circles: (
        "archenc/metrics.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import archenc.planted\n",
    ),
    private: ("encoders/planted.py", "from archenc.losses import _planted\n"),
    long_files: ("datasets/planted.py", "x = 1\n" * (MOST_LINES + 1)),
    unpacked: ("benchmarks/planted/__init__.py", ""),
    crowd: ("archenc/planted/__init__.py", ""),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_planted_fault_is_found(rule, tmp_path) -> None:
    for folder in ROOMS:
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("results", "__pycache__")
        )
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    place, content = PLANTED[rule]
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, "utf-8")
    if rule is circles:
        (tmp_path / "archenc" / "planted.py").write_text("import archenc.metrics\n", "utf-8")
    assert rule(House(tmp_path))


# -- the wheel -----------------------------------------------------------------------------------------------


def test_the_wheel_holds_every_module_and_every_file_they_read(tmp_path) -> None:
    """Built from a copy, as a build leaves folders behind."""
    source = tmp_path / "source"
    for folder in ROOMS:
        ignored = shutil.ignore_patterns("results", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    house = House(ROOT)
    wanted = {module.replace(".", "/") for module in house.modules()}
    held = {name.removesuffix(".py").removesuffix("/__init__") for name in packed if name.endswith(".py")}
    assert wanted <= held
    data = [
        path
        for folder in ROOMS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".html", ".css", ".yaml")
    ]
    for path in data:
        if "results" not in path.parts:
            assert any(name.endswith(f"/{path.name}") for name in packed), f"{path.name} is not in the wheel"


def test_the_tests_that_the_security_policy_names_exist() -> None:
    named = set(re.findall(r"`((?:\w+/)?test_\w+\.py)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    assert len(named) > 10
    assert {name for name in named if not (ROOT / "tests" / name).is_file()} == set()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout, so it cannot be listed")
def test_a_listing_of_the_repository_can_be_read() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) < MOST_FILES
