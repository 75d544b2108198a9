"""What is kept of a run's events: from when to when a clip is cut, whose packets it is made of, and who is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from clip_packets import H264
from servers.made_events import NOON_NS, make_event

from streamer.capture.packets import Coded
from streamer.core.clock import NS_PER_S, FakeClock
from streamer.evidence.clips import SavedClip
from streamer.keeping import Keeping
from streamer.ops.health import Beats
from streamer.settings import parse

if TYPE_CHECKING:
    from streamer.publish.base import Message

CONFIG = """
data_dir: {folder}
models: {{net: {{model: ./net.onnx}}}}
cameras:
  porch: {{source: "rtsp://h/2", detect: {{model: net}}, save: {{clip: {{before: 5s, after: 3s}}}}}}
  yard: {{source: "rtsp://h/2", record: "rtsp://h/1", detect: {{model: net}}}}
  lane: {{source: "rtsp://h/2", detect: {{model: net}}, save: {{snapshot: false}}}}
  gate: {{source: "rtsp://h/2", motion: {{idle: false}}, detect: {{model: net}}, save: {{clip: {{before: 5s}}}}}}
"""
ID = "01a1ff0b-e717-7831-af6c-e9f9ed68b669"


class Rig:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = CONFIG.format(folder=folder).encode()
        settings = parse(text, file=Path("/etc/streamer/c.yaml"), environ={}).settings
        self.clock = FakeClock()
        self.sent: list[Message] = []
        self.begun: list[tuple[str, str, int]] = []
        self.ended: list[tuple[str, int]] = []
        self.keeping = Keeping(
            settings,
            clock=self.clock,
            beats=Beats(self.clock),
            count=lambda *_: None,
            states=lambda *_: None,
            send=self.sent.append,
        )
        monkeypatch.setattr(self.keeping._clips, "begin", lambda *said: self.begun.append(said))
        monkeypatch.setattr(self.keeping._clips, "end", lambda *said: self.ended.append(said))


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def test_a_clip_goes_from_before_the_first_sighting_to_after_the_last(rig: Rig) -> None:
    captured_ns = 1_000 * NS_PER_S  # of the start's frame, four seconds after the first sighting
    rig.keeping.told(make_event(ID, at_s=4.0, captured_ns=captured_ns))
    assert rig.begun == [(ID, "porch", captured_ns - 4 * NS_PER_S - 5 * NS_PER_S)]
    rig.keeping.told(make_event(ID, "update", seq=1, at_s=6.0, captured_ns=captured_ns + 2 * NS_PER_S))
    rig.keeping.told(make_event(ID, "end", seq=2, at_s=10.0, captured_ns=captured_ns + 6 * NS_PER_S))
    assert rig.ended == [(ID, captured_ns + 6 * NS_PER_S + 3 * NS_PER_S)]


def test_the_time_of_a_film_is_found_by_the_wall_clock(rig: Rig) -> None:
    offset_ns = rig.clock.utc_ns() - rig.clock.monotonic_ns()
    rig.keeping.told(make_event(ID, at_s=4.0))
    assert rig.begun == [(ID, "porch", NOON_NS - offset_ns - 5 * NS_PER_S)]


@pytest.mark.parametrize(("camera", "late_s"), [("porch", 5 + 12), ("gate", 5)])
def test_a_tape_goes_back_as_far_as_a_start_may_be_told_late(rig: Rig, camera: str, late_s: int) -> None:
    """Of an idle camera a start may come with the next key frame, 12 s behind the one before."""
    tape = rig.keeping.tape(camera)
    assert tape is not None
    tape.begin(H264)
    last = 25 * 60
    for number in range(last + 1):
        packet, at_ns = av.Packet(b"x"), number * NS_PER_S // 25
        coded = Coded(packet=packet, pts_ns=at_ns, key=number % 25 == 0, arrived_ns=at_ns, waited=True)
        tape.put(coded, at_ns)
    first = tape.reader(0).read(60 * NS_PER_S).pictures[0]
    assert 60 - first.captured_ns / NS_PER_S == pytest.approx(5 + late_s + 0.5, abs=1.0)  # `before`, and half a second


def test_without_clips_nothing_is_cut(rig: Rig) -> None:
    rig.keeping.told(make_event(ID, camera="lane", captured_ns=0))
    rig.keeping.told(make_event(ID, "end", camera="lane", captured_ns=0))
    assert not rig.begun
    assert not rig.ended


def test_a_clip_is_made_of_the_record_stream_if_there_is_one(rig: Rig) -> None:
    assert rig.keeping.tape("porch") is not None
    assert rig.keeping.tape("yard") is None
    assert rig.keeping.tape("lane") is None


def test_a_clip_that_is_complete_is_told(rig: Rig) -> None:
    clip = SavedClip(event_id=ID, camera="porch", path=f"porch/{ID}.mp4", seconds=17.93333, nbytes=81_234)
    rig.keeping._clipped(clip)
    (message,) = rig.sent
    assert (message.topic, message.qos, message.retain) == (f"porch/event/{ID}/clip", 1, False)
    assert json.loads(message.payload) == {"path": f"porch/{ID}.mp4", "seconds": 17.933, "bytes": 81_234}
