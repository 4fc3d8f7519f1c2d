"""Manifests: they agree with what the data sets say, and what is none is refused."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from archenc import list_datasets, load_dataset
from archenc.datasets.nasbench201 import HARDWARE, TABLE, ZERO_COST
from archenc.datasets.sources import manifest
from archenc.datasets.sources.manifest import Manifest, manifest_names, read_manifest
from archenc.errors import ArchencError, CorruptFile, DataNotFound
from tests.bad_input import assert_one_sentence
from tests.datasets.made_up import COMMIT, FIRST, SECOND, described, source
from tests.datasets.test_nasbench201 import FROM_PICKLES
from tests.mutants import mutate_bytes, mutate_json


def parse(values: dict[str, Any]) -> Manifest:
    """The manifest with these named values."""
    return manifest.parse(yaml.safe_dump({"made": values}, sort_keys=False).encode())["made"]


def alternatives(pattern: str) -> set[str]:
    """The labels behind a name such as ``{a,b}/accuracy``."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return {pattern}
    return {
        label
        for choice in match[1].split(",")
        for label in alternatives(pattern[: match.start()] + choice + pattern[match.end() :])
    }


@pytest.mark.parametrize(
    "name",
    [
        "nasbench201",
        "transnas101-micro",
        "nasbench-macro",
        "nasbench301-surrogate",
        "nasbench201-analog",
        "nasbench-graph",
        "hwgpt-s",
        "hwgpt-l",
    ],
)
def test_labels_licence_and_notes(name: str) -> None:
    known = read_manifest(name)
    try:
        dataset = load_dataset(name)
    except DataNotFound as missing:
        pytest.skip(str(missing))
    promised = [label for pattern in known.labels for label in alternatives(pattern)]
    assert len(promised) == len(set(promised)), "no label is described twice"
    assert set(promised) == set(dataset.labels) - FROM_PICKLES
    assert len(known.notes) > 0
    assert dataset.provenance.notes[: len(known.notes)] == known.notes
    assert (dataset.provenance.citation, dataset.provenance.licence) == (known.citation, known.licence)


def test_the_labels_of_nasbench201_are_those_of_the_tables_that_are_fetched() -> None:
    promised = {label for pattern in read_manifest("nasbench201").labels for label in alternatives(pattern)}
    assert promised == {*TABLE, *ZERO_COST, *HARDWARE} - FROM_PICKLES


@pytest.mark.parametrize("name", list_datasets())
def test_every_label_has_a_sentence(name: str) -> None:
    try:
        dataset = load_dataset(name)
    except (ArchencError, TypeError) as reason:  # not here, or a table of one's own
        pytest.skip(str(reason))
    assert list(dataset.descriptions) == list(dataset.labels)
    assert not [text for text in dataset.descriptions.values() if "{" in text]


@pytest.mark.parametrize(
    ("label", "sentence", "expected"),
    [
        ("a", "one", {"a": "one"}),
        ("{a,b}/c", "the same", {"a/c": "the same", "b/c": "the same"}),
        ("{a,b}/c", "{first,second} of c", {"a/c": "first of c", "b/c": "second of c"}),
        ("{a,b}/c", "{b,a} of c", {"a/c": "b of c", "b/c": "a of c"}),
        ("{a,b}", "{a,b}, as {a,b}", {"a": "a, as a", "b": "b, as b"}),
        (
            "{a,b}{1,2,3}",
            "{x,y,z} of {a,b}",
            {f"{p}{k}": f"{'xyz'[k - 1]} of {p}" for p in "ab" for k in (1, 2, 3)},
        ),
        ("{a,b}/{c,d}", "{c,d} of {A,B}", {f"{p}/{q}": f"{q} of {p.upper()}" for p in "ab" for q in "cd"}),
        (
            "{a,b}/{c,d}",
            "{A,B} of {C,D}",
            {f"{p}/{q}": f"{p.upper()} of {q.upper()}" for p in "ab" for q in "cd"},
        ),
        ("a", "a set {1,2}", {"a": "a set {1,2}"}),
    ],
)
def test_alternatives_in_a_sentence_go_with_those_of_the_label(
    label: str, sentence: str, expected: dict[str, str]
) -> None:
    content = {
        "citation": "c",
        "licence": "l",
        "homepage": "h",
        "labels": {label: sentence},
        "other_labels": {"z": "last"},
    }
    assert parse(content).sentences == {**expected, "z": "last"}


@pytest.mark.parametrize("name", ["nasbench201-analog", "nasbench-graph"])
def test_packages_are_pinned(name: str) -> None:
    known = read_manifest(name)
    package, _, version = known.requirement.partition("==")
    assert known.sources["wheel"].url.endswith(f"/{package.replace('-', '_')}-{version}-py3-none-any.whl")
    assert known.sources["wheel"].sha256
    assert not known.recipe


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_mutants_are_refused_or_usable(count: int) -> None:
    rng = np.random.default_rng(0)
    value = {"nasbench101": yaml.safe_load(manifest.FILE.read_bytes())["nasbench101"]}
    good = yaml.safe_dump(value).encode()
    accepted = 0
    for at in range(count):
        content = mutate_bytes(good, rng) if at % 2 else json.dumps(mutate_json(value, rng)).encode()
        try:
            found = manifest.parse(content)
        except ArchencError as error:
            assert_one_sentence(error)
            continue
        accepted += 1
        for made in found.values():
            assert made.size >= 0
            assert isinstance(made.sentences, dict)
            assert made.remedy
            for file in made.sources.values():
                assert ".." not in file.key.split("/")
                assert file.public_url.startswith("https://")
                assert file.checksum
    assert 0 < accepted < count


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("tables: {a.npz: '', a.npz: ''}", "'a.npz' stands twice"),
        ("recipe: !!python/name:os.system", "a tag"),
        ("labels: &x {}", "anchors and aliases"),
        ("name: other", "unknown key 'name'"),
        ("homepages: x", "unknown key 'homepages'; did you mean 'homepage'"),
        (
            "sources: {a: {name: b, size: 1, url: 'https://x.org/a', git_blob: " + "'" + "0" * 40 + "'}}",
            "unknown key 'name'",
        ),
        (
            "sources: {a: {size: 1, url: 'https://../a', git_blob: " + "'" + "0" * 40 + "'}}",
            "'url' in 'sources.a'",
        ),
        (
            "sources: {a: {size: 1, url: 'https://x.org/../a', git_blob: " + "'" + "0" * 40 + "'}}",
            "'url' in 'sources.a'",
        ),
    ],
)
def test_a_manifest_is_refused_with_the_place(line: str, part: str) -> None:
    with pytest.raises(CorruptFile, match=part) as caught:
        manifest.parse(f"mine:\n  citation: x\n  licence: y\n  homepage: z\n  {line}\n".encode())
    assert_one_sentence(caught.value)


