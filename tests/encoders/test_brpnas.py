import numpy as np
import pytest
import torch

from archenc import Predictor, load_dataset
from archenc.encoders.brpnas import BRPNASEncoder
from archenc.errors import InvalidParameter
from archenc.graphs import transforms


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
def test_ranks_cells_from_78_labels(head, loss):
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
