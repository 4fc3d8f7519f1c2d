"""Standard deviations: what they say, and where they depend on parameters."""

import numpy as np
import pytest

from archenc import Predictor
from archenc.errors import CorruptFile, InvalidParameter
from archenc.heads.boosting import LightGBMHead, XGBoostHead
from archenc.heads.ensemble import MLPEnsembleHead
from archenc.heads.forest import RandomForestHead
from archenc.losses import MSELoss
from archenc.registry import HEADS
from archenc.spaces.cell import CellSpace
from archenc.testing.assertions import assert_deviations
from tests.heads.test_estimators import problem, through_files

SPACE = CellSpace("own", ["conv", "pool"], max_nodes=5)
BAGS = {"bags": 3, "n_estimators": 20}
WITH_DEVIATIONS = {
    "gp": {},
    "grouped-gp": {},
    "dngo": {},
    "mixture": {},
    "random-forest": {"n_estimators": 20},
    "mlp-ensemble": {"epochs": 5},
    "xgboost": BAGS,
    "lightgbm": BAGS,
}
each = pytest.mark.parametrize(("head", "parameters"), WITH_DEVIATIONS.items())


def graphs_and_labels(n=40):
    graphs = SPACE.sample(n, seed=0)
    return graphs, 90 + graphs.adjacency.sum((1, 2)).double().numpy() + np.random.default_rng(0).normal(
        size=n
    )


@each
def test_deviations_survive_a_folder(head, parameters, tmp_path):
    graphs, y = graphs_and_labels()
    predictor = Predictor("adjacency", head, "mse", head_params=parameters, random_state=0).fit(graphs, y)
    assert predictor.head_.has_std
    predictor.save(tmp_path)
    assert_deviations(predictor, Predictor.load(tmp_path), SPACE.sample(30, seed=1))


@each
def test_deviations_are_in_the_units_of_the_labels(head, parameters):
    graphs, y = graphs_and_labels()
    new, deviations = SPACE.sample(30, seed=1), []
    for factor in (1.0, 1024.0):  # exact in binary, so that no tie is decided otherwise
        predictor = Predictor(
            "adjacency", head, "mse", head_params=parameters, label_transform="standardize", random_state=0
        )
        deviations.append(predictor.fit(graphs, factor * y).predict(new, return_std=True)[1])
    np.testing.assert_allclose(deviations[1], 1024 * deviations[0], rtol=1e-6)


@pytest.mark.parametrize("head", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("loss", ["mse", "hinge"])
def test_bags_leave_predictions_as_they_are(head, loss):
    graphs, y = graphs_and_labels()
    plain, bagged = (
        Predictor("adjacency", head, loss, head_params={**BAGS, "bags": bags}, random_state=0).fit(graphs, y)
        for bags in (0, 3)
    )
    scores, deviation = bagged.predict(graphs, return_std=True)
    assert np.array_equal(scores, plain.predict(graphs))
    assert deviation.max() > 0
    with pytest.raises(InvalidParameter, match="'bags': 10"):
        plain.predict(graphs, return_std=True)


@pytest.mark.parametrize(
    ("head", "parameters"), [("mlp-ensemble", {"members": 1, "epochs": 1}), ("ridge", {}), ("xgboost", {})]
)
def test_who_cannot_say_how_sure_it_is_says_so(head, parameters):
    built = HEADS.get(head)(**parameters)
    assert not built.has_std
    z, y = problem(20)
    with pytest.raises(InvalidParameter, match="does not say how sure it is; choose"):
        built.fit(z, y, MSELoss()).predict_distribution(z)


def test_a_single_bag_is_refused():
    with pytest.raises(InvalidParameter, match="give at least 2, or 0"):
        XGBoostHead(bags=1)


@pytest.mark.parametrize("head", [XGBoostHead, LightGBMHead, RandomForestHead])
def test_trees_cover_unseen_labels(head):
    """Two of three labels lie within a deviation where errors are normal; a spread without the noise would
    hold far fewer.
    """
    z, y = problem(400, noise=2.0)
    fitted = head(random_state=0, n_estimators=100, **({} if head is RandomForestHead else {"bags": 5})).fit(
        z[:200], y[:200], MSELoss()
    )
    mean, deviation = fitted.predict_distribution(z[200:])
    assert 0.6 < (np.abs(mean - y[200:]) < deviation).mean() < 0.85


def test_the_variance_of_a_forest_is_that_between_and_within_its_leaves():
    """Oracle: all labels of the training set that reach a leaf, tree by tree, weighted as they were drawn."""
    z, y = np.zeros((60, 2), dtype=np.float32), np.random.default_rng(0).normal(size=60)
    head = RandomForestHead(n_estimators=30, random_state=0).fit(
        z, y, MSELoss()
    )  # no split: each tree is a leaf with its sample
    mean, deviation = head.predict_distribution(z[:1])
    assert mean[0] == pytest.approx(y.mean(), abs=0.1)
    assert deviation[0] == pytest.approx(y.std(), rel=0.1)
    assert head.trees_.value.std() < 0.3 * y.std()  # between the trees alone it would be much less


def test_forests_saved_without_variances_still_load():
    z, y = problem(40)
    head = RandomForestHead(n_estimators=5, random_state=0).fit(z, y, MSELoss())
    arrays, values = head.state()
    older = RandomForestHead().restore(
        {name: array for name, array in arrays.items() if name != "variance"}, values
    )
    assert np.array_equal(older.predict(z), head.predict(z))
    for wrong in (arrays["variance"][1:], -1 - arrays["variance"]):
        with pytest.raises(CorruptFile, match="variance"):
            RandomForestHead().restore({**arrays, "variance": wrong}, values)


@pytest.mark.parametrize("head", [XGBoostHead, LightGBMHead])
def test_bags_are_those_of_the_parameters(head):
    z, y = problem(40)
    fitted = head(random_state=0, **BAGS).fit(z, y, MSELoss())
    arrays, values = fitted.state()
    assert through_files(fitted, head(**BAGS)).takes(z.shape[1])
    for bags in (0, 2, 4):
        with pytest.raises(CorruptFile):
            head(bags=bags, n_estimators=20).restore(arrays, values)


def test_the_ensembles_deviation_is_that_of_its_members():
    z, y = problem(40)
    head = MLPEnsembleHead(members=3, hidden=(6,), epochs=3, random_state=0).fit(z, y, MSELoss())
    alone = []
    for member in range(3):
        one = MLPEnsembleHead(members=1, hidden=(6,))
        one.layers_ = [
            (weights[member : member + 1], biases[member : member + 1]) for weights, biases in head.layers_
        ]
        alone.append(one.predict(z))
    np.testing.assert_allclose(head.predict_distribution(z)[1], np.std(alone, axis=0), atol=1e-6)
