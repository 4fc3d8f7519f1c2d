"""What a predictor is given and keeps: labels and graphs of any kind, parameters that change after fitting,
fits that fail.
"""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_regressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

import archenc
from archenc.dataset import ArchDataset
from archenc.errors import ArchencError, InvalidArchitecture, InvalidParameter, InvalidTable, NotFitted
from archenc.metrics import METRICS, evaluate, kendall_tau, metric
from archenc.predictor import Predictor
from archenc.registry import LOSSES
from tests.bad_input import assert_one_sentence

SPACE = archenc.create_space("nasbench201")
GRAPHS = SPACE.sample(40, 0)
OTHERS = SPACE.sample(5, 1)
Y = np.linspace(1.0, 5.0, 40)


def ridge(**parameters):
    return Predictor("op-count", "ridge", "mse", random_state=0, **parameters)


def refused(call, error=ArchencError):
    with pytest.raises(error) as caught:
        call()
    assert_one_sentence(caught.value)


# -- labels --------------------------------------------------------------------------------------------------


class Column:
    """What pandas' Series looks like to numpy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __len__(self):
        return len(self.values)


@pytest.mark.parametrize(
    "y",
    [
        list(Y),
        tuple(Y),
        iter(Y),
        (value for value in Y),
        Column(Y),
        np.ma.masked_array(Y, mask=False),
        torch.tensor(Y, requires_grad=True),
        [torch.tensor(value, requires_grad=True) for value in Y],
        Y.astype(object),
        [Fraction(value) for value in Y],
        np.asfortranarray(Y[::-1])[::-1],
    ],
    ids=lambda y: type(y).__name__,
)
def test_labels_that_are_numbers_are_taken(y):
    np.testing.assert_allclose(ridge().fit(GRAPHS, y).predict(OTHERS), ridge().fit(GRAPHS, Y).predict(OTHERS))


@pytest.mark.parametrize(
    "y",
    [torch.tensor(Y, dtype=torch.bfloat16), Y > 2, Y.astype(np.float16), Y.astype(np.int8)],
    ids=lambda y: str(y.dtype),
)
def test_labels_of_few_digits_are_taken_for_what_they_are(y):
    exact = np.asarray(y.double() if isinstance(y, torch.Tensor) else y, dtype=float)
    np.testing.assert_array_equal(
        ridge().fit(GRAPHS, y).predict(OTHERS), ridge().fit(GRAPHS, exact).predict(OTHERS)
    )


NO_NUMBERS = {
    "masked": np.ma.masked_array(np.where(Y > 4, -999, Y), mask=Y > 4),
    "complex": Y + 1j,
    "complex tensor": torch.tensor(Y + 1j),
    "dates": np.arange(40).astype("datetime64[D]"),
    "durations": np.arange(40).astype("timedelta64[D]"),
    "text": [str(value) for value in Y],
    "objects": np.array(["x", *Y[1:]], dtype=object),
    "None": [None, *Y[1:]],
    "ragged": [[1.0], *[[1.0, 2.0]] * 39],
    "no array": None,
    "a set": set(Y),
    "a dict": dict.fromkeys(range(40), 1.0),
    "one number": 3.0,
    "huge": [10**400, *Y[1:]],
    "meta": torch.empty(40, device="meta"),
    "three axes": np.ones((40, 1, 1)),
    "too large": np.full(40, np.inf),
}


@pytest.mark.parametrize("y", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_labels_that_are_none_are_refused(y):
    refused(lambda: ridge().fit(GRAPHS, y), InvalidTable)
    refused(lambda: ridge().fit(GRAPHS, Y).score(GRAPHS, y), InvalidTable)
    refused(
        lambda: ArchDataset("own", GRAPHS, {"accuracy": y}, "accuracy"), InvalidTable
    ) if y is not NO_NUMBERS["too large"] else None


@pytest.mark.parametrize("name", [*METRICS])
def test_metrics_take_and_refuse_the_same(name):
    measure = metric(name)
    assert measure(torch.tensor(Y, requires_grad=True), iter(Y)) == measure(Y, Y)
    for y in NO_NUMBERS.values():
        refused(lambda y=y: measure(y, Y), InvalidTable)
        refused(lambda y=y: measure(Y, y), InvalidTable)


def test_metrics_of_other_shapes():
    for wrong in (Y[:-1], Y[:, None], [], np.stack([Y, Y])):
        refused(lambda wrong=wrong: kendall_tau(Y, wrong), InvalidTable)
    refused(lambda: evaluate(Y, Y, [5]))


def test_labels_too_large_for_the_arithmetic_do_not_end_in_nan():
    for scale in (3e307, 1e101, 1e17, 1e-308, 1e-323):
        for transform in ("standardize", "normal-scores", "none"):
            refused(lambda s=scale, t=transform: ridge(label_transform=t).fit(GRAPHS, Y * s), InvalidTable)
    for scale in (1e14, 1e-25):
        assert np.isfinite(ridge().fit(GRAPHS, Y * scale).predict(OTHERS)).all()


def test_a_training_that_goes_astray_ends_in_a_sentence():
    refused(
        lambda: Predictor("op-count", loss="mse", epochs=3, lr=1e30, random_state=0).fit(GRAPHS, Y),
        InvalidParameter,
    )


# -- graphs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x", [None, 5.5, "text", ["text"], np.ones((40, 3)), torch.ones(40), {}, object(), Predictor, lambda: 0]
)
def test_anything_but_graphs_is_refused_everywhere(x):
    fitted, encoder = ridge().fit(GRAPHS, Y), archenc.create_encoder("gcn", SPACE)
    calls = [
        lambda: fitted.fit(x, Y),
        lambda: fitted.predict(x),
        lambda: fitted.embed(x),
        lambda: fitted.score(x, Y),
    ]
    calls += [
        lambda: encoder.encode(x),
        lambda: encoder(x),
        lambda: encoder.prepare(x),
        lambda: ArchDataset("own", x, {}, ""),
    ]
    for call in calls:
        refused(call, InvalidArchitecture)


@pytest.mark.parametrize("encoder", ["op-count", "path", "adjacency", "wl", "gcn"])
def test_simplified_graphs_are_not_scored_as_plain_ones(encoder, tmp_path):
    simple = SPACE.simplify(OTHERS)
    plain = Predictor(encoder, "ridge", "mse", epochs=1, random_state=0).fit(GRAPHS, Y)
    refused(lambda: plain.predict(simple), InvalidTable)
    refused(lambda: Predictor.load(plain.save(tmp_path)).predict(simple), InvalidTable)
    of_simple = Predictor(encoder, "ridge", "mse", epochs=1, random_state=0).fit(SPACE.simplify(GRAPHS), Y)
    refused(lambda: of_simple.embed(OTHERS), InvalidTable)
    both = Predictor(encoder, "ridge", "mse", simplify=True, epochs=1, random_state=0).fit(GRAPHS, Y)
    np.testing.assert_array_equal(both.predict(simple), both.predict(OTHERS))


# -- what was fitted -----------------------------------------------------------------------------------------

CHANGES = [
    {"loss": "mse"},
    {"encoder": "gcn"},
    {"head": "ridge"},
    {"simplify": True},
    {"label_transform": "none"},
    {"encoder_params": {"layers": [4]}},
    {"device": "cuda:99"},
    {"random_state": 5, "epochs": 0},
    {"pretrained": "nowhere"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_parameters_that_change_after_fitting_do_not_change_what_was_fitted(change, tmp_path):
    fitted = Predictor("gates", epochs=2, encoder_params={"layers": [8]}, random_state=0).fit(GRAPHS, Y)
    before = fitted.predict(OTHERS)
    fitted.set_params(**change)
    np.testing.assert_array_equal(fitted.predict(OTHERS), before)
    loaded = Predictor.load(fitted.save(tmp_path))
    np.testing.assert_array_equal(loaded.predict(OTHERS), before)
    assert loaded.fitted_params_ == fitted.fitted_params_


def test_a_fit_that_fails_leaves_what_was_fitted(tmp_path):
    fitted = Predictor("gates", epochs=2, encoder_params={"layers": [8]}, random_state=0).fit(GRAPHS, Y)
    before, attributes = fitted.predict(OTHERS), set(vars(fitted))

    def stop(epoch, predictor):
        raise KeyboardInterrupt

    graphs101 = archenc.create_space("nasbench101").sample(40, 0)
    refused(lambda: fitted.set_params(loss="no-such-loss").fit(graphs101, Y))
    refused(lambda: fitted.set_params(loss="mse", head="gp", head_params={"kernel": "x"}).fit(graphs101, Y))
    with pytest.raises(KeyboardInterrupt):
        fitted.set_params(loss="hinge", head="mlp", head_params=None).fit(graphs101, Y, on_epoch_end=stop)
    np.testing.assert_array_equal(fitted.predict(OTHERS), before)
    np.testing.assert_array_equal(Predictor.load(fitted.save(tmp_path)).predict(OTHERS), before)
    assert set(vars(fitted)) == attributes
    fitted.set_params(encoder="op-count", encoder_params=None, head="ridge", loss="mse").fit(GRAPHS, Y)
    assert not hasattr(fitted, "network_"), "something of the fit before stays behind"


def test_a_first_fit_that_fails_leaves_it_unfitted():
    predictor = ridge(head_params={"alpha": -1})
    refused(lambda: predictor.fit(GRAPHS, Y), InvalidParameter)
    with pytest.raises(NotFitted):
        predictor.predict(GRAPHS)


def test_numbers_of_numpy_become_plain_ones(tmp_path):
    search = GridSearchCV(
        Predictor("op-count", random_state=0), {"epochs": np.array([2, 3]), "lr": np.array([0.1])}, cv=2
    ).fit(GRAPHS, Y)
    best = search.best_estimator_
    assert type(best.fitted_params_["epochs"]) is int
    np.testing.assert_array_equal(Predictor.load(best.save(tmp_path)).predict(OTHERS), best.predict(OTHERS))
    layers = {"layers": np.array([8, 8]), "op_dim": np.int64(4)}
    odd = Predictor(
        "gates", encoder_params=layers, epochs=np.int8(2), simplify=np.True_, random_state=np.uint32(3)
    ).fit(GRAPHS, Y)
    np.testing.assert_array_equal(Predictor.load(odd.save(tmp_path)).predict(OTHERS), odd.predict(OTHERS))


@pytest.mark.parametrize(
    "random_state", [None, 0, 2**32 - 1, np.int64(3), np.random.RandomState(0), np.random.default_rng(0)]
)
@pytest.mark.parametrize("head", ["mlp", "ridge", "lightgbm"])
def test_random_states_that_all_parts_take(random_state, head, tmp_path):
    few = {"n_estimators": 3} if head == "lightgbm" else None
    fitted = Predictor("op-count", head, "mse", head_params=few, epochs=1, random_state=random_state).fit(
        GRAPHS, Y
    )
    np.testing.assert_array_equal(
        Predictor.load(fitted.save(tmp_path)).predict(OTHERS), fitted.predict(OTHERS)
    )


@pytest.mark.parametrize(
    "parameters",
    [
        *[{"random_state": state} for state in (-1, 2**32, 0.0, "x", True, [1])],
        *[{"encoder": name} for name in (None, 5, "")],
        *[
            {"encoder_params": wrong}
            for wrong in ("x", [1], {1: 2}, {"simplify": True}, {"name": 1}, {"space": 1}, {"self": 1})
        ],
        *[{"device": wrong} for wrong in (5, "", "meta", "cuda:99", None)],
        *[{"pretrained": wrong} for wrong in (5, [], "no-such-weights")],
        *[{name: wrong} for name in ("simplify", "fine_tune", "progress") for wrong in (None, 1, "yes")],
        *[
            {name: float("nan")}
            for name in (
                "epochs",
                "batch_size",
                "lr",
                "weight_decay",
                "gradient_clip",
                "ema",
                "label_transform",
            )
        ],
        {"epochs": 10**400},
    ],
)
def test_parameters_of_a_predictor_that_make_no_sense(parameters):
    refused(lambda: Predictor(**{"encoder": "gates", "epochs": 1, **parameters}).fit(GRAPHS, Y))


# -- training that does nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", archenc.list_losses())
def test_batches_of_one(loss):
    head = "comparator" if loss == "comparator" else "mlp"
    predictor = Predictor("op-count", head, loss, epochs=1, batch_size=1, random_state=0)
    if not LOSSES.get(loss).ranks:
        predictor.fit(GRAPHS, Y)
    else:
        refused(lambda: predictor.fit(GRAPHS, Y), InvalidParameter)
    predictor.set_params(batch_size=3).fit(GRAPHS[:4], Y[:4])  # one is left over


@pytest.mark.parametrize("loss", archenc.list_losses())
def test_labels_that_are_all_equal(loss):
    predictor = Predictor(
        "op-count", "comparator" if loss == "comparator" else "mlp", loss, epochs=1, random_state=0
    )
    if not LOSSES.get(loss).ranks:
        assert np.isfinite(predictor.fit(GRAPHS, np.full(40, 3.0)).predict(OTHERS)).all()
    else:
        refused(lambda: predictor.fit(GRAPHS, np.full(40, 3.0)), InvalidTable)


# -- habits of scikit-learn ----------------------------------------------------------------------------------


def test_it_is_a_regressor_to_scikit_learn():
    assert is_regressor(Predictor())
    parts = [("few", ridge()), ("many", ridge(simplify=True))]
    voting = VotingRegressor(parts).fit(GRAPHS, Y)
    np.testing.assert_allclose(
        voting.predict(OTHERS), np.mean([p.fit(GRAPHS, Y).predict(OTHERS) for _, p in parts], axis=0)
    )
    assert StackingRegressor(parts, Ridge(), cv=2).fit(GRAPHS, Y).predict(OTHERS).shape == (5,)


def test_not_fitted_is_scikit_learns():
    for use in (
        lambda: Predictor().predict(GRAPHS),
        lambda: Predictor().embed(GRAPHS),
        lambda: Predictor().save("nowhere"),
    ):
        with pytest.raises(NotFittedError) as caught:
            use()
        assert isinstance(caught.value, NotFitted)
        assert_one_sentence(caught.value)


def test_errors_do_not_import_scikit_learn():
    import subprocess

    code = (
        "import sys, archenc.errors, archenc; assert 'sklearn' not in sys.modules; from archenc.errors "
        "import NotFitted"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cloning_and_unknown_parameters():
    predictor = ridge(head_params={"alpha": 2.0}).fit(GRAPHS, Y)
    twin = clone(predictor)
    assert twin.get_params() == predictor.get_params()
    assert not hasattr(twin, "head_")
    assert "alpha" in repr(twin)
    with pytest.raises(ValueError, match="Invalid parameter"):
        predictor.set_params(no_such=1)
