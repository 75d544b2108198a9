"""Verdicts on recordings: each item is judged whole, by a detector, a classifier, or both in tandem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from coloured_shapes import COLOUR_OF, record_falling, record_shapes
from line_run import decisions, ended, start, utc_ms
from tiny_classifier import write_classifier

if TYPE_CHECKING:
    from pathlib import Path

    from servers.broker import Mosquitto, Subscriber

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(60)]


def test_a_recording_is_judged_whole_by_a_detector_or_by_a_classifier(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    film = record_shapes(tmp_path / "five.mp4", seconds=4)
    write_classifier(tmp_path / "hue.onnx", shape=("N", 3, 32, 32))
    config = tmp_path / "config.yaml"
    config.write_text(f"""\
mqtt: {{url: "mqtt://127.0.0.1:{broker.port}", drain: 1s}}
data_dir: data
models:
  shapes: {{model: shapes, precision: f32}}
  hue: {{model: hue.onnx, task: classify, labels: [red, green, blue], look: ultralytics, precision: f32}}
cameras:
  belt:
    source: {film}
    detect: {{model: shapes, classes: {{star: 0.5, circle: 0.5, square: 0.5}}}}
    events:
      - {{name: defect, class: star, decide: {{deadline: 1ms}}}}
      - {{name: seen, class: [circle, square]}}
  lamp:
    source: {film}
    zones: {{left: {{polygon: [[0.08, 0.18], [0.22, 0.18], [0.22, 0.42], [0.08, 0.42]]}}}}
    classify: [{{name: hue, model: hue, of: {{zone: left}}}}]
    events: [{{name: off, labels: {{hue: [green, blue]}}, decide: {{deadline: 1ms, sure: 0.36, otherwise: accept}}}}]
""")
    log = ended(start(config), heard)

    for camera in ("belt", "lamp"):
        told = decisions(heard, camera)
        assert [said["number"] for said in told] == list(range(1, 61)), log
        assert {(said["age_ms"], said["late"]) for said in told} == {(None, False)}
    comes = 3 * 6  # the star is the fourth
    belt, lamp = decisions(heard, "belt"), decisions(heard, "lamp")
    assert {said["reason"] for said in belt[:comes]} == {None}
    assert {said["reason"] for said in belt[comes + 1 :]} == {"star"}
    assert COLOUR_OF["circle"] == "red"  # what the zone shows
    assert {said["verdict"] for said in lamp} == {"accept"}
    assert {event["class"] for event in heard.events()} == {"circle", "square"}
    assert not [topic for topic, _, _ in heard.messages if topic.endswith("active/defect")]


def test_what_falls_through_a_line_is_judged_by_what_a_classifier_calls_it(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    film = record_falling(tmp_path / "falling.mp4")
    write_classifier(tmp_path / "hue.onnx", shape=("N", 3, 32, 32))
    config = tmp_path / "config.yaml"
    kinds = "[circle, square, triangle, star, cross]"
    config.write_text(f"""\
mqtt: {{url: "mqtt://127.0.0.1:{broker.port}", drain: 1s}}
data_dir: data
models:
  shapes: {{model: shapes, precision: f32}}
  hue: {{model: hue.onnx, task: classify, labels: [red, green, blue], look: ultralytics, precision: f32}}
cameras:
  belt:
    source: {film}
    detect: {{model: shapes}}
    classify: [{{name: hue, model: hue, of: {{class: {kinds}}}}}]
    lines: {{middle: {{from: [0.0, 0.5], to: [1.0, 0.5]}}}}
    events:
      - name: red
        labels: {{hue: [red]}}
        decide: {{deadline: 2s, sure: 0.36, trigger: {{line: middle, class: {kinds}, direction: in}}}}
""")
    ended(start(config), heard)

    told = decisions(heard)
    reasons = ["red" if COLOUR_OF[kind] == "red" else None for kind in COLOUR_OF]  # they come in this order
    assert [(said["number"], said["reason"]) for said in told] == list(enumerate(reasons, start=1))
    moments = [utc_ms(said["captured_at"]) / 1e3 for said in told]
    assert [round(at - moments[0]) for at in moments] == [0, 1, 2, 3, 4]
