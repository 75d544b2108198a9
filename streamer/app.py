"""The only place where concrete parts are put together."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.capture.open import open_source
from streamer.core.clock import NS_PER_S, SystemClock
from streamer.core.errors import ChannelClosed, LostReason
from streamer.core.look import Classified, look_lane
from streamer.events.ids import EventIds
from streamer.ops.health import Beats, Notifier, Watchdog
from streamer.ops.metrics import Metrics
from streamer.ops.status import LiveStatus, one_line
from streamer.pipeline.channel import Channel
from streamer.pipeline.desk import CameraDesk, disabled_status
from streamer.pipeline.events_loop import Events, EventsPlan, Item
from streamer.pipeline.frames import Mark
from streamer.pipeline.kept import KeptFrames
from streamer.pipeline.messages import CameraState, Decided, Still
from streamer.pipeline.orders import Orders
from streamer.pipeline.supervisor import Stages, Supervisor
from streamer.pipeline.worker import Worker
from streamer.pixels.convert import use_one_thread
from streamer.settings import SettingsError, load

from .camera_looks import closer_of, tandem_of
from .camera_parts import desk_of
from .captures import Captures, CapturesPlan
from .check import examine
from .controls import Controls
from .factory import Factory
from .figures import Figures
from .first_states import first_states
from .keeping import Keeping
from .late_items import LateItems
from .model_threads import ModelsPlan, ModelThreads
from .outgoing import Outgoing
from .queues import Queues
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streamer.capture.base import OpenSource
    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.core.event import Event
    from streamer.core.frame import Frame
    from streamer.core.look import Look
    from streamer.core.results import Result
    from streamer.infer.spec import ModelSpec
    from streamer.ops.status import Snapshot
    from streamer.pipeline.messages import CameraChange
    from streamer.settings import Camera, Loaded, Settings

_log = logging.getLogger(__name__)

_STATISTICS_EVERY = 10  # looks, one a second
_RESULTS = 64  # droppable results of one camera that wait for the events thread
# How long a thread may be silent before the watchdog is no longer fed.
_LOOP_LIMIT_S = 30.0


@contextmanager
def open_run(config: Path, *, table: bool, clock: Clock | None = None) -> Iterator[Run]:
    """Read a configuration and put the run together; nothing has started when this returns.

    Args:
        config: the file.
        table: show a live status table where stderr is a terminal.
        clock: for tests.

    Raises:
        ConfigError: the configuration is wrong.
        BackendError: a model can't be used.
        StoreError: `data_dir` is in use by another run, or can't be written.
    """
    with open_loaded(load(config, os.environ), table=table, clock=clock) as run:
        yield run


@contextmanager
def open_loaded(
    loaded: Loaded, *, table: bool, clock: Clock | None = None, source: OpenSource = open_source, prove: bool = True
) -> Iterator[Run]:
    """Put together the run of a configuration that has been read.

    Args:
        loaded: the configuration.
        table: show a live status table where stderr is a terminal.
        clock: for tests.
        source: what opens the cameras.
        prove: try faster precisions beside the run, where a model's is `auto`; False keeps what has been proved before.

    Raises:
        ConfigError, BackendError, StoreError: as `open_run`.
    """
    use_one_thread()
    found = examine(loaded)
    if found.problems:
        raise SettingsError(found.problems)
    for unusable in found.unusable.values():
        raise unusable
    with ExitStack() as stack:
        folder = Path(loaded.file).absolute().parent
        parts = RunParts(clock=clock or SystemClock(), source=source, prove=prove, table=table, folder=folder)
        yield Run(loaded.settings, found.specs, stack, parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What of a run is not the configuration's to say."""

    clock: Clock
    source: OpenSource
    prove: bool
    table: bool
    folder: Path  # of the configuration


