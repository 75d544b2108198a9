from __future__ import annotations

from pathlib import Path

from streamer.settings import Loaded, check_classes, parse

COCO = ["person", "bicycle", "car", "motorcycle", "airplane", "potted plant", "dog"]


def loaded(classes: str, rule: str = "person", **environ: str) -> Loaded:
    text = f"""
models: {{coco: {{model: yolox-nano}}}}
cameras:
  a:
    source: rtsp://h/x
    detect:
      model: coco
      classes: {classes}
    events:
      - name: x
        class: {rule}
"""
    return parse(text.encode(), file=Path("/c.yaml"), environ=environ)


def test_spellings_of_one_class_are_equal() -> None:
    asked = "{Person: 0.5, aeroplane: 0.5, motorbike: 0.5, POTTED_PLANT: 0.5}"

    assert check_classes(loaded(asked), {"coco": COCO}) == []


def test_a_class_the_model_does_not_have_is_told_with_the_nearest() -> None:
    problems = check_classes(loaded("{persn: 0.5, do g: 0.6, person: 0.5}"), {"coco": COCO})

    assert [(p.line, p.key) for p in problems] == [
        (8, "cameras.a.detect.classes.do g"),
        (8, "cameras.a.detect.classes.persn"),
    ]
    assert "'persn' is no class of the model; nearest: 'person'; it has person, bicycle, car" in problems[1].message


def test_a_rules_class_is_looked_at_when_every_class_is_detected() -> None:
    (problem,) = check_classes(loaded("null", "[person, parcel]"), {"coco": COCO})

    assert (problem.line, problem.key) == (11, "cameras.a.events.0.class")
    assert "'parcel' is no class of the model" in problem.message


def test_a_class_from_the_environment_is_not_repeated() -> None:
    config = loaded("null", "[person, '${SECRET}']", SECRET="hunter2")  # noqa: S106  what must not be shown

    (problem,) = check_classes(config, {"coco": COCO})

    assert "this is no class of the model" in problem.message
    assert "hunter2" not in str(problem)


def test_models_that_could_not_be_read_are_left_out() -> None:
    assert check_classes(loaded("{persn: 0.5, person: 0.5}"), {}) == []
