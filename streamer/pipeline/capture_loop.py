"""The life of one camera: open, read, offer, lose, wait, open anew."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from streamer.capture.base import Delivery, DropCause, Grab
from streamer.core.clock import NS_PER_S, utc_offset_ns
from streamer.core.errors import BackendError, ChannelClosed, EndOfStream, LostReason, SourceError
from streamer.core.frame import Frame, FrameInfo
from streamer.core.redact import redact

from .messages import CameraChange, CameraState

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from streamer.capture.base import OpenSource, Source, SourceSpec
    from streamer.core.clock import Clock

    from .backoff import Backoff
    from .outlets import Outlet

_log = logging.getLogger(__name__)
_BEAT_S = 0.5
_SWITCH_S = 0.25  # how often one that is switched off looks whether it is wanted again


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePlan:
    """What one capture thread needs besides its loop."""

    spec: SourceSpec
    finite: bool  # the source ends by itself, and the end is no loss
    open_source: OpenSource
    backoff: Backoff
    outlets: Sequence[Outlet]  # what its frames are looked at by
    changed: Callable[[CameraChange], None]
    count: Callable[[str, int], None]  # (cause or counter, how many)
    seen: Callable[[Frame], None]  # told of each decoded frame, for the status table
    is_item: Callable[[Frame], bool] = lambda _: False  # asked of each: whether it shows an item that must be judged
    wanted: Callable[[], bool] = lambda: True  # False: it has been switched off, and is to be left alone


class Capture:
    """One camera's thread. Owns its source; nobody else touches it."""

    def __init__(self, plan: CapturePlan, *, clock: Clock, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._stop = stop
        self._beat = beat
        self._connection = 0
        self._state: CameraState | None = None
        self._reason: LostReason | None = None
        self._since_utc_ns = 0
        self._switched_off = False

    def loop(self) -> None:
        """Keep the camera open until the end.

        Thread: capture-<camera>.  Ends: `stop` is set, a finite source has ended, or the frame queue is closed
        (ChannelClosed is caught by Worker).
        Blocks on: opening and reading (their own limits), Outlet.offer (take, close), the back-off (stop), standing
        by (stop, 0.25 s).
        """
        while not self._stop.is_set():
            if self._unwanted():
                self._stand_by()
                continue
            if self._state in (None, CameraState.DISABLED):
                self._announce(CameraState.CONNECTING, None)
            reason = self._connect_once()
            if self._unwanted():
                continue
            if reason is None:
                return
            self._lose(reason)
            self._connection += 1
            self._rest(self._plan.backoff.next_s(reason))

    def _connect_once(self) -> LostReason | None:
        """Open and read until the source is lost; None when the camera is done for good."""
        plan = self._plan
        try:
            source = plan.open_source(plan.spec, stopping=self._leaves, dropped=self._dropped)
            try:
                self._pump(source)
            finally:
                source.close()
        except EndOfStream:
            if self._leaves():
                return None
            if not plan.finite:
                return LostReason.ENDED
            self._finish(LostReason.ENDED)
            return None
        except SourceError as exc:
            reason = self._lost(exc)
            if not plan.finite:
                return reason
            self._finish(reason)  # a file that can't be read won't mend itself
            return None
        except BackendError as exc:  # of the GPU that holds its pictures: no fault of ours, and none of the file
            self._lost(SourceError(LostReason.FAULT, str(exc)))
        except ChannelClosed:
            raise
        except Exception:  # noqa: BLE001  a fault of ours stays inside its camera
            _log.exception("unexpected fault; the camera is opened anew", extra=self._extra())
            plan.count("fault", 1)
        return LostReason.FAULT

    def _lost(self, exc: SourceError) -> LostReason:
        if self._state is not CameraState.OFFLINE or exc.reason is not self._reason:
            _log.warning("%s (%s)", redact(str(exc)), exc.reason.value, extra=self._extra())
        self._plan.count("lost_connections", 1)
        return exc.reason

    def _lose(self, reason: LostReason) -> None:
        """Tell of the loss at once; where every frame counts, its events end behind the frames still on the way."""
        every, had_frames = self._plan.spec.delivery is Delivery.EVERY, self._state is CameraState.ONLINE
        self._announce(CameraState.OFFLINE, reason, trailing=every)
        if every and had_frames:
            for outlet in self._plan.outlets:
                outlet.end(self._connection)

    def _finish(self, reason: LostReason) -> None:
        """End a finite source: its last frames are still on the way."""
        self._announce(CameraState.OFFLINE, reason, finite=True)
        for outlet in self._plan.outlets:
            outlet.end(None)

    def _pump(self, source: Source) -> NoReturn:
        """Read until EndOfStream or SourceError, and offer what the outlets choose.

        A recording of which the newest frame counts is played at 1x from its first picture on, whenever that comes: its
        times begin at the run's start, and to hurry after those would skip what it shows before it was opened.
        """
        plan = self._plan
        paced = not source.live and plan.spec.delivery is Delivery.NEWEST
        offset_ns = utc_offset_ns(self._clock)
        seq = shift_ns = 0  # `shift_ns`: from a recorded frame's own time to when it is shown
        while True:
            grab = source.read()
            if paced and seq == 0:
                shift_ns = self._clock.monotonic_ns() - grab.captured_ns
            if paced and self._ahead(grab.captured_ns + shift_ns):
                raise EndOfStream
            if source.live:  # the wall clock may have been set; a file keeps the offset it began with
                offset_ns = utc_offset_ns(self._clock)
            frame = self._frame(grab, seq, offset_ns, live=source.live)
            if seq == 0:
                plan.backoff.reset()
                self._online(frame)
            seq += 1
            plan.count("decoded", 1)
            plan.seen(frame)
            item = plan.is_item(frame)
            for outlet in plan.outlets:
                if outlet.choose(frame, item=item):
                    self._offer(outlet, frame)
            self._beat()

    def _offer(self, outlet: Outlet, frame: Frame) -> None:
        """Hand a frame to a model."""
        while not outlet.offer(frame):  # a model that still loads, or a slow one: no fault of the camera
            self._beat()

    def _frame(self, grab: Grab, seq: int, offset_ns: int, *, live: bool) -> Frame:
        return Frame(
            info=FrameInfo(
                camera=self._plan.spec.camera,
                connection=self._connection,
                seq=seq,
                captured_ns=grab.captured_ns,
                utc_ns=grab.captured_ns + offset_ns,
                width=grab.picture.width,
                height=grab.picture.height,
                live=live,
                recalled=grab.recalled,
            ),
            picture=grab.picture,
        )

    def _ahead(self, due_ns: int) -> bool:
        """Wait until a recorded frame is due; True if we were stopped meanwhile."""
        while (wait_ns := due_ns - self._clock.monotonic_ns()) > 0:
            self._beat()
            if self._clock.wait(self._stop, min(wait_ns / NS_PER_S, _BEAT_S)):
                return True
        return self._stop.is_set()

    def _rest(self, delay_s: float) -> None:
        """Wait for the next attempt, beating: a camera that is merely away is no fault."""
        end_ns = self._clock.monotonic_ns() + round(delay_s * NS_PER_S)
        while (wait_ns := end_ns - self._clock.monotonic_ns()) > 0 and not self._unwanted():
            self._beat()
            if self._clock.wait(self._stop, min(wait_ns / NS_PER_S, _BEAT_S)):
                return

    def _stand_by(self) -> None:
        """Say that the camera is switched off, and wait until it is wanted again, beating: nobody misses it."""
        _log.info("switched off by a command, until it is switched on", extra=self._extra())
        self._announce(CameraState.DISABLED, None)
        self._connection += 1
        self._plan.backoff.reset()
        while not self._plan.wanted():
            self._beat()
            if self._clock.wait(self._stop, _SWITCH_S):
                return
        self._switched_off = False

    def _leaves(self) -> bool:
        """Whether to let go of the source."""
        return self._stop.is_set() or self._unwanted()

    def _unwanted(self) -> bool:
        """Whether the camera has been switched off since it was opened; it is let go even if it is on again by now."""
        if not self._plan.wanted():
            self._switched_off = True
        return self._switched_off

    def _online(self, frame: Frame) -> None:
        info = frame.info
        again = "again " if self._connection else ""
        _log.info("online %s(%dx%d)", again, info.width, info.height, extra=self._extra())
        self._announce(CameraState.ONLINE, None)

    def _announce(
        self, state: CameraState, reason: LostReason | None, *, finite: bool = False, trailing: bool = False
    ) -> None:
        if (state, reason) == (self._state, self._reason):
            return
        if state is not self._state:
            self._since_utc_ns = self._clock.utc_ns()
        self._state, self._reason = state, reason
        self._plan.changed(
            CameraChange(
                camera=self._plan.spec.camera,
                state=state,
                reason=reason,
                since_utc_ns=self._since_utc_ns,
                connection=self._connection,
                finite=finite,
                trailing=trailing,
            )
        )

    def _extra(self) -> dict[str, str]:
        return {"camera": self._plan.spec.camera}

    def _dropped(self, cause: DropCause, frames: int) -> None:
        self._plan.count(cause.value, frames)
