from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import archenc
from archenc.dataset import ArchDataset
from archenc.dataset.splits import Split
from archenc.errors import ArchencError, InvalidArchitecture, InvalidParameter, InvalidTable, UnknownName
from archenc.graphs import as_graphs
from archenc.spaces.nasbench201 import NASBench201
from tests.bad_input import assert_one_sentence, refused

N = 20


@pytest.fixture(scope="module")
def dataset() -> ArchDataset:
    graphs = NASBench201().sample(N, seed=0)
    accuracy = np.linspace(50.0, 90.0, N)
    short = accuracy.copy()
    short[[2, 11]] = np.nan
    return ArchDataset(
        name="small",
        graphs=graphs,
        labels={"cifar10/accuracy@200/mean": accuracy, "cifar10/accuracy@12/mean": short},
        label="cifar10/accuracy@200/mean",
        splits={"published": Split("published", np.arange(12), np.arange(12, N))},
        subsets={"even": np.arange(0, N, 2)},
        groups=np.arange(N) // 2,
        duplicates="kept",
    )


@pytest.mark.parametrize(
    "index", [3, slice(2, 9, 3), [7, 1, 1], np.arange(N) % 3 == 0, np.array([], dtype=int)]
)
def test_indexing_takes_graphs_labels_and_groups_together(dataset: ArchDataset, index: object) -> None:
    at = np.atleast_1d(np.arange(N)[index])
    part = dataset[index]
    assert len(part) == len(at)
    assert part.y.tolist() == dataset.y[at].tolist()
    assert part.groups.tolist() == dataset.groups[at].tolist()
    assert dataset.space.format(part.graphs) == [dataset.space.format(dataset.graphs)[k] for k in at]
    assert not part.splits, "positions of the whole set mean nothing in a part"
    assert not part.subsets


def test_with_label_selects_and_unknown_labels_get_a_hint(dataset: ArchDataset) -> None:
    assert np.isnan(dataset.with_label("cifar10/accuracy@12/mean").y[2])
    with pytest.raises(UnknownName, match="did you mean 'cifar10/accuracy@200/mean'") as caught:
        dataset.with_label("cifar10/acuracy@200/mean")
    assert_one_sentence(caught.value)


def test_labelled_rows_leave_out_nan(dataset: ArchDataset) -> None:
    assert dataset.with_label("cifar10/accuracy@12/mean").labelled_rows().tolist() == [
        k for k in range(N) if k not in (2, 11)
    ]


def test_random_halves_use_labelled_rows_and_do_not_overlap(dataset: ArchDataset) -> None:
    train, test = dataset.with_label("cifar10/accuracy@12/mean").split(train_size=5, seed=1)
    assert len(train) == 5
    assert len(test) == 9
    assert np.isfinite([*train.y, *test.y]).all()
    assert not set(train.y) & set(test.y)
    again, _ = dataset.with_label("cifar10/accuracy@12/mean").split(train_size=5, seed=1)
    assert again.y.tolist() == train.y.tolist()
    other, _ = dataset.with_label("cifar10/accuracy@12/mean").split(train_size=5, seed=2)
    assert other.y.tolist() != train.y.tolist()


def test_a_published_split_keeps_its_test_set(dataset: ArchDataset) -> None:
    train, test = dataset.split("published", train_size=6, seed=3)
    assert set(train.y) <= set(dataset.y[:12])
    assert test.y.tolist() == dataset.y[12:].tolist()


def test_a_group_aware_split_says_so_and_keeps_twins_together(dataset: ArchDataset) -> None:
    for name, of in ((None, "halves-1-grouped"), ("straddling", "straddling-grouped")):
        straddling = replace(
            dataset, splits={"straddling": Split("straddling", np.arange(11), np.arange(11, N))}
        )
        train, test = straddling.split(name, train_size=8, seed=1, group_aware=True)
        assert not set(train.groups) & set(test.groups)
        assert repr(train).endswith(f", isomorphic duplicates: kept, training set of {of})")
        assert repr(test).endswith(f"test set of {of})")
    with pytest.raises(InvalidParameter, match="1 to 10"):
        straddling.split(
            "straddling", train_size=11, seed=1, group_aware=True
        )  # row 10 has its twin in the test set
    train, test = dataset.split(train_size=8, seed=1)
    assert set(train.groups) & set(test.groups), "otherwise the test above shows nothing"
    assert repr(test).endswith("test set of halves-1)")


