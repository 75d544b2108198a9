from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from trt_engines import input_of

from streamer.infer.backends.base import Pick
from streamer.infer.backends.tensorrt.picked import MOST, layout_of
from streamer.infer.picking import pick_of
from streamer.infer.spec import ModelSpec, Task

SPEC = ModelSpec(
    name="m",
    path=Path("m.onnx"),
    digest="sha256:0",
    task=Task.DETECT,
    head="v8",
    labels=("a", "b", "c"),
    input=input_of(),
    output_names=("out",),
    decided_by="options",
)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("v8", Pick(channels=7, objectness=False, placed=False, floor=0.4)),
        ("v5", Pick(channels=8, objectness=True, placed=False, floor=0.4)),
        ("yolox-decoded", Pick(channels=8, objectness=True, placed=False, floor=0.4)),
        ("yolox", Pick(channels=8, objectness=True, placed=True, floor=0.4)),
        ("end2end", None),
        ("v8-logits", None),  # zeros are a score of one half there
    ],
)
def test_which_heads_may_be_given_less(head: str, expected: Pick | None) -> None:
    assert pick_of(replace(SPEC, head=head), 0.4) == expected


def test_the_background_counts_where_the_network_counts_it() -> None:
    pick = pick_of(replace(SPEC, columns=4), 0.4)
    assert pick is not None
    assert pick.channels == 8


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, task=Task.CLASSIFY),
        replace(SPEC, output_names=("a", "b")),
        replace(SPEC, axes={"out": (0, None, 1)}),
    ],
    ids=["classifier", "two outputs", "another shape"],
)
def test_nothing_is_left_out_where_that_is_not_known_to_be_safe(spec: ModelSpec) -> None:
    assert pick_of(spec, 0.4) is None


def test_without_a_floor_everything_is_wanted() -> None:
    assert pick_of(SPEC, 0.0) is None


V8 = Pick(channels=84, objectness=False, placed=False, floor=0.4)
V5 = Pick(channels=85, objectness=True, placed=False, floor=0.4)


@pytest.mark.parametrize(
    ("pick", "shape", "major"),
    [(V8, (2, 84, 8400), False), (V8, (2, 8400, 84), True), (V5, (1, 25200, 85), True)],
)
def test_how_the_anchors_lie(pick: Pick, shape: tuple[int, ...], major: bool) -> None:  # noqa: FBT001  a parameter
    layout = layout_of(pick, shape, "float32")
    assert layout is not None
    assert layout.anchor_major is major
    assert (layout.channels, layout.anchors) == (pick.channels, max(shape[1:]))
    assert layout.objectness is pick.objectness
    assert layout.first_class == (5 if pick.objectness else 4)


@pytest.mark.parametrize(
    ("pick", "shape", "dtype"),
    [
        (V8, (1, 84, 8400), "float16"),
        (V8, (1, 80, 8400), "float32"),
        (V8, (84, 8400), "float32"),
        (V5, (1, 85, 25200), "float32"),  # its head reads rows
        (V8, (1, 84, MOST), "float32"),  # nothing would be saved
    ],
)
def test_an_output_that_is_not_as_the_head_says_stays_whole(pick: Pick, shape: tuple[int, ...], dtype: str) -> None:
    assert layout_of(pick, shape, dtype) is None
