"""Nothing is lost: brokers and processes die in the middle of bursts, and every event arrives with its end, in order.

`STREAMER_DRILLS=20` makes it 20 deaths each instead of 3.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.broker import Mosquitto, Subscriber, mosquitto_program, wait_until
from servers.made_events import encode, make_event

from streamer.core.clock import SystemClock
from streamer.core.errors import StoreError
from streamer.pipeline.deliver import Delivery
from streamer.pipeline.worker import Worker
from streamer.publish.memory import MemorySink
from streamer.publish.mqtt import MqttOptions, open_mqtt
from streamer.publish.states import StateBoard
from streamer.publish.url import BrokerAddress
from streamer.store.history import open_history
from streamer.store.store import EventStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.publish.base import Sink

DRIVER = Path(__file__).with_name("delivery_driver.py")
DEATHS = int(os.environ.get("STREAMER_DRILLS", "3"))

pytestmark = [
    pytest.mark.broker,
    pytest.mark.slow,
    pytest.mark.timeout(60 + 30 * DEATHS),
    pytest.mark.skipif(mosquitto_program() is None, reason="needs mosquitto"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        yield mosquitto


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    started = Subscriber(broker.port).start()
    # Until the broker has saved the session, its death ends the session too.
    wait_until(lambda: b"harness" in _content(broker.folder / "mosquitto.db"), 5.0, "the session is saved")
    yield started
    started.stop()


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


class Driver:
    """The process that makes events."""

    def __init__(self, data_dir: Path, port: int, life: int, *, bursts: int | None = None) -> None:
        arguments = [str(data_dir), str(port), str(life)] + ([] if bursts is None else [str(bursts)])
        self._log = (data_dir.parent / f"driver-{life}.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def kill(self) -> None:
        self.process.kill()
        self._leave()

    def end(self, timeout_s: float = 60.0) -> str:
        """Ask for a clean end and return what it says."""
        said, _ = self.process.communicate("end\n", timeout=timeout_s)
        self._leave()
        return said.strip()

    def _leave(self) -> None:
        self.process.wait(5.0)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self._log.close()


def until_more(subscriber: Subscriber, rng: random.Random) -> None:
    """Wait until a random number of messages more has come: some moment within the bursts."""
    goal = len(subscriber.messages) + rng.randint(50, 600)
    wait_until(lambda: len(subscriber.messages) >= goal, 60.0, "messages come")


def check_all_arrived(data_dir: Path, subscriber: Subscriber) -> dict[str, int]:
    """Compare the store with what arrived, and return the figures."""
    with closing(open_history(data_dir)) as history:
        stored = {row.id: row for row in history.query(limit=1_000_000)}
    assert stored
    assert all(row.ended_utc_ns is not None for row in stored.values())

    def ended() -> set[str]:
        return {event["id"] for event in subscriber.events() if event["type"] == "end"}

    wait_until(lambda: ended() >= stored.keys(), 30.0, "every event's end has arrived")
    events = subscriber.events()
    assert {event["id"] for event in events} == stored.keys()
    first_seqs = {(event["id"], event["seq"]) for event in events}
    assert {event_id for event_id, seq in first_seqs if seq == 0} == stored.keys()
    for camera in {event["camera"] for event in events}:
        orders = list(dict.fromkeys(event["order"] for event in events if event["camera"] == camera))
        assert orders == sorted(orders), f"{camera}: not in order"
    return {"events": len(stored), "messages": len(first_seqs), "repeats": len(events) - len(first_seqs)}


def report(what: str, figures: dict[str, int]) -> None:
    sys.stderr.write(f"\n{what}: {DEATHS} deaths, {figures}\n")


def test_the_broker_is_killed_within_bursts(tmp_path: Path, broker: Mosquitto, subscriber: Subscriber) -> None:
    rng = random.Random(20)
    driver = Driver(tmp_path / "data", broker.port, 1)
    for _ in range(DEATHS):
        until_more(subscriber, rng)
        broker.kill()
        broker.start()
    until_more(subscriber, rng)
    assert driver.end() == "left 0"
    report("broker killed", check_all_arrived(tmp_path / "data", subscriber))


def test_the_process_is_killed_within_bursts(tmp_path: Path, broker: Mosquitto, subscriber: Subscriber) -> None:
    rng = random.Random(21)
    for life in range(1, DEATHS + 1):
        driver = Driver(tmp_path / "data", broker.port, life)
        until_more(subscriber, rng)
        driver.kill()
    last = Driver(tmp_path / "data", broker.port, DEATHS + 1, bursts=20)
    until_more(subscriber, rng)
    assert last.end() == "left 0"
    report("process killed", check_all_arrived(tmp_path / "data", subscriber))


def test_both_are_killed(tmp_path: Path, broker: Mosquitto, subscriber: Subscriber) -> None:
    rng = random.Random(22)
    for life in range(1, DEATHS + 1):
        driver = Driver(tmp_path / "data", broker.port, life)
        until_more(subscriber, rng)
        broker.kill()
        driver.kill()
        broker.start()
    last = Driver(tmp_path / "data", broker.port, DEATHS + 1, bursts=20)
    assert last.end() == "left 0"
    report("both killed", check_all_arrived(tmp_path / "data", subscriber))


def test_the_broker_is_away_at_the_start_and_for_longer_than_its_window(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    broker.kill()
    driver = Driver(tmp_path / "data", broker.port, 1)
    wait_until((tmp_path / "data/events.db").exists, 10.0, "the store is there")
    wait_until(lambda: _readable(tmp_path / "data"), 10.0, "the store can be read")
    with closing(open_history(tmp_path / "data")) as history:
        wait_until(lambda: history.last() > 2_000, 30.0, "2000 messages are stored")
    broker.start()
    until_more(subscriber, random.Random(1))
    assert driver.end() == "left 0"
    check_all_arrived(tmp_path / "data", subscriber)


def _readable(data_dir: Path) -> bool:
    try:
        open_history(data_dir).close()
    except StoreError:  # not yet
        return False
    return True


class Run:
    """Store and delivery in this process."""

    def __init__(self, data_dir: Path, sink: Sink) -> None:
        self.sink = sink
        self.store: EventStore = open_store(data_dir, encode=encode, clock=SystemClock(), max_age_s=1e10)
        self.outbox = self.store.outbox()
        self.board = StateBoard()
        self.delivery = Delivery(self.outbox, sink, self.board, clock=SystemClock())
        self._worker = Worker("publish", lambda: self.delivery.run(lambda: None))
        self._worker.start()

    def store_events(self, *ids: str, camera: str = "porch") -> None:
        self.store.append([make_event(i, camera=camera) for i in ids])
        self.delivery.poke()

    def end(self, timeout_s: float = 10.0) -> int:
        left = self.delivery.finish(timeout_s)
        assert self._worker.join(5.0)
        assert self._worker.failure is None
        self.sink.close()
        self.store.close()
        return left


def mqtt(broker: Mosquitto, **login: str) -> Sink:
    address = BrokerAddress(host="127.0.0.1", port=broker.port, tls=False)
    return open_mqtt(MqttOptions(address=address, client_id="run", **login))  # type: ignore[arg-type]


def test_under_a_refused_login_events_wait_for_the_right_one(tmp_path: Path) -> None:
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("needs mosquitto_passwd")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "me", "right"], check=True, capture_output=True)
    with Mosquitto(tmp_path / "broker", extra=f"password_file {passwords}", anonymous=False) as broker:
        subscriber = Subscriber(broker.port, login=("me", "right")).start()
        refused = Run(tmp_path / "data", mqtt(broker, username="me", password="wrong"))  # noqa: S106
        refused.store_events("a", "b")
        assert refused.end(1.0) == 2
        right = Run(tmp_path / "data", mqtt(broker, username="me", password="right"))  # noqa: S106
        right.store_events("c")
        assert right.end() == 0
        subscriber.wait_for(3, "/event")
        assert [event["id"] for event in subscriber.events()] == ["a", "b", "c"]
        subscriber.stop()


@pytest.mark.parametrize("queued", [1_000_000, 0], ids=["it answers", "it answers and hangs up"])
def test_a_denied_topic_is_parked_after_five_refusals_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queued: int
) -> None:
    monkeypatch.setattr("streamer.pipeline.lanes._FIRST_HOLD_NS", 20_000_000)
    monkeypatch.setattr("streamer.publish.mqtt._Backoff.next_s", lambda *_: 0.05)
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic readwrite streamer/status\ntopic readwrite streamer/porch/#\n")
    acl.chmod(0o700)
    with Mosquitto(tmp_path / "broker", extra=f"acl_file {acl}", queued=queued) as broker:
        subscriber = Subscriber(broker.port).start()
        run = Run(tmp_path / "data", mqtt(broker))
        run.store_events("denied", camera="yard")
        run.store_events("a", "b")
        wait_until(lambda: run.delivery.parked == 1, 20.0, "it is parked")
        run.store_events("c")
        wait_until(lambda: {e["id"] for e in subscriber.events()} == {"a", "b", "c"}, 10.0, "the others arrive")
        assert run.delivery.refused == 5
        assert run.end() == 0
        assert list(dict.fromkeys(event["id"] for event in subscriber.events())) == ["a", "b", "c"]
        subscriber.stop()


def test_a_message_at_which_the_broker_hangs_up_is_parked_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.pipeline.lanes._FIRST_HOLD_NS", 50_000_000)
    monkeypatch.setattr("streamer.publish.mqtt._Backoff.next_s", lambda *_: 0.05)
    with Mosquitto(tmp_path / "broker", extra="max_packet_size 2000") as broker:
        subscriber = Subscriber(broker.port).start()
        run = Run(tmp_path / "data", mqtt(broker, version="3.1.1"))  # it does not learn how much the broker takes
        run.board.set("porch/status", b"online")
        run.store_events("before", "too long " * 1_000, "behind")
        run.store_events("other", camera="yard")
        wait_until(lambda: run.delivery.parked == 1, 40.0, "it is parked")
        assert run.end() == 0
        wait_until(lambda: {e["id"] for e in subscriber.events()} == {"before", "behind", "other"}, 10.0, "the others")
        subscriber.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small file system")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("ab", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            return


def test_a_full_disk_costs_the_ballast_then_durability_and_no_event(small_disk: Path) -> None:
    sink = MemorySink()
    run = Run(small_disk / "data", sink)
    ids = [f"e{i}" for i in range(4_000)]
    run.store_events(*ids[:10])
    ballast = small_disk / "data" / "ballast"
    assert ballast.exists()
    fill(small_disk)
    position = 10
    while run.store.refusal is None:  # through the ballast's space, too
        run.store_events(*ids[position : position + 10])
        position += 10
        fill(small_disk)
        assert position < 3_900
    assert not ballast.exists()
    assert run.store.not_durable > 0
    (small_disk / "filler").unlink()

    def healed() -> bool:
        run.store.touch({})
        return run.store.refusal is None

    wait_until(healed, 10.0, "the disk takes events again")
    run.store_events(*ids[position:])
    assert run.end() == 0
    assert list(dict.fromkeys(json.loads(m.payload)["id"] for m in sink.sent)) == ids
    with closing(open_history(small_disk / "data")) as history:
        assert {row.id for row in history.query(limit=10_000)} == set(ids)


def test_a_store_that_is_torn_while_nobody_runs_is_carried_over(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    away = MemorySink()
    away.lose()
    first = Run(tmp_path / "data", away)
    ids = [f"e{i}" for i in range(3_000)]
    first.store_events(*ids)
    assert first.end(0.1) == 3_000
    path = tmp_path / "data" / "events.db"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8_192] = b"\x00" * 8_192
    path.write_bytes(content)
    second = Run(tmp_path / "data", mqtt(broker))
    second.store_events("new")
    assert second.end() == 0
    subscriber.wait_for(1, "/event")
    wait_until(lambda: subscriber.events()[-1]["id"] == "new", 10.0, "the new one, which is the last")
    assert len(subscriber.events()) > 2_000
    assert list(path.parent.glob("events.db.damaged-*"))
