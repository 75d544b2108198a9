"""Class names of the configuration against those that its models have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.names import canonical

from .problem import KeyPath, Problem, listed, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .camera import Camera
    from .load import Loaded


def check_classes(loaded: Loaded, labels: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Return a problem for each class that a camera asks for and its model does not have.

    Args:
        loaded: the configuration.
        labels: entry of `models` -> the model's class names; entries that could not be read are left out.
    """
    problems = []
    for name, camera in loaded.settings.cameras.items():
        for model, below, asked in _asked(camera):
            known = labels.get(model)
            if known is None:
                continue
            by_canonical = {canonical(label): label for label in known}
            if canonical(asked) not in by_canonical:
                near = nearest(canonical(asked), by_canonical)
                said = shown(asked) or "this"
                message = f"{said} is no class of the model{near}; it has {listed(known, limit=12)}"
                problems.append(loaded.problem(("cameras", name, *below), message))
    return sorted(problems)


def _asked(camera: Camera) -> Iterator[tuple[str, KeyPath, str]]:
    """Yield each class that is named: the model that must know it, the key, the name."""
    models = {item.name: item.model for item in camera.classify}
    for i, rule in enumerate(camera.events or ()):
        for name, classes in (rule.labels or {}).items():
            yield from ((models[name], ("events", str(i), "labels", name), asked) for asked in classes)
    if camera.detect is None:
        return
    model = camera.detect.model
    yield from ((model, ("detect", "classes", name), name) for name in camera.detect.classes or {})
    for i, item in enumerate(camera.classify):
        yield from ((model, ("classify", str(i), "of", "class"), name) for name in item.of.class_names or ())
    for i, rule in enumerate(camera.events or ()):
        yield from ((model, ("events", str(i), "class"), name) for name in rule.class_names)
        yield from ((model, ("events", str(i), "left", "by"), name) for name in (rule.left.by if rule.left else ()))
        crossing = rule.decide.trigger.crossing if rule.decide else None
        key = ("events", str(i), "decide", "trigger", "class")
        yield from ((model, key, name) for name in (crossing.class_names if crossing else ()))
