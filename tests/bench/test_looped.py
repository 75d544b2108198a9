from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.bench.looped import LoopedSource, open_looped
from streamer.capture.base import Delivery, Grab, SourceSpec
from streamer.capture.record import record_scene
from streamer.core.errors import EndOfStream
from streamer.core.frame import Picture, PixelFormat

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = Picture(format=PixelFormat.GRAY, planes=(), width=2, height=2)


class Turn:
    """Gives pictures at some times, and ends."""

    def __init__(self, times: list[int], *, live: bool) -> None:
        self.live = live
        self.closed = False
        self._times = list(times)

    def read(self) -> Grab:
        if not self._times:
            raise EndOfStream
        return Grab(picture=PICTURE, captured_ns=self._times.pop(0))

    def close(self) -> None:
        self.closed = True


def looped(times: list[int], *, live: bool = False, stop_after: int = 99) -> tuple[LoopedSource, list[Turn]]:
    turns: list[Turn] = []

    def opened() -> Turn:
        turns.append(Turn(times, live=live))
        return turns[-1]

    return LoopedSource(opened, stopping=lambda: len(turns) >= stop_after), turns


def test_times_go_on_rising_at_the_clips_own_pace() -> None:
    source, turns = looped([100, 140, 180])
    assert [source.read().captured_ns for _ in range(8)] == [100, 140, 180, 220, 260, 300, 340, 380]
    source.close()
    assert [turn.closed for turn in turns] == [True, True, True]


def test_what_is_live_keeps_its_own_times() -> None:
    source, _ = looped([5, 6], live=True)
    assert [source.read().captured_ns for _ in range(4)] == [5, 6, 5, 6]


def test_it_ends_when_asked_to() -> None:
    source, _ = looped([1, 2], stop_after=2)
    assert [source.read().captured_ns for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(EndOfStream):
        source.read()


def test_a_source_without_pictures_ends_at_once() -> None:
    source, turns = looped([])
    with pytest.raises(EndOfStream):
        source.read()
    assert len(turns) == 1


def test_a_real_recording_begins_again(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    assert record_scene(clip, size=(128, 96), fps=10, seconds=0.5, seed=1) == 5
    spec = SourceSpec(camera="file", url=str(clip), delivery=Delivery.EVERY, epoch_ns=1_000)
    source = open_looped(spec, stopping=lambda: False, dropped=lambda *_: None)
    times = [source.read().captured_ns for _ in range(12)]
    source.close()
    assert times == [1_000 + n * 100_000_000 for n in range(12)]
