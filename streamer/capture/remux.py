"""Compressed pictures to MP4 as they are: first in fragments, so that a crash loses little, then for fast start.

A part is readable up to its last fragment whenever the writing ends. For a browser that begins to play before all has
come it is copied once more, with the index in front, and takes the clip's name only when it is whole on the disk.
"""

from __future__ import annotations

import io
import os
from contextlib import ExitStack, suppress
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import av.error

from .clip_times import HZ, ClipTimes
from .nal import annex_b, avcc_sets, hvcc_sets, length_prefixed, prefix_of

if TYPE_CHECKING:
    from io import RawIOBase
    from pathlib import Path

    from .tape import CodecFacts, Taped

_PART = {
    "movflags": "empty_moov+default_base_moof",
    "frag_duration": "1000000",  # us: a crash loses no more
    "flush_packets": "1",
}
# What the index takes at most: the boxes around it with the parameter sets, and for each picture its size, its
# duration, its delay, its being a key frame, its chunk and where that lies.
_INDEX_BYTES, _INDEX_BYTES_A_PICTURE = 16_384, 48
_DEMUXERS = {"h264": "h264", "hevc": "hevc", "av1": "obu", "mpeg4": "m4v"}  # of bare streams, as cameras send them
_SETS = {"h264": avcc_sets, "hevc": hvcc_sets}
_START = b"\x00\x00\x01"
_LEADING = 64  # bytes; zeros may stand before the first start code
_DELIMITER = b"\x12\x00"  # an AV1 temporal delimiter, with which a bare stream begins
_AV1C = 4  # bytes of an av1C box before the sequence header
# What FFmpeg says of a part that is readable no further. The last is of a size that is none: FFmpeg writes one for an
# AV1 packet that is junk.
_BROKEN_OFF = (av.error.InvalidDataError, av.error.EOFError, av.error.MemoryError)
REMUXED = frozenset(_DEMUXERS)


class Finished(NamedTuple):
    """A clip that is there for good."""

    seconds: float
    nbytes: int


class PartFile:
    """A fragmented MP4 that is being written. Used by one thread."""

    def __init__(
        self,
        disk: RawIOBase,
        container: av.container.OutputContainer,
        stream: Any,  # noqa: ANN401  as PyAV types it
        *,
        prefix: int | None,  # see `nal.prefix_of`; None: no NAL units are in it
        depth: int,
    ) -> None:
        self._disk = disk
        self._container = container
        self._stream = stream
        self._prefix = prefix
        self._times = ClipTimes(depth)

    def write(self, taped: Taped) -> bool:
        """Add a picture; return whether it is one, and no junk.

        Raises:
            OSError: the disk does not take it.
        """
        data = bytes(taped.packet)
        if self._prefix:
            data = annex_b(length_prefixed(data, self._prefix))
        if self._prefix is not None and _START not in data[:_LEADING]:
            return False  # junk, of which FFmpeg would make a fragment that it can't read
        packet: av.Packet[Any] = av.Packet(data)
        packet.stream = self._stream
        packet.time_base = Fraction(1, HZ)
        packet.pts, packet.dts, packet.duration = self._times.of(taped)
        packet.is_keyframe = taped.key
        try:
            self._container.mux_one(packet)
        except av.FFmpegError as exc:
            failed = _refused(exc)
        else:
            return True
        raise failed

    def close(self) -> None:
        """End the last fragment.

        Raises:
            OSError: the disk does not take it.
        """
        try:
            with self._disk:
                self._container.close()
        except av.FFmpegError as exc:
            failed = _refused(exc)
        else:
            return
        raise failed


def open_part(path: Path, facts: CodecFacts, key: Taped, *, depth: int) -> PartFile:
    """Begin a part.

    Args:
        path: the file; its folder is there.
        facts: of the stream.
        key: the first picture, which `write` still has to be given.
        depth: over how many pictures the order of decoding differs from that of showing.

    Raises:
        OSError: the file can't be made, or the stream is not understood.
    """
    prefix = prefix_of(facts.codec, facts.extradata) if facts.codec in _SETS else None
    disk = path.open("wb", buffering=0)  # FFmpeg never closes one of its own whose header it could not write
    try:
        with av.open(io.BytesIO(_bare(facts, bytes(key.packet), prefix)), format=_DEMUXERS[facts.codec]) as bare:
            container = av.open(disk, "w", format="mp4", options=_PART)
            like = bare.streams.video[0]
            stream = container.add_stream_from_template(like, opaque=True, time_base=Fraction(1, HZ))
            _tag(stream, facts.codec)
    except (av.FFmpegError, IndexError, ValueError) as exc:
        failed = _refused(exc)
    else:
        return PartFile(disk, container, stream, prefix=prefix, depth=depth)
    with disk:
        path.unlink()
    raise failed


def _bare(facts: CodecFacts, key: bytes, prefix: int | None) -> bytes:
    """Return the stream's beginning as FFmpeg's demuxer of bare streams wants it."""
    if prefix:
        return annex_b(_SETS[facts.codec](facts.extradata)) + annex_b(length_prefixed(key, prefix))
    if facts.codec == "av1":
        return _DELIMITER + facts.extradata[_AV1C:] + key
    return facts.extradata + key


