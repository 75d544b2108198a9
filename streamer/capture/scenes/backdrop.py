"""A textured background and the sensor noise over it, made once for a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

# Two muted colours (B, G, R) each: top left and bottom right.
_TONES = (
    ((92, 74, 58), (58, 46, 42)),  # dusk
    ((120, 138, 140), (84, 98, 106)),  # stone
    ((86, 104, 84), (52, 70, 60)),  # moss
    ((126, 150, 168), (88, 108, 128)),  # sand
    ((112, 96, 104), (66, 58, 72)),  # slate
)
_OCTAVES = ((3, 22.0), (9, 12.0), (28, 7.0), (90, 4.0))  # cells across, strength in grey levels
_NOISE_SIGMA = 3.5  # grey levels, a small camera in a lit room
_NOISE_POOL = 4
_NOISE_SHIFT = 64  # px: each picture sees another part of a noise field
_MASK_64 = (1 << 64) - 1


class Backdrop:
    """The background of one scene at one size; `picture` is a pure function of its key."""

    def __init__(self, seed: int, width: int, height: int) -> None:
        rng = np.random.default_rng((seed, 0xBACD))
        self._still = _still(rng, width, height)
        self._noise = Noise(rng, width, height)

    def picture(self) -> NDArray[np.uint8]:
        """Return a copy of the background without noise, BGR (H, W, 3)."""
        return np.array(self._still)

    def add_noise(self, bgr: NDArray[np.uint8], key: int) -> None:
        """Add the sensor noise of one moment in place; equal keys give equal noise."""
        self._noise.add(bgr, key)


class Noise:
    """The sensor noise of one camera: some fields, of which each picture sees another part."""

    def __init__(self, rng: Generator, width: int, height: int) -> None:
        self._hw = (height, width)
        self._brighter, self._darker = _noise_pool(rng, width, height)

    def add(self, bgr: NDArray[np.uint8], key: int) -> None:
        """Add the sensor noise of one moment in place; equal keys give equal noise."""
        height, width = self._hw
        mixed = _mix(key)
        field = mixed % _NOISE_POOL
        x, y = (mixed >> 8) % _NOISE_SHIFT, (mixed >> 24) % _NOISE_SHIFT
        part = np.s_[y : y + height, x : x + width]
        cv2.add(bgr, self._brighter[field][part], dst=bgr)
        cv2.subtract(bgr, self._darker[field][part], dst=bgr)


def _mix(key: int) -> int:
    """Spread a key over 64 bits (the finaliser of splitmix64)."""
    z = (key * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & _MASK_64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return z ^ (z >> 31)


def _still(rng: Generator, width: int, height: int) -> NDArray[np.uint8]:
    first, second = _TONES[int(rng.integers(len(_TONES)))]
    down, across = np.mgrid[0 : 1 : complex(height), 0 : 1 : complex(width)].astype(np.float32)
    slope = ((down + across) / 2)[..., None]
    tones = np.array(first, np.float32) * (1 - slope) + np.array(second, np.float32) * slope
    texture = np.zeros((height, width), np.float32)
    for cells, strength in _OCTAVES:
        rows = max(2, round(cells * height / width))
        grid = rng.uniform(-1, 1, (rows, cells)).astype(np.float32)
        texture += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(tones + texture[..., None], 0, 255).astype(np.uint8))


def _noise_pool(rng: Generator, width: int, height: int) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Return what is to be added and what is to be taken away: two saturating 8-bit passes cost least."""
    brighter, darker = [], []
    for _ in range(_NOISE_POOL):
        shape = (height + _NOISE_SHIFT, width + _NOISE_SHIFT, 3)
        noise = np.rint(rng.standard_normal(shape, np.float32) * _NOISE_SIGMA)
        brighter.append(np.maximum(noise, 0).astype(np.uint8))
        darker.append(np.maximum(-noise, 0).astype(np.uint8))
    return brighter, darker
