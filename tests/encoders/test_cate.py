"""CATE: the encoder by plain loops, who sees whom, pairs and corruption against slow oracles, and that it
learns.
"""

import math

import networkx
import numpy as np
import pytest
import torch

import archenc
from archenc.encoders.cate import CATEEncoder, Pairs, similar_pairs
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs, transforms
from archenc.spaces.cell import CellSpace
from tests.bad_input import assert_one_sentence
from tests.shared import added, apply, normed

TOY = CellSpace("toy", ["conv", "pool"], max_nodes=5, max_edges=6)
NB201 = archenc.create_space("nasbench201")
TINY = {"dim": 8, "layers": 2, "heads": 2, "hidden_dim": 6, "cross_layers": 1, "cross_hidden_dim": 6}
MASKS = pytest.mark.parametrize("mask", ["direct", "indirect"])


def built(space=NB201, seed=0, **settings):
    torch.manual_seed(seed)
    return CATEEncoder(space, **{**TINY, **settings}).double()


def seen_by(graphs, index, mask):
    """The nodes that exist, and those that each of them may attend to."""
    graph = networkx.DiGraph(np.argwhere(graphs.adjacency[index].numpy()).tolist())
    nodes = graphs.mask[index].nonzero()[:, 0].tolist()
    graph.add_nodes_from(nodes)
    later = graph.successors if mask == "direct" else lambda node: networkx.descendants(graph, node)
    return nodes, {v: sorted(later(v)) for v in nodes}


# -- the encoder ---------------------------------------------------------------------------------------------


def layer_by_loops(layer, states, seen):
    """One transformer layer on lists: ``states`` by node, ``seen`` the nodes that each attends to."""
    inputs = {v: normed(layer.attention_norm, state) for v, state in states.items()}
    qkv = {v: apply(layer.qkv, x) for v, x in inputs.items()}
    width = len(next(iter(inputs.values())))
    size, new = width // layer.heads, {}
    for v, state in states.items():
        mixed = []
        for start in range(0, width, size):
            if seen[v]:
                query = qkv[v][start : start + size]
                keys = {u: qkv[u][width + start : width + start + size] for u in seen[v]}
                weights = {
                    u: math.exp(sum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(size))
                    for u, key in keys.items()
                }
            else:
                weights = dict.fromkeys(states, 1.0)
            total = sum(weights.values())
            values = [[w / total * x for x in qkv[u][2 * width + start :][:size]] for u, w in weights.items()]
            mixed += added(*values)
        after = added(state, apply(layer.mix_heads, mixed))
        hidden = [max(0.0, x) for x in apply(layer.feed_forward[0], normed(layer.forward_norm, after))]
        new[v] = added(after, apply(layer.feed_forward[3], hidden))
    return new


@MASKS
def test_the_encoder_by_plain_loops(mask):
    graphs = TOY.sample(6, seed=3)
    assert not graphs.mask.all()
    encoder = built(TOY, mask=mask).eval()
    names = ["input", "conv", "pool", "output"]
    for index in range(6):
        nodes, seen = seen_by(graphs, index, mask)
        rows = [names.index(TOY.node_vocabulary[graphs.ops[index, v]]) for v in nodes]
        states = {
            v: [math.sqrt(8) * x for x in encoder.embedding.weight[row].tolist()]
            for v, row in zip(nodes, rows, strict=True)
        }
        for layer in encoder.encoder.layers:
            states = layer_by_loops(layer, states, seen)
        expected = normed(encoder.encoder.norm, states[4])
        assert encoder(graphs[index])[0].tolist() == pytest.approx(expected, abs=1e-8)


@MASKS
def test_who_sees_whom(mask):
    """With one layer, the state of a node changes with the tokens of the nodes it attends to and with its
    own.
    """
    graphs = TOY.sample(12, seed=1)
    encoder = built(TOY, mask=mask, layers=1).eval()
    tokens = encoder.nodes.ids(graphs)
    before = encoder.node_states(tokens, graphs)
    chains = 0
    for changed in range(5):
        other = tokens.clone()
        other[:, changed] = encoder.mask_id
        moved = (encoder.node_states(other, graphs) - before).abs().amax(2) > 1e-9
        for index in range(12):
            nodes, seen = seen_by(graphs, index, mask)
            expected = [
                v for v in nodes if changed in nodes and (changed == v or changed in (seen[v] or nodes))
            ]
            assert [v for v in nodes if moved[index, v]] == expected
            chains += mask == "indirect" and any(
                not graphs.adjacency[index, v, changed] for v in expected if v < changed < 4
            )
    assert chains or mask == "direct", "no node sees another through a third one"


