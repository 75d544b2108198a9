"""Classes are joined by name; what one side lacks is left out, and named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.errors import ConfigError
from streamer.evaluate.join import join, shortened
from streamer.evaluate.truths import LabelledPicture, LabelledSet, LabelledTask
from streamer.infer.spec import ColorOrder, Fit, InputSpec, ModelSpec, Task

if TYPE_CHECKING:
    from collections.abc import Mapping


def spec(*labels: str, aliases: Mapping[str, str] | None = None) -> ModelSpec:
    seen = InputSpec(
        name="images", hw=(32, 32), color=ColorOrder.RGB, scale=1.0, mean=(0, 0, 0), std=(1, 1, 1), fit=Fit.LETTERBOX,
        pad=114, layout="nchw", dtype="float32", max_batch=1,
    )  # fmt: skip
    return ModelSpec(
        name="net", path=Path("net.onnx"), digest="sha256:0", task=Task.DETECT, head="v8", labels=labels, input=seen,
        output_names=("out",), decided_by="options", aliases=aliases or {},
    )  # fmt: skip


def labelled(labels: tuple[str, ...], *pictures: tuple[int, ...], task: LabelledTask = "detect") -> LabelledSet:
    """Make pictures that hold objects of these classes; the box of class 2 is 20 px wide."""
    made = [
        LabelledPicture(
            path=Path(f"{number}.png"),
            boxes=np.array([[0, 0, 10 * c, 5] for c in ids if task == "detect"], np.float32).reshape(-1, 4),
            class_ids=np.array(ids, np.int64),
            crowd=np.zeros(len(ids), np.bool_),
        )
        for number, ids in enumerate(pictures)
    ]
    return LabelledSet(task=task, labels=labels, pictures=tuple(made))


def test_names_count_and_not_numbers() -> None:
    joined = join(labelled(("Dog", "cat"), (0, 1)), spec("CAT", "dog"))
    assert joined.ids == (1, 0)
    assert joined.names == ("dog", "CAT")
    assert joined.labelled.labels == ("Dog", "cat")
    assert (joined.unknown, joined.unasked) == ({}, ())


def test_spellings_of_coco_and_aliases_of_the_model_are_equal() -> None:
    data = labelled(("sofa", "potted_plant", "screw"), (0, 1, 2))
    joined = join(data, spec("potted plant", "couch", "M4/10", aliases={"M4/10": "screw"}))
    assert joined.ids == (1, 0, 2)
    assert joined.names == ("couch", "potted plant", "M4/10")


def test_what_one_side_lacks_is_left_out_and_named() -> None:
    joined = join(labelled(("a", "b", "c"), (1, 2, 2), (1,), (0, 1)), spec("x", "c", "a"))
    assert joined.labelled.labels == ("a", "c")
    assert joined.ids == (-1, 1, 0)
    assert joined.unknown == {"b": 3}
    assert joined.unasked == ("x",)
    assert [one.class_ids.tolist() for one in joined.labelled.pictures] == [[1, 1], [], [0]]
    assert [one.boxes[:, 2].tolist() for one in joined.labelled.pictures] == [[20, 20], [], [0]]


def test_a_picture_of_a_class_that_the_model_lacks_goes() -> None:
    joined = join(labelled(("a", "b"), (0,), (1,), task="classify"), spec("b"))
    assert [(one.path.name, one.class_ids.tolist()) for one in joined.labelled.pictures] == [("1.png", [0])]
    assert joined.unknown == {"a": 1}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ("x", "y"),
            "net knows none of the data's classes: they are x, y, its own a, b; if they are the same .* --labels",
        ),
        (("x",), "net knows none of the data's classes: they are x, its own a, b$"),
        (("a", "A"), "the data names two classes alike: 0 'a' and 1 'A'"),
    ],
)
def test_what_can_not_be_joined_is_an_error(labels: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        join(labelled(labels, (0,)), spec("a", "b"))


def test_nothing_labelled_of_what_the_model_knows_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no picture is labelled with a class that net knows: b"):
        join(labelled(("a", "b"), (0,), ()), spec("b"))


def test_many_names_are_shortened() -> None:
    assert shortened([str(n) for n in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
