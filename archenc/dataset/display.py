"""What a data set shows of itself in a notebook."""

from __future__ import annotations

from typing import Any

import numpy as np

from archenc.files.reports import figure_label, fragment, svg
from archenc.graphs import LARGEST_FEATURE

MOST_LABELS = 12
BINS = 40


def dataset_html(dataset: Any) -> str:
    """Architectures, labels with their units, licence and citation of an
    :class:`~archenc.dataset.table.ArchDataset`, and a histogram of the selected label.
    """
    facts = [("space", dataset.space.name), ("architectures", f"{len(dataset):,}")]
    pictures = []
    facts += [("part", dataset.part)] if dataset.part else []
    if dataset.label:
        known = dataset.y[np.isfinite(dataset.y)]
        facts.append(("label y", _described(dataset, dataset.label)))
        facts.append(("labelled", f"{len(known):,}"))
        drawn = histogram(known, dataset.label)
        pictures += [(f"histogram of {dataset.label}", drawn)] if drawn else []
    others = [name for name in dataset.labels if name != dataset.label]
    shown = ", ".join(others[:MOST_LABELS])
    more = f", and {len(others) - MOST_LABELS:,} more" if len(others) > MOST_LABELS else ""
    facts += [("other labels", shown + more)] if others else []
    facts.append(("isomorphic duplicates", dataset.duplicates))
    source = dataset.provenance
    for name, text in (("licence", source.licence), ("cite", source.citation), ("source", source.source)):
        facts += [(name, text)] if text else []
    return fragment(f"ArchDataset {dataset.name}", facts, pictures)


def _described(dataset: Any, name: str) -> str:
    said = dataset.descriptions.get(name, "")
    return f"{name} ({said})" if said else name


def histogram(values: np.ndarray, label: str) -> str:
    """SVG of how many architectures have which label; empty where there are none, or none that bins can tell
    apart.
    """
    if len(values) == 0 or np.abs(values).max() > LARGEST_FEATURE:
        return ""
    try:
        edges = np.histogram_bin_edges(values, BINS)
    except ValueError:  # there are not as many numbers between the least and the greatest
        return ""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.hist(values, bins=edges, color="#6fa8ea")
        axes.set(xlabel=figure_label(label), ylabel="architectures")

    return svg(5, 2.2, draw, on_any_ground=True)
