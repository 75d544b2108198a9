"""What makes an event: the rules of a camera, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.names import topic_level

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """Objects of some classes, there for a while, make an event each.

    Raises:
        ValueError: a duration or an area is out of range.
    """

    name: str  # [a-z0-9][a-z0-9_-]*
    class_ids: frozenset[int]
    after_s: float = 0.5  # how long an object has been there when its event starts
    end_after_s: float = 2.0  # how long it has been gone when its event ends
    min_area: float = 0.0  # of its box, as a fraction of the frame
    listed: bool = True  # False: not among the active rules before its first event (a rule for each of 80 classes)

    def __post_init__(self) -> None:
        if self.after_s < 0 or self.end_after_s <= 0 or not 0 <= self.min_area <= 1:
            raise ValueError(f"{self.name}: after_s >= 0, end_after_s > 0 and 0 <= min_area <= 1 expected, got {self}")


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


def _rule_name(label: str, class_id: int) -> str:
    """Return a class name made to fit `[a-z0-9][a-z0-9_-]*`."""
    name = _NOT_IN_A_NAME.sub("-", topic_level(label)).strip("-_")
    return name or f"class-{class_id}"
