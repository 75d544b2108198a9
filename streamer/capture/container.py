"""Packets by FFmpeg's demuxers: files, HTTP, V4L2, and RTSP where our own client does not serve."""

from __future__ import annotations

import errno
import logging
import os
import select
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import av
import av.error

from streamer.core.clock import NS_PER_MS, NS_PER_S
from streamer.core.errors import EndOfStream, LostReason

from .address import SourceKind, has_host_name, kind_of, shown
from .av_faults import fault, fault_at_opening, fault_while_reading
from .av_options import openings
from .packets import Coded
from .resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .av_options import Opening
    from .base import SourceSpec
    from .nvdec import Nvdec

_log = logging.getLogger(__name__)
_WAITED_NS = 1 * NS_PER_MS  # a packet that lay ready is there sooner
_UNSTAMPED = {"mpjpeg", "mjpeg", "h264", "hevc"}  # what their demuxers say counts frames, not time
_OTHER_TRANSPORT = {errno.EPROTONOSUPPORT}  # the server does not offer TCP
_OTHER_FORMAT = {errno.EINVAL, errno.EIO}  # the USB camera has no MJPEG

_NO_VIDEO = {  # where FFmpeg tells by the first bytes what it is
    SourceKind.FILE: "it holds no video; a text or a list of files is none: give the recording itself",
    SourceKind.HTTP: "it gives no video; a page or a text is none: give the address of the stream itself",
}


def open_container(spec: SourceSpec, *, stopping: Callable[[], bool], nvdec: Nvdec | None = None) -> ContainerPackets:
    """Connect by FFmpeg.

    Args:
        spec: what to open.
        stopping: asked between packets.
        nvdec: the GPU to decode on; None: the CPU.

    Raises:
        SourceError: it can't be opened now, or holds no video.
        EndOfStream: the pipeline is stopping.
    """
    kind, address = kind_of(spec.url), shown(spec.url)
    lost = fault(LostReason.FAULT, address=address)
    if kind in (SourceKind.RTSP, SourceKind.HTTP) and "http_proxy" not in os.environ:  # a proxy knows other names
        _look_up(spec, stopping=stopping)
    for opening in openings(spec):
        if stopping():
            raise EndOfStream
        began_ns = time.monotonic_ns()
        try:
            container = _opened(opening, nvdec)
        except av.FFmpegError as exc:
            waited_s = (time.monotonic_ns() - began_ns) / NS_PER_S
            timed_out = kind in (SourceKind.RTSP, SourceKind.HTTP) and waited_s >= 0.9 * spec.open_timeout_s
            lost = fault_at_opening(exc, address=address, named=has_host_name(spec.url), timed_out=timed_out)
            if kind in _NO_VIDEO and exc.errno == errno.EINVAL:  # something else than what may be opened
                lost = fault(LostReason.CODEC, address=address, detail=_NO_VIDEO[kind])
            again = exc.errno in (_OTHER_TRANSPORT if kind is SourceKind.RTSP else _OTHER_FORMAT)
        else:
            return _with_video(container, spec=spec, opening=opening, stopping=stopping)
        if not again:
            break
    raise lost


def _opened(opening: Opening, nvdec: Nvdec | None) -> av.container.InputContainer:
    options, timeout_s = opening.options, opening.timeout_s
    if nvdec is None:
        return av.open(opening.file, format=opening.format, options=options, timeout=timeout_s)
    with nvdec.current():  # the decoders of its streams are made here
        return av.open(opening.file, format=opening.format, options=options, timeout=timeout_s, hwaccel=nvdec.accel())


def _look_up(spec: SourceSpec, *, stopping: Callable[[], bool]) -> None:
    """Resolve the host before FFmpeg does, which would wait for a dead name server without a limit."""
    parts = urlsplit(spec.url)
    deadline_ns = time.monotonic_ns() + round(spec.open_timeout_s * NS_PER_S)
    try:
        resolve(parts.hostname or "", parts.port or 0, stopping=stopping, deadline_ns=deadline_ns)
    except OSError as exc:
        detail = exc.strerror or str(exc)
    else:
        return
    raise fault(LostReason.DNS, address=shown(spec.url), detail=detail)


def _with_video(
    container: av.container.InputContainer, *, spec: SourceSpec, opening: Opening, stopping: Callable[[], bool]
) -> ContainerPackets:
    if container.streams.video:
        return ContainerPackets(container, spec=spec, opening=opening, stopping=stopping)
    container.close()
    raise fault(LostReason.CODEC, address=shown(spec.url), detail="it holds no video that FFmpeg can decode")


