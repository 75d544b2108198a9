"""Sinks as the configuration has them: which messages they want, what they can't be, and that they run and end."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.broker import wait_until
from servers.hook import HookServer, Says
from servers.made_events import encode, make_event

from streamer.core.clock import SystemClock
from streamer.core.event import EventType
from streamer.ops.health import Beats
from streamer.other_sinks import OtherSinks, command_problem, filters_of, webhook_options
from streamer.settings.load import parse
from streamer.store.store import open_store

if TYPE_CHECKING:
    from streamer.settings import ExtraSink

CONFIG = """\
mqtt: {{url: "mqtt://localhost:1883"}}
models: {{shapes: {{model: shapes}}}}
cameras: {{porch: {{source: "synthetic:shapes", detect: {{model: shapes}}}}}}
sinks: [{sinks}]
"""


def sinks(text: str, **environ: str) -> tuple[ExtraSink, ...]:
    return parse(CONFIG.format(sinks=text).encode(), file=Path("config.yaml"), environ=environ).settings.sinks


def test_filters_are_those_of_the_configuration() -> None:
    few = "{name: few, webhook: 'http://h/', cameras: [porch], events: [circle], types: [end]}"
    given = sinks(f"{{name: all, command: 'a b'}}, {few}")
    everything, some = filters_of(given)
    assert (everything.name, everything.cameras, everything.rules, everything.types) == ("all", None, None, None)
    assert some.cameras == frozenset({"porch"})
    assert some.rules == frozenset({"circle"})
    assert some.types == frozenset({EventType.END})


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ("{Content-Type: text/plain}", "the header Content-Type is Streamer's own"),
        ("{'a(b)': c}", "can't be sent"),
    ],
)
def test_a_webhook_that_can_not_work_is_refused_without_a_word_of_its_secrets(headers: str, refusal: str) -> None:
    (good,) = sinks("{name: alarm, webhook: 'http://u:hush@h/', headers: {X-A: hush}, secret: hush}")
    assert "hush" not in repr(webhook_options(good))
    (bad,) = sinks(f"{{name: alarm, webhook: 'http://u:hush@h/', secret: hush, headers: {headers}}}")
    with pytest.raises(ValueError, match=refusal) as refused:
        webhook_options(bad)
    assert "hush" not in str(refused.value)


def test_a_program_is_looked_for_in_the_path_or_from_the_configuration_s_folder(tmp_path: Path) -> None:
    (tmp_path / "siren").write_text("#!/bin/sh\n")
    assert command_problem(["sh"], tmp_path) is None
    assert command_problem(["no-such-program"], tmp_path) is not None
    assert command_problem(["./siren"], tmp_path) is not None  # it can't be run yet
    (tmp_path / "siren").chmod(0o755)
    assert command_problem(["./siren"], tmp_path) is None


def test_they_run_are_counted_and_end(tmp_path: Path) -> None:
    clock = SystemClock()
    with HookServer() as server, ExitStack() as stack:
        server.answer = lambda posted: Says(status=404 if posted.name() == "bad" else 200)
        alarm = f"{{name: alarm, webhook: '{server.url()}', secret: '${{S}}'}}"
        given = sinks(f"{alarm}, {{name: file, command: [tee, seen]}}", S="the-true-Passw0rd")
        store = open_store(tmp_path / "data", encode=encode, clock=clock, sinks=filters_of(given))
        stack.callback(store.close)
        others = OtherSinks(given, store, folder=tmp_path, clock=clock, stack=stack)
        workers = others.workers(Beats(clock))
        assert [worker.name for worker in workers] == ["sink-alarm", "sink-file"]
        for worker in workers:
            worker.start()
        store.append([make_event("good"), make_event("bad", camera="yard")])
        others.poke()
        wait_until(lambda: others.figures()["alarm"]["refused"] >= 1, 5.0, "refused")
        wait_until(lambda: others.figures()["file"]["delivered"] == 2, 5.0, "delivered")
        others.end_within(0.0)
        others.cut()
        assert all(worker.join(5.0) for worker in workers)
        figures = others.figures()
        assert others.undelivered() == {"alarm": 1, "file": 0}
    assert figures["alarm"]["delivered"] == 1
    assert "404" in figures["alarm"]["trouble"]
    assert "the-true-Passw0rd" not in str(figures)
    assert figures["file"] == {
        "delivered": 2,
        "undelivered": 0,
        "tried_again": 0,
        "refused": 0,
        "parked": 0,
        "dropped": {},
        "trouble": None,
    }
    assert len((tmp_path / "seen").read_text().splitlines()) == 1  # each has begun it anew
    assert "x-streamer-signature" in server.posted()[0].headers


def test_however_many_hang_they_are_left_in_the_time_of_one(tmp_path: Path) -> None:
    clock, stubborn = SystemClock(), "trap '' TERM; touch begun-$0; while :; do sleep 1; done"
    given = sinks(", ".join(f'{{name: s{n}, command: [sh, -c, "{stubborn}", "{n}"]}}' for n in range(6)))
    with ExitStack() as stack:
        store = open_store(tmp_path / "data", encode=encode, clock=clock, sinks=filters_of(given))
        stack.callback(store.close)
        others = OtherSinks(given, store, folder=tmp_path, clock=clock, stack=stack)
        workers = others.workers(Beats(clock))
        for worker in workers:
            worker.start()
        store.append([make_event("one")])
        others.poke()
        wait_until(lambda: len(list(tmp_path.glob("begun-*"))) == 6, 8.0, "all have begun")
        others.end_within(0.0)
        assert all(worker.join(5.0) for worker in workers)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 2.0  # each takes 0.3 s and is waited for 0.6 s
