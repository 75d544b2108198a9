"""Rules on things left behind and taken away, combinations, quiet hours; and which cameras are looked at seldom."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.settings import Rule, Settings, SettingsError, parse

HEAD = """
models: {m: {model: ./m.onnx}}
cameras:
  porch:
    source: rtsp://h/x
"""
DETECT = "    detect: {model: m, classes: {person: 0.5, parcel: 0.5}}\n"


def settings_of(text: str) -> Settings:
    return parse(text.encode(), file=Path("/etc/streamer/c.yaml"), environ={}).settings


def rules_of(*rules: str) -> tuple[Rule, ...]:
    text = HEAD + DETECT + "    events:\n" + "".join(f"      - {rule}\n" for rule in rules)
    return settings_of(text).cameras["porch"].events or ()


def wrong(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        settings_of(text)
    return [(p.key, p.message) for p in caught.value.problems]


def wrong_rules(*rules: str) -> list[tuple[str, str]]:
    return wrong(HEAD + DETECT + "    events:\n" + "".join(f"      - {rule}\n" for rule in rules))


def test_what_is_left_behind_and_taken_away_is_asked_for_in_a_line() -> None:
    left, taken = rules_of(
        "{name: left, class: parcel, left: {by: person}, after: 10s}", "{name: taken, class: [parcel], removed: true}"
    )

    assert (left.left is not None and left.left.by, left.removed, left.after_s) == (("person",), False, 10.0)
    assert (taken.left, taken.removed, taken.quiet, taken.cooldown_s) == (None, True, (), 0.0)


def test_rules_are_combined_by_name() -> None:
    *_, alone = rules_of(
        "{name: parcel, class: parcel}",
        "{name: person, class: person}",
        "{name: unattended, all: parcel, not: [person], after: 30s}",
    )

    assert (alone.all_of, alone.any_of, alone.none_of) == (("parcel",), (), ("person",))
    assert alone.combines == ("parcel", "person")


def test_quiet_hours_are_one_text_or_several() -> None:
    one, several = rules_of(
        '{name: a, class: person, quiet: "22:00-06:00", cooldown: 5m}',
        '{name: b, class: person, quiet: ["12:00-13:00", "sat,sun 00:00-24:00"]}',
    )

    (night,) = one.quiet
    assert (night.from_minute, night.to_minute, len(night.days), one.cooldown_s) == (1320, 360, 7, 300.0)
    assert [sorted(hours.days) for hours in several.quiet] == [[0, 1, 2, 3, 4, 5, 6], [5, 6]]


@pytest.mark.parametrize(
    ("rule", "key", "said"),
    [
        ("{name: a, class: parcel, left: {by: thief}}", "left.by", "not among detect.classes"),
        ("{name: a, class: parcel, left: {}}", "left.by", "missing"),
        ("{name: a, class: parcel, left: {by: person}, removed: true}", "removed", "two rules"),
        ("{name: a, class: parcel, removed: true, count: {more_than: 1}}", "removed", "can't stand beside `count`"),
        ("{name: a, all: b, class: person}", "class", "can't stand beside all, any"),
        ("{name: a, not: b}", "not", "needs `all` or `any`"),
        ("{name: a, any: [b, a]}", "any", "this rule itself"),
        ("{name: a, any: [b, bb]}", "any", "no rule of the camera"),
        ('{name: a, class: person, quiet: "22-6"}', "quiet.0", "22:00-06:00"),
        ("{name: a, class: person, quiet: 2200}", "quiet.0", "must be hours"),
        ("{name: a, class: person, cooldown: 5}", "cooldown", "duration with its unit"),
        ("{name: a, class: person, cooldown: 5m, decide: {deadline: 1s, otherwise: reject}}", "cooldown", "`decide`"),
    ],
)
def test_what_does_not_fit_is_named(rule: str, key: str, said: str) -> None:
    found = wrong_rules(rule, "{name: b, class: person}")

    assert found[0][0] == f"cameras.porch.events.0.{key}", found
    assert said in found[0][1]


def test_a_combination_of_combinations_is_refused() -> None:
    found = wrong_rules("{name: a, class: person}", "{name: b, any: a}", "{name: c, any: b}")

    assert [key for key, _ in found] == ["cameras.porch.events.2.any"]


@pytest.mark.parametrize(
    ("lines", "gated", "idles"),
    [
        ("", True, True),
        ("    motion: {enabled: false}\n", False, False),
        ("    motion: {idle: false}\n", True, False),
        ("    max_age: 300ms\n", True, False),
        ("    frames: every\n", False, False),
        ("    publish_detections: true\n", False, False),
        ("    publish_detections: true\n    motion: {enabled: true}\n", True, True),
        ("    classify: [{name: k, model: m, of: frame, every: 10s}]\n", True, True),
        ("    classify: [{name: k, model: m, of: frame, every: 1s}]\n", True, False),
        ("    events: [{name: d, class: parcel, decide: {deadline: 1s, otherwise: reject}}]\n", False, False),
    ],
)
def test_a_camera_is_looked_at_seldom_unless_each_frame_is_wanted(lines: str, gated: bool, idles: bool) -> None:  # noqa: FBT001  a table
    camera = settings_of(HEAD + DETECT + lines).cameras["porch"]

    assert (camera.gated, camera.idles) == (gated, idles)


def test_to_look_closer_takes_the_gate() -> None:
    zoom = DETECT.replace("model: m,", "model: m, zoom: true,")
    detect = settings_of(HEAD + zoom).cameras["porch"].detect

    assert detect is not None
    assert detect.zoom
    assert wrong(HEAD + zoom + "    frames: every\n")[0][0] == "cameras.porch.detect.zoom"
    assert wrong(HEAD + zoom + "    motion: {enabled: false}\n")[0][0] == "cameras.porch.detect.zoom"
    assert wrong(HEAD + zoom + "    publish_detections: true\n")[0][0] == "cameras.porch.detect.zoom"
    assert wrong((HEAD + zoom).replace("rtsp://h/x", "./film.mp4"))[0][0] == "cameras.porch.detect.zoom"
    settings_of(HEAD + zoom + "    publish_detections: true\n    motion: {enabled: true}\n")


def test_whoever_names_a_record_stream_wants_clips() -> None:
    clip = settings_of(HEAD + DETECT + "    record: rtsp://h/full\n").cameras["porch"].clip

    assert clip is not None
    assert (clip.before_s, clip.after_s, clip.longest_s) == (5.0, 5.0, 300.0)


def test_a_combination_that_can_never_be_true_is_refused() -> None:
    said = wrong_rules("{name: a, class: person}", "{name: b, all: [a], not: [a]}", "{name: c, any: [a], not: [a]}")
    assert said == [("cameras.porch.events.1.not", "'a' is in `all`, too: it can't have an event and have none")]


@pytest.mark.parametrize(
    ("clip", "key"),
    [("{before: 5s, longest: 5s}", "longest"), ("{longest: 3s}", "longest"), ("{before: 6m}", "before")],
)
def test_a_clip_that_would_end_before_its_event_is_refused(clip: str, key: str) -> None:
    assert wrong(HEAD + DETECT + f"    save: {{clip: {clip}}}\n") == [
        (f"cameras.porch.save.clip.{key}", "`longest` must be longer than `before`, else no clip shows its event")
    ]


def test_a_clip_may_be_hardly_longer_than_what_is_before_its_event() -> None:
    clip = settings_of(HEAD + DETECT + "    save: {clip: {before: 0s, longest: 1s}}\n").cameras["porch"].clip
    assert clip is not None
    assert (clip.before_s, clip.longest_s) == (0.0, 1.0)
