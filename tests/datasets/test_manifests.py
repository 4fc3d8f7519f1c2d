"""What the manifests say without the data agrees with what the data sets say."""

from __future__ import annotations

import re

import pytest

import archenc
from archenc.datasets import manifest
from archenc.datasets.nasbench201_labels import HARDWARE, TABLE, ZERO_COST
from archenc.errors import DataNotFound
from tests.datasets.test_nasbench201 import FROM_PICKLES


def alternatives(pattern: str) -> set[str]:
    """The labels behind a name such as ``{a,b}/accuracy``."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return {pattern}
    return {label for choice in match[1].split(",") for label in alternatives(pattern[: match.start()] + choice + pattern[match.end() :])}


@pytest.mark.parametrize(
    "name", ["nasbench201", "transnas101-micro", "nasbench-macro", "nasbench301-surrogate", "nasbench201-analog", "nasbench-graph"]
)
def test_labels_licence_and_notes(name: str) -> None:
    known = manifest.read(name)
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
    promised = {label for pattern in manifest.read("nasbench201").labels for label in alternatives(pattern)}
    assert promised == {*TABLE, *ZERO_COST, *HARDWARE} - FROM_PICKLES


@pytest.mark.parametrize("name", ["nasbench201-analog", "nasbench-graph"])
def test_packages_are_pinned(name: str) -> None:
    known = manifest.read(name)
    package, _, version = known.requirement.partition("==")
    assert known.sources["wheel"].url.endswith(f"/{package.replace('-', '_')}-{version}-py3-none-any.whl")
    assert known.sources["wheel"].sha256
    assert not known.recipe
