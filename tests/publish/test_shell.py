"""Events to a program: what it gets, what its end means, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.broker import wait_until
from servers.said import Said

from streamer.core.clock import FakeClock
from streamer.publish.base import Message
from streamer.publish.shell import CommandOptions, CommandSink, clean_environment, open_command

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "the-true-Passw0rd"  # noqa: S105  of a test
Make = Callable[..., CommandSink]


def event(name: str = "a", seq: int = 0) -> Message:
    return Message(topic="porch/event", payload=json.dumps({"id": name, "seq": seq}).encode(), qos=1, retain=False)


@pytest.fixture
def made(tmp_path: Path, seed: int) -> Iterator[Make]:
    """Sinks that run in a folder of the test's own, on a clock whose pauses take no time."""
    opened: list[CommandSink] = []

    def make(*command: str, **options: object) -> CommandSink:
        plain = CommandOptions(name="siren", command=command, environ={"PATH": os.defpath}, folder=tmp_path)
        chosen = replace(plain, **options)  # type: ignore[arg-type]
        opened.append(open_command(chosen, clock=FakeClock(), rng=random.Random(seed)))
        return opened[-1]

    yield make
    for sink in opened:
        sink.close()


def sent(sink: CommandSink, message: Message) -> str | None:
    said = Said()
    wait_until(lambda: sink.send(message, said), 5.0, "room")
    return said.wait()


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def number_in(path: Path) -> int:
    """Wait for the number that a script writes."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), 5.0, f"{path.name} is written")
    return int(path.read_text())


def gone(pid: int) -> bool:
    """Whether a process has ended; one that waits to be collected by a distant parent has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_program_gets_the_event_on_its_standard_input(made: Make, tmp_path: Path) -> None:
    assert sent(made(*shell("cat > seen")), event("e1", 3)) is None
    assert (tmp_path / "seen").read_bytes() == event("e1", 3).payload + b"\n"


def test_events_go_one_after_the_other(made: Make, tmp_path: Path) -> None:
    sink = made(*shell("mkdir running && cat >> seen && rmdir running"))
    assert [sent(sink, event(name)) for name in "abcde"] == [None] * 5
    lines = (tmp_path / "seen").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == list("abcde")


@pytest.mark.parametrize("program", ["true", "exec 0<&-", "head -c 1 >/dev/null"])
def test_it_need_not_read_the_event(made: Make, program: str) -> None:
    big = Message(topic="porch/event", payload=b"x" * 1_000_000, qos=1, retain=False)
    assert sent(made(*shell(program)), big) is None


def test_an_event_larger_than_a_pipe_arrives_whole(made: Make, tmp_path: Path) -> None:
    big = Message(topic="porch/event", payload=b"x" * 1_000_000, qos=1, retain=False)
    assert sent(made(*shell("wc -c > size")), big) is None
    assert int((tmp_path / "size").read_text()) == 1_000_001


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "sh ended with exit code 3"),
        ("echo first >&2; echo 'the siren is away' >&2; exit 1", "sh ended with exit code 1: the siren is away"),
        ("echo 'http://u:hush@host is away' >&2; exit 1", "sh ended with exit code 1: http://u:***@host is away"),
        ("kill -9 $$", "sh was ended by signal 9"),
        ("printf 'a\\033[31mb' >&2; exit 1", "sh ended with exit code 1: a[31mb"),
    ],
)
def test_any_other_end_is_a_refusal_that_says_why(made: Make, script: str, reason: str) -> None:
    assert sent(made(*shell(script)), event()) == reason


def test_what_it_says_is_bounded_and_its_output_is_nobodys(made: Make, capfd: pytest.CaptureFixture[str]) -> None:
    chatter = f"{sys.executable} -c 'import sys; sys.stderr.write(\"x\" * 3_000_000); sys.exit(1)'; echo out; exit 1"
    refusal = sent(made(*shell(chatter)), event())
    assert refusal == "sh ended with exit code 1: " + "x" * 200
    assert capfd.readouterr() == ("", "")


