"""A camera's quiet street: drawn, encoded as cameras do, and with the truth about who passes when."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Box = tuple[float, float, float, float]  # x1 y1 x2 y2, px


@dataclass(frozen=True, slots=True, kw_only=True)
class Passer:
    """Someone who walks through, and may stand still on the way."""

    comes_s: float
    stands_s: float  # for how long, half way
    height: float  # share of the picture's
    speed: float  # of its own heights a second
    ground: float  # where the feet are, share of the picture's height
    level: int  # of 255
    to_right: bool

    def box(self, t_s: float, width: int, height: int) -> Box | None:
        """Return where the body is, the part within the picture; None: nothing of it."""
        tall = self.height * height
        wide = 0.4 * tall
        half_s = (width + wide) / 2 / (self.speed * tall)
        walked_s = t_s - self.comes_s
        walked_s = min(walked_s, half_s) + max(0.0, walked_s - half_s - self.stands_s)
        left = walked_s * self.speed * tall - wide
        if not self.to_right:
            left = width - wide - left
        x1, x2 = max(0.0, left), min(float(width), left + wide)
        foot = self.ground * height
        return None if t_s < self.comes_s or x2 - x1 < 2 else (x1, foot - tall, x2, foot)


class Street:
    """The scene at one size: a wall with some texture, the sensor's noise, and those who pass."""

    def __init__(self, passers: list[Passer], *, width: int, height: int, noise: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._passers = passers
        self._hw = (height, width)
        slope = np.linspace(95, 150, width, dtype=np.float32)[None, :]
        stains = [
            cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), px) * px for px in (2, 9)
        ]
        self._wall = (slope + 14 * stains[0] + 20 * stains[1]).clip(16, 235)
        self._grain = rng.normal(0, noise, (2 * height, 2 * width)).astype(np.float32)
        self._cloth = rng.normal(0, 14, (64, 64))
        self._rng = rng

    def boxes(self, t_s: float) -> list[Box]:
        """Return where somebody is."""
        found = (passer.box(t_s, self._hw[1], self._hw[0]) for passer in self._passers)
        return [box for box in found if box is not None]

    def luma(self, t_s: float) -> NDArray[np.uint8]:
        """Draw the picture of a moment, (H, W)."""
        height, width = self._hw
        picture = self._wall.copy()
        for passer in self._passers:
            box = passer.box(t_s, width, height)
            if box is not None:
                self._dress(picture, box, passer, t_s)
        y, x = self._rng.integers(0, height), self._rng.integers(0, width)
        picture += self._grain[y : y + height, x : x + width]
        levels: NDArray[np.uint8] = picture.clip(16, 235).astype(np.uint8)
        return levels

    def _dress(self, picture: NDArray[np.float32], box: Box, passer: Passer, t_s: float) -> None:
        """Draw a body whose legs swing."""
        x1, y1, x2, y2 = (round(side) for side in box)
        rows, columns = np.arange(max(0, y1), y2)[:, None], np.arange(x1, x2)[None, :]
        tall, wide = max(1, y2 - y1), max(1, x2 - x1)
        down, across = (rows - y1) / tall, (columns - x1) / wide
        head = (down < 0.2) & (abs(across - 0.5) < 0.22)
        trunk = (down >= 0.2) & (down < 0.6) & (abs(across - 0.5) < 0.34)
        swing = 0.25 * np.sin(8 * t_s) * (down - 0.6) / 0.4
        legs = (down >= 0.6) & ((abs(across - 0.5 - swing) < 0.13) | (abs(across - 0.5 + swing) < 0.13))
        cloth = passer.level + self._cloth[rows % 64, columns % 64]
        part = picture[max(0, y1) : y2, x1:x2]
        np.copyto(part, cloth, where=head | trunk | legs)


def drawn_passers(rng: np.random.Generator, seconds: float) -> list[Passer]:
    """Draw who passes: now and then somebody, near or far, dark or light."""
    passers = []
    at_s = float(rng.uniform(14, 20))
    while at_s < seconds - 8:
        tall = float(rng.uniform(0.12, 0.5))
        passers.append(
            Passer(
                comes_s=at_s,
                stands_s=float(rng.choice([0, 0, 4])),
                height=tall,
                speed=float(rng.uniform(0.8, 1.6)),
                ground=float(rng.uniform(max(0.45, tall), 1.0)),
                level=int(rng.choice([35, 60, 200, 225])),
                to_right=bool(rng.integers(2)),
            )
        )
        at_s += float(rng.uniform(12, 25))
    return passers


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A drawn street as a camera's packets, and who is where in which picture."""

    packets: list[av.Packet[Any]]
    fps: int
    noise: float  # standard deviation, levels
    passers: list[Passer]
    boxes: Sequence[list[Box]]  # of each picture


def street_film(
    seed: int, *, width: int = 320, height: int = 180, fps: int = 12, seconds: float = 60.0, key_s: float = 2.0
) -> Film:
    """Draw a street's noise and who passes, and film it."""
    rng = np.random.default_rng(seed)
    noise, crf = float(rng.choice([0.5, 1.0, 2.0])), int(rng.choice([23, 27, 31]))
    passers = drawn_passers(rng, seconds)
    street = Street(passers, width=width, height=height, noise=noise, seed=seed)
    moments = [number / fps for number in range(round(fps * seconds))]
    packets = encoded((street.luma(t_s) for t_s in moments), fps=fps, key_every=round(fps * key_s), crf=crf)
    return Film(packets=packets, fps=fps, noise=noise, passers=passers, boxes=[street.boxes(t_s) for t_s in moments])


def encoded(
    pictures: Iterator[NDArray[np.uint8]], *, fps: int, key_every: int, crf: float = 25
) -> list[av.Packet[Any]]:
    """Encode luma pictures (H, W) as a cheap camera does: H.264, one reference, no B-frames."""
    packets: list[av.Packet[Any]] = []
    context: av.VideoCodecContext | None = None
    for number, luma in enumerate(pictures):
        height, width = luma.shape
        if context is None:
            context = camera_encoder(width, height, fps=fps, key_every=key_every, crf=crf)
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        planes[:height] = luma
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    assert context is not None
    return packets + context.encode(None)


def camera_encoder(width: int, height: int, *, fps: int, key_every: int, crf: float = 25) -> av.VideoCodecContext:
    """Return an encoder set as cameras are, in-band parameter sets before each key frame."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, fps), Fraction(fps)
    context.gop_size, context.max_b_frames, context.thread_count = key_every, 0, 1
    context.options = {
        "preset": "veryfast", "tune": "zerolatency", "crf": str(crf), "refs": "1",
        "x264-params": f"scenecut=0:keyint={key_every}:min-keyint={key_every}:repeat-headers=1:annexb=1",
    }  # fmt: skip
    return context
