from __future__ import annotations

import threading
import time
from dataclasses import replace

from streamer.core.clock import SystemClock
from streamer.core.errors import BackendError
from streamer.pipeline.supervisor import Outcome, Stages, Supervisor
from streamer.pipeline.worker import Worker


class Rig:
    """Stages of which each waits for the one before it, as the real ones do."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.stop = threading.Event()
        self.captured = threading.Event()
        self.inferred = threading.Event()
        self.stored = threading.Event()
        self.finished = threading.Event()
        self.drains: list[float] = []
        self.looked = threading.Event()
        self.stages = Stages(
            captures=[Worker("capture", lambda: self._wait(self.stop, "capture"), at_end=self.captured.set)],
            inferences=[Worker("infer", lambda: self._wait(self.captured, "infer"), at_end=self.inferred.set)],
            others=[],
            events=Worker("events", lambda: self._wait(self.inferred, "events"), at_end=self.stored.set),
            evidence=Worker("evidence", lambda: self._wait(self.stored, "evidence")),
            publish=Worker("publish", lambda: self._wait(self.finished, "publish")),
            stop=self.stop.set,
            close_events=self.inferred.set,
            finish=self._finish,
            cut=self.finished.set,
        )

    def _wait(self, event: threading.Event, name: str) -> None:
        assert event.wait(8)
        self.order.append(name)

    def _finish(self, drain_s: float) -> None:
        self.drains.append(drain_s)
        self.finished.set()

    def supervisor(self) -> Supervisor:
        return Supervisor(self.stages, clock=SystemClock(), drain_s=30.0, look=self.looked.set)

    def run_in_thread(self, supervisor: Supervisor) -> tuple[threading.Thread, list[Outcome]]:
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(supervisor.run()))
        thread.start()
        return thread, outcomes


def test_a_run_that_ends_by_itself_drains_in_full() -> None:
    rig = Rig()
    thread, outcomes = rig.run_in_thread(rig.supervisor())
    rig.stop.set()  # the source has ended
    thread.join(5)
    assert rig.order == ["capture", "infer", "events", "evidence", "publish"]
    assert outcomes == [Outcome(failure=None, stuck=())]
    assert rig.drains == [30.0]


def test_a_stop_ends_every_stage_in_order_and_drains_shortly() -> None:
    rig = Rig()
    supervisor = rig.supervisor()
    thread, outcomes = rig.run_in_thread(supervisor)
    assert rig.looked.wait(3)
    supervisor.request_stop()
    thread.join(5)
    assert rig.order == ["capture", "infer", "events", "evidence", "publish"]
    assert outcomes == [Outcome(failure=None, stuck=())]
    assert rig.drains == [2.5]


def test_a_failed_stage_stops_all_and_is_handed_on() -> None:
    rig = Rig()
    failure = BackendError("the device is gone")

    def fail() -> None:
        raise failure

    rig.stages = replace(
        rig.stages,
        inferences=[Worker("infer", fail, at_end=rig.inferred.set)],
    )
    outcome = rig.supervisor().run()
    assert outcome.failure is failure
    assert outcome.stuck == ()
    assert sorted(rig.order) == ["capture", "events", "evidence", "publish"]


def test_a_stuck_thread_is_passed_over_and_named_within_five_seconds() -> None:
    rig = Rig()
    release = threading.Event()
    rig.stages = replace(
        rig.stages,
        captures=[*rig.stages.captures, Worker("stuck", lambda: rig._wait(release, "stuck"))],
    )
    supervisor = rig.supervisor()
    thread, outcomes = rig.run_in_thread(supervisor)
    supervisor.request_stop()
    began = time.monotonic()
    thread.join(6)
    assert time.monotonic() - began < 5.0
    assert outcomes[0].stuck == ("stuck",)
    assert "publish" in rig.order
    release.set()


def test_side_work_that_takes_a_moment_to_leave_is_waited_for() -> None:
    rig = Rig()

    def leave() -> None:
        rig._wait(rig.stop, "stopped")
        threading.Event().wait(0.6)  # nobody sets it: a process takes so long to end

    rig.stages = replace(rig.stages, others=[Worker("build", leave)])
    supervisor = rig.supervisor()
    thread, outcomes = rig.run_in_thread(supervisor)
    assert rig.looked.wait(3)
    supervisor.request_stop()
    thread.join(5)
    assert outcomes == [Outcome(failure=None, stuck=())]


def test_a_stop_while_the_broker_is_waited_for_shortens_the_wait() -> None:
    rig = Rig()
    finished: list[float] = []

    def finish(drain_s: float) -> None:
        finished.append(drain_s)
        if drain_s < 30:
            rig.finished.set()
        else:
            supervisor.request_stop()

    rig.stages = replace(
        rig.stages,
        finish=finish,
    )
    supervisor = rig.supervisor()
    rig.stop.set()  # the source has ended
    assert supervisor.run() == Outcome(failure=None, stuck=())
    assert finished == [30.0, 2.5]


def test_a_stop_while_the_last_clips_are_written_is_heard() -> None:
    rig = Rig()
    hurried = threading.Event()
    rig.stages = replace(
        rig.stages,
        evidence=Worker("evidence", lambda: rig._wait(hurried, "evidence")),
        hurry=hurried.set,
    )
    supervisor = rig.supervisor()
    thread, outcomes = rig.run_in_thread(supervisor)
    rig.stop.set()  # the source has ended
    assert rig.stored.wait(3)
    rig.looked.clear()
    assert rig.looked.wait(3)  # the watchdog is fed meanwhile
    assert not hurried.is_set()
    supervisor.request_stop()
    thread.join(5)
    assert outcomes == [Outcome(failure=None, stuck=())]
    assert rig.order[-2:] == ["evidence", "publish"]
    assert rig.drains == [2.5]


def test_nobody_is_hurried_where_all_ends_by_itself() -> None:
    rig = Rig()
    hurried = threading.Event()
    rig.stages = replace(rig.stages, hurry=hurried.set)
    thread, _ = rig.run_in_thread(rig.supervisor())
    rig.stop.set()
    thread.join(5)
    assert not hurried.is_set()


def test_the_watchdog_is_fed_while_the_broker_is_waited_for() -> None:
    rig = Rig()
    rig.stages = replace(
        rig.stages,
        finish=lambda _drain_s: None,
    )
    thread, outcomes = rig.run_in_thread(rig.supervisor())
    rig.stop.set()
    assert rig.stored.wait(3)
    rig.looked.clear()
    assert rig.looked.wait(3)
    rig.finished.set()
    thread.join(5)
    assert outcomes == [Outcome(failure=None, stuck=())]


def test_a_stop_before_the_run_starts_nothing() -> None:
    rig = Rig()
    supervisor = rig.supervisor()
    supervisor.request_stop()
    assert supervisor.run() == Outcome(failure=None, stuck=())
    assert rig.order == []


def test_every_sink_s_thread_is_started_waited_for_and_cut() -> None:
    rig = Rig()
    told, cut = threading.Event(), threading.Event()
    rig.stages = replace(
        rig.stages,
        sinks=[
            Worker("sink-alarm", lambda: rig._wait(told, "alarm")),
            Worker("sink-siren", lambda: rig._wait(cut, "siren")),
        ],
        cut=cut.set,
    )
    supervisor = rig.supervisor()
    thread, outcomes = rig.run_in_thread(supervisor)
    assert rig.looked.wait(3)
    supervisor.request_stop()
    assert rig.finished.wait(3)
    thread.join(0.2)
    assert thread.is_alive()  # the broker's thread has left, and the others still send
    told.set()
    thread.join(5)
    assert outcomes == [Outcome(failure=None, stuck=())]
    assert rig.order[-2:] == ["alarm", "siren"]


def test_a_sink_s_fault_ends_the_run() -> None:
    rig = Rig()
    fault = RuntimeError("a fault of ours")

    def fail() -> None:
        raise fault

    rig.stages = replace(rig.stages, sinks=[Worker("sink-alarm", fail)])
    thread, outcomes = rig.run_in_thread(rig.supervisor())
    thread.join(6)
    assert outcomes == [Outcome(failure=fault, stuck=())]
