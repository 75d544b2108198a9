"""From a decision to its MQTT message at a subscriber: idle, behind an outbox, and while the disk is slow.

    python tests/measure/decisions.py [--decisions 400] [--rate 50] [--commit-ms 200]

`handed over`: what the deciding thread spends in `Delivery.decide`. `arrived`: at a subscriber in this very process,
over a real mosquitto on this machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.broker import Mosquitto, Subscriber, wait_until
from servers.made_decisions import make_decision
from servers.made_events import encode, make_event

from streamer.core.clock import SystemClock
from streamer.pipeline.deliver import Delivery
from streamer.pipeline.worker import Worker
from streamer.publish.mqtt import MqttOptions, open_mqtt
from streamer.publish.states import StateBoard
from streamer.publish.url import BrokerAddress
from streamer.store.store import EventStore, open_store


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=400)
    parser.add_argument("--rate", type=float, default=50.0, help="a second")
    parser.add_argument("--commit-ms", type=float, default=200.0, help="how long the slow disk takes")
    parser.add_argument("--switch-ms", type=float, default=5.0, help="sys.setswitchinterval")
    args = parser.parse_args()
    sys.setswitchinterval(args.switch_ms / 1e3)
    for case in ("idle", "behind an outbox", "slow disk"):
        with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder) / "broker") as broker:
            measure(case, Path(folder), broker.port, args)
    return 0


def measure(case: str, folder: Path, port: int, args: argparse.Namespace) -> None:
    """Decide at a steady rate, and print how long each took."""
    subscriber = Subscriber(port, topic="streamer/+/decision").start()
    arrived_ns: dict[int, int] = {}

    def arrival(_topic: str, payload: bytes) -> None:
        arrived_ns[json.loads(payload)["number"]] = time.monotonic_ns()

    subscriber.on_arrival = arrival
    store = open_store(folder / "data", encode=encode, clock=SystemClock())
    sink = open_mqtt(MqttOptions(address=BrokerAddress(host="127.0.0.1", port=port, tls=False)))
    outbox = store.outbox()
    if case == "slow disk":
        slow_down(outbox, args.commit_ms / 1e3)
    delivery = Delivery(outbox, sink, StateBoard(), clock=SystemClock())
    worker = Worker("publish", lambda: delivery.run(lambda: None))
    worker.start()
    wait_until(lambda: sink.connection() is not None, 5.0, "connected")
    stop = threading.Event()
    writer = threading.Thread(target=write, args=(store, delivery, stop, case))
    writer.start()
    began_ns, spent_ns, made_ns = time.monotonic_ns(), [], {}
    for number in range(1, args.decisions + 1):
        stop.wait(max(0.0, (began_ns + number * 1e9 / args.rate - time.monotonic_ns()) / 1e9))
        made_ns[number] = time.monotonic_ns()
        delivery.decide(make_decision(number, now_ns=made_ns[number], lasts_s=60.0))
        spent_ns.append(time.monotonic_ns() - made_ns[number])
    wait_until(lambda: len(arrived_ns) == args.decisions, 30.0, "all have arrived")
    rows = delivery.delivered
    stop.set()
    writer.join()
    took_ns = [arrived_ns[number] - at_ns for number, at_ns in made_ns.items()]
    said = f"handed over {quantiles(spent_ns)}; arrived {quantiles(took_ns)}; {rows} rows meanwhile\n"
    sys.stdout.write(f"{case}: {said}")
    delivery.finish(0.1)
    worker.join(5.0)
    sink.close()
    store.close()
    subscriber.stop()


def write(store: EventStore, delivery: Delivery, stop: threading.Event, case: str) -> None:
    """Be the events thread: keep the outbox filled, or bring a row now and then."""
    burst, pause_s = (2_000, 0.2) if case == "behind an outbox" else (1, 0.05)
    number = 0
    while case != "idle" and not stop.is_set():
        store.append([make_event(f"e{number + i}", "end") for i in range(burst)])
        delivery.poke()
        number += burst
        stop.wait(pause_s)


def slow_down(outbox: object, seconds: float) -> None:
    """Make each look of the publish thread at the disk last."""
    pending = outbox.pending  # type: ignore[attr-defined]

    def slow(*args: int) -> object:
        time.sleep(seconds)
        return pending(*args)

    outbox.pending = slow  # type: ignore[attr-defined]


def quantiles(values_ns: list[int]) -> str:
    ordered = sorted(values_ns)
    at = [ordered[min(len(ordered) - 1, round(share * len(ordered)))] / 1e6 for share in (0.5, 0.99, 1.0)]
    return "p50 {:.2f} p99 {:.2f} max {:.2f} ms".format(*at)


if __name__ == "__main__":
    sys.exit(main())
