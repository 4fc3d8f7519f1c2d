"""Which nodes have equal histories, and so equal states: found once for a store, cut to a batch.

After l layers the state of a node depends on nothing but its operation, its own state and the multiset of
what it received, one layer earlier. Its history is the colour of as many rounds of refinement (Weisfeiler,
Lehman 1968); nodes of one colour have one state (:class:`archenc.graphs.flow.SharedFlow`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from archenc.graphs.flow import SharedFlow, SharedRows
from archenc.graphs.hashing import mix

MOST_SHARED = 0.75
"""Different rows, as a share of all, above which a batch is computed densely."""


@dataclass(frozen=True)
class Round:
    """The different states of a store after a layer.

    Attributes:
        colours: int32 (R, V), the number of each node's state, -1 where there is no node.
        kinds, is_input, before: as in :class:`SharedRows`.
        starts: int64 (U + 1,), where the messages of each begin, and where the last ones end.
        senders, carriers: as in :class:`SharedRows`.
    """

    colours: np.ndarray
    kinds: np.ndarray
    is_input: np.ndarray
    before: np.ndarray
    starts: np.ndarray
    senders: np.ndarray
    carriers: np.ndarray


@dataclass(frozen=True)
class History:
    """Which nodes of a store have equal states after each layer.

    Attributes:
        rounds: of each layer.
        states: how many first states there are.
        share: what a message counts: 1 over the number of edges that may join a pair of nodes.
        rows: int64 (R,), the cells of the store that are looked at; None for all.
    """

    rounds: tuple[Round, ...]
    states: int
    share: float
    rows: np.ndarray | None = None

    def __getitem__(self, rows: Tensor | slice) -> History:
        at = rows if isinstance(rows, slice) else rows.cpu().numpy()
        here = np.arange(len(self.rounds[0].colours)) if self.rows is None else self.rows
        return replace(self, rows=here[at])

    def flow(self, device: torch.device) -> SharedFlow | None:
        """What the layers of an encoder read of these cells; None where too few rows are equal."""
        rows = slice(None) if self.rows is None else self.rows
        colours = [round_.colours[rows] for round_ in self.rounds]
        present = [_present(numbers, len(r.kinds)) for numbers, r in zip(colours, self.rounds, strict=True)]
        nodes = np.count_nonzero(colours[0] >= 0)
        if sum(map(len, present)) > MOST_SHARED * nodes * len(self.rounds):
            return None
        layers = []
        number_of, width = np.arange(self.states), self.states
        for at, round_ in zip(present, self.rounds, strict=True):
            layers.append(_rows(round_, at, number_of, width, self.share, device))
            number_of, width = np.empty(len(round_.kinds), dtype=np.int64), len(at)
            number_of[at] = np.arange(width)
        places = number_of[np.maximum(colours[-1], present[-1][0])]
        return SharedFlow(layers, torch.from_numpy(places).to(device), self.states)


def _present(numbers: np.ndarray, count: int) -> np.ndarray:
    """int64, ascending: which of ``count`` numbers occur; -1 does not count."""
    found = np.zeros(count + 1, dtype=bool)
    found[numbers.ravel()] = True  # -1 is the last place
    return np.flatnonzero(found[:-1])


def _rows(
    round_: Round, at: np.ndarray, number_of: np.ndarray, width: int, share: float, device: torch.device
) -> SharedRows:
    """The rows ``at`` of a round.

    Args:
        round_: of the store.
        at: int64 (U,), states of it.
        number_of: which of ``width`` rows each state of the layer before has become.
        width: see there.
        share: as in :class:`History`.
        device: of the tensors.
    """
    begin = round_.starts[at]
    counts = round_.starts[at + 1] - begin
    starts = np.cumsum(counts) - counts
    receivers = np.repeat(np.arange(len(at)), counts)
    items = (begin - starts)[receivers] + np.arange(len(receivers))
    senders = number_of[round_.senders[items]]
    short = senders.astype(np.uint16) if width < 2**16 else senders  # which numpy sorts by counting
    order = np.argsort(short, kind="stable")
    sent = np.bincount(senders, minlength=width)

    def tensor(part: np.ndarray) -> Tensor:
        return torch.from_numpy(part).to(device)

    return SharedRows(
        kinds=tensor(round_.kinds[at]),
        is_input=tensor(round_.is_input[at]),
        before=tensor(number_of[round_.before[at]]),
        senders=tensor(senders),
        carriers=tensor(round_.carriers[items]),
        starts=tensor(starts),
        heads=tensor(receivers),
        receivers=tensor(receivers[order]),
        starts_of_senders=tensor(np.cumsum(sent) - sent),
        share=share,
    )


def history(
    first: Tensor,
    kinds: Tensor,
    exists: Tensor,
    weights: Tensor,
    depth: int,
    *,
    num_inputs: int,
    share: float,
) -> History:
    """Refine the colours of the nodes of a store.

    Colours are numbers of 64-bit hashes of their histories, so that two different ones are taken for equal
    with a chance of some n^2 / 2^64: below 1e-6 for three million nodes.

    Args:
        first: int (R, V), which first state each node has.
        kinds: int (R, V), the number of each node's operation.
        exists: bool (R, V).
        weights: (R, V, V) or (R, V, V', K), how many messages a node, i, receives of each, j, (of kind k).
        depth: number of layers.
        num_inputs: nodes in front that are inputs.
        share: see :class:`History`.
    """
    cell, receiver, sender, carrier = _messages(weights)
    there = exists.cpu().numpy().copy()
    there[:, -1] = there[cell, sender] = there[cell, receiver] = True
    place = np.cumsum(there).reshape(there.shape) - 1
    source = place[cell, sender]
    counts = np.bincount(place[cell, receiver], minlength=int(there.sum()))
    begin = np.cumsum(counts) - counts
    kind, colour = kinds.cpu().numpy()[there], first.cpu().numpy()[there]
    is_input = np.nonzero(there)[1] < num_inputs
    salt = mix((kind.astype(np.uint64) << np.uint64(1)) + is_input)
    states, rounds = int(colour.max()) + 1, []
    for _ in range(depth):
        words = mix((colour[source].astype(np.uint64) << np.uint64(8)) + carrier.astype(np.uint64))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(words, dtype=np.uint64)])
        received = sums[begin + counts] - sums[begin]
        keys = mix(mix(colour.astype(np.uint64) ^ salt) + mix(received))
        _, at, new = np.unique(keys, return_index=True, return_inverse=True)
        starts = np.concatenate([[0], np.cumsum(counts[at])])
        items = np.repeat(begin[at] - starts[:-1], counts[at]) + np.arange(starts[-1])
        colours = np.full(there.shape, -1, dtype=np.int32)
        colours[there] = new
        parts = (kind[at], is_input[at, None], colour[at], starts, colour[source[items]], carrier[items])
        rounds.append(Round(colours, *parts))
        colour = new
    return History(tuple(rounds), states, share)


def _messages(weights: Tensor) -> tuple[np.ndarray, ...]:
    """Cell, receiver, sender and kind of each message, int64 (E,) each, ordered by cell and receiver."""
    found = weights.nonzero()
    counts = weights[tuple(found.T)].round().long()
    columns = [column.repeat_interleave(counts) for column in found.T]
    if len(columns) == 3:
        columns.append(torch.zeros_like(columns[0]))
    return tuple(column.cpu().numpy() for column in columns)
