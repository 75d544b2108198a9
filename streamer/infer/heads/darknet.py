"""YOLOv3 and YOLOv4 as Darknet's last layers leave them, and the YOLOv4 of the ONNX Model Zoo."""

from __future__ import annotations

from dataclasses import replace

from streamer.infer.spec import ColorOrder, Fit

from .anchored import Coding, Scores, Sizes, against_coding, read_maps, with_anchors
from .family import Family, Look
from .layouts import Layout, Level

DARKNET = Look(color=ColorOrder.RGB, scale=1 / 255, fit=Fit.LETTERBOX, pad=128, hw=(416, 416))
STRETCHED = replace(DARKNET, fit=Fit.STRETCH, pad=0)  # Darknet as of YOLOv4: `letter_box=0`

YOLOV3 = (
    Level(stride=8, anchors=((10, 13), (16, 30), (33, 23))),
    Level(stride=16, anchors=((30, 61), (62, 45), (59, 119))),
    Level(stride=32, anchors=((116, 90), (156, 198), (373, 326))),
)
YOLOV3_TINY = (  # mask 0,1,2 and 3,4,5
    Level(stride=16, anchors=((10, 14), (23, 27), (37, 58))),
    Level(stride=32, anchors=((81, 82), (135, 169), (344, 319))),
)
YOLOV4 = (
    Level(stride=8, anchors=((12, 16), (19, 36), (40, 28)), reach=1.2),
    Level(stride=16, anchors=((36, 75), (76, 55), (72, 146)), reach=1.1),
    Level(stride=32, anchors=((142, 110), (192, 243), (459, 401)), reach=1.05),
)
YOLOV4_TINY = (  # mask 1,2,3 and 3,4,5: Darknet's yolov4-tiny never uses its smallest anchor
    Level(stride=16, anchors=((23, 27), (37, 58), (81, 82)), reach=1.05),
    Level(stride=32, anchors=((81, 82), (135, 169), (344, 319)), reach=1.05),
)
_V3 = Coding(grids=(YOLOV3, YOLOV3_TINY), sizes=Sizes.EXP, scores=Scores.RAW)
_V4 = Coding(grids=(YOLOV4, YOLOV4_TINY), sizes=Sizes.EXP, scores=Scores.RAW)
_ZOO = Coding(grids=(YOLOV4, YOLOV4_TINY), sizes=Sizes.EXP, scores=Scores.DONE)


YOLO_V3 = Family(
    name="yolov3",
    needs="3 or 2 maps [B, 3*(5+C), h, w] of strides 8, 16, 32 or 16, 32, without sigmoid",
    look=DARKNET,
    read=read_maps("yolov3", _V3, (Layout.FLAT, Layout.FLAT_LAST), (Layout.SPLIT, Layout.SPLIT_LAST)),
    open=with_anchors(_V3),
    anchored=True,
    against=against_coding(_V3),
)
YOLO_V4 = Family(
    name="yolov4",
    needs="3 or 2 maps [B, 3*(5+C), h, w] of strides 8, 16, 32 or 16, 32, without sigmoid",
    look=STRETCHED,
    read=read_maps("yolov4", _V4, (Layout.FLAT, Layout.FLAT_LAST), (Layout.SPLIT, Layout.SPLIT_LAST)),
    open=with_anchors(_V4),
    anchored=True,
    against=against_coding(_V4),
)
ZOO = Family(
    name="yolov4-zoo",
    needs="3 maps [B, h, w, 3, 5+C] of strides 8, 16 and 32, boxes without and scores with sigmoid",
    look=DARKNET,
    read=read_maps("yolov4-zoo", _ZOO, (Layout.SPLIT_LAST,)),
    open=with_anchors(_ZOO),
    anchored=True,
    against=against_coding(_ZOO),
)
