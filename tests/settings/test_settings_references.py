from __future__ import annotations

from pathlib import Path

import pytest

from streamer.settings import SettingsError, parse

HEAD = "models: {coco: {model: yolox-nano}, shapes: {model: shapes}}\ncameras:\n  porch:\n    source: rtsp://h/x\n"


def found(camera: str, head: str = HEAD) -> list[tuple[str, str]]:
    """Return key and message of every problem but those that something is not built yet."""
    text = head + "".join(f"    {line}\n" for line in camera.strip().splitlines())
    try:
        parse(text.encode(), file=Path("/c.yaml"), environ={})
    except SettingsError as exc:
        return [(p.key, p.message) for p in exc.problems if "not supported yet" not in p.message]
    return []


@pytest.mark.parametrize(
    ("camera", "key", "words"),
    [
        ("enabled: true", "cameras.porch", "nothing to do"),
        ("detect: {model: coca}", "cameras.porch.detect.model", "'coca' is no entry of `models`; nearest: 'coco'"),
        ("detect: {model: x}", "cameras.porch.detect.model", "known: coco, shapes"),
        ("frames: every\ndetect: {model: coco, fps: 5}", "cameras.porch.detect.fps", "`frames: every`; or write"),
        (
            "detect: {model: coco, classes: {aeroplane: 0.5, Airplane: 0.4}}",
            "cameras.porch.detect.classes.Airplane",
            "the same class as 'aeroplane'",
        ),
        (
            "detect: {model: coco, classes: {potted plant: 0.5, Potted_Plant: 0.5}}",
            "cameras.porch.detect.classes.Potted_Plant",
            "the same class as 'potted plant'",
        ),
        (
            "detect: {model: coco, classes: {person: 0.5}}\nevents: [{name: a, class: [person, persn]}]",
            "cameras.porch.events.0.class",
            "'persn' is not among detect.classes; nearest: 'person'; allowed: person",
        ),
        (
            "detect: {model: coco}\nevents: [{name: a, class: dog}, {name: b, class: dog}, {name: a, class: cat}]",
            "cameras.porch.events.2.name",
            "'a' stands twice",
        ),
        (
            "detect: {model: coco}\nevents: [{name: a, class: dog, zone: mat}]",
            "cameras.porch.events.0.zone",
            "'mat' is no entry of the camera's `zones`; there is none",
        ),
        (
            (
                "detect: {model: coco}\nlines: {gate: {from: [0, 0], to: [1, 1]}}\n"
                "events: [{name: a, class: dog, line: gat, direction: in}]"
            ),
            "cameras.porch.events.0.line",
            "nearest: 'gate'; known: gate",
        ),
        (
            "detect: {model: coco}\nevents: [{name: a, class: dog, direction: in}]",
            "cameras.porch.events.0.direction",
            "needs a `line`",
        ),
        (
            "classify: [{name: a, model: b, of: frame}]",
            "cameras.porch.classify.0.model",
            "'b' is no entry of `models`",
        ),
        (
            "classify: [{name: a, model: coco, of: {zone: mat}}]",
            "cameras.porch.classify.0.of.zone",
            "'mat' is no entry",
        ),
        (
            "detect: {model: coco, classes: {dog: 0.5}}\nclassify: [{name: a, model: coco, of: {class: [cat]}}]",
            "cameras.porch.classify.0.of.class",
            "not among detect.classes",
        ),
        ("detect: {model: coco}\nzones: {a: {polygon: [[0, 0]]}}", "cameras.porch.zones.a.polygon", "at least 3"),
        (
            "detect: {model: coco}\nzones: {a: {polygon: [[0, 0], [1, 1], [1, 0], [0, 1]]}}",
            "cameras.porch.zones.a.polygon",
            "crosses itself (from point 1 to 2 and from point 3 to 4)",
        ),
        (
            "detect: {model: coco}\nlines: {a: {from: [0.5, 0.5], to: [0.5, 0.5]}}",
            "cameras.porch.lines.a.to",
            "a line needs a length",
        ),
        (
            "detect: {model: coco}\nlines: {a: {from: [0.5, 0.5], to: [0.5, 1.5]}}",
            "cameras.porch.lines.a.to",
            "two fractions of width and height",
        ),
        (
            (
                "detect: {model: coco}\nlines: {a: {from: [0, 0], to: [1, 1]}}\n"
                "events: [{name: a, class: dog, line: a, count: {more_than: 3}}]"
            ),
            "cameras.porch.events.0.count",
            "can't stand beside `line`",
        ),
        ("detect: {model: coco, classes: {}}", "cameras.porch.detect.classes", "at least one"),
        ("classify: [{name: a, model: coco, of: zone}]", "cameras.porch.classify.0.of", "must be frame, {zone: NAME}"),
    ],
)
def test_what_does_not_fit_is_told(camera: str, key: str, words: str) -> None:
    problems = found(camera)

    assert [problem[0] for problem in problems] == [key], problems
    assert words in problems[0][1]


@pytest.mark.parametrize(
    "camera",
    [
        "detect: {model: coco}",
        "detect: {model: coco, classes: {Aeroplane: 0.5}}\nevents: [{name: a, class: [airplane]}]",
        "detect: {model: coco, classes: {potted_plant: 0.5}}\nevents: [{name: a, class: [Potted Plant]}]",
        (
            "detect: {model: coco}\nlines: {gate: {from: [0, 0], to: [1, 1]}}\n"
            "events: [{name: a, class: dog, line: gate, direction: in}]"
        ),
        "detect: {model: coco, fps: 0}\nframes: every",
        # A concave zone, and one whose last point is the first one again.
        "detect: {model: coco}\nzones: {a: {polygon: [[0, 0], [1, 0], [1, 1], [0.5, 0.2], [0, 1], [0, 0]]}}",
        "detect: {model: coco}\nevents: [{name: a, class: dog, count: {more_than: 3}}]",
        "classify: [{name: a, model: shapes}]",
    ],
)
def test_what_fits_is_not(camera: str) -> None:
    assert found(camera) == []


def test_a_rate_for_a_file_says_why_and_what_to_do() -> None:
    head = "models: {m: {model: x}}\ncameras:\n  c:\n    source: a.mp4\n"

    ((key, message),) = found("detect: {model: m, fps: 5}", head)

    assert key == "cameras.c.detect.fps"
    assert "a file, which is read with `frames: every`; or write `frames: newest`" in message


def test_without_models_the_message_shows_how_to_write_one() -> None:
    ((_, message),) = found("detect: {model: coco}", "cameras:\n  c:\n    source: rtsp://h/x\n")

    assert "models: {NAME: {model: yolox-nano}}" in message


def test_two_logins_at_the_broker_are_one_too_many() -> None:
    head = "mqtt: {url: 'mqtt://a:b@h', username: c}\n" + HEAD

    assert [key for key, _ in found("detect: {model: coco}", head)] == ["mqtt.url"]
