"""Detection and classification in tandem: each object is looked at a few times, and its label joins its events."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import jsonschema
import pytest
from coloured_shapes import COLOUR_OF, HEIGHT, HUES, WIDTH, record_shapes
from servers.broker import free_port
from tiny_classifier import write_classifier

from streamer.app import open_run
from streamer.core.clock import NS_PER_S
from streamer.events.payload import encode_event
from streamer.pipeline.tandem import Tandem
from streamer.pixels.convert import Canvases
from streamer.pixels.crop import detached

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.event import Event
    from streamer.core.frame import AnyPicture
    from streamer.core.look import Classified

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "event.schema.json").read_text())
KINDS = "[circle, square, triangle, star, cross]"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 1ms}}
data_dir: {folder}/data
models:
  shapes: {{model: shapes, precision: f32}}
  hue:
    model: {folder}/hue.onnx
    task: classify
    labels: [red, green, blue]
    look: ultralytics
    precision: f32
cameras:
  table:
    source: {source}
    detect: {{model: shapes}}
    save: {{snapshot: false}}
    classify:
      - {{name: hue, model: hue, of: {{class: {kinds}}}, agree: 3}}
    events:
      - {{name: thing, class: {kinds}, after: 200ms}}
      - {{name: red-thing, class: {kinds}, labels: {{hue: [red]}}}}
      - {{name: reds, class: {kinds}, labels: {{hue: [red]}}, count: {{more_than: 1}}}}
"""


@dataclass
class Seen:
    """What a run did."""

    events: list[Event] = field(default_factory=list)
    looks: list[Classified] = field(default_factory=list)  # answers about objects, in order
    drawn: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    copied: list[tuple[int, int]] = field(default_factory=list)  # (w, h) of each part that was copied
    figures: dict[str, int] = field(default_factory=dict)

    def messages(self, rule: str) -> dict[int, list[Event]]:
        """Return the messages of a rule's events, by track."""
        found: dict[int, list[Event]] = defaultdict(list)
        for event in self.events:
            if event.rule == rule:
                found[event.track or 0].append(event)
        return found


def run(config: Path, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Run a configuration with one camera in this process, and watch what is drawn, cut out and answered."""
    seen = Seen()
    fill, answered = Canvases.fill, Tandem.classified

    def fill_watched(self: Canvases, pictures: Sequence[AnyPicture]) -> Any:  # noqa: ANN401  what `fill` returns
        seen.drawn[self._hw] += [(picture.width, picture.height) for picture in pictures]
        return fill(self, pictures)

    def detached_watched(picture: AnyPicture) -> AnyPicture:
        seen.copied.append((picture.width, picture.height))
        return detached(picture)

    def answered_watched(self: Tandem, classified: Classified) -> None:
        seen.looks.append(classified)
        answered(self, classified)

    with monkeypatch.context() as patch, open_run(config, table=False) as job:
        patch.setattr(Canvases, "fill", fill_watched)
        patch.setattr("streamer.pipeline.tandem.detached", detached_watched)
        patch.setattr(Tandem, "classified", answered_watched)
        job.tell(seen.events.append)
        assert job.run() in {0, 4}  # 4: nobody listens
        (camera,) = job.figures.cameras
        seen.figures = {name: job.figures.value(camera, name) for name in ("decoded", "inferred", "classified")}
    return seen


def most_looks(seen: Seen) -> dict[int, float]:
    """Return, by track, the most looks beyond one a second that it has had since its first one, at any time."""
    times: dict[int | None, list[int]] = defaultdict(list)
    for look in seen.looks:
        times[look.track].append(look.info.captured_ns)
    return {
        track or 0: max(n - (at - asked[0]) / NS_PER_S for n, at in enumerate(asked, start=1))
        for track, asked in times.items()
    }


def label(event: Event, name: str) -> str | None:
    """Return the class that a classification has given an event's object, if it is decided."""
    known: Mapping[str, Any] = event.labels
    return known[name][0] if name in known else None


def scene(folder: Path, source: str | Path) -> Path:
    write_classifier(folder / "hue.onnx", shape=("N", 3, 32, 32))
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(port=free_port(), folder=folder, source=source, kinds=KINDS))
    return config


