"""The official module hash of NAS-Bench-101 for whole batches of cells (ICML 2019, section 2.2;
``hash_module`` of the records).

The hash of a cell takes the MD5 of a text for every node in every round, about 40 a cell. Texts of the first
round, of which few are different, are hashed once each, and thousands of texts of one length together, by
arithmetic on their words (RFC 1321).
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT

_CELLS = 32_768  # at a time
_TEXTS = 16_384  # at a time: their words fit a processor's cache
_FEW = 512  # texts that are hashed sooner one by one
_BLOCK = 64  # bytes


def big_endian_words(digests: np.ndarray) -> np.ndarray:
    """(..., 2) unsigned words whose order is that of the digests (..., 16) and of their hexadecimal texts."""
    words: np.ndarray = np.ascontiguousarray(digests).view(">u8").astype(np.uint64)
    return words


def module_hashes(adjacency: np.ndarray, ops: np.ndarray) -> np.ndarray:
    """(R, 16) uint8: the hashes of cells that all have n nodes.

    Args:
        adjacency: bool (R, n, n).
        ops: (R, n) ids.
    """
    parts = [
        _hashes(adjacency[start : start + _CELLS], ops[start : start + _CELLS])
        for start in range(0, len(ops), _CELLS)
    ]
    return np.concatenate([np.empty((0, 16), dtype=np.uint8), *parts])


class _Nodes(NamedTuple):
    """M nodes with equally many sources and targets, as rows of a table of digests."""

    own: np.ndarray
    """(M,)."""
    sources: np.ndarray
    """(M, p)."""
    targets: np.ndarray
    """(M, q)."""

    @property
    def neighbours(self) -> int:
        return int(self.sources.shape[1] + self.targets.shape[1])


def _hashes(adjacency: np.ndarray, ops: np.ndarray) -> np.ndarray:
    rows, nodes = ops.shape
    alike = _nodes_alike(adjacency)
    rooms, places = _rooms(alike), np.concatenate([group.own for group in alike])
    digests = np.empty((rows * nodes, 16), dtype=np.uint8)
    digests[places] = _first_round(alike, *_starts(adjacency, ops))
    for _ in range(1, nodes):
        high, low = big_endian_words(digests).T
        following = _next_round(
            [
                _Nodes(group.own, _sorted(group.sources, high, low), _sorted(group.targets, high, low))
                for group in alike
            ],
            rooms,
            digests,
        )
        digests[places] = following
    order = _sorted(np.arange(rows * nodes).reshape(rows, nodes), *big_endian_words(digests).T)
    quoted = np.full((rows, nodes, 36), ord("'"), dtype=np.uint8)  # 'digest', with comma and space behind it
    quoted[:, :, 1:33] = _hex_text(digests)[order]
    quoted[:, :, 34:] = np.frombuffer(b", ", dtype=np.uint8)
    texts = _padded(rows, 36 * nodes)
    texts[:, 1 : 36 * nodes - 1] = quoted.reshape(rows, -1)[:, :-2]
    texts[:, 0], texts[:, 36 * nodes - 1] = ord("["), ord("]")
    return _md5(texts, 36 * nodes)


def _nodes_alike(adjacency: np.ndarray) -> list[_Nodes]:
    """The nodes of all cells (R, n, n), numbered through, by how many neighbours they have."""
    nodes = adjacency.shape[1]
    incoming, outgoing = adjacency.transpose(0, 2, 1).reshape(-1, nodes), adjacency.reshape(-1, nodes)
    degrees = incoming.sum(1) * nodes + outgoing.sum(1)
    groups = []
    for degree in np.unique(degrees).tolist():
        at = np.flatnonzero(degrees == degree)
        first = at[:, None] // nodes * nodes  # the number of each cell's first node
        sources, targets = (
            first + edges[at].nonzero()[1].reshape(len(at), -1) for edges in (incoming, outgoing)
        )
        groups.append(_Nodes(at, sources, targets))
    return sorted(groups, key=lambda group: group.neighbours)


def _starts(adjacency: np.ndarray, ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each node (R * n,) the number of its kind, and the digests (K, 16) of the kinds in their order."""
    labels = np.where(ops == INPUT, -1, np.where(ops == OUTPUT, -2, ops.astype(np.int64) - NODE_OFFSET))
    codes = (labels + 2) * 64 + adjacency.sum(2) * 8 + adjacency.sum(1)  # degrees are below 8
    codes, kinds = np.unique(codes.ravel(), return_inverse=True)
    texts = [f"({code // 8 % 8}, {code % 8}, {code // 64 - 2})".encode() for code in codes.tolist()]
    digests = np.concatenate([md5_rows(np.frombuffer(text, dtype=np.uint8)[None]) for text in texts])
    order = np.lexsort(big_endian_words(digests).T[::-1])
    return np.argsort(order)[kinds], digests[order]


