"""The parts of D-VAE: the pass along a graph's edges, and the decoder that writes a cell node by node."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from archenc.encoders.modules.nodes import OneHotNodes
from archenc.spaces.base import Space


class MessagePassing(nn.Module):
    """A pass along the edges of an acyclic graph: each state is computed once, from those of the sources."""

    positions: Tensor

    def __init__(self, space: Space, hidden_dim: int) -> None:
        super().__init__()
        nodes = space.num_node_form_nodes
        self.num_inputs = space.num_inputs
        bound = 1 / math.sqrt(hidden_dim)
        kinds = OneHotNodes(space).columns
        self.kind_inputs = nn.Parameter(torch.empty(kinds, 3 * hidden_dim).uniform_(-bound, bound))
        self.position_inputs = nn.Parameter(torch.empty(nodes, 3 * hidden_dim).uniform_(-bound, bound))
        self.gru = GRU(hidden_dim)
        self.gate = nn.Linear(hidden_dim + nodes, hidden_dim)
        self.map = nn.Linear(hidden_dim + nodes, hidden_dim, bias=False)
        self.register_buffer("positions", torch.eye(nodes), persistent=False)

    def forward(
        self, columns: Tensor, positions: Tensor, adjacency: Tensor, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The states of the nodes and the messages they send, both (R, V, H).

        Args:
            columns: int64 (R, V), the number of each node's kind; what is computed where it is below 0, for
                no node, goes nowhere.
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


class DVAEDecoder(nn.Module):
    r"""Writes a cell node by node, the output behind the last of the others.

    The inputs receive :math:`\tanh(W z + b)`. Each further node v gets its type, an operation or the output,
    from the state of the node before it; then, for u = v - 1, v - 2, ..., 0, it is told whether an edge leads
    from u to v:

    .. math::

        P(t_v) = \mathrm{softmax}\big(\mathrm{MLP}_t(h_{v-1})\big), \qquad
        P(u \to v) = \sigma\big(\mathrm{MLP}_e([h_u; h_v^{(u)}])\big)

    where :math:`h_v^{(u)}` is the state of v by the edges from u + 1, ..., v - 1 alone. The output ends the
    cell; in the last place of a space there is nothing else.
    """

    def __init__(self, space: Space, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.num_inputs, self.nodes = space.num_inputs, space.num_node_form_nodes
        self.output = OneHotNodes(space).columns - 1
        self.start = nn.Linear(latent_dim, hidden_dim)
        self.passing = MessagePassing(space, hidden_dim)
        types = self.output + 1 - self.num_inputs
        self.next_type = nn.Sequential(
            nn.Linear(hidden_dim, 2 * hidden_dim), nn.ReLU(), nn.Linear(2 * hidden_dim, types)
        )
        self.edge = nn.Sequential(
            nn.Linear(2 * hidden_dim, 4 * hidden_dim), nn.ReLU(), nn.Linear(4 * hidden_dim, 1), nn.Flatten(-2)
        )

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
        positions = places.expand(columns.shape)
        states, messages = self.passing(columns, positions, adjacency, torch.tanh(self.start(z)))

        chosen = min(length, self.nodes - 1)  # in the last place there is no choice
        types = torch.where(columns >= 0, columns - first, -1)[:, first:chosen]
        type_logits = self.next_type(states[:, first - 1 : chosen - 1]).transpose(1, 2)
        of_types = cross_entropy(type_logits, types, ignore_index=-1, reduction="none")

        u, v = torch.triu_indices(length, length, 1, device=z.device)
        u, v = u[v >= first], v[v >= first]
        known = adjacency.transpose(1, 2)[:, v] * (places > u[:, None])
        partial = self.passing.gru(self.passing.inputs(columns[:, v], v), known @ messages)
        edge_logits = self.edge(torch.cat([states[:, u], partial], dim=2))
        of_edges = binary_cross_entropy_with_logits(edge_logits, adjacency[:, u, v], reduction="none")
        return -of_types.sum(1) - (of_edges * (columns[:, v] >= 0)).sum(1)

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
                kind = self._choose_type(states[-1], v, generator)
                received = z.new_zeros(rows, self.start.out_features)
            inputs = self.passing.inputs(kind, torch.full_like(kind, v))
            state = gru(inputs, received)
            for u in range(v - 1, -1, -1) if v >= self.num_inputs else ():
                probability = self.edge(torch.cat([states[u], state], dim=1)).sigmoid()
                edge = probability > self._threshold(probability, generator)
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

    def _threshold(self, probability: Tensor, generator: torch.Generator | None) -> Tensor | float:
        """What the probabilities (R,) of edges must exceed."""
        if generator is None:
            return 0.5
        return torch.rand(
            probability.shape, generator=generator, dtype=torch.float32, device=probability.device
        )

    def _choose_type(self, state: Tensor, place: int, generator: torch.Generator | None) -> Tensor:
        """Int64 (R,): the column of the node in a place, from the states (R, H) of the nodes before it."""
        if place == self.nodes - 1:
            return torch.full_like(state[:, 0], self.output, dtype=torch.int64)
        logits: Tensor = self.next_type(state)
        if generator is None:
            return logits.argmax(1) + self.num_inputs
        return logits.softmax(1).multinomial(1, generator=generator).squeeze(1) + self.num_inputs
