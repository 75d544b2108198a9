from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from streamer.core.clock import FakeClock
from streamer.core.errors import BackendError
from streamer.infer.agreement import Agreement
from streamer.infer.gate import Decision, PrecisionGate, Verdict
from streamer.pipeline.upgrade import PrecisionUpgrade, UpgradePlan

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

VERDICT = Verdict(decision=Decision.USE, agreement=Agreement(frames=32, boxes=100, matched=100), gain=2.0)


class ScriptedGate:
    """Decides by a script; the end of the script stops the thread."""

    def __init__(self, decisions: list[Decision], stop: threading.Event) -> None:
        self.decisions = decisions
        self.forgotten = 0
        self._stop = stop

    def due(self) -> bool:
        if not self.decisions:
            self._stop.set()
        return bool(self.decisions)

    def run(self, *_: object, beat: Callable[[], None], stopping: Callable[[], bool]) -> Verdict:
        beat()
        assert not stopping()
        return replace(VERDICT, decision=self.decisions.pop(0))

    def forget(self) -> None:
        self.forgotten += 1


class FakeBackend:
    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self, decisions: list[Decision], *, serving: str = "f32") -> None:
        self.stop = threading.Event()
        self.clock = FakeClock()
        self.gate = ScriptedGate(decisions, self.stop)
        self.opened: list[FakeBackend] = []
        self.proved: list[Decision] = []
        self.swapped: list[str] = []
        plan = UpgradePlan(
            name="net",
            gate=cast("PrecisionGate", self.gate),
            exact="f32",
            fast="bf16",
            open_to_compare=self._open,
            open_to_serve=self._open,
            proved=lambda verdict: self.proved.append(verdict.decision),
        )
        self.upgrade = PrecisionUpgrade(plan, serving=serving, clock=self.clock, stop=self.stop, beat=self._between)

    def _open(self, precision: str) -> Any:  # noqa: ANN401  stands for a Backend
        self.opened.append(FakeBackend(precision))
        return self.opened[-1]

    def _between(self) -> None:
        """What the inference thread does meanwhile."""
        if self.upgrade.due():
            self.upgrade.swap(cast("Any", SimpleNamespace(swap=lambda b: self.swapped.append(b.precision))))


def test_a_proved_precision_is_swapped_in_and_kept_for_the_next_start() -> None:
    rig = Rig([Decision.UNDECIDED, Decision.USE])
    rig.upgrade.loop()
    assert rig.swapped == ["bf16"]
    assert rig.proved == [Decision.USE]


def test_a_refused_one_is_not_used_and_is_asked_again_an_hour_later() -> None:
    rig = Rig([Decision.REFUSE, Decision.USE])
    began_ns = rig.clock.monotonic_ns()
    rig.upgrade.loop()
    assert rig.proved == [Decision.REFUSE, Decision.USE]
    assert rig.swapped == ["bf16"]
    assert rig.gate.forgotten == 2
    assert rig.clock.monotonic_ns() - began_ns > 3600e9


def test_what_was_proved_before_is_taken_back_when_it_fails_on_today_s_frames() -> None:
    rig = Rig([Decision.REFUSE], serving="bf16")
    rig.upgrade.loop()
    assert rig.swapped == ["f32"]


def test_what_serves_already_is_not_opened_again() -> None:
    rig = Rig([Decision.USE], serving="bf16")
    rig.upgrade.loop()
    assert rig.opened == []
    assert rig.swapped == []


def test_a_backend_that_nobody_took_is_closed_at_the_end() -> None:
    rig = Rig([Decision.USE])
    rig._between = lambda: None  # type: ignore[method-assign]
    rig.upgrade._beat = lambda: None
    rig.upgrade.loop()
    assert [backend.closed for backend in rig.opened] == [True]


def test_a_runtime_that_cannot_do_it_is_told_once_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig([Decision.USE])

    def fail(*_: object, **__: object) -> Verdict:
        raise BackendError("no bf16 here")

    rig.gate.run = fail  # type: ignore[method-assign]
    rig.upgrade.loop()
    assert "no bf16 here" in caplog.text
