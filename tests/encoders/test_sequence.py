import numpy as np
import pytest
import torch
from torch import nn

from archenc.encoders.sequence import LSTMEncoder, MLPEncoder
from archenc.errors import InvalidParameter

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
