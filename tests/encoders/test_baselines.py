"""The plain baselines: graph convolutions, MLP, LSTM."""

import numpy as np
import pytest
import torch
from torch import nn

from archenc.encoders.gcn import GCNEncoder, LineGraphGCNEncoder
from archenc.encoders.sequence import LSTMEncoder, MLPEncoder
from archenc.errors import InvalidParameter
from archenc.graphs import transforms

OPTIONS = [
    {"self_loops": False},
    {"self_loops": True},
    {"self_loops": True, "normalise": True},
    {"self_loops": True, "global_node": True},
    {"self_loops": False, "global_node": True, "normalise": True},
]


def convolve(vectors, edges, weights, biases, *, self_loops, normalise):
    """Oracle: the layers, message by message; ``edges`` are (source, target)."""
    edges = edges + [(node, node) for node in vectors] if self_loops else edges
    received = {n: max(1, sum(t == n for _, t in edges)) for n in vectors}
    sent = {n: max(1, sum(s == n for s, _ in edges)) for n in vectors}
    for depth, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        new = {node: bias.copy() for node in vectors}
        for source, target in edges:
            scale = 1 / np.sqrt(received[target] * sent[source]) if normalise else 1.0
            new[target] = new[target] + scale * (weight @ vectors[source])
        vectors = {n: np.maximum(0, v) if depth < len(weights) - 1 else v for n, v in new.items()}
    return vectors


def parameters(encoder):
    def numbers(tensor):
        return tensor.detach().double().numpy()

    table = numbers(encoder.features.embedding) @ numbers(encoder.features.linear.weight).T + numbers(
        encoder.features.linear.bias
    )
    return table, [numbers(w.weight) for w in encoder.weights], [numbers(b) for b in encoder.biases]


def randomised(encoder):
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.5)
    return encoder


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gcn_message_by_message(space, options):
    encoder = randomised(GCNEncoder(space, op_dim=4, hidden=(5, 3), **options))
    graphs = space.sample(10, seed=0)
    prepared = encoder.prepare(graphs)
    table, weights, biases = parameters(encoder)
    nodes, inputs, vocabulary = prepared.num_nodes, space.num_inputs, len(space.node_vocabulary)
    for row, encoding in enumerate(encoder.encode(graphs).reshape(10 * space.cells, -1)):
        present = [node for node in range(nodes) if prepared.mask[row, node]]
        kinds = {
            node: vocabulary + node - 1 if 1 <= node < inputs else int(prepared.ops[row, node])
            for node in present
        }
        vectors = {node: table[kind] for node, kind in kinds.items()}
        edges = [(i, j) for i in present for j in present if prepared.adjacency[row, i, j]]
        divisor = nodes - inputs
        if options.get("global_node"):
            linear = encoder.features.linear
            vectors["global"] = linear(encoder.global_vector).detach().double().numpy()
            edges += [(node, "global") for node in present]
            divisor += 1
        states = convolve(
            vectors,
            edges,
            weights,
            biases,
            self_loops=options["self_loops"],
            normalise=options.get("normalise", False),
        )
        total = sum(state for node, state in states.items() if node == "global" or node >= inputs)
        assert encoding == pytest.approx(total / divisor, abs=1e-4)


@pytest.mark.parametrize("options", OPTIONS[:3], ids=str)
def test_linegraph_gcn_of_nasbench201(spaces, options):
    """Operations in the order of the architecture string; e(1<-0) feeds e(2<-1) and e(3<-1), e(2<-0) and
    e(2<-1) feed e(3<-2).
    """
    space = spaces["nasbench201"]
    encoder = randomised(LineGraphGCNEncoder(space, op_dim=4, feature_dim=6, hidden=(5, 3), **options))
    graphs = space.sample(10, seed=0)
    table, weights, biases = parameters(encoder)
    slots = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    edges = [(0, 2), (0, 4), (1, 5), (2, 5)]
    for row, encoding in enumerate(encoder.encode(graphs)):
        vectors = {node: table[int(graphs.ops[row, i, j]) + 2] for node, (i, j) in enumerate(slots)}
        states = convolve(
            vectors,
            edges,
            weights,
            biases,
            self_loops=options["self_loops"],
            normalise=options.get("normalise", False),
        )
        assert encoding == pytest.approx(sum(states.values()) / 6, abs=1e-4)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_isomorphic_architectures_are_equal(space, options):
    encoder = randomised(
        GCNEncoder(space, op_dim=8, hidden=(9, 7), simplify=space.op_on == "edge", **options)
    )
    graphs = space.sample(100, seed=6)
    twins = transforms.isomorphic_twin(graphs, seed=6)
    assert (twins.ops != graphs.ops).any()
    assert encoder.encode(twins) == pytest.approx(encoder.encode(graphs), rel=1e-4, abs=1e-4)


