"""Manifests: what is known of a data set before a byte of it has been fetched.

``manifests/NAME.yaml`` belongs to the data set NAME. Required are ``citation``, ``licence`` and ``homepage``; the other keys are those of
:class:`Manifest`, with ``import`` for :attr:`Manifest.importer`, and each entry of ``sources`` has the keys of :class:`Source`::

    citation: "Dong, Yang: NAS-Bench-201, ICLR 2020"
    licence: MIT
    homepage: https://github.com/D-X-Y/NAS-Bench-201
    recipe: archenc.datasets.recipes.nasbench201:build
    tables: {nasbench201/table.npz: 0123...}
    sources:
      scores: {repository: OWNER/REPO, commit: 0123..., path: data/scores.csv, size: 3024008, sha256: 0123..., licence: none found}
      records: {url: https://example.org/records.tfrecord, size: 498859226, sha256: 0123...}
    part_of_all: true
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from archenc.errors import CorruptFile, UnknownName

PUBLIC_HOST = "https://raw.githubusercontent.com"
FOLDER = files("archenc.datasets").joinpath("manifests")

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same language, ten times as fast where PyYAML has it

MAX_MANIFEST_BYTES = 256 * 2**10
MAX_TEXT = 4_000
MAX_ENTRIES = 1_000
MAX_SOURCE_BYTES = 4 * 2**30

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")  # of a path: no "..", nothing hidden, nothing that needs quoting


@dataclass(frozen=True)
class Source:
    """A public file that never changes: one file of a Git repository at a commit, or one at an https address.

    Attributes:
        name: what the recipe calls it.
        size: exact number of bytes.
        sha256: hexadecimal SHA-256; empty where ``git_blob`` is all that is published.
        git_blob: Git's hexadecimal name of the content, the SHA-1 of ``blob SIZE``, a zero byte and the content.
        repository: ``OWNER/REPO`` on GitHub; empty for a file elsewhere.
        commit: the full commit.
        path: the file in the repository.
        url: the https address of a file elsewhere.
        licence: of this file, as found at its source.
    """

    name: str
    size: int
    sha256: str = ""
    git_blob: str = ""
    repository: str = ""
    commit: str = ""
    path: str = ""
    url: str = ""
    licence: str = ""

    @property
    def key(self) -> str:
        """Its place on a mirror and in the cache: ``OWNER/REPO/COMMIT/PATH``, or ``HOST/PATH``."""
        if self.repository:
            return f"{self.repository}/{self.commit}/{self.path}"
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}"

    @property
    def public_url(self) -> str:
        """Where it is published."""
        return f"{PUBLIC_HOST}/{self.key}" if self.repository else self.url

    @property
    def checksum(self) -> str:
        """The checksum with its kind, for people."""
        return f"SHA-256 {self.sha256}" if self.sha256 else f"Git blob {self.git_blob}"

    def matches(self, path: Path) -> bool:
        """Whether the file at ``path`` is this one, by size and checksum; False where it cannot be read."""
        try:
            with open(path, "rb") as stream:
                if stream.seek(0, 2) != self.size:
                    return False
                stream.seek(0)
                digest = hashlib.sha256() if self.sha256 else hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)
                while chunk := stream.read(2**20):
                    digest.update(chunk)
        except OSError:
            return False
        return digest.hexdigest() == (self.sha256 or self.git_blob)


@dataclass(frozen=True)
class Manifest:
    """What a data set is, where its files come from and how they become tables.

    Attributes:
        name: the registered name of the data set.
        citation: the paper to cite.
        licence: the licence of the data as stated by its source.
        homepage: the benchmark's public place.
        recipe: ``module:function`` that turns the sources into the tables; empty where nothing is fetched.
        importer: ``module:function`` that turns one file that a user has into the tables; empty where there is none.
        requirement: what pip is asked for, where a package brings the tables: ``"nas-bench-graph==1.4.0"``.
        tables: :func:`archenc.files.content_digest` of each table that the recipe builds, by its path under the data root; empty where it
            is not known, as the table is made from a file of the user's own or from sources that are pinned themselves.
        sources: the raw files by name.
        part_of_all: whether ``archenc data fetch all`` takes it.
        labels: a sentence for each label, by name, which may hold alternatives such as ``{4,12,36,108}``.
        notes: what a user must know before quoting a number.
    """

    name: str
    citation: str
    licence: str
    homepage: str
    recipe: str = ""
    importer: str = ""
    requirement: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    part_of_all: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all sources together."""
        return sum({source.key: source.size for source in self.sources.values()}.values())

    @property
    def remedy(self) -> str:
        """What to do where the tables are not there, as the last part of an error's sentence."""
        if self.recipe:
            return f"run 'archenc data fetch {self.name}'"
        if self.importer:
            return f"get its file from {self.homepage} and run 'archenc data import {self.name} --file FILE'"
        if self.requirement:
            return f"run: pip install --no-deps {self.requirement}"
        return f"see {self.homepage}"


