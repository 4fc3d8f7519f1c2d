"""FlowerFormer: a graph transformer whose messages follow the order in which a cell computes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from archenc.encoder import Encoder
from archenc.encoders.modules.nodes import NodeEmbedding, node_kinds
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs
from archenc.graphs.paths import reachability
from archenc.registry.rules import Depth, Probability, Size
from archenc.spaces.base import Space


class FlowerFormerEncoder(Encoder):
    r"""FlowerFormer, a flow-aware graph transformer (Hwang et al., CVPR 2024).

    The flow module visits the nodes in topological order. Node v takes a message from the new states of its
    predecessors P(v), weighted by attention, and updates its state by a gated recurrent unit; a second pass
    does the same from the successors S(v), in reverse:

    .. math::

        m_v &= \sum_{u \in P(v)} \mathrm{softmax}_u(w^\top f_u) f_u, \qquad f_v = \mathrm{GRU}(x_v, m_v)

        m'_v &= \sum_{u \in S(v)} \mathrm{softmax}_u(w'^\top b_u) b_u, \qquad b_v = \mathrm{GRU}'(f_v, m'_v)

    where the message has the place of the unit's hidden state and is zero for nodes without predecessors
    (successors). The global module is a multi-head attention in which a node sees itself and the nodes that a
    directed path joins it with. A layer is

    .. math::

        h &= \mathrm{LN}(x + \mathrm{ReLU}(b)) + \mathrm{LN}(x + \mathrm{Attention}(x)), \qquad
        x' = \mathrm{LN}(h + W_2 \mathrm{ReLU}(W_1 h))

    and the encoding of a cell is the mean state of its nodes. Isomorphic architectures get the same encoding;
    where operations sit on edges, which are encoded in their node form, only with ``simplify=True``.

    Args:
        space: any space.
        dim: length of a node's state and of the encoding of a cell.
        layers: number of layers.
        heads: number of heads of the global attention.
        attention_dropout: probability of dropping a weight of the global attention.
        simplify: whether what computes nothing is cut first.

    Raises:
        InvalidParameter: a ``dim`` that the heads cannot share.

    Shapes:
        R rows of V nodes; returns (R, dim).

    Deviations: layers normalise each node's state (LN) instead of each column over the batch, which keeps an
    encoding independent of what else is in the batch. All nodes of one position are visited at once, and the
    states are those of visiting by topological generations. The attention score of the paper also has a term
    of the receiving node, and the released code one of the edges, which are the same for all senders and
    cancel in the softmax.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("flowerformer", space, dim=16, layers=1)
        >>> encoder(space.sample(3, seed=0)).shape
        torch.Size([3, 16])
    """

    form = "node"
    invariant = True
    paper: ClassVar[str] = (
        "Hwang et al., FlowerFormer: Empowering Neural Architecture Encoding using a Flow-aware Graph "
        "Transformer, CVPR 2024, arXiv:2403.12821"
    )

    def __init__(
        self,
        space: Space,
        *,
        dim: Size = 64,
        layers: Depth = 9,
        heads: Size = 8,
        attention_dropout: Probability = 0.5,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        if dim % heads:
            raise InvalidParameter(
                f"FlowerFormer got dim = {dim} and heads = {heads}; give a dim divisible by the heads"
            )
        self.cell_dim = dim
        self.features = NodeEmbedding(space, dim, dim)
        self.layers = nn.ModuleList(FlowerFormerLayer(dim, heads, attention_dropout) for _ in range(layers))

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        x = normalize(torch.relu(self.features()), dim=-1)[node_kinds(graphs)]
        receiving = graphs.adjacency.transpose(1, 2).bool()
        upstream = sender_bias(receiving)
        downstream = sender_bias(receiving.transpose(1, 2).flip(1, 2))
        related = relation_bias(graphs.adjacency)
        for layer in self.layers:
            x = layer(x, upstream, downstream, related)
        weights = graphs.mask.to(x.dtype) / graphs.mask.sum(1, keepdim=True)
        return (x * weights[:, :, None]).sum(1)


def sender_bias(receiving: Tensor) -> Tensor:
    """What is added to the scores of the possible senders: float (R, V, 1 + V), 0 or minus infinity.

    Sender 0 stands for nobody, whose state is zero, and is open only to a node that receives from no other.

    Args:
        receiving: bool (R, V, V), True where node i (rows) receives from node j.
    """
    senders = torch.cat([~receiving.any(2, keepdim=True), receiving], dim=2)
    nothing = torch.zeros(senders.shape, dtype=torch.float32, device=senders.device)
    return nothing.masked_fill(~senders, -torch.inf)


def relation_bias(adjacency: Tensor) -> Tensor:
    """Float (R, V, V): 0 where a directed path joins two nodes or they are the same, else minus infinity."""
    paths = reachability(adjacency).bool()
    itself = torch.eye(adjacency.shape[1], dtype=torch.bool, device=adjacency.device)
    related = paths | paths.transpose(1, 2) | itself
    nothing = torch.zeros(related.shape, dtype=torch.float32, device=related.device)
    return nothing.masked_fill(~related, -torch.inf)


class FlowerFormerLayer(nn.Module):
    """Flow module and global module side by side, then a feed-forward block."""

    def __init__(self, dim: int, heads: int, attention_dropout: float) -> None:
        super().__init__()
        self.forward_pass, self.backward_pass = FlowerFormerFlow(dim), FlowerFormerFlow(dim)
        self.attention = PathAttention(dim, heads, attention_dropout)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.flow_norm, self.attention_norm, self.norm = (
            nn.LayerNorm(dim),
            nn.LayerNorm(dim),
            nn.LayerNorm(dim),
        )

    def forward(self, x: Tensor, upstream: Tensor, downstream: Tensor, related: Tensor) -> Tensor:
        """(R, V, dim) to the same.

        ``downstream`` is the sender bias of the graph with its edges and the order of its nodes reversed.
        """
        flow = self.forward_pass(x, upstream)
        flow = self.backward_pass(flow.flip(1), downstream).flip(1)
        h = self.flow_norm(x + torch.relu(flow)) + self.attention_norm(x + self.attention(x, related))
        out: Tensor = self.norm(h + self.feed_forward(h))
        return out


class PathAttention(nn.Module):
    """Multi-head attention between nodes that a directed path joins."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.mix_heads = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, related: Tensor) -> Tensor:
        """(R, V, dim) and :func:`relation_bias` (R, V, V) to (R, V, dim)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).unbind(2)
        scores = (q.transpose(1, 2) @ k.permute(0, 2, 3, 1)).permute(0, 2, 3, 1).contiguous()
        scores = scores * q.shape[-1] ** -0.5
        attention = self.dropout(torch.softmax(scores + related[..., None], dim=2))
        gathered = attention.permute(0, 3, 1, 2) @ v.transpose(1, 2)
        mixed: Tensor = self.mix_heads(gathered.transpose(1, 2).flatten(2))
        return mixed


class FlowerFormerFlow(nn.Module):
    """One pass over the nodes, first to last; attention over senders, then a gated recurrent unit."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        bound = dim**-0.5
        self.score = nn.Parameter(torch.empty(dim).uniform_(-bound, bound))
        self.from_node = nn.Linear(dim, 3 * dim)
        self.from_message = nn.Linear(dim, 3 * dim)
        nn.init.uniform_(self.from_node.weight, -bound, bound)
        nn.init.uniform_(self.from_message.weight, -bound, bound)

    def forward(self, x: Tensor, senders: Tensor) -> Tensor:
        """(R, V, dim) and :func:`sender_bias` (R, V, 1 + V) to (R, V, dim)."""
        states: Tensor = FlowFunction.apply(  # type: ignore[no-untyped-call]
            self.from_node(x), senders, self.score, self.from_message.weight, self.from_message.bias
        )
        return states[:, 1:]


