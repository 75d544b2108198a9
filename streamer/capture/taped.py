"""What a connection gives is also put on a tape, whether it is decoded or not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream

from .base import Delivery
from .capture_clock import CaptureClock
from .remux import REMUXED
from .tape import CodecFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    import av

    from .base import SourceSpec
    from .packets import Coded, PacketReader
    from .tape import Tape

_log = logging.getLogger(__name__)
_ASKED_S = 0.1  # between two looks at whether the run is stopping
_PATIENCE_S = 10.0  # a recording waits no longer for whoever writes its clips: a disk that hangs
_BACKWARD_NS = 1 * NS_PER_S  # pictures are reordered by less than this


def taped_live(packets: PacketReader, spec: SourceSpec) -> PacketReader:
    """Return the reader of a camera's packets, which are put on the tape if it has one."""
    tape = _ready(packets, spec)
    return packets if tape is None else TapedPackets(packets, tape, times=_Arrivals().captured_ns)


def taped_file(
    packets: PacketReader, spec: SourceSpec, *, epoch_ns: int, interval_ns: int, stopping: Callable[[], bool]
) -> PacketReader:
    """Return the reader of a recording's packets, which are put on the tape if it has one.

    Args:
        packets: what to read.
        spec: whose it is.
        epoch_ns: monotonic: when its first picture counts as captured.
        interval_ns: between two pictures, where they have no stamps.
        stopping: asked while a clip is waited for.
    """
    tape = _ready(packets, spec)
    if tape is None:
        return packets
    times = _Stamps(epoch_ns, interval_ns).captured_ns
    waits = stopping if spec.delivery is Delivery.EVERY else None
    return TapedPackets(packets, tape, times=times, waits=waits)


def _ready(packets: PacketReader, spec: SourceSpec) -> Tape | None:
    """Begin the tape; None if there is none, or no clip can be made of what comes."""
    tape = spec.tape
    if tape is None:
        return None
    facts = CodecFacts(codec=packets.codec.codec.canonical_name, extradata=packets.codec.extradata or b"")
    if facts.codec in REMUXED:
        tape.begin(facts)
        return tape
    if tape.refuse(facts.codec):
        wanted = "H.264, H.265, AV1 or MPEG-4"
        _log.warning("no clips: it sends %s, and only %s can be kept as it comes", facts.codec, wanted, extra=_of(spec))
    return None


def _of(spec: SourceSpec) -> dict[str, str]:
    return {"camera": spec.camera}


class TapedPackets:
    """A `PacketReader` that puts what it gives on a tape."""

    def __init__(
        self,
        packets: PacketReader,
        tape: Tape,
        *,
        times: Callable[[Coded], int],
        waits: Callable[[], bool] | None = None,
    ) -> None:
        """Store the parts.

        Args:
            packets: what to read.
            tape: already begun.
            times: gives the capture time of each packet, monotonic, ns.
            waits: nothing is taken from the tape that a clip is still to get, unless this becomes true; None: a camera,
                which waits for nobody.
        """
        self._packets = packets
        self._tape = tape
        self._times = times
        self._waits = waits

    @property
    def codec(self) -> av.VideoCodecContext:
        """The stream's own decoder context."""
        return self._packets.codec

    def next(self) -> Coded:
        """Return the next packet; it is on the tape."""
        coded = self._packets.next()
        self._tape.put(coded, self._times(coded), spare=self._waits is not None and self._room(self._waits))
        return coded

    def close(self) -> None:
        """End the tape's connection, and close the reader."""
        self._tape.end()
        self._packets.close()

    def _room(self, stopping: Callable[[], bool]) -> bool:
        """Wait for whoever writes clips; False if that took too long.

        Raises:
            EndOfStream: the run is stopping.
        """
        for _ in range(round(_PATIENCE_S / _ASKED_S)):
            if self._tape.wait_for_room(_ASKED_S):
                return True
            if stopping():
                raise EndOfStream
        return False


class _Arrivals:
    """Times of a camera: as `LiveSource` estimates them, but of each packet, also of those that are not decoded."""

    def __init__(self) -> None:
        self._clock = CaptureClock()

    def captured_ns(self, coded: Coded) -> int:
        if coded.pts_ns is None:
            return coded.arrived_ns
        lag_ns = self._clock.observe(pts_ns=coded.pts_ns, arrived_ns=coded.arrived_ns, waited=coded.waited)
        return coded.arrived_ns - lag_ns


class _Stamps:
    """Times of a recording, in order of decoding: an epoch plus pts, as `FileClock` counts them for its pictures."""

    def __init__(self, epoch_ns: int, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._shift_ns: int | None = None  # from a stamp to its time
        self._last_ns = epoch_ns - interval_ns

    def captured_ns(self, coded: Coded) -> int:
        stamp_ns, expected_ns = _stamp_ns(coded), self._last_ns + self._interval_ns
        if stamp_ns is None:
            self._last_ns = expected_ns
            return expected_ns
        if self._shift_ns is None or stamp_ns + self._shift_ns < self._last_ns - _BACKWARD_NS:  # stamps began anew
            self._shift_ns = expected_ns - stamp_ns
        at_ns = stamp_ns + self._shift_ns
        self._last_ns = max(self._last_ns, at_ns)
        return at_ns


def _stamp_ns(coded: Coded) -> int | None:
    """Return when a packet is to be shown, or where the container does not say that (AVI), to be decoded."""
    packet = coded.packet
    if coded.pts_ns is not None or packet.dts is None or not packet.time_base:
        return coded.pts_ns
    return packet.dts * NS_PER_S * packet.time_base.numerator // packet.time_base.denominator
