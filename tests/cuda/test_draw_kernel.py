"""The drawing kernel against a slow float64 reference, on the host: every value, and nothing beside them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from draw_reference import PLACES, PLAIN, Shot, drawn, levels_of, shot
from host_gpu import STREAM, HostGpu
from host_kernels import host_library
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.frame import ColorMatrix, ColorRange, Picture, PixelFormat
from streamer.cuda import draw
from streamer.cuda.draw import Drawer, Drawing, Target
from streamer.infer.backends.batch import Normaliser
from streamer.infer.spec import ColorOrder, Fit, InputSpec
from streamer.pixels.color import yuv_weights
from streamer.pixels.convert import Canvases
from streamer.pixels.fit import letterbox, letterbox_topleft, stretch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Pixels = NDArray[np.float64]
    HW = tuple[int, int]


@pytest.fixture(scope="module", autouse=True)
def _host_kernels() -> Iterator[None]:
    host_library()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "kernel_image", lambda _info: b"")
        yield


sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))


@pytest.mark.timeout(60)  # a second or two where nobody else wants the cores
@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.lists(st.tuples(st.sampled_from(["nv12", "p010", "packed"]), sizes), min_size=1, max_size=2),
    matrix=st.sampled_from(ColorMatrix),
    span=st.sampled_from(ColorRange),
    order=st.sampled_from([PixelFormat.RGB, PixelFormat.BGR]),
    place=st.sampled_from(sorted(PLACES)),
    canvas_hw=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    layout=st.sampled_from(["nchw", "nhwc"]),
    dtype=st.sampled_from(["float32", "float16", "uint8"]),
    area=st.booleans(),
    padding=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_every_value_is_within_a_level_of_the_reference(
    *, seed: int, kinds: list[tuple[str, HW]], matrix: ColorMatrix, span: ColorRange, order: PixelFormat, place: str,
    canvas_hw: HW, layout: str, dtype: str, area: bool, padding: tuple[int, int],
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    target = replace(PLAIN, hw=canvas_hw, layout=layout, dtype=dtype, area=area)
    if dtype != "uint8":
        target = replace(target, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    shots = [shot(rng, pixels, hw, matrix=matrix, span=span) for pixels, hw in kinds]
    placements = [PLACES[place](s.hw, canvas_hw) for s in shots]
    gpu = HostGpu()
    drawings = [s.put(gpu, p, order, padding) for s, p in zip(shots, placements, strict=True)]
    values = drawn(gpu, target, drawings)
    gpu.close()  # looks whether anything was written beside what it asked for
    for s, placement, picture in zip(shots, placements, values, strict=True):
        off = np.abs(levels_of(picture, target) - s.on_canvas(placement, order, target))
        # Half a level is rounding to a whole one; of float16, 1/2048 of a value that is up to 255 / 0.224 levels large.
        assert off.max() <= 1.0


@pytest.mark.parametrize("hw", [(1080, 1920), (2160, 3840)])
def test_a_picture_of_full_size_is_as_exact(hw: HW) -> None:
    rng = np.random.default_rng(5)
    target = replace(PLAIN, hw=(96, 160))
    placement = letterbox_topleft(hw, target.hw)
    subject = shot(rng, "nv12", hw, matrix=ColorMatrix.BT709)
    gpu = HostGpu()
    values = drawn(gpu, target, [subject.put(gpu, placement, PixelFormat.RGB, (128, 128))])
    assert np.abs(values[0] - subject.on_canvas(placement, PixelFormat.RGB, target)).max() <= 0.6


@pytest.mark.parametrize("place", sorted(PLACES))
@pytest.mark.parametrize("area", [False, True])
def test_it_is_what_the_cpu_draws(place: str, area: bool) -> None:  # noqa: FBT001  a parameter
    rng = np.random.default_rng(8)
    target = replace(PLAIN, hw=(64, 96), area=area)
    for hw in ((48, 64), (135, 241), (240, 320), (64, 96)):
        for matrix in ColorMatrix:
            subject = shot(rng, "nv12", hw, matrix=matrix)
            picture = Picture(
                format=PixelFormat.NV12, planes=subject.planes, width=hw[1], height=hw[0], matrix=matrix
            )  # fmt: skip
            canvases = Canvases(
                hw=target.hw, order=PixelFormat.BGR, place=PLACES[place], pad=114, max_batch=1, area=area
            )  # fmt: skip
            (canvas,), (placement,) = canvases.fill([picture])
            gpu = HostGpu()
            values = drawn(gpu, target, [subject.put(gpu, placement, PixelFormat.BGR, (3, 6))])
            off = np.abs(values[0] - canvas)
            # Of noise. The CPU rounds each plane at the canvas's size, and blue takes up to 1.17 Y + 2.16 U of that.
            assert off.max() <= 3
            assert off.mean() <= 0.5


def test_a_canvas_becomes_what_the_cpu_feeds_to_a_network() -> None:
    rng = np.random.default_rng(2)
    for layout in ("nchw", "nhwc"):
        for dtype in ("float32", "float16"):
            spec = InputSpec(
                name="images", hw=(40, 56), color=ColorOrder.RGB, scale=1 / 255, mean=(0.485, 0.456, 0.406),
                std=(0.229, 0.224, 0.225), fit=Fit.STRETCH, pad=0, layout=layout, dtype=dtype, max_batch=2,
            )  # fmt: skip
            target = Target(
                hw=spec.hw, layout=layout, dtype=dtype, scale=spec.scale, mean=spec.mean, std=spec.std, pad=0
            )  # fmt: skip
            canvases = rng.integers(0, 256, (2, 40, 56, 3), np.uint8)
            fed = Normaliser(spec)(canvases)
            gpu = HostGpu()
            places = [stretch((40, 56), (40, 56))] * 2
            shots = [Shot("packed", (canvas,)) for canvas in canvases]
            values = drawn(
                gpu, target, [s.put(gpu, p, PixelFormat.RGB, (0, 0)) for s, p in zip(shots, places, strict=True)]
            )
            expected = fed if layout == "nhwc" else fed.transpose(0, 2, 3, 1)
            near = 2.0 ** (-21 if dtype == "float32" else -9)  # one unit in the last place of what is near 4
            assert np.abs(values.astype(np.float64) - expected.astype(np.float64)).max() <= near


def test_white_black_and_grey_of_ten_bits_are_those_of_eight() -> None:
    for span, black, white, grey in ((ColorRange.LIMITED, 64, 940, 512), (ColorRange.FULL, 0, 1023, 512)):
        luma = np.array([[black, white]], np.uint16) << 6
        chroma = np.full((1, 1, 2), grey << 6, np.uint16)
        subject = Shot("p010", (luma.astype(np.uint16), chroma), span=span)
        gpu = HostGpu()
        placement = stretch((1, 2), (1, 2))
        values = drawn(gpu, replace(PLAIN, hw=(1, 2)), [subject.put(gpu, placement, PixelFormat.RGB, (0, 0))])
        assert values[0, 0].tolist() == [[0.0] * 3, [255.0] * 3]


def test_the_order_in_which_threads_run_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    found = []
    subject, other = shot(rng, "nv12", (33, 47)), shot(rng, "p010", (20, 30))
    for backwards in (False, True):
        gpu = HostGpu(backwards=backwards)
        target = replace(PLAIN, hw=(31, 45), dtype="float16")
        drawings = [s.put(gpu, letterbox(s.hw, target.hw), PixelFormat.RGB, (1, 2)) for s in (subject, other)]
        found.append(drawn(gpu, target, drawings))
        gpu.close()
    assert np.array_equal(found[0], found[1])


def test_what_is_kept_is_drawn_again_and_again() -> None:
    rng = np.random.default_rng(6)
    gpu = HostGpu()
    canvas = rng.integers(0, 256, (8, 8, 3), np.uint8)
    address = gpu.put(canvas)
    whole = Drawing(
        pixels="packed", pointers=(address,), pitches=(24,), frame_hw=(8, 8), size_hw=(8, 8), top=0, left=0, weights=()
    )
    drawer = Drawer(gpu.gpu, replace(PLAIN, layout="nhwc"), max_batch=1)
    kept = drawer.keep([whole], STREAM)
    tensor = gpu.allocate(8 * 8 * 3 * 4)
    for content in (canvas, 255 - canvas):
        STREAM.copy_in(address, content)
        drawer.draw_kept(kept, tensor.pointer, STREAM)
        assert np.array_equal(gpu.read(tensor.pointer, (8, 8, 3), np.float32), content)
    drawer.close()
    drawer.close()
    assert all(memory.freed for memory in gpu.memories[1:3])


def test_of_what_is_kept_the_first_may_be_drawn_alone() -> None:
    gpu = HostGpu()
    canvases = np.random.default_rng(7).integers(0, 256, (2, 8, 8, 3), np.uint8)
    addresses = [gpu.put(canvas) for canvas in canvases]
    whole = [
        Drawing(
            pixels="packed", pointers=(at,), pitches=(24,), frame_hw=(8, 8), size_hw=(8, 8), top=0, left=0, weights=()
        )
        for at in addresses
    ]
    drawer = Drawer(gpu.gpu, replace(PLAIN, layout="nhwc"), max_batch=2)
    kept = drawer.keep(whole, STREAM)
    tensor = gpu.allocate(8 * 8 * 3 * 4)  # room for one: what is written beside it is found
    drawer.draw_kept(kept, tensor.pointer, STREAM, pictures=1)
    assert np.array_equal(gpu.read(tensor.pointer, (8, 8, 3), np.float32), canvases[0])
    tensor.free()
    for count in (0, 3):
        with pytest.raises(ValueError, match=rf"expected 1\.\.2, got {count}"):
            drawer.draw_kept(kept, tensor.pointer, STREAM, pictures=count)
    drawer.close()


def _drawing(**other: Any) -> Drawing:  # noqa: ANN401  fields of Drawing
    first = Drawing(
        pixels="nv12", pointers=(1024, 4096), pitches=(64, 64), frame_hw=(10, 11), size_hw=(10, 11), top=0, left=0,
        weights=tuple(yuv_weights(ColorMatrix.BT601, ColorRange.LIMITED, PixelFormat.RGB).ravel().tolist()),
    )  # fmt: skip
    return replace(first, **other)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pixels": "i420"}, "expected one of nv12, p010, packed"),
        ({"pointers": (1024,)}, "expected 2 planes"),
        ({"pointers": (1024, 0)}, "expected 2 planes"),
        ({"pixels": "p010", "pointers": (1024, 4097)}, "expected 2 planes"),
        ({"pitches": (64, 11)}, r"rows take \[11, 12\] bytes"),
        ({"pixels": "p010", "pitches": (65, 64)}, r"rows take \[22, 24\] bytes"),
        ({"pixels": "packed", "pointers": (1024,), "pitches": (32,)}, r"rows take \[33\] bytes"),
        ({"size_hw": (0, 11)}, "is empty"),
        ({"weights": (1.0,) * 9}, "expected 12 numbers, got 9"),
    ],
)
def test_a_drawing_that_is_none_is_refused(wrong: dict[str, Any], said: str) -> None:
    drawer = Drawer(HostGpu().gpu, PLAIN, max_batch=2)
    with pytest.raises(ValueError, match=said):
        drawer.draw([_drawing(), _drawing(**wrong)], 256, STREAM)


def test_too_many_none_or_an_unknown_target_are_refused() -> None:
    drawer = Drawer(HostGpu().gpu, PLAIN, max_batch=1)
    for drawings in ([], [_drawing(), _drawing()]):
        with pytest.raises(ValueError, match=r"expected 1\.\.1"):
            drawer.draw(drawings, 256, STREAM)
    for target in (replace(PLAIN, layout="chw"), replace(PLAIN, dtype="bfloat16")):
        with pytest.raises(ValueError, match="is none of"):
            Drawer(HostGpu().gpu, target, max_batch=1)


@pytest.mark.parametrize(("beyond", "code"), [(0, 0), (1, -11)])
def test_nothing_is_read_beyond_the_planes(beyond: int, code: int) -> None:
    program = Path(__file__).with_name("guarded_draw.py")
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    environ = {"PYTHONPATH": ":".join(paths), "PATH": "/usr/bin:/bin", **host_library().environ}
    done = subprocess.run(
        [sys.executable, str(program), str(beyond)], env=environ, capture_output=True, text=True, timeout=9, check=False
    )
    assert done.returncode == code, done.stderr  # with a frame that is said to be a row higher: it ends by the guard
