"""The official module hash of NAS-Bench-101 for whole batches of cells (ICML 2019, section 2.2;
``hash_module`` of the records).
"""

from __future__ import annotations

import hashlib

import numpy as np

from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT

_CELLS = 32_768  # hashed at a time


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


def _hashes(adjacency: np.ndarray, ops: np.ndarray) -> np.ndarray:
    rows, nodes = ops.shape
    labels = np.where(ops == INPUT, -1, np.where(ops == OUTPUT, -2, ops.astype(np.int64) - NODE_OFFSET))
    starts = np.stack([adjacency.sum(2), adjacency.sum(1), labels], axis=2).reshape(-1, 3)
    kinds, inverse = np.unique(starts, axis=0, return_inverse=True)
    texts = [str(tuple(kind)).encode() for kind in kinds.tolist()]
    first = [hashlib.md5(text, usedforsecurity=False).digest() for text in texts]
    digests = np.array([list(digest) for digest in first], dtype=np.uint8)[inverse.ravel()].reshape(
        rows, nodes, 16
    )
    for _ in range(nodes):
        adjacency, digests = _sorted_nodes(adjacency, digests)
        digests = _next_round(adjacency, digests)
    _, digests = _sorted_nodes(adjacency, digests)
    quoted = np.full(
        (rows, nodes, 36), ord("'"), dtype=np.uint8
    )  # 'digest', with the comma and space that follow it
    quoted[:, :, 1:33] = _hex_text(digests)
    quoted[:, :, 34:] = np.frombuffer(b", ", dtype=np.uint8)
    text = quoted.reshape(rows, -1)[:, :-1]
    text[:, -1] = ord("]")
    return _md5_rows(np.concatenate([np.full((rows, 1), ord("["), dtype=np.uint8), text], axis=1))


def _sorted_nodes(adjacency: np.ndarray, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same cells with their nodes in the order of their digests (R, n, 16): any choice of nodes then is
    sorted already.
    """
    high, low = np.moveaxis(big_endian_words(digests), 2, 0)
    order = np.lexsort((low, high), axis=1)
    row = np.arange(len(order))[:, None]
    return adjacency[row[:, :, None], order[:, :, None], order[:, None, :]], digests[row, order]


def _next_round(adjacency: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """(R, n, 16): each node's digest becomes that of its sources' texts, "|", its targets' texts, "|" and its
    own.
    """
    rows, nodes = digests.shape[:2]
    text = _hex_text(digests).reshape(-1, 32)
    incoming, outgoing = adjacency.transpose(0, 2, 1).reshape(-1, nodes), adjacency.reshape(-1, nodes)
    degrees = incoming.sum(1) * nodes + outgoing.sum(1)
    new = np.empty((rows * nodes, 16), dtype=np.uint8)
    for degree in np.unique(degrees).tolist():
        at = np.flatnonzero(degrees == degree)
        wall = np.full((len(at), 1), ord("|"), dtype=np.uint8)
        first = at[:, None] // nodes * nodes  # the place of each cell's first node
        before, behind = (
            text[first + edges[at].nonzero()[1].reshape(len(at), -1)].reshape(len(at), -1)
            for edges in (incoming, outgoing)
        )
        new[at] = _md5_rows(np.concatenate([before, wall, behind, wall, text[at]], axis=1))
    return new.reshape(rows, nodes, 16)


_HEX = np.array([list(f"{byte:02x}".encode()) for byte in range(256)], dtype=np.uint8)


def _hex_text(digests: np.ndarray) -> np.ndarray:
    """(..., 16) bytes to (..., 32) characters."""
    text: np.ndarray = _HEX[digests].reshape(*digests.shape[:-1], 32)
    return text


def _md5_rows(texts: np.ndarray) -> np.ndarray:
    """(M, 16) uint8: the MD5 of each row of texts (M, length) uint8."""
    rows, length = texts.shape
    joined, md5 = texts.tobytes(), hashlib.md5
    digests = [
        md5(joined[start : start + length], usedforsecurity=False).digest()
        for start in range(0, rows * length, length)
    ]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(rows, 16)
