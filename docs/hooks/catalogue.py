"""The catalogue: what is registered, asked of the objects themselves when the site is built."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import catalogue_parts
from mkdocs.structure.files import File, Files
from tables import code, codes, link, paper, parameters, summary, table, text

from archenc.benchmarks.protocol import Protocol, list_protocols, load_protocol
from archenc.datasets.sources.manifest import Manifest, manifest_names, read_manifest
from archenc.errors import ArchencError
from archenc.files.documents import plain_values
from archenc.metrics import METRICS, metric, smaller_is_better
from archenc.registry import DATASETS, SPACES
from archenc.spaces.base import Space
from archenc.testing import registered_spaces

SLOW_TO_LIST = {"nasbench101": 423_624, "genetic-cnn": 524_288}
"""Sizes of spaces whose architectures take long to list."""


def spaces() -> str:
    """The page of search spaces."""
    made = registered_spaces()
    rows = [_space_row(name, made.get(name)) for name in SPACES.names()]
    sections = [_space(name, made.get(name)) for name in SPACES.names()]
    intro = (
        "A space parses, prints, validates, samples, mutates and hashes architectures. *Can be listed*: "
        "`space.enumerate()` gives every architecture once. *Costs*: it knows the parameters and FLOPs of "
        "the networks that are built of its cells. Spaces *as described* are what their parameters say."
    )
    header = ("space", "operations on", "operations", "cells", "nodes of a cell", "can be listed", "costs")
    return "\n\n".join(["# Search spaces", intro, table(header, rows), *sections])


def pictures() -> dict[str, str]:
    """An architecture of each space as an SVG picture."""
    return {name: space.sample(1, seed=0).plot().svg for name, space in registered_spaces().items()}


def _space_row(name: str, space: Space | None) -> tuple[str, ...]:
    if space is None:
        return (f"[{name}](#{name})", "as described", *[""] * 5)
    return (
        f"[{name}](#{name})",
        f"{space.op_on}s",
        str(len(space.operations)),
        str(space.cells),
        str(space.max_nodes),
        _listed(space),
        "yes" if space.has_costs else "no",
    )


def _listed(space: Space) -> str:
    if space.name in SLOW_TO_LIST:
        return f"{SLOW_TO_LIST[space.name]:,}"
    try:
        return f"{len(space.enumerate()):,}"
    except ArchencError:
        return "no"


def _space(name: str, space: Space | None) -> str:
    found = SPACES.get(name)
    parts = [f"## {text(name)}", f"{summary(found)} {link(found)}"]
    if space is not None:
        if space.paper:
            parts.append(f"Paper: {paper(space.paper, inspect.getdoc(found))}")
        parts.append(f"Operations: {codes(space.operations)}.")
        parts.append(f"An architecture: {code(space.format(space.sample(1, seed=0))[0])}")
        parts.append(f"![The architecture as a picture](pictures/{name}.svg){{ .picture }}")
        if space.notations:
            parts.append(f"Notations of numbers: {codes(space.notations)}, the first by default.")
    return "\n\n".join([*parts, parameters(found)])


# -- data sets -----------------------------------------------------------------------------------------------


def datasets() -> str:
    """The page of data sets."""
    manifests = {name: read_manifest(name) for name in manifest_names()}
    rows = [
        (
            f"[{name}](#{name})",
            summary(DATASETS.get(name)),
            _from(manifest),
            f"{manifest.size / 2**20:,.1f} MB" if manifest.size else "",
            text(manifest.licence),
        )
        for name, manifest in manifests.items()
    ]
    intro = (
        "What comes with a manifest: where it is from, what its labels are, and what to know before a number "
        "is quoted. *Size* is that of what is downloaded. Accuracies are percent; the name of a label is "
        "`DATASET/METRIC@EPOCHS/SEEDS`, and braces hold alternatives. "
        "[Data sets](../guides/data.md) says how to get them, "
        "[Your own table](../guides/table.md) how to add yours (`table` and `models`)."
    )
    header = ("data set", "what", "from", "size", "licence")
    sections = [_dataset(name, manifest) for name, manifest in manifests.items()]
    return "\n\n".join(["# Data sets", intro, table(header, rows), *sections])


def _from(manifest: Manifest) -> str:
    if manifest.recipe:
        return code(f"archenc data fetch {manifest.name}")
    if manifest.importer:
        return code(f"archenc data import {manifest.name} --file FILE")
    return f"package {code(manifest.requirement)}" if manifest.requirement else ""


def _dataset(name: str, manifest: Manifest) -> str:
    labels = {**manifest.labels, **manifest.other_labels}
    repositories = sorted({source.repository or source.public_url for source in manifest.sources.values()})
    notes = "\n".join(f"- {text(note)}" for note in manifest.notes)
    return "\n\n".join(
        [
            f"## {text(name)}",
            f"Cite: {paper(manifest.citation)}. Home: <{manifest.homepage}>"
            if manifest.homepage.startswith("https://")
            else f"Cite: {paper(manifest.citation)}. Home: {text(manifest.homepage)}",
            *([f"Sources: {codes(repositories)}."] if repositories else []),
            *([notes] if notes else []),
            *(
                [table(("label", "what it is"), ((code(key), text(value)) for key, value in labels.items()))]
                if labels
                else []
            ),
        ]
    )


# -- metrics and protocols -----------------------------------------------------------------------------------


def metrics() -> str:
    """The page of metrics."""
    rows = []
    for name in METRICS:
        found = metric(name)
        function = found.func if isinstance(found, functools.partial) else found
        best = "small" if smaller_is_better(name) else "large"
        rows.append((code(name), best, summary(function), link(function)))
    intro = (
        "Reported by default; `archenc.metrics.metric` gives any other k, as a count (`regret@5`) or in "
        "percent (`precision@1%`). Where predictions are tied, architectures with lower labels come first, "
        "so that a predictor that tells nothing apart gets no credit for luck."
    )
    return "\n\n".join(["# Metrics", intro, table(("metric", "good is", "what", "function"), rows)])


def protocols() -> str:
    """The page of protocols."""
    loaded = {name: load_protocol(name) for name in list_protocols()}
    rows = [
        (
            f"[{name}](#{name})",
            code(protocol.dataset),
            code(protocol.label),
            _sizes(protocol),
            str(len(protocol.seeds)),
        )
        for name, protocol in loaded.items()
    ]
    intro = (
        "A protocol fixes everything that decides a number. Once results exist, it is not edited: a change "
        "is a new version. `archenc bench run NAME` computes what is missing of it; "
        "[Benchmarks](../guides/benchmarks.md) says more."
    )
    header = ("protocol", "data set", "label", "labels trained on", "seeds")
    sections = [_protocol(protocol) for protocol in loaded.values()]
    return "\n\n".join(["# Protocols", intro, table(header, rows), *sections])


def _sizes(protocol: Protocol) -> str:
    return ", ".join(f"{size:,}" for size in protocol.train_sizes).replace(", ", "; ")


def _protocol(protocol: Protocol) -> str:
    split = {key: value for key, value in plain_values(protocol.split).items() if value is not None}
    facts = [
        ("version", str(protocol.version)),
        ("data set", code(protocol.dataset)),
        ("label", code(protocol.label)),
        *([("scored label", code(protocol.test_label))] if protocol.test_label else []),
        ("split", codes(f"{key}: {value}" for key, value in split.items())),
        ("training sets of a size", str(protocol.subsets or "one for each seed")),
        ("seeds", ", ".join(map(str, protocol.seeds))),
        ("selection", code(protocol.selection)),
        ("metrics", codes(protocol.metrics)),
        ("methods", codes(protocol.methods)),
    ]
    return "\n\n".join(
        [
            f"## {text(protocol.name)}",
            text(protocol.purpose),
            f"Setting of: {text(protocol.source)}",
            table(("", ""), facts),
        ]
    )


PAGES = {
    "encoders": catalogue_parts.encoders,
    "heads": catalogue_parts.heads,
    "losses": catalogue_parts.losses,
    "spaces": spaces,
    "datasets": datasets,
    "metrics": metrics,
    "protocols": protocols,
}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, f"catalogue/{name}.md", content=page()))
    for name, svg in pictures().items():
        files.append(File.generated(config, f"catalogue/pictures/{name}.svg", content=svg))
    return files
