"""Classifications, labels and verdicts: what is taken, with which defaults, and what is said of what does not fit."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from streamer.settings import Loaded, SettingsError, check_classes, json_schema, parse

HEAD = """\
models: {coco: {model: yolox-nano}, kind: {model: ./kind.onnx, task: classify}}
cameras:
  belt:
    source: rtsp://h/x
"""
DETECT = "detect: {model: coco, classes: {person: 0.5, car: 0.5, scratch: 0.5}}\n"
KIND = "classify: [{name: kind, model: kind, of: {class: [car]}}]\n"
VIEW = "classify: [{name: view, model: kind}]\n"
GATE = "lines: {gate: {from: [0, 0], to: [1, 1]}}\n"
DECIDE = "decide: {deadline: 200ms}"
EVENT, CLASSIFY = "cameras.belt.events.0", "cameras.belt.classify.0"


def read(camera: str) -> Loaded:
    text = HEAD + "".join(f"    {line}\n" for line in camera.strip().splitlines())
    return parse(text.encode(), file=Path("/c.yaml"), environ={})


def found(camera: str) -> list[tuple[str, str]]:
    """Return key and message of every problem."""
    try:
        read(camera)
    except SettingsError as exc:
        return [(problem.key, problem.message) for problem in exc.problems]
    return []


def test_a_classification_needs_no_more_than_a_name_and_a_model() -> None:
    (view,) = read(VIEW).settings.cameras["belt"].classify
    assert (view.of.objects, view.of.zone, view.rate, view.votes, view.last, view.for_s) == (False, None, 1, 1, None, 0)
    assert (view.score, view.margin, view.square, view.again_s) == (0.0, 0.1, True, 10.0)
    camera = read(DETECT + KIND).settings.cameras["belt"]
    assert (camera.classify[0].of.objects, camera.classify[0].votes, camera.looks_at_objects) == (True, 3, True)


@pytest.mark.parametrize(("said", "rate"), [("every: 10s", 0.1), ("fps: 5", 5), ("fps: 0", 0), ("every: 200ms", 5)])
def test_how_often_is_a_time_or_a_rate(said: str, rate: float) -> None:
    (view,) = read(f"classify: [{{name: view, model: kind, {said}}}]").settings.cameras["belt"].classify
    assert view.rate == pytest.approx(rate)


def test_a_verdict_doubts_what_is_dark_blurred_or_frozen_unless_told_otherwise() -> None:
    rule = read(f"{DETECT}events: [{{name: bad, class: scratch, {DECIDE}}}]").settings.cameras["belt"].decides
    assert rule is not None
    decide = rule.decide
    assert decide is not None
    assert (decide.deadline_s, decide.otherwise, decide.trigger.kind, decide.sure) == (0.2, "reject", "frame", 0.5)
    assert (decide.dark, decide.blurred, decide.frozen_s, decide.output) == (0.04, 0.3, 1.0, None)


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        ("frame", "frame"),
        ("command", "command"),
        ("{line: gate, class: [car], direction: in}", "line"),
        ("{gpio: {chip: gpiochip0, line: 17}}", "gpio"),
    ],
)
def test_what_begins_an_item(trigger: str, kind: str) -> None:
    rule = f"{{name: bad, class: scratch, decide: {{deadline: 200ms, trigger: {trigger}}}}}"
    decides = read(f"{DETECT}{GATE}events: [{rule}]").settings.cameras["belt"].decides
    assert decides is not None
    assert decides.decide is not None
    assert decides.decide.trigger.kind == kind
    schema = jsonschema.Draft202012Validator(json_schema())
    said = yaml.safe_load(HEAD + f"    events: [{rule}]\n")
    schema.validate(said)
    said["cameras"]["belt"]["events"][0]["decide"]["trigger"] = {"bell": 1}
    assert not schema.is_valid(said)


@pytest.mark.parametrize(
    ("camera", "key", "words"),
    [
        ("classify: [{name: a, model: kind, every: 1s, fps: 5}]", f"{CLASSIFY}.fps", "can't stand beside `every`"),
        ("classify: [{name: a, model: kind, agree: 3, last: 2}]", f"{CLASSIFY}.last", "at least `agree`"),
        ("classify: [{name: a, model: kind, agree: 0}]", f"{CLASSIFY}.agree", ""),
        ("classify: [{name: a, model: kind, score: 2}]", f"{CLASSIFY}.score", "0 to 1"),
        ("classify: [{name: A, model: kind}]", f"{CLASSIFY}.name", "a-z"),
        ("classify: [{model: kind}]", f"{CLASSIFY}.name", ""),
        (
            "classify: [{name: a, model: kind}, {name: a, model: kind}]",
            "cameras.belt.classify.1.name",
            "stands twice in `classify`",
        ),
        (KIND, f"{CLASSIFY}.of.class", "needs `detect`"),
        (VIEW + "events: [{name: a, class: car}]", EVENT, "needs `detect`: events are made of detected objects"),
        (VIEW + "publish_detections: true", "cameras.belt.publish_detections", "needs `detect`"),
        (VIEW + GATE, "cameras.belt.lines", "needs `detect`"),
        (DETECT + "events: [{name: a, zone: null}]", f"{EVENT}.class", "is missing: which classes make the event?"),
        (
            DETECT + KIND + "events: [{name: a, class: car, labels: {kin: [box]}}]",
            f"{EVENT}.labels.kin",
            "is no entry of the camera's `classify`; nearest: 'kind'",
        ),
        (DETECT + "events: [{name: a, class: car, labels: {kind: [x]}}]", f"{EVENT}.labels.kind", "there is none"),
        (
            DETECT + VIEW + "events: [{name: a, class: car, labels: {view: [box]}}]",
            f"{EVENT}.labels.view",
            "looks at no objects",
        ),
        (
            DETECT + KIND + "events: [{name: a, class: [car, person], labels: {kind: [box]}}]",
            f"{EVENT}.labels.kind",
            "does not look at person",
        ),
        (
            DETECT + KIND + f"events: [{{name: a, labels: {{kind: [box]}}, {DECIDE}}}]",
            f"{EVENT}.labels.kind",
            "looks at objects; a verdict on a frame needs",
        ),
        (DETECT + f"events: [{{name: a, {DECIDE}}}]", EVENT, "needs `class`"),
        (VIEW + f"events: [{{name: a, class: car, {DECIDE}}}]", f"{EVENT}.class", "`labels` in place of `class`"),
        (
            DETECT + f"events: [{{name: a, class: car, {DECIDE}}}, {{name: b, class: car, {DECIDE}}}]",
            "cameras.belt.events.1.decide",
            "stands twice; one camera gives one verdict",
        ),
        (
            DETECT + GATE + f"events: [{{name: a, class: car, line: gate, {DECIDE}}}]",
            f"{EVENT}.line",
            "can't stand beside `decide`; what begins an item is",
        ),
        (
            DETECT + f"events: [{{name: a, class: car, count: {{more_than: 1}}, {DECIDE}}}]",
            f"{EVENT}.count",
            "can't stand beside `decide`",
        ),
        (
            DETECT + "events: [{name: a, class: car, decide: {deadline: 1s, trigger: {line: gat, class: car}}}]",
            f"{EVENT}.decide.trigger.line",
            "'gat' is no entry of the camera's `lines`",
        ),
        (
            DETECT
            + GATE
            + "events: [{name: a, class: car, decide: {deadline: 1s, trigger: {line: gate, class: cat}}}]",
            f"{EVENT}.decide.trigger.class",
            "'cat' is not among detect.classes",
        ),
        (
            DETECT + "events: [{name: a, class: car, decide: {deadline: 1s, trigger: bell}}]",
            f"{EVENT}.decide.trigger",
            "must be frame, command, {line: NAME",
        ),
        (
            DETECT
            + "events: [{name: a, class: car, decide: {deadline: 1s, output: {chip: c, line: 1, delay: 500ms}}}]",
            f"{EVENT}.decide.output.delay",
            "0s, or at least `deadline`",
        ),
        (
            VIEW + f"events: [{{name: a, labels: {{view: [box]}}, min_area: 0.1, {DECIDE}}}]",
            f"{EVENT}.min_area",
            "needs `class`",
        ),
        (
            "classify: [{name: a, model: kind, again: 5s}]",
            f"{CLASSIFY}.again",
            "means nothing for a frame or a zone; leave it out",
        ),
        (
            DETECT + "classify: [{name: a, model: kind, of: {class: car}, for: 2s}]",
            f"{CLASSIFY}.for",
            "means nothing for objects",
        ),
        (
            DETECT + "events: [{name: a, class: car, decide: {deadline: 1s, trigger: command, picture_after: 1s}}]",
            f"{EVENT}.decide.picture_after",
            "must be shorter than `deadline`",
        ),
        (
            DETECT + "events: [{name: a, class: car, decide: {deadline: 1s, picture_after: 100ms}}]",
            f"{EVENT}.decide.picture_after",
            "needs `trigger: command`",
        ),
        (DETECT + "events: [{name: a, class: car, decide: {otherwise: reject}}]", f"{EVENT}.decide.deadline", ""),
        (DETECT + "events: [{name: a, class: car, decide: {deadline: 0s}}]", f"{EVENT}.decide.deadline", "longer"),
    ],
)
def test_what_does_not_fit_is_told(camera: str, key: str, words: str) -> None:
    problems = found(camera)
    assert [problem[0] for problem in problems] == [key], problems
    assert words in problems[0][1]


@pytest.mark.parametrize(
    "camera",
    [
        VIEW + f"events: [{{name: a, labels: {{view: [box]}}, {DECIDE}}}]",
        DETECT + VIEW + f"events: [{{name: a, class: scratch, labels: {{view: [box]}}, {DECIDE}}}]",
        DETECT + KIND + "events: [{name: a, class: car, labels: {kind: [box, bag]}, count: {more_than: 2}}]",
        # The items are cars that cross the line; what spoils one is a scratch, or what the classifier calls the car.
        DETECT + KIND + GATE + "events: [{name: a, class: scratch, labels: {kind: [box]},"
        " decide: {deadline: 1s, trigger: {line: gate, class: car}}}]",
        DETECT + "events: [{name: a, class: car, decide: {deadline: 1s, output: {chip: c, line: 1, delay: 1s}}}]",
        DETECT + "events: [{name: a, class: car, decide: {deadline: 1s, trigger: command, picture_after: 150ms}}]",
        # The keys of every rule may stand in one that decides as well.
        DETECT + f"events: [{{name: a, class: car, after: 0s, end_after: 1s, min_area: 0.01, {DECIDE}}}]",
        "classify: [{name: a, model: kind, agree: 3, last: 5, for: 2s}]",
    ],
)
def test_what_fits_is_not(camera: str) -> None:
    assert found(camera) == []


def test_a_line_tells_apart_the_items_not_the_defects() -> None:
    problems = found(
        DETECT + KIND + GATE + "events: [{name: a, class: scratch, labels: {kind: [box]},"
        " decide: {deadline: 1s, trigger: {line: gate, class: person}}}]"
    )
    ((key, message),) = problems
    assert key == f"{EVENT}.labels.kind"
    assert "does not look at person" in message


def test_labels_are_classes_of_the_classifier_and_not_of_the_detector() -> None:
    loaded = read(DETECT + KIND + "events: [{name: a, class: car, labels: {kind: [bx, person]}}]")
    problems = check_classes(loaded, {"coco": ("person", "car", "scratch"), "kind": ("box", "bag")})
    assert [problem.key for problem in problems] == [f"{EVENT}.labels.kind"] * 2
    assert "'bx' is no class of the model; nearest: 'box'" in problems[0].message


@pytest.mark.parametrize(
    ("trigger", "key", "said"),
    [
        ("line: gate", "class", "is missing; needed: The classes of the items"),
        ("line: gate, class: car, direction: left", "direction", "must be one of in, out"),
        ("line: gate, class: car, gpio: {}", "gpio", "unknown key; allowed: line, class, direction"),
    ],
)
def test_that_a_crossing_is_told_of_where_the_file_has_it(trigger: str, key: str, said: str) -> None:
    rule = f"events: [{{name: bad, class: scratch, decide: {{deadline: 200ms, trigger: {{{trigger}}}}}}}]"
    ((place, sentence),) = found(DETECT + GATE + rule)
    assert place == f"{EVENT}.decide.trigger.{key}"
    assert sentence.endswith(said)


def test_that_a_gpio_line_stands_once() -> None:
    pins = "trigger: {gpio: {chip: gpiochip0, line: 4}}, output: {chip: /dev/gpiochip0, line: %s}"
    rule = f"events: [{{name: bad, class: scratch, decide: {{deadline: 200ms, {pins}}}}}]"
    assert found(DETECT + rule % 5) == []
    ((place, sentence),) = found(DETECT + rule % 4)
    assert place == f"{EVENT}.decide.trigger.gpio.line"
    assert sentence == f"is taken: {EVENT}.decide.output.line is the same line"