def test_each_object_gets_its_label_after_three_looks_and_rules_choose_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = run(scene(tmp_path, record_shapes(tmp_path / "five.mp4", seconds=8)), monkeypatch)

    things = seen.messages("thing")
    assert sorted(messages[0].class_name for messages in things.values()) == sorted(COLOUR_OF)
    for messages in things.values():
        assert [label(messages[0], "hue"), label(messages[-1], "hue")] == [None, COLOUR_OF[messages[0].class_name]]
        assert [message.type.value for message in messages] == ["start", "update", "end"]
        for message in messages:
            jsonschema.validate(json.loads(encode_event(message, None)), SCHEMA)
    reds = seen.messages("red-thing")
    assert {messages[0].class_name for messages in reds.values()} == {"circle", "star"}
    for track, messages in reds.items():
        assert [label(message, "hue") for message in messages] == ["red", "red"]
        assert messages[0].started_utc_ns == things[track][0].started_utc_ns
    (crowd,) = seen.messages("reds").values()
    assert [(message.type.value, message.count) for message in crowd] == [("start", 2), ("end", 2)]


def test_no_object_costs_more_than_three_looks_and_one_a_second_and_no_frame_is_drawn_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = scene(tmp_path, record_shapes(tmp_path / "five.mp4", seconds=14))
    config.write_text(config.read_text().replace("agree: 3}", "agree: 3, again: 1s}"))  # as often as it may be asked
    seen = run(config, monkeypatch)

    assert len(most_looks(seen)) == 5
    for track, most in most_looks(seen).items():
        assert 2.0 < most <= 3.001, track
    assert seen.figures["classified"] == len(seen.looks) > 5 * 12
    # The detector draws each frame once; the classifier never one, and what is copied for it is a small part of one.
    detector, classifier = (192, 320), (32, 32)
    assert seen.drawn[detector].count((WIDTH, HEIGHT)) == seen.figures["decoded"] == 14 * 15
    assert seen.drawn.keys() == {detector, classifier}
    parts = [size for size in seen.drawn[classifier] if size != (32, 32)]  # but for the grey picture that warms it
    assert len(parts) == len(seen.looks)
    assert parts == seen.copied
    assert max(w * h for w, h in parts) < 0.1 * WIDTH * HEIGHT


def test_a_recording_gives_the_same_labels_in_the_same_frames_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(seen: Seen) -> list[tuple[Any, ...]]:
        began = min(event.started_utc_ns for event in seen.events)
        return [
            (event.rule, event.track, event.seq, event.type, event.captured_utc_ns - began, str(event.labels))
            for event in seen.events
        ]

    film = record_shapes(tmp_path / "five.mp4", seconds=4)
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(run(scene(tmp_path / name, film), monkeypatch))
    assert told(runs[0]) == told(runs[1])
    assert {str(label(event, "hue")) for event in runs[0].events} == {*HUES, "None"}


REAL = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 1ms}}
data_dir: {folder}/data
models:
  coco: {{model: {models}/yolox_nano_416.onnx, labels: coco80, precision: f32}}
  what: {{model: {models}/squeezenet1_1.onnx, task: classify, labels: imagenet1000, color: bgr, scale: 1,
          mean: [104, 117, 123], fit: crop, precision: f32}}
cameras:
  street:
    source: {clip}
    detect: {{model: coco, classes: {{person: 0.3, bicycle: 0.3, car: 0.3}}}}
    classify:
      - {{name: what, model: what, of: {{class: [person, bicycle, car]}}, agree: 2}}
    events:
      - {{name: thing, class: [person, bicycle, car], after: 200ms}}
"""


def test_a_real_clip_with_real_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    clip = shared_data / "videos" / "person-bicycle-car-detection-preview.mp4"
    config = tmp_path / "config.yaml"
    config.write_text(REAL.format(port=free_port(), folder=tmp_path, models=shared_data / "models", clip=clip))
    seen = run(config, monkeypatch)

    with av.open(str(clip)) as container:
        size = container.streams.video[0].width, container.streams.video[0].height
    assert seen.looks
    for track, most in most_looks(seen).items():
        assert most <= 3.001, track
    assert seen.drawn[416, 416].count(size) == seen.figures["decoded"]
    assert size not in seen.drawn[227, 227]
    assert size not in seen.copied
    labelled = [event for event in seen.events if event.labels]
    assert labelled
    for event in labelled:
        jsonschema.validate(json.loads(encode_event(event, None)), SCHEMA)