class ContainerPackets:
    """A `PacketReader` over one open PyAV container."""

    def __init__(
        self,
        container: av.container.InputContainer,
        *,
        spec: SourceSpec,
        opening: Opening,
        stopping: Callable[[], bool],
    ) -> None:
        self._container = container
        self._stream = container.streams.video[0]
        self._address = shown(spec.url)
        self._live = kind_of(spec.url) is not SourceKind.FILE
        self._read_timeout_ns = round(spec.read_timeout_s * NS_PER_S)
        self._stopping = stopping
        self._stamped = container.format.name not in _UNSTAMPED
        self._lent = opening.format == "v4l2"
        self._device = _device_fd(opening.file) if self._lent else None
        self._packets = self._demux()
        self._given = 0

    @property
    def codec(self) -> av.VideoCodecContext:
        """The stream's own decoder context."""
        return self._stream.codec_context

    @property
    def interval_ns(self) -> int:
        """The usual time between two frames, by the container's own word; 25 a second where it says nothing."""
        rate = self._stream.average_rate or self._stream.guessed_rate or 25
        return round(NS_PER_S / rate)

    def next(self) -> Coded:
        """Return the next video packet; the limit holds for video, however many other packets come meanwhile."""
        asked_ns = time.monotonic_ns()
        while True:
            if self._stopping():
                raise EndOfStream
            packet = self._read()
            now_ns = time.monotonic_ns()
            if packet is not None and packet.stream_index == self._stream.index and (packet.size or not self._live):
                self._given += 1
                return Coded(
                    packet=_owned(packet) if self._lent else packet,
                    pts_ns=self._pts_ns(packet),
                    key=packet.is_keyframe,
                    arrived_ns=now_ns,
                    waited=now_ns - asked_ns >= _WAITED_NS,
                )
            if self._live and now_ns - asked_ns > self._read_timeout_ns:
                raise fault(LostReason.FROZEN, address=self._address)

    def close(self) -> None:
        """Close the container; a fault in doing so has nobody left to interest."""
        self._packets = iter(())  # the demuxer holds the packet that it gave last
        with suppress(av.FFmpegError):
            self._container.close()

    def _pts_ns(self, packet: av.Packet[Any]) -> int | None:
        if packet.pts is None or packet.time_base is None or not self._stamped:
            return None
        return packet.pts * NS_PER_S * packet.time_base.numerator // packet.time_base.denominator

    def _demux(self) -> Iterator[av.Packet[Any]]:
        return self._container.demux() if self._live else self._container.demux(self._stream)

    def _read(self) -> av.Packet[Any] | None:
        """Return a packet of any stream, or None if a device had none yet."""
        try:
            return next(self._packets)
        except StopIteration:
            lost = None
        except av.error.BlockingIOError:
            self._wait_for_device()
            self._packets = self._demux()
            return None
        except av.FFmpegError as exc:
            lost = fault_while_reading(exc, address=self._address)
        if lost is None and self._live:  # FIN and RST look like this
            lost = fault(LostReason.ENDED, address=self._address)
        if lost is None:
            raise EndOfStream
        if not self._live and self._given:
            # Opened anew it would be read from its start again, and break off at the same place.
            _log.warning("%s: the file breaks off after %d packets (%s)", self._address, self._given, lost)
            raise EndOfStream
        raise lost

    def _wait_for_device(self) -> None:
        if self._device is None:
            raise fault(LostReason.FAULT, address=self._address, detail="it can't be waited for")
        poll = select.poll()
        poll.register(self._device, select.POLLIN)
        poll.poll(min(250, self._read_timeout_ns // NS_PER_MS))


def _owned(packet: av.Packet[Any]) -> av.Packet[Any]:
    """Return a copy, for a packet that lies in the driver's memory.

    Raw pictures are views on their packet, and that memory is unmapped by `close`, whoever still looks at them.
    Besides, the driver has only a few such buffers to fill.
    """
    copy: av.Packet[Any] = av.Packet(packet.size)
    copy.update(bytes(packet))
    copy.pts, copy.dts, copy.time_base, copy.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
    return copy


def _device_fd(path: str) -> int | None:
    """Return FFmpeg's descriptor of an open V4L2 device, to wait for it, or None where it can't be found.

    It is made non-blocking, as it was asked for at the opening: FFmpeg waits for a picture inside an ioctl, for ever if
    the camera hangs, and PyAV has no limit for that.
    """
    fds = Path("/proc/self/fd")
    if not fds.is_dir():
        return None
    real = Path(path).resolve()
    for entry in fds.iterdir():
        with suppress(OSError):
            if entry.readlink() == real:
                fd = int(entry.name)
                os.set_blocking(fd, False)
                return fd
    return None
