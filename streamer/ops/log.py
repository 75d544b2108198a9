"""Log lines: for a person on a terminal, or one JSON object a line. No password leaves through here."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback

from streamer.core.errors import ChannelClosed, EndOfStream, StreamerError
from streamer.core.redact import redact

OURS = "streamer"
# Third parties speak from WARNING on. These say on WARNING and ERROR what our adapters report better, once:
# amqtt logs an error for each dropped client (through `transitions`, too), PyAV each of FFmpeg's complaints.
_QUIET = ("amqtt", "transitions", "libav", "paho", "openvino", "openvino_telemetry", "asyncio")

_log = logging.getLogger(__name__)


def setup(*, as_json: bool = False, level: int = logging.INFO) -> None:
    """Send every log record of the process to stderr, redacted. Calling it again replaces the first choice.

    A record's camera is given as `_log.info("online: %dx%d", w, h, extra={"camera": "porch"})`.

    Args:
        as_json: one JSON object a line instead of text.
        level: the least level of our own records; third parties start at WARNING or higher.
    """
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, StderrHandler)]:
        root.removeHandler(handler)
    handler = StderrHandler()
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def log_thread_faults() -> None:
    """Log an exception that leaves a thread of a third party, instead of Python's print, which shows addresses raw."""

    def report(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "an unknown thread"
        if args.exc_value is not None:
            _log.error("thread %s died", name, exc_info=args.exc_value)

    threading.excepthook = report


class StderrHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is now: a live display puts itself there and prints lines above its table."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, in one piece."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001  as logging itself does: a record that can't be written must not end a thread
            self.handleError(record)


class LineFormatter(logging.Formatter):
    """`10:15:30.123 INFO  porch  online: 1280x720`, local time; no camera, then no name; others name their logger."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the redacted text of a record; further lines are indented, so that none looks like a new record."""
        seconds = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "WARN" if record.levelno == logging.WARNING else record.levelname
        name = _camera(record) or ("" if _is_ours(record) else record.name)
        text = f"{record.getMessage()}{_ending(record)}".replace("\n", "\n    ")
        return redact(f"{seconds}.{int(record.msecs):03d} {level:<5} {name}{'  ' if name else ''}{text}")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, camera if there is one, message, traceback of a fault."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as redacted JSON."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if camera := _camera(record):
            line["camera"] = camera
        line["message"] = redact(record.getMessage() + _cause(record))
        if fault := _fault(record):
            line["traceback"] = redact(fault)
        return json.dumps(line, ensure_ascii=False)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == OURS or record.name.startswith(f"{OURS}.")


def _camera(record: logging.LogRecord) -> str:
    camera = getattr(record, "camera", None)
    return camera if isinstance(camera, str) else ""


def _is_expected(exc: BaseException) -> bool:
    """Whether a sentence says all: what users cause and cameras do is no fault of ours."""
    return isinstance(exc, (StreamerError, EndOfStream, ChannelClosed, KeyboardInterrupt))


def _exception(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _cause(record: logging.LogRecord) -> str:
    """Return `: sentence` for an expected exception, else nothing."""
    exc = _exception(record)
    return f": {exc}" if exc is not None and _is_expected(exc) else ""


def _fault(record: logging.LogRecord) -> str:
    """Return the traceback of a fault of ours, else nothing."""
    exc = _exception(record)
    if exc is None or _is_expected(exc):
        return ""
    return "".join(traceback.format_exception(type(exc), exc, exc.__traceback__)).rstrip()


def _ending(record: logging.LogRecord) -> str:
    fault = _fault(record)
    return f"\n{fault}" if fault else _cause(record)