def test_twins_are_found_by_their_hashes_where_no_groups_are_published(dataset: ArchDataset) -> None:
    graphs = dataset.graphs[[0, 1, 2, 0, 3, 1]]
    labels = {"a": np.array([1.0, 2.0, np.nan, 5.0, np.nan, np.nan]), "b": np.arange(6.0)}
    repeated = ArchDataset("repeated", graphs, labels, "a")
    twins = repeated.twins()
    assert (twins[3], twins[5]) == (twins[0], twins[1])
    assert len(set(twins)) == 4
    _, test = repeated.split(train_size=1, seed=0, group_aware=True)
    assert len({0, 3} & {int(b) for b in test.labels["b"]}) != 1


def test_deduplication_keeps_the_first_or_averages(dataset: ArchDataset) -> None:
    graphs = dataset.graphs[[4, 1, 2, 1, 3, 4]]
    labels = {"a": np.array([1.0, 2.0, np.nan, 5.0, np.nan, np.nan]), "b": np.arange(6.0)}
    repeated = ArchDataset(
        "repeated", graphs, labels, "a", splits={"own": Split("own", np.array([0]), np.array([1]))}
    )
    assert repeated.deduplicated("keep") is repeated

    first = repeated.deduplicated("first")
    assert dataset.space.format(first.graphs) == dataset.space.format(graphs[[0, 1, 2, 4]])
    assert first.labels["b"].tolist() == [0, 1, 2, 4]
    assert (first.duplicates, first.splits) == ("first", {})

    mean = repeated.deduplicated("mean")
    assert dataset.space.format(mean.graphs) == dataset.space.format(first.graphs)
    np.testing.assert_array_equal(mean.labels["a"], [1.0, 3.5, np.nan, np.nan])
    assert mean.labels["b"].tolist() == [2.5, 2, 2, 4]
    assert "isomorphic duplicates: averaged" in repr(mean)

    assert mean.deduplicated("first").duplicates == "none"
    assert len(dataset.deduplicated("mean")) == N // 2, "published groups come before hashes"
    with pytest.raises(InvalidParameter, match="choose one of keep, first, mean") as caught:
        repeated.deduplicated("drop")
    assert_one_sentence(caught.value)


def test_a_split_that_cannot_be_made_says_why(dataset: ArchDataset) -> None:
    cases = [
        (UnknownName, "choose one of published", lambda: dataset.split("ta7290", train_size=2)),
        (
            InvalidTable,
            "2 architectures",
            lambda: dataset.with_label("cifar10/accuracy@12/mean").split("published", train_size=2),
        ),
        (InvalidParameter, "1 to 10", lambda: dataset.split(train_size=11)),
        (UnknownName, "choose one of even", lambda: dataset.subset("odd")),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message) as caught:
            call()
        assert_one_sentence(caught.value)


def test_subsets_are_parts(dataset: ArchDataset) -> None:
    assert dataset.subset("even").y.tolist() == dataset.y[::2].tolist()


def test_labels_must_fit_the_architectures(dataset: ArchDataset) -> None:
    with pytest.raises(InvalidTable, match="20 architectures") as caught:
        replace(dataset, labels={"short": np.zeros(N - 1)}, label="short")
    assert_one_sentence(caught.value)
    with pytest.raises(UnknownName):
        replace(dataset, label="absent")


def test_without_a_selected_label_y_says_what_to_do(dataset: ArchDataset) -> None:
    for labels, remedy in (({}, "load one with labels"), (dataset.labels, "with_label")):
        unselected = replace(dataset, labels=labels, label="")
        with pytest.raises(InvalidTable, match=remedy) as caught:
            _ = unselected.y
        assert_one_sentence(caught.value)
        assert "no label selected" in repr(unselected)
        assert len(unselected[:3]) == 3


def test_the_digest_sees_graphs_label_and_values_only(dataset: ArchDataset) -> None:
    digest = dataset.digest
    assert replace(dataset, name="renamed", splits={}).digest == digest
    assert dataset.with_label("cifar10/accuracy@12/mean").digest != digest
    assert dataset[::-1].digest != digest
    assert replace(dataset, labels={dataset.label: dataset.y + 1e-9}).digest != digest
    assert replace(dataset, graphs=dataset.space.mutate(dataset.graphs, seed=1)).digest != digest
    features = np.ones((*dataset.graphs.ops.shape, 1))
    assert replace(dataset, graphs=dataset.graphs.with_features(features)).digest != digest


def test_repr_names_label_and_duplicates(dataset: ArchDataset) -> None:
    assert repr(dataset) == (
        "ArchDataset(small: 20 architectures of nasbench201, y = 'cifar10/accuracy@200/mean', 2 labels, "
        "isomorphic duplicates: kept)"
    )


