"""Fetching: from the sources in a manifest to tables under the data root.

Nothing is downloaded or built that is already there and whole. Each table is compared with its published
digest before it is written, and written under its final name in one step.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from archenc.datasets.sources.download import PATIENCE, Patience, Stopped, download, locked, writing
from archenc.datasets.sources.manifest import Manifest, Source, manifest_names, read_manifest
from archenc.errors import ArchencError, CorruptFile, DataNotFound
from archenc.files.progress import progress
from archenc.files.trusted import atomic_write, content_digest, data_root, open_npz
from archenc.registry import DATASETS

MAX_TABLE_BYTES = 2**30
WORKERS = 4
MEBIBYTE = 2**20

Tables = Mapping[str, Mapping[str, np.ndarray]]
"""What a recipe builds: field -> array for each path under the data root."""


def all_names() -> list[str]:
    """The data sets that ``archenc data fetch all`` takes."""
    return [name for name in manifest_names() if read_manifest(name).part_of_all]


def fetch(name: str, patience: Patience = PATIENCE, *, show_progress: bool = True) -> list[Path]:
    """Bring the tables of a data set under the data root.

    Args:
        name: the data set, or ``"all"`` for all that :func:`all_names` lists.
        patience: how long servers and other processes are waited for.
        show_progress: a bar on a terminal.

    Returns:
        The tables that were written; none where all were there and whole.

    Raises:
        UnknownName: there is no such data set.
        DataNotFound: a source cannot be fetched, or the data set has none; the message says what else can be
            done.
        CorruptFile: a source is not what was published, or the tables made from it are not.
        CannotWrite: the disk is full, or a folder cannot be written.
    """
    if name == "all":
        return [path for each in all_names() for path in fetch(each, patience, show_progress=show_progress)]
    manifest = read_manifest(name)
    if not manifest.recipe:
        _installed(manifest)
        return []
    if not missing(manifest):
        return []
    with writing(data_root() / name, manifest.size), locked(data_root() / name, patience.lock):
        wanted = missing(manifest)  # another process may have built them meanwhile
        if not wanted:
            return []
        files = _download_all(manifest, patience, show_progress)
        tables = _checked(manifest, _function(manifest.recipe)(files))
        return _store({path: tables[path] for path in wanted})


def import_file(name: str, file: Path, patience: Patience = PATIENCE) -> list[Path]:
    """Build the tables of a data set from a file that the user has, and give their paths.

    Raises:
        UnknownName: there is no such data set.
        DataNotFound: the data set is not made from a file of the user's, or the file cannot be read.
        CorruptFile: the file is not what it should be.
        CannotWrite: the disk is full, or a folder cannot be written.
    """
    manifest = read_manifest(name)
    if not manifest.importer:
        raise DataNotFound(f"the data set {name!r} is not imported from a file; {manifest.remedy}")
    if not file.is_file() and not file.is_dir():  # a folder is as good where the import takes one
        raise DataNotFound(f"there is no file {file}; give the one from {manifest.homepage}")
    tables = _checked(manifest, _function(manifest.importer)(file))
    with writing(data_root() / name, file.stat().st_size), locked(data_root() / name, patience.lock):
        return _store(tables)


def missing(manifest: Manifest) -> list[str]:
    """The tables of a manifest that are not under the data root, or not whole."""
    return [
        path
        for path, digest in manifest.tables.items()
        if not _whole(manifest.name, data_root() / path, digest)
    ]


def _whole(name: str, path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    try:
        found = content_digest(open_npz(path, None, MAX_TABLE_BYTES))
    except (CorruptFile, DataNotFound):
        return False
    return not digest or found == digest or _accepted(name, path)


def _accepted(name: str, path: Path) -> bool:
    """Whether the data set itself takes the table, which may hold more than what can be built from the public
    sources.
    """
    try:
        return str(path) in DATASETS.create(name).provenance.files
    except ArchencError:
        return False


def _installed(manifest: Manifest) -> None:
    """Load a data set whose files do not come from here; raises :class:`DataNotFound` that says where they
    come from.
    """
    if not manifest.requirement and missing(manifest):
        raise DataNotFound(f"the data set {manifest.name!r} cannot be fetched; {manifest.remedy}")
    DATASETS.create(manifest.name)


# -- sources -------------------------------------------------------------------------------------------------


def _download_all(manifest: Manifest, patience: Patience, show_progress: bool) -> dict[str, Path]:
    """The local file of each source by name; several are downloaded at once, and the first failure stops the
    others.
    """
    arrived: dict[str, int] = {}
    stop = threading.Event()
    sources = {source.key: source for source in manifest.sources.values()}

    def get(source: Source) -> Path:
        return download(
            source, patience, report=lambda size: arrived.__setitem__(source.key, size), stop=stop
        )

    with ThreadPoolExecutor(WORKERS) as pool:
        futures = {key: pool.submit(get, source) for key, source in sources.items()}
        steps = _mebibytes(list(futures.values()), arrived)
        try:
            for _ in progress(
                steps, f"{manifest.name}, MiB", total=manifest.size // MEBIBYTE, show=show_progress
            ):
                pass
        finally:  # nothing is left to stop, unless a download failed or the user interrupts
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    failed = [
        error for future in futures.values() if not future.cancelled() and (error := future.exception())
    ]
    if failed:
        raise next((error for error in failed if not isinstance(error, Stopped)), failed[0])
    return {name: futures[source.key].result() for name, source in manifest.sources.items()}


def _mebibytes(futures: list[Future[Path]], arrived: Mapping[str, int]) -> Iterator[None]:
    """One item for each MiB that arrives, until all downloads are done or one has failed."""
    shown = 0
    while True:
        done, pending = wait(futures, timeout=0.1, return_when=FIRST_EXCEPTION)
        for _ in range(shown, now := sum(list(arrived.values())) // MEBIBYTE):
            yield None
        shown = max(shown, now)
        if not pending or any(future.exception() for future in done):
            return


# -- tables --------------------------------------------------------------------------------------------------


def _function(reference: str) -> Callable[[Any], Tables]:
    module, _, name = reference.partition(":")
    function: Callable[[Any], Tables] = getattr(importlib.import_module(module), name)
    return function


def _checked(manifest: Manifest, tables: Tables) -> Tables:
    """The tables, if they are those that the manifest promises; raises :class:`CorruptFile`."""
    if set(tables) != set(manifest.tables):
        raise CorruptFile(
            f"{manifest.name} became the tables {sorted(tables)} instead of {sorted(manifest.tables)}; "
            "install archenc again"
        )
    for path, digest in manifest.tables.items():
        found = content_digest(tables[path])
        if digest and found != digest:
            raise CorruptFile(
                f"the table {path} made from the sources has the digest {found:.12}... instead of "
                f"{digest:.12}...; "
                "nothing was written: report it with the versions of archenc and numpy"
            )
    return tables


def _store(tables: Tables) -> list[Path]:
    written = []
    for relative, arrays in tables.items():
        path = data_root() / relative
        with writing(path, sum(array.nbytes for array in arrays.values())):
            _remove_leftovers(path)
            with atomic_write(path) as temporary:
                np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        written.append(path)
    return written


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed processes left beside a table."""
    pattern = re.compile(rf"\.{re.escape(path.stem)}\.[0-9a-f]{{8}}{re.escape(path.suffix)}")
    for file in path.parent.iterdir():
        if pattern.fullmatch(file.name):
            file.unlink(missing_ok=True)
