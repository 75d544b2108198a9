"""Sources that PyAV decodes: packets in, pictures with capture times out."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream, LostReason

from .address import SourceKind, kind_of, shown
from .av_faults import fault
from .base import Delivery, DropCause, Grab
from .capture_clock import CaptureClock, FileClock
from .container import open_container
from .decode import Decoder, Outcome
from .idle import Due, Idling
from .losses import GapCounter, KeyGate
from .nvdec import open_nvdec
from .rtsp_dialogue import NotUnderstoodError
from .rtsp_packets import open_rtsp
from .taped import taped_file, taped_live

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import Source, SourceSpec
    from .nvdec import Nvdec
    from .packets import Coded, PacketReader

_log = logging.getLogger(__name__)
_NOT_CODED = {"rawvideo", "wrapped_avframe"}  # nothing is saved by not decoding these
_KEY_TIMEOUT_S = 12.0  # cameras that save bandwidth send a key frame every 10 s


def open_av(spec: SourceSpec, *, stopping: Callable[[], bool], dropped: Callable[[DropCause, int], None]) -> Source:
    """Connect and return a source decoded by PyAV.

    Raises:
        SourceError: it can't be opened now.
        EndOfStream: the pipeline is stopping.
    """
    kind = kind_of(spec.url)
    nvdec = open_nvdec(spec)
    if kind is SourceKind.RTSP:
        packets = taped_live(_rtsp_packets(spec, stopping=stopping, nvdec=nvdec), spec)
        return LiveSource(packets, spec=spec, dropped=dropped, nvdec=nvdec)
    container = open_container(spec, stopping=stopping, nvdec=nvdec)
    if kind is SourceKind.FILE:
        epoch_ns = time.monotonic_ns() if spec.epoch_ns is None else spec.epoch_ns
        clock = FileClock(epoch_ns=epoch_ns, interval_ns=container.interval_ns)
        decoder = Decoder(container.codec, threads=file_threads(os.cpu_count() or 1), nvdec=nvdec)
        address = shown(spec.url)
        taped = taped_file(container, spec, epoch_ns=epoch_ns, interval_ns=container.interval_ns, stopping=stopping)
        return FileSource(taped, decoder, clock=clock, address=address, stopping=stopping, dropped=dropped)
    return LiveSource(taped_live(container, spec), spec=spec, dropped=dropped, nvdec=nvdec)


def open_packets(spec: SourceSpec, stopping: Callable[[], bool]) -> PacketReader:
    """Connect to a camera whose packets are put on its tape and not decoded.

    Raises:
        SourceError: it can't be opened now.
        EndOfStream: the pipeline is stopping.
    """
    if kind_of(spec.url) is SourceKind.RTSP:
        return taped_live(_rtsp_packets(spec, stopping=stopping, nvdec=None), spec)
    return taped_live(open_container(spec, stopping=stopping), spec)


def _rtsp_packets(spec: SourceSpec, *, stopping: Callable[[], bool], nvdec: Nvdec | None) -> PacketReader:
    try:
        return open_rtsp(spec, stopping=stopping, nvdec=nvdec)
    except NotUnderstoodError:
        _log.info("camera %s: it is read through FFmpeg's RTSP client, one frame interval later", spec.camera)
    return open_container(spec, stopping=stopping, nvdec=nvdec)


class FileSource:
    """A recording: every picture of it, in order; its time is its own."""

    live = False

    def __init__(
        self,
        packets: PacketReader,
        decoder: Decoder,
        *,
        clock: FileClock,
        address: str,
        stopping: Callable[[], bool],
        dropped: Callable[[DropCause, int], None],
    ) -> None:
        self._packets = packets
        self._clock = clock
        self._address = address
        self._stopping = stopping
        self._dropped = dropped
        self._decoder = decoder
        self._gate = KeyGate(drop_late=False, shut=False)
        self._ready: deque[Grab] = deque()
        self._given = 0

    def read(self) -> Grab:
        """Return the next picture; raises EndOfStream after the last one."""
        while not self._ready:
            try:
                coded = self._packets.next()
            except EndOfStream:
                if self._given or self._stopping():
                    raise
                break
            self._take(coded)
        if not self._ready:
            raise fault(LostReason.CODEC, address=self._address, detail="no picture in it could be decoded")
        self._given += 1
        return self._ready.popleft()

    def close(self) -> None:
        """Close the file."""
        self._ready.clear()
        self._packets.close()

    def _take(self, coded: Coded) -> None:
        last = coded.packet.size == 0  # the decoder gives what it still holds
        if not self._gate.takes(key=coded.key, lag_ns=0, waited=True) and not last:
            self._dropped(DropCause.CORRUPT, 1)
            return
        outcome = self._decoder.decode(coded)
        if outcome.corrupt:
            self._dropped(DropCause.CORRUPT, outcome.corrupt)
            self._gate.shut(DropCause.CORRUPT)
        self._ready.extend(
            Grab(picture=d.picture, captured_ns=self._clock.captured_ns(d.pts_ns)) for d in outcome.pictures
        )


def file_threads(cpus: int) -> int:
    """Return how many threads decode a file.

    One costs the least CPU a picture and is faster than inference on the same machine; where cores are plenty, frame
    threads let one file keep a GPU busy.
    """
    return 1 if cpus <= 2 else min(4, cpus // 2)


class LiveSource:
    """A camera: time passes on its own, so what is late is left undecoded, and what is missing is counted."""

    live = True

    def __init__(
        self,
        packets: PacketReader,
        *,
        spec: SourceSpec,
        dropped: Callable[[DropCause, int], None],
        nvdec: Nvdec | None = None,
    ) -> None:
        self._packets = packets
        self._address = shown(spec.url)
        self._dropped = dropped
        self._patience_ns = round(spec.read_timeout_s * NS_PER_S)
        self._decoder = Decoder(packets.codec, threads=1, nvdec=nvdec)
        self._clock = CaptureClock()
        self._gate = KeyGate(drop_late=spec.delivery is Delivery.NEWEST, shut=True)
        self._gaps = GapCounter()
        self._ready: deque[Grab] = deque()
        self._fruitless_since_ns: int | None = None  # packets come, no picture does
        self._left_since_ns: int | None = None  # arrival of the first packet that waits for a key frame in vain
        self._started = False  # a key frame has come
        self._due: deque[Due] = deque()  # to be decoded now
        self._idling: Idling | None = None
        if spec.idle is not None and spec.delivery is Delivery.NEWEST and packets.codec.name not in _NOT_CODED:
            self._idling = Idling(
                spec.idle,
                camera=spec.camera,
                look_s=spec.idle_look_s,
                captured_ns=lambda coded: self._clock.captured_ns(coded.pts_ns, arrived_ns=coded.arrived_ns),
                left=lambda packets: dropped(DropCause.IDLE, packets),
            )

    def read(self) -> Grab:
        """Return the next picture; raises SourceError when the stream is lost."""
        while not self._ready:
            if self._due:
                self._decode(self._due.popleft())
            else:
                self._take(self._packets.next())
        return self._ready.popleft()

    def close(self) -> None:
        """Close the connection."""
        self._ready.clear()
        self._due.clear()
        if self._idling is not None:
            self._idling.end()
        self._packets.close()

    def _take(self, coded: Coded) -> None:
        lag_ns = self._observe(coded)
        if coded.damaged:
            self._judge(Outcome(corrupt=1), coded.arrived_ns)
            return
        idling = self._idling
        waited = coded.waited or (idling is not None and idling.excuses(coded))
        if not self._gate.takes(key=coded.key, lag_ns=lag_ns, waited=waited):
            self._leave(coded)
            return
        self._started = True
        self._left_since_ns = None
        self._due.extend((Due(coded=coded),) if idling is None else idling.take(coded))

    def _decode(self, due: Due) -> None:
        """Decode a packet, and make its picture ready: at once, or behind those that it recalls."""
        coded = due.coded
        if not self._gate.takes(key=coded.key, lag_ns=0, waited=True):  # one before it was damaged
            self._dropped(self._gate.cause, 1)
            return
        outcome = self._decoder.decode(coded)
        self._judge(outcome, coded.arrived_ns)
        before = () if self._idling is None else self._idling.decoded(due, outcome)
        self._due.extend(before)
        if before or not due.shown:
            return
        for decoded in outcome.pictures:
            captured_ns = due.captured_ns
            if captured_ns is None:
                captured_ns = self._clock.captured_ns(decoded.pts_ns, arrived_ns=coded.arrived_ns)
            self._ready.append(Grab(picture=decoded.picture, captured_ns=captured_ns, recalled=due.recalled))

    def _judge(self, outcome: Outcome, arrived_ns: int) -> None:
        """Count damage; end a stream whose packets have given no picture for the whole time limit."""
        if outcome.corrupt:
            self._dropped(DropCause.CORRUPT, outcome.corrupt)
            self._gate.shut(DropCause.CORRUPT)
        if outcome.pictures:
            self._fruitless_since_ns = None
        elif self._fruitless_since_ns is None:
            self._fruitless_since_ns = arrived_ns
        elif arrived_ns - self._fruitless_since_ns > self._patience_ns:
            raise fault(LostReason.CODEC, address=self._address, detail="packets come, but no picture can be decoded")

    def _observe(self, coded: Coded) -> int:
        """Set the clock by the packet and count what is missing before it; return its lag, ns."""
        if coded.lost:
            self._gate.shut(DropCause.MISSING)
        if coded.pts_ns is None:
            return 0
        if missing := self._gaps.observe(coded.pts_ns):
            self._dropped(DropCause.MISSING, missing)
        return self._clock.observe(pts_ns=coded.pts_ns, arrived_ns=coded.arrived_ns, waited=coded.waited)

    def _leave(self, coded: Coded) -> None:
        """Leave a packet undecoded: before the first key frame nothing is dropped yet, later it is counted.

        Some cameras send hardly any key frames, or none after the first: only a new connection gives one.
        """
        if self._started:
            self._dropped(self._gate.cause, 1)
        if self._left_since_ns is None:
            self._left_since_ns = coded.arrived_ns
        elif coded.arrived_ns - self._left_since_ns > _KEY_TIMEOUT_S * NS_PER_S:
            raise fault(LostReason.CODEC, address=self._address, detail=f"no key frame in {_KEY_TIMEOUT_S:.0f} s")
