"""The only place where concrete parts are put together."""

from __future__ import annotations

import logging
import os
import random
import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.capture.address import is_finite
from streamer.capture.open import open_source
from streamer.core.clock import NS_PER_S, SystemClock
from streamer.core.errors import LostReason
from streamer.events.ids import EventIds
from streamer.events.payload import encode_event, encode_interrupted
from streamer.ops.health import Beats, Notifier, Watchdog
from streamer.ops.metrics import Metrics
from streamer.ops.status import LiveStatus, one_line
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.capture_loop import Capture, CapturePlan
from streamer.pipeline.channel import Channel
from streamer.pipeline.deliver import Delivery as Deliverer
from streamer.pipeline.desk import disabled_status
from streamer.pipeline.events_loop import Events, EventsPlan, Item
from streamer.pipeline.frames import FrameQueue, Mark
from streamer.pipeline.infer_loop import Inference, InferPlan
from streamer.pipeline.messages import CameraState, Still
from streamer.pipeline.supervisor import Stages, Supervisor
from streamer.pipeline.worker import Worker
from streamer.pixels.convert import use_one_thread
from streamer.publish.embedded import EmbeddedBroker
from streamer.publish.mqtt import open_mqtt
from streamer.publish.states import StateBoard
from streamer.publish.url import BrokerAddress
from streamer.settings import SettingsError, load
from streamer.store.store import open_store

from .camera_parts import desk_of, detect_of, gate_of, lane_of
from .check import examine, mqtt_options, source_spec
from .figures import Figures
from .first_states import first_states
from .report import Report
from .serving import LEAST_SCORE, Serving
from .ways import ServingPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streamer.capture.base import OpenSource, SourceSpec
    from streamer.core.clock import Clock
    from streamer.core.event import Event
    from streamer.core.results import Result
    from streamer.infer.model import Model
    from streamer.infer.spec import ModelSpec
    from streamer.ops.status import Snapshot
    from streamer.pipeline.infer_loop import Swapper
    from streamer.pipeline.messages import CameraChange
    from streamer.pipeline.upgrade import BackendUpgrade
    from streamer.settings import Camera, Loaded, Settings

_log = logging.getLogger(__name__)

