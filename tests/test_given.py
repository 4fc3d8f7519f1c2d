"""The call takes what people hold: architectures and labels of every form, in `fit`, `predict`, `suggest`,
`find` and tables.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict

import archenc
from archenc.errors import (
    CorruptFile,
    DataNotFound,
    InvalidArchitecture,
    InvalidParameter,
    InvalidTable,
    UnknownName,
)
from archenc.files.trusted import write_json
from archenc.graphs import as_graphs
from archenc.graphs.networkx import from_networkx
from archenc.predictor import Predictor
from archenc.search.suggest import suggest
from tests.bad_input import refused
from tests.shared import SPACES

SPACE = archenc.create_space("nasbench201")
CELLS = archenc.create_space("nasbench101")
GRAPHS = SPACE.sample(30, 0)
TEXTS = SPACE.format(GRAPHS)
Y = np.linspace(80.0, 95.0, 30)
LINE, OPS = [[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv3x3-bn-relu", "output"]


def ridge(**parameters):
    return Predictor("op-count", "ridge", "mse", random_state=0, **parameters)


def equal(a, b):
    same = all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("adjacency", "ops", "mask"))
    return (
        same
        and (a.features is None) == (b.features is None)
        and (a.features is None or torch.equal(a.features, b.features))
    )


class Column:
    """What pandas' Series looks like: items, and an array of them."""

    def __init__(self, values):
        self.values = values

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)


class Table:
    """What a DataFrame of one column looks like: its items are the columns' names."""

    columns = ("arch",)

    def __init__(self, values):
        self.values = values

    def __iter__(self):
        return iter(self.columns)

    def to_numpy(self):
        return np.array(self.values, dtype=object)[:, None]


# -- forms of architectures ----------------------------------------------------------------------------------