def gated_unit(node: Tensor, message: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """The gates of a recurrent unit (Cho et al., EMNLP 2014) whose hidden state is the message.

    The new state is (1 - z) n + z m, with reset gate r, update gate z and candidate n = tanh(node part + r
    (message part)).

    Args:
        node: (..., 3 dim), the node's part of r, z and n.
        message: (..., dim).
        weight: (3 dim, dim) and
        bias: (3 dim,) give the message's part.

    Returns:
        (..., dim) each: r, z, n, and the message's part of n.
    """
    dim = message.shape[-1]
    parts = linear(message, weight, bias)
    r, z = torch.sigmoid(node[..., : 2 * dim] + parts[..., : 2 * dim]).chunk(2, dim=-1)
    n = torch.tanh(torch.addcmul(node[..., 2 * dim :], r, parts[..., 2 * dim :]))
    return r, z, n, parts[..., 2 * dim :]


class FlowFunction(torch.autograd.Function):
    """The recursion of :class:`FlowerFormerFlow` with its derivative.

    Automatic differentiation would record, and go back through, some fifteen tiny operations for each node,
    pass and layer, which is where most of the time of training went. Given the states, everything but the
    chain from node to node is computed for all nodes at once.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(node: Tensor, senders: Tensor, score: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(R, V, 3 dim) and (R, V, 1 + V) to states (R, 1 + V, dim), the first of which is nobody's."""
        rows, nodes, size = node.shape
        states = node.new_zeros(rows, 1 + nodes, size // 3)
        scores = node.new_zeros(rows, 1 + nodes)
        for v in range(nodes):  # senders come before
            attention = torch.softmax(scores[:, : v + 1] + senders[:, v, : v + 1], dim=1)
            message = (attention[:, None] @ states[:, : v + 1])[:, 0]
            _, z, n, _ = gated_unit(node[:, v], message, weight, bias)
            states[:, v + 1] = state = torch.lerp(n, message, z)
            scores[:, v + 1] = state @ score
        return states

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        node, senders, score, weight, bias, states = ctx.saved_tensors
        attention = torch.softmax((states @ score)[:, None] + senders, dim=2)
        message = attention @ states
        r, z, n, part = gated_unit(node, message, weight, bias)
        # derivatives of a state by what is inside its tanh and its two sigmoids
        by_n = (1 - z) * (1 - n.square())
        by_gates = torch.stack([by_n * part * r * (1 - r), (message - n) * z * (1 - z)], dim=2)
        by_parts = torch.cat([by_gates, (by_n * r)[:, :, None]], dim=2)

        d_states, d_scores = outputs[0].clone(), torch.zeros_like(outputs[0][..., 0])
        for v in reversed(range(node.shape[1])):
            d_state = torch.addcmul(d_states[:, v + 1], d_scores[:, v + 1, None], score)
            d_states[:, v + 1] = d_state  # complete, as all who receive from v came before
            d_message = torch.addmm(d_state * z[:, v], (d_state[:, None] * by_parts[:, v]).flatten(1), weight)
            weights, sent = attention[:, v, : v + 1], states[:, : v + 1]
            d_weights = (sent @ d_message[:, :, None])[:, :, 0]
            d_scores[:, : v + 1] += weights * (d_weights - (weights * d_weights).sum(1, keepdim=True))
            d_states[:, : v + 1] += weights[:, :, None] * d_message[:, None]

        d_state = d_states[:, 1:, None]
        d_node = torch.cat([d_state * by_gates, d_state * by_n[:, :, None]], dim=2).flatten(2)
        d_parts = (d_state * by_parts).flatten(2).flatten(0, 1)
        d_score = (d_scores[:, :, None] * states).sum((0, 1))
        return d_node, None, d_score, d_parts.T @ message.flatten(0, 1), d_parts.sum(0)
