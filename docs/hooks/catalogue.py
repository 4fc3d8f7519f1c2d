"""The catalogue: what is registered, asked of the objects themselves when the site is built."""

from __future__ import annotations

from typing import Any

import catalogue_data
import catalogue_parts
from mkdocs.structure.files import File, Files

PAGES = {
    "encoders": catalogue_parts.encoders,
    "heads": catalogue_parts.heads,
    "losses": catalogue_parts.losses,
    "spaces": catalogue_data.spaces,
    "datasets": catalogue_data.datasets,
    "metrics": catalogue_data.metrics,
    "protocols": catalogue_data.protocols,
}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, f"catalogue/{name}.md", content=page()))
    for name, svg in catalogue_data.pictures().items():
        files.append(File.generated(config, f"catalogue/pictures/{name}.svg", content=svg))
    return files
