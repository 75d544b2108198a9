"""A camera's full-size stream, from which its clips come: kept open, put on a tape, and never decoded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream, LostReason, SourceError
from streamer.core.redact import redact

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streamer.capture.base import SourceSpec
    from streamer.capture.packets import PacketReader
    from streamer.core.clock import Clock

    from .backoff import Backoff

_log = logging.getLogger(__name__)

LOST = "record_lost"  # what is counted: connections
_BEAT_S = 0.5
_SWITCH_S = 0.25  # how often one that is switched off looks whether it is wanted again


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """What one recording needs besides its loop."""

    spec: SourceSpec  # of the `record` stream, with its tape
    open_packets: Callable[[SourceSpec, Callable[[], bool]], PacketReader]  # spec, stopping
    backoff: Backoff
    count: Callable[[str, int], None]  # counter, how many
    wanted: Callable[[], bool] = lambda: True  # False: the camera has been switched off, and this with it


class Recording:
    """One camera's recording thread. Owns its connection; nobody else touches it.

    That it is lost is logged and counted. The camera itself is not lost by it: what it is looked at by goes on, and
    only clips are missing.
    """

    def __init__(self, plan: RecordingPlan, *, clock: Clock, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._stop = stop
        self._beat = beat
        self._lost: LostReason | None = None  # why nothing is recorded now; None: it is, or nothing was tried yet

    def loop(self) -> None:
        """Keep the stream open until the end.

        Thread: record-<camera>.  Ends: `stop` is set.
        Blocks on: opening and reading (their own limits), the back-off (stop), standing by (stop, 0.25 s).
        """
        while not self._stop.is_set():
            if not self._plan.wanted():
                self._beat()
                self._clock.wait(self._stop, _SWITCH_S)
                continue
            reason = self._connect_once()
            if reason is not None:
                self._rest(self._plan.backoff.next_s(reason))

    def _connect_once(self) -> LostReason | None:
        """Open and read until the stream is lost; None if the run is stopping, or the camera is switched off."""
        plan = self._plan
        try:
            packets = plan.open_packets(plan.spec, self._leaves)
            try:
                self._pump(packets)
            finally:
                packets.close()
        except EndOfStream:
            if self._leaves():
                return None
            return self._say(LostReason.ENDED, "the record stream has ended")
        except SourceError as exc:
            return self._say(exc.reason, redact(str(exc)))
        except Exception:  # noqa: BLE001  a fault of ours stays inside its camera
            _log.exception("unexpected fault; the record stream is opened anew", extra=self._extra())
            plan.count("fault", 1)
            self._lost = LostReason.FAULT
        return LostReason.FAULT

    def _pump(self, packets: PacketReader) -> NoReturn:
        """Read until EndOfStream or SourceError: reading puts it on the tape."""
        begun = False
        while True:
            packets.next()
            if not begun:
                begun = True
                self._plan.backoff.reset()
                _log.info("recording%s", "" if self._lost is None else " again", extra=self._extra())
                self._lost = None
            self._beat()

    def _say(self, reason: LostReason, why: str) -> LostReason:
        """Log a loss when it begins and when its reason changes; count each."""
        if reason is not self._lost:
            _log.warning("no clips while its record stream is lost: %s (%s)", why, reason.value, extra=self._extra())
        self._lost = reason
        self._plan.count(LOST, 1)
        return reason

    def _rest(self, delay_s: float) -> None:
        """Wait for the next attempt, beating."""
        end_ns = self._clock.monotonic_ns() + round(delay_s * NS_PER_S)
        while (wait_ns := end_ns - self._clock.monotonic_ns()) > 0 and self._plan.wanted():
            self._beat()
            if self._clock.wait(self._stop, min(wait_ns / NS_PER_S, _BEAT_S)):
                return

    def _leaves(self) -> bool:
        """Whether to let go of the stream."""
        return self._stop.is_set() or not self._plan.wanted()

    def _extra(self) -> dict[str, str]:
        return {"camera": self._plan.spec.camera}
