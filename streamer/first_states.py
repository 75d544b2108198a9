"""What the retained topics say before anything has been seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.names import canonical, class_id, needs_alias, topic_level
from streamer.events.lines import IN, OUT
from streamer.events.rules import default_rules
from streamer.pipeline.outcome import NULL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streamer.infer.spec import ModelSpec
    from streamer.settings import Camera


def first_states(
    cameras: Mapping[str, Camera], specs: Mapping[str, ModelSpec], retained: Collection[str]
) -> dict[str, bytes]:
    """Return the first payloads of `objects`, `class`, `active` and `lines` of every camera, disabled ones too.

    A camera that watches every class has no topics before its first object; but what an earlier run has left at the
    broker belongs to it, and says now that nothing is known. Crossings of lines are counted anew in each run.

    Args:
        cameras: all that are configured.
        specs: the models that enabled cameras use.
        retained: the topics of earlier runs, relative to the prefix.
    """
    states: dict[str, bytes] = {}
    for name, camera in cameras.items():
        states |= {f"{name}/class/{item.name}": NULL for item in camera.classify if not item.of.objects}
        if camera.detect is None:
            continue
        spec = specs.get(camera.detect.model)
        states |= {f"{name}/objects/{level}": NULL for level in _levels(camera, spec, _left(retained, name, "objects"))}
        states |= {f"{name}/active/{rule}": b"0" for rule in _rules(camera, spec, _left(retained, name, "active"))}
        states |= {f"{name}/lines/{line}/{direction}": b"0" for line in camera.lines for direction in (IN, OUT)}
    return states


def left_classes(camera: str, spec: ModelSpec, retained: Collection[str]) -> set[int]:
    """Return the ids of the classes of which an earlier run has left a number at the broker."""
    left = _left(retained, camera, "objects")
    return {class_id for class_id, level in enumerate(spec.topic_levels) if level in left}


def _left(retained: Collection[str], camera: str, kind: str) -> set[str]:
    """Return the last levels of the topics of one kind that earlier runs have left."""
    start = f"{camera}/{kind}/"
    return {topic.removeprefix(start) for topic in retained if topic.startswith(start)}


def _levels(camera: Camera, spec: ModelSpec | None, left: set[str]) -> set[str]:
    """Return the classes that a camera watches, as they stand in topics."""
    classes = camera.detect.classes if camera.detect else None
    if spec is not None:
        levels = spec.topic_levels
        return left & set(levels) if classes is None else {levels[class_id(spec.labels, name)] for name in classes}
    if classes is None:
        return left
    # A disabled camera's model is not read. Its own spelling of a class is what an earlier run has used.
    spelled = {canonical(level): level for level in left}
    levels = tuple(spelled.get(canonical(name), topic_level(name)) for name in classes)
    return {level for level in levels if not needs_alias(level)}


def _rules(camera: Camera, spec: ModelSpec | None, left: set[str]) -> set[str]:
    """Return the names of a camera's rules, as far as they have topics."""
    if camera.events is not None:
        return {rule.name for rule in camera.events if rule.decide is None}
    classes = camera.detect.classes if camera.detect else None
    if spec is None:
        named = sorted(_levels(camera, None, left))
        return left if classes is None else {rule.name for rule in default_rules(named, None)}
    ids = None if classes is None else [class_id(spec.labels, name) for name in classes]
    names = {rule.name for rule in default_rules(spec.topic_levels, ids)}
    return left & names if classes is None else names
