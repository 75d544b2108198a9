"""What a run knows of itself: counters with their causes, states, ages. Read by the status table and the statistics."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamer.core.clock import Clock
    from streamer.core.frame import Frame
    from streamer.ops.metrics import Counter, Metrics
    from streamer.pipeline.messages import CameraChange

# Frames that were decoded, or sent to us, and not looked at; each under its cause.
DROP_CAUSES = (
    "still",  # nothing moved: the motion gate saved it
    "superseded",  # a newer frame took its place before the model had time
    "late",  # left undecoded because the connection lagged
    "corrupt",  # the decoder refused it
    "missing",  # a gap in the camera's time stamps: lost on the way
    "overrun",  # `every` on a live camera: more than 2 s were waiting
    "too_old",  # older than max_age
    "decided",  # the item that it shows had its verdict already
    "no_time",  # it could not have been in time for the verdict on the item that it shows
    "overflow",  # the events thread lagged
    "camera_lost",  # its result came after the camera had been lost
    "stopped",  # still waiting when the run ended
)

# Looks of classifiers that did not come about, or whose answer was of no use, counted as `look_<cause>`.
LOOK_DROP_CAUSES = (
    "superseded",
    "overrun",
    "refused",  # the classifier had too much to do: the object is looked at later
    "too_old",
    "decided",
    "no_time",
    "camera_lost",
    "stopped",
)


# What became of the pictures and clips of a camera's events.
EVIDENCE = ("clips", "clip_dropped", "record_lost", "snapshot_dropped", "snapshot_failed", "snapshot_unsaved")


@dataclass(slots=True)
class CameraFigures:
    """One camera's latest facts. Each field is written by one thread and replaced at once."""

    state: str = "connecting"
    reason: str | None = None
    size: tuple[int, int] | None = None
    ages_ns: deque[int] = field(default_factory=lambda: deque(maxlen=256))

    def age_p50_ms(self) -> float | None:
        """Return the median age of the last results, capture to dealt with, ms."""
        ages = list(self.ages_ns)
        return statistics.median(ages) / NS_PER_MS if ages else None


class Figures:
    """The figures of all cameras and models of a run. Thread-safe as its parts are."""

    def __init__(self, cameras: Sequence[str], metrics: Metrics, clock: Clock) -> None:
        self.cameras = {camera: CameraFigures() for camera in cameras}
        self._infer_ns: dict[str, deque[int]] = {}
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()  # guards the table of counters
        self._counters: dict[tuple[str, str], Counter] = {}
        self._rates: dict[tuple[str, str], tuple[int, int, float]] = {}
        self._items: dict[str, Callable[[], Mapping[str, int]]] = {}

    def count(self, camera: str, name: str, n: int) -> None:
        """Add to a camera's counter."""
        self._counter(camera, name).add(n)

    def count_command(self, name: str, n: int) -> None:
        """Add to a counter of commands, which may name no camera that there is. The sink's thread."""
        self._metrics.counter(name).add(n)

    def commands(self) -> dict[str, int]:
        """Return how many commands were taken and refused."""
        return {name: self._metrics.counter(name).value for name in ("commands", "commands_refused")}

    def value(self, camera: str, name: str) -> int:
        """Return a camera's counter."""
        return self._counter(camera, name).value

    def drops(self, camera: str) -> dict[str, int]:
        """Return the frames that were not looked at, by cause; causes without any are left out."""
        counts = {cause: self.value(camera, cause) for cause in DROP_CAUSES}
        return {cause: n for cause, n in counts.items() if n}

    def look_drops(self, camera: str) -> dict[str, int]:
        """Return a camera's looks that came to nothing, by cause; causes without any are left out."""
        counts = {cause: self.value(camera, f"look_{cause}") for cause in LOOK_DROP_CAUSES}
        return {cause: n for cause, n in counts.items() if n}

    def evidence(self, camera: str) -> dict[str, int]:
        """Return what became of the pictures and clips of a camera's events; what never happened is left out."""
        counts = {name: self.value(camera, name) for name in EVIDENCE}
        return {name: n for name, n in counts.items() if n}

    def count_items(self, camera: str, counts: Callable[[], Mapping[str, int]]) -> None:
        """Take a camera's items from where they are counted (`ItemBook.counts`). Before the threads begin."""
        self._items[camera] = counts
        self._metrics.include(counts, camera=camera)

    def items(self, camera: str) -> Mapping[str, int] | None:
        """Return a camera's items since the start, as `ItemBook.counts` names them; None: it decides on none."""
        counts = self._items.get(camera)
        return None if counts is None else counts()

    def rate(self, camera: str, name: str) -> float:
        """Return a counter's growth per second since it was last asked for. Main thread only."""
        now_ns, value = self._clock.monotonic_ns(), self.value(camera, name)
        then_ns, before, rate = self._rates.get((camera, name), (now_ns, value, 0.0))
        if now_ns - then_ns >= NS_PER_S // 2:
            rate = (value - before) * NS_PER_S / (now_ns - then_ns)
            self._rates[camera, name] = (now_ns, value, rate)
        elif (camera, name) not in self._rates:
            self._rates[camera, name] = (now_ns, value, 0.0)
        return rate

    def saw(self, frame: Frame) -> None:
        """Note a decoded frame. Capture thread."""
        self.cameras[frame.info.camera].size = (frame.info.width, frame.info.height)

    def changed(self, change: CameraChange) -> None:
        """Note a camera's state. Capture thread."""
        figures = self.cameras[change.camera]
        figures.state = change.state.value
        figures.reason = None if change.reason is None else change.reason.value

    def aged(self, camera: str, age_ns: int) -> None:
        """Note how old a result was when it was dealt with. Events thread."""
        self.cameras[camera].ages_ns.append(age_ns)

    def measured(self, model: str) -> Callable[[int], None]:
        """Return where the inference thread of `model` puts the ns of each batch."""
        return self._infer_ns.setdefault(model, deque(maxlen=256)).append

    def infer_ms(self, model: str) -> float | None:
        """Return the median time of one batch of `model`, ms."""
        values = list(self._infer_ns.get(model, ()))
        return statistics.median(values) / NS_PER_MS if values else None

    def _counter(self, camera: str, name: str) -> Counter:
        with self._lock:
            counter = self._counters.get((camera, name))
            if counter is None:
                counter = self._counters[camera, name] = self._metrics.counter(name, camera=camera)
        return counter
