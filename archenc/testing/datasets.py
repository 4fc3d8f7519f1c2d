"""The contract of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from archenc.dataset.loading import load_dataset
from archenc.errors import UnknownName
from archenc.testing.assertions import (
    assert_raises,
    equal,
)


def check_dataset(name: str, **options: Any) -> None:
    """Labels, default label, architectures that belong to the space, splits, provenance and a stable digest.

    Raises:
        DataNotFound: the data set's files are not there.
    """
    dataset = load_dataset(name, **options)
    n = len(dataset)
    assert n > 0, "the data set is empty"
    dataset.space.validate(dataset.graphs)
    some = dataset.graphs[np.linspace(0, n - 1, 5).astype(int)]
    assert equal(dataset.space.parse(dataset.space.format(some)), some), (
        "the architectures do not survive format and parse"
    )
    for label, values in dataset.labels.items():
        assert values.shape == (n,), f"the label {label!r} has shape {values.shape} instead of {(n,)}"
        assert values.dtype == np.float64, f"the label {label!r} is {values.dtype} instead of float64"
        assert np.isfinite(values).any(), f"the label {label!r} has no finite value"
        assert dataset.descriptions.get(label), f"the label {label!r} has no description"
        if "accuracy" in label:
            assert 1.0 < np.nanmax(values) <= 100.0, f"the label {label!r} is an accuracy and not in percent"
    if dataset.labels:
        assert len(dataset.labelled_rows()) > 0, f"the default label {dataset.label!r} has no finite value"
    assert_raises(
        UnknownName, lambda: dataset.with_label("no such label"), "asking for a label that does not exist"
    )
    for split_name, split in dataset.splits.items():
        both = np.concatenate([split.pool, split.test])
        assert len(np.unique(both)) == len(both), f"the split {split_name!r} has an architecture twice"
        assert both.min() >= 0, f"the split {split_name!r} has a negative position"
        assert both.max() < n, f"the split {split_name!r} points outside the data set"
    assert dataset.provenance.citation, "the provenance has no citation"
    assert dataset.provenance.licence, "the provenance says nothing of a licence"
    assert dataset.digest == load_dataset(name, **options).digest, "loading twice gives two digests"
