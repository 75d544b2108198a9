"""RTP packets to whole pictures, complete the moment their last packet is there (RFC 3550, 6184, 7798). Pure.

FFmpeg's parser gives a picture only when the next one begins: one frame interval later, and nobody knows when it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START = b"\x00\x00\x00\x01"
_WRAP = 1 << 32
_SEQ = 1 << 16
_LARGEST = 32 << 20  # bytes of one compressed picture
_H264_VCL = range(1, 6)
_H264_HEADS = (6, 7, 8, 9)  # SEI, SPS, PPS, delimiter: they stand before the first slice
_HEVC_VCL = range(32)
_HEVC_KEYS = range(16, 22)
_HEVC_HEADS = (32, 33, 34, 35, 39)


class Malformed(Exception):  # noqa: N818  it never leaves this file's users
    """A packet is not what the RFCs say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpPacket:
    """The fields of one packet that are used."""

    payload_type: int
    marker: bool  # the last packet of a picture
    sequence: int
    timestamp: int
    payload: bytes


def parse_rtp(data: bytes) -> RtpPacket:
    """Return the packet.

    Raises:
        Malformed: it is none.
    """
    if len(data) < 12 or data[0] >> 6 != 2:
        raise Malformed
    begin = 12 + 4 * (data[0] & 15)
    if data[0] & 0x10:  # header extension
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    if begin >= end:
        raise Malformed
    return RtpPacket(
        payload_type=data[1] & 127,
        marker=bool(data[1] & 128),
        sequence=int.from_bytes(data[2:4], "big"),
        timestamp=int.from_bytes(data[4:8], "big"),
        payload=data[begin:end],
    )


