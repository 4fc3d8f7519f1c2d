"""The mutation operators: they change something, leave the good value as it is, and follow the seed."""

import copy

import numpy as np
import pytest

from tests.mutants import mutate_bytes, mutate_json, mutate_text

GOOD = {
    "text": (mutate_text, '{"a": [1, 2.5, "x"]}'),
    "bytes": (mutate_bytes, b"0123456789abcdef"),
    "json": (mutate_json, {"a": [1, 2.5, "x"], "b": {"c": None, "d": True}}),
    "empty text": (mutate_text, ""),
    "no bytes": (mutate_bytes, b""),
    "a number": (mutate_json, 5),
}


@pytest.mark.parametrize("kind", GOOD)
def test_mutants(kind):
    mutate, good = GOOD[kind]
    before = copy.deepcopy(good)
    first, again = (
        [repr(mutate(good, rng)) for _ in range(500)]
        for rng in (np.random.default_rng(0), np.random.default_rng(0))
    )
    assert first == again, "the same seed gives other mutants"
    assert good == before, "the good value was changed"
    assert len(set(first) - {repr(good)}) > 40, "there are few different mutants"
