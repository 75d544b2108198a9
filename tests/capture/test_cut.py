"""Clips begin and end where they should, and hold all that lies between."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from clip_packets import H264, LATE, S, boxes_in, coded_of, filled, numbers_in, put_all
from servers.clip import bar_coded_clip

from streamer.capture.cut import TapeCut, cutter, leftover
from streamer.capture.packets import Coded
from streamer.capture.remux import REMUXED
from streamer.capture.tape import CodecFacts, Tape

if TYPE_CHECKING:
    from servers.clip import Clip

STEP = S // 25


@pytest.fixture(scope="module")
def clips() -> dict[str, Clip]:
    return {
        "gop 25": small(25),
        "gop 50, B-frames": small(50, b_frames=2),
        "hevc": small(30, codec="hevc"),
    }


def small(gop: int, *, b_frames: int = 0, codec: str = "h264") -> Clip:
    return bar_coded_clip(width=160, height=96, seconds=12.0, gop=gop, b_frames=b_frames, codec=codec)


def written(cut: TapeCut, until_ns: int) -> None:
    assert cut.write(until_ns) is None
    copy = cut.end()
    assert copy is not None
    while copy.advance(1 << 16) is None:
        pass


@pytest.mark.parametrize(("name", "gop"), [("gop 25", 25), ("gop 50, B-frames", 50), ("hevc", 30)])
def test_a_clip_begins_at_most_one_gop_earlier_than_asked_and_never_later(
    tmp_path: Path, clips: dict[str, Clip], name: str, gop: int, seed: int
) -> None:
    draw = random.Random(seed)
    tape = filled(clips[name])
    for n in range(6):
        first, last = draw.randrange(0, 200), draw.randrange(200, 290)
        from_ns = first * STEP + draw.randrange(STEP)
        path = tmp_path / f"{n}.mp4"
        written(TapeCut(tape.reader(from_ns), part=tmp_path / f"{n}.part", clip=path), last * STEP)
        found = numbers_in(path)
        assert found[0] is not None
        assert first - gop < found[0] <= first
        assert found == list(range(found[0], found[0] + len(found)))
        assert last - 3 <= found[0] + len(found) - 1 <= last  # reordered pictures stand a few behind the last


def test_a_clip_grows_with_what_comes_and_ends_with_the_connection(tmp_path: Path, clips: dict[str, Clip]) -> None:
    coded = list(coded_of(clips["gop 25"]))
    tape = Tape(seconds=60)
    tape.begin(H264)
    cut = TapeCut(tape.reader(0), part=tmp_path / "p", clip=tmp_path / "c.mp4")
    assert cut.write(100 * S) == 0
    assert not (tmp_path / "p").exists()
    put_all(tape, coded[:60])
    assert cut.write(100 * S) == 60
    put_all(tape, coded[60:90])
    tape.end()
    assert cut.write(100 * S) is None
    tape.begin(H264)
    put_all(tape, coded[100:])
    copy = cut.end()
    assert copy is not None
    done = copy.advance(1 << 30)
    assert done is not None
    assert done.seconds == pytest.approx(3.6)
    assert numbers_in(tmp_path / "c.mp4") == list(range(90))


@pytest.mark.parametrize("name", ["gop 25", "gop 50, B-frames", "hevc"])
@pytest.mark.parametrize(("until", "last"), [(70, 70), (119, 119), (-5, 0), (1000, 149)])
def test_what_was_written_before_its_end_was_known_is_not_in_the_clip(
    tmp_path: Path, clips: dict[str, Clip], name: str, until: int, last: int
) -> None:
    """An event's end is known `end_after` later than it was, which may be more than what is to come behind it."""
    coded = list(coded_of(clips[name]))
    tape = Tape(seconds=60)
    tape.begin(CodecFacts(codec=clips[name].codec, extradata=b""))
    put_all(tape, coded[:150])
    cut = TapeCut(tape.reader(0), part=tmp_path / "p", clip=tmp_path / "c.mp4")
    assert cut.write(LATE) == 150
    cut.write(until * STEP)
    copy = cut.end()
    assert copy is not None
    assert copy.advance(1 << 30) is not None
    found = numbers_in(tmp_path / "c.mp4")
    reordered = 3 if "B" in name else 0  # a picture that is shown later may stand in front of the last one
    assert set(range(last + 1 - (reordered if last == 149 else 0))) <= set(found) <= set(range(last + 1 + reordered))


