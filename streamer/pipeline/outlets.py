"""Where a camera's frames go: to the detector, and to classifications of the frame or a zone, each at its own pace."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from streamer.core.look import Look, look_lane
from streamer.pixels.crop import cropped, detached, zone_part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.frame import Frame

    from .cadence import Cadence
    from .closer_looks import CloserLooks
    from .frames import FrameQueue
    from .gated import Gated

Point = tuple[float, float]  # fractions of width and height


class Outlet(Protocol):
    """One of the models that a camera's frames go to. Capture thread."""

    def choose(self, frame: Frame, *, item: bool) -> bool:
        """Take in the next decoded frame; return whether it is to be looked at.

        Args:
            frame: that was decoded.
            item: it shows an item that must be judged.
        """

    def offer(self, frame: Frame) -> bool:
        """Hand a chosen frame over; False: there was no room yet, try again."""

    def end(self, connection: int | None) -> None:
        """Say that the last frame of a connection that was lost, or with None of a finite source, has been offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorPlan:
    """How frames go to a detector."""

    camera: str
    frames: FrameQueue[Frame]
    cadence: Cadence | None  # None: only items are looked at
    gate: Gated | None  # skips frames while nothing moves
    skipped: Callable[[], None]  # the gate has skipped one
    items: bool = False  # items are judged by what it finds
    closer: CloserLooks | None = None  # where something small moves it is shown that part besides; needs the gate


class DetectorOutlet:
    """Frames for the detector."""

    def __init__(self, plan: DetectorPlan) -> None:
        self._plan = plan

    def choose(self, frame: Frame, *, item: bool) -> bool:
        """Choose items that it is to judge, and what the cadence takes and the gate lets through."""
        plan = self._plan
        if plan.gate is not None:
            plan.gate.watch(frame)
        taken = plan.cadence is not None and plan.cadence.takes(frame.info.captured_ns)
        if item and plan.items:
            return True
        if not taken:
            return False
        if plan.gate is not None and plan.gate.skips(frame):
            plan.skipped()
            return False
        return True

    def offer(self, frame: Frame) -> bool:
        """Hand a frame over, with the parts that are to be looked at more closely."""
        plan = self._plan
        if plan.closer is not None and plan.gate is not None:
            frame = replace(frame, zoom=plan.closer.parts(frame.info, plan.gate.regions()))
        return plan.frames.offer(frame)

    def end(self, connection: int | None) -> None:
        """Mark the end."""
        _mark(self._plan.frames, self._plan.camera, connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class LooksPlan:
    """How frames go to a classification."""

    camera: str
    name: str  # of the classification
    looks: FrameQueue[Look]
    cadence: Cadence | None  # None: items are judged by it, and nothing else is looked at
    zone: Sequence[Point] | None  # None: the whole frame


class LooksOutlet:
    """Frames, or a zone of them, for a classification."""

    def __init__(self, plan: LooksPlan) -> None:
        self._plan = plan

    def choose(self, frame: Frame, *, item: bool) -> bool:
        """Choose what the cadence takes, or items."""
        cadence = self._plan.cadence
        return item if cadence is None else cadence.takes(frame.info.captured_ns)

    def offer(self, frame: Frame) -> bool:
        """Hand a frame's part over."""
        plan, info, picture = self._plan, frame.info, frame.picture
        if plan.zone is not None:
            # A copy of the part: what waits is bounded by its own bytes, so it must not hold the whole frame.
            picture = detached(cropped(picture, zone_part(plan.zone, (info.height, info.width))))
        return plan.looks.offer(Look(info=info, name=plan.name, picture=picture))

    def end(self, connection: int | None) -> None:
        """Mark the end."""
        _mark(self._plan.looks, look_lane(self._plan.camera, self._plan.name), connection)


def _mark(queue: FrameQueue[Frame] | FrameQueue[Look], lane: str, connection: int | None) -> None:
    if connection is None:
        queue.finish(lane)
    else:
        queue.lose(lane, connection)
