"""`synthetic:<scene>`: pictures rendered by the project itself, paced like a camera or read like a file."""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

import cv2

from streamer.core.clock import NS_PER_S, Clock, SystemClock
from streamer.core.errors import ConfigError, EndOfStream
from streamer.core.frame import Picture, PixelFormat

from .base import Delivery, DropCause, Grab
from .scenes.doorway import Doorway, Weather
from .scenes.shapes import Scene, SceneFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from .base import Source, SourceSpec

SCENES = ("shapes", "doorway")

_OPTIONS = ("seed", "size", "fps", "seconds", "pace")
_OPTIONS_OF = {"shapes": _OPTIONS, "doorway": (*_OPTIONS, "wind", "rain", "visitors")}
_MIN_SIDE, _MAX_SIDE = 32, 8192  # px
_STOP_CHECK_S = 0.1  # how long a wait for the next picture goes on after `stopping`
_SYSTEM_CLOCK = SystemClock()


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

    @property
    def frames(self) -> int | None:
        """How many pictures there are before the end; None if there is none."""
        return None if self.seconds is None else max(1, round(self.seconds * self.fps))


def parse_synthetic(url: str) -> SyntheticOptions:
    """Read an address such as `synthetic:shapes?seed=3&size=1280x720&fps=25&seconds=20&pace=fast`.

    Raises:
        ConfigError: the scene or an option is unknown, repeated or out of range; the message says what is allowed.
    """
    scene, _, query = url.removeprefix("synthetic:").partition("?")
    if scene not in SCENES:
        raise ConfigError(f"synthetic: no scene {scene!r}, allowed: {', '.join(SCENES)}")
    options = SyntheticOptions(scene=scene)
    seen: set[str] = set()
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in (allowed := _OPTIONS_OF[scene]):
            raise ConfigError(f"synthetic:{scene}: no option {key!r}, allowed: {', '.join(allowed)}")
        if key in seen:
            raise ConfigError(f"synthetic:{scene}: {key} is given twice")
        seen.add(key)
        options = _with(options, key, value)
    return options


def _with(options: SyntheticOptions, key: str, value: str) -> SyntheticOptions:
    match key:
        case "seed":
            return replace(options, seed=_seed(value))
        case "size":
            width, height = _size(value)
            return replace(options, width=width, height=height)
        case "fps":
            return replace(options, fps=_number(key, value, 1, 240))
        case "seconds":
            return replace(options, seconds=_number(key, value, 0.1, 1e6))
        case "wind" | "rain" | "visitors":
            return _in_the_doorway(options, key, _number(key, value, 0, 1))
        case _:
            return replace(options, pace=_pace(value))


def _in_the_doorway(options: SyntheticOptions, key: str, share: float) -> SyntheticOptions:
    match key:
        case "wind":
            return replace(options, wind=share)
        case "rain":
            return replace(options, rain=share)
        case _:
            return replace(options, visitors=share)


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


class _Scene(Protocol):
    def at(self, t_s: float) -> SceneFrame: ...


def _scene(options: SyntheticOptions) -> _Scene:
    """Return what draws the pictures."""
    match options.scene:
        case "doorway":
            weather = Weather(wind=options.wind, rain=options.rain)
            size = options.width, options.height
            return Doorway(options.seed, *size, weather=weather, visitors=options.visitors)
        case _:
            return Scene(options.seed, options.width, options.height)


class SyntheticSource:
    """A scene as a `Source`. Frame `i` shows the scene at `i / fps` and was captured at the epoch plus that.

    The epoch is the opening; a scene that is no longer live, but read like a file, may be given another one.
    """

    def __init__(
        self,
        options: SyntheticOptions,
        *,
        delivery: Delivery,
        stopping: Callable[[], bool],
        dropped: Callable[[DropCause, int], None],
        clock: Clock,
        epoch_ns: int | None = None,
    ) -> None:
        self._options = options
        self._delivery = delivery
        self._stopping = stopping
        self._dropped = dropped
        self._clock = clock
        self._scene = _scene(options)
        self._epoch_ns = clock.monotonic_ns() if epoch_ns is None or self.live else epoch_ns
        self._next = 0
        self._never = threading.Event()  # the clock waits on events; nobody sets this one

    @property
    def live(self) -> bool:
        """Whether time passes on its own."""
        return self._options.pace is Pace.LIVE

    def read(self) -> Grab:
        """Return the next picture, in I420 as cameras give it.

        Blocks at most 1 s (`fps` is at least 1), and 0.1 s once `stopping()` is true.

        Raises:
            EndOfStream: `seconds` have passed, or `stopping()` is true.
        """
        if self.live:
            self._skip_late()
        self._check_end()
        index = self._next
        while self.live and (wait_ns := self._due_ns(index) - self._clock.monotonic_ns()) > 0:
            self._clock.wait(self._never, min(wait_ns / NS_PER_S, _STOP_CHECK_S))
            self._check_end()
        self._next = index + 1
        bgr = self._scene.at(index / self._options.fps).bgr
        return Grab(picture=_i420(bgr), captured_ns=self._due_ns(index))

    def close(self) -> None:
        """Do nothing: a scene holds memory only."""

    def _check_end(self) -> None:
        """End when asked to, or after the last frame.

        Raises:
            EndOfStream: nothing more will come.
        """
        frames = self._options.frames
        if self._stopping() or (frames is not None and self._next >= frames):
            raise EndOfStream

    def _due_ns(self, index: int) -> int:
        return self._epoch_ns + round(index * NS_PER_S / self._options.fps)

    def _skip_late(self) -> None:
        """Go on at the newest frame that is due, as a camera would, and count those nobody came for in time."""
        if self._delivery is Delivery.EVERY:
            return
        newest = math.floor((self._clock.monotonic_ns() - self._epoch_ns) * self._options.fps / NS_PER_S)
        frames = self._options.frames
        newest = newest if frames is None else min(newest, frames - 1)
        if newest > self._next:
            self._dropped(DropCause.LATE, newest - self._next)
            self._next = newest


def open_synthetic(
    spec: SourceSpec,
    *,
    stopping: Callable[[], bool],
    dropped: Callable[[DropCause, int], None],
    clock: Clock = _SYSTEM_CLOCK,
) -> Source:
    """Start a scene; its time begins now.

    Args:
        spec: its `url` is `synthetic:<scene>?<options>`, see `parse_synthetic`.
        stopping: asked while waiting; once true, `read` raises EndOfStream.
        dropped: told how many frames of a live scene came too late to be rendered.
        clock: paces a live scene.

    Raises:
        ConfigError: the address asks for something unknown.
    """
    options = parse_synthetic(spec.url)
    return SyntheticSource(
        options,
        delivery=spec.delivery,
        stopping=stopping,
        dropped=dropped,
        clock=clock,
        epoch_ns=spec.epoch_ns,
    )


def _i420(bgr: NDArray[np.uint8]) -> Picture:
    """Convert an even-sized picture; the planes are views into one buffer."""
    height, width = bgr.shape[:2]
    samples = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma, chroma = height * width, height * width // 4
    halves = (height // 2, width // 2)
    return Picture(
        format=PixelFormat.I420,
        planes=(
            samples[:luma].reshape(height, width),
            samples[luma : luma + chroma].reshape(halves),
            samples[luma + chroma :].reshape(halves),
        ),
        width=width,
        height=height,
    )
