"""Isomorphism-invariant hashes of whole batches, by Weisfeiler-Lehman colour refinement on 64-bit words.

Each node starts from its operation and its degrees and is refined, as many rounds as there are nodes, by the
multisets of its sources' and targets' colours; the graph's hash is the multiset of its nodes' colours
(Weisfeiler, Lehman 1968; the use on cells follows NAS-Bench-101, ICML 2019, section 2.2). Two isomorphic
graphs always get the same hash. The converse holds but for graphs that colour refinement cannot tell apart;
the enumerable spaces of this package (NAS-Bench-101, -201, -Graph) contain none.
"""

from __future__ import annotations

import numpy as np
import torch

from archenc.graphs.conventions import ABSENT
from archenc.graphs.store import ArchGraphs
from archenc.graphs.transforms import live_edges

_LANES = (
    np.uint64(0x243F6A8885A308D3),
    np.uint64(0x13198A2E03707344),
)  # digits of pi: two independent 64-bit hashes
_CHUNK = 65_536


def mix(words: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit words whose every output bit depends on every input bit (the finaliser of
    SplitMix64).
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed


def _refine(colours: np.ndarray, edge_words: np.ndarray) -> np.ndarray:
    """One round: colours (R, V) with edge_words (R, V, V), 0 where there is no edge."""
    edge = edge_words != 0
    sent = np.where(edge, mix(colours[:, :, None] ^ edge_words), np.uint64(0))
    received = np.where(edge, mix(mix(colours)[:, None, :] ^ edge_words), np.uint64(0))
    sources = mix(sent.sum(axis=1, dtype=np.uint64))
    targets = received.sum(axis=2, dtype=np.uint64)
    return mix(colours * np.uint64(3) + sources + mix(targets + np.uint64(1)))


def _lane(node_words: np.ndarray, edge_words: np.ndarray, mask: np.ndarray, seed: np.uint64) -> np.ndarray:
    edge_words = np.where(edge_words != 0, mix(edge_words ^ seed), np.uint64(0))
    colours = mix(node_words ^ seed)
    for _ in range(mask.shape[1]):
        colours = _refine(colours, edge_words)
    return mix(np.where(mask, mix(colours), np.uint64(0)).sum(axis=1, dtype=np.uint64) ^ seed)


def _words(graphs: ArchGraphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Node words (R, V), edge words (R, V, V; 0 = no edge) and mask of a batch."""
    mask = graphs.mask.numpy()
    role = np.zeros(graphs.num_nodes, dtype=np.uint64)
    role[: graphs.space.num_inputs] = np.arange(
        1, graphs.space.num_inputs + 1
    )  # the inputs of a cell are not exchangeable
    role[-1] = np.uint64(255)
    if graphs.op_on == "node":
        nodes = mix(graphs.ops.numpy().astype(np.uint64)) + role
        return nodes, graphs.adjacency.numpy().astype(np.uint64), mask
    slots = np.where(live_edges(graphs).numpy(), graphs.edge_ops().numpy(), ABSENT).astype(np.uint64)
    words = np.where(slots != 0, mix(slots), np.uint64(0)).sum(
        axis=1, dtype=np.uint64
    )  # the slots of a pair are a multiset
    touched = (words != 0).any(1) | (words != 0).any(2)
    touched[:, : graphs.space.num_inputs] = True
    touched[:, -1] = True
    return np.broadcast_to(role, mask.shape).copy(), words, mask & touched


def wl_hash(graphs: ArchGraphs) -> np.ndarray:
    """(N, 16) uint8: one 128-bit hash per architecture; "none" edges count as absent, several cells are
    hashed in order.
    """
    graphs = graphs.to("cpu")
    digests = []
    for start in range(0, max(len(graphs), 1), _CHUNK):
        nodes, edges, mask = _words(graphs[start : start + _CHUNK])
        digests.append(np.stack([_lane(nodes, edges, mask, seed) for seed in _LANES], axis=1))
    words = np.concatenate(digests).reshape(len(graphs), graphs.space.cells, len(_LANES))
    combined = words[:, 0]
    for cell in range(1, graphs.space.cells):
        combined = mix(combined * np.uint64(5) + words[:, cell])
    return np.ascontiguousarray(combined).view(np.uint8).reshape(len(graphs), 16)


_SWEEP_SEEDS = (np.uint64(0x452821E638D01377), np.uint64(0xBE5466CF34E90C6C))  # further digits of pi
_SWEEPS = 3


def sweep_hash(graphs: ArchGraphs) -> np.ndarray:
    """(N, 16) uint8: a hash of large graphs with operations on nodes, equal for isomorphic ones with equal
    features (to four decimals).

    Each node is coloured by its operation and features, then by the multiset of its sources' colours from the
    inputs to the output, and by that of its targets' back to the inputs, three times; the hash is the
    multiset of the colours. The time is that of a few passes over the adjacency matrices, where
    :func:`wl_hash` needs as many as there are nodes. Padding does not count.
    """
    used = graphs.mask.any(0)
    used[: graphs.space.num_inputs] = True  # also where there are no architectures
    graphs = graphs.map_arrays(
        lambda array: array[:, used] if array is not graphs.adjacency else array[:, used][:, :, used]
    )
    sources = np.ascontiguousarray(graphs.adjacency.bool().cpu().numpy().transpose(2, 1, 0))
    targets = np.ascontiguousarray(sources.transpose(1, 0, 2)[::-1, ::-1])
    words = graphs.ops.cpu().numpy().astype(np.uint64)
    words[:, : graphs.space.num_inputs] += np.arange(graphs.space.num_inputs, dtype=np.uint64) << np.uint64(
        8
    )  # not exchangeable
    if graphs.features is not None:
        rounded = (graphs.features.cpu().double() * 1e4).round().to(torch.int64).numpy().view(np.uint64)
        for feature in np.moveaxis(rounded, -1, 0):
            words = mix(words) ^ feature
    mask = graphs.mask.cpu().numpy()
    digests = []
    for seed in _SWEEP_SEEDS:
        colours = mix(words ^ seed).T
        for _ in range(_SWEEPS):
            colours = _sweep(_sweep(colours, sources)[::-1], targets)[::-1]
        digests.append(mix(np.where(mask, mix(colours.T), np.uint64(0)).sum(axis=1, dtype=np.uint64)))
    return np.ascontiguousarray(np.stack(digests, axis=1)).view(np.uint8).reshape(len(graphs), 16)


def _sweep(colours: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Colours (V, R) refined by those of the sources, which are refined themselves, in topological order.

    ``sources`` is bool (V, V, R), for each node the earlier ones from which an edge leads to it. Rows stand
    last, so that every step runs over contiguous memory.
    """
    refined = np.zeros(colours.shape, dtype=np.uint64)
    sent = np.zeros(colours.shape, dtype=np.uint64)
    for node, colour in enumerate(colours):
        received = np.where(sources[node, :node], sent[:node], np.uint64(0)).sum(axis=0, dtype=np.uint64)
        refined[node] = mix(colour * np.uint64(3) + mix(received))
        sent[node] = mix(refined[node])
    return refined


def wl_labels(graphs: ArchGraphs, iterations: int) -> np.ndarray:
    """uint64 (iterations + 1, R, V): the label of each node after each round, from no round on.

    Args:
        graphs: R rows in op-on-node form.
        iterations: rounds.
    """
    edges = graphs.adjacency.cpu().numpy().astype(np.uint64)
    labels = [mix(graphs.ops.cpu().numpy().astype(np.uint64))]
    for _ in range(iterations):
        # a sum does not depend on the order
        multisets = (mix(labels[-1])[:, :, None] * edges).sum(axis=1, dtype=np.uint64)
        labels.append(mix(labels[-1] * np.uint64(3) + mix(multisets)))
    return np.stack(labels)


def hex_digests(digests: np.ndarray) -> list[str]:
    """(N, 16) uint8 to N strings of 32 hexadecimal digits."""
    return [row.tobytes().hex() for row in np.ascontiguousarray(digests)]


def sortable_keys(digests: np.ndarray) -> np.ndarray:
    """(N, 16) uint8 to (N,) of 16 bytes, which numpy can sort, search and compare."""
    texts: np.ndarray = np.ascontiguousarray(digests).view("S16")[:, 0]
    return texts


def class_numbers(rows: np.ndarray) -> np.ndarray:
    """int64 (N,): a number from 0 that equal rows of (N, k), such as hashes, share."""
    numbers: np.ndarray = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    return numbers


class HashIndex:
    """Where each key stands first.

    Args:
        keys: (N,) of bytes, such as :func:`sortable_keys` of hashes.

    Attributes:
        distinct: whether no key stands twice.
    """

    def __init__(self, keys: np.ndarray) -> None:
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]
        self.distinct = bool((self._sorted[1:] != self._sorted[:-1]).all())

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """int64: the first row of each key, or -1."""
        if not len(self._sorted):
            return np.full(len(wanted), -1)
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        return np.where(self._sorted[at] == wanted, self._order[at], -1)
