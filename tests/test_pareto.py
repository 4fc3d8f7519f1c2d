"""Fronts of several objectives."""

from __future__ import annotations

import numpy as np
import pytest

from archenc.search.pareto import crowding, leading
from tests.few_cells import dominated


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("ties", [False, True])
def test_fronts_are_those_of_the_definition(columns, ties):
    values = np.random.default_rng(1).random((60, columns))
    values = np.round(3 * values) if ties else values
    positions, fronts = leading(values, 60)
    assert sorted(positions) == list(range(60))
    if columns == 1:
        assert (np.diff(values[positions, 0]) <= 0).all()
        return
    left = np.arange(60)
    for front in range(1, fronts.max() + 1):
        expected = [at for at in left if not dominated(values[left], values[at])]
        assert sorted(positions[fronts == front]) == expected
        assert (np.diff(values[positions[fronts == front], 0]) <= 0).all()
        left = np.setdiff1d(left, expected)
    first, count = positions[fronts == 1], int((fronts == 1).sum())
    few, _ = leading(values, max(count - 1, 1))
    assert set(few) <= set(first)


def test_the_least_crowded_of_a_front_are_taken():
    values = np.array([[0.0, 10.0], [1.0, 9.0], [1.1, 8.9], [1.2, 8.8], [6.0, 4.0], [10.0, 0.0]])
    assert crowding(values).tolist()[0] == crowding(values).tolist()[-1] == np.inf
    assert leading(values, 3)[0].tolist() == [5, 4, 0]
    assert len(leading(values, 0)[0]) == 0
    assert not crowding(np.ones((4, 2))).any()
