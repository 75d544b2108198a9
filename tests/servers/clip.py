"""Encoded pictures to serve: made here with a bar-coded number in each, or taken from a recording."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from servers import barcode
from streamer.capture.coded import RTP_HZ, AccessUnit, Clip, clip_of_file, taken_before_sent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["RTP_HZ", "AccessUnit", "Clip", "annex_b", "bar_coded_clip", "clip_of_file", "write_recording"]


def bar_coded_clip(
    *,
    width: int = 320,
    height: int = 240,
    fps: int = 25,
    seconds: float = 2.0,
    gop: int = 15,
    b_frames: int = 0,
    codec: str = "h264",
    background: NDArray[np.uint8] | None = None,  # (H, W) luma
    noise: float = 0.0,  # standard deviation, grey levels: what a sensor adds, and what makes decoding cost
) -> Clip:
    """Encode pictures numbered from 0; parameter sets stand in front of each key frame."""
    context = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, fps), Fraction(fps)
    context.gop_size, context.max_b_frames = gop, b_frames
    context.thread_count = 1
    common = f"repeat-headers=1:annexb=1:scenecut=0:keyint={gop}:min-keyint={gop}:bframes={b_frames}"
    context.options = {"preset": "ultrafast", f"{codec.replace('hevc', 'x265').replace('h264', 'x264')}-params": common}
    if codec == "hevc":
        context.options |= {"x265-params": common + ":log-level=none:pools=1:open-gop=0"}
    elif not b_frames:
        context.options |= {"tune": "zerolatency"}
    packets = [p for f in _drawn(context, round(fps * seconds), background, noise) for p in context.encode(f)]
    packets += context.encode(None)
    return _clip_of(packets, codec=codec, size=(width, height), step=RTP_HZ // fps)


def _drawn(
    context: av.VideoCodecContext, count: int, background: NDArray[np.uint8] | None, noise: float = 0.0
) -> Iterator[av.VideoFrame]:
    width, height = context.width, context.height
    still = _texture(width, height) if background is None else background
    grain = np.random.default_rng(2).normal(0, noise, (height, width)).round().astype(np.int16) if noise else None
    for number in range(count):
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        luma = planes[:height]
        luma[:] = still
        if grain is not None:
            shifted = np.roll(grain, (number * 37, number * 101), axis=(0, 1))
            luma[:] = (still + shifted).clip(16, 235).astype(np.uint8)
        side, x = height // 5, (number * 4) % max(1, width - height // 5)
        luma[height // 2 : height // 2 + side, x : x + side] = 200
        barcode.draw(luma, number)
        if width % 2 or height % 2:  # PyAV takes no odd planes
            frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
        else:
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        yield frame


def _texture(width: int, height: int) -> NDArray[np.uint8]:
    """Return a mild, fixed noise over a gradient, (H, W)."""
    random = np.random.default_rng(1)
    gradient = np.linspace(60, 180, width, dtype=np.float32)[None, :]
    return (gradient + random.normal(0, 6, (height, width))).clip(16, 235).astype(np.uint8)


def _clip_of(packets: list[av.Packet[Any]], *, codec: str, size: tuple[int, int], step: int) -> Clip:
    order = sorted(range(len(packets)), key=lambda i: packets[i].pts or 0)
    shown = {i: place for place, i in enumerate(order)}
    units = [
        AccessUnit(
            nals=tuple(split_annex_b(bytes(p))), key=p.is_keyframe, pts=shown[i] * step, due=i * step, codec=codec
        )
        for i, p in enumerate(packets)
    ]
    return Clip(
        codec=codec,
        width=size[0],
        height=size[1],
        units=taken_before_sent(units),
        duration=len(units) * step,
        parameter_sets=tuple(n for n in units[0].nals if _is_parameter_set(n, codec)),
    )


def _is_parameter_set(nal: bytes, codec: str) -> bool:
    return (nal[0] & 31) in (7, 8) if codec == "h264" else (nal[0] >> 1 & 63) in (32, 33, 34)


def split_annex_b(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units between start codes."""
    for piece in data.split(b"\x00\x00\x01")[1:]:
        nal = piece.rstrip(b"\x00")
        if nal:
            yield nal


def annex_b(clip: Clip) -> bytes:
    """Return the clip as a raw elementary stream: no container, no time stamps."""
    return b"".join(b"\x00\x00\x00\x01" + nal for unit in clip.units for nal in unit.nals)


def _leave_real_time() -> None:
    """Undo what SVT-AV1 does where it runs as root: it gives its caller's thread the highest real-time priority.

    That would hold for the rest of the tests, and for all that they start. What runs beside them would stand still.
    """
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def write_recording(
    path: Path,
    *,
    width: int = 320,
    height: int = 240,
    fps: int = 25,
    frames: int = 50,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    audio: bool = False,
) -> None:
    """Write a file of bar-coded pictures, in any container, codec and pixel format that FFmpeg has."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        sound = container.add_stream("pcm_s16le", rate=8000) if audio else None
        for frame in _drawn(stream.codec_context, frames, None):
            container.mux(stream.encode(frame.reformat(format=pix_fmt) if pix_fmt != "yuv420p" else frame))
            if isinstance(sound, av.AudioStream):
                quiet = av.AudioFrame.from_ndarray(np.zeros((1, 8000 // fps), np.int16), format="s16", layout="mono")
                quiet.sample_rate, quiet.pts = 8000, (frame.pts or 0) * (8000 // fps)
                container.mux(sound.encode(quiet))
        container.mux(stream.encode(None))
    _leave_real_time()
