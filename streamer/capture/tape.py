"""A camera's last seconds as compressed pictures in memory: what was before an event is still there when it begins."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    import av

    from .packets import Coded

PREROLL_BYTES = 64 << 20  # a main stream of 16 Mbit/s for half a minute
_LEAST = 64  # pictures that are kept however old: a slow recording gives one now and then
_DEEPEST = 16  # pictures; no codec reorders over more
_TOLD_BY = 8  # pictures, by which a camera that reorders them has done so
_REORDERED_NS = 1 * NS_PER_S  # a stamp that is earlier by more is a clock that was set


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecFacts:
    """What is known of a stream before its first picture."""

    codec: str  # FFmpeg's name of the format: h264, hevc, av1, mpeg4, mjpeg
    extradata: bytes  # parameter sets as the container gave them; may be empty: they come with the key frames


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taped:
    """One compressed picture, and when its light hit the camera."""

    packet: av.Packet[Any]  # shared with the decoder: nobody changes it
    pts_ns: int | None
    key: bool
    captured_ns: int  # monotonic

    @property
    def stamp_ns(self) -> int:
        """The camera's own stamp, or where it has none the capture time."""
        return self.captured_ns if self.pts_ns is None else self.pts_ns


@dataclass(slots=True, eq=False)
class _Reel:
    """One connection's pictures."""

    facts: CodecFacts
    over: bool = False
    depth: int = 0  # over how many pictures its order of decoding differs from that of showing
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=_DEEPEST))


