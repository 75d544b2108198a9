"""The demo's line: drawn circuit boards, one verdict for each, and a tally against what was drawn."""

from __future__ import annotations

import json
import logging
import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from streamer.capture.open import open_source
from streamer.capture.scenes.boards import KINDS, Boards
from streamer.core.clock import SystemClock
from streamer.core.errors import EndOfStream
from streamer.settings import load

from .app import open_loaded
from .board_reports import BoardReports
from .line_display import board_line
from .tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from streamer.capture.base import DropCause, OpenSource, Source, SourceSpec
    from streamer.capture.scenes.shapes import SceneObject
    from streamer.core.clock import Clock

    from .app import Run
    from .board_reports import Board
    from .line_display import Display

TOPICS = "streamer/line/+"

_log = logging.getLogger(__name__)

_SIDE = 640  # px
_DEFECTIVE = 0.5  # share of the boards
_LOOK_S = 0.05  # how often a line that waits for its network looks whether it is there
_CONFIG = """\
# What the demo runs: a camera over a line of boards, triggered by the machine, so that each picture shows one board.
mqtt: {{url: embedded, drain: 3s}}  # the folder is thrown away: nothing is to be kept for another run
data_dir: data
outbox: {{max_size: 100MB}}  # however long it goes on: temporary files may be kept in memory
evidence: {{max_size: 100MB}}
models:
  pcb-defects: {{model: pcb-defects}}
cameras:
  line:
    source: synthetic:boards?{options}
    frames: every
    detect: {{model: pcb-defects}}
    publish_detections: true
    events:
      - {{name: bad-board, class: [{kinds}], decide: {{trigger: frame, deadline: 400ms, otherwise: reject}}}}
      - {{name: defect, class: [{kinds}], after: 0s, end_after: 400ms}}
"""


def open_line(folder: Path, *, seconds: float | None, seed: int, rate: float, stack: ExitStack) -> Run:
    """Put the run together. Its line starts once the network is ready: boards that come before would be late.

    Args:
        folder: for its files.
        seconds: of the scene; None goes on until stopped.
        seed: which boards.
        rate: boards a second.
        stack: ends it.

    Raises:
        ConfigError: amqtt, the broker for the demo, is not installed.
        BackendError: the network can't run here.
    """
    options = f"size={_SIDE}x{_SIDE}&fps={rate:g}&rate={rate:g}&defective={_DEFECTIVE:g}&seed={seed}"
    options += f"&seconds={seconds:g}" if seconds is not None else ""
    config = folder / "demo.yaml"
    config.write_text(_CONFIG.format(options=options, kinds=", ".join(KINDS)))
    run: Run
    source = open_when(lambda: "pcb-defects" in run.models, clock=SystemClock())
    # Nothing faster is proved beside it: that would take the time of the boards, and a demo is over soon.
    loaded = load(config, os.environ)
    run = stack.enter_context(open_loaded(loaded, table=False, source=source, prove=False))
    return run


def open_when(ready: Callable[[], bool], *, clock: Clock) -> OpenSource:
    """Return what opens a source once something is ready.

    Args:
        ready: asked from the capture thread, about twenty times a second.
        clock: for the time between.
    """

    def opened(spec: SourceSpec, *, stopping: Callable[[], bool], dropped: Callable[[DropCause, int], None]) -> Source:
        never = threading.Event()  # the clock waits on events; nobody sets this one
        while not ready():
            if stopping():
                raise EndOfStream
            clock.wait(never, _LOOK_S)
        _log.info("the network is ready: the line starts", extra={"camera": spec.camera})
        return open_source(spec, stopping=stopping, dropped=dropped)

    return opened


def truth(*, seed: int, rate: float) -> Callable[[int], Sequence[SceneObject]]:
    """Return what tells the defects drawn on a board, counted from 1: as decisions are."""
    boards = Boards(seed, _SIDE, _SIDE, rate=rate, defective=_DEFECTIVE)
    return lambda number: boards.truth(number - 1)


class LineWatch:
    """Follows the line through the broker, as another program would, and shows each board with what is true of it.

    `heard` is the listener's thread, `finish` the main thread's when that has ended.
    """

    def __init__(
        self, display: Display, drawn_on: Callable[[int], Sequence[SceneObject]], *, unread: Callable[[], None]
    ) -> None:
        """Store the parts.

        Args:
            display: where it is shown.
            drawn_on: tells the defects of a board, counted from 1 since the camera was opened.
            unread: called when nothing can be shown any more: the disk is full, or nobody reads it. Why is said at the
                end of the process, as of all results (`stdout`).
        """
        self.tally = Tally(KINDS)
        self._display = display
        self._drawn_on = drawn_on
        self._unread = unread
        self._reports = BoardReports()
        self._earlier = 0  # boards before the camera was opened: switched off and on, it begins with the first again
        self._shown = True

    def heard(self, topic: str, payload: bytes) -> None:
        """Take in a message."""
        match topic.rpartition("/")[2]:
            case "decision":
                self._show(self._reports.decision(json.loads(payload)))
            case "detections":
                self._show(self._reports.detections(json.loads(payload)))
            case _:  # events and states of the camera: for others
                pass

    def finish(self) -> None:
        """Show what is left, and the last tally."""
        self._show(self._reports.rest())
        self._write(partial(self._display.finish, self.tally))

    def _show(self, boards: Sequence[Board]) -> None:
        for board in boards:
            if board.picture is not None:
                self._earlier = board.number - 1 - board.picture
            drawn = self._drawn_on(board.number - self._earlier)
            line = board_line(board, drawn, self.tally.add(board, drawn))
            self._write(partial(self._display.show, line, self.tally))

    def _write(self, write: Callable[[], None]) -> None:
        if not self._shown:
            return
        try:
            write()
        except OSError:
            self._shown = False
            self._unread()
