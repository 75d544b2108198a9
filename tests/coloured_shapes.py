"""A rendered scene of which all is known: five shapes, one of each kind, three colours, all in view at once."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from streamer.capture.scenes.backdrop import Backdrop
from streamer.capture.scenes.outlines import KINDS, outline
from streamer.capture.scenes.shapes import _paint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTH, HEIGHT, FPS = 640, 360, 15
COLOUR_OF = {"circle": "red", "square": "green", "triangle": "blue", "star": "red", "cross": "green"}
HUES = ("red", "green", "blue")  # what tests/tiny_classifier.py tells apart
_BGR = {"red": (40, 40, 230), "green": (40, 220, 40), "blue": (230, 40, 40)}
_APART_S = 0.4  # between two arrivals
_SPOTS = ((0.15, 0.3), (0.4, 0.68), (0.5, 0.25), (0.72, 0.7), (0.85, 0.3))  # of width and height


def record_shapes(path: Path, *, seconds: float, seed: int = 5) -> Path:
    """Write a film in which the shapes come one after the other, sway a little, and stay.

    Args:
        path: an MP4.
        seconds: its length; from 2 s on all five are in view.
        seed: of the background.
    """

    def centre(place: int, at_s: float) -> tuple[float, float] | None:
        if at_s < place * _APART_S:
            return None
        x, y = _SPOTS[place]
        return x * WIDTH + 6 * math.sin(at_s + place), y * HEIGHT + 4 * math.cos(at_s + place)

    return _record(path, centre, seconds=seconds, seed=seed)


def record_falling(path: Path, *, seed: int = 5) -> Path:
    """Write a film of 9 s in which the shapes fall through the picture, one after the other, each in its own column.

    They pass the middle 2, 3, 4, 5 and 6 s after the start.
    """

    def centre(place: int, at_s: float) -> tuple[float, float] | None:
        since_s = at_s - place
        if not 0 <= since_s <= 4:
            return None
        return (0.12 + 0.19 * place) * WIDTH, (0.14 + 0.18 * since_s) * HEIGHT

    return _record(path, centre, seconds=9.0, seed=seed)


def _record(
    path: Path, centre: Callable[[int, float], tuple[float, float] | None], *, seconds: float, seed: int
) -> Path:
    """Write a film of the shapes; `centre` says where each is at a time, s, if it is there."""
    backdrop = Backdrop(seed, WIDTH, HEIGHT)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.options = {"preset": "veryfast", "g": str(FPS), "bf": "0", "crf": "20"}
        for number in range(round(seconds * FPS)):
            picture = backdrop.picture()
            for place, kind in enumerate(KINDS):
                at = centre(place, number / FPS)
                if at is not None:
                    corners = outline(kind, centre=at, radius=0.14 * HEIGHT, angle=0.0)
                    _paint(picture, corners, np.array(at), _BGR[COLOUR_OF[kind]])
            backdrop.add_noise(picture, number)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    return path
