"""YOLOv2: one map [B, 5*(5+C), h, w] of stride 32; also Azure Custom Vision's compact networks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .anchored import Coding, Scores, Sizes, against_coding, read_maps, with_anchors
from .darknet import DARKNET, STRETCHED
from .family import Family, Look, Reading
from .layouts import Layout, Level

if TYPE_CHECKING:
    from streamer.infer.signature import Signature

_STRIDE = 32  # px
_AZURE_OUTPUT = "model_outputs"  # how the exporter of Azure names it, with a number behind


def _level(*cells: tuple[float, float]) -> tuple[Level, ...]:
    """Return the one level of anchors that are given in cells."""
    return (Level(stride=_STRIDE, anchors=tuple((w * _STRIDE, h * _STRIDE) for w, h in cells)),)


COCO_LEVELS = _level(
    (0.57273, 0.677385), (1.87446, 2.06253), (3.33843, 5.47434), (7.88282, 3.52778), (9.77052, 9.16828)
)  # fmt: skip
_VOC = _level((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071))
_TINY_VOC = _level((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))
AZURE_LEVELS = _level((0.573, 0.677), (1.87, 2.06), (3.34, 5.47), (7.88, 3.53), (9.77, 9.17))


def _family(name: str, levels: tuple[Level, ...], look: Look) -> Family:
    coding = Coding(grids=(levels,), sizes=Sizes.EXP, scores=Scores.SOFTMAX)
    maps = read_maps(name, coding, (Layout.FLAT, Layout.FLAT_LAST), (Layout.SPLIT, Layout.SPLIT_LAST))
    return Family(
        name=name,
        needs="one map [B, 5*(5+C), h, w] of stride 32",
        look=look,
        read=lambda signature: [replace(r, sure=r.sure and not _is_azures(r)) for r in maps(signature)],
        open=with_anchors(coding),
        anchored=True,
        against=against_coding(coding),
    )


_AZURES = Coding(grids=(AZURE_LEVELS,), sizes=Sizes.EXP, scores=Scores.SOFTMAX, sigmoid_xy=False)


def _is_azures(reading: Reading) -> bool:
    return reading.outputs[0].name.startswith(_AZURE_OUTPUT)


def _read_azure(signature: Signature) -> list[Reading]:
    maps = read_maps("azure", _AZURES, (Layout.FLAT, Layout.FLAT_LAST))
    return [replace(reading, sure=reading.sure and _is_azures(reading)) for reading in maps(signature)]


YOLO_V2 = _family("yolov2", COCO_LEVELS, DARKNET)
YOLO_V2_VOC = _family("yolov2-voc", _VOC, DARKNET)
TINY = _family("yolov2-tiny-voc", _TINY_VOC, replace(STRETCHED, scale=1.0))  # it divides by 255 itself
AZURE = Family(
    name="azure",
    needs="one map [B, 5*(5+C), h, w] of stride 32, as Azure Custom Vision's compact networks give it",
    look=STRETCHED,
    read=_read_azure,
    open=with_anchors(_AZURES),
    anchored=True,
    against=against_coding(_AZURES),
)
