"""The baselines that learn: SemiNAS, BRP-NAS, Neural Predictor."""

import numpy as np
import pytest
import torch
from torch import nn

from archenc import Predictor, load_dataset
from archenc.encoders.brpnas import BRPNASEncoder
from archenc.encoders.neural_predictor import NeuralPredictorEncoder
from archenc.encoders.seminas import SemiNASEncoder
from archenc.errors import InvalidParameter
from archenc.graphs import transforms
from archenc.heads.neural import MLPHead
from archenc.training import Network

# -- SemiNAS -------------------------------------------------------------------------------------------------


def tokens_of(graphs, row):
    """Oracle: edge bits as 0 and 1, no operation as 2, operation k as k + 3; node after node."""
    if graphs.space.op_on == "edge":
        return [int(graphs.ops[row, i, j]) + 2 for i, j in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]]
    bits = {node: [int(graphs.adjacency[row, i, node]) for i in range(node)] for node in range(1, 7)}
    return [
        token for node in range(1, 6) for token in [*bits[node], max(2, int(graphs.ops[row, node]))]
    ] + bits[6]


def torchs(lstm, hidden):
    """torch's own LSTM with the same weights."""
    reference = nn.LSTM(hidden, hidden, batch_first=True)
    reference.weight_ih_l0.copy_(lstm.input_map.weight)
    reference.bias_ih_l0.copy_(lstm.input_map.bias)
    reference.weight_hh_l0.copy_(lstm.state_map.weight)
    reference.bias_hh_l0.zero_()
    return reference


@pytest.fixture(params=["nasbench101", "nasbench201"])
def benchmark(request, spaces):
    return spaces[request.param]


@torch.no_grad()
def test_encoding_and_reconstruction_by_torchs_lstm(benchmark):
    encoder = SemiNASEncoder(benchmark, hidden=6).eval()
    graphs = benchmark.sample(12, seed=0)
    reader, writer = torchs(encoder.reader, 6), torchs(encoder.writer, 6)
    losses = []
    for row, encoding in enumerate(encoder.encode(graphs)):
        tokens = tokens_of(graphs, row)
        outputs = reader(encoder.reader.embedding[tokens][None])[0][0]
        mean = sum(output / output.norm() for output in outputs) / len(tokens)
        z = mean / mean.norm()
        assert encoding == pytest.approx(z.numpy(), abs=1e-5)
        start = len(benchmark.operations) + 3
        written, _ = writer(
            encoder.writer.embedding[[start, *tokens[:-1]]][None], (z[None, None], z[None, None])
        )
        log_p = torch.log_softmax(encoder.to_logits(written[0]), dim=1)
        losses.append(-sum(log_p[t, token].item() for t, token in enumerate(tokens)) / len(tokens))
    assert encoder.auxiliary_loss(graphs, encoder(graphs)).item() == pytest.approx(
        0.25 * np.mean(losses), rel=1e-5
    )


def test_the_writer_learns_to_write_what_was_read(spaces):
    """Encodings must carry the cell: nothing but the encoding tells the operations of NAS-Bench-201."""
    space = spaces["nasbench201"]
    torch.manual_seed(0)
    encoder = SemiNASEncoder(space, hidden=32, dropout=0.0)
    graphs = space.sample(48, seed=0)
    optimiser = torch.optim.Adam(encoder.parameters(), 2e-2)
    for _ in range(80):
        optimiser.zero_grad()
        loss = encoder.reconstruction_loss(graphs, encoder(graphs))
        loss.backward()
        optimiser.step()
    assert loss < 0.5 * np.log(5)
    mixed = encoder.reconstruction_loss(graphs, encoder(graphs).roll(1, dims=0))
    assert mixed > 2 * loss


def test_several_cells_are_written_each_from_its_own_encoding(spaces):
    encoder = SemiNASEncoder(spaces["free edges"], hidden=8).eval()
    graphs = encoder.prepare(spaces["free edges"].sample(5, seed=0))
    assert encoder(graphs).shape == (5, 16)
    rows = encoder.encode_cells(graphs)
    assert torch.allclose(
        encoder.reconstruction_loss(graphs, encoder(graphs)), encoder.reconstruction_loss(graphs, rows)
    )


def test_unlabelled_architectures_join_the_reconstruction_and_follow_the_seed(benchmark):
    def loss(seed, **parameters):
        torch.manual_seed(seed)
        encoder = SemiNASEncoder(benchmark, unlabelled=50, **parameters).eval()
        return encoder, encoder.auxiliary_loss(encoder.prepare(graphs), encoder(graphs))

    graphs = benchmark.sample(12, seed=0)
    (encoder, first), (_, again), (other, _) = loss(0), loss(0), loss(1)
    assert torch.equal(first, again)
    assert len(encoder.unlabelled) == 50
    assert not torch.equal(encoder.unlabelled.ops, other.unlabelled.ops)
    labelled = 0.25 * encoder.reconstruction_loss(graphs, encoder(graphs))
    assert not torch.allclose(first, labelled)
    everything = 0.25 * encoder.reconstruction_loss(encoder.unlabelled, encoder(encoder.unlabelled))
    assert (2 * first - labelled).item() == pytest.approx(everything.item(), rel=0.05)


