"""Labelled pictures of the doorway scene, at the network's size, made to look like what cameras and codecs deliver."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from shapes_samples import HELD_OUT, Sample, degrade, fit

from streamer.capture.scenes.doorway import KINDS, Doorway, Weather
from streamer.capture.scenes.doorway_story import SLOT_S, slot_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from streamer.capture.scenes.shapes import SceneFrame

_SIZES = ((640, 360),) * 5 + ((320, 180),) * 2 + ((1280, 720), (960, 540), (640, 480), (352, 288))
_SLOTS = 20  # of each scene are drawn from
_SURE = {"person": 0.4, "parcel": 0.45}  # visible share from which it must be found
_SLIVER = 0.2  # visible share below which it must not


def training_samples(rng: Generator, count: int, *, of_each: int, any_time: float) -> Iterator[Sample]:
    """Yield degraded samples of many scenes at many sizes, in all weathers.

    Args:
        rng: chooses them.
        count: how many.
        of_each: scene; houses differ more than moments do.
        any_time: share of them that are taken at any time, and so mostly show nobody.
    """
    scene, seed = None, 0
    for index in range(count):
        if scene is None or index % of_each == 0:
            width, height = _SIZES[int(rng.integers(len(_SIZES)))]
            seed = int(rng.integers(HELD_OUT))
            scene = Doorway(seed, width, height, weather=weather(rng))
        yield _sample(rng, scene.at(moment(rng, seed, any_time=any_time)))


def weather(rng: Generator) -> Weather:
    """Draw wind, and rain at times."""
    return Weather(wind=rng.uniform(0, 1), rain=rng.uniform(0.1, 1) if rng.random() < 0.35 else 0.0)


def moment(rng: Generator, seed: int, *, any_time: float = 0.2) -> float:
    """Return a time, s: mostly one at which somebody is there, often while they bend, and for a share of them any."""
    slot_index = int(rng.integers(_SLOTS))
    slot, kind = slot_at(seed, slot_index, 1.0), rng.uniform(0.2, 1.0)
    if rng.random() < any_time or not slot.people:
        return (slot_index + rng.uniform(0, 1)) * SLOT_S
    if slot.parcels and kind < 0.4:
        return float(rng.uniform(slot.parcels[0].put_s - 0.5, slot.parcels[0].taken_s + 0.5))
    person = slot.people[int(rng.integers(len(slot.people)))]
    if person.bends_s and kind < 0.6:
        return float(person.bends_s[0] + rng.uniform(-1.2, 1.2))
    return float(rng.uniform(person.comes_s, person.goes_s))


def vary(rng: Generator, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a sample's picture and boxes mirrored or not, in another light and tint."""
    rgb, boxes = sample.rgb, sample.boxes
    if rng.random() < 0.5:
        width = rgb.shape[1]
        rgb, boxes = rgb[:, ::-1], np.array([width, 0, width, 0], np.float32) + boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1)
    gain = rng.uniform(0.6, 1.4) * rng.uniform(0.9, 1.1, 3)
    levels = np.arange(256)[:, None] * gain + rng.uniform(-15, 15)
    table = np.clip(levels, 0, 255).astype(np.uint8).reshape(256, 1, 3)
    return cv2.LUT(np.ascontiguousarray(rgb), table), boxes.astype(np.float32)


def _sample(rng: Generator, frame: SceneFrame) -> Sample:
    interpolation = cv2.INTER_AREA if rng.random() < 0.3 else cv2.INTER_LINEAR
    rgb, scale, left, top = fit(degrade(rng, frame.bgr), interpolation=interpolation)
    shown = [thing for thing in frame.objects if thing.visible >= _SLIVER]
    boxes = np.array([thing.box for thing in shown], np.float32).reshape(-1, 4)
    return Sample(
        rgb=rgb,
        boxes=boxes * scale + np.array([left, top, left, top], np.float32),
        class_ids=np.array([KINDS.index(thing.kind) for thing in shown], np.int64),
        sure=np.array([thing.visible >= _SURE[thing.kind] for thing in shown], np.bool_),
    )
