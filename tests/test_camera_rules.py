from __future__ import annotations

from made_cameras import SPECS, made_camera

from streamer.camera_parts import _rules
from streamer.core.quiet import parse_quiet
from streamer.events.rules import RuleSpec

PERSON, CAR, SHORT, SCRATCH = range(4)
DETECT = "detect: {model: net, classes: {person: 0.5, car: 0.4, scratch: 0.3}}"
PLACES = (
    "zones: {mat: {polygon: [[0, 0], [1, 0], [1, 1]]}}, lines: {gate: {from: [0, 0.5], to: [1, 0.5]}},"
    "classify: [{name: sort, model: kind, of: {class: [car]}}]"
)


def rules(*texts: str) -> list[RuleSpec]:
    """Return the rules that a camera's `events` mean."""
    camera = made_camera(f"{DETECT}, {PLACES}, events: [{', '.join(f'{{{text}}}' for text in texts)}]")
    return list(_rules(camera, SPECS, {PERSON: 0.5, CAR: 0.4, SCRATCH: 0.3}))


def test_a_rule_says_what_the_configuration_says() -> None:
    assert rules(
        "name: waits, class: [person], zone: mat, after: 2s, end_after: 3s, min_area: 0.002",
        "name: entered, class: PERSON, line: gate, direction: in",
        "name: many, class: [person, car], count: {more_than: 5}",
        "name: boxes, class: car, labels: {sort: [box]}",
    ) == [
        RuleSpec(name="waits", class_ids=frozenset({PERSON}), zone="mat", after_s=2.0, end_after_s=3.0, min_area=0.002),
        RuleSpec(name="entered", class_ids=frozenset({PERSON}), line="gate", direction="in"),
        RuleSpec(name="many", class_ids=frozenset({PERSON, CAR}), more_than=5),
        RuleSpec(name="boxes", class_ids=frozenset({CAR}), labels={"sort": frozenset({"Box"})}),
    ]


def test_so_does_one_on_things_left_and_taken_with_its_pauses() -> None:
    night, weekend = "22:00-06:00", "sat,sun 00:00-24:00"
    assert rules(
        f'name: left, class: scratch, left: {{by: [person, car]}}, zone: mat, quiet: ["{night}", "{weekend}"]',
        f'name: taken, class: scratch, removed: true, cooldown: 5m, quiet: "{night}"',
    ) == [
        RuleSpec(
            name="left",
            class_ids=frozenset({SCRATCH}),
            left_by=frozenset({PERSON, CAR}),
            zone="mat",
            quiet=(parse_quiet(night), parse_quiet(weekend)),
        ),
        RuleSpec(
            name="taken", class_ids=frozenset({SCRATCH}), removed=True, cooldown_s=300.0, quiet=(parse_quiet(night),)
        ),
    ]


def test_so_does_one_on_other_rules() -> None:
    *_, both, some = rules(
        "name: person, class: person",
        "name: car, class: car",
        "name: both, all: [person, car], after: 1m",
        "name: some, any: [car], not: [person]",
    )
    assert both == RuleSpec(name="both", all_of=("person", "car"), after_s=60.0)
    assert some == RuleSpec(name="some", any_of=("car",), none_of=("person",))
