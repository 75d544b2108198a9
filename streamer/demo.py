"""`streamer demo`: the main job with nothing to set up."""

from __future__ import annotations

import logging
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from streamer.publish.listen import Listener

from .demo_line import TOPICS as LINE_TOPICS
from .demo_line import LineWatch, open_line, truth
from .demo_yard import TOPICS as YARD_TOPICS
from .demo_yard import open_yard, print_to
from .line_display import open_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .app import Run

SceneName = Literal["line", "yard"]
RATE = 2.0  # boards a second, where nothing else is said

_log = logging.getLogger(__name__)


@contextmanager
def open_demo(*, scene: SceneName, seconds: float | None, seed: int, rate: float, out: TextIO) -> Iterator[Run]:
    """Put the demo together: a broker inside the process, a drawn scene, a small network, a listener that prints.

    Args:
        scene: which of the two.
        seconds: of the scene; None goes on until stopped.
        seed: which scene.
        rate: boards a second, of the line.
        out: where is printed what arrives from the broker.

    Raises:
        ConfigError: amqtt, the broker for the demo, is not installed.
        BackendError: the network can't run here.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamer-demo-")))
        if scene == "yard":
            run = open_yard(folder, seconds=seconds, seed=seed, stack=stack)
            _listen(run, YARD_TOPICS, print_to(out), stack)
            _log.info("events are printed as they arrive; Ctrl-C ends")
        else:
            run = open_line(folder, seconds=seconds, seed=seed, rate=rate, stack=stack)
            watch = LineWatch(open_display(out, stack), truth(seed=seed, rate=rate), unread=run.request_stop)
            stack.callback(watch.finish)
            _listen(run, LINE_TOPICS, watch.heard, stack)
            _log.info("verdicts are on streamer/line/decision, defects on streamer/line/event; Ctrl-C ends")
            _log.info("the same with a real camera: configs/factory-line.yaml, docs/factory.md")
        yield run


def _listen(run: Run, topics: str, heard: Callable[[str, bytes], None], stack: ExitStack) -> None:
    """Subscribe, as another program would, and say how that is done."""
    address = run.broker
    listener = Listener(address, topics, heard)
    listener.start()
    stack.callback(listener.close)
    _log.info("the broker listens at %s: try  mosquitto_sub -p %d -v -t 'streamer/#'", address, address.port)
