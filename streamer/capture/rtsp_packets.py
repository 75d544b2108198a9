"""Our own RTSP client for H.264 and H.265: a picture is complete at its last packet, not when the next one begins."""

from __future__ import annotations

import secrets
import struct
import time
from collections import deque
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av

from streamer.core.clock import NS_PER_MS, NS_PER_S
from streamer.core.errors import LostReason, SourceError

from .av_faults import fault
from .av_options import transports
from .packets import Coded
from .rtp import Assembler, Malformed, Sequence, parse_rtp
from .rtsp_dialogue import Answer, Dialogue, Interleaved, NotUnderstoodError
from .rtsp_udp import UdpPair
from .sdp import video_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import SourceSpec
    from .nvdec import Nvdec
    from .rtp import AccessUnit
    from .sdp import VideoMedia

_KEEPALIVE_NS = 20 * NS_PER_S  # servers end a session after 60 s, some after 30
_SWAPPED_NS = 50 * NS_PER_MS  # so long a packet may come after its followers
_REPORT_NS = 5 * NS_PER_S
_TEARDOWN_S = 0.2


def open_rtsp(spec: SourceSpec, *, stopping: Callable[[], bool], nvdec: Nvdec | None = None) -> RtspPackets:
    """Connect and start playing.

    Args:
        spec: the camera.
        stopping: asked between packets.
        nvdec: the GPU to decode on; None: the CPU.

    Raises:
        SourceError: it can't be opened now.
        NotUnderstoodError: not for this client; FFmpeg may know more.
        EndOfStream: the pipeline is stopping.
    """
    deadline_ns = time.monotonic_ns() + round(spec.open_timeout_s * NS_PER_S)
    dialogue = Dialogue(spec.url, stopping=stopping)
    udp: UdpPair | None = None
    try:
        dialogue.connect(deadline_ns=deadline_ns)
        media = _described(dialogue, deadline_ns)
        udp = _set_up(dialogue, media, spec, deadline_ns)
        _expect(dialogue.ask("PLAY", media.aggregate, {"Range": "npt=0.000-"}, deadline_ns=deadline_ns), dialogue)
        codec = _codec(media, nvdec)
    except BaseException:
        dialogue.close()
        if udp is not None:
            udp.close()
        raise
    return RtspPackets(dialogue, codec, media=media, udp=udp, spec=spec)


def _codec(media: VideoMedia, nvdec: Nvdec | None) -> av.VideoCodecContext:
    """Return a decoder's context with the SDP's parameter sets."""
    if nvdec is None:
        codec = cast("av.VideoCodecContext", av.CodecContext.create(media.codec, "r"))
    else:
        codec = nvdec.codec(media.codec)
    if media.parameter_sets:
        codec.extradata = media.parameter_sets
    return codec


def _described(dialogue: Dialogue, deadline_ns: int) -> VideoMedia:
    answer = dialogue.ask("DESCRIBE", dialogue.url, {"Accept": "application/sdp"}, deadline_ns=deadline_ns)
    _expect(answer, dialogue)
    base = answer.fields.get("content-base") or answer.fields.get("content-location") or dialogue.url
    media = video_of(answer.body, base_url=base)
    if media is None:
        raise NotUnderstoodError
    return media


def _set_up(dialogue: Dialogue, media: VideoMedia, spec: SourceSpec, deadline_ns: int) -> UdpPair | None:
    """Agree on a transport; return the ports for UDP, None for the connection itself."""
    answer: Answer | None = None
    for transport in transports(spec):
        udp = _udp_pair(dialogue) if transport == "udp" else None
        wanted = "RTP/AVP/TCP;unicast;interleaved=0-1" if udp is None else udp.wanted
        try:
            answer = dialogue.ask("SETUP", media.control, {"Transport": wanted}, deadline_ns=deadline_ns)
            if answer.status != 461:  # unsupported transport
                _expect(answer, dialogue)
                dialogue.session = answer.fields.get("session", "").partition(";")[0].strip() or None
                if udp is not None:
                    udp.agree(answer.fields.get("transport", ""))
                return udp
        except BaseException:
            if udp is not None:
                udp.close()
            raise
        if udp is not None:
            udp.close()
    raise fault(LostReason.FAULT, address=dialogue.address, detail=f"it offers no transport of {transports(spec)}")


def _udp_pair(dialogue: Dialogue) -> UdpPair:
    try:
        return UdpPair(*dialogue.peer)
    except OSError as exc:
        detail = exc.strerror or str(exc)
    raise fault(LostReason.FAULT, address=dialogue.address, detail=detail)