def names() -> list[str]:
    """Names of the data sets that have a manifest, sorted."""
    found = (file.name for file in FOLDER.iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml") and not name.startswith("."))


def remedy_for(table: str) -> str:
    """How to get the table at this path under the data root; empty where no manifest has it."""
    return next((read(name).remedy for name in names() if table in read(name).tables), "")


@lru_cache(maxsize=64)
def read(name: str) -> Manifest:
    """The manifest of a data set.

    Raises:
        UnknownName: there is none of this name.
        CorruptFile: it is not what a manifest must be.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names())}"
        raise UnknownName(f"there is no manifest of a data set {name!r}; {hint}")
    return parse(name, FOLDER.joinpath(f"{name}.yaml").read_bytes())


def parse(name: str, content: bytes) -> Manifest:
    """The manifest in the bytes of ``NAME.yaml``; raises :class:`CorruptFile` for what is not one."""
    where = f"the manifest {name}.yaml"
    if len(content) > MAX_MANIFEST_BYTES:
        raise CorruptFile(f"{where} is larger than {MAX_MANIFEST_BYTES:,} bytes; install archenc again")
    try:
        values = yaml.load(content.decode("utf-8"), Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CorruptFile(f"{where} is not YAML ({' '.join(str(error).split()):.120}); repair it") from None
    known = {*Manifest.__dataclass_fields__, "import"} - {"name", "importer"}
    values = _mapping(values, where, known)
    sources = {
        key: _source(key, _mapping(entry, f"{where}, source {key!r}", set(Source.__dataclass_fields__) - {"name"}), where)
        for key, entry in _mapping(values.get("sources", {}), f"{where}, sources").items()
    }
    tables = _mapping(values.get("tables", {}), f"{where}, tables")
    labels = _mapping(values.get("labels", {}), f"{where}, labels")
    notes = values.get("notes", [])
    if not isinstance(notes, list) or len(notes) > MAX_ENTRIES:
        raise CorruptFile(f"{where}: 'notes' is not a list of at most {MAX_ENTRIES} texts; repair it")
    if not isinstance(values.get("part_of_all", False), bool):
        raise CorruptFile(f"{where}: 'part_of_all' is neither true nor false; repair it")
    return Manifest(
        name=name,
        citation=_text(values, "citation", where, required=True),
        licence=_text(values, "licence", where, required=True),
        homepage=_text(values, "homepage", where, required=True),
        recipe=_text(values, "recipe", where, _FUNCTION),
        importer=_text(values, "import", where, _FUNCTION),
        requirement=_text(values, "requirement", where),
        tables={_relative(path, where): _text(tables, path, where, _SHA256) for path in tables},
        sources=sources,
        part_of_all=values.get("part_of_all", False),
        labels={label: _text(labels, label, where) for label in labels},
        notes=tuple(_text({"notes": note}, "notes", where) for note in notes),
    )


def _source(name: str, values: Mapping[str, Any], where: str) -> Source:
    where = f"{where}, source {name!r}"
    size = values.get("size")
    if type(size) is not int or not 0 < size <= MAX_SOURCE_BYTES:
        raise CorruptFile(f"{where}: 'size' is not a number of bytes up to {MAX_SOURCE_BYTES:,}; state the size of the file")
    source = Source(
        name=name,
        size=size,
        sha256=_text(values, "sha256", where, _SHA256),
        git_blob=_text(values, "git_blob", where, _SHA1),
        repository=_text(values, "repository", where, _REPOSITORY),
        commit=_text(values, "commit", where, _SHA1),
        path=_text(values, "path", where),
        url=_text(values, "url", where, re.compile(r"https://[a-z0-9.-]+/[^?#\s]+")),
        licence=_text(values, "licence", where),
    )
    if not (source.sha256 or source.git_blob):
        raise CorruptFile(f"{where} has no checksum; state its 'sha256', or its 'git_blob'")
    whole = bool(source.repository), bool(source.commit), bool(source.path), bool(source.url)
    if whole not in ((True, True, True, False), (False, False, False, True)):
        raise CorruptFile(f"{where} needs either 'repository', 'commit' and 'path' or 'url'; state one of them")
    _relative(source.key, where)
    return source


def _mapping(value: Any, where: str, known: set[str] | None = None) -> dict[str, Any]:
    if (
        not isinstance(value, dict)
        or not all(isinstance(key, str) and 0 < len(key) <= MAX_TEXT for key in value)
        or len(value) > MAX_ENTRIES
    ):
        raise CorruptFile(f"{where} does not hold at most {MAX_ENTRIES} named values; write lines such as 'name: value'")
    for key in value:
        if known is not None and key not in known:
            raise CorruptFile(f"{where} has an unknown key {key!r}; it may have {', '.join(sorted(known))}")
    return value


def _text(values: Mapping[str, Any], key: str, where: str, form: re.Pattern[str] | None = None, *, required: bool = False) -> str:
    value = values.get(key)
    value = "" if value is None else value
    if not isinstance(value, str) or len(value) > MAX_TEXT or (required and not value):
        raise CorruptFile(f"{where}: {key!r} is not a text of up to {MAX_TEXT:,} characters; repair it (quote what looks like a number)")
    if value and form is not None and not form.fullmatch(value):
        raise CorruptFile(f"{where}: {key!r} is {value!r:.80}, which does not have the form that is needed; correct it")
    return value


def _relative(path: str, where: str) -> str:
    """``path``, if joining it to a folder stays inside that folder on every system."""
    if len(path) > 300 or not all(_PART.fullmatch(part) for part in path.split("/")):
        raise CorruptFile(f"{where}: {path!r:.80} is not a plain relative path; correct it")
    return path
