"""Whether a camera's rules fit one another, and what they stand on. Reads the plain values, whatever else is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.names import topic_level

from .plain import at, items, mapping, named, texts
from .problem import KeyPath, listed, nearest
from .values import as_bool, as_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .reader import Raw

Found = tuple[KeyPath, str]

COMBINES = ("all", "any", "not")
_OF_OBJECTS = ("class", "zone", "line", "direction", "count", "left", "removed", "decide", "labels", "min_area")
_NO_VERDICT = ("quiet", "cooldown", "left", "removed", *COMBINES)
_ALONE = ("line", "count", "decide")  # what neither `left` nor `removed` can stand beside


def combines(rule: Raw) -> bool:
    """Whether a rule is made of other rules."""
    return any(at(rule, key) not in (None, []) for key in COMBINES)


def ruled(camera: Raw, path: KeyPath) -> Iterator[Found]:
    """Yield what is wrong with a camera's rules on things left behind or taken away, and with its combinations."""
    rules = {str(at(rule, "name")): rule for _, rule in items(at(camera, "events"))}
    for i, rule in items(at(camera, "events")):
        here = (*path, "events", i)
        if combines(rule):
            yield from _combined(rule, here, rules)
        if at(rule, "decide") is not None:
            for key in _NO_VERDICT:
                if at(rule, key) not in (None, [], "false", False):
                    yield (*here, key), "can't stand beside `decide`: a verdict is given for each item"
            continue
        removed = as_bool(at(rule, "removed"))
        if removed and at(rule, "left") is not None:
            yield (*here, "removed"), "can't stand beside `left`; make two rules of it"
        for key in _ALONE:
            for beside in ("left", "removed") if at(rule, key) is not None else ():
                if at(rule, "left") is not None if beside == "left" else removed:
                    yield (*here, beside), f"can't stand beside `{key}`"


def _combined(rule: Raw, here: KeyPath, rules: dict[str, Raw]) -> Iterator[Found]:
    for key in _OF_OBJECTS:
        if at(rule, key) not in (None, "false", False):
            yield (*here, key), f"can't stand beside {listed(COMBINES)}: the rules that are named say what counts"
    if at(rule, "all") is None and at(rule, "any") is None:
        yield (*here, "not"), "needs `all` or `any` beside it: an event is of something that is there"
    for name in sorted({*texts(at(rule, "all"))} & {*texts(at(rule, "not"))}):
        yield (*here, "not"), f"{named(name)}is in `all`, too: it can't have an event and have none"
    for key in COMBINES:
        for name in texts(at(rule, key)):
            if name == at(rule, "name"):
                yield (*here, key), f"{named(name)}is this rule itself"
            elif name not in rules:
                known = [other for other in rules if other != at(rule, "name")]
                allowed = f"known: {listed(known)}" if known else "there is no other"
                yield (*here, key), f"{named(name)}is no rule of the camera{nearest(name, known)}; {allowed}"
            elif combines(rules[name]) or at(rules[name], "decide") is not None:
                yield (*here, key), f"{named(name)}is no rule on objects: only such can be combined"


def zoomed(camera: Raw, path: KeyPath, *, every: bool) -> Iterator[Found]:
    """Yield what is wrong with looking closer where nobody says where something moves.

    Args:
        camera: its values.
        path: where it stands.
        every: each of its frames is looked at.
    """
    if not as_bool(at(at(camera, "detect"), "zoom")):
        return
    enabled = as_bool(at(at(camera, "motion"), "enabled"))
    wants_all = at(camera, "publish_detections") not in (None, False, "false") or any(
        at(rule, "decide") is not None for _, rule in items(at(camera, "events"))
    )
    if every:
        said = "the motion gate, which says where something moves, is off where every frame is looked at"
        yield (*path, "detect", "zoom"), f"{said}: leave it out, or write `frames: newest`"
    elif enabled is False or (enabled is None and wants_all):
        yield (*path, "detect", "zoom"), "needs the gate, which says where something moves: `motion: {enabled: true}`"


def clipped(camera: Raw, path: KeyPath) -> Iterator[Found]:
    """Yield what is wrong with a clip that would be over before its event begins."""
    clip = at(at(camera, "save"), "clip")
    if not isinstance(clip, dict):
        return
    given = {key: as_seconds(at(clip, key) or default) for key, default in (("before", "5s"), ("longest", "5m"))}
    before_s, longest_s = given["before"], given["longest"]
    if before_s is not None and longest_s is not None and 0 < longest_s <= before_s:
        key = "longest" if at(clip, "longest") else "before"
        yield (*path, "save", "clip", key), "`longest` must be longer than `before`, else no clip shows its event"


def told(values: Raw) -> Iterator[Found]:
    """Yield what is wrong with the sinks beside the broker."""
    cameras = mapping(at(values, "cameras"))
    first: dict[str, str] = {}
    for i, sink in items(at(values, "sinks")):
        here: KeyPath = ("sinks", i)
        kinds = [key for key in ("webhook", "command") if at(sink, key) is not None]
        if len(kinds) != 1:
            yield here, "needs `webhook` or `command`, one of the two"
        for key in ("secret", "headers"):
            if kinds == ["command"] and at(sink, key) is not None:
                yield (*here, key), "is for a webhook"
        name = at(sink, "name")
        if isinstance(name, str) and first.setdefault(name, i) != i:
            yield (*here, "name"), f"{named(name)}stands twice in `sinks`; each needs its own name"
        for camera in texts(at(sink, "cameras")):
            if camera not in cameras:
                known = list(cameras)
                yield (*here, "cameras"), f"{named(camera)}is no camera{nearest(camera, known)}; known: {listed(known)}"
        watched = [cameras[name] for name in texts(at(sink, "cameras")) or cameras if name in cameras]
        rules = _rule_names(watched)
        for rule in texts(at(sink, "events")) if rules is not None else ():
            if rule not in (rules or ()):
                known = sorted(rules or ())
                yield (*here, "events"), f"{named(rule)}is no rule of these cameras{nearest(rule, known)}"


def _rule_names(cameras: list[Raw]) -> set[str] | None:
    """Return the names of all rules of some cameras; None where the file alone does not say them."""
    names: set[str] = set()
    for camera in cameras:
        if at(camera, "events") is not None:
            names |= {str(at(rule, "name")) for _, rule in items(at(camera, "events"))}
            continue
        classes = at(at(camera, "detect"), "classes")
        if not isinstance(classes, dict):
            return None
        names |= {topic_level(name) for name in classes}
    return names