class Run:
    """One run of the main job. `stack` owns what was opened."""

    def __init__(self, settings: Settings, specs: Mapping[str, ModelSpec], stack: ExitStack, parts: RunParts) -> None:
        self._settings = settings
        self._specs = specs
        self._parts = parts
        clock = parts.clock
        self._clock = clock
        self._began_ns = clock.monotonic_ns()
        self._cameras = {name: camera for name, camera in settings.cameras.items() if camera.enabled}
        self._stop = threading.Event()
        self._stop_requested = False
        self._unreadable: set[str] = set()  # finite sources that ended by a fault of theirs
        self._metrics = Metrics()
        self.figures = Figures(list(settings.cameras), self._metrics, clock)
        self._beats = Beats(clock)
        self._notifier = Notifier.from_environ(os.environ, os.getpid())
        self._watchdog = Watchdog(self._notifier, self._beats, clock)
        self._event_ids = EventIds()
        self._out = Outgoing(settings, stack, folder=parts.folder, clock=clock, beats=self._beats)
        self.broker = self._out.broker
        self._factory = Factory(self._cameras, specs, clock=clock, beats=self._beats)
        self._keeping = Keeping(
            settings,
            clock=clock,
            beats=self._beats,
            count=self.figures.count,
            states=self._out.set_state,
            send=self._out.send,
        )
        self._controls = Controls(self._cameras, self.figures, offer=self._keeping.snap)
        self._out.connect(self._orders().take)
        self._queues = self._make_queues()
        self._kept = KeptFrames()
        writers = len(self._cameras) + len(specs) + bool(self._factory.items)
        self._inbox: Channel[Item] = Channel(_RESULTS, writers=writers, lost=self._overflowed)
        self._closer = {
            name: closer_of(camera, specs)
            for name, camera in self._cameras.items()
            if camera.gated and camera.detect is not None and camera.detect.zoom
        }
        self._models = self._make_models()
        self.models = self._models.opened
        self._desks = {name: self._desk(name, camera) for name, camera in self._cameras.items()}
        self.report = self._make_report()
        self._listeners: list[Callable[[Event], None]] = []
        self._table = stack.enter_context(LiveStatus()) if parts.table and LiveStatus.possible() else None
        self._looks = 0
        self._late_items = LateItems(self._cameras, self.figures, clock=clock)
        self._shown_ns = clock.monotonic_ns()
        self._supervisor = Supervisor(
            self._stages(stack),
            clock=clock,
            drain_s=settings.mqtt.drain_s,
            look=self._look,
            ending=self._notifier.stopping,
        )

    def _orders(self) -> Orders:
        return Orders(
            self._factory.triggers(),
            self._out.send,
            self.figures.count_command,
            switches=self._controls.switches(),
            snapshots=self._controls.asks(),
            disabled=self._settings.cameras.keys() - self._cameras.keys(),
        )

    def _make_queues(self) -> Queues:
        specs = self._specs.items()
        return Queues(
            self._cameras,
            detectors=[name for name, spec in specs if spec.scoring is None],
            classifiers=[name for name, spec in specs if spec.scoring is not None],
            frame_lost=self._frame_lost,
            look_lost=self._look_lost,
        )

    def _make_models(self) -> ModelThreads:
        return ModelThreads(
            ModelsPlan(
                settings=self._settings,
                specs=self._specs,
                cameras=self._cameras,
                queues=self._queues,
                figures=self.figures,
                beats=self._beats,
                clock=self._clock,
                prove=self._parts.prove,
                stop=self._stop,
                passed=self._passed,
                keep=self._kept.keep,
                closer=self._closer,
                left=self._inbox.leave,
                due_ns=self._factory.due_ns,
            )
        )

    def _make_report(self) -> Report:
        return Report(
            self.figures,
            self._out,
            names=self._specs,
            models=self.models,
            doing=self._models.doing,
            address=str(self.broker),
        )

    def request_stop(self) -> None:
        """End the run in order; safe in a signal handler."""
        self._stop_requested = True
        self._supervisor.request_stop()

    def tell(self, told: Callable[[Event], None]) -> None:
        """Hand every stored event to `told` as well, in the events thread."""
        self._listeners.append(told)

    def run(self) -> int:
        """Run until stopped, or until every source has ended; return the exit code.

        Raises:
            BackendError: a model failed; what was open has been ended and sent first.
        """
        self._out.begin(self._configured_topics(), self._first_states())
        self._notifier.ready()
        self._build_first()
        outcome = self._supervisor.run()
        if "events" in outcome.stuck:
            self._out.leave_store()
        self.report.last_words()
        if outcome.failure is not None:
            raise outcome.failure
        return self._code()

    def _build_first(self) -> None:
        """Build what is to be built before the cameras are opened, so that both together need not fit into memory.

        Meanwhile the broker shows this run as offline, which it is: nobody looks.
        """
        if self._models.build_first(self._leaving):
            self._beats.renew()  # nobody has been silent: no thread has begun

    def _leaving(self) -> bool:
        """Whether to leave off building; being asked is the main thread's sign of life."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._shown_ns >= NS_PER_S:
            self._shown_ns = now_ns
            self._notifier.watchdog()
            self._notifier.status(", ".join(filter(None, map(self.doing, self._models.names()))))
            self._show()
        return self._stop_requested

    def doing(self, model: str) -> str | None:
        """Return what is being built or proved beside a model, for people; from any thread."""
        return self._models.doing(model)

    def _code(self) -> int:
        if self._out.undelivered():
            return 4
        return 2 if self._unreadable and not self._stop_requested else 0

    def _stages(self, stack: ExitStack) -> Stages:
        captures = self._captures().workers()
        inferences, side_work = self._models.workers()
        deciding, inputs = self._factory.workers(
            stop=self._stop,
            states=self._out.set_state,
            tell=self._decided,
            count=self.figures.count,
            left=self._inbox.leave,
            stack=stack,
        )
        for name, items in self._factory.items.items():
            self.figures.count_items(name, items.counts)
        events = Events(
            EventsPlan(
                inbox=self._inbox,
                desks=self._desks,
                store=self._out.store,
                delivery=self._out.delivery,
                stored=self._out.stored,
                states=self._out.set_state,
                done=self._kept.done,
                release=self._queues.release,
                ended=self._ended,
                count=self.figures.count,
                aged=self.figures.aged,
                told=self._told,
            ),
            clock=self._clock,
            beat=self._beats.register("events", _LOOP_LIMIT_S),
        )
        publish, *sinks = self._out.workers()
        return Stages(
            captures=captures,
            inferences=[*inferences, *deciding],
            others=[*side_work, *inputs, *self._keeping.recordings(self._stop, wanted=self._controls.wanted)],
            events=Worker("events", events.loop, at_end=self._events_over),
            evidence=self._keeping.worker(),
            publish=publish,
            sinks=sinks,
            stop=self._stop_frames,
            hurry=self._keeping.hurry,
            close_events=self._inbox.close,
            finish=self._out.end_within,
            cut=self._out.cut,
        )

    def _events_over(self) -> None:
        """No event comes any more, and no picture of one. Events thread, last of all."""
        self._beats.retire("events")
        self._keeping.stop()

    def _captures(self) -> Captures:
        return Captures(
            CapturesPlan(
                settings=self._settings,
                cameras=self._cameras,
                queues=self._queues,
                models=self._models,
                closer=self._closer,
                desks=self._desks,
                factory=self._factory,
                keeping=self._keeping,
                controls=self._controls,
                figures=self.figures,
                beats=self._beats,
                clock=self._clock,
                source=self._parts.source,
                stop=self._stop,
                began_ns=self._began_ns,
                changed=self._changed,
                still=self._still,
                left=self._inbox.leave,
            )
        )

    def _desk(self, name: str, camera: Camera) -> CameraDesk:
        tandem = tandem_of(
            camera,
            self._specs,
            queues=self._queues,
            picture_of=self._kept.take,
            refused=partial(self.figures.count, name, "look_refused", 1),
        )
        items = self._factory.items.get(name)
        return desk_of(
            name,
            camera,
            self._specs,
            ids=self._event_ids,
            retained=self._out.retained,
            tandem=tandem,
            items=items,
            views=self._keeping.views(name, self._specs[camera.main_model], picture_of=self._kept.take),
        )

    def _configured_topics(self) -> list[str]:
        """Return the retained topics of this configuration beside `first_states`; those of others are cleared."""
        pictures = [f"{name}/snapshot" for name in self._cameras]  # of earlier runs, until there are newer ones
        return ["status", *(f"{name}/status" for name in self._settings.cameras), *pictures]

    def _first_states(self) -> dict[str, bytes]:
        """Return what is said before anything has been seen: what earlier runs have left must not be taken for ours."""
        states = {}
        for name in self._settings.cameras.keys() - self._cameras.keys():
            self.figures.cameras[name].state = CameraState.DISABLED.value
            states[f"{name}/status"] = disabled_status(self._clock.utc_ns())
        states |= first_states(self._settings.cameras, self._specs, self._out.retained)
        return {**states, **self._factory.first_states()}

    def _passed(self, item: Result | Classified | Mark) -> None:
        """Hand an answer to the events thread; what its lane bounds is never dropped."""
        if isinstance(item, Mark):
            self._inbox.put(item.lane, item, keep=True)
        else:
            camera = item.info.camera
            if self._factory.items:
                self._factory.learn(item)
            lane = look_lane(camera, item.name) if isinstance(item, Classified) else camera
            self._inbox.put(camera, item, keep=lane in self._queues.bounded)

    def _still(self, still: Still) -> None:
        self._inbox.put(still.info.camera, still)

    def _changed(self, change: CameraChange) -> None:
        self.figures.changed(change)
        if change.finite and change.reason is not LostReason.ENDED:
            self._unreadable.add(change.camera)
        self._inbox.put(change.camera, change, keep=True)

    def _told(self, event: Event) -> None:
        self._keeping.told(event)
        for told in self._listeners:
            told(event)

    def _overflowed(self, camera: str, item: Item) -> None:
        if not isinstance(item, Still):  # it stands for no frame that should have been looked at
            self.figures.count(camera, "overflow", 1)

    def _frame_lost(self, frame: Frame, cause: str) -> None:
        self.figures.count(frame.info.camera, cause, 1)
        self._factory.lost(frame.info, cause)

    def _look_lost(self, look: Look, cause: str) -> None:
        self.figures.count(look.info.camera, f"look_{cause}", 1)
        if look.track is None:
            self._factory.lost(look.info, cause, name=look.name)

    def _ended(self, camera: str) -> None:
        """A camera's finite source is over, and all that it gave has been dealt with. Events thread."""
        self._factory.end(camera)
        self._queues.finish_objects(camera)

    def _decided(self, decision: Decision) -> None:
        """Tell a verdict, and have it kept. Decide thread."""
        payload = self._out.delivery.decide(decision)
        with suppress(ChannelClosed):  # it has been told: what is not kept is only missing in the history
            self._inbox.put(decision.camera, Decided(decision=decision, payload=payload), keep=True)

    def _stop_frames(self) -> None:
        self._stop.set()
        self._factory.stop()
        self._queues.close()

    def _look(self) -> None:
        """Once a second, in the main thread."""
        self._watchdog.check()
        self._late_items.look()
        self._out.look()
        snapshot = self._show()
        if self._looks % _STATISTICS_EVERY == 0:
            self._notifier.status(one_line(snapshot))
            self._out.send(self.report.statistics())
        self._looks += 1

    def _show(self) -> Snapshot:
        snapshot = self.report.snapshot(self._desks)
        if self._table is not None:
            self._table.update(snapshot)
        return snapshot
