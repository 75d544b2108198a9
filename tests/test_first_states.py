from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamer.first_states import first_states, left_classes
from streamer.infer.spec import ColorOrder, Fit, InputSpec, ModelSpec, Task
from streamer.settings import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.settings import Camera

SPEC = ModelSpec(
    name="net",
    path=Path("net.onnx"),
    digest="sha256:0",
    task=Task.DETECT,
    head="v8",
    labels=("person", "potted plant", "cup/mug"),
    input=InputSpec(
        name="images", hw=(640, 640), color=ColorOrder.RGB, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
        fit=Fit.LETTERBOX, pad=114, layout="nchw", dtype="float32", max_batch=1,
    ),
    output_names=("output0",),
    decided_by="sidecar",
    aliases={"cup/mug": "mug"},
)  # fmt: skip
OLD = {"yard/objects/person", "yard/active/person", "yard/objects/gone", "yard/active/gone", "other/objects/person"}


def cameras(detect: str, *, enabled: bool = True, events: str = "null") -> Mapping[str, Camera]:
    text = f"""
models: {{net: {{model: yolox-nano}}}}
cameras:
  yard: {{source: "rtsp://192.0.2.1/x", enabled: {enabled}, detect: {detect}, events: {events}}}
"""
    return parse(text.encode(), file=Path("/c.yaml"), environ={}).settings.cameras


def test_the_classes_that_are_asked_for_are_unknown_and_no_rule_is_active() -> None:
    asked = cameras("{model: net, classes: {pottedplant: 0.5, cup/mug: 0.5}}")
    assert first_states(asked, {"net": SPEC}, OLD) == {
        "yard/objects/potted_plant": b"null",
        "yard/objects/mug": b"null",
        "yard/active/potted_plant": b"0",
        "yard/active/mug": b"0",
    }


def test_rules_are_named_as_they_are() -> None:
    asked = cameras("{model: net, classes: {person: 0.5}}", events="[{name: waits, class: person}]")
    assert first_states(asked, {"net": SPEC}, ()) == {"yard/objects/person": b"null", "yard/active/waits": b"0"}


def test_crossings_are_counted_anew_in_each_run() -> None:
    text = b"""
models: {net: {model: yolox-nano}}
cameras:
  yard:
    source: rtsp://192.0.2.1/x
    detect: {model: net}
    lines: {gate: {from: [0, 0.5], to: [1, 0.5]}}
"""
    yard = parse(text, file=Path("/c.yaml"), environ={}).settings.cameras
    assert first_states(yard, {"net": SPEC}, {"yard/lines/gate/in"}) == {
        "yard/lines/gate/in": b"0",
        "yard/lines/gate/out": b"0",
    }


def test_what_a_crashed_run_has_left_of_every_class_is_taken_back_and_nothing_else_is_told() -> None:
    every = cameras("{model: net}")
    assert first_states(every, {"net": SPEC}, ()) == {}
    assert first_states(every, {"net": SPEC}, OLD) == {"yard/objects/person": b"null", "yard/active/person": b"0"}
    assert left_classes("yard", SPEC, OLD) == {0}


def test_a_disabled_camera_has_its_numbers_too_though_its_model_is_not_read() -> None:
    asked = cameras("{model: net, classes: {person: 0.5, pottedplant: 0.5, cup/mug: 0.5}}", enabled=False)
    said = first_states(asked, {}, {"yard/objects/potted_plant"})
    assert said == {
        "yard/objects/person": b"null",
        "yard/objects/potted_plant": b"null",
        "yard/active/person": b"0",
        "yard/active/pottedplant": b"0",
    }
    assert first_states(cameras("{model: net}", enabled=False), {}, OLD) == {
        "yard/objects/person": b"null",
        "yard/objects/gone": b"null",
        "yard/active/person": b"0",
        "yard/active/gone": b"0",
    }
