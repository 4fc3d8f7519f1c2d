"""``archenc data``: what a data set is, where it comes from, whether its files are whole, and what its splits
test.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archenc.datasets.sources.cli import fetch, import_table, manifest_lines, verified_files, verify_all
from archenc.errors import DataNotFound
from archenc.files.text import say

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset
    from archenc.datasets.sources.manifest import Manifest

app = typer.Typer(help="Fetch, show and verify data sets, audit splits.", no_args_is_help=True)
app.command()(fetch)
app.command("import")(import_table)

_Name = Annotated[str, typer.Argument(help="A data set; 'archenc list datasets' lists them.")]


@app.command()
def show(
    name: _Name = "table",
    label: Annotated[str | None, typer.Option(help="Show this label alone.")] = None,
    path: Annotated[
        Path | None, typer.Option(help="A table of your own (CSV or JSONL); NAME is then 'table'.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="The search space of your own table.")] = None,
) -> None:
    """Print what a data set is: rows, space, labels, splits, citation, licence, files, notes and public
    sources.
    """
    manifest = _manifest(name)
    try:
        dataset = _load(name, path, space)
    except DataNotFound:
        if manifest is None or label is not None:
            raise
        say(f"{name}: not here yet; {manifest.remedy}", *manifest_lines(manifest))
        return
    if label is not None:
        say(*_label_lines(dataset.with_label(label), label))
        return
    say(*_lines(dataset), *([] if manifest is None else manifest_lines(manifest, dataset)))


@app.command()
def verify(
    name: _Name = "table",
    path: Annotated[
        Path | None, typer.Option(help="A table of your own (CSV or JSONL); NAME is then 'table'.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="The search space of your own table.")] = None,
) -> None:
    """Read every file of a data set (or of 'all') and check sizes, checksums and content; exit code 2 if
    something is wrong.
    """
    if name == "all":
        verify_all(lambda each: _verified(each, None, None))
    else:
        say(*_verified(name, path, space))


@app.command()
def audit(
    name: _Name,
    split: Annotated[
        str, typer.Option(metavar="NAME", help="A published split, or halves-SEED for random halves.")
    ],
    label: Annotated[
        str | None, typer.Option(help="The label that is trained on; default: the data set's.")
    ] = None,
    test_label: Annotated[
        str | None, typer.Option(help="The label that is scored, where it is another one.")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="Random halves of this subset alone.")] = None,
    path: Annotated[
        Path | None, typer.Option(help="A table of your own (CSV or JSONL); NAME is then 'table'.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="The search space of your own table.")] = None,
) -> None:
    """Print what a split really tests: twins and wirings in both halves, shifts, trivial predictors, noise of
    the label.
    """
    from archenc.datasets.audit import audit as audit_split
    from archenc.datasets.audit import find_split

    dataset = _load(name, path, space)
    dataset = dataset if label is None else dataset.with_label(label)
    say(*audit_split(dataset, find_split(dataset, split, subset), test_label).text().split("\n"))


def _verified(name: str, path: Path | None, space: str | None) -> list[str]:
    manifest = _manifest(name)
    lines = [] if manifest is None else verified_files(manifest)
    dataset = _load(name, path, space)
    lines += [f"whole  {digest}  {file}" for file, digest in dataset.provenance.files.items()]
    dataset.space.validate(dataset.graphs)
    return [
        *lines,
        f"{dataset.name}: {len(dataset)} valid architectures of {dataset.space.name}, {len(dataset.labels)} "
        "labels",
    ]


def _manifest(name: str) -> Manifest | None:
    from archenc.datasets.sources.manifest import manifest_names, read_manifest

    return read_manifest(name) if name in manifest_names() else None


def _load(name: str, path: Path | None, space: str | None) -> ArchDataset:
    import archenc
    from archenc.errors import InvalidParameter

    if name == "table":
        if path is None or space is None:
            raise InvalidParameter(
                "a table of your own needs --path FILE and --space NAME; give both, or the name of a data set"
            )
        return archenc.load_dataset(name, path=path, space=space, missing="keep", duplicates="keep")
    if path is not None or space is not None:
        raise InvalidParameter(
            f"--path and --space go with a table of your own; leave them out for the data set {name!r}"
        )
    return archenc.load_dataset(name)


def _lines(dataset: ArchDataset) -> list[str]:
    provenance = dataset.provenance
    marked = ", the default one marked by *" if dataset.label else ""
    lines = [
        f"{dataset.name}: {len(dataset):,} architectures of {dataset.space.name}",
        f"isomorphic duplicates: {dataset.duplicates}",
        f"digest: {dataset.digest}",
        "",
        f"labels ({len(dataset.labels)}){marked}",
    ]
    for label in dataset.labels:
        lines += [f"  {line}" for line in _label_lines(dataset, label)]
    if dataset.splits:
        lines += ["", "splits"]
        lines += [
            f"  {s.name}: pool of {len(s.pool):,}, test set of {len(s.test):,}, SHA-256 {s.digest}"
            for s in dataset.splits.values()
        ]
    if dataset.subsets:
        lines += ["", "subsets"]
        lines += [f"  {subset}: {len(rows):,} architectures" for subset, rows in dataset.subsets.items()]
    lines += ["", "provenance"]
    lines += [
        f"  {key}: {value}"
        for key in ("citation", "licence", "source")
        if (value := getattr(provenance, key))
    ]
    lines += [f"  file: {file}\n    SHA-256 {digest}" for file, digest in provenance.files.items()]
    if provenance.notes:
        lines += ["", "notes", *(f"  - {note}" for note in provenance.notes)]
    return lines


def _label_lines(dataset: ArchDataset, label: str) -> list[str]:
    import numpy as np

    values = dataset.labels[label]
    known = values[np.isfinite(values)]
    mark = "*" if label == dataset.label else " "
    spread = (
        f"{known.min():.6g} to {known.max():.6g}, median {np.median(known):.6g}"
        if known.size
        else "no values"
    )
    missing = f", {len(values) - len(known):,} missing" if len(known) < len(values) else ""
    return [f"{mark} {label}: {spread}{missing}", f"    {dataset.descriptions.get(label, '')}".rstrip()]