@pytest.mark.parametrize(
    "parts",
    [
        {"labels": None},
        {"labels": [1.0]},
        {"labels": {"y": "text"}},
        {"labels": {"y": [1.0, 2.0]}},
        {"labels": {"y": [[1.0], [2.0], [3.0]]}},
        {"labels": {"y": np.ones(3) * 1j}},
        {"label": ["y"]},
        {"label": 5},
        {"groups": np.arange(2)},
        {"groups": ["a", "b", "c"]},
        {"subsets": {"few": [0, 3]}},
        {"subsets": {"few": [0.5]}},
        {"splits": {"own": Split("own", np.array([0]), np.array([7]))}},
    ],
)
def test_parts_that_do_not_fit_are_refused_in_a_sentence(parts):
    graphs = NASBench201().sample(3, 0)
    with pytest.raises(ArchencError) as caught:
        ArchDataset(
            **{"name": "own", "graphs": graphs, "labels": {"y": np.arange(3.0)}, "label": "y", **parts}
        )
    assert_one_sentence(caught.value)


def test_labels_become_arrays_of_numbers():
    data = ArchDataset("own", NASBench201().sample(3, 0), {"y": [1, 2, 3]}, "y")
    assert data.y.dtype == np.float64
    assert data[[2, 0]].y.tolist() == [3.0, 1.0]


# -- rows of given architectures in a data set ---------------------------------------------------------------


SPACE = archenc.create_space("nasbench201")
CELLS = archenc.create_space("nasbench101")
CONV = "conv3x3-bn-relu"
SPEC = SimpleNamespace(matrix=[[0, 1, 0], [0, 0, 1], [0, 0, 0]], ops=["input", CONV, "output"])


def cells_101():
    graphs = CELLS.enumerate(max_nodes=4)
    return ArchDataset("small", graphs, {"acc": np.arange(len(graphs), dtype=float)}, "acc")


def test_rows_of_nasbench101():
    dataset = cells_101()
    hashes = [digest.tobytes().hex() for digest in dataset.graphs.hash()]
    assert dataset.find(hashes[7].upper()).tolist() == [7]
    twin = {
        "adjacency": [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
        "ops": ["input", "maxpool3x3", CONV, "output"],
    }
    turned = twin | {"ops": ["input", CONV, "maxpool3x3", "output"]}
    rows = dataset.find([hashes[3], twin, turned, SPEC, hashes[0]])
    assert rows.dtype == np.int64
    assert rows[1] == rows[2]
    assert hashes[rows[3]] == as_graphs(SPEC, CELLS).hash()[0].tobytes().hex()
    assert (rows[0], rows[4]) == (3, 0)
    assert dataset.find(dataset.graphs[::-1]).tolist() == [*range(len(dataset))][::-1]
    assert dataset.find([]).shape == (0,)


def test_what_a_data_set_does_not_have():
    dataset, unknown = (
        cells_101(),
        CELLS.format(
            CELLS.parse({"adjacency": np.eye(7, k=1, dtype=int), "ops": ["input", *[CONV] * 5, "output"]})
        )[0],
    )
    refused(lambda: dataset.find([SPEC, "0" * 32]), UnknownName, "position 1")
    refused(lambda: dataset.find([SPEC, unknown]), UnknownName, "position 1")
    assert dataset.find(["0" * 32, SPEC, unknown], missing="mark").tolist() == [-1, dataset.find(SPEC)[0], -1]
    assert dataset[:0].find(["0" * 32, SPEC], missing="mark").tolist() == [-1, -1]
    refused(lambda: dataset.find(SPEC, missing="drop"), InvalidParameter)
    refused(lambda: dataset.find(["0" * 32, "nonsense"]), InvalidArchitecture, "architecture 1")
    refused(lambda: dataset.find(SPACE.sample(2, 0)), InvalidArchitecture)
    refused(lambda: as_graphs([SPEC, "0" * 32], CELLS), InvalidArchitecture, "architecture 1.*dataset.find")


def test_an_architecture_is_found_in_its_own_row_before_that_of_a_twin():
    """Without "none" edges many cells of NAS-Bench-201 are isomorphic, but each was trained."""
    graphs = SPACE.from_index(np.arange(15_625))
    dataset = ArchDataset("all", graphs, {}, "")
    assert (dataset.find(graphs) == np.arange(15_625)).all()
    six = SPACE.to_naslib(graphs[5])[0].tolist()
    assert dataset.find([17, SPACE.format(graphs[1])[0], six], notation="naslib").tolist() == [17, 1, 5]
    none = SPACE.parse([["skip_connect", "none", "none", "none", "none", "none"], ["none"] * 6])
    simplified = ArchDataset("simplified", SPACE.simplify(SPACE.node_form(none)), {}, "")
    assert simplified.find(none).tolist() == [0, 0]
