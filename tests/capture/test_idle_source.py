"""A camera that idles through the real decoder: nothing of what it recalls differs from what all would have been."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from idle_watch import Reel, Unit, reel_of, timed
from passers_by import Passer, Street, camera_encoder, encoded

from streamer.capture.av_source import LiveSource
from streamer.capture.base import Delivery, DropCause, SourceSpec
from streamer.capture.usual import PacketSizes
from streamer.core.errors import EndOfStream
from streamer.core.frame import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.capture.base import Grab
    from streamer.capture.packets import Coded

S = 1_000_000_000
FPS = 10
GROUP = 10
COMES_S = 12.25  # between two key frames
SECONDS = 16


@pytest.fixture(scope="module")
def packets() -> list[av.Packet[Any]]:
    """A street in which somebody comes after twelve seconds."""
    someone = Passer(comes_s=COMES_S, stands_s=0, height=0.5, speed=1, ground=0.9, level=220, to_right=True)
    street = Street([someone], width=320, height=180, noise=1.0, seed=3)
    return encoded((street.luma(number / FPS) for number in range(SECONDS * FPS)), fps=FPS, key_every=GROUP)


@dataclass
class Shown:
    """What a source gave."""

    grabs: list[Grab]
    drops: Counter[DropCause]

    def lumas(self) -> list[NDArray[np.uint8]]:
        return [grab.picture.planes[0] for grab in self.grabs if isinstance(grab.picture, Picture)]


def shown(
    reel: Reel, idle: Callable[[], bool] | None, *, delivery: Delivery = Delivery.NEWEST, look_s: float = 1.0
) -> Shown:
    drops: Counter[DropCause] = Counter()
    spec = SourceSpec(camera="c", url="rtsp://192.0.2.1/x", delivery=delivery, idle=idle, idle_look_s=look_s)
    source = LiveSource(reel, spec=spec, dropped=lambda cause, n: drops.update({cause: n}))
    grabs = []
    try:
        while True:
            grabs.append(source.read())
    except EndOfStream:
        source.close()
    return Shown(grabs, drops)


@pytest.mark.parametrize("told_by", ["packets", "key frames"])
def test_what_is_recalled_is_what_would_have_been_seen(
    packets: list[av.Packet[Any]], told_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = PacketSizes.look

    def says_nothing(sizes: PacketSizes, *, size: int, key: bool) -> bool:
        look(sizes, size=size, key=key)
        return False

    if told_by == "key frames":
        monkeypatch.setattr(PacketSizes, "look", says_nothing)
    everything = shown(reel_of(packets, fps=FPS), None)
    idling = shown(reel_of(packets, fps=FPS), lambda: True)

    assert len(everything.grabs) == len(packets)
    at = {grab.captured_ns: luma for grab, luma in zip(everything.grabs, everything.lumas(), strict=True)}
    times = [grab.captured_ns for grab in idling.grabs]
    assert times == sorted(set(times))
    for captured_ns, luma in zip(times, idling.lumas(), strict=True):
        np.testing.assert_array_equal(luma, at[captured_ns])
    assert len(idling.grabs) + idling.drops[DropCause.IDLE] == len(packets)
    assert idling.drops[DropCause.IDLE] > 40

    first_ns = everything.grabs[0].captured_ns
    comes = {n for n in range(len(packets)) if COMES_S <= n / FPS <= COMES_S + 1.0}
    assert comes <= {round((ns - first_ns) * FPS / S) for ns in times}
    recalled = [round((grab.captured_ns - first_ns) * FPS / S) for grab in idling.grabs if grab.recalled]
    assert any(abs(n / FPS - COMES_S) < 1.0 for n in recalled)


@pytest.mark.parametrize("delivery", list(Delivery))
def test_where_nobody_says_so_or_every_frame_counts_all_is_decoded(
    packets: list[av.Packet[Any]], delivery: Delivery
) -> None:
    idle = None if delivery is Delivery.NEWEST else lambda: True
    given = shown(reel_of(packets, fps=FPS), idle, delivery=delivery)
    assert len(given.grabs) == len(packets)
    assert not any(grab.recalled for grab in given.grabs)
    assert not given.drops


def test_a_stream_with_pictures_that_refer_to_later_ones_is_never_idle(caplog: pytest.LogCaptureFixture) -> None:
    street = Street([], width=160, height=96, noise=1.0, seed=3)
    encoder = camera_encoder(160, 96, fps=FPS, key_every=GROUP)
    encoder.max_b_frames, encoder.options = 2, {"preset": "veryfast", "x264-params": "bframes=2:b-adapt=0:scenecut=0"}
    coded = []
    for number in range(12 * FPS):
        luma = street.luma(number / FPS)
        frame = av.VideoFrame.from_ndarray(np.vstack([luma, np.full((48, 160), 128, np.uint8)]), format="yuv420p")
        frame.pts = number
        coded += encoder.encode(frame)
    coded += encoder.encode(None)
    assert [packet.pts for packet in coded] != sorted(packet.pts or 0 for packet in coded)
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    units = [Unit(packet, (packet.pts or 0) * S // FPS, n * S // FPS) for n, packet in enumerate(coded)]

    with caplog.at_level("DEBUG"):
        given = shown(Reel(codec, units), lambda: True)

    assert len(given.grabs) >= len(coded) - 3  # what the decoder holds back at the end
    assert given.drops == {}
    assert [r.message for r in caplog.records if r.name == "streamer.capture.idle"] == [
        "it does not idle now: its decoder holds pictures back"
    ]


class Wounded(Reel):
    """A reel of which one packet is lost, or came too late, by its number."""

    def __init__(self, packets: Sequence[av.Packet[Any]], change: Callable[[int, Coded], Coded]) -> None:
        whole = reel_of(packets, fps=FPS)
        super().__init__(whole.codec, timed(packets, fps=FPS))
        self._change = change

    def next(self) -> Coded:
        coded = super().next()
        return self._change(self.given - 1, coded)


def restless_from(second: float, reel: list[Reel]) -> Callable[[], bool]:
    """Return an `idle` that says no from some second of the film on."""
    return lambda: reel[0].given < second * FPS


def test_a_packet_that_is_lost_while_it_idles_ends_what_can_be_recalled(packets: list[av.Packet[Any]]) -> None:
    reel = [Wounded(packets, lambda n, coded: replace(coded, lost=True) if n == 85 else coded)]
    idling = shown(reel[0], restless_from(8.8, [reel[0]]))

    first_ns = idling.grabs[0].captured_ns
    numbers = [round((grab.captured_ns - first_ns) * FPS / S) for grab in idling.grabs]
    assert 80 in numbers
    assert numbers[numbers.index(80) + 1 :][:5] == [81, 82, 83, 84, 90]
    assert idling.drops[DropCause.MISSING] == 5


def test_a_backlog_is_not_late_while_it_idles(packets: list[av.Packet[Any]]) -> None:
    """Someone else has kept the thread for two seconds: nothing that was not decoded is late."""

    def behind(n: int, coded: Coded) -> Coded:
        if not 82 <= n < 100:
            return coded
        return replace(coded, waited=False, arrived_ns=coded.arrived_ns + 2 * S)

    idling = shown(Wounded(packets, behind), lambda: True)
    assert idling.drops[DropCause.LATE] == 0


def test_pictures_are_decoded_one_by_one_when_they_are_asked_for(packets: list[av.Packet[Any]]) -> None:
    """What is recalled lies in memory as packets, not as pictures."""
    reel = reel_of(packets, fps=FPS)
    calm = [True]
    spec = SourceSpec(camera="c", url="x", delivery=Delivery.NEWEST, idle=lambda: calm[0], idle_look_s=1.0)
    source = LiveSource(reel, spec=spec, dropped=lambda *_: None)
    while reel.given < 9 * FPS:
        source.read()
    calm[0] = False
    source.read()
    given = reel.given
    recalled = 0
    while reel.given == given:
        recalled += source.read().recalled
        assert len(source._ready) == 0
    assert recalled <= GROUP
    source.close()
