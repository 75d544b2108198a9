from __future__ import annotations

import random
import sys
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import pytest
from clip_packets import H264, S

from streamer.capture.packets import Coded
from streamer.capture.tape import Reading, Tape, TapeReader

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = S // 25
LATE = 1 << 62


def picture(number: int, *, key: bool = False, size: int = 100, lost: bool = False, pts: int | None = None) -> Coded:
    at_ns = number * STEP
    packet = av.Packet(number.to_bytes(4, "big").ljust(size, b"x"))
    pts_ns = at_ns if pts is None else pts * STEP
    return Coded(packet=packet, pts_ns=pts_ns, key=key, arrived_ns=at_ns, waited=True, lost=lost)


def fill(tape: Tape, numbers: range, *, gop: int = 25, size: int = 100) -> None:
    for number in numbers:
        tape.put(picture(number, key=number % gop == 0, size=size), number * STEP)


def begun(*, seconds: float = 10.0, max_bytes: int = 1 << 30) -> Tape:
    tape = Tape(seconds=seconds, max_bytes=max_bytes)
    tape.begin(H264)
    return tape


def numbers(reading: Reading) -> list[int]:
    return [int.from_bytes(bytes(taped.packet)[:4], "big") for taped in reading.pictures]


def test_a_reader_begins_with_the_last_key_frame_that_is_not_later_than_asked(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(50):
        gop, count, asked = draw.randrange(1, 60), 500, draw.randrange(100, 500)
        tape = begun(seconds=60)
        fill(tape, range(count), gop=gop)
        found = numbers(tape.reader(asked * STEP + draw.randrange(STEP)).read(LATE))
        assert found == list(range(asked - asked % gop, count))


def test_a_reader_gets_each_picture_once_as_it_comes() -> None:
    tape = begun()
    fill(tape, range(100))
    reader = tape.reader(60 * STEP)
    assert numbers(reader.read(LATE)) == list(range(50, 100))
    assert numbers(reader.read(LATE)) == []
    fill(tape, range(100, 130))
    reading = reader.read(LATE)
    assert numbers(reading) == list(range(100, 130))
    assert not reading.over
    tape.end()
    assert reader.read(LATE).over


def test_what_a_lost_connection_gave_long_before_is_none_of_the_event() -> None:
    tape = begun()
    fill(tape, range(60))
    tape.end()
    assert numbers(tape.reader(59 * STEP).read(LATE)) == list(range(50, 60))  # the loss came right after that
    late = tape.reader(60 * STEP)
    assert late.read(LATE) == Reading()
    tape.begin(H264)
    fill(tape, range(100, 130))
    assert numbers(late.read(LATE)) == list(range(100, 130))


def test_what_is_later_than_asked_is_left_and_ends_the_reading() -> None:
    tape = begun()
    fill(tape, range(60))
    reader = tape.reader(0)
    assert numbers(reader.read(30 * STEP)) == list(range(31))
    assert reader.read(30 * STEP).over
    assert not reader.read(60 * STEP).over


def test_the_oldest_group_goes_when_the_next_one_reaches_back_far_enough(seed: int) -> None:
    draw = random.Random(seed)
    gop, seconds = draw.randrange(5, 50), draw.randrange(4, 12)
    tape = begun(seconds=seconds)
    for count in range(2000):
        fill(tape, range(count, count + 1), gop=gop)
        if count % 97 == 96:
            held = numbers(tape.reader(0).read(LATE))
            assert held[0] % gop == 0
            assert held == list(range(held[0], count + 1))
            span = count - held[0]
            assert span >= min(count, seconds * 25)
            assert span <= max(64, seconds * 25) + gop


def test_bytes_are_bounded_whatever_the_time(seed: int) -> None:
    draw = random.Random(seed)
    tape = begun(seconds=3600, max_bytes=50_000)
    number = 0
    for _ in range(200):
        for n in range(draw.randrange(1, 30)):
            tape.put(picture(number, key=n == 0, size=draw.randrange(100, 2000)), number * STEP)
            number += 1
            held = tape.reader(0).read(LATE).pictures
            assert sum(taped.packet.size for taped in held) <= 50_000
            assert not held or held[0].key


def test_a_group_larger_than_all_that_may_be_kept_goes_and_the_next_one_comes() -> None:
    tape = begun(max_bytes=5_000)
    fill(tape, range(60), gop=1000)
    assert len(numbers(tape.reader(0).read(LATE))) <= 50
    fill(tape, range(60, 100), gop=1000)
    assert numbers(tape.reader(0).read(LATE)) == []
    fill(tape, range(1000, 1010), gop=1000)
    assert numbers(tape.reader(0).read(LATE)) == list(range(1000, 1010))


def test_a_slow_recording_keeps_some_pictures_however_old() -> None:
    tape = begun(seconds=1)
    for number in range(300):
        tape.put(picture(number, key=number % 10 == 0), number * 60 * S)
    held = numbers(tape.reader(0).read(LATE))
    assert 64 <= len(held) < 80
    assert held[-1] == 299


def test_a_reader_that_was_too_slow_goes_on_with_a_key_frame() -> None:
    tape = begun(seconds=4)
    fill(tape, range(50))
    reader = tape.reader(0)
    assert numbers(reader.read(10 * STEP)) == list(range(11))
    fill(tape, range(50, 1000))
    found = numbers(reader.read(LATE))
    assert found[0] % 25 == 0
    assert found[0] > 50
    assert found == list(range(found[0], 1000))


def test_pictures_behind_one_that_is_missing_are_left_out_up_to_the_next_key_frame() -> None:
    tape = begun()
    for number in range(75):
        tape.put(picture(number, key=number % 25 == 0, lost=number == 30), number * STEP)
    assert numbers(tape.reader(0).read(LATE)) == [*range(30), *range(50, 75)]
    damaged = Coded(packet=av.Packet(), pts_ns=None, key=False, arrived_ns=0, waited=True, damaged=True)
    tape.put(damaged, 75 * STEP)
    fill(tape, range(76, 110))
    assert numbers(tape.reader(70 * STEP).read(LATE)) == [*range(50, 75), *range(100, 110)]


def test_a_key_frame_behind_a_loss_counts() -> None:
    tape = begun()
    tape.put(picture(0, key=True, lost=True), 0)
    tape.end()
    assert numbers(tape.reader(0).read(LATE)) == [0]


def test_nothing_is_read_before_it_is_known_whether_the_pictures_are_reordered() -> None:
    tape = begun()
    reader = tape.reader(0)
    for n, shown in enumerate((0, 3, 1, 2, 6, 4, 5)):
        tape.put(picture(n, key=n == 0, pts=shown), shown * STEP)
        assert reader.read(LATE) == Reading()
    tape.put(picture(7, pts=9), 9 * STEP)
    reading = reader.read(LATE)
    assert numbers(reading) == list(range(8))
    assert reading.depth == 1


def test_what_comes_before_the_first_key_frame_and_between_connections_is_not_kept() -> None:
    tape = Tape(seconds=10)
    fill(tape, range(25, 30))
    tape.begin(H264)
    fill(tape, range(26, 30))
    assert tape.reader(0).read(LATE) == Reading()
    fill(tape, range(50, 60))
    tape.end()
    fill(tape, range(60, 80))
    assert numbers(tape.reader(0).read(LATE)) == list(range(50, 60))


def test_a_reader_stays_within_its_connection() -> None:
    tape = begun()
    fill(tape, range(30))
    old = tape.reader(0)
    tape.begin(H264)
    fill(tape, range(100, 130))
    reading = old.read(LATE)
    assert numbers(reading) == list(range(30))
    assert reading.over
    assert numbers(tape.reader(0).read(LATE)) == list(range(100, 130))


def test_a_reader_of_an_empty_tape_begins_with_what_comes() -> None:
    tape = Tape(seconds=10)
    reader = tape.reader(5 * STEP)
    assert reader.read(LATE) == Reading()
    tape.begin(H264)
    assert reader.read(LATE) == Reading()
    fill(tape, range(30))
    reading = reader.read(LATE)
    assert numbers(reading) == list(range(30))
    assert reading.facts == H264


@pytest.mark.parametrize(("order", "depth"), [((0, 1, 2, 3), 0), ((0, 2, 1, 4, 3), 1), ((0, 3, 2, 1, 6, 5, 4), 2)])
def test_the_depth_of_reordering_is_seen(order: tuple[int, ...], depth: int) -> None:
    tape = begun()
    for n, shown in enumerate(order):
        tape.put(picture(n, key=n == 0, pts=shown), shown * STEP)
    tape.end()
    assert tape.reader(0).read(LATE).depth == depth


def test_a_clock_that_is_set_back_is_no_reordering() -> None:
    tape = begun()
    for n in range(40):
        tape.put(picture(n, key=n == 0, pts=n if n < 20 else n - 1000), n * STEP)
    assert tape.reader(0).read(LATE).depth == 0


def test_what_a_reader_has_yet_to_read_is_spared_until_it_has_read_or_left() -> None:
    tape = begun(seconds=3)
    fill(tape, range(70))
    reader = tape.reader(0)
    assert tape.wait_for_room(0.0)
    number = 70
    while tape.wait_for_room(0.0):
        tape.put(picture(number, key=number % 25 == 0), number * STEP, spare=True)
        number += 1
        assert number < 200
    assert numbers(reader.read(LATE)) == list(range(number))
    assert tape.wait_for_room(0.0)
    lazy = tape.reader(0)
    while tape.wait_for_room(0.0):
        tape.put(picture(number, key=number % 25 == 0), number * STEP, spare=True)
        number += 1
        assert number < 400
    lazy.close()
    lazy.close()
    assert tape.wait_for_room(0.0)


def test_who_waits_for_room_goes_on_when_there_is_some() -> None:
    tape = begun(seconds=3)
    reader = tape.reader(0)
    full = threading.Event()
    done = threading.Event()

    def write() -> None:
        for number in range(300):
            if not tape.wait_for_room(0.0):
                full.set()
                assert tape.wait_for_room(5.0)
            tape.put(picture(number, key=number % 25 == 0), number * STEP, spare=True)
        done.set()
        full.set()

    writer = threading.Thread(target=write, name="streamer-test-writer", daemon=True)
    writer.start()
    found: list[int] = []
    while not done.is_set():
        assert full.wait(5.0)
        full.clear()
        found += numbers(reader.read(LATE))
    writer.join(5.0)
    found += numbers(reader.read(LATE))
    assert found == list(range(300))


@pytest.fixture
def _taking_turns_often() -> Iterator[None]:
    """Threads give way after 0.1 ms and not after 5: they meet more often, in less time."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(usual_s)


@pytest.mark.usefixtures("_taking_turns_often")
def test_readers_beside_a_writer_miss_nothing_and_get_nothing_twice(seed: int) -> None:
    draw = random.Random(seed)
    tape = begun(seconds=60)
    stop = threading.Event()
    found: dict[int, list[int]] = {}

    def follow(name: int, reader: TapeReader) -> None:
        seen: list[int] = []
        while not stop.is_set():
            seen += numbers(reader.read(LATE))
        found[name] = seen + numbers(reader.read(LATE))

    readers = [
        threading.Thread(target=follow, args=(n, tape.reader(draw.randrange(S))), name="streamer-test", daemon=True)
        for n in range(3)
    ]
    for thread in readers:
        thread.start()
    fill(tape, range(1400), gop=7)
    stop.set()
    for thread in readers:
        thread.join(5.0)
    assert len(found) == 3
    for seen in found.values():
        assert seen[-1] == 1399
        assert all(b == a + 1 for a, b in pairwise(seen))


def test_a_codec_that_can_not_be_kept_is_news_once() -> None:
    tape = Tape(seconds=1)
    assert [tape.refuse("mjpeg"), tape.refuse("mjpeg"), tape.refuse("rawvideo")] == [True, False, True]
