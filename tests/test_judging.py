"""From a rule with `decide` to what an item is and what makes it bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_cameras import SPECS, made_camera

from streamer.core.decision import Verdict
from streamer.decide.judge import LabelTest
from streamer.judging import items_plan

if TYPE_CHECKING:
    from streamer.decide.items import ItemsPlan

DETECT = "detect: {model: net, classes: {Short_Circuit: 0.4, scratch: 0.6, car: 0.5}}"


def plan(keys: str, *, source: str = "rtsp://192.0.2.1/x") -> ItemsPlan:
    camera = made_camera(keys, source=source)
    rule = camera.decides
    assert rule is not None
    assert rule.decide is not None
    return items_plan("cam", camera, rule, rule.decide, SPECS)


def test_defects_are_the_rules_classes_each_from_its_own_score_on() -> None:
    it = plan(
        f"{DETECT}, zones: {{mat: {{polygon: [[0, 0], [1, 0], [1, 1]]}}}}, events: [{{name: ok, class: car}},"
        " {name: bad, class: [short circuit, SCRATCH], zone: mat, min_area: 0.01,"
        " decide: {deadline: 150ms, otherwise: accept}}]"
    )
    assert it.judge.class_ids == frozenset({2, 3})
    assert it.judge.least == {2: 0.4, 3: 0.6}
    assert it.judge.names[2] == "Short circuit"
    assert it.judge.zone == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert (it.judge.min_area, it.judge.labels) == (0.01, {})
    assert (it.camera, it.deadline_s, it.otherwise, it.each_frame, it.live) == ("cam", 0.15, Verdict.ACCEPT, True, True)
    assert (it.dark, it.blurred, it.frozen_s) == (0.04, 0.3, 1.0)


def test_without_classes_in_the_configuration_every_defect_counts_from_one_half_on() -> None:
    it = plan("detect: {model: net}, events: [{name: bad, class: scratch, decide: {deadline: 1s}}]")
    assert it.judge.least == {3: 0.5}


def test_labels_are_spelt_as_the_classifier_spells_them_and_carry_its_thresholds() -> None:
    classify = "classify: [{name: what, model: kind}, {name: flaw, model: flaws}, {name: other, model: kind}]"
    it = plan(
        f"{classify}, events: [{{name: bad, labels: {{what: [paper_bag], flaw: [Dent, crack]}},"
        " decide: {deadline: 1s, sure: 0.8, dark: 0, blurred: 0.5, frozen: 0s}}]"
    )
    assert it.judge.labels == {
        "what": LabelTest(names=("Box", "Paper bag"), reject=frozenset({"Paper bag"})),
        "flaw": LabelTest(
            names=("dent", "stain", "crack"), reject=frozenset({"dent", "crack"}), thresholds=(0.5, 0.6, 0.7)
        ),
    }
    assert (it.judge.class_ids, it.judge.sure) == (None, 0.8)
    assert (it.dark, it.blurred, it.frozen_s) == (0.0, 0.5, 0.0)


@pytest.mark.parametrize(
    ("trigger", "each_frame", "crossings"),
    [
        ("frame", True, False),
        ("command", False, False),
        ("{gpio: {chip: gpiochip0, line: 4}}", False, False),
        ("{line: gate, class: car}", False, True),
    ],
)
def test_what_begins_an_item(trigger: str, each_frame: bool, crossings: bool) -> None:  # noqa: FBT001  parameters
    it = plan(
        f"{DETECT}, lines: {{gate: {{from: [0, 0.5], to: [1, 0.5]}}}},"
        f" events: [{{name: bad, class: scratch, decide: {{deadline: 1s, trigger: {trigger}}}}}]"
    )
    assert (it.each_frame, it.crossings) == (each_frame, crossings)


def test_a_recording_has_no_deadline() -> None:
    assert not plan(f"{DETECT}, events: [{{name: bad, class: car, decide: {{deadline: 1s}}}}]", source="a.mp4").live


def test_a_sensor_may_stand_before_the_camera() -> None:
    rule = "events: [{name: bad, class: scratch, decide: {deadline: 1s, trigger: command, picture_after: 150ms}}]"
    assert plan(f"{DETECT}, {rule}").after_s == 0.15