def test_the_order_of_nodes_does_not_matter():
    graphs = TOY.sample(30, seed=2)
    encoder = built(TOY).eval()
    orders = [[0, *(1 + np.random.default_rng(n).permutation(3)), 4] for n in range(30)]
    shuffled = transforms.permute_nodes(graphs, torch.tensor(orders))
    assert not torch.equal(shuffled.ops, graphs.ops)
    torch.testing.assert_close(encoder.encode_cells(shuffled), encoder.encode_cells(graphs))


def test_more_padding_does_not_matter():
    wide = CellSpace("wide", ["conv", "pool"], max_nodes=8, max_edges=6)
    graphs = TOY.sample(20, seed=0)
    place = torch.tensor([0, 1, 2, 3, 7])
    adjacency, ops = torch.zeros(20, 8, 8, dtype=torch.uint8), torch.zeros(20, 8, dtype=torch.uint8)
    adjacency[:, place[:, None], place] = graphs.adjacency
    ops[:, place] = graphs.ops
    padded = ArchGraphs(wide, adjacency, ops, ops != 0)
    torch.testing.assert_close(
        built(wide).eval().encode_cells(padded), built(TOY).eval().encode_cells(graphs)
    )


def test_inputs_have_vectors_of_their_own(spaces):
    encoder = built(spaces["free edges"])
    graphs = encoder.prepare(spaces["free edges"].sample(3, seed=0))
    assert encoder.nodes.ids(graphs)[:, :2].tolist() == [[0, 1]] * 6
    assert encoder.mask_id == encoder.nodes.ids(graphs).max() + 1


# -- pairs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0.0, 7.0, 1000.0])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_pairs_against_one_architecture_after_the_other(delta, k):
    costs = np.random.default_rng(4).integers(0, 100, 60)
    assert len(np.unique(costs)) < 60
    pairs = similar_pairs(costs, delta, k, np.random.default_rng(0)).tolist()
    order = sorted(range(60), key=lambda i: (costs[i], i))
    for place, first in enumerate(order):
        window = [j for j in order[:place] if costs[first] - costs[j] <= delta]
        partners = [j for i, j in pairs if i == first]
        assert len(partners) == len(set(partners)) == min(k, len(window))
        assert set(partners) <= set(window)


def test_every_subset_of_a_window_is_as_likely():
    costs, counts = np.arange(6), {}
    for seed in range(3000):
        pairs = similar_pairs(costs, 5.0, 2, np.random.default_rng(seed))
        partners = frozenset(j for i, j in pairs.tolist() if i == 5)
        counts[partners] = counts.get(partners, 0) + 1
    assert len(counts) == 10
    assert all(abs(count - 300) < 4.5 * math.sqrt(300 * 0.9) for count in counts.values())


def test_the_window_is_the_published_one_on_nasbench101_and_a_share_of_the_range_elsewhere(spaces):
    for space, settings, width in (
        (spaces["nasbench101"], {}, 2e6),
        (spaces["nasbench101"], {"attribute": "flops"}, None),
        (NB201, {}, None),
        (NB201, {"attribute": "flops", "delta": 4e6}, 4e6),
    ):
        graphs = space.sample(400, seed=0)
        costs = space.costs(graphs)[settings.get("attribute", "parameters")]
        width = width or 0.04 * float(costs.max() - costs.min())
        examples = built(space, **settings, k=10).pretraining_examples(graphs)
        differences, possible = np.subtract(*costs[examples.members.numpy()].T), costs[:, None] - costs
        assert differences.min() >= 0
        assert 0 < 0.9 * possible[possible <= width].max() < differences.max() <= width


