"""Data sets by name, and who is to be cited for one, said once."""

from __future__ import annotations

import os
import sys
from typing import Any

from archenc.dataset.table import ArchDataset, Dedup
from archenc.files.text import say
from archenc.files.trusted import cache_root, safe_name
from archenc.registry import DATASETS


def load_dataset(
    name: str, label: str | None = None, *, dedup: Dedup = "keep", **options: Any
) -> ArchDataset:
    """Load a data set by name, with ``label`` selected instead of its default one.

    Isomorphic architectures stay rows of their own (``dedup="keep"``), or become one row with the labels of
    the ``"first"`` of them or the ``"mean"`` of all; see :meth:`archenc.dataset.ArchDataset.deduplicated`.

    The first time, a terminal is told what to cite (:func:`remind`).
    """
    dataset = DATASETS.create(name, **options)
    remind(dataset)
    dataset = dataset.deduplicated(dedup)
    return dataset if label is None else dataset.with_label(label)


def remind(dataset: ArchDataset) -> None:
    """Print the citation of a data set on a terminal, the first time that it is loaded there.

    One line on standard error, once for each data set and cache folder, which keeps a marker. Nothing is
    printed where standard error is not a terminal (scripts, batch jobs, tests), where the data set has no
    citation, or where ``$ARCHENC_QUIET`` is set.
    """
    citation = dataset.provenance.citation
    if not citation or os.environ.get("ARCHENC_QUIET") or not sys.stderr.isatty():
        return
    try:
        marker = cache_root() / "cited" / safe_name(dataset.name)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    except OSError:
        pass  # a cache that cannot be written is no reason to fail, only to say it again next time
    say(f"archenc: for {dataset.name}, cite {' '.join(citation.split())}", file=sys.stderr)
