"""What a camera's items are and what makes one bad, from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.decision import Verdict
from streamer.core.names import class_id
from streamer.decide.items import ItemsPlan
from streamer.decide.judge import JudgeSpec, LabelTest

from .camera_looks import labels_of, thresholds_of
from .serving import LEAST_SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.infer.spec import ModelSpec
    from streamer.settings import Camera
    from streamer.settings.decide import Decide
    from streamer.settings.rule import Rule


def items_plan(name: str, camera: Camera, rule: Rule, decide: Decide, specs: Mapping[str, ModelSpec]) -> ItemsPlan:
    """Return what a camera's items are.

    Args:
        name: of the camera.
        camera: its settings.
        rule: that decides.
        decide: how.
        specs: of the models.
    """
    return ItemsPlan(
        camera=name,
        judge=_judge_spec(camera, rule, decide, specs),
        deadline_s=decide.deadline_s,
        otherwise=Verdict(decide.otherwise),
        each_frame=decide.trigger.kind == "frame",
        crossings=decide.trigger.kind == "line",
        live=camera.source.live,
        after_s=decide.picture_after_s,
        dark=decide.dark,
        blurred=decide.blurred,
        frozen_s=decide.frozen_s,
    )


def _judge_spec(camera: Camera, rule: Rule, decide: Decide, specs: Mapping[str, ModelSpec]) -> JudgeSpec:
    rejected = labels_of(rule, camera, specs)
    models = {item.name: specs[item.model] for item in camera.classify}
    tests = {
        item: LabelTest(names=models[item].labels, reject=classes, thresholds=thresholds_of(models[item]))
        for item, classes in rejected.items()
    }
    if camera.detect is None or not rule.class_names:
        return JudgeSpec(labels=tests, sure=decide.sure)
    names = specs[camera.detect.model].labels
    asked = {class_id(names, wanted): score for wanted, score in (camera.detect.classes or {}).items()}
    bad = frozenset(class_id(names, wanted) for wanted in rule.class_names)
    return JudgeSpec(
        class_ids=bad,
        least={number: asked.get(number, LEAST_SCORE) for number in bad},
        names=names,
        labels=tests,
        sure=decide.sure,
        zone=None if rule.zone is None else tuple(camera.zones[rule.zone].polygon),
        min_area=rule.min_area,
    )
