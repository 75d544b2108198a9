"""The NAL units of H.264 and H.265 as containers keep them: each behind its length. Pure; junk in gives junk out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START = b"\x00\x00\x00\x01"


def length_prefixed(data: bytes, prefix: int) -> Iterator[bytes]:
    """Yield the NAL units of a packet that has a length of `prefix` bytes before each."""
    at = 0
    while at + prefix < len(data):
        size = _number(data, at, prefix)
        yield data[at + prefix : at + prefix + size]
        at += prefix + size


def annex_b(nals: Iterator[bytes] | tuple[bytes, ...]) -> bytes:
    """Return NAL units with start codes."""
    return b"".join(part for nal in nals for part in (_START, nal))


def avcc_sets(extradata: bytes) -> tuple[bytes, ...]:
    """Return the parameter sets of an avcC box: H.264 in MP4, FLV, Matroska."""
    sets: list[bytes] = []
    at = 5
    for mask in (31, 255):
        count, at = _number(extradata, at, 1) & mask, at + 1
        at = _take(extradata, at, count, sets)
    return tuple(sets)


def hvcc_sets(extradata: bytes) -> tuple[bytes, ...]:
    """Return the parameter sets of an hvcC box: H.265 in MP4, FLV, Matroska."""
    sets: list[bytes] = []
    at = 23
    for _ in range(_number(extradata, 22, 1)):
        count, at = _number(extradata, at + 1, 2), at + 3
        at = _take(extradata, at, count, sets)
    return tuple(sets)


def prefix_of(codec: str, extradata: bytes) -> int:
    """Return how many bytes hold the length before each NAL unit; 0: start codes stand there.

    Args:
        codec: h264 or hevc.
        extradata: what the container says of the stream; Annex B, a box, or nothing.
    """
    if not extradata or extradata.startswith((_START, _START[1:])):
        return 0
    return (_number(extradata, 4 if codec == "h264" else 21, 1) & 3) + 1


def _take(data: bytes, at: int, count: int, sets: list[bytes]) -> int:
    """Take so many NAL units with two bytes of length each; return where they end."""
    for _ in range(count):
        if at >= len(data):
            break
        size = _number(data, at, 2)
        sets.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return at


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
