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

    def decode(self, coded: Coded) -> Outcome:
        """Decode one packet; an empty one gives what the decoder still holds."""
        try:
            frames = self._codec.decode(coded.packet)
        except (av.FFmpegError, ValueError):  # invalid data, or a feature that FFmpeg lacks
            return Outcome(corrupt=1)
        whole = [f for f in frames if not f.is_corrupt]  # the others hold invented pixels
        return Outcome(
            pictures=tuple(Decoded(picture=picture_of(f), pts_ns=_pts_ns(f)) for f in whole),
            corrupt=len(frames) - len(whole),
        )


def _pts_ns(frame: av.VideoFrame) -> int | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * NS_PER_S * frame.time_base.numerator // frame.time_base.denominator
