"""``archenc data fetch``, ``import`` and ``verify``: bringing the tables of data sets here, and checking what
is here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archenc.files.text import say

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset
    from archenc.datasets.sources.manifest import Manifest


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...|all", help="Data sets; 'all' for all that are small enough."),
    ],
) -> None:
    """Download the public files of data sets, check them, and build their tables; what is there and whole is
    left alone.
    """
    from archenc.datasets.sources.fetch import all_names
    from archenc.datasets.sources.fetch import fetch as fetch_one
    from archenc.files.trusted import data_root

    def one(name: str) -> str:
        start = time.perf_counter()
        written = fetch_one(name)
        if not written:
            return f"{name}: is there already"
        return (
            f"{name}: {', '.join(str(path.relative_to(data_root())) for path in written)} in "
            f"{time.perf_counter() - start:.1f} s"
        )

    wanted = dict.fromkeys(each for name in names for each in (all_names() if name == "all" else [name]))
    _each(list(wanted), one)
    say(f"the tables lie in {data_root()}")


def import_table(
    name: Annotated[str, typer.Argument(help="The data set.")],
    file: Annotated[Path, typer.Option(help="The benchmark's official file.")],
) -> None:
    """Build the tables of a data set from a file that you have."""
    from archenc.datasets.sources.fetch import import_file

    for path in import_file(name, file):
        say(f"written  {path}")


def verify_all(describe: Callable[[str], list[str]]) -> None:
    """Verify every data set whose tables are there; ``describe`` gives the lines of one and raises if
    something is wrong.
    """
    from archenc.datasets.sources.fetch import missing
    from archenc.datasets.sources.manifest import manifest_names, read_manifest
    from archenc.errors import ArchencError, DataNotFound

    def one(name: str) -> str:
        manifest = read_manifest(name)
        try:
            return "\n".join(describe(name))
        except DataNotFound as error:
            if manifest.tables and len(missing(manifest)) < len(manifest.tables):
                raise ArchencError(str(error)) from None
            return f"{name}: is not here"

    _each(manifest_names(), one)


def verified_files(manifest: Manifest) -> list[str]:
    """A line for each raw file of a data set that is in the cache; raises :class:`CorruptFile` for one, or a
    table, that is damaged.
    """
    from archenc.datasets.sources.download import local_path
    from archenc.datasets.sources.fetch import missing
    from archenc.errors import CorruptFile
    from archenc.files.trusted import data_root

    lines = []
    for source in manifest.sources.values():
        path = local_path(source)
        if not path.exists():
            continue
        if not source.matches(path):
            raise CorruptFile(f"the file {path} is not what was published ({source.checksum}); delete it")
        lines.append(f"whole  {source.sha256 or source.git_blob}  {path}")
    for table in missing(manifest):
        if (path := data_root() / table).exists():
            raise CorruptFile(
                f"the table {path} is not what was published; {manifest.remedy}, which replaces it"
            )
    return lines


def manifest_lines(manifest: Manifest, dataset: ArchDataset | None = None) -> list[str]:
    """What is known of a data set from its manifest; where it is loaded, only what it does not say itself."""
    from archenc.datasets.sources.download import local_path

    lines = []
    if dataset is None:
        lines += [
            f"citation: {manifest.citation}",
            f"licence: {manifest.licence}",
            f"homepage: {manifest.homepage}",
        ]
        if manifest.labels:
            lines += ["", "labels", *(f"  {label}: {text}" for label, text in manifest.labels.items())]
        if manifest.other_labels:
            others = (f"  {label}: {text}" for label, text in manifest.other_labels.items())
            lines += ["", "labels that are only in tables from other sources", *others]
        if manifest.notes:
            lines += ["", "notes", *(f"  - {note}" for note in manifest.notes)]
    if manifest.tables:
        lines += [
            "",
            "tables",
            *(
                f"  {path}" + (f"\n    digest {digest}" if digest else "")
                for path, digest in manifest.tables.items()
            ),
        ]
    if manifest.sources:
        lines += ["", f"sources ({len(manifest.sources)} files, {manifest.size:,} bytes)"]
    for source in manifest.sources.values():
        here = ", in the cache" if local_path(source).exists() else ""
        where = (
            f"{source.repository} @ {source.commit}\n    {source.path}" if source.repository else source.url
        )
        lines += [
            f"  {source.name}: {where}",
            f"    {source.size:,} bytes{here}, licence: {source.licence or 'as above'}",
            f"    {source.checksum}",
        ]
    return lines


def _each(names: list[str], action: Callable[[str], str]) -> None:
    """Do something for each data set and print what it says; errors of one do not keep the others from being
    done.
    """
    from archenc.errors import ArchencError

    failed = []
    for name in names:
        try:
            say(*action(name).split("\n"))
        except ArchencError as error:
            if len(names) == 1:
                raise
            failed.append(name)
            say(f"{name}: {error}", file=sys.stderr)
    if failed:
        raise ArchencError(
            f"{len(failed)} of {len(names)} data sets failed ({', '.join(failed)}); the lines above say what "
            "to do"
        )