@dataclass(slots=True, eq=False)
class _Gop:
    """A key frame and what refers to it."""

    reel: _Reel
    first: int  # number of the key frame, over the whole life of the tape
    began_ns: int
    pictures: list[Taped] = field(default_factory=list)
    nbytes: int = 0

    @property
    def end(self) -> int:
        return self.first + len(self.pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reader got."""

    pictures: tuple[Taped, ...] = ()
    over: bool = False  # no more will come up to the moment that was asked for
    facts: CodecFacts | None = None  # None: nothing has come yet
    depth: int = 0  # see `_Reel`


class Tape:
    """Keeps whole groups of pictures (GOPs), bounded in time and bytes: the oldest goes first.

    Written by one thread, read by others, each at its own place. What a damaged or missing picture was referred to by
    is left out up to the next key frame, as nothing in between would be shown whole.
    """

    def __init__(self, *, seconds: float, max_bytes: int = PREROLL_BYTES) -> None:
        """Store the bounds.

        Args:
            seconds: so much is kept at least, and up to one GOP more, as far as the bytes allow.
            max_bytes: of compressed pictures.
        """
        self._span_ns = round(seconds * NS_PER_S)
        self._max_bytes = max_bytes
        self._moved = threading.Condition()  # guards all below; waited on only by a recording's reader
        self._gops: deque[_Gop] = deque()
        self._nbytes = 0
        self._number = 0  # of the next picture
        self._reel: _Reel | None = None
        self._whole = False  # nothing is missing since the last key frame
        self._readers: list[TapeReader] = []
        self._refused: str | None = None

    def refuse(self, codec: str) -> bool:
        """Take note that a stream can't be kept for its codec; True if that is news."""
        with self._moved:
            news, self._refused = codec != self._refused, codec
            return news

    def begin(self, facts: CodecFacts) -> None:
        """Take note of a new connection: what comes now is no continuation of what came before."""
        with self._moved:
            self._end_locked()
            self._reel = _Reel(facts)

    def end(self) -> None:
        """Take note that the connection is over; what it gave stays readable."""
        with self._moved:
            self._end_locked()

    def put(self, coded: Coded, captured_ns: int, *, spare: bool = False) -> None:
        """Keep a picture; never waits.

        Args:
            coded: as it came, in order.
            captured_ns: when its light hit the camera, monotonic.
            spare: what a reader has yet to read is kept, over the bounds.
        """
        with self._moved:
            reel = self._reel
            if reel is None or reel.over:
                return
            self._whole = (self._whole and not coded.lost and not coded.damaged) or coded.key
            if not self._whole or not coded.packet.size:
                return
            if coded.key:
                self._gops.append(_Gop(reel, self._number, captured_ns))
            taped = Taped(packet=coded.packet, pts_ns=coded.pts_ns, key=coded.key, captured_ns=captured_ns)
            self._add_locked(taped, self._gops[-1], reel)
            for reader in self._readers:
                if reader.reel is None:
                    self._attach_locked(reader)
            while self._due_locked() and not (spare and self._unread_locked()):
                self._drop_locked()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until nothing that a reader has yet to read stands at the tape's end; False if that took too long."""
        with self._moved:
            return self._moved.wait_for(lambda: not (self._due_locked() and self._unread_locked()), timeout_s)

    def reader(self, from_ns: int) -> TapeReader:
        """Return a reader that begins with the last key frame that is not later than `from_ns`; never waits.

        Where the tape does not reach back so far, it begins with the oldest picture; where it is empty, or its
        connection was lost before, with the first that comes. `close` it.
        """
        reader = TapeReader(self, from_ns)
        with self._moved:
            self._readers.append(reader)
            self._attach_locked(reader)
        return reader

    def _add_locked(self, taped: Taped, gop: _Gop, reel: _Reel) -> None:
        gop.pictures.append(taped)
        gop.nbytes += taped.packet.size
        self._nbytes += taped.packet.size
        self._number += 1
        stamp_ns = taped.stamp_ns
        later = sum(stamp_ns < other <= stamp_ns + _REORDERED_NS for other in reel.stamps)
        reel.depth = max(reel.depth, later)
        reel.stamps.append(stamp_ns)

    def _end_locked(self) -> None:
        if self._reel is not None:
            self._reel.over = True
        self._whole = False

    def _due_locked(self) -> bool:
        """Whether the oldest GOP is to go."""
        if self._nbytes > self._max_bytes:
            return True
        if len(self._gops) < 2 or self._number - self._gops[1].first < _LEAST:
            return False
        return self._gops[1].began_ns <= self._gops[-1].pictures[-1].captured_ns - self._span_ns

    def _unread_locked(self) -> bool:
        return any(r.reel is self._gops[0].reel and r.at < self._gops[0].end for r in self._readers)

    def _drop_locked(self) -> None:
        gop = self._gops.popleft()
        self._nbytes -= gop.nbytes
        if not self._gops:  # one GOP larger than all that may be kept
            self._whole = False

    def _attach_locked(self, reader: TapeReader) -> None:
        gops = [gop for gop in self._gops if gop.reel is self._reel]
        if not gops or (gops[-1].reel.over and gops[-1].pictures[-1].captured_ns < reader.from_ns):
            return  # what a lost connection has left long before shows nothing of the event
        start = next((gop for gop in reversed(gops) if gop.began_ns <= reader.from_ns), gops[0])
        reader.reel, reader.at = start.reel, start.first

    def _read(self, reader: TapeReader, until_ns: int) -> Reading:
        with self._moved:
            reel = reader.reel
            if reel is None or (len(reel.stamps) < _TOLD_BY and not reel.over):
                return Reading()
            found: list[Taped] = []
            for gop in self._gops:
                if gop.reel is reel and gop.end > reader.at:
                    # What lay between has gone: the reader was too slow. A GOP can be understood from its start.
                    reader.at = max(reader.at, gop.first)
                    wanted = _up_to(gop.pictures[reader.at - gop.first :], until_ns)
                    found += wanted
                    reader.at += len(wanted)
                    if reader.at < gop.end:
                        self._moved.notify_all()
                        return Reading(pictures=tuple(found), over=True, facts=reel.facts, depth=reel.depth)
            self._moved.notify_all()
            return Reading(pictures=tuple(found), over=reel.over, facts=reel.facts, depth=reel.depth)

    def _leave(self, reader: TapeReader) -> None:
        with self._moved:
            if reader in self._readers:
                self._readers.remove(reader)
            self._moved.notify_all()


class TapeReader:
    """A place on a tape, within one connection. Used by one thread at a time."""

    def __init__(self, tape: Tape, from_ns: int) -> None:
        self._tape = tape
        self.from_ns = from_ns
        self.reel: _Reel | None = None  # both are the tape's, under its lock
        self.at = 0

    def read(self, until_ns: int) -> Reading:
        """Return what has come since the last reading, up to a moment; never waits."""
        return self._tape._read(self, until_ns)  # noqa: SLF001  two halves of one thing

    def close(self) -> None:
        """Let go of the place. Idempotent."""
        self._tape._leave(self)  # noqa: SLF001  two halves of one thing


def _up_to(pictures: list[Taped], until_ns: int) -> list[Taped]:
    """Return the pictures in front of the first one that is later."""
    for n, taped in enumerate(pictures):
        if taped.captured_ns > until_ns:
            return pictures[:n]
    return pictures
