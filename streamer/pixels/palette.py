"""Colours and line styles for classes, told apart with any colour vision."""

from __future__ import annotations

from enum import Enum

Bgr = tuple[int, int, int]  # sRGB, 0..255

BLACK: Bgr = (0, 0, 0)
WHITE: Bgr = (255, 255, 255)

# Masataka Okabe and Kei Ito, "Color Universal Design" (2008): https://jfly.uni-koeln.de/color/. The order is ours: by
# whatever colour vision they are seen, neighbours are as far apart as any order of these eight allows.
PALETTE: tuple[Bgr, ...] = (
    (0, 159, 230),  # orange
    (178, 114, 0),  # blue
    (233, 180, 86),  # sky blue
    (0, 94, 213),  # vermilion
    (115, 158, 0),  # bluish green
    (66, 228, 240),  # yellow
    (167, 121, 204),  # reddish purple
    BLACK,
)


class Stroke(Enum):
    """How a line is drawn: (dash, gap) in line widths; no gap is a solid line."""

    SOLID = (1, 0)
    DASHED = (8, 3)
    DOTTED = (2, 2)


def color_of(class_id: int) -> Bgr:
    """Return a class's colour: the same in every picture."""
    return PALETTE[class_id % len(PALETTE)]


def stroke_of(class_id: int) -> Stroke:
    """Return a class's line style: it tells classes of one colour apart, up to three times the palette."""
    strokes = tuple(Stroke)
    return strokes[class_id // len(PALETTE) % len(strokes)]


def ink_on(background: Bgr) -> Bgr:
    """Return black or white, whichever is read more easily on a background: at least 4.5 to 1 on any."""
    return max(BLACK, WHITE, key=lambda ink: contrast(ink, background))


def contrast(a: Bgr, b: Bgr) -> float:
    """Return the contrast ratio of WCAG 2.2, 1..21."""
    darker, lighter = sorted((_luminance(a), _luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: Bgr) -> float:
    """Return WCAG's relative luminance, 0..1."""
    blue, green, red = (_linear(channel / 255) for channel in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
