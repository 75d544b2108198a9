"""Pictures of events that wait to be drawn, for tests of those who have them wait and of those who draw."""

from __future__ import annotations

import numpy as np

from streamer.core.frame import FrameInfo, Picture, PixelFormat
from streamer.evidence.stills import Marked, Shot

SIDE = 64
NBYTES = SIDE * SIDE
BOX = Marked(box=(10.0, 10.0, 50.0, 50.0), name="person", class_id=0, score=0.8)


def event(number: int) -> str:
    return f"{number:08x}-7d1e-7c44-9a31-5f1f0c7b2a10"


def picture(level: int = 90, side: int = SIDE, width: int | None = None) -> Picture:
    plane = np.full((side, width or side), level, np.uint8)
    return Picture(format=PixelFormat.GRAY, planes=(plane,), width=width or side, height=side)


def shot(number: int, of: Picture | None = None, *, camera: str = "porch", first: bool = True) -> Shot:
    of = of or picture()
    info = FrameInfo(
        camera=camera, connection=0, seq=number, captured_ns=1, utc_ns=1, width=of.width, height=of.height, live=True
    )
    return Shot(camera=camera, event_id=event(number), picture=of, boxes=(BOX,), info=info, first=first)
