"""What makes an event: the rules of a camera, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamer.core.names import topic_level

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from streamer.core.quiet import QuietHours

    from .sighting import Labels

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """What makes an event: an object there for a while, or one of the other kinds, of which a rule is at most one.

    Those are: an object that crosses a line, too many objects at once, an object left behind, one that is taken away,
    and other rules' events together.

    Raises:
        ValueError: a value is out of range, or two do not fit each other.
    """

    name: str  # [a-z0-9][a-z0-9_-]*
    class_ids: frozenset[int] = frozenset()  # none: other rules are asked, as `all_of`, `any_of` and `none_of` say
    after_s: float = 0.5  # how long an object has been there when its event starts
    end_after_s: float = 2.0  # how long it has been gone when its event ends
    min_area: float = 0.0  # of its box, as a fraction of the frame
    zone: str | None = None  # only what is in this zone
    line: str | None = None  # each crossing of this line is an event
    direction: str | None = None  # of the crossing: in | out; None: both
    more_than: int | None = None  # one event, while there are more objects than this
    # Only what second models call so: name of the classification -> classes. A dict has no hash.
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    left_by: frozenset[int] = frozenset()  # only what an object of these classes has brought, and left for `after_s`
    removed: bool = False  # each object that had been at rest and is taken away is an event
    all_of: tuple[str, ...] = ()  # names of rules: each has an event that is open,
    any_of: tuple[str, ...] = ()  # one of them has,
    none_of: tuple[str, ...] = ()  # none has
    quiet: tuple[QuietHours, ...] = ()  # in which no event starts
    cooldown_s: float = 0.0  # after the end of its last event no other one starts for so long
    listed: bool = True  # False: not among the active rules before its first event (a rule for each of 80 classes)

    def __post_init__(self) -> None:
        if self.after_s < 0 or self.end_after_s <= 0 or not 0 <= self.min_area <= 1:
            raise ValueError(f"{self.name}: after_s >= 0, end_after_s > 0 and 0 <= min_area <= 1 expected, got {self}")
        if self.cooldown_s < 0:
            raise ValueError(f"{self.name}: cooldown_s >= 0 expected, got {self.cooldown_s}")
        kinds = (self.line is not None, self.more_than is not None, bool(self.left_by), self.removed, self.combines)
        if sum(kinds) > 1:
            raise ValueError(
                f"{self.name}: line, count, left, removed and other rules: one at most expected, got {self}"
            )
        if self.combines != (not self.class_ids):
            raise ValueError(f"{self.name}: either classes or other rules (all, any) expected, got {self}")
        if self.none_of and not self.combines:
            raise ValueError(f"{self.name}: `not` needs `all` or `any` beside it: a rule's event shows what is there")
        if self.combines and (self.zone is not None or self.labels or self.min_area):
            raise ValueError(f"{self.name}: zone, labels and min_area are for objects, not for other rules")
        if self.direction not in (None, "in", "out") or (self.direction is not None and self.line is None):
            raise ValueError(f"{self.name}: a direction is in or out of a line, got {self}")
        if self.more_than is not None and self.more_than < 0:
            raise ValueError(f"{self.name}: more_than >= 0 expected, got {self.more_than}")

    @property
    def combines(self) -> bool:
        """Whether its truth is that of other rules' events."""
        return bool(self.all_of or self.any_of)

    def looks_at(self, zones: Sequence[str]) -> bool:
        """Whether an object in these zones is where the rule looks."""
        return self.zone is None or self.zone in zones

    def fits(self, labels: Labels) -> bool:
        """Whether an object with these labels is what the rule asks for; one that is not decided yet is not."""
        return all(name in labels and labels[name][0] in classes for name, classes in self.labels.items())


def default_rules(labels: Sequence[str], class_ids: Iterable[int] | None) -> tuple[RuleSpec, ...]:
    """Return one rule for each class, named after it, in the order of the class ids.

    Args:
        labels: the model's class names; the index is the class id.
        class_ids: those asked for; None for every class, whose rules are listed only from their first event on.
    """
    wanted = range(len(labels)) if class_ids is None else sorted(set(class_ids))
    rules: list[RuleSpec] = []
    taken: set[str] = set()
    for class_id in wanted:
        name = _rule_name(labels[class_id], class_id)
        if name in taken:  # two spellings that are one in a topic
            name = f"{name}-{class_id}"
        taken.add(name)
        rules.append(RuleSpec(name=name, class_ids=frozenset({class_id}), listed=class_ids is not None))
    return tuple(rules)


def check_rules(rules: Sequence[RuleSpec], zones: Collection[str], lines: Collection[str]) -> None:
    """Refuse rules of one camera that name what it does not have.

    Raises:
        ValueError: there is no such zone, line or rule on objects.
    """
    combines = {rule.name: rule.combines for rule in rules}
    for rule in rules:
        if rule.zone not in (None, *zones) or rule.line not in (None, *lines):
            raise ValueError(f"{rule.name}: no such zone or line: {rule.zone or rule.line}")
        for name in (*rule.all_of, *rule.any_of, *rule.none_of):
            if combines.get(name, True):
                raise ValueError(f"{rule.name}: no such rule on objects: {name}")


def _rule_name(label: str, class_id: int) -> str:
    """Return a class name made to fit `[a-z0-9][a-z0-9_-]*`."""
    name = _NOT_IN_A_NAME.sub("-", topic_level(label)).strip("-_")
    return name or f"class-{class_id}"
