"""Five hundred networks with whatever outputs: each is recognised for what the table says, or refused in a sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from head_sample import HW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples_anchors import SAMPLES as ANCHORS
from samples_dense import SAMPLES as DENSE
from samples_queries import SAMPLES as QUERIES
from samples_yolo import SAMPLES as YOLO
from tiny_onnx import Output, write_tiny

from streamer.core.errors import StreamerError
from streamer.infer.catalogue import Catalogue
from streamer.infer.heads import HEADS, open_head
from streamer.infer.heads.nms import MAX_KEPT
from streamer.infer.recognise import load_spec
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.spec import ModelSpec

SAMPLES = YOLO | ANCHORS | DENSE | QUERIES
INPUT = (1, 3, *HW)
MOST = 60_000  # numbers in an output
LENGTHS = st.sampled_from(
    [0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 20, 21, 32, 35, 36, 42, 80, 84, 85, 91, 100, 126, 300, 1000]
)
DTYPES = ("float32", "float32", "float32", "int64", "int32", "float16")
NAMES = sorted({name for sample in SAMPLES.values() for name in sample.names} | {"output0", "probs", "x"})


@dataclass(frozen=True, slots=True)
class Shown:
    """One output of a network."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    open_axes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A network's outputs, what they hold, and what is said of it."""

    outputs: tuple[Shown, ...]
    like: str | None  # the head whose sample it is made from
    filling: str  # own: that sample's numbers | zeros | shares | logits | px | whole
    seed: int
    labels: int
    head: str | None
    extras: tuple[str, ...]


