"""`models.<name>`: which network, on which runtime, and what its sidecar leaves open."""

from typing import Literal, get_args

from pydantic import Field

from . import model_values as values
from .section import Section
from .values import Text

Head = Literal[
    "v8",
    "yolox",
    "yolox-decoded",
    "yolov6",
    "v5",
    "end2end",
    "end2end-normalized",
    "rtdetr",
    "detr-sigmoid",
    "rfdetr",
    "detr",
    "detr-scores",
    "rtdetr-ultralytics",
    "efficient-nms",
    "nms",
    "nms-normalized",
    "argmax",
    "mmdet",
    "yolov7-nms",
    "yolo-nas-flat",
    "paddle",
    "ssd-tf",
    "torchvision",
    "faster-rcnn-zoo",
    "azure-nms",
    "ssd-zoo",
    "detection-output",
    "ssd",
    "yolo-nas",
    "damo-yolo",
    "ppyoloe",
    "v8-raw",
    "v8-raw-sigmoid",
    "yolov9-mit",
    "nanodet",
    "nanodet-plus",
    "picodet",
    "fastestdet",
    "yunet",
    "scrfd",
    "retinanet",
    "retinanet-logits",
    "v5-raw",
    "v7-raw",
    "yolov3",
    "yolov4",
    "yolov4-zoo",
    "yolov4-boxes",
    "yolov3-nms",
    "indices-xyxy",
    "indices-yxyx",
    "indices-cxcywh",
    "yolov2",
    "yolov2-voc",
    "yolov2-tiny-voc",
    "azure",
    "yolox-logits",
    "v8-xyxy",
    "v8-split",
    "v8-normalized",
    "v8-logits",
    "v5-xyxy",
    "v5-split",
    "v5-normalized",
    "v5-logits",
    "v5-sigmoid",
    "v7-sigmoid",
]  # the files of streamer/infer/heads
HEADS: tuple[str, ...] = get_args(Head)


class ModelSettings(Section):
    """A model, the runtime for it, and what its sidecar leaves open."""

    model: values.ModelName = Field(description="A name of the catalogue, or a path to an .onnx or a .yaml sidecar.")
    backend: Literal["auto", "tensorrt", "openvino", "onnxruntime"] = Field(
        default="auto", description="Which runtime computes it."
    )
    precision: Literal["auto", "f32", "bf16", "f16", "int8"] = Field(
        default="auto", description="What it is computed in; auto: a faster one only after it has proved itself."
    )
    build: Literal["background", "before", "never"] | None = Field(
        default=None,
        description="When a TensorRT engine that is missing is built; left out: beside the run, on a Jetson before it.",
    )
    device: values.Device = Field(default=0, description="Which GPU computes it, counted from 0; for TensorRT.")
    task: Literal["detect", "classify"] | None = Field(default=None, description="What the model answers.")
    head: Head | None = Field(default=None, description="How its outputs are laid out.")
    labels: values.Labels | None = Field(
        default=None, description="Class names: a list, a file with one a line, coco80, imagenet1000."
    )
    ids: values.Ids | None = Field(
        default=None, description="The network's own class ids: coco91, that of the first class, or a list."
    )
    anchors: values.Anchors | None = Field(
        default=None, description="Anchors of the model's own, width and height in px of the input, finest level first."
    )
    size: values.InputHW | None = Field(default=None, description="Input size, px: one number or [height, width].")
    color: Literal["rgb", "bgr"] | None = Field(default=None, description="Order of the input's channels.")
    scale: values.Ratio | None = Field(
        default=None, description="Factor on pixel values: 1/255 for an input of 0 to 1."
    )
    mean: values.PerChannel | None = Field(default=None, description="Subtracted after scaling, for each channel.")
    std: values.Divisors | None = Field(default=None, description="Divided by after the mean, for each channel.")
    fit: Literal["letterbox", "letterbox-topleft", "stretch", "crop"] | None = Field(
        default=None, description="How a picture is brought to the input's shape."
    )
    pad: values.Byte | None = Field(default=None, description="Grey level of the letterbox's border.")
    look: Literal["torch", "tf", "caffe", "ultralytics"] | None = Field(
        default=None, description="How a classifier's pictures are prepared, in one word."
    )
    resize: values.Side | None = Field(
        default=None, description="Shorter side, px, before a classifier's input is cut out of the middle."
    )
    activation: Literal["softmax", "sigmoid", "none"] | None = Field(
        default=None, description="What turns a classifier's numbers into scores."
    )
    threshold: values.Thresholds | None = Field(
        default=None, description="Least score of a class that is judged for itself: one number, or one for each class."
    )
    sha256: values.Digest | None = Field(default=None, description="Checksum that the model's file must have.")
    licence: Text | None = Field(default=None, description="Licence of the weights; for people.")
    source: Text | None = Field(default=None, description="Where the weights came from; for people.")
    url: Text | None = Field(default=None, description="Where the weights can be had; for people.")
    bytes: values.Length | None = Field(default=None, description="Size of the model's file; for people.")
    grade: Text | None = Field(default=None, description="How well the checksum is confirmed; for people.")
    ap: values.Percent | None = Field(default=None, description="Accuracy as published, COCO AP 0 to 100; for people.")
    notes: Text | None = Field(default=None, description="Anything else; for people.")
