"""Pages that lie elsewhere in the repository: committed results, the changelog and their like."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PROJECT = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<to>[^)#:\s]+)(?P<part>#[^)\s]*)?\)")
FOOTNOTE = re.compile(r"\[(\d+)\](?!\()")
INCLUDED = re.compile(r"^# all of (examples/\w+\.py)$", flags=re.MULTILINE)
LISTED = "<!-- results -->"


def result_pages() -> dict[Path, str]:
    """Each page of committed results with its place in the site."""
    found = sorted([*RESULTS.glob("*.md"), *RESULTS.glob("*.html")])
    return {path: f"results/{path.name}" for path in found}


def pages() -> dict[Path, str]:
    """Every page with its place in the site."""
    return result_pages() | {ROOT / name: f"project/{place}" for name, place in PROJECT.items()}


def on_config(config: Any) -> Any:
    """Adds the pages to the navigation."""
    for entry in config.nav:
        if "Results" in entry:
            entry["Results"] += [place for place in result_pages().values() if place.endswith(".md")]
    config.nav.append({"Project": [f"project/{place}" for place in PROJECT.values()]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages, and the files that they link to."""
    for path, place in pages().items():
        if path.suffix == ".md":
            content, linked = _at(path, place)
            files.append(File.generated(config, place, content=content))
        else:
            linked = [path]
        for target in linked:
            files.append(File.generated(config, f"results/{target.name}", abs_src_path=str(target)))
    return files


def _at(path: Path, place: str) -> tuple[str, list[Path]]:
    """The text of a page with links that hold at its new place, and the other files that it links to."""
    known, linked = pages(), []

    def moved(match: re.Match[str]) -> str:
        target = (path.parent / match["to"]).resolve()
        if target in known:
            to = os.path.relpath(known[target], Path(place).parent)
            return f"[{match['text']}]({to}{match['part'] or ''})"
        if target.parent == RESULTS and target.is_file():
            linked.append(target)
            return match[0]
        return match["text"]  # what the site does not hold

    text = FOOTNOTE.sub(r"\\[\1\\]", path.read_text(encoding="utf-8"))  # no links by reference
    return LINK.sub(moved, text), linked


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A list of the results in the place of ``<!-- results -->``, and files in that of ``# all of FILE``."""
    markdown = INCLUDED.sub(lambda match: (ROOT / match[1]).read_text(encoding="utf-8").rstrip(), markdown)
    return markdown.replace(LISTED, "\n".join(_listed(path) for path in result_pages()))


def _listed(path: Path) -> str:
    if path.suffix != ".md":
        return f"- [{path.stem}]({path.name})"
    title, _, rest = path.read_text(encoding="utf-8").partition("\n")
    paragraph = " ".join(rest.strip().partition("\n\n")[0].split())
    said = LINK.sub(r"\g<text>", re.split(r"(?<=[.]) ", paragraph)[0])
    listed = f"- [{title.removeprefix('# ')}]({path.name})"
    return listed if said.startswith(("#", "|", "-", "<")) else f"{listed}: {said}"
