"""When clips are begun, written, ended and told: over cuts that only say what they were asked."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pytest

from streamer.core.clock import FakeClock
from streamer.evidence.clips import DROPPED, SAVED, Clips, ClipsPlan, SavedClip
from streamer.evidence.files import EvidenceFolder

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000


def event(number: int) -> str:
    return f"{number:08x}-7d1e-7c44-9a31-5f1f0c7b2a10"


class Free(NamedTuple):
    free: int


@dataclass
class FakeCut:
    """Has all up to a moment; a clip of it takes so many slices."""

    path: Path
    part: Path
    from_ns: int
    has_ns: int = 0
    over: bool = False
    refuses: str | None = None  # what the disk says
    slices: int = 1
    pictures: int = 1
    asked: list[int] = field(default_factory=list)
    left: str = ""

    def write(self, until_ns: int) -> int | None:
        self.asked.append(until_ns)
        self._check()
        if self.pictures:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self.part.write_bytes(b"part")
        return None if self.over or self.has_ns >= until_ns else self.pictures

    def end(self) -> FakeCut | None:
        self.left = "ended"
        return self if self.pictures else None

    def drop(self) -> None:
        self.left = "dropped"
        self.part.unlink(missing_ok=True)

    def advance(self, budget_bytes: int) -> tuple[float, int] | None:
        assert budget_bytes > 0
        self._check()
        self.slices -= 1
        if self.slices > 0:
            return None
        self.part.rename(self.path)
        return 7.5, 1234

    def close(self) -> None:
        self.left = "closed"

    def _check(self) -> None:
        if self.refuses is not None:
            raise OSError(28, self.refuses)


class Rig:
    """Clips over fake cuts in a folder of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock(monotonic_ns=0)
        self.free = 100 << 30
        self.told: list[SavedClip] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.cuts: list[FakeCut] = []
        self.folder = EvidenceFolder(root, min_free_bytes=1 << 30, free=lambda _: Free(self.free))
        self.clips = self.again()

    def again(self) -> Clips:
        """Return the clips of a new run."""
        self.clips = Clips(
            ClipsPlan(
                folder=self.folder,
                open_cut=self._cut,
                open_leftover=lambda part, clip: FakeCut(clip, part, 0),
                longest_ns={"porch": 60 * S, "yard": 300 * S},
                told=self.told.append,
                count=lambda camera, counter, n: self.counts.update({(camera, counter): n}),
            ),
            clock=self.clock,
        )
        return self.clips

    def _cut(self, camera: str, from_ns: int, part: Path, clip: Path) -> FakeCut | None:
        if camera == "yard":
            return None
        self.cuts.append(FakeCut(clip, part, from_ns))
        return self.cuts[-1]

    def files(self) -> list[str]:
        return sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file())


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_clip_is_written_from_its_beginning_to_its_end_and_then_told(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 10 * S)
    rig.clips.step(15 * S)
    rig.clips.end(event(1), 25 * S)
    rig.clips.step(20 * S)
    (cut,) = rig.cuts
    assert cut.from_ns == 10 * S
    assert cut.asked == [70 * S, 25 * S]
    assert rig.files() == [f"clips/porch/{event(1)}.mp4.part"]
    assert rig.told == []
    cut.has_ns = 25 * S
    rig.clips.step(26 * S)
    path = f"porch/{event(1)}.mp4"
    assert rig.told == [SavedClip(event_id=event(1), camera="porch", path=path, seconds=7.5, nbytes=1234)]
    assert rig.files() == [f"clips/{path}"]
    assert list(rig.folder.take_written()) == [f"porch/{event(1)}"]
    assert rig.counts == {("porch", SAVED): 1}
    rig.clips.step(27 * S)
    assert len(cut.asked) == 3


def test_the_longest_bounds_it_though_the_event_goes_on(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 10 * S)
    rig.cuts[0].has_ns = 70 * S
    rig.clips.step(71 * S)
    assert len(rig.told) == 1
    rig.clips.end(event(1), 400 * S)
    rig.clips.begin(event(2), "porch", 80 * S)
    rig.clips.end(event(2), 400 * S)
    rig.clips.step(90 * S)
    assert rig.cuts[1].asked == [140 * S]


def test_a_lost_connection_ends_it(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 10 * S)
    rig.cuts[0].over = True
    rig.clips.step(12 * S)
    assert len(rig.told) == 1


def test_cameras_without_clips_and_events_without_one_are_left_alone(rig: Rig) -> None:
    rig.clips.begin(event(1), "gate", 10 * S)
    rig.clips.end(event(1), 11 * S)
    rig.clips.end(event(2), 11 * S)
    rig.clips.begin(event(3), "porch", 10 * S)
    rig.clips.begin(event(3), "porch", 12 * S)
    assert len(rig.cuts) == 1
    rig.clips.step(13 * S)
    assert not rig.counts


def test_a_clip_of_a_camera_that_keeps_nothing_is_counted(rig: Rig) -> None:
    rig.clips.begin(event(1), "yard", 10 * S)
    rig.clips.step(11 * S)
    assert rig.counts == {("yard", DROPPED): 1}


