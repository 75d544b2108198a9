"""Compressed pictures to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from streamer.core.clock import NS_PER_S

from .pictures import picture_of

if TYPE_CHECKING:
    from streamer.core.frame import Picture

    from .packets import Coded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """One picture with its own time stamp."""

    picture: Picture
    pts_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a packet gave: no picture yet, some that were held back for reordering, or damage."""

    pictures: tuple[Decoded, ...] = ()
    corrupt: int = 0


class Decoder:
    """One stream's decoder. Survives garbage and a change of size."""

    def __init__(self, codec: av.VideoCodecContext, *, threads: int) -> None:
        """Store the context; it opens itself with the first packet.

        Args:
            codec: not yet opened.
            threads: 1 adds no delay and costs the least; more hold back as many pictures and are for files only.
        """
        codec.thread_count = threads
        codec.thread_type = "NONE" if threads == 1 else "FRAME"
        self._codec = codec
        self._stamps = _BestStamp()
        self._tainted = False  # a picture was damaged, and what comes up to the next key frame refers to it

    def decode(self, coded: Coded) -> Outcome:
        """Decode one packet; an empty one gives what the decoder still holds."""
        try:
            frames = self._codec.decode(coded.packet)
        except (av.FFmpegError, ValueError):  # invalid data, or a feature that FFmpeg lacks
            return Outcome(corrupt=1)
        whole = [f for f in frames if self._is_whole(f)]
        return Outcome(
            pictures=tuple(Decoded(picture=picture_of(f), pts_ns=self._stamps.of(f)) for f in whole),
            corrupt=len(frames) - len(whole),
        )

    def _is_whole(self, frame: av.VideoFrame) -> bool:
        """Tell whether no pixel of it is invented."""
        self._tainted = frame.is_corrupt or (self._tainted and not frame.key_frame)
        return not self._tainted


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