def test_padding_has_no_voice(spaces):
    space = spaces["nasbench101"]
    graphs = space.sample(300, seed=0)
    small = graphs[(~graphs.mask).any(1)]
    assert len(small) > 0
    encoder = randomised(GCNEncoder(space, global_node=True, normalise=True))
    before = encoder.encode(small)
    with torch.no_grad():
        encoder.features.embedding[0] += 10.0
    assert (encoder.encode(small) == before).all()


def test_defaults_are_the_published_sizes(spaces):
    gcn, line = GCNEncoder(spaces["nasbench101"]), LineGraphGCNEncoder(spaces["nasbench201"])
    assert [tuple(w.weight.shape) for w in gcn.weights] == [(128, 48), (128, 128)]
    assert [tuple(w.weight.shape) for w in line.weights] == [(128, 96), (128, 128)]
    assert not GCNEncoder(spaces["nasbench101"], global_node=True).global_vector.any()


def test_refusals(spaces):
    with pytest.raises(InvalidParameter, match="at least one layer"):
        GCNEncoder(spaces["nasbench101"], hidden=())
    with pytest.raises(InvalidParameter, match="'gcn'"):
        LineGraphGCNEncoder(spaces["nasbench101"])


# -- more ----------------------------------------------------------------------------------------------------


EDGES_101 = [(i, j) for i in range(6) for j in range(i + 1, 7)]


def tokens(graphs, row):
    """Oracle: the numbers of one cell in their order, edge bits first."""
    if graphs.space.op_on == "edge":
        return [], [int(graphs.ops[row, i, j]) for i, j in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]]
    return [int(graphs.adjacency[row, i, j]) for i, j in EDGES_101], [
        max(0, int(graphs.ops[row, node]) - 2) for node in range(1, 6)
    ]


@pytest.fixture(params=["nasbench101", "nasbench201"])
def benchmark(request, spaces):
    return spaces[request.param]


def test_mlp_by_hand(benchmark):
    encoder = MLPEncoder(benchmark, hidden=(7, 4))
    graphs = benchmark.sample(20, seed=0)
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in encoder.parameters())
    assert w1.shape[1] == (26 if benchmark.op_on == "node" else 6)
    for row, encoding in enumerate(encoder.encode(graphs)):
        bits, ops = tokens(graphs, row)
        x = np.array(bits + ops, dtype=float)
        assert encoding == pytest.approx(np.maximum(0, w2 @ np.maximum(0, w1 @ x + b1) + b2), abs=1e-5)


@pytest.mark.parametrize("by_node", [False, True])
def test_lstm_is_torchs_lstm_on_the_tokens(benchmark, by_node):
    encoder = LSTMEncoder(benchmark, embedding_dim=5, hidden=3, by_node=by_node)
    graphs = benchmark.sample(20, seed=0)
    reference = nn.LSTM(5, 3, batch_first=True)
    with torch.no_grad():
        reference.weight_ih_l0.copy_(encoder.input_map.weight)
        reference.bias_ih_l0.copy_(encoder.input_map.bias)
        reference.weight_hh_l0.copy_(encoder.state_map.weight)
        reference.bias_hh_l0.zero_()
        for row, encoding in enumerate(encoder.encode(graphs)):
            bits, ops = tokens(graphs, row)
            edges, ops = (
                [encoder.edge_embedding[bit] for bit in bits],
                [encoder.op_embedding[op] for op in ops],
            )
            vectors = edges + ops
            if by_node and edges:
                into = {
                    node: [edge for edge, (_, j) in zip(edges, EDGES_101, strict=True) if j == node]
                    for node in range(1, 7)
                }
                vectors = [vector for node in range(1, 6) for vector in [*into[node], ops[node - 1]]] + into[
                    6
                ]
            output, _ = reference(torch.stack(vectors)[None])
            assert encoding == pytest.approx(output[0, -1].numpy(), abs=1e-5)


def test_onehot_width(benchmark):
    assert MLPEncoder(benchmark, onehot=True).layers[0].in_features == (
        36 if benchmark.op_on == "node" else 30
    )


def test_no_layer(benchmark):
    with pytest.raises(InvalidParameter, match="at least one layer"):
        MLPEncoder(benchmark, hidden=())
