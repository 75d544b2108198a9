"""Labelled boxes: whether they can be, and the sizes of the pictures that they lie in."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from .truths import LabelledPicture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SLACK_PX = 1.0  # how far a box may reach out of its picture: labels are rounded
_WIDTH, _HEIGHT, _ORIENTATION = 0x0100, 0x0101, 0x0112  # tags of TIFF, whose last one EXIF has as well
_TURNED = range(5, 9)  # by a quarter

Box = tuple[float, float, float, float]  # x1 y1 x2 y2, px


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height, px, of a picture turned as its EXIF orientation says, from its first bytes.

    Raises:
        ValueError: it is not there or is no picture; the message says which, in a sentence's second half.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, as nothing is decompressed here, and of EXIF that is damaged
            with Image.open(path) as opened:
                (width, height), turn = _stored(opened), _turn(opened)
    except FileNotFoundError:
        raise ValueError("there is no such picture") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        raise ValueError("is no picture that can be read") from exc
    return (height, width) if turn in _TURNED else (width, height)


def _stored(opened: Image.Image) -> tuple[int, int]:
    """Return width and height as the file has them; of a TIFF some versions of Pillow give those of the turned one."""
    if isinstance(opened, TiffImageFile):
        return int(opened.tag_v2[_WIDTH]), int(opened.tag_v2[_HEIGHT])
    return opened.size


def _turn(opened: Image.Image) -> int:
    """Return the EXIF orientation; 0: not said, or damaged.

    Pillow's own answer also takes up XMP, by which what decodes the pictures turns none.
    """
    if isinstance(opened, TiffImageFile):
        turn = opened.tag_v2.get(_ORIENTATION)
    else:
        exif = Image.Exif()
        try:
            exif.load(opened.info.get("exif", b""))
        except (OSError, SyntaxError, ValueError, struct.error):
            return 0
        turn = exif.get(_ORIENTATION)
    return turn if isinstance(turn, int) else 0


def fault_of(box: Box, size: tuple[int, int]) -> str | None:
    """Return what is wrong with a box in a picture of (width, height), in a sentence's second half; None: nothing."""
    width, height = size
    x1, y1, x2, y2 = box
    if not np.isfinite(box).all():
        return "its box must be made of finite numbers"
    least, most_x, most_y = -_SLACK_PX, width + _SLACK_PX, height + _SLACK_PX
    if x1 < least or y1 < least or x2 > most_x or y2 > most_y:
        return f"its box {_said(box)} reaches out of the picture of {width}x{height} px"
    if min(x2, width) <= max(x1, 0) or min(y2, height) <= max(y1, 0):
        return f"its box {_said(box)} has no area"
    return None


def labelled(path: Path, rows: Sequence[tuple[int, Box, bool]], size: tuple[int, int]) -> LabelledPicture:
    """Return a picture with its boxes, cut to its borders.

    Args:
        path: of the picture.
        rows: class, box, whether it is around a crowd; checked.
        size: width, height, px.
    """
    boxes = np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4)
    return LabelledPicture(
        path=path,
        boxes=np.clip(boxes, 0, np.array((*size, *size), np.float32)),
        class_ids=np.array([class_id for class_id, _, _ in rows], np.int64),
        crowd=np.array([crowd for _, _, crowd in rows], np.bool_),
    )


def _said(box: Box) -> str:
    return "(" + ", ".join(f"{side:.1f}" for side in box) + ")"
