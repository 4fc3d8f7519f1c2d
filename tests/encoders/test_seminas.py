import numpy as np
import pytest
import torch
from torch import nn

from archenc import Predictor, load_dataset
from archenc.encoders.seminas import SemiNASEncoder
from archenc.errors import InvalidParameter
from archenc.heads.neural import MLPHead
from archenc.training import Network


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
