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
        known = labels.get(camera.detect.model) if camera.detect else None
        if known is None:
            continue
        by_canonical = {canonical(label): label for label in known}
        for below, asked in _asked(camera):
            if canonical(asked) not in by_canonical:
                near = nearest(canonical(asked), by_canonical)
                said = shown(asked) or "this"
                message = f"{said} is no class of the model{near}; it has {listed(known, limit=12)}"
                problems.append(loaded.problem(("cameras", name, *below), message))
    return sorted(problems)


def _asked(camera: Camera) -> Iterator[tuple[KeyPath, str]]:
    for name in (camera.detect and camera.detect.classes) or {}:
        yield ("detect", "classes", name), name
    for i, rule in enumerate(camera.events or ()):
        yield from ((("events", str(i), "class"), name) for name in rule.class_names)