def test_a_pair_joins_cells_of_the_same_place():
    space = CellSpace("two", ["conv", "pool"], max_nodes=4, cells=2)
    graphs = space.sample(9, seed=0)
    members = torch.tensor([[3, 1], [8, 0], [2, 7]])
    examples = Pairs(graphs, members)
    first, second = examples[torch.tensor([2, 0])]
    assert len(examples) == 3
    assert space.format(first) == space.format(graphs[[2, 3]])
    assert space.format(second) == space.format(graphs[[7, 1]])


# -- the objective -------------------------------------------------------------------------------------------


def test_shares_of_what_is_masked():
    encoder = built(TOY)
    graphs = TOY.sample(20_000, seed=0)
    ids = encoder.nodes.ids(graphs)
    tokens, chosen = encoder.corrupt(ids, torch.Generator().manual_seed(0))
    operation = (ids == 1) | (ids == 2)
    assert not operation.all()
    assert not (chosen & ~operation).any(), "inputs, outputs and padding stay as they are"
    assert torch.equal(tokens[~chosen], ids[~chosen])
    assert chosen[operation].double().mean() == pytest.approx(0.2, abs=0.01)
    shown = tokens[chosen]
    assert (shown == encoder.mask_id).double().mean() == pytest.approx(0.8, abs=0.02)
    others = shown[shown != encoder.mask_id]
    assert set(others.tolist()) == {1, 2}
    assert (others == 1).double().mean() == pytest.approx(0.5, abs=0.05)


def test_the_loss_is_the_divergence_from_smoothed_labels_of_the_chosen_nodes_alone(monkeypatch):
    encoder = built().eval()
    examples = encoder.pretraining_examples(NB201.sample(40, seed=0))
    batch = examples[torch.arange(12)]
    logits, operations, _ = encoder.predict(batch, torch.Generator().manual_seed(5))
    loss = encoder.pretraining_loss(batch, torch.Generator().manual_seed(5)).item()
    terms = []
    for row, right in zip(logits.log_softmax(1).tolist(), operations.tolist(), strict=True):
        wanted = [0.1 / 5 + (0.9 if op == right else 0.0) for op in range(5)]
        terms.append(sum(w * (math.log(w) - log_p) for w, log_p in zip(wanted, row, strict=True)))
    entropy = -sum(w * math.log(w) for w in (0.92, 0.02, 0.02, 0.02, 0.02))
    assert loss == pytest.approx(sum(terms) / len(terms) + entropy)
    ids = torch.cat([encoder.nodes.ids(graphs) for graphs in batch])
    _, chosen = encoder.corrupt(ids, torch.Generator().manual_seed(5))
    assert 5 < len(operations) == int(chosen.sum()) < 40
    assert operations.tolist() == (ids[chosen] - 1).tolist()
    monkeypatch.setattr(encoder, "corrupt", lambda ids, generator: (ids, torch.zeros_like(chosen)))
    assert encoder.pretraining_loss(batch, torch.Generator()).item() == 0.0


def test_both_members_are_read_together():
    """A prediction for the first member changes with the second one; swapping both only changes the
    segments.
    """
    encoder = built().eval()
    graphs = encoder.prepare(NB201.sample(4, seed=0))
    chosen = torch.zeros(2, 8, dtype=torch.bool)
    chosen[0, 3] = True

    def logits_of(first, second):
        both = archenc.graphs.concatenate([graphs[first], graphs[second]])
        return encoder.pair_decoder(encoder.node_states(encoder.nodes.ids(both), both), both.mask, chosen)

    assert not torch.allclose(logits_of(0, 1), logits_of(0, 2), atol=1e-6)
    members = [logits_of(0, 1)]
    chosen = chosen.flip(0)
    assert not torch.allclose(logits_of(1, 0), members[0], atol=1e-6)
    encoder.pair_decoder.segments.data[1] = encoder.pair_decoder.segments.data[0]
    swapped = logits_of(1, 0)
    chosen = chosen.flip(0)
    torch.testing.assert_close(swapped, logits_of(0, 1))


