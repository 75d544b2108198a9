from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.capture.base import Delivery, DropCause, Grab, Source, SourceSpec
from streamer.core.clock import FakeClock
from streamer.core.errors import BackendError, ChannelClosed, EndOfStream, LostReason, SourceError
from streamer.core.frame import Frame, Picture, PixelFormat
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.capture_loop import Capture, CapturePlan
from streamer.pipeline.frames import FrameQueue, Lane, Lost, Mark, SourceEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.pipeline.messages import CameraChange
from streamer.pipeline.outlets import DetectorOutlet, DetectorPlan

PIXELS = np.zeros((4, 4), np.uint8)
Step = float | Exception


class ScriptedSource:
    """Gives frames at the times of a script, then raises what stands at its end."""

    def __init__(self, clock: FakeClock, steps: list[Step], *, live: bool, epoch_ns: int | None = None) -> None:
        self.live = live
        self.closed = 0
        self._clock = clock
        self._steps = iter(steps)
        self._epoch_ns = clock.monotonic_ns() if epoch_ns is None else epoch_ns

    def read(self) -> Grab:
        step = next(self._steps)
        if isinstance(step, Exception):
            raise step
        picture = Picture(format=PixelFormat.GRAY, planes=(PIXELS,), width=4, height=4)
        return Grab(picture=picture, captured_ns=self._epoch_ns + round(step * 1e9))

    def close(self) -> None:
        self.closed += 1


class Rig:
    """A capture thread's parts, run in the test's own thread."""

    def __init__(self, *, live: bool = True, finite: bool = False, delivery: Delivery = Delivery.NEWEST) -> None:
        self.clock = FakeClock()
        self.stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self.changes: list[tuple[str, str | None]] = []
        self.trailing: list[bool] = []
        self.delays: list[int] = []
        self.opened: list[ScriptedSource] = []
        self.scripts: list[list[Step] | Exception] = []
        self.frames: FrameQueue[Frame] = FrameQueue(
            {"cam": Lane.BUFFER}, lambda _frame, cause: self.counts.update([cause])
        )
        self.beats = 0
        self.plan_wanted: Callable[[], bool] = lambda: True
        self.before_open: Callable[[], object] = lambda: None
        plan = CapturePlan(
            spec=SourceSpec(camera="cam", url="x", delivery=delivery),
            finite=finite,
            open_source=self._open,
            backoff=Backoff(random.Random(1)),
            outlets=[
                DetectorOutlet(
                    DetectorPlan(camera="cam", frames=self.frames, cadence=Cadence(0), gate=None, skipped=lambda: None)
                )
            ],
            changed=self._changed,
            count=lambda name, n: self.counts.update({name: n}),
            seen=lambda _frame: None,
            wanted=self._wanted,
        )
        self.live = live
        self.epoch_ns: int | None = None
        self.capture = Capture(plan, clock=self.clock, stop=self.stop, beat=self._beat)

    def _wanted(self) -> bool:
        return self.plan_wanted()

    def _beat(self) -> None:
        self.beats += 1

    def _changed(self, change: CameraChange) -> None:
        self.trailing.append(change.trailing)
        self.changes.append((change.state.value, None if change.reason is None else change.reason.value))

    def _open(
        self, spec: SourceSpec, *, stopping: Callable[[], bool], dropped: Callable[[DropCause, int], None]
    ) -> Source:
        assert spec.camera == "cam"
        self.before_open()
        assert not stopping()
        if not self.scripts:
            self.stop.set()
            raise EndOfStream
        script = self.scripts.pop(0)
        if isinstance(script, Exception):
            raise script
        dropped(DropCause.MISSING, 2)
        source = ScriptedSource(self.clock, script, live=self.live, epoch_ns=self.epoch_ns)
        self.opened.append(source)
        return source

    def taken(self) -> list[Frame | Mark]:
        return self.frames.take(100, 0)


def infos(items: list[Frame | Mark]) -> list[tuple[int, int]]:
    return [(item.info.connection, item.info.seq) for item in items if isinstance(item, Frame)]


