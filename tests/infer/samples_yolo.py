"""Outputs of the YOLO families for an input of 32x64 px: 42 cells of strides 8, 16 and 32; two classes."""

from __future__ import annotations

from head_sample import Sample

SAMPLES = {
    "v8": Sample(lambda rng: (rng.random((1, 6, 42)),)),
    "v5": Sample(lambda rng: (rng.random((1, 126, 7)),)),
    "yolov6": Sample(lambda rng: (rng.random((1, 42, 7)),)),
    "yolox": Sample(lambda rng: (rng.random((1, 42, 7)),)),
    "yolox-decoded": Sample(lambda rng: (rng.random((1, 42, 7)),)),
    "end2end": Sample(lambda rng: (rng.random((1, 300, 6)),)),
}
