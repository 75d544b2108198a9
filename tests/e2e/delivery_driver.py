"""A run that only makes events: stores numbered ones in bursts and delivers them, until it is told to end or is killed.

    python tests/e2e/delivery_driver.py DATA_DIR PORT LIFE [BURSTS]

Prints `left N` and exits 0 or 4 at a clean end, which comes after BURSTS bursts or with a line on stdin.
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.made_events import make_event

from streamer.core.clock import SystemClock
from streamer.pipeline.deliver import Delivery
from streamer.pipeline.worker import Worker
from streamer.publish.mqtt import MqttOptions, open_mqtt
from streamer.publish.states import StateBoard
from streamer.publish.url import BrokerAddress
from streamer.store.store import EventStore, open_store

if TYPE_CHECKING:
    from streamer.core.event import Event

CAMERAS = ("porch", "yard", "gate")
BURST = 10  # events
OPEN = 15  # events that go on at a time
PAUSE_S = 0.05


class Numbered:
    """Payloads with a number that rises in the order of storing, over all lives."""

    def __init__(self, life: int) -> None:
        self._orders = itertools.count(life * 1_000_000_000)

    def encode(self, event: Event, age_ms: float | None) -> bytes:
        values = {"id": event.id, "seq": event.seq, "type": event.type.value, "camera": event.camera, "age_ms": age_ms}
        return json.dumps({**values, "order": next(self._orders)}).encode()

    def encode_interrupted(self, last: bytes, _last_seen_utc_ns: int) -> bytes:
        values = json.loads(last)
        return json.dumps({**values, "seq": values["seq"] + 1, "type": "end", "order": next(self._orders)}).encode()


def main() -> int:
    """Store and deliver; see the head of the file."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data_dir, port, life = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    bursts = int(sys.argv[4]) if len(sys.argv) > 4 else 1_000_000
    clock = SystemClock()
    numbered = Numbered(life)
    store = open_store(data_dir, encode=numbered.encode, clock=clock, max_age_s=1e10)  # the made-up times are old
    store.interrupted(numbered.encode_interrupted)
    sink = open_mqtt(MqttOptions(address=BrokerAddress(host="127.0.0.1", port=port, tls=False), client_id="driver"))
    delivery = Delivery(store.outbox(), sink, StateBoard(), clock=clock)
    worker = Worker("publish", lambda: delivery.run(lambda: None))
    worker.start()
    stop = threading.Event()

    def until_told() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=until_told, daemon=True).start()
    make_events(store, delivery, stop=stop, life=life, bursts=bursts)
    left = delivery.finish(30.0)
    worker.join(5.0)
    sink.close()
    store.close()
    print(f"left {left}", flush=True)  # noqa: T201  its answer
    return 4 if left else 0


def make_events(store: EventStore, delivery: Delivery, *, stop: threading.Event, life: int, bursts: int) -> None:
    """Begin and end events in bursts; at the end all of them have ended."""
    rng = random.Random(life)
    running: deque[tuple[str, str]] = deque()
    numbers = itertools.count()
    for _ in range(bursts):
        if stop.wait(PAUSE_S * rng.uniform(0.5, 1.5)):
            break
        batch = []
        for _ in range(BURST):
            event_id, camera = f"{life}-{next(numbers)}", rng.choice(CAMERAS)
            batch.append(make_event(event_id, camera=camera))
            running.append((event_id, camera))
            if rng.random() < 0.5:
                batch.append(make_event(event_id, "update", 1, camera=camera, at_s=1.0))
            if len(running) > OPEN:
                done_id, done_camera = running.popleft()
                batch.append(make_event(done_id, "end", 2, camera=done_camera, at_s=2.0))
        store.append(batch)
        delivery.poke()
        store.touch({})
    store.append([make_event(event_id, "end", 2, camera=camera, at_s=2.0) for event_id, camera in running])
    delivery.poke()


if __name__ == "__main__":
    sys.exit(main())
