"""Side information: numbers known of each architecture, from a table or an array to the predictor."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.impute import SimpleImputer

import archenc
from archenc import Predictor, load_dataset
from archenc.dataset import ArchDataset
from archenc.errors import CorruptFile, InvalidParameter, InvalidTable, UnknownName
from archenc.graphs import concatenate
from archenc.heads.grouped_gp import GroupedGaussianProcessHead
from archenc.losses import MSELoss
from archenc.metrics import kendall_tau
from archenc.testing.assertions import equal
from archenc.training.side_information import SideInformation
from tests.bad_input import assert_one_sentence
from tests.shared import SPACES
from tests.test_graphs import INDICES

NB201 = archenc.create_space("nasbench201")
NAN = np.nan


def known(name, n=10):
    """Graphs of which their number and its negative are known."""
    return (
        SPACES[name].sample(n, 0).with_architecture_features(np.stack([np.arange(n), -np.arange(n)], axis=1))
    )


# -- with the graphs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "two inputs", "parallel"])
@pytest.mark.parametrize("kind", INDICES)
def test_it_is_indexed_with_the_architectures_whatever_their_cells(name, kind):
    index, positions = INDICES[kind]
    assert known(name)[index].architecture_features[:, 0].tolist() == positions


@pytest.mark.parametrize("name", SPACES)
def test_it_goes_through_changes_of_form_and_is_no_part_of_an_architecture(name):
    graphs = known(name)
    space, plain = graphs.space, graphs.with_architecture_features(None)
    assert (
        graphs.num_architecture_features,
        plain.num_architecture_features,
        plain.architecture_features,
    ) == (2, 0, None)
    for form in (
        space.node_form(graphs),
        space.simplify(graphs),
        graphs.to("cpu"),
        concatenate([graphs[:4], graphs[4:4], graphs[4:]]),
    ):
        assert torch.equal(form.architecture_features, graphs.architecture_features)
    assert (graphs.hash() == plain.hash()).all()
    assert space.format(graphs) == space.format(plain)
    assert equal(graphs, plain)
    assert space.mutate(graphs, 0).architecture_features is None, "the parents' numbers are not the mutants'"


def test_large_numbers_stay_exact_and_a_single_column_needs_no_axis():
    graphs = NB201.sample(2).with_architecture_features([123_456_789, NAN])
    assert graphs.architecture_features.shape == (2, 1)
    assert graphs.architecture_features[0, 0] == 123_456_789


@pytest.mark.parametrize(
    "values",
    [np.ones((3, 0)), np.ones((2, 1)), np.ones((3, 1, 1)), 1.0, [[1], [np.inf], [2]], ["a", "b", "c"]],
)
def test_what_is_no_side_information_is_refused(values):
    with pytest.raises(InvalidParameter) as caught:
        NB201.sample(3).with_architecture_features(values)
    assert_one_sentence(caught.value)


def test_all_or_none_of_concatenated_graphs_have_it():
    graphs = known("nasbench201")
    for other in (graphs.with_architecture_features(None), graphs.with_architecture_features(np.ones(10))):
        with pytest.raises(InvalidParameter, match="with_architecture_features") as caught:
            concatenate([graphs, other])
        assert_one_sentence(caught.value)


# -- in a data set -------------------------------------------------------------------------------------------


def dataset(n=30, seed=0):
    """Cells whose accuracy depends on their convolutions and on luck, which early accuracies show, too."""
    graphs, rng = NB201.sample(n, seed), np.random.default_rng(seed)
    y = 50.0 + 5 * (graphs.ops == 4).sum((1, 2)).numpy() + 10 * rng.normal(size=n)
    labels = {
        "acc": y,
        "early": y / 2 + rng.normal(size=n),
        "empty": np.full(n, NAN),
        "constant": np.full(n, 0.1),
        "leak": y.copy(),
    }
    return ArchDataset("own", graphs, labels, "acc")


def test_labels_become_side_information():
    plain = dataset()
    told = plain.with_architecture_features(["early", "acc"])
    assert told.architecture_features == ("early", "acc")
    assert np.array_equal(told[[3, 1]].graphs.architecture_features[:, 0], plain.labels["early"][[3, 1]])
    assert len({plain.digest, told.digest, plain.with_architecture_features("early").digest}) == 3
    assert told.with_architecture_features([]).digest == plain.digest
    with pytest.raises(UnknownName, match="did you mean 'early'"):
        plain.with_architecture_features("earli")


def test_twins_have_the_mean_of_what_is_known():
    graphs = concatenate([NB201.sample(3, 0)[[2, 0, 1]], NB201.sample(3, 0)])
    data = ArchDataset(
        "own",
        graphs.with_architecture_features([[1, NAN], [2, 7], [3, NAN], [4, 6], [5, NAN], [6, NAN]]),
        {},
        "",
    )
    values = data.deduplicated("mean").graphs.architecture_features.numpy()
    np.testing.assert_array_equal(values, [[3.5, NAN], [3, 6.5], [4, NAN]])
    assert data.deduplicated("first").graphs.architecture_features[:, 0].tolist() == [1, 2, 3]


def test_the_table_loader_takes_columns_by_name(tmp_path):
    first, second = NB201.format(NB201.sample(2, 0))
    path = tmp_path / "runs.csv"
    path.write_text(f'arch,flops,accuracy,zc\n"{first}",10,90,\n"{second}",20,80,0.5\n"{first}",30,92,0.7\n')
    data = load_dataset(
        "table", path=path, space="nasbench201", architecture_features=["zc", "flops"], duplicates="mean"
    )
    assert data.label == "accuracy", "what is side information is no label"
    assert data.y.tolist() == [91, 80]
    assert data.graphs.architecture_features.tolist() == [[0.7, 20], [0.5, 20]]
    assert data.architecture_features == ("zc", "flops")
    both = load_dataset(
        "table",
        path=path,
        space="nasbench201",
        architecture_features="flops",
        labels=["accuracy", "flops"],
        duplicates="keep",
    )
    assert list(both.labels) == ["accuracy", "flops"]
    assert np.array_equal(both.graphs.architecture_features[:, 0], both.labels["flops"])


@pytest.mark.parametrize(
    ("column", "part"),
    [("flop", "did you mean 'flops'"), ("note", "not a finite number"), ("huge", "infinite or beyond")],
)
def test_columns_that_are_no_side_information(tmp_path, column, part):
    path = tmp_path / "runs.csv"
    path.write_text(f'arch,flops,note,huge,accuracy\n"{NB201.format(NB201.sample(1))[0]}",10,fast,1e300,90\n')
    with pytest.raises((InvalidTable, InvalidParameter), match=part) as caught:
        load_dataset("table", path=path, space="nasbench201", architecture_features=[column])
    assert_one_sentence(caught.value)


# -- what is learnt about it ---------------------------------------------------------------------------------


def side(columns):
    columns = np.array(columns, dtype=float).T
    return NB201.sample(len(columns), 0).with_architecture_features(columns)


def test_columns_are_ranked_filled_and_marked_where_there_are_gaps():
    """Oracle: scikit-learn's imputer on the ranks' normal quantiles, which are linear between two values."""
    columns = [
        [1e9, 3e9, 2e9, 5e9, 4e9],
        [7, NAN, 7, 9, -1e8],
        [NAN] * 5,
        [0.3, 0.3 + 1e-9, 0.3, 0.3, 0.3],
        [NAN, 2, 2, NAN, 2],
    ]
    graphs = side(columns)
    learnt = SideInformation.fit(graphs)
    found = learnt.appended(np.zeros((5, 2), dtype=np.float32), graphs)
    ranked = np.full((5, 2), NAN)
    for at, column in enumerate(np.array(columns[:2])):
        seen = ~np.isnan(column)
        ranked[seen, at] = ndtri((rankdata(column[seen]) - 0.5) / seen.sum())
    expected = SimpleImputer(strategy="median", add_indicator=True).fit_transform(ranked)
    assert found.dtype == np.float32
    assert (learnt.used.tolist(), learnt.dim) == ([True, True, False, False, False], 3)
    np.testing.assert_allclose(found, np.concatenate([np.zeros((5, 2)), expected], axis=1), atol=1e-6)


def test_gaps_and_outliers_that_the_training_had_not_stay_in_range():
    learnt = SideInformation.fit(side([[1, 2, 3, 4, 5]]))
    scores = learnt.appended(np.zeros((5, 0), dtype=np.float32), side([[NAN, 3, 1e99, -1e99, 2.5]]))[:, 0]
    assert scores[0] == scores[1] == pytest.approx(0)
    assert scores[2:4].tolist() == [8, -8]
    assert scores[1] > scores[4] > ndtri(0.3)


# -- in a predictor ------------------------------------------------------------------------------------------

PREDICTORS = {
    "ridge": {"encoder": "op-count", "head": "ridge", "loss": "mse"},
    "gp": {"encoder": "op-count", "head": "gp", "loss": "mse"},
    "xgboost": {
        "encoder": "op-count",
        "head": "xgboost",
        "loss": "hinge",
        "head_params": {"n_estimators": 60},
    },
    "forest": {
        "encoder": "op-count",
        "head": "random-forest",
        "loss": "mse",
        "head_params": {"n_estimators": 60},
    },
    "mlp": {"encoder": "op-count", "head": "mlp", "loss": "mse", "epochs": 60, "lr": 1e-2},
    "mlp-ensemble": {
        "encoder": "op-count",
        "head": "mlp-ensemble",
        "loss": "mse",
        "head_params": {"hidden": [20, 20], "epochs": 60},
    },
    "auto": {"encoder": "auto"},
}
each = pytest.mark.parametrize("name", PREDICTORS)


def trained(name, data):
    return Predictor(**PREDICTORS[name], random_state=0).fit(data.graphs, data.y)


@each
def test_it_tells_what_graphs_do_not_and_survives_a_folder(name, tmp_path):
    data = dataset(160)
    told = data.with_architecture_features(["early", "empty"])
    without, predictor = trained(name, data[:80]), trained(name, told[:80])
    scores = predictor.predict(told[80:].graphs)
    assert (
        kendall_tau(data.y[80:], scores) > kendall_tau(data.y[80:], without.predict(data[80:].graphs)) + 0.15
    )
    predictor.save(tmp_path)
    loaded = Predictor.load(tmp_path)
    assert np.array_equal(loaded.predict(told[80:].graphs), scores)
    for graphs in (data.graphs, data.with_architecture_features("early").graphs):
        for either in (predictor, loaded):
            with pytest.raises(InvalidTable, match=r"with_architecture_features\(array\)") as caught:
                either.predict(graphs)
            assert_one_sentence(caught.value)


@each
def test_columns_without_information_change_nothing(name):
    data = dataset(40)
    told = data.with_architecture_features(["empty", "constant"])
    assert np.array_equal(trained(name, told).predict(told.graphs), trained(name, data).predict(data.graphs))


@each
def test_a_column_that_leaks_the_label_is_believed(name):
    told = dataset(160).with_architecture_features("leak")
    scores = trained(name, told[:100]).predict(told[100:].graphs)
    assert kendall_tau(told.y[100:], scores) > 0.8


def test_a_predictor_that_was_trained_without_needs_none():
    data = dataset(40)
    predictor = trained("ridge", data)
    assert np.array_equal(
        predictor.predict(data.with_architecture_features("early").graphs), predictor.predict(data.graphs)
    )


@pytest.mark.parametrize("head", ["mlp", "ridge"])
def test_learned_encoders_have_no_place_for_it(head):
    told = dataset().with_architecture_features("early")
    with pytest.raises(InvalidParameter, match="the learned encoder 'gates'") as caught:
        Predictor("gates", head, "mse", epochs=1).fit(told.graphs, told.y)
    assert_one_sentence(caught.value)


def test_auto_weighs_it_as_a_group_of_its_own():
    told = dataset(40).with_architecture_features(["early", "leak"])
    predictor = trained("auto", told)
    head = predictor.head_.members_["grouped-gp"]
    group_of = head._group_of(predictor.encoder_.dim + 2)
    assert group_of[-3:].tolist() == [len(head.groups) - 1, len(head.groups), len(head.groups)]
    assert np.bincount(group_of).tolist() == [*head.groups, 2]


def test_groups_repeat_for_each_cell_and_side_columns_do_not():
    head = GroupedGaussianProcessHead(groups=[1, 2], side_columns=2)
    assert head._group_of(8).tolist() == [0, 1, 1, 0, 1, 1, 2, 2]
    with pytest.raises(InvalidParameter, match="side_columns = 2 for encodings of 2 numbers"):
        head.fit(np.zeros((3, 2), dtype=np.float32), np.arange(3.0), MSELoss())


@pytest.mark.parametrize(
    "change",
    [
        {"used": np.array([True])},
        {"gaps": np.array([True, True])},
        {"fill": np.zeros(2)},
        {"used": np.array([1.0, 0.0])},
        {"scale.x.0": np.arange(5.0)[::-1].copy()},
        {"more": np.zeros(1)},
    ],
)
def test_arrays_that_are_no_side_information(change):
    arrays = SideInformation.fit(side([[1, 2, 3, 4, 5], [NAN] * 5])).arrays
    assert SideInformation.restore(arrays).dim == 1
    with pytest.raises(CorruptFile) as caught:
        SideInformation.restore({**arrays, **change})
    assert_one_sentence(caught.value)


def test_early_accuracies_are_worth_more_than_their_own_rank(data_root):
    """NAS-Bench-201, 78 labels: what 12 epochs tell goes beyond the cells, and the cells beyond 12 epochs."""
    data = load_dataset("nasbench201")
    split = archenc.dataset.splits.halves(data.labelled_rows(), 0)
    rows, test = split.training_subset(78, 1), split.test[:1500]
    early = data.with_architecture_features("cifar10/val_accuracy@12/mean")
    tau = [
        kendall_tau(
            data.y[test],
            Predictor("auto", random_state=0).fit(d.graphs[rows], data.y[rows]).predict(d.graphs[test]),
        )
        for d in (data, early)
    ]
    assert tau[1] > tau[0] + 0.03
    assert tau[1] > kendall_tau(data.y[test], early.graphs.architecture_features[test, 0].numpy()) + 0.1
