"""An event's pictures: with boxes, without, and small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from streamer.core.errors import BackendError, StreamerError
from streamer.core.frame import Picture, PixelFormat
from streamer.core.results import Detections
from streamer.pixels.convert import Canvases
from streamer.pixels.draw import draw
from streamer.pixels.fit import stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.frame import AnyPicture, FrameInfo
    from streamer.core.results import Box
    from streamer.pixels.crop import Part

_QUALITY = 85  # of a JPEG: at 1080p some 300 kB, and nothing to be seen of it
_THUMB_QUALITY = 80
_THUMB_WIDTH_PX = 320
_ASPECT = 4 / 3
_AROUND = 1.6  # an object's surroundings: so many times its size
_LEAST_PART = 1 / 6  # of the frame's width: of something tiny more is shown than itself


class StillError(StreamerError):
    """A picture can't be encoded, or a GPU that holds it has failed."""


class Marked(NamedTuple):
    """An object on a picture."""

    box: Box
    name: str  # of its class
    class_id: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shot:
    """The best view of an event so far: its pictures are to be made."""

    camera: str
    event_id: str
    picture: AnyPicture
    boxes: tuple[Marked, ...]  # the event's own object first
    info: FrameInfo
    first: bool = True  # False: the event has pictures already, and these are better


@dataclass(frozen=True, slots=True, kw_only=True)
class Stills:
    """The pictures of an event: JPEG, of the frame's own size but for the last."""

    boxed: bytes
    clean: bytes
    thumb: bytes  # the object and what is around it, 4:3, at most 320 px wide


def drawn(shot: Shot) -> Stills:
    """Make an event's pictures.

    Raises:
        StillError: one can't be encoded, or the GPU that holds the frame has failed.
    """
    bgr = pixels_of(shot.picture)
    height, width = bgr.shape[:2]
    x1, y1, x2, y2 = thumb_part([mark.box for mark in shot.boxes[:1]], (height, width))
    boxed = draw(bgr, *_as_detections(shot.boxes)) if shot.boxes else bgr
    clean = encoded(bgr)
    return Stills(
        boxed=encoded(boxed) if shot.boxes else clean,
        clean=clean,
        thumb=encoded(_shrunk(bgr[y1:y2, x1:x2]), _THUMB_QUALITY),
    )


def pixels_of(picture: AnyPicture) -> NDArray[np.uint8]:
    """Return a picture as (H, W, 3) BGR of its own size; one in a GPU's memory is copied.

    Raises:
        StillError: the GPU that holds it has failed.
    """
    if not isinstance(picture, Picture):
        from streamer.pixels.device import downloaded  # noqa: PLC0415  nothing of a GPU is loaded where there is none

        try:
            picture = downloaded(picture)
        except BackendError as exc:
            raise StillError(f"the picture can't be copied from the GPU: {exc}") from exc
    # Made anew each time: kept, they would hold 24 MB for each size of 1080p.
    canvases = Canvases(hw=(picture.height, picture.width), order=PixelFormat.BGR, place=stretch, pad=0, max_batch=1)
    (bgr,), _ = canvases.fill([picture])
    return np.asarray(bgr, np.uint8)


def encoded(bgr: NDArray[np.uint8], quality: int = _QUALITY) -> bytes:
    """Return a JPEG of (H, W, 3) BGR.

    Raises:
        StillError: it is too large for one.
    """
    try:
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as exc:
        raise StillError(f"a picture can't be encoded: {exc.err}") from exc
    if not done:
        raise StillError(f"a picture of {bgr.shape[1]}x{bgr.shape[0]} px is too large for a JPEG")
    return bytes(jpeg.data)


def thumb_part(boxes: Sequence[Box], frame_hw: tuple[int, int]) -> Part:
    """Return the part of a frame that a small picture shows: 4:3, around the first box, or the middle without one.

    Of an object that does not fit the upper end is shown: a face rather than feet.
    """
    height, width = frame_hw
    most_w = min(float(width), height * _ASPECT)
    box = boxes[0] if boxes else (0.0, 0.0, float(width), float(height))
    wanted_w = max(box[2] - box[0], (box[3] - box[1]) * _ASPECT) * _AROUND if boxes else most_w
    part_w = min(most_w, max(wanted_w, width * _LEAST_PART))
    part_h = part_w / _ASPECT
    x1, x2 = _placed((box[0] + box[2] - part_w) / 2, part_w, width)
    y1, y2 = _placed(min(box[1], (box[1] + box[3] - part_h) / 2), part_h, height)
    return x1, y1, x2, y2


def _placed(start: float, length: float, size: int) -> tuple[int, int]:
    """Return a span of whole px, moved to be within 0 to `size`, and never empty."""
    whole = min(size, max(1, round(length)))
    first = min(max(0, round(start)), size - whole)
    return first, first + whole


def _shrunk(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    if width <= _THUMB_WIDTH_PX:
        return bgr
    wh = _THUMB_WIDTH_PX, max(1, round(height * _THUMB_WIDTH_PX / width))
    small: NDArray[np.uint8] = cv2.resize(bgr, wh, interpolation=cv2.INTER_AREA)
    return small


def _as_detections(boxes: Sequence[Marked]) -> tuple[Detections, list[str]]:
    """Return what `draw` takes: the boxes, and a name for each class id."""
    names = [""] * (max(mark.class_id for mark in boxes) + 1)
    for mark in boxes:
        names[mark.class_id] = mark.name
    return (
        Detections(
            boxes=np.array([mark.box for mark in boxes], np.float32).reshape(-1, 4),
            scores=np.array([mark.score for mark in boxes], np.float32),
            class_ids=np.array([mark.class_id for mark in boxes], np.int32),
        ),
        names,
    )
