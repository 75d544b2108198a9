"""Recordings as a camera would send them: without B-frames, with a key frame each two seconds, after a time of rest."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from idle_watch import Reel, Unit, detections
from passers_by import camera_encoder

from streamer.core.clock import NS_PER_S
from streamer.core.frame import Picture
from streamer.pixels.luma import small_luma

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.core.frame import Frame
    from streamer.core.results import Detections

REST_S = 20.0  # of the first picture, held, before a film begins: long enough to fall asleep


def films(folder: Path) -> list[Path]:
    """Return the shared films."""
    return sorted(path for path in (folder / "videos").iterdir() if path.suffix in (".mp4", ".avi"))


def as_it_is(path: Path) -> Reel:
    """Return a film's own packets, in the time that they have."""
    container = av.open(str(path))
    stream = container.streams.video[0]
    step_ns = round(NS_PER_S / (stream.average_rate or 25))

    def units() -> Iterator[Unit]:
        for number, packet in enumerate(container.demux(stream)):
            if packet.size:
                base = packet.time_base or Fraction(1, 1000)
                pts_ns = None if packet.pts is None else int(packet.pts * NS_PER_S * base)
                yield Unit(packet, pts_ns, (number + 2) * step_ns)  # two pictures ahead, for B-frames

    return Reel(stream.codec_context, units())


def refilmed(
    path: Path, *, seconds: float | None = None, width: int | None = None, every: int = 1, crf: float = 25
) -> tuple[list[av.Packet[Any]], float]:
    """Encode a film as a camera does, after `REST_S` of its first picture.

    Args:
        path: the film.
        seconds: of it at most.
        width: px to which it is made smaller; None: its own.
        every: which of its pictures are taken.
        crf: quality.

    Returns:
        Its packets, and pictures a second.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = round(float(stream.average_rate or 25)) / every
        pictures = (frame for n, frame in enumerate(container.decode(stream)) if n % every == 0)
        most = None if seconds is None else round(seconds * fps)
        return _encoded(islice(pictures, most), fps=fps, width=width, crf=crf), fps


def _encoded(frames: Iterator[av.VideoFrame], *, fps: float, width: int | None, crf: float) -> list[av.Packet[Any]]:
    """Encode frames behind the first one, held; a sensor's noise lies on all of them."""
    packets: list[av.Packet[Any]] = []
    context: av.VideoCodecContext | None = None
    grain: NDArray[np.int8] | None = None
    number = 0
    rng = np.random.default_rng(7)
    for frame in frames:
        size = _size(frame, width)
        planes = frame.reformat(width=size[0], height=size[1], format="yuv420p").to_ndarray()
        if context is None or grain is None:
            context = camera_encoder(*size, fps=round(fps), key_every=round(2 * fps), crf=crf)
            grain = rng.normal(0, 0.8, (2 * size[1], 2 * size[0])).round().astype(np.int8)
        for _ in range(1 if number else round(REST_S * fps)):
            y, x = rng.integers(size[1]), rng.integers(size[0])
            noisy = planes.copy()
            noise = grain[y : y + size[1], x : x + size[0]]
            noisy[: size[1]] = cv2.add(planes[: size[1]], noise, dtype=cv2.CV_8U)
            shown = av.VideoFrame.from_ndarray(noisy, format="yuv420p")
            shown.pts = number
            number += 1
            packets += context.encode(shown)
    assert context is not None
    return packets + context.encode(None)


def _size(frame: av.VideoFrame, width: int | None) -> tuple[int, int]:
    wide = min(frame.width, width or frame.width) // 16 * 16
    return wide, round(frame.height * wide / frame.width / 2) * 2


class Differences:
    """A detector without a network: what differs from the film's first picture. Equal pictures, equal answers."""

    def __init__(self) -> None:
        self._first: NDArray[np.uint8] | None = None

    def __call__(self, frame: Frame) -> Detections:
        assert isinstance(frame.picture, Picture)
        cell_px = max(1, max(frame.info.width, frame.info.height) // 80)
        luma = small_luma(frame.picture, cell_px)
        if self._first is None:
            self._first = luma
        differs = cv2.morphologyEx(
            (cv2.absdiff(luma, self._first) > 24).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)
        )
        _, _, facts, _ = cv2.connectedComponentsWithStats(differs, connectivity=8)
        boxes = [
            (float(x * cell_px), float(y * cell_px), float((x + w) * cell_px), float((y + h) * cell_px))
            for x, y, w, h, area in facts[1:].tolist()
            if area >= 24
        ]
        return detections(boxes)