def _first_round(alike: list[_Nodes], kinds: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """(R * n, 16): the next digest of each node, in the order of the groups, computed once for those of one
    kind whose neighbours are of the same kinds.

    Args:
        alike: the nodes.
        kinds: (R * n,).
        digests: (K, 16), of the kinds in ascending order, so that to sort kinds is to sort their digests.
    """
    different, inverses = [], []
    for group in alike:
        own, sources, targets = kinds[group.own], np.sort(kinds[group.sources]), np.sort(kinds[group.targets])
        key = own.copy()
        for kind in np.concatenate([sources, targets], axis=1).T:
            key = key * len(digests) + kind  # below 2**63, as a node has 6 neighbours and 500 kinds at most
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        different.append(_Nodes(own[first], sources[first], targets[first]))
        inverses.append(inverse)
    starts = np.cumsum([0, *(len(group.own) for group in different)])
    numbers = [start + inverse for start, inverse in zip(starts, inverses, strict=False)]
    following: np.ndarray = _next_round(different, _rooms(different), digests)[np.concatenate(numbers)]
    return following


def _sorted(numbers: np.ndarray, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Rows of nodes (M, p), each in the order of the nodes' digests, of which these are the words."""
    if numbers.shape[1] < 2:
        return numbers
    order = np.lexsort((low.take(numbers), high.take(numbers)), axis=1)
    return np.take_along_axis(numbers, order, axis=1)


def _rooms(alike: list[_Nodes]) -> list[np.ndarray]:
    """Room for the texts of the nodes, uint8 (M, 64 * blocks) for each number of neighbours."""
    rows = Counter[int]()
    for group in alike:
        rows[group.neighbours] += len(group.own)
    return [_padded(count, 32 * neighbours + 34) for neighbours, count in rows.items()]


def _next_round(alike: list[_Nodes], rooms: list[np.ndarray], digests: np.ndarray) -> np.ndarray:
    """(M, 16): the next digest of each node, in the order of the groups: that of the texts of its sources,
    "|", of its targets, "|" and of its own.

    Args:
        alike: rows of ``digests``, neighbours in the order of their digests, by number of neighbours.
        rooms: :func:`_rooms` of such groups; they are written over, and serve all rounds.
        digests: (N, 16).
    """
    words = _hex_text(digests).view(np.uint64)
    found = []
    groups = itertools.groupby(alike, key=lambda group: group.neighbours)
    for room, (neighbours, same) in zip(rooms, groups, strict=True):
        row = 0
        for own, sources, targets in same:
            texts, wall, last = room[row : row + len(own)], 32 * sources.shape[1], 32 * neighbours + 1
            texts[:, :wall] = words.take(sources, axis=0).view(np.uint8).reshape(len(own), wall)
            texts[:, wall] = texts[:, last] = ord("|")
            texts[:, wall + 1 : last] = (
                words.take(targets, axis=0).view(np.uint8).reshape(len(own), last - wall - 1)
            )
            texts[:, last + 1 : last + 33] = words.take(own, axis=0).view(np.uint8)
            row += len(own)
        found.append(_md5(room, 32 * neighbours + 34))
    return np.concatenate(found)


_HEX = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], dtype=np.uint8)
_HEX_PAIRS = _HEX.view(np.uint16)[:, 0]


