"""YOLOv5 and v7 before their boxes are decoded: maps for each stride, or all their rows in one output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .anchored import Coding, Scores, Sizes, against_coding, read_maps, with_anchors
from .darknet import YOLOV3, YOLOV3_TINY, YOLOV4
from .family import ULTRALYTICS, Family, Reading
from .final import is_rows
from .layouts import Layout, Level, count_rows

if TYPE_CHECKING:
    from streamer.infer.signature import Signature

_P6 = (
    Level(stride=8, anchors=((19, 27), (44, 40), (38, 94))),
    Level(stride=16, anchors=((96, 68), (86, 152), (180, 137))),
    Level(stride=32, anchors=((140, 301), (303, 264), (238, 542))),
    Level(stride=64, anchors=((436, 615), (739, 380), (925, 792))),
)


def _reaching(*sets: tuple[Level, ...]) -> tuple[tuple[Level, ...], ...]:
    """Let centres lie from -0.5 to 1.5 cells."""
    return tuple(tuple(replace(level, reach=2.0) for level in levels) for levels in sets)


V5_LEVELS = _reaching(YOLOV3, _P6, YOLOV3_TINY)  # v5 and v7-tiny were built on YOLOv3's anchors
_V7 = _reaching(YOLOV4)  # v7 and YOLOv4-CSP on YOLOv4's


def _family(name: str, grids: tuple[tuple[Level, ...], ...], *, done: bool, usual: tuple[Layout, ...] = ()) -> Family:
    """Return the family of one set of anchors, its sigmoid inside the network or not."""
    coding = Coding(
        grids=grids,
        sizes=Sizes.SQUARE_DONE if done else Sizes.SQUARE,
        scores=Scores.DONE if done else Scores.RAW,
        sigmoid_xy=not done,
    )
    maps = read_maps(name, coding, usual, [layout for layout in Layout if layout not in usual])

    def read(signature: Signature) -> list[Reading]:
        return [*maps(signature), *_rows(name, coding, signature)]

    return Family(
        name=name,
        needs="maps [B, 3, h, w, 5+C] or [B, 3*(5+C), h, w] of strides 8, 16 and 32, or their rows [B, N, 5+C], "
        + ("with sigmoid" if done else "without sigmoid"),
        look=ULTRALYTICS,
        read=read,
        open=with_anchors(coding),
        anchored=True,
        against=against_coding(coding),
        ultralytics=name == "v5-raw",  # `--train` leaves the maps, and the names in the metadata
    )


def _rows(head: str, coding: Coding, signature: Signature) -> list[Reading]:
    """Find all levels' rows in one output, as v5-lite writes them."""
    counts = [count_rows(levels, signature.hw) for levels in coding.grids]
    return [
        Reading(head=head, outputs=(output,), columns=output.shape[2] - 5, rare=True)
        for output in signature.outputs
        if is_rows(output) and output.shape[2] is not None and output.shape[2] > 5
        and (output.shape[1] is None or output.shape[1] in counts)
    ]  # fmt: skip


V5_RAW = _family("v5-raw", V5_LEVELS, done=False, usual=(Layout.SPLIT, Layout.FLAT))
V7_RAW = _family("v7-raw", _V7, done=False, usual=(Layout.SPLIT, Layout.FLAT))
V5_SIGMOID = _family("v5-sigmoid", V5_LEVELS, done=True)
V7_SIGMOID = _family("v7-sigmoid", _V7, done=True)
