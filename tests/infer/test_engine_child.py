"""The process that builds, as its parent sees it: whatever it does, it ends, and why is one sentence."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import streamer
from streamer.core.errors import BackendError
from streamer.infer.engine.child import run_child
from streamer.infer.engine.progress import BuildStopped, Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Run = Callable[..., dict[str, Any]]

DONE = 'print(\'{"done": {"a": 1}}\', flush=True)\n'


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a program as the child that builds."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(
        program: str,
        *,
        job: str = "{}",
        told: list[Progress] | None = None,
        stopping: Callable[[], bool] = lambda: False,
        limit_s: float = 8.0,
    ) -> dict[str, Any]:
        (tmp_path / "made_child.py").write_text(f"import json, os, signal, subprocess, sys\n{program}")
        heard = [] if told is None else told
        return run_child("made_child", job, progress=heard.append, stopping=stopping, limit_s=limit_s)

    return run


def test_it_is_told_its_job_and_heard(child: Run) -> None:
    told: list[Progress] = []
    program = (
        "job = json.loads(sys.stdin.readline())\n"
        'print(json.dumps({"progress": {"phase": "build", "share": 0.5, "detail": "x"}}), flush=True)\n'
        'print(json.dumps({"done": job}), flush=True)\n'
    )
    assert child(program, job='{"b": 2}', told=told) == {"b": 2}
    assert told == [Progress(phase="build", share=0.5, detail="x")]


def test_one_that_can_not_be_started_is_one_sentence(child: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(BackendError, match=r"^the process that builds can't be started \(Cannot allocate memory\)$"):
        child(DONE)


def test_a_long_line_comes_whole(child: Run) -> None:
    assert child('print(json.dumps({"done": {"a": "x" * 300000}}))')["a"] == "x" * 300_000


def test_its_reason_is_the_message(child: Run) -> None:
    with pytest.raises(BackendError, match=r"^the GPU is on fire$"):
        child('print(json.dumps({"error": "the GPU is on fire"}))')


def test_a_crash_in_native_code_costs_only_the_child(child: Run) -> None:
    with pytest.raises(BackendError, match=r"^the build broke: SIGSEGV ended it$"):
        child("os.kill(os.getpid(), signal.SIGSEGV)")


def test_one_that_the_kernel_killed_may_have_wanted_memory(child: Run) -> None:
    with pytest.raises(BackendError, match=r"SIGKILL ended it; was there memory enough\?"):
        child("os.kill(os.getpid(), signal.SIGKILL)")


def test_an_exception_is_told_by_its_last_line(child: Run) -> None:
    with pytest.raises(BackendError, match=r"^the build broke: KeyError: 'lost'$"):
        child("raise KeyError('lost')")


def test_one_that_says_nothing_is_told_so(child: Run) -> None:
    with pytest.raises(BackendError, match="it left with code 3 and without a word"):
        child("sys.exit(3)")


def test_one_that_closes_its_ears_is_heard_all_the_same(child: Run) -> None:
    assert child(f"os.close(0)\n{DONE}", job="x" * 1_000_000) == {"a": 1}


def test_a_hung_one_is_ended(child: Run) -> None:
    with pytest.raises(BackendError, match="has not ended within 0 minutes; it was ended"):
        child("signal.pause()", limit_s=0.3)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < until, f"process {pid} is still there"
        os.sched_yield()


def test_a_last_line_that_is_cut_off_is_no_riddle(child: Run) -> None:
    program = 'os.write(1, b\'{"progress": {"pha\')\nos.kill(os.getpid(), signal.SIGKILL)\n'
    with pytest.raises(BackendError, match="the build broke: SIGKILL ended it; was there memory enough"):
        child(program)


def test_who_wants_it_no_more_ends_it_and_all_that_it_started(child: Run) -> None:
    told: list[Progress] = []
    program = (
        "other = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        'print(json.dumps({"progress": {"phase": "build", "detail": f"{os.getpid()} {other.pid}"}}), flush=True)\n'
        "signal.pause()\n"
    )
    with pytest.raises(BuildStopped):
        child(program, told=told, stopping=lambda: bool(told))
    for pid in map(int, told[0].detail.split()):
        wait_until_gone(pid)


def test_an_interrupt_ends_it(child: Run) -> None:
    told: list[Progress] = []

    def interrupted() -> bool:
        if told:
            raise KeyboardInterrupt
        return False

    program = (
        'print(json.dumps({"progress": {"phase": "build", "detail": str(os.getpid())}}), flush=True)\nsignal.pause()\n'
    )
    with pytest.raises(KeyboardInterrupt):
        child(program, told=told, stopping=interrupted)
    wait_until_gone(int(told[0].detail))


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's parent-death signal")
def test_the_builder_dies_with_its_parent() -> None:
    """The real builder's first act, in a process whose parent is killed."""
    root = str(Path(streamer.__file__).parents[1])
    below = (
        "import os, signal\n"
        "from streamer.infer.backends.tensorrt.builder import _die_with\n"
        "_die_with(os.getppid())\n"
        "print(os.getpid(), flush=True)\n"
        "signal.pause()\n"
    )
    above = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {below!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", above], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until_gone(pid)
