"""`streamer demo`: the main job with nothing to set up."""

from __future__ import annotations

import json
import logging
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from streamer.publish.listen import Listener

from .app import open_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .app import Run

_log = logging.getLogger(__name__)

_CONFIG = """\
# What the demo runs: one camera, which is a drawn scene, and one event for each shape that stays half a second.
mqtt: {{url: embedded, drain: 1s}}  # the folder is thrown away: nothing is to be kept for another run
data_dir: data
models:
  shapes: {{model: shapes}}
cameras:
  scene:
    source: synthetic:shapes?{options}
    frames: newest
    detect: {{model: shapes, fps: 10}}
"""


@contextmanager
def open_demo(*, seconds: float | None, seed: int, out: TextIO) -> Iterator[Run]:
    """Put the demo together: a broker inside the process, a drawn scene, a small network, a listener that prints.

    Args:
        seconds: of the scene; None goes on until stopped.
        seed: which scene.
        out: where the events are printed as they arrive from the broker.

    Raises:
        ConfigError: amqtt, the broker for the demo, is not installed.
        BackendError: the network can't run here.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamer-demo-")))
        options = f"seed={seed}" + (f"&seconds={seconds:g}" if seconds is not None else "")
        config = folder / "demo.yaml"
        config.write_text(_CONFIG.format(options=options))
        run = stack.enter_context(open_run(config, table=False))
        address = run.broker
        listener = Listener(address, "streamer/+/event", lambda topic, payload: _print(topic, payload, out))
        listener.start()
        stack.callback(listener.close)
        _log.info("the broker listens at %s: try  mosquitto_sub -p %d -v -t 'streamer/#'", address, address.port)
        _log.info("events are printed as they arrive; Ctrl-C ends")
        yield run


def _print(_topic: str, payload: bytes, out: TextIO) -> None:
    out.write(f"{describe(json.loads(payload))}\n")
    out.flush()


def describe(event: dict[str, Any]) -> str:
    """Return one line that says what happened, where, how sure and how old."""
    when = datetime.fromisoformat(event["captured_at"].replace("Z", "+00:00")).astimezone()
    what = {"start": "appeared", "update": "is still there", "end": "left"}[event["type"]]
    age = "" if event["age_ms"] is None else f", {event['age_ms']:.0f} ms old"
    return (
        f"{when:%H:%M:%S}  {event['class']:<9} {what:<14} {event['camera']}, {_where(event['box_norm']):<12}"
        f"  score {event['score']:.2f}{age}"
    )


def _where(box_norm: list[float]) -> str:
    """Return the third of the picture that holds the middle of a box, in words."""
    x, y = (box_norm[0] + box_norm[2]) / 2, (box_norm[1] + box_norm[3]) / 2
    row = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    return " ".join(part for part in (row, column) if part) or "middle"
