from __future__ import annotations

import json
import threading

from streamer.core.clock import FakeClock
from streamer.pipeline.alarm import NO_ALARM, Alarms


def test_an_alarm_stands_until_it_is_over() -> None:
    clock = FakeClock(utc_ns=1_700_000_000_123_456_789)
    board: dict[str, bytes] = {}
    tell = Alarms(board.__setitem__, clock).part("line", "output")
    tell("line 4 of /dev/gpiochip0 can't be driven: the chip is gone")
    assert json.loads(board["line/alarm"]) == {
        "source": "gpio",
        "reason": "line 4 of /dev/gpiochip0 can't be driven: the chip is gone",
        "since": "2023-11-14T22:13:20.123Z",
    }
    tell(None)
    assert board == {"line/alarm": NO_ALARM}


def test_of_two_the_older_one_is_shown_and_cameras_have_their_own() -> None:
    board: dict[str, bytes] = {}
    alarms = Alarms(board.__setitem__, FakeClock())
    output, entry, other = (alarms.part(*of) for of in (("line", "output"), ("line", "input"), ("belt", "output")))
    output("a")
    entry("b")
    other("c")
    shown = {topic: json.loads(payload)["reason"] for topic, payload in board.items()}
    assert shown == {"line/alarm": "a", "belt/alarm": "c"}
    output(None)
    assert json.loads(board["line/alarm"])["reason"] == "b"
    entry(None)
    assert board["line/alarm"] == NO_ALARM
    assert json.loads(board["belt/alarm"])["reason"] == "c"


def test_what_another_thread_has_changed_meanwhile_is_shown_last() -> None:
    board: list[bytes] = []
    inner: list[threading.Thread] = []
    clock = FakeClock()

    def states(_topic: str, payload: bytes) -> None:
        if not inner:  # while the first state is being set, another thread ends the alarm
            inner.append(threading.Thread(target=entry, args=(None,)))
            inner[0].start()
            inner[0].join(5.0)
        board.append(payload)

    entry = Alarms(states, clock).part("line", "input")
    entry("gone")
    assert board[0] == NO_ALARM  # the other thread's came first
    assert board[-1] == NO_ALARM  # and what was stale has not stayed
