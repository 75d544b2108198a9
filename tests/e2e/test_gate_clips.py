"""The gate and closer looks over clips and drawn scenes, with real networks, in the pictures' own time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from gated_clip import Answers, GatedCamera, Shot, shots_of

from streamer.capture.scenes.backdrop import Backdrop
from streamer.infer.catalogue import open_catalogue
from streamer.infer.model import open_model
from streamer.infer.recognise import load_spec
from streamer.motion.background import Background
from streamer.pixels.convert import picture_of_bgr
from streamer.pixels.luma import small_luma

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.infer.model import Model

# From the clip's own description: background difference over 1 % of the area, s.
CARS = ((2.0, 3.3), (3.5, 5.6), (6.5, 7.7), (9.6, 11.1))
# A car is in view, by eye: the rest of the time it is smaller than that.
IN_VIEW = ((2.0, 6.2), (6.5, 8.5), (9.6, 11.9))


@pytest.fixture
def coco() -> Iterator[Model]:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "models" / "yolox_nano_v8layout.onnx"
    if not path.is_file():
        pytest.skip("needs ../shared/data (real clips, models and pictures)")
    model = opened(str(path))
    yield model
    model.close()


@pytest.fixture
def shapes() -> Iterator[Model]:
    model = opened("shapes")
    yield model
    model.close()


def opened(name: str) -> Model:
    return open_model(
        load_spec(name, catalogue=open_catalogue({})),
        backend="onnxruntime",
        precision="f32",
        latency=True,
        floor=0.25,
        iou=0.5,
        on_ready=lambda: None,
    )


def test_cars_that_cross_are_motion_while_they_do(shared_data: Path) -> None:
    """Two truths: the clip's own, by the area that differs, and a car in view, however small."""
    background, then_s = None, 0.0
    differs, moves, large, in_view = [], [], [], []
    for shot in shots_of(shared_data / "videos" / "overhead-road.avi"):
        luma = small_luma(shot.picture, 4)
        if background is None:
            background = Background(luma, np.ones(luma.shape, bool))
        else:
            look = background.look(luma, shot.at_s - then_s)
            differs.append(look.share > 0.01)
            moves.append(look.moves)
            large.append(any(begin <= shot.at_s < end for begin, end in CARS))
            in_view.append(any(begin <= shot.at_s < end for begin, end in IN_VIEW))
        then_s = shot.at_s
    assert overlap(differs, large) >= 0.85
    assert overlap(moves, in_view) >= 0.93


def overlap(one: list[bool], other: list[bool]) -> float:
    """Return the intersection over union of two time lines."""
    return float(np.logical_and(one, other).sum() / np.logical_or(one, other).sum())


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_the_gate_saves_frames_and_changes_no_event(shared_data: Path, coco: Model) -> None:
    """Somebody comes, stands, goes, and somebody else comes; the whole clip is for `tests/measure/gate.py`."""
    answers = Answers(coco)
    clip = shared_data / "videos" / "one-by-one-person-detection.mp4"
    runs = [GatedCamera(answers, coco.spec.labels, least={0: 0.4}, gated=gated, fps=2.5) for gated in (False, True)]
    every, saving = (run.watch(shots_of(clip, until_s=24.0)) for run in runs)
    assert [spell.name for spell in every] == ["person", "person"]
    assert saving == every
    assert runs[1].counts["still"] >= 4
    assert runs[1].counts["still"] + runs[1].counts["inferred"] == runs[0].counts["inferred"] == 60


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("name", "there"), [("bolt-multi-size-detection-preview.mp4", set()), ("people-detection-preview.mp4", {"person"})]
)
def test_nothing_is_said_of_a_class_that_is_not_there(
    shared_data: Path, coco: Model, name: str, there: set[str]
) -> None:
    answers = Answers(coco)
    for fps in (5.0, 0.0):
        camera = GatedCamera(answers, coco.spec.labels, fps=fps, zoom=coco.spec.input.hw)
        assert {spell.name for spell in camera.watch(shots_of(shared_data / "videos" / name))} <= there
        assert camera.counts["inferred"] >= 10


HD = (720, 1280)


def far_away(seed: int) -> Iterator[Shot]:
    """Draw 34 s of a small circle that comes in at 8 s, rests from 12 s to 28 s, and leaves until 32 s."""
    rng = np.random.default_rng(seed)
    quiet = Backdrop(7, HD[1], HD[0]).picture()
    for number in range(340):
        at_s = number / 10
        drawn = quiet.copy()
        if 8 <= at_s < 32:
            x = round(500 + 30 * (min(at_s, 12) - 8) + 30 * max(0, at_s - 28))
            cv2.circle(drawn, (x, 300), 14, (30, 30, 30), -1, cv2.LINE_AA)
            cv2.circle(drawn, (x, 300), 12, (40, 60, 220), -1, cv2.LINE_AA)
        drawn[::4, ::4] += rng.integers(0, 3, (180, 320, 1), np.uint8)
        yield Shot(picture_of_bgr(drawn), at_s)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_what_is_too_small_for_the_whole_frame_is_found_in_a_closer_look_and_stays(shapes: Model, seed: int) -> None:
    """28 px of 1280 are 7 of the network's: it sees no circle, unless it is shown the part where something moved."""
    labels = shapes.spec.labels
    answers = Answers(shapes)
    assert "circle" not in {spell.name for spell in GatedCamera(answers, labels).watch(far_away(seed))}

    camera = GatedCamera(answers, labels, zoom=shapes.spec.input.hw)
    (spell,) = camera.watch(far_away(seed))

    assert spell.name == "circle"
    assert 8 <= spell.begin_s <= 9.5
    assert spell.end_s is not None
    assert 31 <= spell.end_s <= 32.5
    assert {event.track for event in camera.events} == {1}
    assert camera.counts["still"] >= 50