class Sequence:
    """Puts packets into order and finds the lost ones. UDP may swap packets: they are waited for, but not long."""

    def __init__(self, *, patience_ns: int, limit: int = 256) -> None:
        self._patience_ns = patience_ns
        self._limit = limit
        self._next: int | None = None
        self._early: dict[int, tuple[RtpPacket, int]] = {}  # sequence -> packet, arrival

    def push(self, packet: RtpPacket, now_ns: int) -> Iterator[tuple[RtpPacket, bool]]:
        """Yield (packet, whether packets before it are lost), in order."""
        if self._next is None:
            self._next = packet.sequence
        ahead = (packet.sequence - self._next) % _SEQ
        if ahead >= _SEQ // 2:  # twice, or too late
            if ahead < _SEQ - self._limit * 16:  # far behind: the sender began anew
                self._early.clear()
                self._next = (packet.sequence + 1) % _SEQ
                yield packet, True
            return
        self._early[packet.sequence] = (packet, now_ns)
        yield from self._in_order(lost=False)
        if self._early and (len(self._early) > self._limit or self._oldest_ns() + self._patience_ns <= now_ns):
            self._next = min(self._early, key=self._distance)
            yield from self._in_order(lost=True)

    def _in_order(self, *, lost: bool) -> Iterator[tuple[RtpPacket, bool]]:
        while self._next in self._early:
            packet, _ = self._early.pop(self._next)
            self._next = (self._next + 1) % _SEQ
            yield packet, lost
            lost = False

    def _distance(self, sequence: int) -> int:
        return (sequence - (self._next or 0)) % _SEQ

    def _oldest_ns(self) -> int:
        return min(arrived_ns for _, arrived_ns in self._early.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One compressed picture in Annex B form."""

    data: bytes  # empty if damaged
    ticks: int | None  # of the RTP clock, unwrapped, from 0; None where the camera repeats its stamps
    key: bool
    lost: bool  # packets between the last unit and this one's end are missing
    damaged: bool  # it came, but is not what the RFCs say


class Assembler:
    """Collects the NAL units of a picture. A picture with a hole is left out: its pixels would be invented."""

    def __init__(self, codec: str) -> None:
        self._hevc = codec == "hevc"
        self._clock = _Ticks()
        self._timestamp: int | None = None
        self._emitted: int | None = None  # time stamp of the last unit
        self._marker_lies = False  # the camera marks each slice: a picture ends where the next one begins
        self._lost = False
        self._clear()

    def push(self, packet: RtpPacket, *, lost: bool) -> Iterator[AccessUnit]:
        """Add a packet; yield the units that it ends: the one before, if that had no marker, and its own."""
        if lost:
            self._hole()
        if packet.timestamp != self._timestamp and self._begun:
            yield from self._finish()
        try:
            nals = list(self._nals(packet.payload))
        except Malformed:
            self._damaged, nals = True, []
        heads = any(self._begins(nal) for nal in nals) or self._begins_fragment(packet.payload)
        if packet.timestamp == self._emitted and not heads:
            self._marker_lies = True
        if lost and not self._begun and not heads:
            self._broken = True  # its first slice is among the lost
        self._timestamp = packet.timestamp
        for nal in nals:
            self._add(nal)
        self._bytes += len(packet.payload)
        if self._bytes > _LARGEST:  # a camera that never ends its picture
            self._damaged = True
            self._parts.clear()
            self._fragment.clear()
        complete = self._vcl or self._damaged or self._broken
        if packet.marker and not self._marker_lies and complete and not self._fragment:
            yield from self._finish()

    def _clear(self) -> None:
        self._parts: list[bytes] = []
        self._fragment: list[bytes] = []
        self._bytes = 0
        self._vcl = self._key = self._broken = self._damaged = False

    @property
    def _begun(self) -> bool:
        return bool(self._parts or self._fragment) or self._damaged or self._broken

    def _hole(self) -> None:
        self._lost = True
        self._broken = self._broken or self._begun
        self._fragment = []

    def _finish(self) -> Iterator[AccessUnit]:
        if not self._broken and (self._vcl or self._damaged):
            ticks = self._clock.unwrap(self._timestamp or 0)
            yield AccessUnit(
                data=b"" if self._damaged else b"".join(self._parts),
                ticks=None if self._timestamp == self._emitted else ticks,
                key=self._key and not self._damaged,
                lost=self._lost,
                damaged=self._damaged,
            )
            self._lost = False
            self._emitted = self._timestamp
        elif self._broken:
            self._lost = True
        self._clear()

    def _add(self, nal: bytes) -> None:
        kind = self._kind(nal)
        self._vcl = self._vcl or kind in (_HEVC_VCL if self._hevc else _H264_VCL)
        recovery_point = not self._hevc and kind == 6 and nal[1:2] == b"\x06"
        self._key = self._key or recovery_point or (kind in _HEVC_KEYS if self._hevc else kind == 5)
        self._parts += (_START, nal)

    def _kind(self, nal: bytes) -> int:
        return nal[0] >> 1 & 63 if self._hevc else nal[0] & 31

    def _begins(self, nal: bytes) -> bool:
        """Tell whether a picture begins with this NAL unit: a head, or the slice that holds its first block."""
        kind, skip = self._kind(nal), 2 if self._hevc else 1
        if kind in (_HEVC_HEADS if self._hevc else _H264_HEADS):
            return True
        return kind in (_HEVC_VCL if self._hevc else _H264_VCL) and len(nal) > skip and bool(nal[skip] & 0x80)

    def _begins_fragment(self, payload: bytes) -> bool:
        """Tell the same of a fragment that is the first of its NAL unit."""
        skip = 2 if self._hevc else 1
        if self._kind(payload) != (49 if self._hevc else 28) or len(payload) < skip + 2 or not payload[skip] & 0x80:
            return False
        return bool(payload[skip + 1] & 0x80)

    def _nals(self, payload: bytes) -> Iterator[bytes]:
        kind = self._kind(payload)
        if kind == (49 if self._hevc else 28):
            yield from self._fragmented(payload)
        elif kind == (48 if self._hevc else 24):
            yield from _aggregated(payload[2 if self._hevc else 1 :])
        elif (kind < 48 and len(payload) > 2) if self._hevc else 1 <= kind <= 23:
            yield payload
        else:
            raise Malformed

    def _fragmented(self, payload: bytes) -> Iterator[bytes]:
        skip = 2 if self._hevc else 1
        if len(payload) < skip + 2:
            raise Malformed
        edge = payload[skip]
        if edge & 0x80:
            head = (
                bytes([payload[0] & 0x81 | (edge & 63) << 1, payload[1]])
                if self._hevc
                else bytes([payload[0] & 0xE0 | edge & 31])
            )
            self._fragment = [head]
        if not self._fragment:
            if self._lost:  # its beginning is among the lost
                self._broken = True
                return
            raise Malformed
        self._fragment.append(payload[skip + 1 :])
        if edge & 0x40:
            nal = b"".join(self._fragment)
            self._fragment = []
            yield nal


def _aggregated(body: bytes) -> Iterator[bytes]:
    at = 0
    while at + 2 < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        nal = body[at + 2 : at + 2 + size]
        if size == 0 or len(nal) < size:
            raise Malformed
        yield nal
        at += 2 + size


class _Ticks:
    """Unwraps 32-bit time stamps; the first one is 0."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._ticks = 0

    def unwrap(self, timestamp: int) -> int:
        if self._last is not None:
            step = (timestamp - self._last) % _WRAP
            self._ticks += step if step < _WRAP // 2 else step - _WRAP
        self._last = timestamp
        return self._ticks
