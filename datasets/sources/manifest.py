"""Manifests: what is known of a data set before a byte of it has been fetched.

``manifests.yaml`` holds one for each data set, by its name. Required are ``citation``, ``licence`` and
``homepage``; the other keys are those of
:class:`Manifest`, with ``import`` for :attr:`Manifest.importer`, and each entry of ``sources`` has the keys
of :class:`Source`::

    nasbench201:
      citation: "Dong, Yang: NAS-Bench-201, ICLR 2020"
      licence: MIT
      homepage: https://github.com/D-X-Y/NAS-Bench-201
      recipe: archenc.datasets.recipes.nasbench201:build
      tables: {nasbench201/table.npz: 0123...}
      sources:
        scores: {repository: OWNER/REPO, commit: 0123..., path: data/scores.csv, size: 3024008,
                 sha256: 0123..., licence: none found}
        records: {url: https://example.org/records.tfrecord, size: 498859226, sha256: 0123...}
      part_of_all: true
      labels:
        "cifar10/{val,test}_accuracy@200/mean":
          "CIFAR-10 {validation,test} accuracy in percent, mean of three seeds"
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta, field

from archenc.errors import CorruptFile, UnknownName, hint
from archenc.files.documents import Name, Record, parse_yaml, record

PUBLIC_HOST = "https://raw.githubusercontent.com"
FILE = files("archenc.datasets").joinpath("manifests.yaml")

MAX_MANIFEST_BYTES = 256 * 2**10
MAX_ENTRIES = 1_000
MAX_SOURCE_BYTES = 4 * 2**30

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"  # of a path: no "..", nothing hidden, nothing that needs quoting
_FEW = Meta(max_length=MAX_ENTRIES, description=f"at most {MAX_ENTRIES:,} named values")


_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")


def _form(pattern: str, description: str) -> Meta:
    return Meta(max_length=300, pattern=rf"\A(?:{pattern})\Z", description=description)


Sentence = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4_000,
        description="a text of up to 4,000 characters, quoted if it is a number",
    ),
]
Sha256 = Annotated[str, _form("[0-9a-f]{64}", "64 hexadecimal digits")]
MaySha256 = Annotated[str, _form("[0-9a-f]{64}|", "64 hexadecimal digits, or nothing")]
Sha1 = Annotated[str, _form("[0-9a-f]{40}", "40 hexadecimal digits")]
Repository = Annotated[str, _form(f"{_PART}/{_PART}", "OWNER/REPO")]
Url = Annotated[str, _form(f"https://[a-z0-9][a-z0-9.-]*(/{_PART})+", "a plain https address")]
Function = Annotated[str, _form(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "module:function")]
Relative = Annotated[str, _form(f"{_PART}(/{_PART})*", "a plain relative path")]
Size = Annotated[
    int, Meta(gt=0, le=MAX_SOURCE_BYTES, description=f"a number of bytes up to {MAX_SOURCE_BYTES:,}")
]


class Source(Record):
    """A public file that never changes: one file of a Git repository at a commit, or one at an https address.

    Attributes:
        name: what the recipe calls it.
        size: exact number of bytes.
        sha256: hexadecimal SHA-256; empty where ``git_blob`` is all that is published.
        git_blob: Git's hexadecimal name of the content, the SHA-1 of ``blob SIZE``, a zero byte and the
            content.
        repository: ``OWNER/REPO`` on GitHub; empty for a file elsewhere.
        commit: the full commit.
        path: the file in the repository.
        url: the https address of a file elsewhere.
        licence: of this file, as found at its source.
    """

    name: Name
    size: Size
    sha256: Sha256 = ""
    git_blob: Sha1 = ""
    repository: Repository = ""
    commit: Sha1 = ""
    path: Relative = ""
    url: Url = ""
    licence: Sentence = ""

    def __post_init__(self) -> None:
        if not (self.sha256 or self.git_blob):
            raise CorruptFile("there is no checksum, neither 'sha256' nor 'git_blob'")
        whole = bool(self.repository), bool(self.commit), bool(self.path), bool(self.url)
        if whole not in ((True, True, True, False), (False, False, False, True)):
            raise CorruptFile("either 'repository', 'commit' and 'path' are needed or 'url'")

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
                digest = (
                    hashlib.sha256()
                    if self.sha256
                    else hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)
                )
                while chunk := stream.read(2**20):
                    digest.update(chunk)
        except OSError:
            return False
        return digest.hexdigest() == (self.sha256 or self.git_blob)


class Manifest(Record):
    """What a data set is, where its files come from and how they become tables.

    Attributes:
        name: the registered name of the data set.
        citation: the paper to cite.
        licence: the licence of the data as stated by its source.
        homepage: the benchmark's public place.
        recipe: ``module:function`` that turns the sources into the tables; empty where nothing is fetched.
        importer: ``module:function`` that turns one file that a user has into the tables; empty where there
            is none.
        requirement: what pip is asked for, where a package brings the tables: ``"nas-bench-graph==1.4.0"``.
        tables: :func:`archenc.files.trusted.content_digest` of all arrays of each table that the recipe
            builds, by its path under the data root; empty where it is not known, as the table is made from a
            file of the user's own or from sources that are pinned themselves. A loader has a digest of the
            arrays that it reads (:attr:`archenc.datasets.sources.tables.Table.digest`).
        sources: the raw files by name.
        part_of_all: whether ``archenc data fetch all`` takes it.
        labels: what each label is, by name. A name may hold alternatives, which the sentence can repeat or
            put in words, as ``"{val,test}_accuracy": "{validation,test} accuracy"`` (:attr:`sentences`).
        other_labels: the same of labels that are not in tables made from the sources, only in some that
            people have.
        notes: what a user must know before quoting a number.
    """

    name: Name
    citation: Sentence
    licence: Sentence
    homepage: Sentence
    recipe: Function = ""
    importer: Function = field(name="import", default="")
    requirement: Sentence = ""
    tables: Annotated[dict[Relative, MaySha256], _FEW] = field(default_factory=dict)
    sources: Annotated[dict[Name, Source], _FEW] = field(default_factory=dict)
    part_of_all: bool = False
    labels: Annotated[dict[Sentence, Sentence], _FEW] = field(default_factory=dict)
    other_labels: Annotated[dict[Sentence, Sentence], _FEW] = field(default_factory=dict)
    notes: Annotated[tuple[Sentence, ...], _FEW] = ()

    @property
    def size(self) -> int:
        """Bytes of all sources together."""
        return sum({source.key: source.size for source in self.sources.values()}.values())

    @property
    def sentences(self) -> dict[str, str]:
        """What each single label is, by its whole name."""
        known = {**self.labels, **self.other_labels}
        return {label: text for item in known.items() for label, text in _each_alternative(*item)}

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


def _each_alternative(name: str, sentence: str) -> Iterator[tuple[str, str]]:
    """Each label behind a name with alternatives, and its sentence.

    Alternatives in the sentence go with those in the name that are the same, else with the next ones of which
    there are as many; those that go with none stay as they are.
    """
    groups = [group.split(",") for group in _ALTERNATIVES.findall(name)]
    texts = [group.split(",") for group in _ALTERNATIVES.findall(sentence)]
    left = [at for at, group in enumerate(groups) if group not in texts]
    places: list[int | None] = []
    for text in texts:
        same = [at for at, group in enumerate(groups) if group == text]
        place = next((at for at in same or left if len(groups[at]) == len(text)), None)
        places.append(place)
        left = [at for at in left if at != place]
    for chosen in product(*(range(len(group)) for group in groups)):
        label = _filled(name, [group[at] for group, at in zip(groups, chosen, strict=True)])
        words = [
            f"{{{','.join(text)}}}" if place is None else text[chosen[place]]
            for text, place in zip(texts, places, strict=True)
        ]
        yield label, _filled(sentence, words)


def _filled(text: str, words: list[str]) -> str:
    """The text with a word in the place of each group of alternatives."""
    rest = iter(words)
    return _ALTERNATIVES.sub(lambda _: next(rest), text)


def manifest_names() -> list[str]:
    """Names of the data sets that have a manifest, sorted."""
    return sorted(read_manifests())


def remedy_for(table: str) -> str:
    """How to get the table at this path under the data root; empty where no manifest has it."""
    return next((known.remedy for known in read_manifests().values() if table in known.tables), "")


def read_manifest(name: str) -> Manifest:
    """The manifest of a data set.

    Raises:
        UnknownName: there is none of this name.
        CorruptFile: a manifest is not what it must be.
    """
    if name not in read_manifests():
        remedy = hint(name, manifest_names(), f"choose one of {', '.join(manifest_names())}")
        raise UnknownName(f"there is no manifest of a data set {name!r}; {remedy}")
    return read_manifests()[name]


@lru_cache(maxsize=1)
def read_manifests() -> dict[str, Manifest]:
    """All manifests, by the names of their data sets; raises :class:`CorruptFile` if one is none."""
    return parse(FILE.read_bytes())


def parse(content: bytes) -> dict[str, Manifest]:
    """The manifests in the bytes of ``manifests.yaml``; raises :class:`CorruptFile` for what are none."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise CorruptFile(f"{FILE.name} is larger than {MAX_MANIFEST_BYTES:,} bytes; install archenc again")
    found = _named(parse_yaml(content, FILE.name), FILE.name)
    return {name: _manifest(name, values) for name, values in found.items()}


def _manifest(name: str, described: Any) -> Manifest:
    where = f"{FILE.name}, data set {name!r}"
    values = _called(name, described, where)
    sources = values.get("sources")
    if isinstance(sources, dict):
        values["sources"] = {
            key: _called(key, source, f"{where}, source {key!r}") for key, source in sources.items()
        }
    return record(values, Manifest, where, "correct it")


def _called(name: str, values: Any, where: str) -> Any:
    """Named values with their own name, which a file does not repeat."""
    if "name" in _named(values, where):
        raise CorruptFile(f"{where}: unknown key 'name'; leave it out")
    return {"name": name, **values}


def _named(values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise CorruptFile(f"{where} does not hold named values; write lines such as 'name: value'")
    return values
