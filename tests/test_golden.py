"""Golden numbers: hashes, samples and fixed encodings that others may have stored must not change unnoticed.

Where a change is meant, print the new numbers by ``python -m tests.test_golden`` and say in the changelog
that stored ones are void.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.testing import example_spaces

GOLDEN = Path(__file__).parent / "golden.json"
FIXED = ["adjacency", "path", "op-count", "op-onehot", "graf", "graf-plus", "wl"]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def measure(space):
    graphs = space.sample(50, seed=0)
    numbers = {
        "texts": hashlib.sha256("\n".join(space.format(graphs)).encode()).hexdigest()[:16],
        "hashes": digest(graphs.hash()),
    }
    numbers["mutants"] = digest(space.mutate(graphs, seed=0).hash())
    for name in FIXED:
        if archenc.registry.ENCODERS.get(name).unsupported(space) is None:
            for simplify in (False, True):
                encoder = archenc.create_encoder(name, space, simplify=simplify)
                numbers[f"{name}, simplify={simplify}"] = digest(
                    encoder.encode(graphs).round(4)
                )  # some are means
    return numbers


@pytest.mark.parametrize("name", example_spaces())
def test_nothing_that_is_stored_changes(name):
    assert measure(example_spaces()[name]) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    print(json.dumps({name: measure(space) for name, space in example_spaces().items()}, indent=2))