# -- what is refused -----------------------------------------------------------------------------------------

GOOD = source(FIRST, "first.txt")
MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "no citation": ({"citation": None}, "'citation'"),
    "citation is a number": ({"citation": 2020}, "'citation'"),
    "unknown key": ({"homepages": "x"}, "unknown key 'homepages'"),
    "too long": ({"licence": "x" * 5000}, "'licence'"),
    "recipe is a command": ({"recipe": "rm -r"}, "'recipe'"),
    "notes are a text": ({"notes": "x"}, "'notes'"),
    "note is a number": ({"notes": [1]}, "'notes'"),
    "part_of_all is a text": ({"part_of_all": "yes"}, "'part_of_all'"),
    "tables are a list": ({"tables": ["a"]}, "tables"),
    "table outside the data root": ({"tables": {"../a.npz": "0" * 64}}, "not a plain relative path"),
    "absolute table": ({"tables": {"/a.npz": "0" * 64}}, "not a plain relative path"),
    "short digest": ({"tables": {"a.npz": "0" * 63}}, "a.npz"),
    "source without size": ({"sources": {"a": {k: v for k, v in GOOD.items() if k != "size"}}}, "'size'"),
    "source of text size": ({"sources": {"a": GOOD | {"size": "5"}}}, "'size'"),
    "huge source": ({"sources": {"a": GOOD | {"size": 10**12}}}, "'size'"),
    "source without checksum": (
        {"sources": {"a": {k: v for k, v in GOOD.items() if k != "sha256"}}},
        "no checksum",
    ),
    "upper-case checksum": ({"sources": {"a": GOOD | {"sha256": "A" * 64}}}, "'sha256'"),
    "branch for a commit": ({"sources": {"a": GOOD | {"commit": "main"}}}, "'commit'"),
    "repository and url": ({"sources": {"a": GOOD | {"url": "https://example.org/a"}}}, "either"),
    "no place": ({"sources": {"a": {"size": 1, "sha256": "0" * 64}}}, "either"),
    "path that climbs": ({"sources": {"a": GOOD | {"path": "../../a"}}}, "not a plain relative path"),
    "http": ({"sources": {"a": {"size": 1, "sha256": "0" * 64, "url": "http://example.org/a"}}}, "'url'"),
    "source is a text": ({"sources": {"a": "https://example.org/a"}}, "'a'"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_manifest_is_refused(case: str) -> None:
    changes, message = MALFORMED[case]
    with pytest.raises(CorruptFile, match=message) as caught:
        parse(described(**changes))
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("content", [b"a: [", b"\xff", b"- a", b"", b"x" * 300_000, b"[" * 200])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptFile) as caught:
        manifest.parse(content)
    assert_one_sentence(caught.value)


def test_keys_and_addresses() -> None:
    made = parse(described())
    assert made.sources["first"].key == f"someone/numbers/{COMMIT}/first.txt"
    assert (
        made.sources["first"].public_url
        == f"https://raw.githubusercontent.com/someone/numbers/{COMMIT}/first.txt"
    )
    assert made.size == len(FIRST) + len(SECOND)
    elsewhere = {"a": {"url": "https://example.org/deep/a.zip", "size": 1, "git_blob": "0" * 40}}
    source = parse(described(sources=elsewhere)).sources["a"]
    assert source.key == "example.org/deep/a.zip"
    assert source.public_url == "https://example.org/deep/a.zip"


@pytest.mark.parametrize("name", manifest_names())
def test_a_published_manifest_is_in_order(name: str) -> None:
    published = read_manifest(name)
    assert name in list_datasets()
    assert bool(published.tables) == bool(published.recipe or published.importer)
    assert bool(published.recipe) or not published.part_of_all
    for reference in filter(None, (published.recipe, published.importer)):
        module_name, _, function = reference.partition(":")
        assert callable(getattr(importlib.import_module(module_name), function))
    if published.part_of_all:
        assert published.size < 100 * 2**20


@pytest.mark.parametrize("name", [name for name in manifest_names() if read_manifest(name).labels])
def test_the_labels_in_a_manifest_are_those_of_the_data_set(data_root: Path, name: str) -> None:
    try:
        dataset = load_dataset(name)
    except DataNotFound as reason:
        pytest.skip(str(reason))
    assert {each for label in read_manifest(name).labels for each in alternatives(label)} <= set(
        dataset.labels
    )
    assert dataset.provenance.citation == read_manifest(name).citation
