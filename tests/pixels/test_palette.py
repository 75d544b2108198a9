"""Colours as they are seen: by everybody, and on any background."""

from __future__ import annotations

from itertools import combinations, product
from math import atan2, cos, degrees, exp, hypot, radians, sin, sqrt

import pytest

from streamer.pixels.palette import BLACK, PALETTE, WHITE, Bgr, Stroke, color_of, contrast, ink_on, stroke_of

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG
# 15(6), 2009, severity 1.0; for linear RGB.
VISIONS: dict[str, Matrix] = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
_XYZ: Matrix = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE_POINT = (0.95047, 1.0, 1.08883)  # D65


def times(matrix: Matrix, vector: Triple) -> Triple:
    a, b, c = (sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix)
    return a, b, c


def seen(color: Bgr, vision: str) -> Triple:
    """CIELAB of a colour as somebody sees it."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (side / 255 for side in reversed(color))
    )
    x, y, z = (min(1.0, max(0.0, side)) for side in times(VISIONS[vision], (red, green, blue)))
    f = [
        t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116
        for t in (a / b for a, b in zip(times(_XYZ, (x, y, z)), _WHITE_POINT, strict=True))
    ]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def ciede2000(a: Triple, b: Triple) -> float:
    """Colour difference after Sharma, Wu and Dalal, Color Research & Application 30(1), 2005."""
    mean_c7 = ((hypot(a[1], a[2]) + hypot(b[1], b[2])) / 2) ** 7
    g = 1 + 0.5 * (1 - sqrt(mean_c7 / (mean_c7 + 25**7)))
    c1, c2 = hypot(a[1] * g, a[2]), hypot(b[1] * g, b[2])
    h1, h2 = degrees(atan2(a[2], a[1] * g)) % 360, degrees(atan2(b[2], b[1] * g)) % 360
    dh = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    light, c, h = (a[0] + b[0]) / 2, (c1 + c2) / 2, h1 + dh / 2 if c1 * c2 else h1 + h2
    t = 1 - 0.17 * cos(radians(h - 30)) + 0.24 * cos(radians(2 * h))
    t += 0.32 * cos(radians(3 * h + 6)) - 0.2 * cos(radians(4 * h - 63))
    d_light = (b[0] - a[0]) / (1 + 0.015 * (light - 50) ** 2 / sqrt(20 + (light - 50) ** 2))
    d_c = (c2 - c1) / (1 + 0.045 * c)
    d_h = 2 * sqrt(c1 * c2) * sin(radians(dh / 2)) / (1 + 0.015 * c * t)
    turn = -2 * sqrt(c**7 / (c**7 + 25**7)) * sin(radians(60 * exp(-((((h % 360) - 275) / 25) ** 2))))
    return sqrt(d_light**2 + d_c**2 + d_h**2 + turn * d_c * d_h)


@pytest.mark.parametrize(
    ("a", "b", "published"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_measure_gives_published_differences(a: Triple, b: Triple, published: float) -> None:
    assert ciede2000(a, b) == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize("vision", VISIONS)
def test_eight_classes_are_told_apart(vision: str) -> None:
    assert len(set(PALETTE)) == 8
    assert min(ciede2000(seen(a, vision), seen(b, vision)) for a, b in combinations(PALETTE, 2)) > 10


@pytest.mark.parametrize("vision", VISIONS)
def test_neighbours_are_further_apart(vision: str) -> None:
    pairs = [(color_of(i), color_of(i + 1)) for i in range(80)]
    assert min(ciede2000(seen(a, vision), seen(b, vision)) for a, b in pairs) > 18


def test_three_times_the_palette_differs_by_color_or_stroke() -> None:
    assert len({(color_of(i), stroke_of(i)) for i in range(24)}) == 24
    assert stroke_of(0) is stroke_of(7) is Stroke.SOLID


def test_a_class_keeps_its_color() -> None:
    assert (color_of(0), color_of(8), color_of(80)) == (PALETTE[0],) * 3


def test_contrast_is_that_of_wcag() -> None:
    assert contrast(BLACK, WHITE) == pytest.approx(21)
    assert contrast(WHITE, WHITE) == pytest.approx(1)
    assert contrast(WHITE, (119, 119, 119)) == pytest.approx(4.48, abs=0.005)  # W3C's example: just not enough
    assert contrast((0, 0, 255), WHITE) == pytest.approx(4.0, abs=0.005)


def test_text_is_readable_on_every_class_and_on_any_color() -> None:
    for background in (*PALETTE, *product(range(0, 256, 17), repeat=3)):
        blue, green, red = background
        assert contrast(ink_on((blue, green, red)), (blue, green, red)) >= 4.5
