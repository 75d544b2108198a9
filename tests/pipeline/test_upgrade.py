from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from streamer.core.clock import FakeClock
from streamer.core.errors import BackendError
from streamer.infer.agreement import Agreement
from streamer.infer.comparison import Decision, Terms, Verdict
from streamer.pipeline.upgrade import BackendUpgrade, Candidate, RefusedError, UpgradePlan, Way

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.infer.gate import PrecisionGate

VERDICT = Verdict(decision=Decision.USE, agreement=Agreement(frames=32, boxes=100, matched=100), gain=2.0)
USE, REFUSE, UNDECIDED = Decision.USE, Decision.REFUSE, Decision.UNDECIDED


class ScriptedGate:
    """Decides by a script; the end of the script stops the thread."""

    def __init__(self, decisions: list[Decision], stop: threading.Event) -> None:
        self.decisions = decisions
        self.forgotten = 0
        self.held_to: list[Terms] = []
        self.agreement = VERDICT.agreement
        self._stop = stop

    def due(self) -> bool:
        if not self.decisions:
            self._stop.set()
        return bool(self.decisions)

    def run(
        self,
        open_reference: Callable[[], FakeBackend],
        open_candidate: Callable[[], FakeBackend],
        *,
        beat: Callable[[], None],
        stopping: Callable[[], bool],
        terms: Terms,
    ) -> Verdict:
        beat()
        assert not stopping()
        open_reference().close()
        open_candidate().close()
        self.held_to.append(terms)
        return replace(VERDICT, decision=self.decisions.pop(0), agreement=self.agreement)

    def forget(self) -> None:
        self.forgotten += 1


class FakeBackend:
    kind = "fake"

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Rig:
    """An upgrade over ways that open stand-ins, and an inference thread that swaps at each beat."""

    def __init__(
        self,
        decisions: list[Decision],
        *,
        candidates: tuple[str, ...] = ("bf16",),
        serving: str = "f32",
        first: int = 0,
    ) -> None:
        self.stop = threading.Event()
        self.clock = FakeClock()
        self.gate = ScriptedGate(decisions, self.stop)
        self.log: list[str] = []  # what was prepared and proved, in order
        self.failing: dict[str, str] = {}  # "prepare f16", "serve f32" ... -> the sentence
        self.served: list[FakeBackend] = []
        self.swapped: list[str] = []
        self.seen: list[str | None] = []
        plan = UpgradePlan(
            name="net",
            gate=cast("PrecisionGate", self.gate),
            exact=self._way("f32"),
            candidates=tuple(self._candidate(name) for name in candidates),
            first=first,
        )
        self.swapping = True
        self.upgrade = BackendUpgrade(plan, clock=self.clock, stop=self.stop, beat=self._between)
        self.upgrade.began(serving)

    def _way(self, name: str) -> Way:
        return Way(
            name=name,
            open_to_compare=lambda: cast("Any", self._opened("compare", name)),
            open_to_serve=lambda: cast("Any", self._serve(name)),
        )

    def _candidate(self, name: str) -> Candidate:
        return Candidate(
            way=self._way(name),
            terms=Terms(least_gain=float(len(name))),
            proved=lambda verdict: self.log.append(f"{name}: {verdict.decision.value}"),
            prepare=lambda stopping, tell: self._prepare(name, stopping, tell),
        )

    def _prepare(self, name: str, stopping: Callable[[], bool], tell: Callable[[str], None]) -> None:
        tell("build 40 %")
        self.seen.append(self.upgrade.doing())
        self.log.append(f"prepare {name}")
        self._fail("prepare", name)
        if stopping():
            raise BackendError("was stopped")

    def _serve(self, name: str) -> FakeBackend:
        self.served.append(self._opened("serve", name))
        return self.served[-1]

    def _opened(self, what: str, name: str) -> FakeBackend:
        self._fail(what, name)
        return FakeBackend(name)

    def _fail(self, what: str, name: str) -> None:
        if (said := self.failing.get(f"{what} {name}")) is not None:
            raise BackendError(said)

    def _between(self) -> None:
        """What the inference thread does meanwhile."""
        if self.swapping and self.upgrade.due():
            self.upgrade.swap(cast("Any", SimpleNamespace(swap=lambda b: self.swapped.append(b.precision))))
            self.swapped_ns = self.clock.monotonic_ns()


