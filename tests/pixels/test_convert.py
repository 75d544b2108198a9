"""Canvases against a slow reference in float64, whatever the format, size, padding of rows, matrix and range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.frame import ColorMatrix, ColorRange, Picture, PixelFormat
from streamer.pixels.color import luma_scale, yuv_weights
from streamer.pixels.convert import Canvases, picture_of_bgr
from streamer.pixels.fit import HW, Place, crop, letterbox, letterbox_topleft, stretch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PACKED = (PixelFormat.BGR, PixelFormat.RGB)
ON_HOST = [kind for kind in PixelFormat if kind is not PixelFormat.P010]


def _shapes(kind: PixelFormat, h: int, w: int) -> list[tuple[int, ...]]:
    half = (h + 1) // 2, (w + 1) // 2
    shapes: dict[PixelFormat, list[tuple[int, ...]]] = {
        PixelFormat.I420: [(h, w), half, half],
        PixelFormat.I422: [(h, w), (h, half[1]), (h, half[1])],
        PixelFormat.I444: [(h, w)] * 3,
        PixelFormat.NV12: [(h, w), (*half, 2)],
        PixelFormat.GRAY: [(h, w)],
        PixelFormat.BGR: [(h, w, 3)],
        PixelFormat.RGB: [(h, w, 3)],
    }
    return shapes[kind]


def _padded(rng: np.random.Generator, shape: tuple[int, ...], padding: int) -> NDArray[np.uint8]:
    """A plane whose rows are followed by `padding` samples of something else, as decoders give them."""
    h, w, *rest = shape
    plane: NDArray[np.uint8] = rng.integers(0, 256, (h, w + padding, *rest), dtype=np.uint8)[:, :w]
    return plane


def _picture(rng: np.random.Generator, kind: PixelFormat, hw: HW, **colour: object) -> Picture:
    planes = tuple(_padded(rng, shape, int(rng.integers(0, 40))) for shape in _shapes(kind, *hw))
    return Picture(format=kind, planes=planes, width=hw[1], height=hw[0], **colour)  # type: ignore[arg-type]


def _bilinear(plane: NDArray[np.uint8], hw: HW) -> NDArray[np.float64]:
    """Resize with pixel centres at halves and clamped edges, no anti-aliasing."""
    out = plane.astype(np.float64)
    for axis, size in enumerate(hw):
        n = out.shape[axis]
        at = (np.arange(size) + 0.5) * n / size - 0.5
        low = np.floor(at).astype(int)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(out.ndim)])
        first = out.take(np.clip(low, 0, n - 1), axis)
        out = first + (out.take(np.clip(low + 1, 0, n - 1), axis) - first) * part
    return out


def _reference(picture: Picture, canvas_hw: HW, order: PixelFormat, place: Place, pad: int) -> NDArray[np.float64]:
    placement = place((picture.height, picture.width), canvas_hw)
    planes = [_bilinear(plane, placement.size_hw) for plane in picture.planes]
    if picture.format in PACKED:
        pixels = planes[0] if picture.format is order else planes[0][..., ::-1]
    elif picture.format is PixelFormat.GRAY:
        scale, offset = luma_scale(picture.range)
        pixels = np.repeat((planes[0] * scale + offset)[..., None], 3, axis=2)
    else:
        flat = [p[..., None] if p.ndim == 2 else p for p in planes]
        yuv1 = np.concatenate([*flat, np.ones((*placement.size_hw, 1))], axis=2)
        pixels = yuv1 @ yuv_weights(picture.matrix, picture.range, order).T
    canvas = np.full((*canvas_hw, 3), pad, np.float64)
    canvas[placement.on_canvas] = np.clip(pixels, 0, 255)[placement.of_frame]
    return canvas


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(ON_HOST),
    matrix=st.sampled_from(ColorMatrix),
    span=st.sampled_from(ColorRange),
    order=st.sampled_from(PACKED),
    place=st.sampled_from([letterbox, letterbox_topleft, stretch, crop]),
    hw=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    canvas_hw=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_canvases_are_those_of_the_reference(
    seed: int,
    kind: PixelFormat,
    matrix: ColorMatrix,
    span: ColorRange,
    order: PixelFormat,
    place: Place,
    hw: HW,
    canvas_hw: HW,
) -> None:
    rng = np.random.default_rng(seed)
    picture = _picture(rng, kind, hw, matrix=matrix, range=span)
    canvases = Canvases(hw=canvas_hw, order=order, place=place, pad=114, max_batch=1)
    (canvas,), _ = canvases.fill([picture])
    off = np.abs(canvas - _reference(picture, canvas_hw, order, place, 114))
    # Planes are rounded at the canvas's size (1 level with OpenCV's own), and blue takes up to 1.17 Y + 2.16 U of that.
    assert off.max() <= (1.0 if kind in PACKED else 3.2)
    assert off.size < 1000 or off.mean() <= 0.75  # of a few pixels the mean says nothing


def test_colour_is_within_two_levels_where_nothing_is_resized() -> None:
    rng = np.random.default_rng(3)
    for matrix in ColorMatrix:
        for span in ColorRange:
            picture = _picture(rng, PixelFormat.I444, (64, 64), matrix=matrix, range=span)
            canvases = Canvases(hw=(64, 64), order=PixelFormat.RGB, place=stretch, pad=0, max_batch=1)
            (canvas,), _ = canvases.fill([picture])
            assert np.abs(canvas - _reference(picture, (64, 64), PixelFormat.RGB, stretch, 0)).max() <= 1.0


def test_a_still_picture_is_drawn_as_ultralytics_draws_it() -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (333, 500, 3), dtype=np.uint8)
    canvases = Canvases(hw=(416, 416), order=PixelFormat.RGB, place=letterbox, pad=114, max_batch=1)
    (canvas,), _ = canvases.fill([picture_of_bgr(pixels)])
    resized = cv2.resize(pixels, (416, 277), interpolation=cv2.INTER_LINEAR)
    expected = cv2.copyMakeBorder(resized, 69, 70, 0, 0, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    np.testing.assert_array_equal(canvas, expected[..., ::-1])


def test_a_still_picture_is_drawn_as_yolox_draws_it() -> None:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (576, 768, 3), dtype=np.uint8)
    canvases = Canvases(hw=(416, 416), order=PixelFormat.BGR, place=letterbox_topleft, pad=114, max_batch=1)
    (canvas,), _ = canvases.fill([picture_of_bgr(pixels)])
    expected = np.full((416, 416, 3), 114, np.uint8)
    expected[:312, :416] = cv2.resize(pixels, (416, 312), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(canvas, expected)


def test_each_picture_of_a_batch_has_its_own_padding_and_old_pixels_do_not_stay() -> None:
    rng = np.random.default_rng(6)
    wide, tall = _picture(rng, PixelFormat.I420, (36, 64)), _picture(rng, PixelFormat.NV12, (64, 36))
    canvases = Canvases(hw=(32, 32), order=PixelFormat.RGB, place=letterbox, pad=7, max_batch=2)
    fresh = Canvases(hw=(32, 32), order=PixelFormat.RGB, place=letterbox, pad=7, max_batch=2)
    canvases.fill([wide, tall])
    batch, placements = canvases.fill([tall, wide])
    expected, _ = fresh.fill([tall, wide])
    np.testing.assert_array_equal(batch, expected)
    assert batch.flags.c_contiguous
    assert [p.size_hw for p in placements] == [(32, 18), (18, 32)]
    alone, _ = canvases.fill([wide])
    assert alone.shape == (1, 32, 32, 3)
    assert (alone[0, :7] == 7).all()


def test_scratch_planes_are_bounded_when_sizes_keep_changing() -> None:
    rng = np.random.default_rng(7)
    canvases = Canvases(hw=(64, 64), order=PixelFormat.RGB, place=letterbox, pad=0, max_batch=1)
    for height in range(2, 64):
        canvases.fill([_picture(rng, PixelFormat.GRAY, (height, 64))])
    assert len(canvases._scratch) <= 16


def test_wrong_pictures_are_refused_with_both_shapes() -> None:
    canvases = Canvases(hw=(32, 32), order=PixelFormat.RGB, place=letterbox, pad=0, max_batch=1)
    planes = (np.zeros((8, 8), np.uint8), np.zeros((4, 4), np.uint8))
    picture = Picture(format=PixelFormat.I420, planes=planes, width=8, height=8)
    with pytest.raises(ValueError, match=r"i420 8x8: expected planes \[\(8, 8\), \(4, 4\), \(4, 4\)\].*got \[\(8, 8\)"):
        canvases.fill([picture])
    with pytest.raises(ValueError, match=r"pictures: expected 1\.\.1, got 0"):
        canvases.fill([])
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\), got \(8, 8\)"):
        picture_of_bgr(np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match="of float32"):
        picture_of_bgr(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="expected rgb or bgr"):
        Canvases(hw=(32, 32), order=PixelFormat.NV12, place=letterbox, pad=0, max_batch=1)


@pytest.mark.parametrize(
    ("name", "mean", "p99"),
    [("zidane.jpg", 0.4, 3), ("bus.jpg", 0.8, 6), ("dog.jpg", 1.0, 8), ("humans_4.jpg", 1.3, 11)],
)
def test_planes_against_bgr_on_real_pictures(shared_data: Path, name: str, mean: float, p99: float) -> None:
    """What the planes' route changes against the still-picture route, in levels of 0..255.

    Most of it is I420's own loss of chroma: decoding to a full-size BGR copy first differs from the still by as much
    (measured: 0.27, 0.57, 0.73, 1.11 on average on these four, where the planes' route has 0.31, 0.64, 0.79, 1.13).
    """
    pixels = cv2.imread(str(shared_data / "images" / name))
    assert pixels is not None
    pixels = np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]).astype(np.uint8)
    h, w = pixels.shape[:2]
    flat = cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420).ravel().astype(np.uint8)
    y, rest = flat[: h * w].reshape(h, w), flat[h * w :].reshape(2, h // 2, w // 2)
    planes = Picture(format=PixelFormat.I420, planes=(y, rest[0], rest[1]), width=w, height=h)
    off = []
    for picture in (planes, picture_of_bgr(pixels)):
        canvases = Canvases(hw=(416, 416), order=PixelFormat.RGB, place=letterbox, pad=114, max_batch=1)
        off.append(canvases.fill([picture])[0].astype(int))
    difference = np.abs(off[0] - off[1])
    assert difference.mean() < mean
    assert np.percentile(difference, 99) < p99


def test_a_classifiers_pictures_are_shrunk_by_averages() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200  # of four samples two are seen, of averages all
    for area, expected in ((False, {0, 200, 100}), (True, {100})):
        canvases = Canvases(hw=(16, 16), order=PixelFormat.BGR, place=stretch, pad=0, max_batch=1, area=area)
        (canvas,), _ = canvases.fill([picture_of_bgr(stripes)])
        assert set(np.unique(canvas).tolist()) <= expected
    small = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    grown = []
    for area in (False, True):  # where a side grows there is nothing to average
        canvases = Canvases(hw=(16, 16), order=PixelFormat.BGR, place=stretch, pad=0, max_batch=1, area=area)
        grown.append(canvases.fill([picture_of_bgr(small)])[0].copy())
    assert (grown[0] == grown[1]).all()