_STATISTICS_EVERY = 10  # looks, one a second
_RESULTS = 64  # droppable results of one camera that wait for the events thread
# How long a thread may be silent before the watchdog is no longer fed.
_CAPTURE_LIMIT_S = 30.0  # opening by TCP, then by UDP, and reading, each have limits of their own
_MODEL_LIMIT_S = 300.0  # compiling a large model takes minutes on a small machine
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
        parts = RunParts(clock=clock or SystemClock(), source=source, prove=prove, table=table)
        yield Run(loaded.settings, found.specs, stack, parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What of a run is not the configuration's to say."""

    clock: Clock
    source: OpenSource
    prove: bool
    table: bool


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
        self._events_stuck = False
        self._unreadable: set[str] = set()  # finite sources that ended by a fault of theirs
        self._metrics = Metrics()
        self.figures = Figures(list(settings.cameras), self._metrics, clock)
        self._beats = Beats(clock)
        self._notifier = Notifier.from_environ(os.environ, os.getpid())
        self._watchdog = Watchdog(self._notifier, self._beats, clock)
        self._board = StateBoard()
        self._event_ids = EventIds()
        self._store = open_store(
            settings.data_dir,
            encode=encode_event,
            clock=clock,
            max_bytes=settings.outbox.max_size,
            max_age_s=settings.outbox.max_age_s,
            qos=settings.mqtt.qos,
        )
        stack.callback(self._close_store)
        left_open = self._store.interrupted(
            lambda last, seen_utc_ns: encode_interrupted(last, seen_utc_ns, now_utc_ns=clock.utc_ns())
        )
        if left_open:
            _log.info("%d events that the last run left open are ended as interrupted", left_open)
        self.broker = _broker_address(settings, stack)
        self._sink = open_mqtt(mqtt_options(settings.mqtt, self.broker))
        stack.callback(self._sink.close)
        self._delivery = Deliverer(self._store.outbox(), self._sink, self._board, clock=clock)
        self._retained = self._left_at_broker()
        self._desks = {
            name: desk_of(name, camera, self._spec_of(camera), ids=self._event_ids, retained=self._retained)
            for name, camera in self._cameras.items()
        }
        self._queues = {model: self._queue(model) for model in specs}
        self._serving = {model: self._serving_of(model) for model in specs}
        self._upgrades: dict[str, BackendUpgrade] = {}  # of the models for which there may be a better way
        self._inbox: Channel[Item] = Channel(
            _RESULTS, writers=len(self._cameras) + len(self._queues), lost=self._overflowed
        )
        self.models: dict[str, Model] = {}  # each appears when its thread has opened it
        self.report = Report(
            self.figures,
            self._delivery,
            self._store,
            self._sink,
            names=specs,
            models=self.models,
            doing=self.doing,
            address=str(self.broker),
        )
        self._listeners: list[Callable[[Event], None]] = []
        self._table = stack.enter_context(LiveStatus()) if parts.table and LiveStatus.possible() else None
        self._looks = 0
        self._shown_ns = clock.monotonic_ns()
        self._supervisor = Supervisor(
            self._stages(), clock=clock, drain_s=settings.mqtt.drain_s, look=self._look, ending=self._notifier.stopping
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
        self._board.expect(self._configured_topics())
        for name, camera in self._settings.cameras.items():
            if not camera.enabled:
                self.figures.cameras[name].state = CameraState.DISABLED.value
                self._board.set(f"{name}/status", disabled_status(self._clock.utc_ns()))
        # Before the threads: what an earlier run has left must not be taken for what is no longer configured.
        for topic, payload in first_states(self._settings.cameras, self._specs, self._retained).items():
            self._board.set(topic, payload)
        self._notifier.ready()
        self._build_first()
        outcome = self._supervisor.run()
        self._events_stuck = "events" in outcome.stuck
        self.report.last_words()
        if outcome.failure is not None:
            raise outcome.failure
        return self._code()

    def _build_first(self) -> None:
        """Build what is to be built before the cameras are opened, so that both together need not fit into memory.

        Meanwhile the broker shows this run as offline, which it is: nobody looks.
        """
        waiting = [self._upgrades[name] for name, serving in self._serving.items() if serving.build_first]
        for upgrade in waiting:
            upgrade.prepare_first(self._leaving)
        if waiting:
            self._beats.renew()  # nobody has been silent: no thread has begun

    def _leaving(self) -> bool:
        """Whether to leave off building; being asked is the main thread's sign of life."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._shown_ns >= NS_PER_S:
            self._shown_ns = now_ns
            self._notifier.watchdog()
            self._notifier.status(", ".join(filter(None, map(self.doing, self._upgrades))))
            self._show()
        return self._stop_requested

    def doing(self, model: str) -> str | None:
        """Return what is being built or proved beside a model, for people; from any thread."""
        upgrade = self._upgrades.get(model)
        return None if upgrade is None else upgrade.doing()

    def _close_store(self) -> None:
        """Close the store, unless its thread is in the middle of a commit: SQLite mends that at the next start."""
        if not self._events_stuck:
            self._store.close()

    def _code(self) -> int:
        if self._delivery.undelivered():
            return 4
        return 2 if self._unreadable and not self._stop_requested else 0

    def _stages(self) -> Stages:
        captures = [self._capture_worker(name, camera) for name, camera in self._cameras.items()]
        served = [self._model_workers(model) for model in self._specs]
        events = Events(
            EventsPlan(
                inbox=self._inbox,
                desks=self._desks,
                store=self._store,
                delivery=self._delivery,
                states=self._board.set,
                release=self._release,
                count=self.figures.count,
                aged=self.figures.aged,
                told=self._tell_all,
            ),
            clock=self._clock,
            beat=self._beats.register("events", _LOOP_LIMIT_S),
        )
        publish_beat = self._beats.register("publish", _LOOP_LIMIT_S)
        return Stages(
            captures=captures,
            inferences=[inference for inference, _ in served],
            others=[worker for _, side_work in served for worker in side_work],
            events=Worker("events", events.loop, at_end=lambda: self._beats.retire("events")),
            publish=Worker(
                "publish", lambda: self._delivery.run(publish_beat), at_end=lambda: self._beats.retire("publish")
            ),
            stop=self._stop_frames,
            close_events=self._inbox.close,
            finish=self._delivery.end_within,
            cut=self._sink.close,
        )

    def _capture_worker(self, name: str, camera: Camera) -> Worker:
        beat_name = f"capture-{name}"
        capture = Capture(
            CapturePlan(
                spec=self._source_spec(name, camera),
                finite=is_finite(camera.source.reveal()),
                open_source=self._parts.source,
                cadence=Cadence(camera.detect_fps),
                backoff=Backoff(random.Random()),  # noqa: S311  jitter is no secret
                frames=self._queues[detect_of(camera).model],
                changed=self._changed,
                count=lambda counter, n: self.figures.count(name, counter, n),
                seen=self.figures.saw,
                gate=gate_of(name, camera, settled_ns=self._desks[name].settled_ns, still=self._still),
            ),
            clock=self._clock,
            stop=self._stop,
            beat=self._beats.register(beat_name, _CAPTURE_LIMIT_S),
        )

        def at_end() -> None:
            self._beats.retire(beat_name)
            self._inbox.leave()

        return Worker(beat_name, capture.loop, at_end=at_end)

    def _source_spec(self, name: str, camera: Camera) -> SourceSpec:
        model = detect_of(camera).model
        return source_spec(
            name,
            camera,
            epoch_ns=self._began_ns,
            hardware=self._serving[model].hardware,
            device=self._settings.models[model].device,
        )

    def _serving_of(self, name: str) -> Serving:
        """Return how a model serves its cameras."""
        cameras = [camera for camera in self._cameras.values() if detect_of(camera).model == name]
        least = min(
            score for camera in cameras for score in (detect_of(camera).classes or {}).values() or [LEAST_SCORE]
        )
        return Serving(
            ServingPlan(
                name=name,
                spec=self._specs[name],
                settings=self._settings.models[name],
                latency=len(cameras) == 1 and cameras[0].delivery == "newest",
                least=least,
                on_ready=self._queues[name].wake,
                clock=self._clock,
                prove=self._parts.prove,
            )
        )

    def _model_workers(self, name: str) -> tuple[Worker, list[Worker]]:
        """Return a model's inference thread, and the thread that builds and proves a better way, if there is one."""
        serving = self._serving[name]
        side_name = f"{'build' if serving.builds else 'prove'}-{name}"
        upgrade = serving.upgrade(self._stop, self._beats.register(side_name, _MODEL_LIMIT_S))
        inference = self._inference_worker(name, lambda: self._opened(name, serving), upgrade)
        if upgrade is None:
            self._beats.retire(side_name)
            return inference, []
        self._upgrades[name] = upgrade
        return inference, [Worker(side_name, upgrade.loop, at_end=lambda: self._beats.retire(side_name))]

    def _opened(self, name: str, serving: Serving) -> Model:
        model = serving.open()
        self.models[name] = model
        return model

    def _inference_worker(self, model: str, open_model: Callable[[], Model], swapper: Swapper | None) -> Worker:
        beat_name = f"infer-{model}"
        ages_ns = {
            name: None if camera.max_age_s is None else round(camera.max_age_s * NS_PER_S)
            for name, camera in self._cameras.items()
        }
        inference = Inference(
            InferPlan(
                open_model=open_model,
                frames=self._queues[model],
                passed=self._passed,
                count=self.figures.count,
                measured=self.figures.measured(model),
                max_age_ns=ages_ns.__getitem__,
                swapper=swapper,
            ),
            clock=self._clock,
            beat=self._beats.register(beat_name, _MODEL_LIMIT_S),
        )

        def at_end() -> None:
            self._queues[model].close()  # the captures must not wait for a model that is gone
            self._beats.retire(beat_name)
            self._inbox.leave()

        return Worker(beat_name, inference.loop, at_end=at_end)

    def _queue(self, model: str) -> FrameQueue:
        lanes = {name: lane_of(camera) for name, camera in self._cameras.items() if detect_of(camera).model == model}
        return FrameQueue(lanes, lost=lambda camera, cause: self.figures.count(camera, cause, 1))

    def _configured_topics(self) -> list[str]:
        """Return the retained topics of this configuration beside `first_states`; those of others are cleared."""
        return ["status", *(f"{name}/status" for name in self._settings.cameras)]

    def _left_at_broker(self) -> set[str]:
        """Return the topics under which earlier runs have left something."""
        outbox = self._store.outbox()
        with closing(outbox):
            return outbox.retained()

    def _passed(self, item: Result | Mark) -> None:
        """Hand a result to the events thread; those of a waiting camera are bounded by its queue and never dropped."""
        if isinstance(item, Mark):
            self._inbox.put(item.camera, item, keep=True)
        else:
            camera = item.info.camera
            self._inbox.put(camera, item, keep=self._cameras[camera].delivery == "every")

    def _still(self, still: Still) -> None:
        self._inbox.put(still.info.camera, still)

    def _changed(self, change: CameraChange) -> None:
        self.figures.changed(change)
        if change.finite and change.reason is not LostReason.ENDED:
            self._unreadable.add(change.camera)
        self._inbox.put(change.camera, change, keep=True)

    def _tell_all(self, event: Event) -> None:
        for told in self._listeners:
            told(event)

    def _overflowed(self, camera: str, item: Item) -> None:
        if not isinstance(item, Still):  # it stands for no frame that should have been looked at
            self.figures.count(camera, "overflow", 1)

    def _release(self, camera: str) -> None:
        self._queues[self._model_of(camera)].release(camera)

    def _spec_of(self, camera: Camera) -> ModelSpec:
        return self._specs[detect_of(camera).model]

    def _model_of(self, camera: str) -> str:
        return detect_of(self._cameras[camera]).model

    def _stop_frames(self) -> None:
        self._stop.set()
        for queue in self._queues.values():
            queue.close()

    def _look(self) -> None:
        """Once a second, in the main thread."""
        self._watchdog.check()
        snapshot = self._show()
        if self._looks % _STATISTICS_EVERY == 0:
            self._notifier.status(one_line(snapshot))
            self._delivery.feed(self.report.statistics())
        self._looks += 1

    def _show(self) -> Snapshot:
        snapshot = self.report.snapshot(self._desks)
        if self._table is not None:
            self._table.update(snapshot)
        return snapshot


def _broker_address(settings: Settings, stack: ExitStack) -> BrokerAddress:
    """Return where the broker is, after starting it if it is to be inside this process."""
    url = settings.mqtt.url
    if not url.embedded:
        return BrokerAddress(host=url.host, port=url.port, tls=url.tls)
    broker = EmbeddedBroker(url.port)
    address = broker.start()
    stack.callback(broker.stop)
    return address
