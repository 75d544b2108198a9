from __future__ import annotations

import re

import pytest

from streamer.events.rules import RuleSpec, check_rules, default_rules

NAMES = re.compile(r"[a-z0-9][a-z0-9_-]*")


def test_the_classes_asked_for_have_a_rule_each() -> None:
    rules = default_rules(("person", "Traffic light", "dog"), [2, 1])
    assert [(r.name, set(r.class_ids), r.listed) for r in rules] == [("traffic_light", {1}, True), ("dog", {2}, True)]
    assert (rules[0].after_s, rules[0].end_after_s, rules[0].min_area) == (0.5, 2.0, 0.0)


def test_every_class_has_one_that_is_listed_once_it_happens() -> None:
    rules = default_rules(("person", "dog"), None)
    assert [(r.name, r.listed) for r in rules] == [("person", False), ("dog", False)]


@pytest.mark.parametrize(
    ("label", "name"),
    [("hot dog", "hot_dog"), ("T-shirt", "t-shirt"), ("crème brûlée", "cr-me_br-l-e"), ("_x", "x"), ("犬", "class-0")],
)
def test_names_are_made_to_fit(label: str, name: str) -> None:
    (rule,) = default_rules((label,), [0])
    assert rule.name == name
    assert NAMES.fullmatch(rule.name)


def test_names_are_never_shared() -> None:
    assert [r.name for r in default_rules(("Dog", "dog"), None)] == ["dog", "dog-1"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"line": "gate", "more_than": 2}, "one at most"),
        ({"line": "gate", "removed": True}, "one at most"),
        ({"left_by": frozenset({1}), "removed": True}, "one at most"),
        ({"any_of": ("a",)}, "either classes or other rules"),
        ({"none_of": ("a",)}, "needs `all` or `any`"),
        ({"class_ids": frozenset()}, "either classes or other rules"),
        ({"class_ids": frozenset(), "all_of": ("a",), "more_than": 2}, "one at most"),
        ({"class_ids": frozenset(), "all_of": ("a",), "zone": "mat"}, "for objects"),
        ({"cooldown_s": -1.0}, "cooldown_s >= 0"),
        ({"direction": "in"}, "direction"),
        ({"line": "gate", "direction": "left"}, "direction"),
        ({"more_than": -1}, "more_than >= 0"),
    ],
)
def test_what_does_not_fit_each_other_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=f"yard: .*{words}"):
        RuleSpec(**{"name": "yard", "class_ids": frozenset({0}), **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", [{"zone": "mat"}, {"line": "gate"}])
def test_a_rule_on_a_place_that_is_not_there_is_refused(missing: dict[str, str]) -> None:
    rule = RuleSpec(name="yard", class_ids=frozenset({0}), **missing)  # type: ignore[arg-type]
    check_rules([rule], ["mat"], ["gate"])
    with pytest.raises(ValueError, match="yard: no such zone or line"):
        check_rules([rule], [], [])


@pytest.mark.parametrize(
    "wrong",
    [
        RuleSpec(name="wrong", all_of=("both",)),
        RuleSpec(name="wrong", any_of=("both",)),
        RuleSpec(name="wrong", any_of=("yard",), none_of=("both",)),
    ],
)
def test_only_rules_on_objects_are_combined(wrong: RuleSpec) -> None:
    yard = RuleSpec(name="yard", class_ids=frozenset({0}))
    both = RuleSpec(name="both", any_of=("yard",))
    check_rules([yard, both], [], [])
    with pytest.raises(ValueError, match="wrong: no such rule on objects: both"):
        check_rules([yard, both, wrong], [], [])
    with pytest.raises(ValueError, match="both: no such rule on objects: yard"):
        check_rules([both], [], [])


@pytest.mark.parametrize("wrong", [{"after_s": -1.0}, {"end_after_s": 0.0}, {"min_area": 1.5}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="yard: after_s >= 0"):
        RuleSpec(name="yard", class_ids=frozenset({0}), **wrong)  # type: ignore[arg-type]