# What each head takes, in the order in which it takes it, for an input of 64x32 px. f: floats, i: whole numbers,
# n: either. C: classes as the network counts them. A: a row for each cell of some strides, S: of the usual three,
# R: for each of three anchors; Q: 300 queries. Another letter stands for one length throughout. Somebody who names a
# head may be right about A, S, R, Q and types that nobody has met. Six outputs and more are taken in any order.
ROWS_5 = ("f B A C+5", "f B R C+5")
QUERIES_4 = ("f B N C, f B N 4",)
SEPARATE = ("f B K 4, f B K, n B K",)
MAPS_3 = ("f B 3 4 8 C+5, f B 3 2 4 C+5, f B 3 1 2 C+5", "f B 3(C+5) 4 8, f B 3(C+5) 2 4, f B 3(C+5) 1 2", "f B R C+5")
DARKNET = (*MAPS_3[:2], "f B 3 2 4 C+5, f B 3 1 2 C+5", "f B 3(C+5) 2 4, f B 3(C+5) 1 2")
SPLIT = ("f B A 4, f B A C", "f B 4 A, f B C A", "f B R 4, f B R C", "f B 4 R, f B C R")
V8_MAPS = (
    "f B C+64 4 8, f B C+64 2 4, f B C+64 1 2",
    "f B 64 4 8, f B C 4 8, f B 64 2 4, f B C 2 4, f B 64 1 2, f B C 1 2",
)
PAIR = ("f B A C, f B A 4",)
LIST = ("f n 4, i n, f n",)
GRID = ("f B 5(C+5) 1 2", "f B 10 C+5")
SIDES = ("4 8", "2 4", "1 2", "1 1", "1 1")
RETINA = (", ".join([f"f B 9(C) {side}" for side in SIDES] + [f"f B 36 {side}" for side in SIDES]),)
TABLE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("v8", "v8-normalized", "v8-logits", "v8-xyxy"), ("f B C+4 A", "f B A C+4")),
    **dict.fromkeys(("yolox", "yolox-decoded", "yolox-logits", "yolov6"), ("f B S C+5",)),
    **dict.fromkeys(("v5", "v5-normalized", "v5-logits", "v5-xyxy"), ROWS_5),
    "v8-split": SPLIT,
    "v5-split": tuple(f"{pair}, f B {one}" for pair, one in zip(SPLIT, ("A 1", "1 A", "R 1", "1 R"), strict=True)),
    **dict.fromkeys(("v8-raw", "v8-raw-sigmoid"), V8_MAPS),
    **dict.fromkeys(("v5-raw", "v7-raw", "v5-sigmoid", "v7-sigmoid"), MAPS_3),
    **dict.fromkeys(("yolov3", "yolov4"), DARKNET),
    "yolov4-zoo": ("f B 4 8 3 C+5, f B 2 4 3 C+5, f B 1 2 3 C+5",),
    "yolov4-boxes": ("f B N 1 4, f B N C",),
    **dict.fromkeys(
        ("yolov3-nms", "indices-xyxy", "indices-yxyx", "indices-cxcywh"),
        ("f 1 N 4, f 1 C N, n K 3", "f 1 N 4, f 1 C N, n 1 K 3"),
    ),
    **dict.fromkeys(("yolov2", "yolov2-voc", "yolov2-tiny-voc", "azure"), GRID),
    **dict.fromkeys(("end2end", "end2end-normalized"), ("f B K 6",)),
    "rtdetr": ("f B K 4, f B K, i B K",),
    **dict.fromkeys(("detr-sigmoid", "rfdetr", "detr", "detr-scores"), QUERIES_4),
    "rtdetr-ultralytics": ("f B Q C+4",),
    "efficient-nms": (f"{SEPARATE[0]}, n B", f"{SEPARATE[0]}, n B 1"),
    "nms": SEPARATE,
    "argmax": (*SEPARATE, "f B K 6"),
    "nms-normalized": (*SEPARATE, f"{SEPARATE[0]}, n B", f"{SEPARATE[0]}, n B 1"),
    "mmdet": ("f B n 5, i B n", "f n 5, i n"),
    **dict.fromkeys(("yolov7-nms", "yolo-nas-flat"), ("f n 7",)),
    "paddle": ("f n 6, i B", "f n 6, i B 1", "f B K 6"),
    "ssd-tf": (f"{SEPARATE[0]}, n B", f"{SEPARATE[0]}, n B 1"),
    **dict.fromkeys(("torchvision", "faster-rcnn-zoo"), LIST),
    **dict.fromkeys(("azure-nms", "ssd-zoo"), SEPARATE),
    "detection-output": ("f 1 1 N 7",),
    "ssd": ("f B N C, f B N 4",),
    **dict.fromkeys(("yolo-nas", "damo-yolo"), PAIR),
    "ppyoloe": ("f B C A, f B A 4",),
    "yolov9-mit": ("f B C 4 8, f B C 2 4, f B C 1 2, f B 4 4 8, f B 4 2 4, f B 4 1 2",),
    "nanodet": ("f B 32 C, f B 8 C, f B 2 C, f B 32 32, f B 8 32, f B 2 32",),
    "nanodet-plus": ("f B A C+32",),
    "picodet": ("f B 32 C, f B 8 C, f B 2 C, f B 1 C, f B 32 32, f B 8 32, f B 2 32, f B 1 32",),
    "yunet": (", ".join(f"f B {n} 1, f B {n} 1, f B {n} 4" for n in (32, 8, 2)),),
    "scrfd": tuple(", ".join(f"f {b}{n} 1, f {b}{n} 4" for n in (64, 16, 4)) for b in ("", "B ")),
    "fastestdet": ("f B C+5 2 4",),
    **dict.fromkeys(("retinanet", "retinanet-logits"), RETINA),
}


