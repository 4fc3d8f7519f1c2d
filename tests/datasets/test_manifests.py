"""What the manifests say without the data agrees with what the data sets say."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import yaml

import archenc
from archenc import list_datasets
from archenc.datasets.nasbench201_labels import HARDWARE, TABLE, ZERO_COST
from archenc.datasets.sources import manifest
from archenc.datasets.sources.manifest import read_manifest
from archenc.errors import ArchencError, CorruptFile, DataNotFound
from tests.bad_input import assert_one_sentence
from tests.datasets.test_nasbench201 import FROM_PICKLES
from tests.mutants import mutate_bytes, mutate_json


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
    ],
)
def test_labels_licence_and_notes(name: str) -> None:
    known = read_manifest(name)
    try:
        dataset = archenc.load_dataset(name)
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
        dataset = archenc.load_dataset(name)
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
    assert manifest.parse("made", yaml.safe_dump(content).encode()).sentences == {**expected, "z": "last"}


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
    good = manifest.FOLDER.joinpath("nasbench101.yaml").read_bytes()
    value = yaml.safe_load(good)
    accepted = 0
    for at in range(count):
        content = mutate_bytes(good, rng) if at % 2 else json.dumps(mutate_json(value, rng)).encode()
        try:
            made = manifest.parse("nasbench101", content)
        except ArchencError as error:
            assert_one_sentence(error)
            continue
        accepted += 1
        assert made.size >= 0
        assert isinstance(made.sentences, dict)
        assert made.remedy
        for source in made.sources.values():
            assert ".." not in source.key.split("/")
            assert source.public_url.startswith("https://")
            assert source.checksum
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
        manifest.parse("mine", f"citation: x\nlicence: y\nhomepage: z\n{line}\n".encode())
    assert_one_sentence(caught.value)
