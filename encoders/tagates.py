"""TA-GATES: operations are encoded by imitating how an architecture is trained, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from archenc.encoder import Encoder
from archenc.encoders.gates import (
    GATESLayer,
    GATESNodeLayer,
    InitialState,
    Readout,
    chosen_form,
    chosen_readout,
    readout,
)
from archenc.encoders.modules.nodes import OperationEmbedding
from archenc.errors import InvalidParameter
from archenc.graphs import ABSENT, ArchGraphs, OpOn
from archenc.graphs.flow import DenseFlow, DenseRows, receiving
from archenc.registry.rules import Depth, Few, Layers, Number, Size
from archenc.spaces.base import Space
from archenc.torch_state import own_generator

SymmetryBreaking = Literal["none", "random", "scores", "scores-concat"]


class TAGATESEncoder(Encoder):
    r"""Training-Analogous GATES (Ning et al., NeurIPS 2022, section 3).

    The vectors e of the operations of one architecture start from those of their kinds and are refined over T
    steps. Step t is

    1. forward: GATES' layers carry the information from the input through the cell, gated by e, to node
       states y;
    2. the gradient of a loss at the output is imitated by an MLP of the output's state,
       :math:`b = \mathrm{MLP}_b(y_\text{out})`;
    3. backward: further GATES layers carry b along the reversed edges, gated by e, to node states b_y;
    4. update: :math:`e \leftarrow e + 0.1\, M \odot \mathrm{MLP}_u([\bar e; \bar y; b_y])`, where a bar stops
       the gradient and M masks the operations that are updated.

    The last step is the forward pass alone, and its node states are read out as in GATES. Weights are shared
    over the steps. For operations on edges, y and b_y in the update are the messages of the last layers
    through the edge itself.

    Args:
        space: any space.
        steps: T; by default 3 for operations on nodes and 4 on edges, and 2 in the anytime variant.
        form: where the operations are taken to sit, see :class:`archenc.encoders.gates.GATESEncoder`.
        layers: output size of each forward and each backward layer; by default 5 x 128 on nodes and 3 x 128
            on edges.
        op_dim, node_dim, hidden_dim, readout: as in GATES.
        update_dim: hidden size of the MLP of the update.
        symmetry_breaking: what makes equal operations in different places get different vectors. ``"none"``:
            nothing. ``"random"``: noise from N(0, 0.1²) on the first vectors, in training. ``"scores"``: the
            first vectors are e + c MLP_z(z), where z are the k scores of the operation, which are the graphs'
            features (:meth:`archenc.graphs.ArchGraphs.with_features`), and MLP_z has hidden sizes 64 and 128.
            ``"scores-concat"``: all gates see [e; z]. Scores are used as they are given; standardise them
            first.
        score_dim: k, needed where scores are used.
        score_scale: c; the published anytime configurations have 1.
        anytime: read out every step, not the last one alone. A head for each step (the head ``"anytime"``)
            predicts accuracies during training from the first steps and the final one from the last; the
            published variant has two steps, for half and full training.
        simplify: simplify the graphs first.

    Shapes:
        R rows; returns (R, layers[-1]), or (R, T layers[-1]) in the anytime variant. There :meth:`forward`
        orders the encoding of an architecture by steps first and cells second.

    Raises:
        InvalidParameter: scores without ``score_dim`` or the reverse; in encoding, graphs without k features.

    On edges only the operations with parameters are updated (all but "none", skip connections and pooling),
    on nodes all are, as in the published configurations.

    Deviations: the paper's main results break the symmetry with per-operation zero-cost scores that were not
    published (``"scores"`` with 7 of them on NAS-Bench-101, ``"scores-concat"`` with 7 on NAS-Bench-201), so
    no symmetry is broken by default. Noise is drawn in training only, so that an architecture has one
    encoding. Where several edges join a pair of nodes, the update sees messages as for one edge; the
    published configurations of such cells use the states of the edge's ends.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("ta-gates", space, steps=2, layers=(32, 32), anytime=True)
        >>> encoder(space.sample(3, seed=0)).shape  # 32 numbers for each of two steps
        torch.Size([3, 64])
    """

    invariant = True
    paper: ClassVar[str] = (
        "Ning et al., TA-GATES: An Encoding Scheme for Neural Network Architectures, NeurIPS 2022, "
        "https://proceedings.neurips.cc/paper_files/paper/2022/file/"
        "d0ac28b79816b51124fcc804b2496a36-Paper-Conference.pdf"
    )

    updated: Tensor

    def __init__(
        self,
        space: Space,
        *,
        steps: Depth | None = None,
        form: OpOn | None = None,
        layers: Layers | None = None,
        op_dim: Size = 48,
        node_dim: Size = 48,
        hidden_dim: Size = 96,
        update_dim: Size = 128,
        readout: Readout | None = None,
        symmetry_breaking: SymmetryBreaking = "none",
        score_dim: Few = 0,
        score_scale: Number = 0.1,
        anytime: bool = False,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        check_symmetry_breaking(symmetry_breaking, score_dim)
        self.form = chosen_form(space, form)
        on_nodes = self.form == "node"
        self.steps = steps or (2 if anytime else 3 if on_nodes else 4)
        self.anytime = anytime
        self.parts = self.steps if anytime else 1
        self.readout = chosen_readout(self.form, readout)
        self.symmetry_breaking, self.score_dim, self.score_scale = symmetry_breaking, score_dim, score_scale
        sizes = layers or [128] * (5 if on_nodes else 3)
        size = sizes[-1]
        self.cell_dim = self.parts * size
        self.op_embedding = OperationEmbedding(space, self.form, op_dim)
        self.initial_state = InitialState(space, node_dim, hidden_dim, learn_others=on_nodes)
        stack = NodeStack if on_nodes else EdgeStack
        gate_dim = op_dim + (score_dim if symmetry_breaking == "scores-concat" else 0)
        self.forward_flow = stack(space, [hidden_dim, *sizes], gate_dim)
        self.backward_flow = stack(space, [size, *sizes], gate_dim)
        self.output_gradient = mlp(size, size, size)
        self.update = mlp(op_dim + 2 * size, update_dim, op_dim)
        self.score_embedding = mlp(score_dim, 64, 128, op_dim) if symmetry_breaking == "scores" else None
        updated = torch.tensor(updated_ops(space, self.form))
        self.register_buffer("updated", updated[:, None], persistent=False)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        ids = self.forward_flow.op_ids(graphs).long()
        scores = self.scores(graphs)
        ops = self.first_vectors(ids, scores)
        nodes = DenseFlow((), self.initial_state.rows(graphs))
        first = nodes.start(self.initial_state())
        ahead = self.forward_flow.edges(graphs, reverse=False)
        behind = self.backward_flow.edges(graphs, reverse=True)
        place = torch.arange(graphs.num_nodes, device=graphs.device)[:, None]
        is_input, is_output = place < self.space.num_inputs, place == graphs.num_nodes - 1
        updated = self.updated[ids]
        states, passed = self.forward_flow(first, ahead, self.gating(ops, scores), ids, is_input)
        readouts = [readout(states, nodes, graphs, self.readout)]
        for _ in range(self.steps - 1):
            gradient = self.output_gradient(states[:, -1:]) * is_output
            _, returned = self.backward_flow(gradient, behind, self.gating(ops, scores), ids, is_output)
            change = self.update(torch.cat([ops.detach(), passed.detach(), returned], dim=-1))
            ops = ops + 0.1 * (updated * change)
            states, passed = self.forward_flow(first, ahead, self.gating(ops, scores), ids, is_input)
            readouts.append(readout(states, nodes, graphs, self.readout))
        return torch.cat(readouts, dim=1) if self.anytime else readouts[-1]

    def scores(self, graphs: ArchGraphs) -> Tensor | None:
        """The scores of the operations, (R, V, k) or (R, E, k), where they are used."""
        if self.score_dim and graphs.num_features != self.score_dim:
            raise InvalidParameter(
                f"this TA-GATES uses {self.score_dim} scores of each operation and the graphs have "
                f"{graphs.num_features}; attach as many by graphs.with_features(scores)"
            )
        return self.forward_flow.op_features(graphs) if self.score_dim else None

    def first_vectors(self, ids: Tensor, scores: Tensor | None) -> Tensor:
        """The operations' vectors e of the first step."""
        table: Tensor = self.op_embedding()
        ops = table[ids]
        if self.symmetry_breaking == "random" and self.training:
            ops = ops + 0.1 * torch.empty_like(ops).normal_(generator=own_generator(ops.device))
        if self.score_embedding is not None:
            ops = ops + self.score_scale * self.score_embedding(scores)
        return ops

    def gating(self, ops: Tensor, scores: Tensor | None) -> Tensor:
        """What the gates see of the operations: e, or [e; z]."""
        if scores is None or self.score_embedding is not None:
            return ops
        return torch.cat([ops, scores], dim=-1)

    def forward(self, graphs: ArchGraphs) -> Tensor:
        encodings = super().forward(graphs)
        if not self.anytime:
            return encodings
        by_cells = encodings.reshape(-1, self.space.cells, self.steps, self.cell_dim // self.steps)
        return by_cells.transpose(1, 2).flatten(1)


def check_symmetry_breaking(kind: SymmetryBreaking, score_dim: int) -> None:
    """Raises :class:`InvalidParameter` for scores of no length, and for a length where no scores are used."""
    if kind.startswith("scores") != (score_dim > 0):
        raise InvalidParameter(
            f"TA-GATES got symmetry_breaking={kind!r} with score_dim={score_dim!r}; "
            "give the number of scores of an operation where scores are used, and 0 elsewhere"
        )


def mlp(*sizes: int) -> nn.Sequential:
    """Linear maps with a ReLU behind all but the last."""
    layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def updated_ops(space: Space, form: OpOn) -> list[bool]:
    """M for each id of the vocabulary: everything on nodes; on edges the operations that have parameters."""
    if form == "node":
        return [True] * len(space.node_vocabulary)
    return [name in space.parametric_ops for name in space.edge_vocabulary]


class NodeStack(nn.Module):
    """GATES' layers for operations on nodes with a vector for each node's operation."""

    def __init__(self, space: Space, sizes: Sequence[int], op_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GATESNodeLayer(space, size, out, op_dim) for size, out in pairwise(sizes))

    def op_ids(self, graphs: ArchGraphs) -> Tensor:
        """(R, V)."""
        return graphs.ops

    def op_features(self, graphs: ArchGraphs) -> Tensor | None:
        """(R, V, k)."""
        return graphs.features

    def edges(self, graphs: ArchGraphs, *, reverse: bool) -> Tensor:
        """A + I, or its transpose, (R, V, V), rows receive."""
        a = receiving(graphs.adjacency, graphs.mask, self_loops=True, normalise=False)
        return a.transpose(1, 2) if reverse else a

    def forward(
        self, states: Tensor, edges: Tensor, ops: Tensor, ids: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Final states (R, V, size), which are also what the update of the operations sees."""
        rows = DenseRows(ids, keep, edges)
        for depth, layer in enumerate(cast("Sequence[GATESNodeLayer]", self.layers)):
            states = layer(states, rows, layer.gates(ops))
            if depth < len(self.layers) - 1:
                states = torch.relu(states)
        return states, states


class EdgeMessages(GATESLayer):
    """One of GATES' layers for operations on edges, with a gate for each edge."""

    def forward(
        self, states: Tensor, ends: tuple[Tensor, Tensor], gates: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New states (R, V, size) and the messages (R, E, size) that made them.

        Args:
            states: (R, V, in_dim).
            ends: int64 (E,) sender of each edge, and (V, E) with 1 / S where an edge is received.
            gates: (R, E, size), zero where there is no edge.
            keep: (V, 1), the nodes that keep their residual.
        """
        sender, receiver = ends
        x = states @ self.weight
        messages = gates * x[:, sender]
        return receiver.to(x.dtype) @ messages + x * keep, messages


class EdgeStack(nn.Module):
    """GATES' layers for operations on edges with a vector for each edge slot's operation."""

    slots: Tensor
    fixed: Tensor

    def __init__(self, space: Space, sizes: Sequence[int], op_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EdgeMessages(size, out, op_dim) for size, out in pairwise(sizes))
        self.edges_per_pair = space.edges_per_pair
        names = space.edge_vocabulary
        self.register_buffer("slots", space.edge_slots(), persistent=False)
        fixed = [math.inf if name == space.skip_op else 0.0 for name in names]
        for k, name in enumerate(names):
            if k == ABSENT or name == space.none_op:
                fixed[k] = -math.inf
        self.register_buffer("fixed", torch.tensor(fixed, dtype=torch.float32)[:, None], persistent=False)

    def op_ids(self, graphs: ArchGraphs) -> Tensor:
        """(R, E)."""
        source, target, slot = self.slots.T
        return graphs.edge_ops()[:, slot, source, target]

    def op_features(self, graphs: ArchGraphs) -> Tensor | None:
        """(R, E, k)."""
        source, target, slot = self.slots.T
        features = graphs.edge_features()
        return None if features is None else features[:, slot, source, target]

    def edges(self, graphs: ArchGraphs, *, reverse: bool) -> tuple[Tensor, Tensor]:
        """Senders (E,) and receivers (V, E); see :class:`EdgeMessages`."""
        source, target, _ = self.slots.T
        sender, receiver = (target, source) if reverse else (source, target)
        nodes = torch.arange(graphs.num_nodes, device=graphs.device)
        return sender, (nodes[:, None] == receiver) / self.edges_per_pair

    def forward(
        self, states: Tensor, edges: tuple[Tensor, Tensor], ops: Tensor, ids: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Final states (R, V, size) and the messages of the last layer (R, E, size)."""
        # the logistic function of -inf and inf, 0 and 1, are the gates of no edge and of a skip connection
        fixed = self.fixed[ids]
        messages = ops
        for depth, layer in enumerate(cast("Sequence[EdgeMessages]", self.layers)):
            gates = torch.sigmoid(layer.gate(ops) + fixed)
            states, messages = layer(states, edges, gates, keep)
            if depth < len(self.layers) - 1:
                states = torch.relu(states)
        return states, messages
