"""Drawn scenes, (H, W) levels of a small luma picture at a moment, and what is to be said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.motion.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.motion.background import Look

H, W = 90, 160
Levels = NDArray[np.float64]


def textured(rng: np.random.Generator, blur: float = 3.0) -> Levels:
    """Return a quiet background with contrast everywhere."""
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (H, W)), (0, 0), blur)
    scaled: Levels = 60 + 130 * (texture - texture.min()) / np.ptp(texture)
    return scaled


def looks(
    scene: Callable[[float], Levels],
    until_s: float,
    *,
    rng: np.random.Generator,
    noise: float = 1.5,
    watched: NDArray[np.bool_] | None = None,
    contrast: float = 1.0,
    told: Callable[[float, Background], None] = lambda _at_s, _background: None,
) -> list[tuple[float, Look]]:
    """Show a scene ten times a second through a noisy sensor; return (seconds, what was found), and tell after each."""
    background, found = None, []
    for step in range(round(until_s * 10)):
        level = scene(step / 10)
        luma = np.clip(level + rng.normal(0, noise, level.shape), 0, 255).astype(np.uint8)
        if background is None:
            background = Background(luma, np.ones((H, W), bool) if watched is None else watched, contrast=contrast)
        else:
            found.append((step / 10, background.look(luma, 0.1)))
            told(step / 10, background)
    return found


def moving(found: list[tuple[float, Look]], begin_s: float, end_s: float) -> float:
    """Return in which share of the looks of a stretch something moved."""
    return float(np.mean([look.moves for at_s, look in found if begin_s <= at_s < end_s]))


def everything_at(found: list[tuple[float, Look]]) -> list[float]:
    """Return the moments at which all had changed."""
    return [at_s for at_s, look in found if look.everything]