def test_a_lost_camera_is_opened_anew_with_the_next_connection_number() -> None:
    rig = Rig()
    rig.scripts = [
        SourceError(LostReason.REFUSED, "refused"),
        [0.0, 0.1, SourceError(LostReason.FROZEN, "no packets for 3 s")],
        [0.0, EndOfStream()],
    ]
    rig.capture.loop()
    assert infos(rig.taken()) == [(1, 0), (1, 1), (2, 0)]
    assert rig.changes == [
        ("connecting", None),
        ("offline", "refused"),
        ("online", None),
        ("offline", "frozen"),
        ("online", None),
        ("offline", "ended"),
    ]
    assert all(source.closed == 1 for source in rig.opened)
    assert rig.counts["decoded"] == 3
    assert rig.counts["missing"] == 4


def test_a_fault_of_ours_stays_inside_the_camera(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.scripts = [[0.0, ValueError("broken")], [0.0, EndOfStream()]]
    rig.capture.loop()
    assert ("offline", "fault") in rig.changes
    assert infos(rig.taken()) == [(0, 0), (1, 0)]
    assert rig.counts["fault"] == 1
    assert "ValueError" in caplog.text


def test_a_gpu_that_fails_its_pictures_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    lost = BackendError("GPU 0 (Orin) is lost to this process")
    rig.scripts = [[0.0, lost], lost, [0.0, EndOfStream()]]
    rig.capture.loop()
    assert ("offline", "fault") in rig.changes
    assert infos(rig.taken()) == [(0, 0), (2, 0)]
    assert (rig.counts["fault"], rig.counts["lost_connections"]) == (0, 2)
    said = [record for record in caplog.records if "lost to this process" in record.getMessage()]
    assert [(record.levelname, record.exc_info) for record in said] == [("WARNING", None)]


def test_a_finite_source_ends_once_and_says_so_behind_its_last_frame() -> None:
    rig = Rig(live=False, finite=True, delivery=Delivery.EVERY)
    rig.scripts = [[0.0, 0.04, 0.08, EndOfStream()]]
    rig.capture.loop()
    items = rig.taken()
    assert infos(items) == [(0, 0), (0, 1), (0, 2)]
    assert isinstance(items[-1], SourceEnd)
    assert rig.changes[-1] == ("offline", "ended")


def test_a_file_played_for_the_newest_frame_is_paced_by_its_own_time() -> None:
    rig = Rig(live=False, finite=True)
    before_ns = rig.clock.monotonic_ns()
    rig.scripts = [[0.0, 0.7, 2.0, EndOfStream()]]
    rig.capture.loop()
    assert rig.clock.monotonic_ns() - before_ns == 2_000_000_000
    assert rig.beats >= 4  # it beats while it waits


def test_the_wall_time_of_a_recorded_frame_is_the_start_plus_its_own_time() -> None:
    rig = Rig(live=False, finite=True, delivery=Delivery.EVERY)
    start_utc_ns = rig.clock.utc_ns()
    rig.scripts = [[0.0, 1.5, EndOfStream()]]
    rig.capture.loop()
    utc = [item.info.utc_ns - start_utc_ns for item in rig.taken() if isinstance(item, Frame)]
    assert utc == [0, 1_500_000_000]


def test_a_closed_queue_ends_the_thread_and_closes_the_source() -> None:
    rig = Rig()
    rig.scripts = [[0.0, 0.1, 0.2]]
    rig.frames.close()
    with pytest.raises(ChannelClosed):
        rig.capture.loop()
    assert rig.opened[0].closed == 1


def test_it_beats_while_it_waits_for_the_next_attempt() -> None:
    rig = Rig()
    rig.scripts = [SourceError(LostReason.LOGIN, "login refused")]
    rig.capture.loop()
    assert rig.beats >= 30  # 15 to 30 s of back-off, at most 0.5 s apart


def test_a_file_that_cannot_be_read_ends_with_its_reason_and_is_not_tried_again() -> None:
    rig = Rig(live=False, finite=True, delivery=Delivery.EVERY)
    rig.scripts = [SourceError(LostReason.CODEC, "no video in it")]
    rig.capture.loop()
    assert rig.changes == [("connecting", None), ("offline", "codec")]
    assert rig.taken() == [SourceEnd("cam")]


def test_a_file_opened_after_the_runs_start_is_played_from_its_first_second_all_the_same() -> None:
    rig = Rig(live=False, finite=True)
    rig.epoch_ns = rig.clock.monotonic_ns()
    rig.clock.advance(5.0)
    before_ns = rig.clock.monotonic_ns()
    rig.scripts = [[0.0, 0.7, 2.0, EndOfStream()]]
    rig.capture.loop()
    assert rig.clock.monotonic_ns() - before_ns == 2_000_000_000
    times = [item.info.captured_ns - rig.epoch_ns for item in rig.taken() if isinstance(item, Frame)]
    assert times == [0, 700_000_000, 2_000_000_000]


def test_where_every_frame_counts_a_loss_goes_through_the_lane_behind_them() -> None:
    rig = Rig(delivery=Delivery.EVERY)
    rig.scripts = [
        [0.0, 0.1, SourceError(LostReason.FROZEN, "no packets for 3 s")],
        SourceError(LostReason.REFUSED, "refused"),
        [0.0, EndOfStream()],
    ]
    rig.capture.loop()
    first, second = rig.taken(), rig.taken()
    assert infos(first) == [(0, 0), (0, 1)]
    assert first[-1] == Lost("cam", 0)
    assert infos(second) == [(2, 0)]
    assert second[-1] == Lost("cam", 2)
    offline = [trailing for trailing, (state, _) in zip(rig.trailing, rig.changes, strict=True) if state == "offline"]
    assert offline == [True, True, True]


def test_where_the_newest_counts_a_loss_is_told_at_once_alone() -> None:
    rig = Rig()
    rig.scripts = [[0.0, SourceError(LostReason.FROZEN, "no packets for 3 s")]]
    rig.capture.loop()
    assert not any(isinstance(item, Mark) for item in rig.taken())
    assert not any(rig.trailing)


def test_a_camera_that_is_switched_off_is_let_go_and_opened_anew_when_it_is_wanted() -> None:
    rig = Rig()
    wanted = iter([True, True, False, False, False, True, True, True, True, True, True])
    rig.plan_wanted = lambda: next(wanted, True)
    rig.scripts = [[0.0, 0.1, EndOfStream()], [0.0, SourceError(LostReason.FROZEN, "no packets")]]
    rig.capture.loop()
    states = [state for state, _ in rig.changes]
    assert states == ["connecting", "online", "disabled", "connecting", "online", "offline"]
    assert infos(rig.taken()) == [(0, 0), (0, 1), (1, 0)]
    assert [source.closed for source in rig.opened] == [1, 1]
    assert rig.beats > 3  # standing by is no silence


def test_one_that_is_switched_off_while_it_is_away_is_not_tried_again() -> None:
    rig = Rig()
    opened: list[int] = []
    rig.plan_wanted = lambda: rig.beats < 1 or rig.beats > 40  # off during the first pause
    rig.scripts = [SourceError(LostReason.REFUSED, "refused"), [0.0, SourceError(LostReason.ENDED, "gone")]]
    rig.before_open = lambda: opened.append(rig.beats)
    rig.capture.loop()
    assert [state for state, _ in rig.changes][:5] == ["connecting", "offline", "disabled", "connecting", "online"]
    assert opened[0] == 0
    assert opened[1] > 40


def test_one_that_is_on_again_before_it_was_let_go_is_opened_anew_all_the_same() -> None:
    rig = Rig()
    wanted = iter([True, True, False])  # what the source asks; on again at once
    rig.plan_wanted = lambda: next(wanted, True)
    rig.scripts = [[0.0, EndOfStream()], [0.0, SourceError(LostReason.FROZEN, "no packets")]]
    rig.capture.loop()
    assert [state for state, _ in rig.changes][:5] == ["connecting", "online", "disabled", "connecting", "online"]
