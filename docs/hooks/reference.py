"""The reference: a copy of the sources as they are imported, and a place for every registered class."""

from __future__ import annotations

import re
import shutil
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from tables import link, summary, table

import archenc
from archenc.registry import ENCODERS, HEADS, LOSSES, SPACES, Registry

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "build" / "docs-source"
REGISTRIES: dict[str, Registry[Any]] = {
    "encoders": ENCODERS,
    "heads": HEADS,
    "losses": LOSSES,
    "spaces": SPACES,
}
PAGE = re.compile(r"^<!-- page (\w+) -->$", re.MULTILINE)
REGISTERED = re.compile(r"<!-- registered (\w+) -->")


def on_startup(**_: Any) -> None:
    """Lays the top-level folders where their import names say, for a reader that does not import; before
    plugins look for the place.
    """
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    shutil.rmtree(SOURCE, ignore_errors=True)
    ignored = shutil.ignore_patterns("results", "__pycache__", "*.safetensors")
    for line in filter(None, metadata["options"]["package_dir"].split("\n")):
        package, folder = line.replace(" ", "").split("=")
        shutil.copytree(ROOT / folder, SOURCE / package.replace(".", "/"), ignore=ignored)


def on_files(files: Files, config: Any) -> Files:
    """Makes the pages of ``reference.md``, which itself is none."""
    outline = files.get_file_from_path("reference.md")
    assert outline is not None
    files.remove(outline)
    _, *parts = PAGE.split(outline.content_string)
    for name, content in zip(parts[::2], parts[1::2], strict=True):
        files.append(File.generated(config, f"reference/{name}.md", content=content.strip()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """An entry for each registered class in the place of ``<!-- registered KIND -->``, and a table of what
    ``archenc`` offers in that of ``<!-- names of archenc -->``.
    """
    markdown = markdown.replace("<!-- names of archenc -->", _names())
    return REGISTERED.sub(lambda match: "\n\n".join(_entries(match[1])), markdown)


def _names() -> str:
    offered = [getattr(archenc, name) for name in archenc.__all__ if not name.startswith(("_", "list_"))]
    return table(("name", "what"), ((link(found), summary(found)) for found in offered))


def _entries(kind: str) -> list[str]:
    registry = REGISTRIES[kind]
    classes = dict.fromkeys(registry.get(name) for name in registry.names())
    return [f"::: {found.__module__}.{found.__qualname__}" for found in classes]
