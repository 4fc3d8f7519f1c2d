"""TFRecord files without TensorFlow: the framing of records, with both of its checksums.

A record is its length (8 bytes, little-endian), a checksum of these (4 bytes), the data, and a checksum of
the data (4 bytes); see "TFRecord format" in TensorFlow's guide. The checksum is the CRC-32C (Castagnoli; RFC
3720, appendix B.4), rotated right by 15 bits, plus 0xa282ead8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from archenc.errors import CorruptFile, DataNotFound

MAX_RECORD_BYTES = 2**14
BLOCK_BYTES = 2**18

_HEADER, _FOOTER = 12, 4


def read_records(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[list[bytes]]:
    """The records of a file in order, in lists of about 256 KiB together.

    No record is given before its checksums were compared. Of the file, no more than two blocks are in memory.

    Raises:
        DataNotFound: the file cannot be read.
        CorruptFile: a checksum is wrong, a record is longer than 16 KiB, or the file ends within one; the
            message says which and where.
    """
    number, offset, buffer = 0, 0, b""
    try:
        with open(path, "rb") as stream:
            while block := stream.read(max(block_bytes, MAX_RECORD_BYTES + _HEADER + _FOOTER)):
                buffer += block
                records, used = _whole_records(buffer, path, number, offset)
                number, offset, buffer = number + len(records), offset + used, buffer[used:]
                yield records
    except OSError as error:
        raise DataNotFound(
            f"the file {path} cannot be read ({error.strerror}); check its path and permissions"
        ) from None
    if buffer:
        raise _corrupt(path, number, offset, f"the file ends within it, after {len(buffer)} bytes")


def _whole_records(buffer: bytes, path: Path, number: int, offset: int) -> tuple[list[bytes], int]:
    """The data of the records that lie in ``buffer`` whole, and the bytes that they take up."""
    heads: list[int] = []
    ends: list[int] = []
    position, absurd = 0, False
    while not absurd and position + _HEADER <= len(buffer):
        (length,) = struct.unpack_from("<Q", buffer, position)
        heads.append(position)
        absurd = length > MAX_RECORD_BYTES
        if absurd or position + _HEADER + length + _FOOTER > len(buffer):
            break
        ends.append(position + _HEADER + length)
        position += _HEADER + length + _FOOTER
    content = np.frombuffer(buffer, dtype=np.uint8)
    head, end = np.array(heads, dtype=np.int64), np.array(ends, dtype=np.int64)
    damaged = [
        (int(wrong), f"the checksum of its {what} is wrong")
        for what, first, last in (("length", head, head + 8), ("data", head[: len(end)] + _HEADER, end))
        for wrong in np.flatnonzero(masked(crc32c(content, first, last)) != _stored(content, last))[:1]
    ]
    if absurd:
        damaged.append((len(ends), f"it claims to be {length:,} bytes long"))
    if damaged:
        at, what = min(damaged, key=lambda fault: fault[0])
        raise _corrupt(path, number + at, offset + heads[at], what)
    return [buffer[start + _HEADER : stop] for start, stop in zip(heads, ends, strict=False)], position


def _stored(content: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The checksums, uint32, that stand at these places."""
    return content[places[:, None] + np.arange(4)].view("<u4").ravel()


def _corrupt(path: Path, number: int, offset: int, what: str) -> CorruptFile:
    return CorruptFile(f"the file {path}, record {number} at byte {offset:,}: {what}; get the file again")


# -- CRC-32C -------------------------------------------------------------------------------------------------


def masked(checksums: np.ndarray) -> np.ndarray:
    """CRC-32C as TFRecord files store it."""
    rotated = (checksums >> np.uint32(15)) | (checksums << np.uint32(17))
    stored: np.ndarray = rotated + np.uint32(0xA282EAD8)
    return stored


def crc32c(content: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The CRC-32C of many parts of an array of bytes at once.

    A CRC is linear: the checksum of a part is the exclusive or of what each byte contributes at its distance
    from the part's end, and of what the initial state contributes. So all bytes are looked up in one table
    and reduced part by part.

    Args:
        content: uint8 (B,).
        starts: int64 (M,), where each part begins; none is longer than :data:`MAX_RECORD_BYTES`.
        ends: int64 (M,), where it ends.

    Returns:
        uint32 (M,).
    """
    lengths = ends - starts
    if not lengths.sum():
        return np.zeros(len(starts), dtype=np.uint32)
    longest = 2 ** int(lengths.max() - 1).bit_length()  # few sizes, so that tables are found again
    table, initial = _contributions(longest)
    filled = lengths > 0
    begin = np.concatenate([[0], np.cumsum(lengths[filled])])
    place = np.arange(begin[-1]) - np.repeat(begin[:-1], lengths[filled])
    read = np.repeat(starts[filled], lengths[filled]) + place
    distance = np.repeat(lengths[filled], lengths[filled]) - 1 - place
    states = np.zeros(len(starts), dtype=np.uint32)
    states[filled] = np.bitwise_xor.reduceat(table.take(distance * 256 + content[read]), begin[:-1])
    checksums: np.ndarray = states ^ initial[lengths] ^ np.uint32(0xFFFFFFFF)
    return checksums


@lru_cache(maxsize=8)
def _contributions(longest: int) -> tuple[np.ndarray, np.ndarray]:
    """uint32 (longest * 256,): what a byte contributes before so many others; uint32 (longest + 1,): the
    initial state after so many.
    """
    byte = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        byte = (byte >> np.uint32(1)) ^ (byte & np.uint32(1)) * np.uint32(0x82F63B78)

    def after_zero(state: np.ndarray) -> np.ndarray:
        shifted: np.ndarray = (state >> np.uint32(8)) ^ byte[state & np.uint32(0xFF)]
        return shifted

    table = np.empty((longest, 256), dtype=np.uint32)
    initial = np.empty(longest + 1, dtype=np.uint32)
    table[0], initial[0] = byte, 0xFFFFFFFF
    for distance in range(1, longest):
        table[distance] = after_zero(table[distance - 1])
    for distance in range(longest):
        initial[distance + 1] = after_zero(initial[distance])
    return table.ravel(), initial