FORMS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "array": np.array(TEXTS),
    "array of objects": np.array(TEXTS, dtype=object),
    "array of one column": np.array(TEXTS)[:, None],
    "iterator": None,
    "series": Column(TEXTS),
    "table": Table(TEXTS),
    "graphs": GRAPHS,
    "list of graphs": [GRAPHS[at] for at in range(30)],
    "networkx": [GRAPHS.to_networkx(at) for at in range(30)],
    "mixture": [
        GRAPHS[0],
        GRAPHS.to_networkx(1),
        *SPACE.to_ops(GRAPHS[2:4]).tolist(),
        int(SPACE.to_index(GRAPHS[4])[0]),
        *TEXTS[5:],
    ],
    "indices": SPACE.to_index(GRAPHS),
    "tensor of indices": torch.from_numpy(SPACE.to_index(GRAPHS)),
    "six numbers": SPACE.to_ops(GRAPHS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_batch(form):
    given = FORMS[form] if form != "iterator" else iter(TEXTS)
    assert equal(as_graphs(given, SPACE), GRAPHS)


def test_a_predictor_and_suggest_take_them():
    expected = ridge().fit(GRAPHS, Y).predict(GRAPHS)
    named = ridge(space="nasbench201").fit(TEXTS, Y)
    np.testing.assert_array_equal(named.predict(FORMS["mixture"]), expected)
    np.testing.assert_array_equal(ridge().fit(GRAPHS, Y).predict(TEXTS), expected)  # learnt in fit
    assert named.score(TEXTS, Y) == ridge().fit(GRAPHS, Y).score(GRAPHS, Y)
    assert named.predict(TEXTS[0]).shape == (1,)
    np.testing.assert_array_equal(named.embed(TEXTS[:3]), named.embed(GRAPHS[:3]))
    np.testing.assert_array_equal(named.encoder_.encode(TEXTS), named.encoder_.encode(GRAPHS))
    assert np.isfinite(cross_val_predict(ridge(space=SPACE), np.array(TEXTS), Y, cv=3)).all()
    settings = {"predictor": Predictor("op-count", "gp", "mse", random_state=0), "candidates": TEXTS[20:]}
    found = suggest(TEXTS[:20], Y[:20, None], 3, space="nasbench201", **settings)
    assert SPACE.format(found.graphs) == SPACE.format(suggest(GRAPHS[:20], Y[:20], 3, **settings).graphs)


@pytest.mark.parametrize("name", SPACES)
def test_a_graph_of_networkx_leads_back(name):
    """With features, and where the nodes come in another order under other names."""
    space = SPACES[name]
    graphs = space.sample(5, 0)
    graphs = graphs.with_features(np.random.default_rng(0).random((*graphs.ops.shape, 2)))
    drawn = [graphs.to_networkx(at) for at in range(5)]
    assert equal(as_graphs(drawn, space), graphs)
    renamed = nx.relabel_nodes(drawn[0], {node: f"n{node}" for node in drawn[0]})
    shuffled = renamed.__class__()
    shuffled.add_nodes_from(
        sorted(
            renamed.nodes(data=True),
            key=lambda node: node[1].get("op", node[1].get("role", "")) == "interior",
        )
    )
    shuffled.add_edges_from(reversed(list(renamed.edges(data=True))))
    if space.num_inputs == 1 and space.cells == 1:
        assert (from_networkx(shuffled, space).hash() == graphs[0].hash()).all()


def directed(*edges, **ops):
    graph = nx.DiGraph(edges)
    nx.set_node_attributes(graph, ops, "op")
    return graph


GOOD_GRAPH = directed(("i", "c"), ("c", "o"), i="input", c="conv3x3-bn-relu", o="output")
NO_GRAPHS = {
    "without directions": (GOOD_GRAPH.to_undirected(), "no directions"),
    "a cycle": (directed(("i", "c"), ("c", "d"), ("d", "c"), ("d", "o"), i="input", o="output"), "cycle"),
    "no input": (directed(("c", "o"), c="conv3x3-bn-relu", o="output"), "0 input"),
    "no operation": (directed(("i", "c"), ("c", "o"), i="input", o="output"), "no attribute 'op'"),
    "unknown operation": (
        directed(("i", "c"), ("c", "o"), i="input", c="conv9", o="output"),
        "unknown operation 'conv9'",
    ),
    "not connected": (
        directed(("i", "c"), ("d", "o"), i="input", c="conv3x3-bn-relu", d="maxpool3x3", o="output"),
        "no path",
    ),
    "too many nodes": (nx.relabel_nodes(nx.path_graph(9, nx.DiGraph), {0: "i", 8: "o"}), "9 nodes|0 input"),
    "nothing": (nx.DiGraph(), "no nodes"),
}


@pytest.mark.parametrize("kind", NO_GRAPHS)
def test_graphs_of_networkx_that_are_none(kind):
    graph, says = NO_GRAPHS[kind]
    assert len(as_graphs([GOOD_GRAPH, GOOD_GRAPH], CELLS)) == 2
    refused(lambda: as_graphs(graph, CELLS), InvalidArchitecture, says)
    refused(lambda: as_graphs([GOOD_GRAPH, graph], CELLS), InvalidArchitecture, "architecture 1")


def test_what_is_on_no_path_is_cut_as_the_space_does():
    loose = directed(
        ("i", "c"), ("c", "o"), ("i", "x"), i="input", c="conv3x3-bn-relu", o="output", x="maxpool3x3"
    )
    assert equal(as_graphs(loose, CELLS), as_graphs(GOOD_GRAPH, CELLS))


def test_edges_of_networkx_need_all_that_the_topology_has():
    graph = GRAPHS.to_networkx(0)
    graph.remove_edge(0, 1)
    refused(lambda: as_graphs(graph, SPACE), InvalidArchitecture, "fixed topology")
    graph.add_edges_from([(0, 1, {"op": "none"}), (0, 1, {"op": "none"})])
    refused(lambda: as_graphs(graph, SPACE), InvalidArchitecture, "more edges 0 -> 1")


@pytest.mark.parametrize(
    "mixture",
    [
        [GRAPHS[:2], TEXTS[0]],
        [GRAPHS[:1].with_features(np.ones((1, 4, 4, 2))), TEXTS[0]],
        [SPACE.simplify(GRAPHS[:1]), TEXTS[0]],
    ],
    ids=["two graphs", "features", "simplified"],
)
def test_graphs_that_are_no_plain_architecture_do_not_stand_among_texts(mixture):
    refused(lambda: as_graphs(mixture, SPACE), InvalidArchitecture, "item 0")


def test_what_is_refused():
    texts = [TEXTS[0], "no text of this space"]
    for call in (lambda: ridge().fit(TEXTS, Y), lambda: as_graphs(TEXTS), lambda: suggest(TEXTS, Y)):
        refused(call, InvalidArchitecture, "space=")
    refused(lambda: ridge(space=SPACE).fit(texts, Y[:2]), InvalidArchitecture, "architecture 1")
    refused(
        lambda: ridge(space=SPACE).fit([GRAPHS[0], CELLS.sample(1, 0)], Y[:2]),
        InvalidArchitecture,
        "architecture 1",
    )
    refused(lambda: as_graphs([GRAPHS[0], SPACE.simplify(GRAPHS[1])], SPACE), InvalidParameter, "simplif")
    refused(lambda: ridge(space="nasbench101").fit(GRAPHS, Y), InvalidTable, "nasbench101")
    refused(lambda: ridge(space="nasbench").fit(TEXTS, Y), UnknownName)
    refused(lambda: ridge(space=5).fit(TEXTS, Y), InvalidParameter)
    refused(
        lambda: ridge(space=SPACE, notation="french").fit(TEXTS, Y),
        InvalidParameter,
        "official, naslib, index",
    )
    refused(
        lambda: ridge(space=CELLS, notation="naslib").fit([(LINE, OPS)] * 2, Y[:2]),
        InvalidParameter,
        "leave notation out",
    )


@pytest.mark.parametrize("space", ["nasbench201", SPACE, None])
def test_the_space_is_cloned_and_saved(space, tmp_path):
    predictor = clone(ridge(space=space, notation="naslib")).fit(GRAPHS, Y)
    loaded = Predictor.load(predictor.save(tmp_path))
    assert loaded.fitted_params_ == predictor.fitted_params_
    numbers = SPACE.to_naslib(GRAPHS)
    np.testing.assert_array_equal(loaded.predict(numbers), predictor.predict(GRAPHS))
    if space is not None:
        np.testing.assert_array_equal(loaded.fit(numbers, Y).predict(GRAPHS), predictor.predict(GRAPHS))


def test_saved_predictors_without_a_space_are_read_and_false_spaces_are_not(tmp_path):
    import json

    predictor = ridge(space=SPACE).fit(GRAPHS, Y)
    path = predictor.save(tmp_path) / "predictor.json"
    description = json.loads(path.read_text())
    for name in ("space", "notation"):  # as it was before these parameters
        del description["parameters"][name]
    write_json(path, description)
    np.testing.assert_array_equal(Predictor.load(tmp_path).predict(TEXTS), predictor.predict(TEXTS))
    for other in (CELLS.config(), "nasbench201", {"name": "cell"}, 5):
        write_json(path, description | {"parameters": description["parameters"] | {"space": other}})
        refused(lambda: Predictor.load(tmp_path), CorruptFile)


# -- labels, and tables out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y", [Y[:, None], Y[:, None].tolist(), torch.tensor(Y)[:, None]], ids=["array", "list", "tensor"]
)
def test_a_column_of_labels(y):
    expected = ridge().fit(GRAPHS, Y)
    np.testing.assert_array_equal(ridge().fit(GRAPHS, y).predict(GRAPHS), expected.predict(GRAPHS))
    assert expected.score(GRAPHS, y) == expected.score(GRAPHS, Y)


