"""A recording as compressed pictures in memory, ready to be sent again and again by a camera's stand-in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from .nal import avcc_sets, length_prefixed

if TYPE_CHECKING:
    from pathlib import Path

RTP_HZ = 90_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccessUnit:
    """One coded picture: its NAL units without start codes, in decoding order."""

    nals: tuple[bytes, ...]
    key: bool
    pts: int  # 90 kHz, from the clip's start
    due: int  # 90 kHz, when it is sent (decoding order): never before it was taken, so never less than `pts`
    codec: str = "h264"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """Some seconds of video. The first unit is a key frame."""

    codec: str  # h264 | hevc
    width: int  # px
    height: int  # px
    units: tuple[AccessUnit, ...]
    duration: int  # 90 kHz
    parameter_sets: tuple[bytes, ...]  # SPS and PPS, for the SDP

    def __add__(self, other: Clip) -> Clip:
        """Return this clip followed by another one, which may be of another size or codec."""
        moved = [replace(u, pts=u.pts + self.duration, due=u.due + self.duration) for u in other.units]
        return replace(self, units=(*self.units, *moved), duration=self.duration + other.duration)


def clip_of_file(path: Path) -> Clip:
    """Take the H.264 packets of a recording as they are, time stamps and all.

    Raises:
        ValueError: it is not H.264 in MP4.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        if context.name != "h264" or not context.extradata or context.extradata[0] != 1:
            raise ValueError(f"{path.name}: only H.264 in MP4 can be served, this is {context.name}")
        head = avcc_sets(context.extradata)
        packets = [p for p in container.demux(stream) if p.size]
        scale = RTP_HZ * (stream.time_base or Fraction(1, RTP_HZ))
        first_dts = packets[0].dts or 0
        first_pts = min(p.pts or 0 for p in packets)
        units = [
            AccessUnit(
                nals=(*(head if p.is_keyframe else ()), *length_prefixed(bytes(p), (context.extradata[4] & 3) + 1)),
                key=p.is_keyframe,
                pts=round(((p.pts or 0) - first_pts) * scale),
                due=round(((p.dts or 0) - first_dts) * scale),
            )
            for p in packets
        ]
        step = units[-1].due // max(1, len(units) - 1)
        return Clip(
            codec="h264",
            width=context.width,
            height=context.height,
            units=taken_before_sent(units),
            duration=units[-1].due + step,
            parameter_sets=head,
        )


def taken_before_sent(units: list[AccessUnit]) -> tuple[AccessUnit, ...]:
    """Return the units, sent as late as B-frames make it: a camera can't send a picture before it has taken it."""
    wait = max(unit.pts - unit.due for unit in units)
    return tuple(replace(unit, due=unit.due + wait) for unit in units)
