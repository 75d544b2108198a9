"""Live streams from made packets: what the arrival of each says, without waiting for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import av
import pytest
from host_picture import on_host
from servers import barcode
from servers.clip import Clip, bar_coded_clip

from streamer.capture.av_source import LiveSource
from streamer.capture.base import Delivery, DropCause, SourceSpec
from streamer.capture.packets import Coded
from streamer.core.errors import EndOfStream, LostReason, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MS = 1_000_000
STEP_NS = 40 * MS


class MadePackets:
    """A clip whose packets arrive each in its time, whatever the clock on the wall says."""

    def __init__(self, clip: Clip, *, change: Callable[[int, Coded], Coded]) -> None:
        codec = av.CodecContext.create("h264", "r")
        assert isinstance(codec, av.VideoCodecContext)
        self.codec = codec
        self._left: Iterator[Coded] = (change(n, coded) for n, coded in enumerate(packets_of(clip)))

    def next(self) -> Coded:
        for coded in self._left:
            return coded
        raise EndOfStream

    def close(self) -> None:
        """Nothing is open."""


def packets_of(clip: Clip) -> Iterator[Coded]:
    for n, unit in enumerate(clip.units):
        packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit.nals))
        at_ns = n * STEP_NS
        yield Coded(packet=packet, pts_ns=at_ns, key=unit.key, arrived_ns=at_ns, waited=True)


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Sixteen seconds with one key frame, as from a camera with intra-refresh."""
    return bar_coded_clip(width=160, height=96, seconds=16.0, gop=1000)


def lost(coded: Coded) -> Coded:
    return replace(coded, lost=True)


def damaged(coded: Coded) -> Coded:
    return replace(coded, damaged=True, packet=av.Packet())


def late(coded: Coded) -> Coded:
    return replace(coded, waited=False, arrived_ns=coded.arrived_ns + 600 * MS)


@pytest.mark.parametrize(
    ("wound", "cause"),
    [(lost, DropCause.MISSING), (damaged, DropCause.CORRUPT), (late, DropCause.LATE)],
    ids=["lost", "damaged", "late"],
)
def test_a_stream_whose_next_key_frame_does_not_come_is_given_up(
    clip: Clip, wound: Callable[[Coded], Coded], cause: DropCause
) -> None:
    drops: Counter[DropCause] = Counter()
    source, asked = opened(clip, drops, change=lambda n, coded: wound(coded) if n == 20 else coded)
    assert [barcode.read(on_host(source.read().picture).planes[0]) for _ in range(20)] == list(range(20))
    with pytest.raises(SourceError, match="no key frame in 12 s") as caught:
        source.read()
    assert caught.value.reason is LostReason.CODEC
    waited_s = (asked() - 20) * STEP_NS / 1e9
    assert 12.0 < waited_s < 12.7
    assert set(drops) == {cause}
    source.close()


def test_a_key_frame_within_the_limit_ends_the_wait_and_the_next_wait_has_its_own(clip: Clip) -> None:
    both = bar_coded_clip(width=160, height=96, seconds=10.0, gop=1000) + clip
    drops: Counter[DropCause] = Counter()
    source, asked = opened(both, drops, change=lambda n, coded: lost(coded) if n in (1, 300) else coded)
    numbers = [barcode.read(on_host(source.read().picture).planes[0]) for _ in range(51)]
    assert numbers == [0, *range(50)]
    assert drops == {DropCause.MISSING: 249}
    with pytest.raises(SourceError):
        source.read()
    assert asked() > 600
    source.close()


def opened(
    clip: Clip, drops: Counter[DropCause], *, change: Callable[[int, Coded], Coded]
) -> tuple[LiveSource, Callable[[], int]]:
    """Return the source, and what tells how many packets it has asked for."""
    seen = [0]

    def noted(n: int, coded: Coded) -> Coded:
        seen[0] = n
        return change(n, coded)

    def count(cause: DropCause, frames: int) -> None:
        drops[cause] += frames

    spec = SourceSpec(camera="c", url="rtsp://192.0.2.1/x", delivery=Delivery.NEWEST)
    return LiveSource(MadePackets(clip, change=noted), spec=spec, dropped=count), lambda: seen[0]
