"""The process that builds: started, told what to do, heard, and ended. A crash in native code costs only it.

It stands in a session of its own, so that Ctrl-C reaches us alone and all of it can be ended at once. It says lines of
JSON on its stdout: `{"progress": ...}` and `{"note": "..."}` any number of times, then `{"done": ...}` or
`{"error": "..."}`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamer
from streamer.core.errors import BackendError
from streamer.core.redact import redact

from .progress import BuildStopped, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

_POLL_S = 0.2  # between two looks at `stopping` and at the limit
_END_S = 10.0  # for the kernel to take a process away that was killed; longer only while a driver holds it
_TAIL = 40  # log lines kept
# This very package, wherever it was started from; and nothing that only happens to lie in the user's folder.
_HOME = str(Path(streamer.__file__).resolve().parents[1])
_SAFE_PATH = ("-P",) if sys.version_info >= (3, 11) else ()


class BuildBroke(BackendError):  # noqa: N818  what became of it
    """The process ended without an answer: something native in it has crashed, or it was killed."""


def run_child(
    module: str,
    job: str,
    *,
    progress: Callable[[Progress], None],
    stopping: Callable[[], bool],
    limit_s: float,
) -> dict[str, Any]:
    """Run a module as a process to its end and return what it calls done.

    Blocks until then; `stopping` is asked several times a second. The caller's thread must live as long: with it, by
    the kernel's parent-death signal, the process would end.

    Args:
        module: of ours.
        job: one line, for its stdin.
        progress: told how it goes on.
        stopping: once true, the process is killed.
        limit_s: after which it hangs, and is killed.

    Raises:
        BuildBroke: it has ended without a word.
        BackendError: it can't be started, it says why it can't, or it has not ended within the limit.
        BuildStopped: `stopping` said so.
    """
    process = _started(module)
    try:
        return _Dialogue(process, progress).held(job, stopping, limit_s)
    finally:
        _end(process)


def _started(module: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([_HOME, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        return subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, *_SAFE_PATH, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    except OSError as exc:  # no memory for it, or a service's limit of processes
        raise BackendError(f"the process that builds can't be started ({exc.strerror})") from exc


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process and of those that it has started."""
    if process.returncode is None:  # so its number is still its own
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # what it was told it does not read any more
                pipe.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:  # it goes when the driver lets go of it
        _log.error("the process %d that built an engine can't be ended: the GPU's driver holds it", process.pid)


class _Dialogue:
    """What goes to and fro with one process."""

    def __init__(self, process: subprocess.Popen[bytes], progress: Callable[[Progress], None]) -> None:
        self._process = process
        self._progress = progress
        self._answer: dict[str, Any] | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._rest = {"stdout": b"", "stderr": b""}

    def held(self, job: str, stopping: Callable[[], bool], limit_s: float) -> dict[str, Any]:
        """Give it its job and listen until it is silent."""
        process = self._process
        assert process.stdin is not None  # noqa: S101  pipes, see run_child
        try:
            process.stdin.write(f"{job}\n".encode())
            process.stdin.close()
        except BrokenPipeError:
            _log.debug("it has ended before it was told anything; why, its log says")
        self._listen(stopping, until=time.monotonic() + limit_s, limit_s=limit_s)
        if self._answer is None:
            raise BuildBroke(f"the build broke: {self._why()}")
        if "error" in self._answer:
            raise BackendError(str(self._answer["error"]))
        done: dict[str, Any] = self._answer["done"]
        return done

    def _listen(self, stopping: Callable[[], bool], *, until: float, limit_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
                assert pipe is not None  # noqa: S101  as in `held`
                selector.register(pipe, selectors.EVENT_READ, name)
            while selector.get_map():
                if stopping():
                    raise BuildStopped
                if time.monotonic() > until:
                    raise BackendError(f"the build has not ended within {limit_s / 60:.0f} minutes; it was ended")
                for key, _ in selector.select(_POLL_S):
                    part = os.read(key.fd, 1 << 16)
                    self._hear(key.data, part)
                    if not part:
                        selector.unregister(key.fileobj)

    def _hear(self, name: str, part: bytes) -> None:
        """Take whole lines; at the end what is left of the last one too."""
        *lines, self._rest[name] = (self._rest[name] + part).split(b"\n")
        if not part:
            lines.append(self._rest[name])
        for line in filter(None, (line.decode(errors="replace").rstrip() for line in lines)):
            if name == "stderr":
                self._tail.append(line)
                _log.debug("%s", redact(line))
            else:
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:  # it was ended in the midst of it; why, we say ourselves
            _log.debug("what it said last is cut off: %s", redact(line))
            return
        if "progress" in said:
            self._progress(Progress(**said["progress"]))
        elif "note" in said:
            _log.warning("%s", redact(said["note"]))
        else:
            self._answer = said

    def _why(self) -> str:
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "it says nothing any more, and does not end"
        if code < 0:
            name = signal.Signals(-code).name
            return f"{name} ended it" + ("; was there memory enough?" if -code == signal.SIGKILL else "")
        return redact(self._tail[-1]) if self._tail else f"it left with code {code} and without a word"
