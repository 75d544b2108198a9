"""`streamer bench`: what this machine does with a model and cameras, and what it could do at best."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from .compare import compare as compare_reports
from .compare import load_report
from .report import build
from .rounds import measure
from .subject import check_model, check_options, open_subject, plain
from .table import show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import TextIO

    from .subject import Options

_INTERRUPTED = 130


def bench(options: Options, *, as_json: bool, compare: Path | None, out: TextIO) -> int:
    """Measure, and print what was found.

    Args:
        options: what and how.
        as_json: one JSON object instead of tables.
        compare: an earlier `--json` result to put beside this one.
        out: where the result goes; progress goes to stderr.

    Returns:
        The exit code: 0, or 130 when it was stopped; the rounds that were complete by then are printed.

    Raises:
        ConfigError: an argument or the configuration is wrong, or no picture came.
        BackendError: a model can't work here.
    """
    check_options(options)
    _check_measure(options)
    earlier = None if compare is None else load_report(compare)
    task = check_model(options)
    try:
        with (
            _stopped_like_ctrl_c(),
            tempfile.TemporaryDirectory(prefix="streamer-bench-") as folder,
            open_subject(options, Path(folder), _say, task=task) as subject,
        ):
            rounds = measure(options, subject, Path(folder), _say)
            report = build(options, subject, rounds)
    except ConfigError as exc:
        raise ConfigError(plain(str(exc)) if options.config is None else str(exc)) from exc
    except KeyboardInterrupt:
        _say("stopped before the first round was complete: there is nothing to show")
        return _INTERRUPTED
    comparison = None if earlier is None else compare_reports(earlier, report, file=str(compare))
    if as_json:
        beside = {} if comparison is None else {"compare": comparison.as_json()}
        out.write(f"{json.dumps({**report, **beside}, indent=1)}\n")
    else:
        show(report, comparison, out)
    return 0 if len(rounds) == options.rounds else _INTERRUPTED


def _check_measure(options: Options) -> None:
    """Refuse a measurement that can't be one.

    Raises:
        ConfigError: too few or too many rounds or seconds.
    """
    if not 1 <= options.rounds <= 100:
        raise ConfigError(f"bench: --rounds {options.rounds}: allowed are 1 to 100")
    if not 0.5 <= options.seconds <= 3600:
        raise ConfigError(f"bench: --seconds {options.seconds:g}: allowed are 0.5 to 3600")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the bench as Ctrl-C does: children ended, folders removed."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
