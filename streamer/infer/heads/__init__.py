"""Output heads: one file for each family of networks, which says how it is told, fed and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from . import (
    argmax,
    darknet,
    detection_output,
    detr,
    end2end,
    faces,
    fastestdet,
    maps,
    mmdet,
    named_nms,
    nanodet,
    paddle,
    rcnn,
    retinanet,
    rows7,
    rtdetr_ultralytics,
    separate,
    split,
    ssd,
    two_outputs,
    v5,
    v8,
    variants,
    yolov2,
    yolov3_nms,
    yolov4_boxes,
    yolov5_maps,
    yolov6,
    yolox,
)
from .base import Candidates, Head
from .numbering import Renumbered
from .shaped import Shaped

if TYPE_CHECKING:
    from streamer.infer.spec import ModelSpec

    from .family import Family

# What is met most often comes first: so are candidates named.
FAMILIES: tuple[Family, ...] = (
    v8.FAMILY,
    yolox.FAMILY,
    yolox.DECODED,
    yolov6.FAMILY,
    v5.FAMILY,
    end2end.FAMILY,
    end2end.NORMALIZED,
    separate.FAMILY,
    detr.FAMILY,
    detr.RFDETR,
    detr.SOFTMAX,
    detr.SCORES,
    rtdetr_ultralytics.FAMILY,
    separate.EFFICIENT,
    separate.PLAIN,
    separate.FRACTIONS,
    argmax.FAMILY,
    mmdet.FAMILY,
    rows7.FAMILY,
    rows7.YOLO_NAS,
    paddle.FAMILY,
    named_nms.TENSORFLOW,
    rcnn.FAMILY,
    rcnn.ZOO,
    named_nms.AZURE,
    named_nms.ZOO,
    detection_output.FAMILY,
    ssd.FAMILY,
    two_outputs.YOLO_NAS,
    two_outputs.DAMO,
    two_outputs.PPYOLOE,
    maps.V8_RAW,
    maps.V8_RAW_SIGMOID,
    maps.YOLOV9_MIT,
    nanodet.FAMILY,
    nanodet.PLUS,
    nanodet.PICODET,
    fastestdet.FAMILY,
    faces.YUNET,
    faces.SCRFD,
    retinanet.FAMILY,
    retinanet.LOGITS,
    yolov5_maps.V5_RAW,
    yolov5_maps.V7_RAW,
    darknet.YOLO_V3,
    darknet.YOLO_V4,
    darknet.ZOO,
    yolov4_boxes.FAMILY,
    yolov3_nms.FAMILY,
    yolov3_nms.XYXY,
    yolov3_nms.YXYX,
    yolov3_nms.CXCYWH,
    yolov2.YOLO_V2,
    yolov2.YOLO_V2_VOC,
    yolov2.TINY,
    yolov2.AZURE,
    variants.YOLOX_LOGITS,
    variants.V8_XYXY,
    split.V8_SPLIT,
    variants.V8_NORMALIZED,
    variants.V8_LOGITS,
    variants.V5_XYXY,
    split.V5_SPLIT,
    variants.V5_NORMALIZED,
    variants.V5_LOGITS,
    yolov5_maps.V5_SIGMOID,
    yolov5_maps.V7_SIGMOID,
)
HEADS = tuple(family.name for family in FAMILIES)

__all__ = ["FAMILIES", "HEADS", "Candidates", "Head", "family_of", "open_head"]


def family_of(head: str) -> Family:
    """Return a family by its name.

    Raises:
        ConfigError: there is none.
    """
    for family in FAMILIES:
        if family.name == head:
            return family
    raise ConfigError(f"head: {head!r} is not known; allowed are {', '.join(HEADS)}")


def open_head(spec: ModelSpec) -> Head:
    """Return the head that a spec names.

    Raises:
        ConfigError: there is no such head.
    """
    head = family_of(spec.head).open(spec)
    if spec.axes:
        head = Shaped(head, spec)
    return head if spec.ids is None else Renumbered(head, spec.ids)
