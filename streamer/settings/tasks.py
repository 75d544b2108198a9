"""Whether classifications, labels and verdicts fit their camera. They read the plain values, whatever else is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.names import canonical

from .plain import at, items, mapping, texts
from .problem import KeyPath, listed, nearest
from .rules import combines
from .values import as_bool, as_number, as_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .reader import Raw

Found = tuple[KeyPath, str]

_NEEDS_DETECT = ("publish_detections", "lines")
_OF_FRAMES = ("last", "for")  # keys that mean nothing for objects, and the other way round
_OF_OBJECTS = ("margin", "square", "again")
_NO_EVENT = ("line", "count")  # keys that mean nothing for a verdict
_OF_DEFECTS = ("zone", "min_area")


def looked_at(camera: Raw, path: KeyPath) -> Iterator[Found]:
    """Yield what is wrong with a camera's classifications, and with the labels that rules ask for."""
    detects = bool(at(camera, "detect"))
    for i, item in items(at(camera, "classify")):
        here = (*path, "classify", i)
        if at(item, "every") is not None and at(item, "fps") is not None:
            yield (*here, "fps"), "can't stand beside `every`; keep one of the two"
        agree, last = as_number(at(item, "agree")), as_number(at(item, "last"))
        if last is not None and last < (agree or 1):
            yield (*here, "last"), "must be at least `agree`: so many of the last answers agree"
        objects = bool(texts(at(at(item, "of"), "class")))
        if objects and not detects:
            yield (*here, "of", "class"), "needs `detect`: what is not detected can't be looked at"
        for key in _OF_FRAMES if objects else _OF_OBJECTS:
            if at(item, key) is not None:
                yield (*here, key), f"means nothing for {'objects' if objects else 'a frame or a zone'}; leave it out"
    for i, rule in items(at(camera, "events")):
        yield from _labelled(camera, rule, (*path, "events", i))


def _labelled(camera: Raw, rule: Raw, here: KeyPath) -> Iterator[Found]:
    known = {str(at(item, "name")): item for _, item in items(at(camera, "classify"))}
    for name in mapping(at(rule, "labels")):
        if name not in known:
            allowed = f"known: {listed(list(known))}" if known else "there is none"
            yield (*here, "labels", name), f"is no entry of the camera's `classify`{nearest(name, known)}; {allowed}"
            continue
        of = {canonical(text) for text in texts(at(at(known[name], "of"), "class"))}
        decided_by_frame = at(rule, "decide") is not None and not _by_line(rule)
        if of and decided_by_frame:
            yield (
                (*here, "labels", name),
                "looks at objects; a verdict on a frame needs `of: frame` or `of: {zone: ...}`",
            )
        elif not of and not decided_by_frame:
            yield (*here, "labels", name), "looks at no objects; objects are told apart by `of: {class: [...]}`"
        elif of and (lacking := [text for text in _told_apart(rule) if canonical(text) not in of]):
            said = f"does not look at {listed(lacking)}; name them in its `of: {{class: [...]}}`"
            yield (*here, "labels", name), said


def decided(camera: Raw, path: KeyPath) -> Iterator[Found]:
    """Yield what is wrong with a camera's verdicts, and what needs a detector that is not there."""
    detects = bool(at(camera, "detect"))
    first: str | None = None
    for i, rule in items(at(camera, "events")):
        here, decide = (*path, "events", i), at(rule, "decide")
        if decide is None:
            if at(rule, "class") is None and isinstance(rule, dict) and not combines(rule):
                yield (*here, "class"), "is missing: which classes make the event?"
            elif not detects:
                yield here, "needs `detect`: events are made of detected objects"
            continue
        if first is not None:
            yield (*here, "decide"), f"stands twice; one camera gives one verdict: name all classes in events.{first}"
        first = first or i
        yield from _verdict(rule, decide, here, detects=detects)
    for key in _NEEDS_DETECT:
        if not detects and at(camera, key) not in (None, False, {}):
            yield (*path, key), "needs `detect`"
    if not detects and as_bool(at(at(camera, "motion"), "enabled")):
        yield (*path, "motion", "enabled"), "needs `detect`: classifications keep their own pace"


def _verdict(rule: Raw, decide: Raw, here: KeyPath, *, detects: bool) -> Iterator[Found]:
    if at(rule, "class") is None and not mapping(at(rule, "labels")):
        yield here, "needs `class`, the defects that are detected, or `labels`, those of a classification"
    if at(rule, "class") is not None and not detects:
        yield (*here, "class"), "needs `detect`; a verdict on a classification alone has `labels` in place of `class`"
    for key in _OF_DEFECTS:
        if at(rule, key) is not None and at(rule, "class") is None:
            yield (*here, key), "needs `class`: it says which detected defects count"
    for key in _NO_EVENT:
        if at(rule, key) is not None:
            instead = (
                "; what begins an item is `decide: {trigger: {line: NAME, class: [NAME]}}`" if key == "line" else ""
            )
            yield (*here, key), f"can't stand beside `decide`{instead}"
    yield from _times(decide, here)
    if _by_line(rule) and not detects:
        yield (*here, "decide", "trigger"), "needs `detect`: items are objects that cross the line"


def _times(decide: Raw, here: KeyPath) -> Iterator[Found]:
    deadline = as_seconds(at(decide, "deadline")) or 0.0
    delay, later = as_seconds(at(at(decide, "output"), "delay")), as_seconds(at(decide, "picture_after"))
    if delay and delay < deadline:
        said = "must be 0s, or at least `deadline`: a verdict may come as late as that"
        yield (*here, "decide", "output", "delay"), said
    if later and 0 < deadline <= later:
        yield (*here, "decide", "picture_after"), "must be shorter than `deadline`, which runs from the trigger"
    if later and not _by_trigger(decide):
        yield (*here, "decide", "picture_after"), "needs `trigger: command` or `trigger: {gpio: ...}`"


def wired(cameras: Raw) -> Iterator[Found]:
    """Yield each GPIO line that stands twice: a line is an input or an output, of one camera."""
    first: dict[tuple[str, str], str] = {}
    for name, camera in mapping(cameras).items():
        for i, rule in items(at(camera, "events")):
            decide = at(rule, "decide")
            for below, line in (
                (("output",), at(decide, "output")),
                (("trigger", "gpio"), at(at(decide, "trigger"), "gpio")),
            ):
                chip, number = at(line, "chip"), at(line, "line")
                if not isinstance(chip, str) or not isinstance(number, str):
                    continue
                place = (*("cameras", name, "events", i, "decide"), *below, "line")
                taken = first.setdefault((chip.removeprefix("/dev/"), number), ".".join(place))
                if taken != ".".join(place):
                    yield place, f"is taken: {taken} is the same line"


def _told_apart(rule: Raw) -> list[str]:
    """Return the classes of the objects whose labels a rule asks for: its own, or those of the items on a line."""
    return texts(at(at(at(rule, "decide"), "trigger"), "class") if _by_line(rule) else at(rule, "class"))


def _by_trigger(decide: Raw) -> bool:
    trigger = at(decide, "trigger")
    return trigger == "command" or at(trigger, "gpio") is not None


def _by_line(rule: Raw) -> bool:
    return at(at(at(rule, "decide"), "trigger"), "line") is not None