def test_two_columns_of_labels_for_one_output():
    refused(lambda: ridge().fit(GRAPHS, np.stack([Y, Y], 1)), InvalidTable)


@pytest.mark.parametrize("y", [Y[None], [*map(str, Y)], [*Y[:-1], None], [*Y[:-1], "diverged"]])
def test_labels_that_are_none(y):
    refused(lambda: ridge().fit(GRAPHS, y), InvalidTable)
    refused(lambda: suggest(GRAPHS, y), InvalidTable)


def test_the_message_names_the_label_that_is_no_number():
    refused(lambda: ridge().fit(GRAPHS, [*Y[:-1], None]), InvalidTable, "such as None")


def test_a_data_frame_on_request(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict, Series=list))
    fitted = ridge().fit(GRAPHS, Y)
    frame = fitted.predict_frame(TEXTS[:3])
    assert frame["architecture"] == TEXTS[:3]
    np.testing.assert_array_equal(frame["score"], fitted.predict(GRAPHS[:3]))
    assert list(Predictor("op-count", "gp", "mse").fit(GRAPHS, Y).predict_frame(TEXTS)) == [
        "architecture",
        "score",
        "std",
    ]
    monkeypatch.setitem(sys.modules, "pandas", None)
    refused(lambda: fitted.predict_frame(TEXTS), DataNotFound, "pip install pandas")


def test_pandas_itself():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"arch": TEXTS, "accuracy": Y}, index=[f"run {at}" for at in range(30)])
    expected = ridge().fit(GRAPHS, Y).predict(GRAPHS)
    for architectures, y in ((table["arch"], table["accuracy"]), (table[["arch"]], table[["accuracy"]])):
        fitted = ridge(space="nasbench201").fit(architectures, y)
        np.testing.assert_array_equal(fitted.predict_frame(architectures)["score"], expected)


# -- cells of NAS-Bench-101  ---------------------------------------------------------------------------

SPEC = SimpleNamespace(matrix=np.array(LINE), ops=OPS)
CELL = CELLS.parse({"adjacency": LINE, "ops": OPS})


@pytest.mark.parametrize(
    "cell",
    [
        (LINE, OPS),
        [np.array(LINE), np.array(OPS)],
        (torch.tensor(LINE), tuple(OPS)),
        SPEC,
        {"matrix": LINE, "ops": OPS},
    ],
    ids=["pair", "arrays", "tensor", "spec", "dict"],
)
def test_cells_of_nasbench101(cell):
    assert equal(as_graphs(cell, CELLS), CELL)
    assert len(as_graphs([cell, cell, CELLS.format(CELL)[0]], CELLS)) == 3


@pytest.mark.parametrize(
    "cell",
    [
        (LINE, OPS[:-1]),
        (LINE, [0, 1, 2]),
        (None, OPS),
        (OPS, LINE),
        (LINE, OPS, OPS),
        SimpleNamespace(matrix=None, ops=None),
    ],
    ids=["an operation short", "numbers", "no matrix", "turned round", "three", "invalid spec"],
)
def test_pairs_that_are_none(cell):
    refused(lambda: as_graphs(cell, CELLS), InvalidArchitecture)
    refused(lambda: as_graphs([SPEC, cell], CELLS), InvalidArchitecture, "architecture 1")