def test_one_that_does_not_end_is_ended_with_all_that_it_has_started(made: Make, tmp_path: Path) -> None:
    deaf = "trap '' TERM; echo $$ > leader; (trap '' TERM; sh -c 'echo $PPID > child'; sleep 60; sleep 60) & wait; wait"
    sink = made(*shell(deaf), timeout_s=0.5)
    assert sent(sink, event()) == "sh did not end within 0.5 s"
    for name in ("leader", "child"):
        pid = number_in(tmp_path / name)
        wait_until(lambda pid=pid: gone(pid), 5.0, f"{name} is gone")  # type: ignore[misc]


def test_one_that_is_ended_may_clean_up(made: Make, tmp_path: Path) -> None:
    tidy = "trap 'echo tidy > left; exit 1' TERM; sleep 60 & wait"
    assert sent(made(*shell(tidy), timeout_s=0.5), event()) == "sh did not end within 0.5 s"
    assert (tmp_path / "left").read_text() == "tidy\n"


def test_what_it_leaves_in_the_background_is_not_waited_for(made: Make, tmp_path: Path) -> None:
    sink = made(*shell("sleep 60 & echo $! > sleeper"), timeout_s=30.0)
    assert sent(sink, event()) is None
    sleeper = number_in(tmp_path / "sleeper")
    assert not gone(sleeper)
    os.kill(sleeper, 9)


@pytest.mark.parametrize(("command", "what"), [(("./none",), "./none"), (("/",), "/"), (("true",), "nowhere")])
def test_one_that_can_not_be_started_is_tried_again_and_refuses_nothing(
    made: Make, tmp_path: Path, command: tuple[str, ...], what: str
) -> None:
    sink = made(*command, folder=tmp_path / "nowhere" if what == "nowhere" else tmp_path)
    said = Said()
    assert sink.send(event(), said)
    wait_until(lambda: sink.tried_again >= 3, 5.0, "tried again")
    assert f"{what} can't be started" in (sink.trouble() or "")
    assert said.refusals == []


def test_one_that_is_there_later_gets_what_waited(made: Make, tmp_path: Path) -> None:
    sink = made("./siren")
    said = Said()
    assert sink.send(event("late"), said)
    wait_until(lambda: sink.tried_again >= 1, 5.0, "tried")
    (tmp_path / "new").write_text("#!/bin/sh\ncat > seen\n")
    (tmp_path / "new").chmod(0o755)
    (tmp_path / "new").rename(tmp_path / "siren")
    assert said.wait() is None
    assert json.loads((tmp_path / "seen").read_text())["id"] == "late"


def test_the_end_ends_what_runs_and_answers_nothing(made: Make, tmp_path: Path) -> None:
    sink = made(*shell("echo $$ > leader; sleep 60; sleep 60"), timeout_s=60.0)
    said = Said()
    assert sink.send(event(), said)
    leader = number_in(tmp_path / "leader")
    sink.close()
    assert not sink._thread.is_alive()
    assert gone(leader)
    assert said.refusals == []


def test_no_secret_of_ours_reaches_it(made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", SECRET)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("HOME", "/home/somebody")
    sink = made(*shell("env > seen; ls -l /proc/$$/fd > open"), environ=clean_environment(os.environ))
    assert sent(sink, event()) is None
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert SECRET not in (tmp_path / "seen").read_text()
    assert (seen["LC_ALL"], seen["HOME"], seen["PATH"]) == ("C.UTF-8", "/home/somebody", os.environ["PATH"])
    pipes = (tmp_path / "open").read_text().count("pipe:")
    assert pipes == 2  # stdin and stderr; and no socket of ours
    assert "socket:" not in (tmp_path / "open").read_text()


def test_a_command_and_its_environment_are_not_shown() -> None:
    options = CommandOptions(name="siren", command=("curl", SECRET), environ={"A": SECRET})
    assert SECRET not in repr(options)