def _expect(answer: Answer, dialogue: Dialogue) -> None:
    if answer.status == 200:
        return
    if answer.status == 404:
        raise fault(LostReason.NOT_FOUND, address=dialogue.address)
    if 300 <= answer.status < 400:
        raise NotUnderstoodError
    raise fault(LostReason.FAULT, address=dialogue.address, detail=f"it answers {answer.status}")


class RtspPackets:
    """A `PacketReader` over our own client."""

    def __init__(
        self,
        dialogue: Dialogue,
        codec: av.VideoCodecContext,
        *,
        media: VideoMedia,
        udp: UdpPair | None,
        spec: SourceSpec,
    ) -> None:
        self._dialogue = dialogue
        self._media = media
        self._udp = udp
        self._patience_ns = round(spec.read_timeout_s * NS_PER_S)
        # TCP keeps the order: what is missing there was left out by the camera.
        self._sequence = Sequence(patience_ns=_SWAPPED_NS if udp is not None else 0)
        self._assembler = Assembler(media.codec)
        self._ready: deque[Coded] = deque()
        self._ssrc = secrets.randbits(32)
        self._kept_alive_ns = self._reported_ns = time.monotonic_ns()
        self._time_base = Fraction(1, media.clock_hz)
        self._codec = codec

    @property
    def codec(self) -> av.VideoCodecContext:
        """A decoder context with the SDP's parameter sets."""
        return self._codec

    def next(self) -> Coded:
        """Return the next picture; raises SourceError after `read_timeout_s` without one."""
        asked_ns = time.monotonic_ns()
        heard = False
        while not self._ready:
            heard = self._receive() or heard
            now_ns = time.monotonic_ns()
            self._keep_alive(now_ns)
            if now_ns - asked_ns > self._patience_ns:
                detail = "packets come, but no whole picture" if heard else None
                reason = LostReason.CODEC if heard else LostReason.FROZEN
                raise fault(reason, address=self._dialogue.address, detail=detail)
        return self._ready.popleft()

    def close(self) -> None:
        """Say goodbye, without waiting for an answer, and close."""
        self._ready.clear()
        with suppress(SourceError, RuntimeError):  # the connection may be gone already
            self._dialogue.send("TEARDOWN", self._media.aggregate, limit_s=_TEARDOWN_S)
        self._dialogue.close()
        if self._udp is not None:
            self._udp.close()

    def _receive(self) -> bool:
        """Take in what is there; tell whether any of it was video."""
        wait_on = () if self._udp is None else self._udp.sockets
        lost: SourceError | None = None
        try:
            received = self._dialogue.receive(also=wait_on)
        except NotUnderstoodError:
            lost = fault(LostReason.FAULT, address=self._dialogue.address, detail="what it sends is not RTSP any more")
        if lost is not None:
            raise lost
        for part in received.parts:
            if isinstance(part, Answer):
                self._dialogue.renew(part)
        frames = [p.data for p in received.parts if isinstance(p, Interleaved) and p.channel == 0]
        if self._udp is not None:
            frames, ended = self._udp.receive()
            if ended:
                raise fault(LostReason.ENDED, address=self._dialogue.address)
        for data in frames:
            self._push(data, received.arrived_ns, waited=received.waited)
        return bool(frames)

    def _push(self, data: bytes, arrived_ns: int, *, waited: bool) -> None:
        with suppress(Malformed):  # no RTP at all: `next` counts the silence
            packet = parse_rtp(data)
            if packet.payload_type != self._media.payload_type:
                return
            for in_order, lost in self._sequence.push(packet, arrived_ns):
                for unit in self._assembler.push(in_order, lost=lost):
                    self._ready.append(self._coded(unit, arrived_ns, waited=waited))

    def _coded(self, unit: AccessUnit, arrived_ns: int, *, waited: bool) -> Coded:
        packet: av.Packet[Any] = av.Packet(unit.data)
        packet.time_base = self._time_base
        packet.is_keyframe = unit.key
        packet.pts = unit.ticks
        return Coded(
            packet=packet,
            pts_ns=None if unit.ticks is None else unit.ticks * NS_PER_S // self._media.clock_hz,
            key=unit.key,
            arrived_ns=arrived_ns,
            waited=waited,
            lost=unit.lost,
            damaged=unit.damaged,
        )

    def _keep_alive(self, now_ns: int) -> None:
        if now_ns - self._kept_alive_ns > _KEEPALIVE_NS:
            self._kept_alive_ns = now_ns
            self._dialogue.send("OPTIONS", self._media.aggregate)
        if self._udp is not None and now_ns - self._reported_ns > _REPORT_NS:
            self._reported_ns = now_ns
            self._udp.report(struct.pack(">BBHI", 0x80, 201, 1, self._ssrc))
