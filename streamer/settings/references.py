"""Checks that look at two places of the file at once. They read the plain values, whatever else is wrong in them."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from streamer.core.names import canonical

from .plain import at, items, mapping, named, numbers, texts
from .problem import KeyPath, listed, nearest, shown
from .rules import clipped, ruled, told, zoomed
from .tasks import decided, looked_at, wired
from .values import as_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .address import BrokerAddress, Source
    from .reader import Raw

Found = tuple[KeyPath, str]

_LEAST_LENGTH = 0.001  # of a line, fractions of the picture


def dangling(values: Raw, sources: dict[str, Source], broker: BrokerAddress | None) -> Iterator[Found]:
    """Yield the key and the sentence of each thing that does not fit another.

    Args:
        values: the file's values.
        sources: the address of each camera whose address is right.
        broker: the broker's address, if it is right.
    """
    models = list(mapping(at(values, "models")))
    yield from _login(values, broker)
    cameras = at(values, "cameras")
    if cameras == {}:
        yield ("cameras",), "must name at least one camera"
    for name, camera in mapping(cameras).items():
        if isinstance(camera, dict):
            path = ("cameras", name)
            yield from _work(camera, path)
            yield from _models(camera, path, models)
            yield from _rate(camera, path, sources.get(name))
            yield from _detected(camera, path)
            yield from _places(camera, path)
            yield from _lengths(camera, path)
            yield from _counted(camera, path)
            yield from _twice(camera, path)
            yield from looked_at(camera, path)
            yield from decided(camera, path)
            yield from ruled(camera, path)
            yield from clipped(camera, path)
            yield from zoomed(camera, path, every=_every(camera, sources.get(name)))
    yield from wired(cameras)
    yield from told(values)


def _login(values: Raw, broker: BrokerAddress | None) -> Iterator[Found]:
    mqtt = at(values, "mqtt")
    if broker and (broker.username or broker.password) and (at(mqtt, "username") or at(mqtt, "password")):
        yield ("mqtt", "url"), "holds a login, and so do `username` and `password`; keep one of the two"


def _work(camera: Raw, path: KeyPath) -> Iterator[Found]:
    if not at(camera, "detect") and not at(camera, "classify"):
        yield path, "has nothing to do; give it `detect` (or `classify`)"


def _models(camera: Raw, path: KeyPath, models: list[str]) -> Iterator[Found]:
    mentioned: list[tuple[KeyPath, Raw]] = [(("detect", "model"), at(at(camera, "detect"), "model"))]
    mentioned += [(("classify", i, "model"), at(item, "model")) for i, item in items(at(camera, "classify"))]
    for below, name in mentioned:
        if isinstance(name, str) and name not in models:
            known = f"known: {listed(models)}" if models else "write it as `models: {NAME: {model: yolox-nano}}`"
            yield (*path, *below), f"{named(name)}is no entry of `models`{nearest(name, models)}; {known}"


def _every(camera: Raw, source: Source | None) -> bool:
    frames = at(camera, "frames")
    return frames == "every" or (frames is None and source is not None and not source.live)


def _rate(camera: Raw, path: KeyPath, source: Source | None) -> Iterator[Found]:
    frames, every = at(camera, "frames"), _every(camera, source)
    fps = as_number(at(at(camera, "detect"), "fps"))
    if every and fps:
        why = "`frames: every`" if frames == "every" else "a file, which is read with `frames: every`"
        yield (*path, "detect", "fps"), f"must be 0 or left out with {why}; or write `frames: newest`"


def _detected(camera: Raw, path: KeyPath) -> Iterator[Found]:
    classes = at(at(camera, "detect"), "classes")
    if not isinstance(classes, dict):
        return
    seen: dict[str, str] = {}
    for name in classes:
        first = seen.setdefault(canonical(name), name)
        if first != name:
            yield (
                (*path, "detect", "classes", name),
                f"is the same class as {shown(first) or 'another'}; keep one of the two",
            )
    for below, name in _classes_named(camera):
        if canonical(name) not in seen:
            near = nearest(name, classes)
            yield (*path, *below), f"{named(name)}is not among detect.classes{near}; allowed: {listed(classes)}"


def _classes_named(camera: Raw) -> Iterator[tuple[KeyPath, str]]:
    for i, rule in items(at(camera, "events")):
        yield from ((("events", i, "class"), name) for name in texts(at(rule, "class")))
        yield from ((("events", i, "left", "by"), name) for name in texts(at(at(rule, "left"), "by")))
    for i, item in items(at(camera, "classify")):
        yield from ((("classify", i, "of", "class"), name) for name in texts(at(at(item, "of"), "class")))
    for i, rule in items(at(camera, "events")):
        crossing = at(at(rule, "decide"), "trigger")
        yield from ((("events", i, "decide", "trigger", "class"), name) for name in texts(at(crossing, "class")))


def _places(camera: Raw, path: KeyPath) -> Iterator[Found]:
    mentioned: list[tuple[KeyPath, Raw]] = [
        (("classify", i, "of", "zone"), at(at(item, "of"), "zone")) for i, item in items(at(camera, "classify"))
    ]
    for i, rule in items(at(camera, "events")):
        mentioned += [(("events", i, "zone"), at(rule, "zone")), (("events", i, "line"), at(rule, "line"))]
        mentioned.append((("events", i, "decide", "trigger", "line"), at(at(at(rule, "decide"), "trigger"), "line")))
        if at(rule, "direction") is not None and at(rule, "line") is None:
            yield (*path, "events", i, "direction"), "needs a `line` that is crossed"
    for below, name in mentioned:
        kind = f"{below[-1]}s"
        known = list(mapping(at(camera, kind)))
        if isinstance(name, str) and name not in known:
            allowed = f"known: {listed(known)}" if known else "there is none"
            yield (
                (*path, *below),
                f"{named(name)}is no entry of the camera's `{kind}`{nearest(name, known)}; {allowed}",
            )


def _lengths(camera: Raw, path: KeyPath) -> Iterator[Found]:
    for name, line in mapping(at(camera, "lines")).items():
        start, end = numbers(at(line, "from")), numbers(at(line, "to"))
        if len(start) == len(end) == 2 and math.dist(start, end) < _LEAST_LENGTH:
            yield (*path, "lines", name, "to"), "must be another point than `from`: a line needs a length"


def _counted(camera: Raw, path: KeyPath) -> Iterator[Found]:
    for i, rule in items(at(camera, "events")):
        if at(rule, "count") is not None and at(rule, "line") is not None:
            how = "keep one of the two (crossings are counted under `lines/` of the camera's topics)"
            yield (*path, "events", i, "count"), f"can't stand beside `line`; {how}"


def _twice(camera: Raw, path: KeyPath) -> Iterator[Found]:
    for kind in ("events", "classify"):
        names = [(i, at(item, "name")) for i, item in items(at(camera, kind))]
        count = Counter(name for _, name in names if isinstance(name, str))
        first = {name: i for i, name in reversed(names) if isinstance(name, str)}
        for i, name in names:
            if isinstance(name, str) and count[name] > 1 and first[name] != i:
                yield (*path, kind, i, "name"), f"{named(name)}stands twice in `{kind}`; each needs its own name"