def _hex_text(digests: np.ndarray) -> np.ndarray:
    """(N, 16) bytes to (N, 32) characters."""
    text: np.ndarray = _HEX_PAIRS[digests].view(np.uint8)
    return text


# -- MD5 (RFC 1321) ------------------------------------------------------------------------------------------

_STATE = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_WORDS = [
    [(step * place + first) % 16 for place in range(16)] for step, first in ((1, 0), (5, 1), (3, 5), (7, 0))
]
_SINES = np.array([math.floor(abs(math.sin(step + 1)) * 2**32) for step in range(64)], dtype=np.uint32)


def md5_rows(texts: np.ndarray) -> np.ndarray:
    """(M, 16) uint8: the MD5 of each row of texts (M, length) uint8."""
    padded = _padded(*texts.shape)
    padded[:, : texts.shape[1]] = texts
    return _md5(padded, texts.shape[1])


def _padded(rows: int, length: int) -> np.ndarray:
    """Room for texts of this length, uint8 (rows, 64 * blocks), with what MD5 wants to stand behind them."""
    padded = np.zeros((rows, ((length + 8) // _BLOCK + 1) * _BLOCK), dtype=np.uint8)
    padded[:, length] = 0x80
    padded[:, -8:] = np.frombuffer((8 * length).to_bytes(8, "little"), dtype=np.uint8)
    return padded


def _md5(padded: np.ndarray, length: int) -> np.ndarray:
    """(M, 16) uint8: the MD5 of each row of padded texts of this length."""
    if len(padded) < _FEW:
        rows = [hashlib.md5(row[:length].tobytes(), usedforsecurity=False).digest() for row in padded]
        return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, 16)
    digests = np.empty((len(padded), 4), dtype="<u4")
    for start in range(0, len(padded), _TEXTS):
        part = padded[start : start + _TEXTS].view("<u4")
        words = np.ascontiguousarray(part.T).astype(np.uint32, copy=False)
        state = [np.full(len(part), word, dtype=np.uint32) for word in _STATE]
        for block in range(0, len(words), 16):
            changed = _changed(state, words[block : block + 16])
            state = [before + after for before, after in zip(state, changed, strict=True)]
        digests[start : start + _TEXTS] = np.stack(state, axis=1)
    return digests.view(np.uint8)


def _changed(state: list[np.ndarray], words: np.ndarray) -> list[np.ndarray]:
    """What the words (16, M) of a block make of the state, four times (M,), in 64 steps.

    Every step works in place, as new arrays would cost more than the arithmetic.
    """
    a, b, c, d = (word.copy() for word in state)
    rotated, total = np.empty_like(a), np.empty_like(a)
    for step in range(64):
        turn, place = divmod(step, 16)
        if turn == 0:  # b ? c : d
            np.bitwise_xor(c, d, out=total)
            total &= b
            total ^= d
        elif turn == 1:  # d ? b : c
            np.bitwise_xor(b, c, out=total)
            total &= d
            total ^= c
        elif turn == 2:
            np.bitwise_xor(b, c, out=total)
            total ^= d
        else:
            np.invert(d, out=total)
            total |= b
            total ^= c
        total += a
        total += words[_WORDS[turn][place]]
        total += _SINES[step]
        shift = _SHIFTS[turn][place % 4]
        np.left_shift(total, np.uint32(shift), out=rotated)
        total >>= np.uint32(32 - shift)
        rotated |= total
        rotated += b
        a, b, c, d, rotated = d, rotated, b, c, a
    return [a, b, c, d]
