"""Which packets of a stream are decoded, and when: made packets, and a decoder that gives what it is asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from streamer.capture.decode import Decoded, Outcome
from streamer.capture.idle import Due, Idling
from streamer.capture.packets import Coded
from streamer.core.frame import Picture, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

S = 1_000_000_000
FPS = 10
GROUP = 20  # pictures from key frame to key frame: two seconds
KEY_BYTES, OTHER_BYTES = 40_000, 400
STILL = np.full((90, 160), 90, np.uint8)


def changed() -> NDArray[np.uint8]:
    picture: NDArray[np.uint8] = STILL.copy()
    picture[30:60, 60:80] = 200
    return picture


@dataclass
class Camera:
    """A stream of two-second groups, its decoder, and what became of it."""

    group: int = GROUP
    look_s: float = 2.0
    quiet: bool = True
    bytes_of: Callable[[int], int | None] = lambda _: None  # of a packet, if not as usual
    shows: Callable[[int], NDArray[np.uint8]] = lambda _: STILL
    outcome: Callable[[Coded, Outcome], Outcome] = lambda _, outcome: outcome
    waited: Callable[[int], bool] = lambda _: True
    pts: Callable[[int], int | None] = lambda n: n * S // FPS
    number: int = 0
    decoded: list[int] = field(default_factory=list)  # numbers, in the order of decoding
    given: list[tuple[int, bool]] = field(default_factory=list)  # number, recalled
    captured: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.idling = Idling(
            lambda: self.quiet,
            camera="c",
            look_s=self.look_s,
            captured_ns=lambda coded: coded.pts_ns or 0,
            left=lambda n: self.counts.update({"idle": n}),
        )

    def send(self, packets: int) -> Camera:
        for _ in range(packets):
            self.take(self.packet(self.number))
            self.number += 1
        return self

    def packet(self, number: int) -> Coded:
        key = number % self.group == 0
        size = self.bytes_of(number) or (KEY_BYTES if key else OTHER_BYTES)
        return Coded(
            packet=av.Packet(size), pts_ns=self.pts(number), key=key, arrived_ns=number * S // FPS + S,
            waited=self.waited(number),
        )  # fmt: skip

    def take(self, coded: Coded) -> None:
        due = list(self.idling.take(coded))
        while due:
            one = due.pop(0)
            outcome = self.outcome(one.coded, self.answer(one))
            before = list(self.idling.decoded(one, outcome))
            due[:0] = before
            if before or not one.shown:
                continue
            for _ in outcome.pictures:
                self.given.append((self.number_of(one), one.recalled))
                if one.captured_ns is not None:
                    self.captured.append(one.captured_ns)

    def answer(self, due: Due) -> Outcome:
        number = self.number_of(due)
        self.decoded.append(number)
        picture = Picture(format=PixelFormat.GRAY, planes=(self.shows(number),), width=160, height=90)
        return Outcome(pictures=(Decoded(picture=picture, pts_ns=due.coded.pts_ns),))

    def number_of(self, due: Due) -> int:
        return (due.coded.arrived_ns - S) * FPS // S

    def asleep(self) -> Camera:
        """Send until it has slept for some time and just decoded a key frame, and forget how it came to that."""
        looks = 0
        for _ in range(3000):
            self.send(1)
            looks += len(self.idling._kept) == 1
            if looks == 4:
                for noted in (self.given, self.decoded, self.captured, self.counts):
                    noted.clear()
                return self
        raise AssertionError("it does not fall asleep")


def test_an_idle_camera_decodes_key_frames_alone_and_what_is_left_is_counted() -> None:
    camera = Camera()
    first = camera.send(8 * GROUP).given
    assert first[: 3 * GROUP] == [(n, False) for n in range(3 * GROUP)]

    camera.asleep()
    begun = camera.number
    camera.send(10 * GROUP)

    assert camera.given == [(n, False) for n in range(begun, begun + 10 * GROUP) if n % GROUP == 0]
    assert camera.counts["idle"] == 10 * (GROUP - 1)
    camera.idling.end()
    assert camera.counts["idle"] == 10 * (GROUP - 1)  # the last group has only its key frame


@pytest.mark.parametrize(
    ("group", "look_s", "seconds"),
    [(20, 4.0, 4.0), (20, 2.0, 2.0), (20, 1.0, 2.0), (30, 4.0, 3.0), (15, 4.0, 3.0), (60, 4.0, 6.0), (5, 4.0, 4.0)],
)
def test_where_packets_tell_enough_key_frames_are_decoded_as_often_as_asked(
    group: int, look_s: float, seconds: float
) -> None:
    camera = Camera(group=group, look_s=look_s).asleep()
    camera.send(round(120 * FPS))
    assert len(camera.given) == pytest.approx(120 / seconds, abs=1)
    assert all(n % group == 0 and not recalled for n, recalled in camera.given)


def test_where_packets_are_nearly_all_noise_each_key_frame_is_decoded() -> None:
    camera = Camera(look_s=4.0, bytes_of=lambda n: None if n % GROUP == 0 else KEY_BYTES // 10).asleep()
    camera.send(10 * GROUP)
    assert len(camera.given) == 10


def test_of_a_camera_that_sends_nothing_but_key_frames_one_a_second_is_decoded() -> None:
    camera = Camera(group=1, look_s=4.0)
    camera.send(20 * FPS)
    camera.given.clear()
    camera.send(20 * FPS)
    assert len(camera.given) == pytest.approx(20, abs=2)


def test_a_packet_far_larger_than_usual_wakes_it_and_nothing_is_missed() -> None:
    camera = Camera().asleep()
    begun = camera.number
    camera.bytes_of = lambda n: 3000 if n == begun + 7 else None

    camera.send(12)

    recalled = [(n, True) for n in range(begun, begun + 7)]
    assert camera.given[:8] == [*recalled, (begun + 7, False)]
    assert [n for n, _ in camera.given] == list(range(begun, begun + 12))
    assert camera.captured[:8] == [n * S // FPS for n in range(begun, begun + 8)]
    assert camera.counts["idle"] == 0


def test_it_wakes_when_something_is_uncertain() -> None:
    camera = Camera().asleep()
    begun = camera.number
    camera.send(5)
    assert camera.given == []
    camera.quiet = False

    camera.send(3)

    assert camera.given == [(n, n < begun + 5) for n in range(begun, begun + 8)]


def test_a_key_frame_that_shows_something_new_comes_behind_what_led_to_it() -> None:
    camera = Camera().asleep()
    key, begun = camera.number - 1, camera.number
    following = key + GROUP
    camera.shows = lambda n: changed() if n >= begun + 10 else STILL

    camera.send(GROUP + 3)

    assert camera.decoded[:3] == [following, key, begun]  # the decoder begins anew at the key frame before
    assert [n for n, _ in camera.given] == list(range(begun, following + 4))
    assert [recalled for _, recalled in camera.given] == [True] * (GROUP - 1) + [False] * 4
    assert camera.captured[:GROUP] == [n * S // FPS for n in range(begun, following + 1)]
    assert camera.counts["idle"] == 0


def test_after_a_false_alarm_it_falls_asleep_again_and_the_alarm_becomes_usual() -> None:
    camera = Camera().asleep()
    camera.bytes_of = lambda n: 1200 if n % 50 == 7 else None

    camera.send(60 * GROUP)
    camera.given.clear()
    camera.send(20 * GROUP)

    assert len(camera.given) == 20  # key frames


def test_a_picture_that_changes_by_itself_becomes_usual_too() -> None:
    """A sign that is lit now and then: key frames differ, and nothing moves."""
    camera = Camera().asleep()
    camera.shows = lambda n: changed() if n // GROUP % 2 else STILL
    camera.send(3 * GROUP)
    assert any(recalled for _, recalled in camera.given)

    camera.send(60 * GROUP)
    camera.given.clear()
    camera.send(20 * GROUP)

    assert len(camera.given) == 20


def test_what_is_seen_moving_stays_unusual() -> None:
    camera = Camera().asleep()
    for _ in range(5):
        begun = camera.number
        camera.bytes_of = lambda n, begun=begun: 900 if n >= begun + 5 else None  # type: ignore[misc]
        camera.send(7)
        assert camera.given, "it did not wake"
        camera.quiet = False
        camera.send(3 * GROUP)
        camera.bytes_of = lambda _: None
        camera.quiet = True
        camera.asleep()


def test_it_stays_awake_for_a_second_at_least_however_often_key_frames_come() -> None:
    camera = Camera(group=2, look_s=1.0).asleep()
    begun = camera.number
    camera.bytes_of = lambda n: 300_000 if n == begun + 1 else None
    camera.send(2)
    camera.given.clear()

    camera.send(9)

    assert len(camera.given) == 9


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": lambda coded, outcome: Outcome() if coded.key else outcome},
        {"outcome": lambda _, outcome: Outcome(pictures=outcome.pictures * 2)},
        {"pts": lambda _: None},
        {"pts": lambda n: 1000 - n},
        {"group": 130},
        {"bytes_of": lambda n: None if n % GROUP else KEY_BYTES // 10},
        {"quiet": False},
    ],
    ids=["held back", "two at once", "no stamps", "stamps run back", "13 s from key to key", "noise", "unrest"],
)
def test_never(wrong: dict[str, object]) -> None:
    """Noise is no reason by itself, so here it is joined with key frames that are four seconds apart."""
    camera = Camera(**{"group": 2 * GROUP if "bytes_of" in wrong else GROUP, **wrong})  # type: ignore[arg-type]
    camera.send(1200)
    assert camera.decoded == list(range(1200))
    assert camera.counts["idle"] == 0


def test_a_group_too_large_to_be_kept_is_decoded_and_the_camera_idles_no_more() -> None:
    camera = Camera().asleep()
    begun = camera.number
    camera.idling._kept_bytes = (16 << 20) - 10 * OTHER_BYTES

    camera.send(15)

    assert [n for n, _ in camera.given] == list(range(begun, begun + 15))
    camera.send(20 * GROUP)
    assert len(camera.given) == 15 + 20 * GROUP


def test_key_frames_that_stop_coming_are_not_waited_for_longer_than_twelve_seconds() -> None:
    camera = Camera().asleep()
    begun = camera.number
    camera.group = 10_000

    camera.send(11 * FPS)
    assert camera.given == []
    camera.send(2 * FPS)

    assert [n for n, _ in camera.given] == list(range(begun, begun + 13 * FPS))


def test_a_key_frame_that_is_damaged_lets_go_of_what_came_before() -> None:
    camera = Camera().asleep()
    camera.outcome = lambda coded, outcome: Outcome(corrupt=1) if coded.key else outcome

    camera.send(GROUP)

    assert camera.given == []
    assert camera.counts["idle"] == GROUP - 1
    assert not camera.idling.excuses(camera.packet(camera.number))


def test_what_lay_ready_while_the_kept_was_decoded_is_not_late_and_tells_no_age() -> None:
    camera = Camera(waited=lambda n: n < 10_000).asleep()
    begun = camera.number
    ready = camera.packet(begun)
    assert camera.idling.excuses(ready)  # nothing was decoded: it may be as old as it likes
    camera.waited = lambda n: not begun + 8 <= n < begun + 15
    camera.bytes_of = lambda n: 3000 if n == begun + 7 else None

    camera.send(8)
    assert camera.idling.excuses(camera.packet(begun + 8))
    camera.send(10)

    assert [n for n, recalled in camera.given if recalled] == [*range(begun, begun + 7), *range(begun + 8, begun + 15)]
    assert not camera.idling.excuses(camera.packet(camera.number))


def test_a_machine_that_does_not_catch_up_is_late_again_after_five_seconds() -> None:
    camera = Camera().asleep()
    begun = camera.number
    camera.waited = lambda n: n < begun + 8
    camera.bytes_of = lambda n: 3000 if n == begun + 7 else None

    camera.send(8)

    assert camera.idling.excuses(camera.packet(begun + 7 + 5 * FPS))
    assert not camera.idling.excuses(camera.packet(begun + 8 + 5 * FPS))


def test_a_camera_that_sets_its_clock_wakes() -> None:
    camera = Camera().asleep()
    begun = camera.number
    camera.send(5)
    camera.pts = lambda n: n * S // FPS - 3600 * S

    camera.send(2)

    assert [n for n, _ in camera.given] == list(range(begun, begun + 7))