def test_the_supervised_loss_gets_the_reconstruction_added(benchmark):
    class Zero:
        ranks = False

        def __call__(self, scores, targets, generator):
            return 0.0 * scores.sum()

    graphs = benchmark.sample(8, seed=0)
    for weight in (0.0, 0.25, 0.5):
        encoder = SemiNASEncoder(benchmark, reconstruction_weight=weight, dropout=0.0)
        network = Network(encoder, MLPHead(64, hidden=()))
        expected = weight * encoder.reconstruction_loss(graphs, encoder(graphs)).item()
        assert network.loss(graphs, torch.zeros(8), Zero(), torch.Generator()).item() == pytest.approx(
            expected
        )


def test_negative_settings_are_refused(benchmark):
    for parameters in ({"reconstruction_weight": -0.1}, {"unlabelled": -1}):
        with pytest.raises(InvalidParameter, match="from 0"):
            SemiNASEncoder(benchmark, **parameters)


def test_ranks_cells_from_78_labels():
    train, test = load_dataset("nasbench201-analog").split(train_size=78, seed=0)
    predictor = Predictor(
        "seminas",
        "mlp",
        "mse",
        head_params={"hidden": [16, 16]},
        epochs=40,
        batch_size=20,
        lr=3e-3,
        random_state=0,
    )
    assert predictor.fit(train.graphs, train.y).score(test.graphs[:2000], test.y[:2000]) > 0.4


# -- BRP-NAS -------------------------------------------------------------------------------------------------


def randomised(encoder):
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.5)
    return encoder


def layer_norm(x, norm):
    weight, bias = norm.weight.detach().double().numpy(), norm.bias.detach().double().numpy()
    return (x - x.mean()) / np.sqrt(x.var() + norm.eps) * weight + bias


def test_layers_message_by_message(space):
    encoder = randomised(BRPNASEncoder(space, hidden=(7, 6)))
    graphs = space.sample(10, seed=0)
    prepared = encoder.prepare(graphs)
    features = encoder.nodes(prepared).double().numpy()  # checked in the tests of Neural Predictor
    for row, encoding in enumerate(encoder.encode(graphs).reshape(10 * space.cells, -1)):
        present = [node for node in range(prepared.num_nodes) if prepared.mask[row, node]]
        x = {node: np.append(features[row, node], 0.0) for node in present}
        x["global"] = np.append(np.zeros(features.shape[2]), 1.0)
        messages = [(i, j) for i in present for j in present if prepared.adjacency[row, i, j]]
        messages += [(node, "global") for node in present] + [(node, node) for node in x]
        for layer in encoder.layers:
            weight, bias = layer.weight.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
            sums = {
                node: sum(weight @ x[source] for source, target in messages if target == node) + bias
                for node in x
            }
            x = {node: np.maximum(0, layer_norm(total, layer.after[0])) for node, total in sums.items()}
        assert encoding == pytest.approx(x["global"], abs=1e-4)


def test_isomorphic_architectures_are_equal(space):
    encoder = randomised(BRPNASEncoder(space, hidden=(20, 20), simplify=space.op_on == "edge"))
    graphs = space.sample(100, seed=6)
    twins = transforms.isomorphic_twin(graphs, seed=6)
    assert (twins.ops != graphs.ops).any()
    assert encoder.encode(twins) == pytest.approx(encoder.encode(graphs), abs=1e-4)


def test_defaults_are_the_published_sizes(spaces):
    encoder = BRPNASEncoder(spaces["nasbench101"])
    assert [tuple(layer.weight.weight.shape) for layer in encoder.layers] == [
        (600, 6),
        (600, 600),
        (600, 600),
        (600, 600),
    ]
    assert encoder.layers[0].after[2].p == 0.2


def test_no_layer_is_refused(spaces):
    with pytest.raises(InvalidParameter, match="at least one layer"):
        BRPNASEncoder(spaces["nasbench101"], hidden=())


@pytest.mark.parametrize(("head", "loss"), [("mlp", "mse"), ("comparator", "comparator")])
def test_ranks_cells_from_78_labels_brpnas(head, loss):
    train, test = load_dataset("nasbench201-analog").split(train_size=78, seed=0)
    small = {"hidden": (64, 64, 64, 64)}
    predictor = Predictor(
        "brp-nas",
        head,
        loss,
        encoder_params=small,
        head_params={"hidden": []},
        epochs=60,
        batch_size=20,
        optimizer="adamw",
        random_state=0,
    )
    assert predictor.fit(train.graphs, train.y).score(test.graphs[:2000], test.y[:2000]) > 0.5


# -- Neural Predictor ----------------------------------------------------------------------------------------


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


def test_isomorphic_architectures_are_equal_neural_predictor(space):
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


def test_defaults_are_the_published_sizes_neural_predictor(spaces):
    encoder = NeuralPredictorEncoder(spaces["nasbench101"])
    assert [tuple(layer.forwards.weight.shape) for layer in encoder.layers] == [
        (144, 5),
        (144, 144),
        (144, 144),
    ]
    assert encoder.dim == 128
    assert encoder.dropout.p == 0.1


def test_no_layer_is_refused_neural_predictor(spaces):
    with pytest.raises(InvalidParameter, match="at least one layer"):
        NeuralPredictorEncoder(spaces["nasbench101"], hidden=())


def test_ranks_cells_from_78_labels_neural_predictor():
    train, test = load_dataset("nasbench201-analog").split(train_size=78, seed=0)
    predictor = Predictor(
        "neural-predictor", "mlp", "mse", head_params={"hidden": []}, epochs=60, batch_size=10, random_state=0
    )
    assert predictor.fit(train.graphs, train.y).score(test.graphs[:2000], test.y[:2000]) > 0.5
