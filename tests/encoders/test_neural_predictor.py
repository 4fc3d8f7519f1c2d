import numpy as np
import pytest
import torch

from archenc import Predictor, load_dataset
from archenc.encoders.neural_predictor import NeuralPredictorEncoder
from archenc.errors import InvalidParameter
from archenc.graphs import transforms


def nodes_and_edges(prepared, row):
    """Oracle: one-hot vectors of the nodes of one cell by node number, and its edges as (source, target)."""
    space = prepared.space
    present = [node for node in range(prepared.num_nodes) if prepared.mask[row, node]]
    vectors = {}
    for node in present:
        name = space.node_vocabulary[int(prepared.ops[row, node])]
        names = [
            *(f"input {i}" for i in range(space.num_inputs)),
            "output",
            *(f"op {op}" for op in space.operations),
        ]
        vectors[node] = np.zeros(len(names))
        vectors[node][
            names.index(f"input {node}" if name == "input" else name if name == "output" else f"op {name}")
        ] = 1.0
    return vectors, [(i, j) for i in present for j in present if prepared.adjacency[row, i, j]]


def numbers(linear):
    return linear.weight.detach().double().numpy()


def mean_of(vectors):
    return sum(vectors) / len(vectors)


def test_layers_node_by_node(space):
    encoder = NeuralPredictorEncoder(space, hidden=(7, 6), out_dim=5)
    graphs = space.sample(10, seed=0)
    prepared = encoder.prepare(graphs)
    for row, encoding in enumerate(encoder.encode(graphs).reshape(10 * space.cells, -1)):
        x, edges = nodes_and_edges(prepared, row)
        for layer in encoder.layers:
            forwards = {n: mean_of([x[n], *(x[t] for s, t in edges if s == n)]) for n in x}
            backwards = {n: mean_of([x[n], *(x[s] for s, t in edges if t == n)]) for n in x}
            x = {
                n: (
                    np.maximum(0, numbers(layer.forwards) @ forwards[n])
                    + np.maximum(0, numbers(layer.backwards) @ backwards[n])
                )
                / 2
                for n in x
            }
        expected = numbers(encoder.linear) @ mean_of(list(x.values())) + encoder.linear.bias.detach().numpy()
        assert encoding == pytest.approx(expected, abs=1e-5)


def test_isomorphic_architectures_are_equal(space):
    encoder = NeuralPredictorEncoder(space, simplify=space.op_on == "edge")
    graphs = space.sample(100, seed=6)
    twins = transforms.isomorphic_twin(graphs, seed=6)
    assert (twins.ops != graphs.ops).any()
    assert encoder.encode(twins) == pytest.approx(encoder.encode(graphs), abs=1e-5)


def test_two_inputs_are_told_apart(spaces):
    space = spaces["free edges"]
    encoder = NeuralPredictorEncoder(space)
    table = encoder.layers[0].forwards.weight
    assert table.shape[1] == 2 + 1 + 3
    before = encoder.encode(space.sample(20, seed=0))
    with torch.no_grad():
        table[:, :2] = table[:, [1, 0]]
    assert not np.allclose(encoder.encode(space.sample(20, seed=0)), before)


def test_defaults_are_the_published_sizes(spaces):
    encoder = NeuralPredictorEncoder(spaces["nasbench101"])
    assert [tuple(layer.forwards.weight.shape) for layer in encoder.layers] == [
        (144, 5),
        (144, 144),
        (144, 144),
    ]
    assert encoder.dim == 128
    assert encoder.dropout.p == 0.1


def test_no_layer_is_refused(spaces):
    with pytest.raises(InvalidParameter, match="at least one layer"):
        NeuralPredictorEncoder(spaces["nasbench101"], hidden=())


def test_ranks_cells_from_78_labels():
    train, test = load_dataset("nasbench201-analog").split(train_size=78, seed=0)
    predictor = Predictor(
        "neural-predictor", "mlp", "mse", head_params={"hidden": []}, epochs=60, batch_size=10, random_state=0
    )
    assert predictor.fit(train.graphs, train.y).score(test.graphs[:2000], test.y[:2000]) > 0.5
