from collections import Counter

import numpy as np
import pytest

from archenc import CellSpace
from archenc.encoders.wl import WLEncoder, wl_labels
from archenc.errors import InvalidParameter
from archenc.graphs import transforms
from archenc.heads.gp import GaussianProcessHead
from archenc.losses import MSELoss


def subtrees(graphs, row, iterations):
    """Oracle: how often each subtree of depth 0 to ``iterations`` occurs, as nested tuples of operation ids
    and sorted sources.
    """
    nodes = np.flatnonzero(graphs.mask[row]).tolist()
    sources = {v: [u for u in nodes if graphs.adjacency[row, u, v]] for v in nodes}

    def tree(v, depth):
        op = int(graphs.ops[row, v])
        return (
            op
            if depth == 0
            else (tree(v, depth - 1), tuple(sorted((tree(u, depth - 1) for u in sources[v]), key=repr)))
        )

    return Counter((depth, tree(v, depth)) for depth in range(iterations + 1) for v in nodes)


@pytest.mark.parametrize("iterations", [0, 1, 2, 3])
def test_products_are_the_subtree_kernel(space, iterations):
    """With columns enough that no labels collide, phi . phi' counts pairs of equal subtrees."""
    encoder = WLEncoder(space, iterations=iterations, buckets=2**20)
    graphs = encoder.prepare(space.sample(8, seed=1))
    histograms = encoder.encode_cells(graphs).numpy().astype(int)
    counts = [subtrees(graphs, row, iterations) for row in range(len(histograms))]
    for i, mine in enumerate(counts):
        for j, other in enumerate(counts):
            assert histograms[i] @ histograms[j] == sum(mine[tree] * other[tree] for tree in mine)


def test_encoding_is_a_histogram(space):
    encoder = WLEncoder(space, iterations=2, buckets=50)
    graphs = encoder.prepare(space.sample(30, seed=2))
    nodes = graphs.mask.sum(1).numpy()
    histograms = encoder.encode_cells(graphs).numpy()
    assert encoder.cell_dim == len(space.operations) + 2 + 50
    assert (histograms[:, :-50].sum(1) == nodes).all()
    assert (histograms[:, -50:].sum(1) == 2 * nodes).all()
    for op in range(1, len(space.operations) + 3):
        assert (histograms[:, op - 1] == (graphs.ops == op).sum(1).numpy()).all()


def test_isomorphic_architectures_are_equal(space):
    encoder = WLEncoder(space, iterations=3, simplify=space.op_on == "edge")
    graphs = space.sample(200, seed=6)
    twins = transforms.isomorphic_twin(graphs, seed=6)
    assert (twins.ops != graphs.ops).any(), "no architecture was relabelled, so the test shows nothing"
    assert (encoder.encode(twins) == encoder.encode(graphs)).all()


def test_edges_have_a_direction():
    space = CellSpace("chain", ["a", "b"], max_nodes=4)
    adjacency = np.eye(4, k=1, dtype=int).tolist()
    graphs = space.parse([{"adjacency": adjacency, "ops": ["input", *ops, "output"]} for ops in ("ab", "ba")])
    labels = wl_labels(graphs, 1)
    assert set(labels[0, 0]) == set(labels[0, 1])
    assert len(set(labels[1, 0]) & set(labels[1, 1])) == 1  # the input's


@pytest.mark.parametrize("parameters", [{"iterations": -1}, {"buckets": 0}])
def test_wrong_parameters(spaces, parameters):
    with pytest.raises(InvalidParameter, match="WLEncoder got"):
        WLEncoder(spaces["nasbench201"], **parameters)


def test_linear_kernel_is_the_posterior_mean_of_normalised_products():
    rng = np.random.RandomState(0)
    z, y, z_new = (
        rng.poisson(1.0, (40, 12)).astype(np.float32),
        rng.randn(40),
        rng.poisson(1.0, (7, 12)).astype(np.float32),
    )
    z[:, 0] += 1
    z_new[0] = 0  # an encoding of norm 0 is not divided by it
    y = y + 2 * z[:, 1] - z[:, 2]
    head = GaussianProcessHead(kernel="linear", random_state=0).fit(z, y, MSELoss())
    c, v = np.exp(head.theta_)

    def unit(x):
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    gram = c * unit(z) @ unit(z).T + v * np.eye(40)
    expected = y.mean() + c * unit(z_new) @ unit(z).T @ np.linalg.solve(gram, y - y.mean())
    np.testing.assert_allclose(head.predict(z_new), expected, atol=1e-4)
    assert head.predict(3 * z_new) == pytest.approx(head.predict(z_new), abs=1e-4)
