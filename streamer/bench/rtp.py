"""Access units to RTP packets (RFC 6184, RFC 7798), and the sender report that ties them to the wall clock."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.capture.coded import AccessUnit

MTU = 1400
VIDEO_TYPE = 96
_NTP_EPOCH_S = 2_208_988_800


def packets(unit: AccessUnit, *, timestamp: int, sequence: int, ssrc: int) -> Iterator[bytes]:
    """Yield the RTP packets of a unit; the last one has the marker bit."""
    payloads = [p for nal in unit.nals for p in _payloads(nal, unit.codec)]
    for i, payload in enumerate(payloads):
        marker = 0x80 if i == len(payloads) - 1 else 0
        yield header(VIDEO_TYPE | marker, sequence + i, timestamp, ssrc) + payload


def header(type_and_marker: int, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """Return an RTP header."""
    return struct.pack(">BBHII", 0x80, type_and_marker, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)


def sender_report(ssrc: int, timestamp: int) -> bytes:
    """Return an RTCP sender report for this moment."""
    now_s = time.time() + _NTP_EPOCH_S
    ntp = int(now_s * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
    return struct.pack(">BBHIQIII", 0x80, 200, 6, ssrc, ntp, timestamp & 0xFFFFFFFF, 0, 0)


def _payloads(nal: bytes, codec: str) -> Iterator[bytes]:
    if len(nal) <= MTU:
        yield nal
        return
    skip = 1 if codec == "h264" else 2
    body = nal[skip:]
    for at in range(0, len(body), MTU - 3):
        edge = (0x80 if at == 0 else 0) | (0x40 if at + MTU - 3 >= len(body) else 0)
        if codec == "h264":
            yield bytes([nal[0] & 0xE0 | 28, edge | nal[0] & 31]) + body[at : at + MTU - 3]
        else:
            yield bytes([nal[0] & 0x81 | 49 << 1, nal[1], edge | nal[0] >> 1 & 63]) + body[at : at + MTU - 3]
