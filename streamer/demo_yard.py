"""The demo's yard: drawn shapes that come and go, an event for each that stays."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .app import open_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path
    from typing import TextIO

    from .app import Run

TOPICS = "streamer/+/event"

_CONFIG = """\
# What the demo runs: one camera, which is a drawn scene, and one event for each shape that stays half a second.
mqtt: {{url: embedded, drain: 3s}}  # the folder is thrown away: nothing is to be kept for another run
data_dir: data
models:
  shapes: {{model: shapes}}
cameras:
  scene:
    source: synthetic:shapes?{options}
    frames: newest
    detect: {{model: shapes, fps: 10}}
"""


def open_yard(folder: Path, *, seconds: float | None, seed: int, stack: ExitStack) -> Run:
    """Put the run together.

    Args:
        folder: for its files.
        seconds: of the scene; None goes on until stopped.
        seed: which scene.
        stack: ends it.

    Raises:
        ConfigError: amqtt, the broker for the demo, is not installed.
        BackendError: the network can't run here.
    """
    options = f"seed={seed}" + (f"&seconds={seconds:g}" if seconds is not None else "")
    config = folder / "demo.yaml"
    config.write_text(_CONFIG.format(options=options))
    return stack.enter_context(open_run(config, table=False))


def print_to(out: TextIO) -> Callable[[str, bytes], None]:
    """Return what prints the events as they arrive: told (topic, payload)."""

    def heard(_topic: str, payload: bytes) -> None:
        out.write(f"{describe(json.loads(payload))}\n")
        out.flush()

    return heard


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
