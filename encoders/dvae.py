"""D-VAE: a variational autoencoder that reads and writes a cell node by node."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from archenc.encoders import latent
from archenc.encoders.vgae import NodeFeatures
from archenc.graphs import OUTPUT, PAD, ArchGraphs
from archenc.pretraining import PretrainableEncoder, PretrainingSchedule
from archenc.rules import NotNegative, Size
from archenc.spaces.base import Space
from archenc.transforms import permute_nodes


class DVAEEncoder(PretrainableEncoder):
    r"""Variational autoencoder of directed acyclic graphs (Zhang et al., NeurIPS 2019, sections 3.2 and 3.3).

    With o the operation of a node and p its position, both one-hot, and :math:`x = [o; p]`, the state of a node v is computed when those
    of all its sources are:

    .. math::

        h_v = \mathrm{GRU} \Big( x_v, \sum_{u \to v} g(h_u) \odot m(h_u) \Big), \qquad
        g(h_u) = \sigma(W_g [h_u; p_u] + b_g), \qquad m(h_u) = W_m [h_u; p_u]

    Another such pass runs against the edges. The state of the output in the first and of the input in the second, one behind the other,
    give :math:`\mu` and :math:`\log \sigma^2` by a linear map each. The encoding of a cell is :math:`\mu`.

    Pretraining draws :math:`z = \mu + s \, \sigma \odot n` with normal noise n; a decoder (:class:`Decoder`) rebuilds the cell from z.
    The loss, a mean over the cells, is

    .. math:: -\log P(\text{cell} \mid z) + \beta \, \mathrm{KL}\big(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(0, 1)\big)

    Positions count the nodes that exist, so it does not matter where empty places lie. As nodes are told apart by their positions, and
    the decoder writes them in order, isomorphic cells whose nodes stand in another order get another encoding.

    Args:
        space: any space; operations on edges are put on the nodes of the line graph.
        hidden_dim: length of a node's state; 501 in the authors' code, here reduced to what two CPU cores train in minutes.
        latent_dim: length of z, and of the encoding of a cell; 56 in the authors' code.
        beta: weight of the KL divergence.
        noise_scale: s; 1 in the paper, .01 in the authors' code. More noise spreads the cells in the latent space, so that random points
            decode to more different ones, but it takes many more epochs until cells are rebuilt.
        simplify: simplify the graphs first.

    Shapes:
        R rows of V nodes; returns (R, latent_dim).

    Deviations: in the paper x is the operation alone. In the cells of the authors each node follows the one before it; elsewhere
    two equal nodes with the same sources would have one state, and the decoder could not tell what to write behind the first and what
    behind the second. The authors' code unites both states by one more linear map, lets the decoder use the gates of the encoder, and
    when it decodes joins nodes without a target to the output, whose edges are predicted here as all others. Of several inputs the
    mean state is taken. The default schedule is shorter, with larger batches and steps (the authors': 100 epochs of batches of 32 at
    rate 1e-4).
    """

    form = "node"
    paper: ClassVar[str] = (
        "Zhang, Jiang, Cui, Garnett, Chen: D-VAE: A Variational Autoencoder for Directed Acyclic Graphs, NeurIPS 2019, sections 3.2 and 3.3"
    )

    def __init__(
        self,
        space: Space,
        *,
        hidden_dim: Size = 64,
        latent_dim: Size = 32,
        beta: NotNegative = 0.005,
        noise_scale: NotNegative = 0.01,
        simplify: bool = False,
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.beta = beta
        self.noise_scale = noise_scale
        self.cell_dim = latent_dim
        self.features = NodeFeatures(space)
        self.ahead = MessagePassing(space, hidden_dim)
        self.back = MessagePassing(space, hidden_dim)
        self.mu = nn.Linear(2 * hidden_dim, latent_dim)
        self.log_variance = nn.Linear(2 * hidden_dim, latent_dim)
        self.decoder = Decoder(space, hidden_dim, latent_dim)

    # -- encoding and decoding ---------------------------------------------------------------------------------------

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        means: Tensor = self.mu(self.cell_states(graphs))
        return means

    def cell_states(self, graphs: ArchGraphs) -> Tensor:
        """The state of the output in the pass ahead and that of the input in the pass back, (R, 2 hidden_dim), of prepared graphs."""
        columns, adjacency = self.features.ids(graphs), graphs.adjacency.to(self.mu.weight.dtype)
        positions = graphs.mask.cumsum(1) - 1
        ahead, _ = self.ahead(columns, positions, adjacency)
        back, _ = self.back(columns.flip(1), positions.flip(1), adjacency.flip(1, 2).transpose(1, 2))
        return torch.cat([ahead[:, -1], back[:, -self.space.num_inputs :].mean(1)], dim=1)

    def decode(self, z: Tensor, generator: torch.Generator | None = None, batch_size: int = 4096) -> ArchGraphs:
        """Cells in op-on-node form from z (R, latent_dim); they need not belong to the space.

        Args:
            z: as many rows as there are cells; R is a multiple of the cells of an architecture.
            generator: draws each type and edge by its probability; None takes the more probable.
            batch_size: how many cells are decoded together.
        """
        batches = [self.decoder.decode(part, generator) for part in torch.split(z, batch_size)]
        columns, adjacency = (torch.cat(parts) for parts in zip(*batches, strict=True))
        ops = torch.where(columns >= 0, self.features.node_ids(columns.clamp(min=0)), PAD)
        return output_last(ArchGraphs(self.space, adjacency, ops, columns >= 0, simplified=self.simplify))

    # -- pretraining -------------------------------------------------------------------------------------------------

    def pretraining_schedule(self) -> PretrainingSchedule:
        epochs = 4 if self.space.name == "nasbench101" else 12
        return PretrainingSchedule(epochs=epochs, batch_size=64, lr=3e-3, lr_schedule="linear", gradient_clip=5.0)

    def pretraining_loss(self, batch: ArchGraphs, generator: torch.Generator) -> Tensor:
        states = self.cell_states(batch)
        mu, log_variance = self.mu(states), self.log_variance(states)
        noise = torch.randn(mu.shape, generator=generator, dtype=torch.float32, device=mu.device)
        z = mu + self.noise_scale * (0.5 * log_variance).exp() * noise
        cells = output_behind_nodes(batch)
        rebuilt = self.decoder.log_likelihood(z, self.features.ids(cells), cells.adjacency.to(mu.dtype))
        return (self.beta * kl_divergence(mu, log_variance) - rebuilt).mean()

    def pretraining_metrics(self, examples: ArchGraphs, generator: torch.Generator) -> dict[str, float]:
        """``reconstruction_accuracy``: percent of the architectures that the most probable decoding of mu gives back exactly."""
        right = []
        for batch, mu in self._means(examples):
            rebuilt = self.decode(mu)
            same = (rebuilt.ops == batch.ops).all(1) & (rebuilt.adjacency == batch.adjacency).flatten(1).all(1)
            right.append(same.reshape(-1, self.space.cells).all(1))
        return {"reconstruction_accuracy": 100.0 * torch.cat(right).double().mean().item()}

    def pretraining_figures(self, graphs: ArchGraphs, generator: torch.Generator) -> dict[str, float]:
        """Validity and uniqueness of the most probable decodings of ``draws`` random points (:func:`archenc.encoders.latent.quality`).

        The draws have the mean and the deviation of mu over the architectures trained on, as in the authors' code.
        """
        means = torch.cat([mu for _, mu in self._means(self.prepare(graphs))]).reshape(-1, self.space.cells, self.cell_dim)
        decoded = self.decode(latent.draws(means, self.draws, generator).flatten(0, 1)).to("cpu")
        return latent.quality(self.space, decoded.ops, decoded.adjacency.bool(), self.simplify)

    def _means(self, prepared: ArchGraphs, batch_size: int = 8192) -> Iterator[tuple[ArchGraphs, Tensor]]:
        for start in range(0, len(prepared), batch_size):
            batch = prepared[start : start + batch_size]
            yield batch, self.encode_cells(batch)


class MessagePassing(nn.Module):
    """A pass along the edges of a directed acyclic graph: each node's state is computed once, from those of its sources."""

    positions: Tensor

    def __init__(self, space: Space, hidden_dim: int) -> None:
        super().__init__()
        nodes = space.num_node_form_nodes
        self.num_inputs = space.num_inputs
        bound = 1 / math.sqrt(hidden_dim)
        self.kind_inputs = nn.Parameter(torch.empty(NodeFeatures(space).columns, 3 * hidden_dim).uniform_(-bound, bound))
        self.position_inputs = nn.Parameter(torch.empty(nodes, 3 * hidden_dim).uniform_(-bound, bound))
        self.gru = GRU(hidden_dim)
        self.gate = nn.Linear(hidden_dim + nodes, hidden_dim)
        self.map = nn.Linear(hidden_dim + nodes, hidden_dim, bias=False)
        self.register_buffer("positions", torch.eye(nodes), persistent=False)

    def forward(self, columns: Tensor, positions: Tensor, adjacency: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The states of the nodes and the messages they send, both (R, V, H).

        Args:
            columns: int64 (R, V), the number of each node's kind; what is computed where it is below 0, for no node, goes nowhere.
            positions: int64 (R, V).
            adjacency: float (R, V, V), strictly upper triangular.
            start: (R, H), what the inputs receive; zero by default.
        """
        inputs = self.inputs(columns, positions)
        states: list[Tensor] = []
        messages: list[Tensor] = []
        for v in range(columns.shape[1]):
            if v < self.num_inputs and start is not None:
                received = start
            elif v == 0:
                received = inputs.new_zeros(len(inputs), self.map.out_features)
            else:
                received = (adjacency[:, None, :v, v] @ torch.stack(messages, 1)).squeeze(1)
            states.append(self.gru(inputs[:, v], received))
            messages.append(self.message(states[v], positions[:, v]))
        return torch.stack(states, 1), torch.stack(messages, 1)

    def inputs(self, columns: Tensor, positions: Tensor) -> Tensor:
        """W x, (..., 3 H), for columns and positions (...)."""
        return self.kind_inputs[columns.clamp(min=0)] + self.position_inputs[positions]

    def message(self, state: Tensor, position: Tensor) -> Tensor:
        """g(h) m(h), (R, H), from states (R, H) of nodes at positions (R,)."""
        known = torch.cat([state, self.positions[position]], dim=1)
        message: Tensor = torch.sigmoid(self.gate(known)) * self.map(known)
        return message


class GRU(nn.Module):
    r"""A gated recurrent unit whose inputs x are mapped elsewhere.

    .. math::

        r = \sigma(W_r x + U_r s), \quad c = \sigma(W_c x + U_c s), \quad
        n = \tanh(W_n x + r \odot U_n s), \quad h = (1 - c) \odot n + c \odot s

    with biases in W and U.
    """

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.state_map = nn.Linear(hidden_dim, 3 * hidden_dim)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """States h (..., H) from W x (..., 3 H), the parts for r, c and n in a row, and s (..., H)."""
        (r_x, c_x, n_x), (r_s, c_s, n_s) = inputs.chunk(3, -1), self.state_map(state).chunk(3, -1)
        new = torch.tanh(n_x + torch.sigmoid(r_x + r_s) * n_s)
        return torch.lerp(new, state, torch.sigmoid(c_x + c_s))


class Decoder(nn.Module):
    r"""Writes a cell node by node, the output behind the last of the others.

    The inputs receive :math:`\tanh(W z + b)`. Each further node v gets its type, an operation or the output, from the state of the node
    before it; then, for u = v - 1, v - 2, ..., 0, it is told whether an edge leads from u to v:

    .. math::

        P(t_v) = \mathrm{softmax}\big(\mathrm{MLP}_t(h_{v-1})\big), \qquad P(u \to v) = \sigma\big(\mathrm{MLP}_e([h_u; h_v^{(u)}])\big)

    where :math:`h_v^{(u)}` is the state of v by the edges from u + 1, ..., v - 1 alone. The output ends the cell; in the last place of a
    space there is nothing else.
    """

    def __init__(self, space: Space, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.num_inputs, self.nodes = space.num_inputs, space.num_node_form_nodes
        self.output = NodeFeatures(space).columns - 1
        self.start = nn.Linear(latent_dim, hidden_dim)
        self.passing = MessagePassing(space, hidden_dim)
        types = self.output + 1 - self.num_inputs
        self.next_type = nn.Sequential(nn.Linear(hidden_dim, 2 * hidden_dim), nn.ReLU(), nn.Linear(2 * hidden_dim, types))
        self.edge = nn.Sequential(nn.Linear(2 * hidden_dim, 4 * hidden_dim), nn.ReLU(), nn.Linear(4 * hidden_dim, 1), nn.Flatten(-2))

    def log_likelihood(self, z: Tensor, columns: Tensor, adjacency: Tensor) -> Tensor:
        """Log-likelihood of cells given z, (R,), each choice given the right ones before it.

        Once the states are known, all choices are independent, and are taken together.

        Args:
            z: (R, latent_dim).
            columns: int64 (R, V), the output behind the last of the other nodes, then -1.
            adjacency: float (R, V, V).
        """
        first, length = self.num_inputs, columns.shape[1]
        places = torch.arange(length, device=z.device)
        states, messages = self.passing(columns, places.expand(columns.shape), adjacency, torch.tanh(self.start(z)))

        chosen = min(length, self.nodes - 1)  # in the last place there is no choice
        types = torch.where(columns >= 0, columns - first, -1)[:, first:chosen]
        type_logits = self.next_type(states[:, first - 1 : chosen - 1]).transpose(1, 2)
        of_types = cross_entropy(type_logits, types, ignore_index=-1, reduction="none")

        u, v = torch.triu_indices(length, length, 1, device=z.device)
        u, v = u[v >= first], v[v >= first]
        known = adjacency.transpose(1, 2)[:, v] * (places > u[:, None])
        partial = self.passing.gru(self.passing.inputs(columns[:, v], v), known @ messages)
        edge_logits = self.edge(torch.cat([states[:, u], partial], dim=2))
        of_edges = binary_cross_entropy_with_logits(edge_logits, adjacency[:, u, v], reduction="none") * (columns[:, v] >= 0)
        return -of_types.sum(1) - of_edges.sum(1)

    def decode(self, z: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Columns, int64 (R, V), and adjacency, uint8 (R, V, V), as :meth:`log_likelihood` takes them.

        Args:
            z: (R, latent_dim).
            generator: draws each choice; None takes the more probable.
        """
        rows, gru = len(z), self.passing.gru
        columns = torch.full((rows, self.nodes), -1, device=z.device)
        adjacency = torch.zeros(rows, self.nodes, self.nodes, dtype=torch.uint8, device=z.device)
        unfinished = torch.ones(rows, dtype=torch.bool, device=z.device)
        states: list[Tensor] = []
        messages: list[Tensor] = []
        for v in range(self.nodes):
            if v < self.num_inputs:
                kind, received = torch.full_like(columns[:, v], v), torch.tanh(self.start(z))
            else:
                kind, received = self._choose_type(states[-1], v, generator), z.new_zeros(rows, self.start.out_features)
            inputs = self.passing.inputs(kind, torch.full_like(kind, v))
            state = gru(inputs, received)
            for u in range(v - 1, -1, -1) if v >= self.num_inputs else ():
                probability = self.edge(torch.cat([states[u], state], dim=1)).sigmoid()
                draw = 0.5 if generator is None else torch.rand(rows, generator=generator, dtype=torch.float32, device=z.device)
                edge = probability > draw
                received = received + edge[:, None] * messages[u]
                state = gru(inputs, received)
                adjacency[:, u, v] = edge & unfinished
            states.append(state)
            messages.append(self.passing.message(state, torch.full_like(kind, v)))
            columns[:, v] = torch.where(unfinished, kind, -1)
            unfinished &= kind != self.output
            if not unfinished.any():
                break
        return columns, adjacency

    def _choose_type(self, state: Tensor, place: int, generator: torch.Generator | None) -> Tensor:
        """Int64 (R,): the column of the node in a place, from the states (R, H) of the nodes before it."""
        if place == self.nodes - 1:
            return torch.full_like(state[:, 0], self.output, dtype=torch.int64)
        logits: Tensor = self.next_type(state)
        best = logits.argmax(1) if generator is None else logits.softmax(1).multinomial(1, generator=generator).squeeze(1)
        return best + self.num_inputs


def kl_divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, 1)) of (R, d), (R,)."""
    divergence: Tensor = -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum(1)
    return divergence


def output_behind_nodes(graphs: ArchGraphs) -> ArchGraphs:
    """Op-on-node graphs with the nodes that exist in a row, the output behind the others, cut at the longest; without features."""
    in_a_row = permute_nodes(graphs.with_features(None), torch.argsort((~graphs.mask).byte(), dim=1, stable=True))
    longest = int(graphs.mask.sum(1).max())
    return replace(
        in_a_row,
        adjacency=in_a_row.adjacency[:, :longest, :longest],
        ops=in_a_row.ops[:, :longest],
        mask=in_a_row.mask[:, :longest],
    )


def output_last(graphs: ArchGraphs) -> ArchGraphs:
    """The inverse of :func:`output_behind_nodes`: the output in the last place, padding before it."""
    return permute_nodes(graphs, torch.argsort((~graphs.mask).byte() + 2 * (graphs.ops == OUTPUT), dim=1, stable=True))
