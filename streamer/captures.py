"""The capture threads of a run, each with its gate and with everything that its frames go to."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from streamer.capture.address import is_finite
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.capture_loop import Capture, CapturePlan
from streamer.pipeline.worker import Worker

from .camera_looks import outlets_of
from .camera_parts import gate_of
from .connections import source_spec

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from streamer.capture.base import OpenSource, SourceSpec
    from streamer.core.clock import Clock
    from streamer.ops.health import Beats
    from streamer.pipeline.closer_looks import CloserLooks
    from streamer.pipeline.desk import CameraDesk
    from streamer.pipeline.gated import Gated
    from streamer.pipeline.messages import CameraChange, Still
    from streamer.settings import Camera, Settings

    from .controls import Controls
    from .factory import Factory
    from .figures import Figures
    from .keeping import Keeping
    from .model_threads import ModelThreads
    from .queues import Queues

# How long a thread may be silent before the watchdog is no longer fed: opening by TCP, then by UDP, and reading, each
# have limits of their own.
_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturesPlan:
    """What the capture threads of a run need."""

    settings: Settings
    cameras: Mapping[str, Camera]  # those that run
    queues: Queues
    models: ModelThreads
    closer: Mapping[str, CloserLooks]  # of the cameras whose small regions are looked at closer
    desks: Mapping[str, CameraDesk]
    factory: Factory
    keeping: Keeping
    controls: Controls
    figures: Figures
    beats: Beats
    clock: Clock
    source: OpenSource
    stop: threading.Event
    began_ns: int  # monotonic: at which the time of every file begins
    changed: Callable[[CameraChange], None]
    still: Callable[[Still], None]
    left: Callable[[], None]  # told when a thread has ended


class Captures:
    """Makes the threads."""

    def __init__(self, plan: CapturesPlan) -> None:
        self._plan = plan

    def workers(self) -> list[Worker]:
        """Return a thread for each camera."""
        return [self._worker(name, camera) for name, camera in self._plan.cameras.items()]

    def _worker(self, name: str, camera: Camera) -> Worker:
        plan, beat_name = self._plan, f"capture-{name}"
        gate = gate_of(name, camera, settled_ns=plan.desks[name].settled_ns, still=plan.still)
        skipped = partial(plan.figures.count, name, "still", 1)
        capture = Capture(
            CapturePlan(
                spec=self._spec(name, camera, gate),
                finite=is_finite(camera.source.reveal()),
                open_source=plan.source,
                backoff=Backoff(random.Random()),  # noqa: S311  jitter is no secret
                outlets=[
                    *outlets_of(name, camera, plan.queues, gate=gate, skipped=skipped, closer=plan.closer.get(name)),
                    plan.controls.snapshots[name],
                ],
                changed=plan.changed,
                count=lambda counter, n: plan.figures.count(name, counter, n),
                seen=plan.figures.saw,
                is_item=plan.factory.is_item(name, camera),
                wanted=plan.controls.wanted(name),
            ),
            clock=plan.clock,
            stop=plan.stop,
            beat=plan.beats.register(beat_name, _LIMIT_S),
        )

        def at_end() -> None:
            plan.beats.retire(beat_name)
            plan.left()

        return Worker(beat_name, capture.loop, at_end=at_end)

    def _spec(self, name: str, camera: Camera, gate: Gated | None) -> SourceSpec:
        plan, model = self._plan, camera.main_model
        return source_spec(
            name,
            camera,
            epoch_ns=plan.began_ns,
            hardware=plan.models.hardware(model),
            device=plan.settings.models[model].device,
            idle=gate.idle if gate is not None and camera.idles else None,
            tape=plan.keeping.tape(name),
        )
