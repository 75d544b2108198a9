"""GStreamer pipelines, run by whichever Python here has PyGObject: most often the distribution's own."""

from __future__ import annotations

import json
import shutil
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.gst_source import pipeline_for

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json, sys, time
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.core.errors import EndOfStream, SourceError

pipeline, delivery, frames, stop_after = json.loads(sys.argv[1])
grabs, facts, source = 0, {}, None
spec = SourceSpec(camera="c", url=pipeline, delivery=Delivery(delivery), read_timeout_s=1.0, open_timeout_s=2.0)
try:
    stop = lambda: stop_after is not None and grabs >= stop_after
    source = open_source(spec, stopping=stop, dropped=print)
    times = []
    for _ in range(frames):
        grab = source.read()
        grabs += 1
        times.append(grab.captured_ns)
    picture = grab.picture
    facts |= {"size": [picture.width, picture.height], "format": picture.format.value, "matrix": picture.matrix.value,
              "shapes": [p.shape for p in picture.planes], "means": [float(p.mean()) for p in picture.planes],
              "age_ms": (time.monotonic_ns() - times[-1]) / 1e6, "rising": times == sorted(times), "live": source.live}
except SourceError as exc:
    facts |= {"reason": exc.reason.value, "message": str(exc), "context": repr(exc.__context__)}
except EndOfStream:
    facts |= {"end": True}
finally:
    if source is not None:
        source.close()
        source.close()
print(json.dumps({**facts, "grabs": grabs}))
"""


def python_with_gi() -> str:
    """Return a Python that has PyGObject and can load this environment's numpy."""
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) is None:
            continue
        probe = "import gi, sys; gi.require_version('GstApp', '1.0'); import numpy"
        if run_python(python, ["-c", probe]).returncode == 0:
            return python
    pytest.skip("needs PyGObject and GStreamer (apt: python3-gi gir1.2-gst-plugins-base-1.0) beside this numpy")


def run_python(python: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    path = ":".join([str(ROOT), *site.getsitepackages()])
    return subprocess.run(
        [python, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=9,
        cwd=ROOT,
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "GST_REGISTRY_FORK": "no"},
    )


def played(
    pipeline: str, *, delivery: str = "newest", frames: int = 5, stop_after: int | None = None
) -> dict[str, Any]:
    done = run_python(python_with_gi(), ["-c", SCRIPT, json.dumps([f"gst:{pipeline}", delivery, frames, stop_after])])
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_a_live_pipeline_gives_its_pictures_as_planes() -> None:
    facts = played("videotestsrc is-live=true pattern=red ! video/x-raw,width=322,height=241,framerate=30/1")
    assert facts["size"] == [322, 241]
    assert facts["shapes"] == [[241, 322], [121, 161], [121, 161]]
    assert facts["means"] == [81.0, 90.0, 240.0]  # red in BT.601, limited
    assert (facts["format"], facts["matrix"]) == ("i420", "bt601")
    assert facts["rising"]
    assert facts["live"]
    assert 0 <= facts["age_ms"] < 100


def test_what_a_hardware_decoder_gives_is_not_converted() -> None:
    source = "videotestsrc is-live=true pattern=red ! video/x-raw,format=NV12,width=322,height=241,framerate=30/1"
    facts = played(source)
    assert (facts["format"], facts["shapes"]) == ("nv12", [[241, 322], [121, 161, 2]])
    assert facts["means"] == [81.0, 165.0]  # the mean of 90 and 240


def test_what_is_neither_is_converted() -> None:
    facts = played("videotestsrc is-live=true pattern=red ! video/x-raw,format=BGR,width=320,height=240")
    assert facts["format"] in {"i420", "nv12"}
    assert facts["means"][0] == pytest.approx(81, abs=1)


def test_every_gives_each_picture_and_then_the_end_as_a_loss() -> None:
    pipeline = "videotestsrc num-buffers=30 ! video/x-raw,width=1280,height=720"
    facts = played(pipeline, delivery="every", frames=31)
    assert (facts["grabs"], facts["reason"]) == (30, "ended")


@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        ("videotestsrc is-live=true ! identity drop-probability=1", "frozen"),
        ("nosuchelement", "fault"),
        ("videotestsrc nosuch=1", "fault"),
        ("filesrc location=/nonexistent/x.mp4 ! decodebin", "not_found"),
        ("rtspsrc location=rtsp://admin:hunter2@127.0.0.1:1/x ! decodebin", "fault"),
    ],
)
def test_faults_have_their_reason_and_no_secret(pipeline: str, reason: str) -> None:
    facts = played(pipeline)
    assert facts.get("reason") == reason, facts
    assert "hunter2" not in json.dumps(facts)


def test_stopping_ends_it() -> None:
    assert played("videotestsrc is-live=true", frames=50, stop_after=3) == {"end": True, "grabs": 3}


def test_without_pygobject_a_sentence_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['gi'] = None\n"
        "from streamer.capture.base import *; from streamer.capture.open import open_source\n"
        "spec = SourceSpec(camera='c', url='gst:videotestsrc', delivery=Delivery.NEWEST)\n"
        "try:\n    open_source(spec, stopping=lambda: False, dropped=print)\n"
        "except Exception as exc:\n    print(type(exc).__name__, exc)\n"
    )
    said = run_python(sys.executable, ["-c", code]).stdout
    assert said.startswith("SourceError gst: needs GStreamer and PyGObject")
    assert "python3-gi" in said


def spec(url: str, delivery: Delivery = Delivery.NEWEST) -> SourceSpec:
    return SourceSpec(camera="c", url=url, delivery=delivery)


def test_our_sink_keeps_the_newest_or_makes_the_pipeline_wait() -> None:
    assert pipeline_for(spec("gst:a ! b")).startswith("a ! b ! videoconvert ! video/x-raw,format={I420,NV12} ! appsink")
    assert "max-buffers=1 drop=true sync=false" in pipeline_for(spec("gst:a"))
    assert "drop=false" in pipeline_for(spec("gst:a", Delivery.EVERY))


def test_a_csi_camera_is_nvidias_source() -> None:
    assert pipeline_for(spec("csi:1")).startswith("nvarguscamerasrc sensor-id=1 ! ")
