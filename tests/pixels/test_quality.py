from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from device_pictures import freed, uploaded

from streamer.core.frame import ColorRange, Picture, PixelFormat
from streamer.pixels.quality import quality

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from nvidia import FakeGpu

    Luma = NDArray[np.uint8]


def gray(luma: Luma, shown: ColorRange = ColorRange.LIMITED) -> Picture:
    height, width = luma.shape
    return Picture(format=PixelFormat.GRAY, planes=(luma,), width=width, height=height, range=shown)


def textured(width: int = 1920, height: int = 1080) -> Luma:
    """Shapes of many sizes with hard edges, and a camera's noise."""
    draw = np.random.default_rng(3)
    luma = np.full((height, width), 120, np.uint8)
    for _ in range(150):
        x, y, w, h, level = (int(v) for v in draw.integers((0, 0, 4, 4, 30), (width, height, 200, 200, 220)))
        cv2.rectangle(luma, (x, y), (x + w, y + h), level, -1)
    return np.clip(luma + draw.normal(0, 2, luma.shape), 0, 255).astype(np.uint8)


def blurred(luma: Luma, sigma: float) -> Luma:
    result: Luma = cv2.GaussianBlur(luma, (0, 0), sigma)
    return result


@pytest.mark.parametrize(
    ("shown", "level", "brightness"),
    [
        (ColorRange.LIMITED, 16, 0.0),
        (ColorRange.LIMITED, 235, 1.0),
        (ColorRange.LIMITED, 5, 0.0),
        (ColorRange.LIMITED, 125, 109 / 219),
        (ColorRange.FULL, 0, 0.0),
        (ColorRange.FULL, 51, 0.2),
        (ColorRange.FULL, 255, 1.0),
    ],
)
def test_brightness_runs_from_black_to_white_of_its_range(shown: ColorRange, level: int, brightness: float) -> None:
    seen = quality(gray(np.full((90, 160), level, np.uint8), shown))

    assert seen.brightness == pytest.approx(brightness)
    assert seen.sharpness == 0


def test_packed_colours_have_their_full_range() -> None:
    bgr = np.full((90, 160, 3), 51, np.uint8)

    assert quality(Picture(format=PixelFormat.BGR, planes=(bgr,), width=160, height=90)).brightness == pytest.approx(
        0.2
    )


@pytest.mark.parametrize("size", [(3840, 2160), (1920, 1080), (1280, 720), (640, 480), (320, 240)])
def test_sharpness_falls_with_blur_of_what_a_network_sees(size: tuple[int, int]) -> None:
    luma = textured(*size)
    sharp = quality(gray(luma)).sharpness
    shares = [quality(gray(blurred(luma, sigma * size[0] / 1920))).sharpness / sharp for sigma in (1, 4, 8)]

    assert shares[0] > 0.45
    assert shares[1] < 0.3
    assert shares[2] < 0.1


def test_light_and_noise_do_not_make_a_picture_sharp_or_blurred() -> None:
    luma = textured()
    sharp = quality(gray(luma)).sharpness
    noise = np.random.default_rng(4).normal(0, 5, luma.shape)

    assert quality(gray((luma * 0.4).astype(np.uint8))).sharpness == pytest.approx(sharp, rel=0.1)
    assert quality(gray(np.clip(luma + noise, 0, 255).astype(np.uint8))).sharpness == pytest.approx(sharp, rel=0.1)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 900), (900, 1), (3, 2), (1919, 1079), (481, 7)])
def test_every_size_is_looked_at(width: int, height: int) -> None:
    seen = quality(gray(np.full((height, width), 125, np.uint8)))

    assert (seen.sharpness, round(seen.brightness, 2)) == (0, 0.5)


def test_the_fingerprint_is_the_same_for_the_same_picture_only() -> None:
    luma = textured()
    other = luma.copy()
    other[500:504, 900:904] ^= 16  # one of its 130,000 cells

    assert quality(gray(luma)).fingerprint == quality(gray(luma.copy())).fingerprint
    assert quality(gray(luma)).fingerprint != quality(gray(other)).fingerprint


@pytest.mark.parametrize("width", [640, 320])
def test_padded_rows_are_no_part_of_the_picture(width: int) -> None:
    luma = textured(width, 240)
    padded = np.full((240, 700), 255, np.uint8)
    padded[:, :width] = luma

    assert quality(gray(padded[:, :width])) == quality(gray(luma))


def test_a_picture_on_a_gpu_is_seen_as_on_the_cpu(fake_gpu: FakeGpu) -> None:
    luma = textured(640, 480)
    chroma = np.full((240, 320, 2), 128, np.uint8)
    picture = Picture(format=PixelFormat.NV12, planes=(luma, chroma), width=640, height=480)
    there = uploaded(picture, fake_gpu)

    assert quality(there) == quality(picture)
    freed(there, fake_gpu)


def test_real_pictures_are_told_from_blurred_ones_by_the_default_share(shared_data: Path) -> None:
    paths = sorted((shared_data / "images").glob("*.jpg"))
    assert paths
    for path in paths:
        shot = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert shot is not None
        scale = 1920 / max(shot.shape)
        luma: Luma = cv2.resize(shot, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        sharp = quality(gray(luma))
        shares = {sigma: quality(gray(blurred(luma, sigma))).sharpness / sharp.sharpness for sigma in (1, 4, 8)}

        assert shares[1] > 0.5, path.name
        assert shares[4] < 0.3, path.name
        assert shares[8] < 0.1, path.name
        assert sharp.brightness > 0.1, path.name
