"""What is kept of a run's events besides their messages: pictures and clips, and the threads that see to them."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import TYPE_CHECKING

from streamer.capture.av_source import open_packets
from streamer.capture.cut import cutter, leftover
from streamer.capture.tape import Tape
from streamer.core.clock import NS_PER_S, utc_offset_ns
from streamer.core.event import EventType
from streamer.evidence.clips import Clips, ClipsPlan
from streamer.evidence.files import EvidenceFolder
from streamer.evidence.retention import Retention
from streamer.evidence.views import BestViews
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.evidence_loop import Evidence, EvidencePlan
from streamer.pipeline.record_loop import Recording, RecordingPlan
from streamer.pipeline.views_desk import Views, ViewsPlan
from streamer.pipeline.worker import Worker
from streamer.publish.base import Message

from .connections import record_spec

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.event import Event
    from streamer.core.frame import AnyPicture, FrameInfo
    from streamer.evidence.clips import SavedClip
    from streamer.evidence.stills import Shot, Stills
    from streamer.infer.spec import ModelSpec
    from streamer.ops.health import Beats
    from streamer.pipeline.shot_queue import Snap
    from streamer.settings import Camera, Settings

_LIMIT_S = 30.0  # a disk that takes nothing for longer is no disk, and connecting has limits of its own
_JPEG = "image/jpeg"
# A clip begins before the first sighting, which is told `after` later: a tape goes back so far, and no rule's dwelling
# makes it go back farther than this; and a start is told a little late, or with an idle camera's next key frame, which
# shows what came since the one before.
_MOST_DWELL_S = 30.0
_LATE_S = 5.0
_IDLE_S = 12.0
# What the supervisor waits for the evidence thread is a little longer.
_HURRIED_S = 1.0
_AT_EASE_S = 8.0


class Keeping:
    """Pictures and clips of a run's events. Made before the threads; nothing that they ask of it waits."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        beats: Beats,
        count: Callable[[str, str, int], None],
        states: Callable[[str, bytes], None],
        send: Callable[[Message], object],
    ) -> None:
        """Put the parts together.

        Args:
            settings: of the run.
            clock: for ages.
            beats: the threads show life there.
            count: told (camera, cause, how many).
            states: told of a retained topic's payload.
            send: sends a message, or drops it.
        """
        bounds = settings.evidence
        self._cameras = {name: camera for name, camera in settings.cameras.items() if camera.enabled}
        self._clock = clock
        self._beats = beats
        self._count = count
        self._states = states
        self._send = send
        self._views: dict[str, Views] = {}
        self._ending = self._hurried = False
        self._tapes = {name: _tape(camera) for name, camera in self._cameras.items() if camera.clip is not None}
        folder = EvidenceFolder(settings.data_dir, min_free_bytes=bounds.min_free)
        self._clips = Clips(
            ClipsPlan(
                folder=folder,
                open_cut=cutter(self._tapes),
                open_leftover=leftover,
                longest_ns={
                    name: round(camera.clip.longest_s * NS_PER_S)
                    for name, camera in self._cameras.items()
                    if camera.clip is not None
                },
                told=self._clipped,
                count=count,
            ),
            clock=clock,
        )
        self._evidence = Evidence(
            EvidencePlan(
                folder=folder,
                retention=Retention(folder, max_age_s=bounds.max_age_s, max_bytes=bounds.max_size),
                saved=self._saved,
                snapped=self._snapped,
                count=count,
                clips=self._clips,
            ),
            clock=clock,
            beat=beats.register("evidence", _LIMIT_S),
        )

    def worker(self) -> Worker:
        """Return the evidence thread."""
        return Worker("evidence", self._evidence.loop, at_end=partial(self._beats.retire, "evidence"))

    def recordings(self, stop: threading.Event, *, wanted: Callable[[str], Callable[[], bool]]) -> list[Worker]:
        """Return a thread for each stream that is there for clips alone.

        Args:
            stop: they end when it is set.
            wanted: gives what says whether a camera is to be watched; one that is not is let go of.
        """
        recorded = [(name, camera) for name, camera in self._cameras.items() if camera.record]
        return [self._recording(name, camera, stop, wanted=wanted(name)) for name, camera in recorded]

    def tape(self, camera: str) -> Tape | None:
        """Return where the packets of a camera's own stream are kept, None if its clips do not come from that."""
        return None if self._cameras[camera].record else self._tapes.get(camera)

    def stop(self) -> None:
        """Write what waits, and end the evidence thread; a long clip takes some seconds where nobody is in a hurry."""
        self._evidence.stop(_AT_EASE_S)
        self._ending = True
        if self._hurried:
            self._evidence.stop(_HURRIED_S)

    def hurry(self) -> None:
        """Let that end soon, now or when it comes to it. Another thread than that of `stop`: each sees the other."""
        self._hurried = True
        if self._ending:
            self._evidence.stop(_HURRIED_S)

    def snap(self, snap: Snap) -> None:
        """Have a picture encoded that somebody has asked for."""
        self._evidence.offer(snap)

    def views(
        self, name: str, spec: ModelSpec, *, picture_of: Callable[[FrameInfo], AnyPicture | None]
    ) -> Views | None:
        """Return what picks the best pictures of a camera's events, or None where none are kept.

        Args:
            name: of the camera.
            spec: of its detector.
            picture_of: gives the picture of a frame that the detector has just seen.
        """
        camera = self._cameras[name]
        if not camera.save.snapshot or camera.detect is None:
            return None
        self._views[name] = Views(
            ViewsPlan(
                camera=name,
                labels=spec.labels,
                picture_of=picture_of,
                best=BestViews(),
                offer=self._evidence.offer,
            )
        )
        return self._views[name]

    def told(self, event: Event) -> None:
        """Take in that a message of an event has been stored. Events thread."""
        clip = self._cameras[event.camera].clip
        if event.type is EventType.START and clip is not None:
            began_ns = self._monotonic_ns(event.started_utc_ns, event)
            self._clips.begin(event.id, event.camera, began_ns - round(clip.before_s * NS_PER_S))
        if event.type is EventType.END:
            if clip is not None:
                ended_ns = self._monotonic_ns(event.ended_utc_ns or event.captured_utc_ns, event)
                self._clips.end(event.id, ended_ns + round(clip.after_s * NS_PER_S))
            if event.camera in self._views:
                self._views[event.camera].ended(event.id)

    def _monotonic_ns(self, utc_ns: int, event: Event) -> int:
        """Return a moment of an event on the monotonic clock; a live camera's message knows one that is both."""
        if event.captured_ns is None:
            return utc_ns - utc_offset_ns(self._clock)
        return event.captured_ns - (event.captured_utc_ns - utc_ns)

    def _recording(self, name: str, camera: Camera, stop: threading.Event, *, wanted: Callable[[], bool]) -> Worker:
        thread = f"record-{name}"
        if camera.record is None:
            raise ValueError(f"{name}: expected a `record` stream")
        recording = Recording(
            RecordingPlan(
                spec=record_spec(name, camera.record, transport=camera.transport, tape=self._tapes[name]),
                open_packets=open_packets,
                backoff=Backoff(random.Random()),  # noqa: S311  jitter is no secret
                count=partial(self._count, name),
                wanted=wanted,
            ),
            clock=self._clock,
            stop=stop,
            beat=self._beats.register(thread, _LIMIT_S),
        )
        return Worker(thread, recording.loop, at_end=partial(self._beats.retire, thread))

    def _saved(self, shot: Shot, stills: Stills) -> None:
        """Tell of an event's best view so far. Evidence thread."""
        topic = f"{shot.camera}/event/{shot.event_id}/snapshot"
        self._send(Message(topic=topic, payload=stills.boxed, qos=1, retain=False, content_type=_JPEG))
        self._states(f"{shot.camera}/snapshot", stills.boxed)

    def _snapped(self, camera: str, jpeg: bytes) -> None:
        """Tell of a picture that somebody has asked for. Evidence thread."""
        self._states(f"{camera}/snapshot", jpeg)

    def _clipped(self, clip: SavedClip) -> None:
        """Tell of a clip that is complete. Evidence thread."""
        said: Mapping[str, object] = {"path": clip.path, "seconds": round(clip.seconds, 3), "bytes": clip.nbytes}
        payload = json.dumps(said, separators=(",", ":")).encode()
        self._send(Message(topic=f"{clip.camera}/event/{clip.event_id}/clip", payload=payload, qos=1, retain=False))


def _tape(camera: Camera) -> Tape:
    """Return a tape that goes back far enough for a camera's clips."""
    before_s = camera.clip.before_s if camera.clip else 0.0
    dwell_s = max((rule.after_s for rule in camera.events or ()), default=0.0)
    late_s = _LATE_S + _IDLE_S * camera.idles
    return Tape(seconds=before_s + min(_MOST_DWELL_S, dwell_s) + late_s)
