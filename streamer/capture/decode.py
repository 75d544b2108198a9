"""Compressed pictures to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import av.error

from streamer.core.clock import NS_PER_S

from .nvdec import device_picture, on_cpu
from .pictures import picture_of

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture

    from .nvdec import Nvdec
    from .packets import Coded

_ON_GPU = "cuda"  # FFmpeg's name for the format of such frames
_MOST_FAILURES = 2  # of the GPU's decoder, before the CPU takes its place;
_FORGIVEN = 250  # pictures after which one that has failed counts as whole again: ten seconds of most cameras


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """One picture with its own time stamp."""

    picture: AnyPicture
    pts_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a packet gave: no picture yet, some that were held back for reordering, or damage."""

    pictures: tuple[Decoded, ...] = ()
    corrupt: int = 0


class Decoder:
    """One stream's decoder. Survives garbage, a change of size, and a GPU that can't go on.

    What the GPU can't decode from the start, FFmpeg decodes on the CPU by itself. A decoder that fails later would go
    on failing (no memory for a picture, a GPU that is lost): after the second time it is left for the CPU. A connection
    may last for months: two failures that lie far apart are none of that kind.
    """

    def __init__(self, codec: av.VideoCodecContext, *, threads: int, nvdec: Nvdec | None = None) -> None:
        """Store the context; it opens itself with the first packet.

        Args:
            codec: not yet opened.
            threads: 1 adds no delay and costs the least; more hold back as many pictures and are for files only.
            nvdec: the GPU that the context was made for.
        """
        self._codec = _with_threads(codec, 1 if codec.is_hwaccel else threads)
        self._nvdec = nvdec
        self._stamps = _BestStamp()
        self._tainted = False  # a picture was damaged, and what comes up to the next key frame refers to it
        self._failures = 0
        self._given = 0  # pictures that came from the GPU,
        self._given_at_failure = 0  # and how many those were when it failed last

    def decode(self, coded: Coded) -> Outcome:
        """Decode one packet; an empty one gives what the decoder still holds.

        Raises:
            SourceError: the GPU can't decode it, and the CPU shall not.
        """
        try:
            frames = self._codec.decode(coded.packet)
        except (av.FFmpegError, ValueError) as exc:  # invalid data, or a feature that FFmpeg lacks
            failed, data = str(exc), isinstance(exc, av.error.InvalidDataError)
        else:
            whole = [f for f in frames if self._is_whole(f)]
            return Outcome(
                pictures=tuple(Decoded(picture=self._picture(f), pts_ns=self._stamps.of(f)) for f in whole),
                corrupt=len(frames) - len(whole),
            )
        self._note(failed, data=data)
        return Outcome(corrupt=1)

    def _is_whole(self, frame: av.VideoFrame) -> bool:
        """Tell whether no pixel of it is invented."""
        self._tainted = frame.is_corrupt or (self._tainted and not frame.key_frame)
        return not self._tainted

    def _picture(self, frame: av.VideoFrame) -> AnyPicture:
        if self._nvdec is None:
            return picture_of(frame)
        if frame.format.name != _ON_GPU:  # FFmpeg found it out by itself, and asks anew for another picture size
            kind = f"{self._codec.name} like this one ({frame.format.name})"
            self._nvdec.refuse(f"the GPU decodes no {kind}, or has no memory left for it")
            return picture_of(frame)
        self._given += 1
        picture = device_picture(frame, self._nvdec.device)
        if picture is None:
            return self._nvdec.fetched(frame)
        self._nvdec.say_where()
        return picture

    def _note(self, failed: str, *, data: bool) -> None:
        """Count a failure of the GPU's decoder; broken data is no fault of one that has given pictures."""
        if self._nvdec is None or (self._given and data):
            return
        lasted, self._given_at_failure = self._given - self._given_at_failure >= _FORGIVEN, self._given
        self._failures = 1 if lasted else self._failures + 1
        if self._failures < _MOST_FAILURES:
            return
        nvdec, self._nvdec = self._nvdec, None
        self._codec = _with_threads(on_cpu(self._codec), 1)
        nvdec.give_up(f"the GPU's decoder has failed {self._failures} times ({failed})")


def _with_threads(codec: av.VideoCodecContext, threads: int) -> av.VideoCodecContext:
    codec.thread_count = threads
    codec.thread_type = "NONE" if threads == 1 else "FRAME"
    return codec


class _BestStamp:
    """Chooses between a picture's own stamp (pts) and its packet's (dts): the one that has run backwards less often.

    FFmpeg's players do the same: AVI holds no pts, and what is computed for its B-frames is out of order.
    """

    def __init__(self) -> None:
        self._last_pts = self._last_dts = -(1 << 63)
        self._faulty_pts = self._faulty_dts = 0

    def of(self, frame: av.VideoFrame) -> int | None:
        """Return the stamp of the next picture, ns."""
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        best = pts if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts) else dts
        if best is None or frame.time_base is None:
            return None
        return best * NS_PER_S * frame.time_base.numerator // frame.time_base.denominator
