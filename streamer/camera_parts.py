"""What belongs to one camera of a run, made from its settings: its gate, its desk and its rules."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.names import class_id
from streamer.events.counts import ObjectCounts
from streamer.events.feed import open_feed_form
from streamer.events.life import CameraEvents
from streamer.events.rules import RuleSpec, default_rules
from streamer.motion.gate import MotionGate, MotionPlan
from streamer.pipeline.crossing_items import CrossingItems, ItemCrossing
from streamer.pipeline.desk import CameraDesk, DeskPlan
from streamer.pipeline.frames import Lane
from streamer.pipeline.gated import Gated, GatePlan
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.track.tracker import ObjectTracker

from .camera_looks import classes_of, labels_of
from .first_states import left_classes
from .queues import lane_of
from .serving import LEAST_SCORE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamer.decide.items import Items
    from streamer.events.ids import EventIds
    from streamer.infer.spec import ModelSpec
    from streamer.pipeline.messages import Still
    from streamer.pipeline.tandem import Tandem
    from streamer.pipeline.views_desk import Views
    from streamer.settings import Camera

_log = logging.getLogger(__name__)

_MEMORY_S = 2.0  # an object that is out of sight keeps its id at least so long


def gate_of(
    name: str, camera: Camera, *, settled_ns: Callable[[], int], still: Callable[[Still], None]
) -> Gated | None:
    """Return what skips a camera's frames while nothing moves, unless each is to be looked at.

    Args:
        name: of the camera.
        camera: its settings.
        settled_ns: of the camera's desk.
        still: told of what was skipped.
    """
    motion = camera.motion
    if not camera.gated:
        if motion.enabled:
            _log.info("the motion gate is off: `frames: every` looks at each frame", extra={"camera": name})
        return None
    plan = MotionPlan(
        sensitivity=motion.sensitivity,
        hold_s=motion.hold_s,
        heartbeat_s=motion.heartbeat_s,
        masks=motion.masks,
    )
    return Gated(GatePlan(gate=MotionGate(plan), settled_ns=settled_ns, still=still))


def desk_of(
    name: str,
    camera: Camera,
    specs: Mapping[str, ModelSpec],
    *,
    ids: EventIds,
    retained: set[str],
    tandem: Tandem | None,
    items: Items | None,
    views: Views | None,
) -> CameraDesk:
    """Return the desk of a camera.

    Args:
        name: of the camera.
        camera: its settings.
        specs: of the models.
        ids: of the events of the run.
        retained: topics under which earlier runs have left something.
        tandem: its second stage, if it has one.
        items: of which it gives verdicts, if it does.
        views: picks the best pictures of its events, if they are kept.
    """
    objects = None
    if camera.detect is not None:
        objects = _objects(name, camera, specs, ids=ids, retained=retained)
    return CameraDesk(
        DeskPlan(
            camera=name,
            max_age_ns=_max_age_ns(camera),
            lanes=(objects is not None) + sum(not item.of.objects for item in camera.classify),
            waits=lane_of(camera) is Lane.WAIT,
            objects=objects,
            tandem=tandem,
            classes=classes_of(camera, specs),
            items=items,
            crossing=_crossing(camera, specs, items, tandem),
            views=views,
        )
    )


def _objects(
    name: str, camera: Camera, specs: Mapping[str, ModelSpec], *, ids: EventIds, retained: set[str]
) -> Objects:
    spec = specs[camera.main_model]
    detect, labels, feed = camera.detect, spec.labels, camera.publish_detections
    least: dict[int, float] | float = LEAST_SCORE
    if detect is not None and detect.classes is not None:
        least = {class_id(labels, wanted): score for wanted, score in detect.classes.items()}
    rules = _rules(camera, specs, None if isinstance(least, float) else least)
    memory_s = max([_MEMORY_S, *(rule.end_after_s for rule in rules)])
    return Objects(
        ObjectsPlan(
            camera=name,
            tracker=ObjectTracker(least=least, memory_s=memory_s),
            events=CameraEvents(
                name,
                rules,
                labels,
                ids,
                zones={zone: where.polygon for zone, where in camera.zones.items()},
                lines={line: (where.start, where.end) for line, where in camera.lines.items()},
                pictures=camera.save.snapshot,
                clips=camera.clip is not None,
            ),
            counts=ObjectCounts(left_classes(name, spec, retained) if isinstance(least, float) else least),
            labels=labels,
            levels=spec.topic_levels,
            publish_detections=None if feed is None else open_feed_form(feed.format),
            max_age_ns=_max_age_ns(camera),
        )
    )


def _crossing(
    camera: Camera, specs: Mapping[str, ModelSpec], items: Items | None, tandem: Tandem | None
) -> CrossingItems | None:
    """Return what begins a camera's items where objects do that by crossing a line."""
    rule = camera.decides
    if items is None or rule is None or rule.decide is None or rule.decide.trigger.crossing is None:
        return None
    wanted, labels = rule.decide.trigger.crossing, specs[camera.main_model].labels
    which = ItemCrossing(
        line=wanted.line,
        direction=wanted.direction,
        class_ids=frozenset(class_id(labels, name) for name in wanted.class_names),
        deadline_ns=round(rule.decide.deadline_s * NS_PER_S),
    )
    return CrossingItems(items, which, (lambda _: {}) if tandem is None else tandem.decided_of)


def _max_age_ns(camera: Camera) -> int | None:
    return None if camera.max_age_s is None else round(camera.max_age_s * NS_PER_S)


def _rules(camera: Camera, specs: Mapping[str, ModelSpec], least: Mapping[int, float] | None) -> Sequence[RuleSpec]:
    spec = specs[camera.main_model]
    if camera.events is None:
        return default_rules(spec.topic_levels, None if least is None else least.keys())
    return [
        RuleSpec(
            name=rule.name,
            class_ids=frozenset(class_id(spec.labels, wanted) for wanted in rule.class_names),
            after_s=rule.after_s,
            end_after_s=rule.end_after_s,
            min_area=rule.min_area,
            zone=rule.zone,
            line=rule.line,
            direction=rule.direction,
            more_than=None if rule.count is None else rule.count.more_than,
            left_by=frozenset(class_id(spec.labels, wanted) for wanted in (rule.left.by if rule.left else ())),
            removed=rule.removed,
            all_of=rule.all_of,
            any_of=rule.any_of,
            none_of=rule.none_of,
            quiet=rule.quiet,
            cooldown_s=rule.cooldown_s,
            labels=labels_of(rule, camera, specs),
        )
        for rule in camera.events
        if rule.decide is None  # that gives verdicts, and no events
    ]
