"""The verdicts of a run: the items of its cameras, the thread that decides in time, and what it sets off."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from streamer.core.decision import Doubt
from streamer.core.results import Result
from streamer.decide.items import Items
from streamer.events.verdicts import encode_decision
from streamer.gpio.base import InputSpec, OutputSpec
from streamer.gpio.open import open_input, open_output, require_gpiod
from streamer.pipeline.alarm import NO_ALARM, Alarms
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.decide_loop import DecidePlan, Deciding
from streamer.pipeline.gpio_loop import GpioInput, GpioInputPlan
from streamer.pipeline.worker import Worker
from streamer.publish.base import Message
from streamer.publish.gpio import GpioPlan, open_gpio

from .camera_looks import frames_are_items
from .judging import items_plan

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.core.frame import Frame, FrameInfo
    from streamer.core.look import Classified
    from streamer.decide.judge import JudgeSpec
    from streamer.infer.spec import ModelSpec
    from streamer.ops.health import Beats
    from streamer.publish.gpio import GpioSink
    from streamer.settings import Camera
    from streamer.settings.decide import Decide

_SWITCH_S = 0.001
_LIMIT_S = 30.0  # how long a thread may be silent before the watchdog is no longer fed


class Factory:
    """The items of all cameras that give verdicts. Empty, and without a thread, where none does."""

    def __init__(
        self, cameras: Mapping[str, Camera], specs: Mapping[str, ModelSpec], *, clock: Clock, beats: Beats
    ) -> None:
        """Store the parts.

        Args:
            cameras: those that run.
            specs: of the models.
            clock: for the deadlines.
            beats: the watchdog's.

        Raises:
            ConfigError: a GPIO line is asked for, and what it takes is not installed.
        """
        self._clock = clock
        self._beats = beats
        self._decides: dict[str, Decide] = {}
        self.items: dict[str, Items] = {}
        self._judges: dict[str, JudgeSpec] = {}
        for name, camera in cameras.items():
            rule = camera.decides
            if rule is not None and rule.decide is not None:
                self._decides[name] = rule.decide
                plan = items_plan(name, camera, rule, rule.decide, specs)
                self.items[name] = Items(plan, clock=clock)
                self._judges[name] = plan.judge
        # Frames of these cameras need no look once the item has its verdict. A recording gets all: it has the time.
        self._frames_are_items = {
            name
            for name, decide in self._decides.items()
            if frames_are_items(cameras[name]) and cameras[name].source.live
        }
        if any(decide.output or decide.trigger.gpio for decide in self._decides.values()):
            require_gpiod()
        self._sinks: dict[str, GpioSink] = {}
        self._deciding: Deciding | None = None

    def triggers(self) -> Mapping[str, Callable[[str, int], None]]:
        """Return what a command begins an item with, by camera."""
        return {name: self.items[name].trigger for name, of in self._decides.items() if of.trigger.kind == "command"}

    def first_states(self) -> Mapping[str, bytes]:
        """Return the first payloads of the retained topics."""
        return {f"{name}/alarm": NO_ALARM for name, of in self._decides.items() if of.output or of.trigger.gpio}

    def is_item(self, name: str, camera: Camera) -> Callable[[Frame], bool]:
        """Return what tells the capture thread whether a frame shows an item that must be judged."""
        items = self.items.get(name)
        if items is None:
            return lambda _: False
        if self._decides[name].trigger.kind != "frame":
            return items.captured
        cadence = Cadence(camera.items_fps)
        return lambda frame: cadence.takes(frame.info.captured_ns) and items.captured(frame)

    def learn(self, answer: Result | Classified) -> None:
        """Have the item that a frame shows judged by what a model said of it. Inference threads.

        At once, for the events thread may just wait for the disk; it begins the items that cross a line, no others.
        """
        items = self.items.get(answer.info.camera)
        if items is None:
            return
        if isinstance(answer, Result):
            items.result(answer.info, answer.output)
        else:
            items.classified(answer)

    def lost(self, info: FrameInfo, cause: str, *, name: str | None = None) -> None:
        """Take in that a frame will not be looked at. Any thread.

        Args:
            info: of the frame.
            cause: why.
            name: of the classification that would have; None: the detector.
        """
        judge = self._judges.get(info.camera)
        if judge is None or not (judge.class_ids if name is None else name in judge.labels):
            return  # its verdict needs no such look
        if cause == "no_time":
            return  # its verdict comes at its deadline, as that of one that is late
        self.items[info.camera].lost(info, Doubt.OVERRUN if cause == "overrun" else Doubt.FAILED)

    def due_ns(self, info: FrameInfo) -> int | None:
        """Return when the verdict on a frame comes at the latest, if that is all that it is for. Any thread.

        So what has waited while a model hung, or is too slow, does not keep the next item waiting.

        Returns:
            Monotonic; 0: it has come; None: the frame is worth a look in any case.
        """
        return self.items[info.camera].due_ns(info) if info.camera in self._frames_are_items else None

    def end(self, camera: str) -> None:
        """Decide what is open of a camera whose source is over."""
        if camera in self.items:
            self.items[camera].end()

    def stop(self) -> None:
        """Decide everything that is open, and end."""
        if self._deciding is not None:
            self._deciding.stop()

    def workers(
        self,
        *,
        stop: threading.Event,
        states: Callable[[str, bytes], None],
        tell: Callable[[Decision], None],
        count: Callable[[str, str, int], None],
        left: Callable[[], None],
        stack: ExitStack,
    ) -> tuple[list[Worker], list[Worker]]:
        """Open the outputs, and return the thread that decides, and those that read inputs.

        Args:
            stop: ends the inputs.
            states: sets a retained topic.
            tell: sends a decision on; never waits.
            count: (camera, counter, how many).
            left: called by the thread that decides at its end.
            stack: closes the outputs.
        """
        if not self.items:
            return [], []
        # A thread whose moment has come waits for the interpreter no longer than this: halves the tail of decisions.
        sys.setswitchinterval(_SWITCH_S)
        alarms = Alarms(states, self._clock)
        self._open_outputs(alarms, stack)

        def decided(decision: Decision) -> None:
            self._pulse(decision)
            tell(decision)

        beat = self._beats.register("decide", _LIMIT_S)
        deciding = self._deciding = Deciding(
            DecidePlan(items=self.items, decided=decided), clock=self._clock, beat=beat
        )

        def at_end() -> None:
            left()
            self._beats.retire("decide")
            for name, sink in self._sinks.items():  # behind the last verdict, and beside the end of the rest
                sink.close()
                self._beats.retire(f"gpio-out-{name}")

        inputs = [
            self._input(name, of, stop=stop, alarms=alarms, count=partial(count, name))
            for name, of in self._decides.items()
            if of.trigger.gpio is not None
        ]
        return [Worker("decide", deciding.loop, at_end=at_end)], inputs

    def _open_outputs(self, alarms: Alarms, stack: ExitStack) -> None:
        for name, of in self._decides.items():
            if of.output is not None:
                spec = OutputSpec(chip=of.output.chip, line=of.output.line, active=of.output.active)
                plan = GpioPlan(
                    name=name,
                    open_output=partial(open_output, spec),
                    delay_s=of.output.delay_s,
                    pulse_s=of.output.pulse_s,
                    alarm=alarms.part(name, "output"),
                    beat=self._beats.register(f"gpio-out-{name}", _LIMIT_S),
                )
                self._sinks[name] = open_gpio(plan, clock=self._clock)
                stack.callback(self._sinks[name].close)  # where the run never begins

    def _input(
        self, name: str, of: Decide, *, stop: threading.Event, alarms: Alarms, count: Callable[[str, int], None]
    ) -> Worker:
        line = of.trigger.gpio
        assert line is not None  # noqa: S101  asked for such cameras only
        spec = InputSpec(chip=line.chip, line=line.line, edge=line.edge, debounce_s=line.debounce_s, bias=line.bias)
        thread = f"gpio-in-{name}"
        plan = GpioInputPlan(
            camera=name,
            open_line=partial(open_input, spec),
            trigger=self.items[name].trigger,
            count=count,
            alarm=alarms.part(name, "input"),
        )
        loop = GpioInput(plan, clock=self._clock, stop=stop, beat=self._beats.register(thread, _LIMIT_S)).loop
        return Worker(thread, loop, at_end=partial(self._beats.retire, thread))

    def _pulse(self, decision: Decision) -> None:
        """Hand a decision to the camera's GPIO line, before anything else: the item moves on."""
        sink = self._sinks.get(decision.camera)
        if sink is None:
            return
        payload = encode_decision(decision, now_ns=self._clock.monotonic_ns())
        # A recording's items went by long ago: what they set off, they set off at once.
        at_ns = decision.began_ns if decision.expires_ns is not None else None
        message = Message(topic=f"{decision.camera}/decision", payload=payload, qos=1, retain=False, at_ns=at_ns)
        sink.send(message, lambda _refusal: None)  # a refusal is an alarm already