def cells(*strides: int) -> int:
    return sum((HW[0] // stride) * (HW[1] // stride) for stride in strides)


GRIDS = {
    cells(*strides)
    for strides in [(8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (4, 8, 16), (4, 8), (8, 16), (16, 32), (8,), (16,)]
} | {cells(8, 16, 32) + 1}  # NanoDet-Plus rounds up at stride 64
ANCHORED = {3 * cells(*strides) for strides in [(8, 16, 32), (8, 16, 32, 64), (16, 32)]}

USUAL = {"A": GRIDS, "S": {cells(8, 16, 32)}, "R": ANCHORED, "Q": {300}}


def test_the_table_knows_every_head() -> None:
    assert set(TABLE) == set(HEADS) == set(SAMPLES)


@st.composite
def random_outputs(draw: st.DrawFn) -> list[Shown]:
    outputs = []
    for _ in range(draw(st.integers(1, 6))):
        shape = tuple(draw(LENGTHS) for _ in range(draw(st.integers(1, 5))))
        if np.prod(shape) <= MOST:
            outputs.append(Shown(draw(st.sampled_from(NAMES)), shape, draw(st.sampled_from(DTYPES))))
    return outputs or [Shown("probs", (1, draw(LENGTHS)), "float32")]


@st.composite
def nearly(draw: st.DrawFn, like: str) -> list[Shown]:
    """Take a family's own outputs and change some of them, or none."""
    sample = SAMPLES[like]
    made = sample.make(np.random.default_rng(0))
    kinds = ["float32" if array.dtype.kind == "f" else str(array.dtype) for array in made]
    outputs = [Shown(n, a.shape, k) for n, a, k in zip(sample.names, made, kinds, strict=True)]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(outputs) - 1))
        one = outputs[at]
        change = draw(st.sampled_from(["axis", "axis", "dtype", "name", "less", "more", "order"]))
        if change == "axis" and one.shape:
            axis = draw(st.integers(0, len(one.shape) - 1))
            shape = (*one.shape[:axis], draw(LENGTHS), *one.shape[axis + 1 :])
            outputs[at] = replace(one, shape=shape if np.prod(shape) <= MOST else one.shape)
        elif change == "dtype":
            outputs[at] = replace(one, dtype=draw(st.sampled_from(DTYPES)))
        elif change == "name":
            outputs[at] = replace(one, name=draw(st.sampled_from(NAMES)))
        elif change == "less" and len(outputs) > 1:
            del outputs[at]
        elif change == "more":
            outputs += draw(random_outputs())[:1]
        else:
            outputs = draw(st.permutations(outputs))
    return list(outputs)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    like = draw(st.sampled_from([None, *HEADS, *HEADS]))
    outputs = draw(random_outputs() if like is None else nearly(like))
    extras = SAMPLES[like].extras if like is not None else ()
    named = {one.name: one for one in outputs}  # no two of one name
    opened = [
        replace(one, open_axes=tuple(axis for axis in range(len(one.shape)) if draw(st.integers(0, 19)) == 7))
        for one in named.values()
    ]
    return Network(
        outputs=tuple(opened),
        like=like,
        filling=draw(st.sampled_from([*["own"] * 9, "zeros", "shares", "logits", "px", "whole"])),
        seed=draw(st.integers(0, 9)),
        labels=draw(st.sampled_from([2, 2, 2, 2, 1, 3, 80, 91])),
        head=draw(st.sampled_from([None, None, None, like, draw(st.sampled_from(HEADS))])),
        extras=draw(st.sampled_from([extras, extras, extras, (), ("orig_target_sizes",), ("im_shape",)])),
    )


def filled(network: Network, one: Shown) -> NDArray[np.generic]:
    rng = np.random.default_rng(network.seed)
    if network.filling == "own" and network.like is not None:
        sample = SAMPLES[network.like]
        own = dict(zip(sample.names, sample.make(rng), strict=True)).get(one.name)
        if own is not None and own.shape == one.shape:
            return np.asarray(own, one.dtype)
    shares = rng.random(one.shape)
    values = {"zeros": shares * 0, "shares": shares, "logits": shares * 12 - 9, "px": shares * 64}
    return np.asarray(values.get(network.filling, np.floor(shares * 4)), one.dtype)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.slow
@pytest.mark.timeout(120)
@settings(
    max_examples=500,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(network=networks())
def test_each_is_recognised_as_the_table_says_or_refused(folder: Path, network: Network) -> None:
    path = write_tiny(
        folder / "network.onnx",
        [Output(one.name, filled(network, one), one.open_axes) for one in network.outputs],
        shape=INPUT,
        extras=[(name, 7 if name.startswith("orig") else 1) for name in network.extras],
    )
    labels = "coco80" if network.labels == 80 else tuple(f"class {i}" for i in range(network.labels))
    spec = recognised(path, SpecOptions(labels=labels, head=network.head))
    if spec is None:
        return
    taken = {one.name: one for one in network.outputs}
    shown = [taken[name] for name in spec.output_names]
    assert any(is_of(shown, spec, pattern) for pattern in TABLE[spec.head]), f"{spec.head} is not {shown}"
    assert_decodes(spec, shown)


def recognised(path: Path, options: SpecOptions) -> ModelSpec | None:
    """Return what a file is, or None if it is refused."""
    try:
        return load_spec(str(path), options=options, catalogue=Catalogue((), path.parent))
    except StreamerError as exc:
        said = str(exc)
    assert str(path) in said
    assert "\n" not in said
    return None


def is_of(shown: list[Shown], spec: ModelSpec, pattern: str) -> bool:
    """Whether outputs have the types and lengths of a pattern."""
    ports = [port.split() for port in pattern.split(", ")]
    named = spec.decided_by == "options"
    left = list(shown)
    lengths = {} if spec.columns is None else {"C": spec.columns}
    for port in ports:
        near = left if len(ports) >= 6 else left[:1]
        one = next((one for one in near if fits(one, port, lengths, named=named)), None)
        if one is None:
            return False
        left.remove(one)
    return not left


def fits(one: Shown, port: list[str], lengths: dict[str, int], *, named: bool) -> bool:
    kind, *axes = port
    if kind not in ("n", "f" if one.dtype.startswith("float") else "i") and not named:
        return False
    if len(axes) != len(one.shape):
        return False
    told = [(n, axis) for i, (n, axis) in enumerate(zip(one.shape, axes, strict=True)) if i not in one.open_axes and n]
    return all((named and axis in USUAL) or is_long(length, axis, lengths) for length, axis in told)


def is_long(length: int, axis: str, lengths: dict[str, int]) -> bool:
    """Whether an axis has the length of a pattern's: `4`, `A`, `C+5`, `3(C+5)` or a letter."""
    if axis.isdigit():
        return length == int(axis)
    if axis in USUAL:
        return length in USUAL[axis]
    factor, _, inside = axis.rstrip(")").rpartition("(")
    letter, _, more = inside.partition("+")
    value, rest = divmod(length, int(factor or 1))
    return rest == 0 and lengths.setdefault(letter, value - int(more or 0)) == value - int(more or 0)


def fillings(shown: list[Shown]) -> Iterator[list[NDArray[np.float32]]]:
    rng = np.random.default_rng(5)
    shapes = [one.shape for one in shown]
    yield [rng.random(shape, np.float32) for shape in shapes]
    yield [rng.normal(0, 50, shape).astype(np.float32) for shape in shapes]
    yield [np.full(shape, np.nan, np.float32) for shape in shapes]
    yield [np.full(shape, -np.inf, np.float32) for shape in shapes]


def assert_decodes(spec: ModelSpec, shown: list[Shown]) -> None:
    """Whatever the numbers are, what comes out can be boxes of known classes."""
    head = open_head(spec)
    for outputs in fillings(shown):
        try:
            found = head(outputs, 0.25, 0.5)
        except (ValueError, IndexError):
            # An axis that the file leaves open, or a head that somebody has named: such a network answers otherwise.
            assert any(one.open_axes or 0 in one.shape for one in shown)
            return
        for candidates in found:
            assert len(candidates) <= MAX_KEPT
            assert np.isfinite(candidates.boxes).all()
            assert ((candidates.scores >= 0.25) & (candidates.scores <= 1)).all()
            assert ((candidates.class_ids >= 0) & (candidates.class_ids < len(spec.labels))).all()
