"""Parts of a measurement run in processes of their own: how one is started, told what to do, and heard.

A child gets its job as JSON in its arguments and prints one JSON line, its answer. It stands in a session of its own,
so that Ctrl-C reaches the bench alone, which then ends it; and it ends by itself when the bench is gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import streamer
from streamer.core.errors import BackendError, ConfigError, StreamerError
from streamer.core.redact import redact
from streamer.ops import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Job = dict[str, Any]
Answer = dict[str, Any]

_END_S = 6.0  # for an orderly end: a run is given 5 s
# This very package, wherever it was started from; and nothing that only happens to lie in the user's folder.
_HOME = str(Path(streamer.__file__).resolve().parents[1])
_SAFE_PATH = ("-P",) if sys.version_info >= (3, 11) else ()
_KINDS = {"config": ConfigError, "backend": BackendError}


class ChildError(StreamerError):
    """A part of the measurement broke; the message ends with its own last words."""


class Child:
    """One process: from `with` to its end."""

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self._command = [sys.executable, *_SAFE_PATH, "-m", f"streamer.bench.{module}", json.dumps(job)]
        self._module = module

    def __enter__(self) -> Child:  # noqa: PYI034  typing.Self is younger than Python 3.10
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(  # noqa: S603  our own program
            self._command,
            stdin=subprocess.PIPE,  # its end tells the child that the bench is gone
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([_HOME, *filter(None, [os.environ.get("PYTHONPATH")])])},
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def answer(self, limit_s: float) -> Answer:
        """Wait for its answer.

        Raises:
            ConfigError: it says that the configuration or an argument is wrong.
            BackendError: it says that a model can't work here.
            ChildError: it broke, or did not answer within the limit.
        """
        assert self._process.stdout is not None  # noqa: S101  a pipe, see __enter__
        watch = threading.Timer(limit_s, self._process.kill)
        watch.name = "streamer-bench-limit"
        watch.daemon = True
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
            watch.join()
        if not line:
            raise ChildError(f"bench: {self._module} broke: {self._last_words() or f'no answer in {limit_s:.0f} s'}")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise _KINDS.get(answer["kind"], ChildError)(answer["error"])
        return answer

    def log(self) -> str:
        """Return what it has logged so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")  # the child shares the file's position

    def _last_words(self) -> str:
        self._process.wait(_END_S)
        lines = [line for line in self.log().splitlines() if line.strip()]
        return redact(lines[-1]) if lines else ""


def serve(work: Callable[[Job], Answer]) -> NoReturn:
    """Do the job in the arguments, print the answer, and leave. Called by a child's `__main__`."""
    log.setup()
    threading.Thread(target=_leave_with_parent, name="streamer-bench-parent", daemon=True).start()
    try:
        answer = work(json.loads(sys.argv[1]))
    except StreamerError as exc:
        kind = next((name for name, error in _KINDS.items() if isinstance(exc, error)), "other")
        answer = {"error": redact(str(exc)), "kind": kind}
    say(answer)
    sys.stderr.flush()
    os._exit(0)  # what is stuck in native code must not hold up the end


def say(answer: Answer) -> None:
    """Print one answer."""
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def _leave_with_parent() -> None:
    """End this process when the bench has gone.

    Thread: streamer-bench-parent.  Ends: with the process.  Blocks on: stdin, which the bench holds open.
    """
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_S)
    os._exit(1)