def test_a_proved_way_is_swapped_in_and_kept_for_the_next_start() -> None:
    rig = Rig([UNDECIDED, USE])
    rig.upgrade.loop()
    assert rig.swapped == ["bf16"]
    assert rig.log == ["prepare bf16", "bf16: use"]
    assert rig.gate.held_to == [Terms(least_gain=4.0)] * 2


def test_a_refused_one_is_not_used_and_is_asked_again_an_hour_later() -> None:
    rig = Rig([REFUSE, USE])
    began_ns = rig.clock.monotonic_ns()
    rig.upgrade.loop()
    assert rig.log == ["prepare bf16", "bf16: refuse", "bf16: use"]
    assert rig.swapped == ["bf16"]
    assert rig.gate.forgotten == 2
    assert rig.clock.monotonic_ns() - began_ns > 3600e9


@pytest.mark.parametrize(("matched", "level"), [(100, "INFO"), (90, "WARNING")])
def test_only_other_answers_are_worth_a_warning(matched: int, level: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig = Rig([REFUSE])
    rig.gate.agreement = Agreement(frames=32, boxes=100, matched=matched)
    rig.upgrade.loop()
    assert [record.levelname for record in caplog.records if " against f32: " in record.getMessage()] == [level]


def test_what_was_proved_before_is_taken_back_when_it_fails_on_today_s_frames() -> None:
    rig = Rig([REFUSE], serving="bf16")
    rig.upgrade.loop()
    assert rig.swapped == ["f32"]


def test_what_serves_already_is_not_prepared_or_opened_again() -> None:
    rig = Rig([USE], serving="bf16")
    rig.upgrade.loop()
    assert rig.served == []
    assert rig.log == ["bf16: use"]


def test_the_next_safer_one_is_tried_at_once() -> None:
    rig = Rig([REFUSE, USE], candidates=("gpu f16", "gpu f32"))
    began_ns = rig.clock.monotonic_ns()
    rig.upgrade.loop()
    assert rig.log == ["prepare gpu f16", "gpu f16: refuse", "prepare gpu f32", "gpu f32: use"]
    assert rig.swapped == ["gpu f32"]
    assert rig.swapped_ns - began_ns < 60e9


def test_where_all_are_refused_all_are_asked_again_and_nothing_is_built_twice() -> None:
    rig = Rig([REFUSE, REFUSE, USE], candidates=("gpu f16", "gpu f32"))
    rig.upgrade.loop()
    assert rig.log[-1] == "gpu f16: use"
    assert rig.log.count("prepare gpu f16") == 1
    assert rig.swapped == ["gpu f16"]


def test_while_a_safer_one_serves_a_better_one_may_still_be_proved() -> None:
    rig = Rig([USE], candidates=("gpu f16", "gpu f32"), serving="gpu f32")
    rig.upgrade.loop()
    assert rig.swapped == ["gpu f16"]
    rig = Rig([REFUSE, USE], candidates=("gpu f16", "gpu f32"), serving="gpu f32")
    rig.upgrade.loop()
    assert rig.swapped == []  # it goes on as it was


def test_what_was_refused_before_does_not_have_the_first_turn() -> None:
    rig = Rig([USE], candidates=("gpu f16", "gpu f32"), first=1)
    rig.upgrade.loop()
    assert rig.log == ["prepare gpu f32", "gpu f32: use"]


def test_what_can_not_be_built_is_told_once_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig([REFUSE, REFUSE], candidates=("gpu f16", "gpu f32"))
    rig.failing["prepare gpu f16"] = "no such layer"
    rig.upgrade.loop()
    assert rig.log == ["prepare gpu f16", "prepare gpu f32", "gpu f32: refuse", "gpu f32: refuse"]
    assert caplog.text.count("gpu f16 can't be tried, f32 serves: no such layer") == 1


def test_a_runtime_that_can_do_nothing_better_ends_the_thread_and_the_run_goes_on() -> None:
    rig = Rig([USE])
    rig.failing["compare bf16"] = "no bf16 here"
    rig.upgrade.loop()
    assert not rig.stop.is_set()
    assert rig.swapped == []
    assert rig.upgrade.doing() is None


def test_what_serves_and_can_not_be_compared_now_goes_on_and_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig([USE], serving="bf16")
    rig.failing["compare bf16"] = "no memory left"
    waits = iter(range(4))
    due = rig.gate.due

    def later() -> bool:
        if next(waits) == 1:
            rig.failing.clear()
        return due()

    rig.gate.due = later  # type: ignore[method-assign]
    rig.upgrade.loop()
    assert "no memory left" in caplog.text
    assert rig.log == ["bf16: use"]
    assert rig.swapped == []


def test_one_that_can_not_be_opened_to_serve_is_not_kept_as_proved() -> None:
    rig = Rig([USE, USE], candidates=("gpu f16", "gpu f32"))
    rig.failing["serve gpu f16"] = "GPU 0 has no memory left"
    rig.upgrade.loop()
    assert rig.log == ["prepare gpu f16", "prepare gpu f32", "gpu f32: use"]
    assert rig.swapped == ["gpu f32"]


def test_a_refused_one_never_goes_on_for_want_of_the_exact_one() -> None:
    rig = Rig([REFUSE], serving="bf16")
    rig.failing["serve f32"] = "no memory left"
    with pytest.raises(RefusedError, match="bf16 gives other answers, and no memory left"):
        rig.upgrade.loop()


def test_a_backend_that_nobody_took_is_closed_at_the_end_or_when_another_takes_its_place() -> None:
    rig = Rig([USE, REFUSE])
    rig.swapping = False
    rig.upgrade.loop()
    assert [(backend.precision, backend.closed) for backend in rig.served] == [("bf16", True), ("f32", True)]


def test_nothing_is_built_before_the_model_is_open() -> None:
    rig = Rig([USE])
    rig.upgrade._serving = None
    waits = []

    def wait(stop: threading.Event, _timeout_s: float) -> bool:
        waits.append(1)
        if len(waits) == 5:
            stop.set()
        return stop.is_set()

    rig.clock.wait = wait  # type: ignore[assignment,method-assign]
    rig.upgrade.loop()
    assert len(waits) == 5
    assert rig.log == []


def test_a_stop_while_building_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig([USE], candidates=("gpu f16",))
    rig.upgrade._beat = rig.stop.set
    rig.upgrade.loop()
    assert rig.log == ["prepare gpu f16"]
    assert caplog.text == ""


def test_what_is_going_on_is_told() -> None:
    rig = Rig([UNDECIDED, USE], candidates=("gpu f16",))
    rig.upgrade.prepare_first(lambda: False)
    assert rig.seen == ["building gpu f16: build 40 %"]
    assert rig.upgrade.doing() == "proving gpu f16"
    told = []
    due = rig.gate.due

    def look() -> bool:
        told.append(rig.upgrade.doing())
        return due()

    rig.gate.due = look  # type: ignore[method-assign]
    rig.upgrade.loop()
    assert told[:2] == ["proving gpu f16", "proving gpu f16: 32 of 32 frames, 50 of 50 objects"]
    assert rig.log == ["prepare gpu f16", "gpu f16: use"]  # not prepared again
    assert rig.upgrade.doing() is None


def test_before_the_run_the_best_that_can_be_had_is_built() -> None:
    rig = Rig([], candidates=("gpu f16", "gpu f32"))
    rig.failing["prepare gpu f16"] = "no such layer"
    rig.upgrade.prepare_first(lambda: False)
    assert rig.log == ["prepare gpu f16", "prepare gpu f32"]
    rig = Rig([], candidates=("gpu f16",))
    rig.failing["prepare gpu f16"] = "no such layer"
    rig.upgrade.prepare_first(lambda: False)
    assert rig.log == ["prepare gpu f16"]
    rig = Rig([], candidates=("gpu f16",))
    rig.upgrade.prepare_first(lambda: True)
    assert rig.log == []
