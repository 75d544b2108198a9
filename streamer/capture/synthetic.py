"""`synthetic:<scene>`: pictures rendered by the project itself, paced like a camera or read like a file."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Protocol

import cv2

from streamer.core.clock import NS_PER_S, Clock, SystemClock
from streamer.core.errors import EndOfStream
from streamer.core.frame import Picture, PixelFormat

from .base import Delivery, DropCause, Grab
from .scenes.boards import Boards
from .scenes.doorway import Doorway, Weather
from .scenes.shapes import Scene, SceneFrame
from .synthetic_options import Pace, SyntheticOptions, parse_synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from .base import Source, SourceSpec

_STOP_CHECK_S = 0.1  # how long a wait for the next picture goes on after `stopping`
_SYSTEM_CLOCK = SystemClock()


class _Scene(Protocol):
    def at(self, t_s: float) -> SceneFrame: ...


def _scene(options: SyntheticOptions) -> _Scene:
    """Return what draws the pictures."""
    size = options.width, options.height
    match options.scene:
        case "doorway":
            weather = Weather(wind=options.wind, rain=options.rain)
            return Doorway(options.seed, *size, weather=weather, visitors=options.visitors)
        case "boards":
            return Boards(options.seed, *size, rate=options.rate, defective=options.defective)
        case _:
            return Scene(options.seed, *size)


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

        Blocks at most 2 s (`fps` is at least 0.5), and 0.1 s once `stopping()` is true.

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
