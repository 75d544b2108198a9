"""What the address of a drawn scene may ask for, and what it gets if it does not."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import parse_qsl

from streamer.core.errors import ConfigError


class Pace(str, Enum):
    """Who sets the speed."""

    LIVE = "live"  # time does: like a camera
    FAST = "fast"  # the reader does: like a file


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticOptions:
    """What an address asks for."""

    scene: str = "shapes"
    seed: int = 0
    width: int = 640  # px
    height: int = 360  # px
    fps: float = 15.0
    seconds: float | None = None  # None: endless
    pace: Pace = Pace.LIVE
    wind: float = 0.4  # 0..1, as all that follow; of the doorway
    rain: float = 0.0
    visitors: float = 1.0  # share of the time in which anybody comes
    rate: float = 2.0  # boards a second; of the boards
    defective: float = 0.5  # 0..1, share of the boards that have a defect

    @property
    def frames(self) -> int | None:
        """How many pictures there are before the end; None if there is none."""
        return None if self.seconds is None else max(1, round(self.seconds * self.fps))


# The scenes and what each begins with; the first five options are everyone's, the rest belong to one scene.
SCENES = {
    "shapes": SyntheticOptions(scene="shapes"),
    "doorway": SyntheticOptions(scene="doorway"),
    "boards": SyntheticOptions(scene="boards", height=640, fps=2.0),
}
_COMMON = ("seed", "size", "fps", "seconds", "pace")
_OWN = {"shapes": (), "doorway": ("wind", "rain", "visitors"), "boards": ("rate", "defective")}
_LEAST_FPS = {"shapes": 1.0, "doorway": 1.0, "boards": 0.5}  # a slow machine makes a board in 2 s
_MIN_SIDE, _MAX_SIDE = 32, 8192  # px


def parse_synthetic(url: str) -> SyntheticOptions:
    """Read an address such as `synthetic:shapes?seed=3&size=1280x720&fps=25&seconds=20&pace=fast`.

    Raises:
        ConfigError: the scene or an option is unknown, repeated or out of range; the message says what is allowed.
    """
    scene, _, query = url.removeprefix("synthetic:").partition("?")
    if scene not in SCENES:
        raise ConfigError(f"synthetic: no scene {scene!r}, allowed: {', '.join(SCENES)}")
    options = SCENES[scene]
    seen: set[str] = set()
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in (allowed := (*_COMMON, *_OWN[scene])):
            raise ConfigError(f"synthetic:{scene}: no option {key!r}, allowed: {', '.join(allowed)}")
        if key in seen:
            raise ConfigError(f"synthetic:{scene}: {key} is given twice")
        seen.add(key)
        options = _with(options, key, value)
    if scene == "boards" and "fps" not in seen:
        return replace(options, fps=options.rate)  # the machine triggers the camera: one picture of each board
    return options


def _with(options: SyntheticOptions, key: str, value: str) -> SyntheticOptions:
    match key:
        case "seed":
            return replace(options, seed=_seed(value))
        case "size":
            width, height = _size(value)
            return replace(options, width=width, height=height)
        case "fps":
            return replace(options, fps=_number(key, value, _LEAST_FPS[options.scene], 240))
        case "seconds":
            return replace(options, seconds=_number(key, value, 0.1, 1e6))
        case "pace":
            return replace(options, pace=_pace(value))
        case _:
            return _of_the_scene(options, key, value)


def _of_the_scene(options: SyntheticOptions, key: str, value: str) -> SyntheticOptions:
    """Take an option that only one scene has."""
    match key:
        case "wind":
            return replace(options, wind=_number(key, value, 0, 1))
        case "rain":
            return replace(options, rain=_number(key, value, 0, 1))
        case "visitors":
            return replace(options, visitors=_number(key, value, 0, 1))
        case "rate":
            return replace(options, rate=_number(key, value, 0.5, 60))
        case _:
            return replace(options, defective=_number(key, value, 0, 1))


def _wrong(key: str, value: str, allowed: str) -> ConfigError:
    return ConfigError(f"synthetic: {key}={value!r}, allowed: {allowed}")


def _seed(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise _wrong("seed", value, "a whole number from 0 to 999999999")
    return int(value)


def _size(value: str) -> tuple[int, int]:
    parts = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", value)
    sides = tuple(int(side) for side in parts.groups()) if parts else ()
    if not sides or any(side % 2 or not _MIN_SIDE <= side <= _MAX_SIDE for side in sides):
        raise _wrong("size", value, f"WIDTHxHEIGHT, even numbers from {_MIN_SIDE} to {_MAX_SIDE}")
    return sides[0], sides[1]


def _number(key: str, value: str, least: float, most: float) -> float:
    allowed = f"a number from {least:g} to {most:g}"
    try:
        number = float(value)
    except ValueError:
        raise _wrong(key, value, allowed) from None
    if not (math.isfinite(number) and least <= number <= most):
        raise _wrong(key, value, allowed)
    return number


def _pace(value: str) -> Pace:
    try:
        return Pace(value)
    except ValueError:
        raise _wrong("pace", value, " | ".join(pace.value for pace in Pace)) from None