def test_accuracy_and_chance_count_what_is_shown_as_mask(monkeypatch):
    encoder = built()
    operations = torch.tensor([0, 0, 0, 1, 2, 3, 4])
    shown_as_mask = torch.tensor([True, True, True, True, True, False, False])
    logits = torch.eye(5)[torch.tensor([0, 0, 4, 1, 0, 3, 4])]
    monkeypatch.setattr(encoder, "predict", lambda batch, generator: (logits, operations, shown_as_mask))
    examples = encoder.pretraining_examples(NB201.sample(5, seed=0))
    assert encoder.pretraining_metrics(examples, torch.Generator()) == {
        "masked_accuracy": 60.0,
        "chance": 60.0,
    }


# -- pretraining ---------------------------------------------------------------------------------------------


def nearly_uniform_cells():
    """The 125 cells of NAS-Bench-201 with at least five equal operations, so that a masked one can be told
    from the others.
    """
    ops = [
        [b if place == at else a for place in range(6)]
        for a in range(5)
        for b in range(5)
        for at in range(6)
        if b != a or at == 0
    ]
    return NB201.from_ops(np.array(ops))


SETTINGS = {
    "encoder_params": {**TINY, "dim": 32, "hidden_dim": 32, "cross_hidden_dim": 32},
    "batch_size": 16,
    "lr": 3e-3,
    "warmup_steps": 10,
}


def test_it_learns_and_is_loaded(tmp_path):
    graphs = nearly_uniform_cells()
    assert len(np.unique(graphs.ops.flatten(1).numpy(), axis=0)) == len(graphs) == 125
    card = archenc.pretrain("cate", graphs, tmp_path / "p", held_out=0.2, epochs=12, **SETTINGS)
    figures = card["figures"]
    assert card["history"][-1]["loss"] < 0.8 * card["history"][0]["loss"]
    assert figures["masked_accuracy"] > 60
    assert figures["masked_accuracy"] > figures["chance"] + 20
    encoder = archenc.load_pretrained(tmp_path / "p")
    assert encoder.encode(graphs) == pytest.approx(archenc.load_embeddings(tmp_path / "p").values, abs=1e-6)


class Interrupted(Exception):
    pass


class Interrupter:
    def log(self, values, step):
        raise Interrupted

    def finish(self):
        pass


def test_after_an_interruption_it_goes_on_with_the_same_pairs(tmp_path):
    graphs, short = NB201.sample(50, seed=0), {**SETTINGS, "epochs": 2, "held_out": 0.2}
    whole = archenc.pretrain("cate", graphs, tmp_path / "whole", **short)
    with pytest.raises(Interrupted):
        archenc.pretrain("cate", graphs, tmp_path / "parts", tracker=Interrupter(), **short)
    parts = archenc.pretrain("cate", graphs, tmp_path / "parts", **short)
    assert whole["sha256"] == parts["sha256"]


def test_the_schedule_is_the_published_one(spaces):
    schedule = built(spaces["nasbench101"]).pretraining_schedule()
    assert (schedule.epochs, schedule.batch_size, schedule.lr, schedule.held_out) == (10, 1024, 1e-3, 0.05)
    assert (schedule.optimizer, schedule.weight_decay, schedule.warmup_steps) == ("adamw", 0.01, 100)


def test_a_space_without_costs_is_encoded_but_not_pretrained_on(tmp_path):
    graphs = TOY.sample(20, seed=0)
    encoder = built(TOY)
    assert encoder.pair_decoder is None
    assert encoder(graphs).shape == (20, 8)
    with pytest.raises(InvalidParameter, match="parameter counts") as caught:
        archenc.pretrain("cate", graphs, tmp_path / "p", encoder_params=TINY)
    assert_one_sentence(caught.value)


def test_the_default_weights_are_small_enough_to_be_shared():
    assert sum(weight.numel() * 4 for weight in CATEEncoder(NB201).parameters()) < 2e6


@pytest.mark.parametrize(
    "settings",
    [
        {"dim": 9},
        {"heads": 0},
        {"layers": 0},
        {"cross_layers": 0},
        {"k": 0},
        {"delta": -1.0},
        {"mask": "both"},
        {"attribute": "latency"},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(InvalidParameter, match=next(iter(settings))) as caught:
        built(**settings)
    assert_one_sentence(caught.value)
