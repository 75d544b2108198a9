"""What of a camera is classified, made from its settings: where its frames go, its classes, and its second stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.names import class_id
from streamer.events.classes import ClassSpec, ClassStates
from streamer.events.labels import LabelSpec, LabelVotes
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.closer_looks import CloserLooks
from streamer.pipeline.outlets import DetectorOutlet, DetectorPlan, LooksOutlet, LooksPlan
from streamer.pipeline.tandem import Crop, Tandem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.frame import AnyPicture, FrameInfo
    from streamer.infer.spec import ModelSpec
    from streamer.pipeline.gated import Gated
    from streamer.pipeline.outlets import Outlet
    from streamer.settings import Camera
    from streamer.settings.classify import Classify
    from streamer.settings.rule import Rule

    from .queues import Queues


def outlets_of(
    name: str,
    camera: Camera,
    queues: Queues,
    *,
    gate: Gated | None,
    skipped: Callable[[], None],
    closer: CloserLooks | None,
) -> list[Outlet]:
    """Return where a camera's frames go.

    Args:
        name: of the camera.
        camera: its settings.
        queues: of the models.
        gate: skips frames for the detector while nothing moves.
        skipped: told of each frame that the gate has skipped.
        closer: has the detector look closer where something small moves, if it is to.
    """
    outlets: list[Outlet] = []
    if camera.detect is not None:
        plan = DetectorPlan(
            camera=name,
            frames=queues.frames[camera.detect.model],
            cadence=None if _only_triggered(camera) else Cadence(camera.detect_fps),
            items=bool(camera.decides and camera.decides.class_names),
            gate=gate,
            skipped=skipped,
            closer=closer,
        )
        outlets.append(DetectorOutlet(plan))
    judged = (camera.decides.labels or {}) if camera.decides else {}
    outlets += [
        LooksOutlet(
            LooksPlan(
                camera=name,
                name=item.name,
                looks=queues.looks[item.model],
                cadence=None if item.name in judged else Cadence(item.rate),
                zone=None if item.of.zone is None else camera.zones[item.of.zone].polygon,
            )
        )
        for item in camera.classify
        if not item.of.objects
    ]
    return outlets


def frames_are_items(camera: Camera) -> bool:
    """Whether each frame of a camera that is looked at is to show an item: nothing is wanted of it but verdicts."""
    rule, trigger = camera.decides, _trigger(camera)
    if rule is None or trigger == "line":
        return False
    if len(camera.events or ()) > 1 or camera.publish_detections or camera.looks_at_objects or camera.lines:
        return False
    if camera.detect and not rule.class_names:  # its detector counts objects
        return False
    if camera.detect and trigger != "frame" and camera.delivery == "every":
        return False
    return all(item.name in (rule.labels or {}) for item in camera.classify)


def _only_triggered(camera: Camera) -> bool:
    """Whether only frames that show a triggered item are detected in."""
    return _trigger(camera) != "frame" and frames_are_items(camera)


def _trigger(camera: Camera) -> str | None:
    """Return what begins a camera's items, if it has any."""
    rule = camera.decides
    return None if rule is None or rule.decide is None else rule.decide.trigger.kind


def classes_of(camera: Camera, specs: Mapping[str, ModelSpec]) -> ClassStates | None:
    """Return what a camera's frames and zones show overall, or None where nobody asks."""
    states = [_class_spec(item, specs[item.model]) for item in camera.classify if not item.of.objects]
    return ClassStates(states) if states else None


def tandem_of(
    camera: Camera,
    specs: Mapping[str, ModelSpec],
    *,
    queues: Queues,
    picture_of: Callable[[FrameInfo], AnyPicture | None],
    refused: Callable[[], None],
) -> Tandem | None:
    """Return a camera's second stage, or None where objects are only detected.

    Args:
        camera: its settings.
        specs: of the models.
        queues: of the models.
        picture_of: gives the picture of a frame that the detector has just seen.
        refused: told of each look for which there was no room.
    """
    items = [item for item in camera.classify if item.of.objects]
    if not items or camera.detect is None:
        return None
    detector = specs[camera.detect.model]
    votes = LabelVotes([_label_spec(item, detector, specs[item.model]) for item in items])
    crops = {
        item.name: Crop(margin=item.margin, square=item.square, offer=queues.looks[item.model].offer) for item in items
    }
    return Tandem(votes, crops, picture_of=picture_of, refused=refused)


def closer_of(camera: Camera, specs: Mapping[str, ModelSpec]) -> CloserLooks:
    """Return what has a camera's detector look closer where something small moves."""
    spec = specs[camera.main_model]
    classes = camera.detect.classes if camera.detect else None
    wanted = None if classes is None else {class_id(spec.labels, name): least for name, least in classes.items()}
    return CloserLooks(spec.input.hw, wanted=wanted)


def labels_of(rule: Rule, camera: Camera, specs: Mapping[str, ModelSpec]) -> dict[str, frozenset[str]]:
    """Return the labels that a rule asks for, as their models spell them, by the classification's name."""
    known = {item.name: specs[item.model].labels for item in camera.classify}
    return {
        name: frozenset(known[name][class_id(known[name], wanted)] for wanted in classes)
        for name, classes in (rule.labels or {}).items()
    }


def _class_spec(item: Classify, model: ModelSpec) -> ClassSpec:
    return ClassSpec(
        name=item.name,
        labels=model.labels,
        agree=item.votes,
        last=item.last,
        for_s=item.for_s,
        least=item.score,
        thresholds=thresholds_of(model),
    )


def _label_spec(item: Classify, detector: ModelSpec, model: ModelSpec) -> LabelSpec:
    return LabelSpec(
        name=item.name,
        class_ids=frozenset(class_id(detector.labels, wanted) for wanted in item.of.class_names or ()),
        labels=model.labels,
        agree=item.votes,
        least=item.score,
        again_s=item.again_s,
        thresholds=thresholds_of(model),
    )


def thresholds_of(model: ModelSpec) -> tuple[float, ...]:
    """Return from which score on each class is there, of a model that judges each for itself; else nothing."""
    return model.scoring.thresholds if model.scoring is not None else ()
