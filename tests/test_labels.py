from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from archenc import labels
from archenc.labels import LabelTransform

LABELS = arrays(np.float64, st.integers(2, 30), elements=st.floats(-100, 100).map(lambda v: round(v, 3)))


@pytest.mark.parametrize("kind", ["standardize", "normal-scores", "none"])
@given(y=LABELS)
def test_inverse_undoes_forward_and_order_is_kept(kind, y):
    transform = LabelTransform.fit(kind, y)
    beyond = np.concatenate([y, [y.min() - 5.0, y.max() + 5.0]])
    np.testing.assert_allclose(transform.inverse(transform.forward(beyond)), beyond, atol=1e-6)
    order = np.argsort(beyond, kind="stable")
    assert (np.diff(transform.forward(beyond)[order]) >= 0).all()


def test_normal_scores_depend_on_ranks_only():
    y = np.array([1.0, 2.0, 3.0, 1000.0])
    np.testing.assert_allclose(
        LabelTransform.fit("normal-scores", y).forward(y), LabelTransform.fit("normal-scores", np.log(y)).forward(np.log(y))
    )
    assert LabelTransform.fit("normal-scores", y).forward(y).sum() == pytest.approx(0.0)


def test_standardised_labels_have_mean_0_and_deviation_1():
    y = np.array([90.0, 91.0, 94.0])
    z = LabelTransform.fit("standardize", y).forward(y)
    assert (z.mean(), z.std()) == (pytest.approx(0.0), pytest.approx(1.0))


def test_a_long_lower_tail_does_not_stretch_the_top():
    y = np.concatenate([[10.0], np.linspace(90.0, 94.0, 50)])
    transform = LabelTransform.fit("normal-scores", y)
    assert 94.0 < transform.inverse(np.array([4.0]))[0] < 97.0


@pytest.mark.parametrize("kind", ["standardize", "normal-scores", "none", "fraction"])
def test_each_column_has_a_transform_of_its_own(kind):
    y = np.array([[10.0, 94.0, 3.0], [70.0, 91.0, 3.0], [70.0, 92.5, 3.0], [30.0, 90.0, 3.0]])
    transform = labels.fit(kind, y)
    beyond = np.concatenate([y, y + 7.0])
    for t in range(3):
        alone = LabelTransform.fit(kind, y[:, t])
        np.testing.assert_array_equal(transform.forward(beyond)[:, t], alone.forward(beyond[:, t]))
        np.testing.assert_array_equal(transform.inverse(beyond)[:, t], alone.inverse(beyond[:, t]))
    for fitted, values in ((transform, beyond), (labels.fit(kind, y[:, 0]), beyond[:, 0])):
        np.testing.assert_array_equal(labels.restore(fitted.arrays).forward(values), fitted.forward(values))