def _tag(stream: Any, codec: str) -> None:  # noqa: ANN401  as PyAV types it
    """Say of H.265 that the parameter sets stand in the index alone: Apple's players take nothing else."""
    if codec == "hevc":
        stream.codec_context.codec_tag = "hvc1"


class FastStart:
    """Copies a part, a slice at a time, into a clip whose index stands in front. Used by one thread."""

    def __init__(self, part: Path, clip: Path, *, pictures: int | None = None) -> None:
        """Store the paths; nothing is opened yet.

        Args:
            part: ended, or left behind by a crash. Removed once the clip is there.
            clip: what it becomes.
            pictures: so many of the part, from its first; None: all that it holds.
        """
        self._part = part
        self._clip = clip
        self._beside = clip.with_name(clip.name + ".tmp")
        self._pictures = pictures
        self._copy: _Copy | None = None

    def advance(self, budget_bytes: int) -> Finished | None:
        """Copy so many bytes and see that they are on the disk; return the clip once it is whole.

        A part without a picture is removed, and gives a clip of no bytes, which is not there.

        Raises:
            OSError: the disk does not take it; the part is still there.
        """
        try:
            return self._advance(budget_bytes)
        except (av.FFmpegError, ValueError) as exc:  # the latter of a part that something has damaged since
            failed = _refused(exc)
        raise failed

    def close(self) -> None:
        """Leave it; the part stays for another attempt. Idempotent, never raises."""
        with suppress(av.FFmpegError, OSError):
            if self._copy is not None:
                self._copy.close()
        self._copy = None
        with suppress(OSError):
            self._beside.unlink(missing_ok=True)

    def _advance(self, budget_bytes: int) -> Finished | None:
        if self._copy is None:
            pictures = _count(self._part) if self._pictures is None else self._pictures
            if not pictures:
                self._part.unlink(missing_ok=True)
                return Finished(0.0, 0)
            self._copy = _Copy(self._part, self._beside, pictures)
        whole = self._copy.some(budget_bytes)
        if whole:
            self._copy.close()
        _sync(self._beside)
        if not whole:
            return None
        seconds, nbytes = self._copy.seconds, self._beside.stat().st_size
        self._copy = None
        self._beside.replace(self._clip)
        self._part.unlink(missing_ok=True)
        return Finished(seconds, nbytes)


class _Copy:
    """Both files of a copy that goes on."""

    def __init__(self, part: Path, beside: Path, pictures: int) -> None:
        with ExitStack() as files:
            container = files.enter_context(av.open(str(part)))
            like = container.streams.video[0]
            codec = _codec_of(like)
            # Room for the index is left free in front: otherwise all that lies behind would be moved at the end.
            room = _INDEX_BYTES + len(codec.extradata or b"") + _INDEX_BYTES_A_PICTURE * pictures
            disk = files.enter_context(beside.open("wb", buffering=0))
            self._to = files.enter_context(av.open(disk, "w", format="mp4", options={"moov_size": str(room)}))
            self._stream = self._to.add_stream_from_template(like, opaque=True)
            _tag(self._stream, codec.codec.canonical_name)
            self._files = files.pop_all()
        self._packets = islice(_whole(container, like), pictures)
        self._first: int | None = None
        self._last = 0
        self._time_base = like.time_base or Fraction(1, HZ)

    @property
    def seconds(self) -> float:
        return float((self._last - (self._first or 0)) * self._time_base)

    def some(self, budget_bytes: int) -> bool:
        """Copy so many bytes; True once all is copied."""
        for packet in self._packets:
            pts, size = packet.pts or 0, packet.size
            self._first = pts if self._first is None else min(self._first, pts)
            self._last = max(self._last, pts + (packet.duration or 0))
            packet.stream = self._stream
            self._to.mux_one(packet)
            budget_bytes -= size
            if budget_bytes <= 0:
                return False
        return True

    def close(self) -> None:
        """Close both; what is written last of all is the index."""
        self._packets = islice(iter(()), 0)
        self._files.close()


def _codec_of(stream: av.VideoStream) -> av.VideoCodecContext:
    if stream.codec_context is None:
        raise ValueError("it holds a codec that FFmpeg does not know")
    return stream.codec_context


def _whole(container: av.container.InputContainer, stream: av.VideoStream) -> Any:  # noqa: ANN401  an iterator of packets
    """Yield the whole pictures of a part, which may break off anywhere."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, *_BROKEN_OFF):
            return
        if packet.size and not packet.is_corrupt:
            yield packet


def _count(part: Path) -> int:
    """Return how many whole pictures a part holds; one that is no MP4 broke off before its first."""
    try:
        with av.open(str(part)) as container:
            return sum(1 for _ in _whole(container, container.streams.video[0])) if container.streams.video else 0
    except _BROKEN_OFF:
        return 0


def _sync(path: Path) -> None:
    """Wait until what was written is on the disk: the part is removed only then."""
    with path.open("rb") as file:
        os.fsync(file)


def _refused(exc: Exception) -> OSError:
    """Return what a user can act on: the disk's own words, and no path twice."""
    if isinstance(exc, av.FFmpegError):
        return OSError(exc.errno, exc.strerror)
    return OSError("what is in it is not understood")