def test_what_is_missing_is_a_pause_and_the_rest_is_there(tmp_path: Path, clips: dict[str, Clip]) -> None:
    coded = list(coded_of(clips["gop 25"]))
    tape = Tape(seconds=60)
    tape.begin(H264)
    put_all(tape, coded[:50] + coded[100:150])
    written(TapeCut(tape.reader(0), part=tmp_path / "p", clip=tmp_path / "c.mp4"), 149 * STEP - 1)
    assert numbers_in(tmp_path / "c.mp4") == [*range(50), *range(100, 149)]


def test_nothing_that_came_makes_no_file(tmp_path: Path) -> None:
    cut = TapeCut(Tape(seconds=3).reader(0), part=tmp_path / "x" / "p", clip=tmp_path / "x" / "c")
    assert cut.write(100) == 0
    assert cut.end() is None
    assert list(tmp_path.iterdir()) == []
    cut.drop()


def test_what_is_dropped_leaves_nothing_and_nobody_waits_for_it(tmp_path: Path, clips: dict[str, Clip]) -> None:
    tape = filled(clips["gop 25"], seconds=3)
    cut = TapeCut(tape.reader(0), part=tmp_path / "p", clip=tmp_path / "c.mp4")
    cut.write(200 * STEP)
    assert (tmp_path / "p").exists()
    cut.drop()
    assert list(tmp_path.iterdir()) == []
    assert tape.wait_for_room(0.0)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("codec", sorted(REMUXED))
def test_a_stream_that_is_not_understood_leaves_nothing_open_however_many_events_it_has(
    tmp_path: Path, codec: str
) -> None:
    tape = Tape(seconds=60)
    tape.begin(CodecFacts(codec=codec, extradata=b""))
    for n in range(10):
        packet = av.Packet(bytes(range(n, 100 + n)))
        tape.put(Coded(packet=packet, pts_ns=n * STEP, key=n == 0, arrived_ns=n * STEP, waited=True), n * STEP)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for n in range(5):
        cut = TapeCut(tape.reader(0), part=tmp_path / f"{n}.part", clip=tmp_path / f"{n}.mp4")
        with pytest.raises(OSError, match=r"."):
            cut.write(LATE)
        cut.drop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_a_crash_left_behind_becomes_a_clip(tmp_path: Path, clips: dict[str, Clip]) -> None:
    cut = TapeCut(filled(clips["hevc"]).reader(0), part=tmp_path / "p", clip=tmp_path / "c.mp4")
    cut.write(250 * STEP)
    (tmp_path / "left").write_bytes((tmp_path / "p").read_bytes())  # as it lies on the disk while it is written
    copy = leftover(tmp_path / "left", tmp_path / "left.mp4")
    done = copy.advance(1 << 30)
    assert done is not None
    assert done.seconds >= 8.0 - 0.1  # the fragment that was begun last is missing
    assert boxes_in(tmp_path / "left.mp4")[:2] == ["ftyp", "moov"]
    found = numbers_in(tmp_path / "left.mp4")
    assert found == list(range(len(found)))
    cut.drop()


def test_a_cutter_knows_its_cameras(tmp_path: Path) -> None:
    cut = cutter({"porch": Tape(seconds=3)})
    assert cut("yard", 0, tmp_path / "p", tmp_path / "c") is None
    assert isinstance(cut("porch", 0, tmp_path / "p", tmp_path / "c"), TapeCut)
