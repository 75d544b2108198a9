"""Items that begin and end outside: commands over MQTT, a light barrier and an ejector over GPIO, in the whole run."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from servers.broker import Mosquitto, Subscriber, wait_until

from streamer.app import open_run
from streamer.core.clock import NS_PER_MS
from streamer.pipeline.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpiod import Board, Pin

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(60)]

CHIP = "/dev/gpiochip0"
BARRIER, EJECTOR = 3, 4
CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 2s}}
data_dir: {folder}/data
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  belt:
    source: synthetic:shapes?seed=4
    detect: {{model: shapes}}
    events:
      - name: bad
        class: [circle, square, triangle, star, cross]
        decide: {decide}
"""
GPIO = """{deadline: 500ms, dark: 0.99, trigger: {gpio: {chip: gpiochip0, line: 3, bias: up}},
                 output: {chip: gpiochip0, line: 4, delay: 700ms, pulse: 300ms}}"""
PULSE_NS = 300 * NS_PER_MS
COMMAND = "{deadline: 500ms, trigger: command}"


@contextmanager
def running(folder: Path, broker: Mosquitto, decide: str, heard: Subscriber) -> Iterator[None]:
    """A run in a thread, once its camera is online."""
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(port=broker.port, folder=folder, decide=decide))
    with open_run(config, table=False) as job:
        worker = Worker("run", lambda: print("exit code", job.run()))  # noqa: T201  shown if the test fails
        worker.start()
        try:
            wait_until(lambda: any(b'"online"' in payload for payload in heard.on("belt/status")), 20.0, "online")
            yield
        finally:
            job.request_stop()
            assert worker.join(8.0)
        if worker.failure is not None:
            raise worker.failure


def driven(pin: Pin, at_ns: int) -> bool:
    """Whether a pin was high at a moment."""
    return [high for since_ns, high in zip(pin.driven_ns, pin.levels, strict=True) if since_ns <= at_ns][-1]


def decisions(heard: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in heard.on("belt/decision")]


def alarms(heard: Subscriber) -> list[Any]:
    return [json.loads(payload) for payload in heard.on("belt/alarm") if payload]


def test_a_barrier_begins_items_and_each_reject_is_pulsed_where_it_has_travelled_to(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber, gpio_board: Board
) -> None:
    barrier, ejector = gpio_board.pins[CHIP, BARRIER], gpio_board.pins[CHIP, EJECTOR]
    moments_ns: list[int] = []

    def pass_by() -> None:
        moments_ns.append(time.monotonic_ns())
        gpio_board.change(CHIP, BARRIER, moments_ns[-1], high=True)
        gpio_board.change(CHIP, BARRIER, moments_ns[-1] + NS_PER_MS, high=False)
        wait_until(lambda: len(decisions(heard)) == len(moments_ns), 5.0, f"decision {len(moments_ns)}")

    with running(tmp_path, broker, GPIO, heard):
        wait_until(lambda: barrier.request is not None, 5.0, "the barrier is read")
        for _ in range(5):
            pass_by()
        assert [(said["verdict"], said["reason"]) for said in decisions(heard)] == [("reject", "dark")] * 5
        wait_until(lambda: time.monotonic_ns() > moments_ns[-1] + 1_100 * NS_PER_MS, 5.0, "the last has passed")
        due_ns = [at_ns + 700 * NS_PER_MS for at_ns in moments_ns]
        assert all(driven(ejector, at_ns + PULSE_NS // 2) for at_ns in due_ns)
        for rise_ns in [at_ns for at_ns, high in zip(ejector.driven_ns, ejector.levels, strict=True) if high]:
            assert any(at_ns <= rise_ns < at_ns + PULSE_NS for at_ns in due_ns)  # never early, never for nothing
        assert alarms(heard) == [None]
        ejector.fault = 5  # EIO
        pass_by()
        wait_until(lambda: alarms(heard)[-1] is not None, 5.0, "an alarm")
        ejector.fault = None
        pass_by()
        wait_until(lambda: alarms(heard)[-1] is None, 5.0, "the end of the alarm")
    assert [said["item"] for said in decisions(heard)] == [f"gpio-{number}" for number in range(1, 8)]
    assert [said["number"] for said in decisions(heard)] == list(range(1, 8))
    alarm = alarms(heard)[1]
    assert (alarm["source"], alarm["since"][-1]) == ("gpio", "Z")
    # Driven first, opened then: of a state that changes twice at once only the newer one is sent.
    assert re.fullmatch("line 4 of /dev/gpiochip0 can't be (driven|opened): Input/output error", alarm["reason"])
    assert not ejector.high
    assert ejector.request is None


def test_a_command_begins_an_item_and_is_answered(tmp_path: Path, broker: Mosquitto, heard: Subscriber) -> None:
    def command(topic: str, payload: bytes) -> dict[str, Any]:
        before = len(heard.on("/result"))
        heard._client.publish(f"streamer/{topic}", payload, qos=1)
        said: dict[str, Any] = json.loads(heard.wait_for(before + 1, "/result")[-1])
        return said

    with running(tmp_path, broker, COMMAND, heard):
        for number in range(1, 6):
            assert command("belt/set/trigger", b"A-%d" % number) == {"ok": True, "error": None, "item": f"A-{number}"}
            wait_until(lambda number=number: len(decisions(heard)) == number, 5.0, "a decision")  # type: ignore[misc]
        assert not command("belt/set/trigger", b"")["ok"]
        assert command("belt/set/enabled", b"ON") == {"ok": True, "error": None}  # it is
        assert "allowed: ON, OFF" in command("belt/set/enabled", b"on")["error"]
        assert "allowed: belt" in command("yard/set/trigger", b"A-9")["error"]
    assert [said["item"] for said in decisions(heard)] == [f"A-{number}" for number in range(1, 6)]
    assert all(said["age_ms"] is not None and said["age_ms"] < 1_000 for said in decisions(heard) if not said["late"])