def test_a_camera_of_which_nothing_comes_is_waited_for_to_the_end_and_not_longer(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 10 * S)
    rig.cuts[0].pictures = 0
    rig.clips.end(event(1), 30 * S)
    rig.clips.step(35 * S)
    assert rig.cuts[0].left == ""
    rig.clips.step(35 * S + 1)
    assert rig.cuts[0].left == "ended"
    assert rig.counts == {("porch", DROPPED): 1}
    assert rig.told == []


def test_at_most_so_many_are_written_at_once(rig: Rig) -> None:
    for n in range(70):
        rig.clips.begin(event(n), "porch", 0)
    assert len(rig.cuts) == 64
    assert rig.counts == {("porch", DROPPED): 6}
    for cut in rig.cuts:
        cut.over = True
    for _ in range(20):
        rig.clips.step(S)
    assert len(rig.told) == 64
    rig.clips.begin(event(100), "porch", 0)
    assert len(rig.cuts) == 65


def test_without_room_none_is_begun_and_those_that_run_end_where_they_are(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 0)
    rig.clips.step(S)
    rig.free = 1 << 20
    rig.clips.begin(event(2), "porch", S)
    rig.cuts[1].pictures = 0  # nothing is written of it
    rig.clips.step(2 * S)
    assert [len(cut.asked) for cut in rig.cuts] == [1, 0]
    assert [clip.event_id for clip in rig.told] == [event(1)]
    assert rig.counts == {("porch", SAVED): 1, ("porch", DROPPED): 1}


def test_a_disk_that_refuses_costs_the_clip_and_is_said_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            rig.clips.begin(event(n), "porch", 0)
            rig.cuts[n].refuses = "No space left on device"
            rig.clips.step(S)
    assert [cut.left for cut in rig.cuts] == ["dropped"] * 3
    assert rig.counts == {("porch", DROPPED): 3}
    assert [r.message for r in caplog.records if "can't be written" in r.message] == [
        f"clips/porch/{event(0)}.mp4 can't be written: No space left on device; events are told and stored"
    ]
    rig.clips.begin(event(9), "porch", 0)
    rig.cuts[-1].over = True
    rig.clips.step(2 * S)
    assert len(rig.told) == 1


def test_a_disk_that_refuses_at_the_end_leaves_the_part_for_the_next_start(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 0)
    rig.clips.step(S)
    rig.cuts[0].over, rig.cuts[0].slices = True, 9
    rig.clips.step(2 * S)
    assert rig.told == []
    rig.cuts[0].refuses = "Input/output error"
    rig.clips.step(3 * S)
    assert rig.cuts[0].left == "closed"
    assert rig.files() == [f"clips/porch/{event(1)}.mp4.part"]
    rig.again().step(4 * S)
    assert [clip.event_id for clip in rig.told] == [event(1)]


def test_what_takes_long_to_finish_takes_several_steps_and_stops_no_writing(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 0)
    rig.cuts[0].over, rig.cuts[0].slices = True, 11
    rig.clips.begin(event(2), "porch", 0)
    steps = 0
    while not rig.told:
        steps += 1
        rig.clips.step(steps * S)
    assert steps == 3
    assert len(rig.cuts[1].asked) == 3


def test_what_a_crash_left_is_finished_and_copies_that_broke_off_go(rig: Rig) -> None:
    folder = rig.root / "clips" / "porch"
    folder.mkdir(parents=True)
    for name in (f"{event(1)}.mp4.part", f"{event(2)}.mp4.part", f"{event(2)}.mp4.tmp", "mine.mp4.part", "my.mp4.tmp"):
        (folder / name).write_bytes(b"x")
    rig.clips.step(S)
    assert [(clip.camera, clip.event_id) for clip in rig.told] == [("porch", event(1)), ("porch", event(2))]
    assert rig.files() == [
        f"clips/porch/{name}" for name in sorted((f"{event(1)}.mp4", f"{event(2)}.mp4", "mine.mp4.part", "my.mp4.tmp"))
    ]


def test_closing_ends_what_runs(rig: Rig) -> None:
    rig.clips.begin(event(1), "porch", 0)
    rig.clips.begin(event(2), "porch", 0)
    rig.clips.close(lambda: True)
    assert [cut.left for cut in rig.cuts] == ["ended", "ended"]
    assert len(rig.told) == 2
    rig.clips.begin(event(3), "porch", 0)
    assert len(rig.cuts) == 2


def test_closing_goes_on_while_there_is_time_and_leaves_the_rest_to_the_next_start(rig: Rig) -> None:
    end_ns = rig.clock.monotonic_ns() + S // 2
    for n in range(3):
        rig.clips.begin(event(n), "porch", 0)

        def advance(budget_bytes: int, cut: FakeCut = rig.cuts[n]) -> tuple[float, int] | None:
            rig.clock.advance(0.3)
            return FakeCut.advance(cut, budget_bytes)

        rig.cuts[n].advance = advance  # type: ignore[method-assign]
    rig.clips.close(lambda: rig.clock.monotonic_ns() < end_ns)
    assert len(rig.told) == 2
    assert rig.cuts[2].left == "closed"
    assert f"clips/porch/{event(2)}.mp4.part" in rig.files()
    rig.again().step(S)
    assert len(rig.told) == 3


def test_a_name_that_leads_elsewhere_is_no_clip(rig: Rig) -> None:
    with pytest.raises(ValueError, match="expected"):
        rig.clips.begin("../../etc/passwd", "porch", 0)
