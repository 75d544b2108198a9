"""Clips as files: each codec, fast start, and what a crash leaves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from clip_packets import LATE, S, boxes_in, coded_of, filled, finish, numbers_in, reading_of_file, write_part
from servers.clip import bar_coded_clip, write_recording

from streamer.capture.nal import length_prefixed
from streamer.capture.remux import FastStart, Finished
from streamer.capture.tape import CodecFacts, Tape

if TYPE_CHECKING:
    from servers.clip import Clip

RECORDED = {  # file, encoder, options: one for each codec and way in which a container holds it
    "h264-mp4": ("a.mp4", "libx264", {"g": "10", "bf": "0"}),
    "h264-b-mp4": ("a.mp4", "libx264", {"g": "10", "bf": "2"}),
    "h264-b-ts": ("a.ts", "libx264", {"g": "10", "bf": "2"}),
    "h264-flv": ("a.flv", "libx264", {"g": "10", "bf": "0"}),
    "h264-mkv": ("a.mkv", "libx264", {"g": "10", "bf": "2"}),
    "hevc-mp4": ("a.mp4", "libx265", {"g": "10", "x265-params": "log-level=none:bframes=0"}),
    "hevc-b-ts": ("a.ts", "libx265", {"g": "10", "x265-params": "log-level=none:bframes=2:open-gop=0"}),
    "av1-mp4": ("a.mp4", "libsvtav1", {"g": "10", "preset": "12", "svtav1-params": "pred-struct=1"}),
    "av1-mkv": ("a.mkv", "libsvtav1", {"g": "10", "preset": "12", "svtav1-params": "pred-struct=1"}),
    "mpeg4-avi": ("a.avi", "mpeg4", {"g": "10", "bf": "0"}),
    "mpeg4-mp4": ("a.mp4", "mpeg4", {"g": "10", "bf": "0"}),
}
TAGS = {"h264": "avc1", "hevc": "hvc1", "av1": "av01", "mpeg4": "mp4v"}


@pytest.mark.parametrize("name", RECORDED)
def test_a_clip_holds_every_picture_whatever_codec_and_container_it_came_in(tmp_path: Path, name: str) -> None:
    file, encoder, options = RECORDED[name]
    write_recording(tmp_path / file, frames=40, codec=encoder, options=options)
    reading = reading_of_file(tmp_path / file)
    write_part(tmp_path / "x.part", reading)
    assert numbers_in(tmp_path / "x.part") == list(range(40))
    done = finish(tmp_path / "x.part", tmp_path / "x.mp4")
    assert done.seconds == pytest.approx(40 / 25, abs=0.05)
    assert done.nbytes == (tmp_path / "x.mp4").stat().st_size
    assert numbers_in(tmp_path / "x.mp4") == list(range(40))
    with av.open(str(tmp_path / "x.mp4")) as clip:
        stream = clip.streams.video[0]
        assert stream.codec_context.codec_tag == TAGS[name.partition("-")[0]]
        assert (stream.codec_context.width, stream.codec_context.height) == (320, 240)
        assert [s.type for s in clip.streams] == ["video"]
        shown = [float((f.pts or 0) * (f.time_base or 0)) for f in clip.decode(video=0)]
    assert shown[0] == pytest.approx(0.0, abs=0.09)
    assert [b - a for a, b in pairwise(shown)] == pytest.approx([0.04] * 39, abs=0.002)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return bar_coded_clip(width=160, height=96, seconds=8.0, gop=25)


@pytest.mark.parametrize("budget_bytes", [1, 20_000, 1 << 30])
def test_the_index_stands_in_front_however_small_the_slices(tmp_path: Path, clip: Clip, budget_bytes: int) -> None:
    write_part(tmp_path / "x.part", filled(clip).reader(0).read(LATE))
    finish(tmp_path / "x.part", tmp_path / "x.mp4", budget_bytes)
    boxes = boxes_in(tmp_path / "x.mp4")
    assert boxes.index("moov") < boxes.index("mdat")
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"]
    assert numbers_in(tmp_path / "x.mp4") == list(range(200))


def test_bytes_are_the_camera_s_own(tmp_path: Path, clip: Clip) -> None:
    write_part(tmp_path / "x.part", filled(clip).reader(0).read(LATE))
    finish(tmp_path / "x.part", tmp_path / "x.mp4")
    with av.open(str(tmp_path / "x.mp4")) as container:
        slices = [tuple(length_prefixed(bytes(p), 4))[-1] for p in container.demux(video=0) if p.size]
    assert slices == [unit.nals[-1] for unit in clip.units]


def test_parameter_sets_that_only_the_sdp_holds_are_enough(tmp_path: Path) -> None:
    sent = bar_coded_clip(width=160, height=96, seconds=2.0, gop=10)
    sets = b"".join(b"\x00\x00\x00\x01" + nal for nal in sent.parameter_sets)
    bare = [
        (coded.key, b"".join(b"\x00\x00\x00\x01" + nal for nal in unit.nals if nal[0] & 31 not in (7, 8)), coded)
        for unit, coded in zip(sent.units, coded_of(sent), strict=True)
    ]
    tape = Tape(seconds=60)
    tape.begin(CodecFacts(codec="h264", extradata=sets))
    for n, (_, data, coded) in enumerate(bare):
        packet = av.Packet(data)
        packet.is_keyframe = coded.key
        tape.put(type(coded)(packet=packet, pts_ns=coded.pts_ns, key=coded.key, arrived_ns=0, waited=True), n * S // 25)
    write_part(tmp_path / "x.part", tape.reader(0).read(LATE))
    finish(tmp_path / "x.part", tmp_path / "x.mp4")
    assert numbers_in(tmp_path / "x.mp4") == list(range(50))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.77, 0.999])
def test_a_part_that_broke_off_gives_what_was_whole_in_it(tmp_path: Path, clip: Clip, share: float) -> None:
    part = tmp_path / "x.part"
    write_part(part, filled(clip).reader(0).read(LATE))
    data = part.read_bytes()
    part.write_bytes(data[: round(len(data) * share)])
    done = finish(part, tmp_path / "x.mp4")
    assert not part.exists()
    if share < 0.05:
        assert done == Finished(0.0, 0)
        assert list(tmp_path.iterdir()) == []
        return
    found = numbers_in(tmp_path / "x.mp4")
    assert found == list(range(len(found)))
    assert len(found) >= 200 * share - 50


def test_what_is_no_part_at_all_goes(tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"no film, but a letter" * 100)
    assert finish(tmp_path / "x.part", tmp_path / "x.mp4") == Finished(0.0, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("was", "damaged"), [(b"Lavf", b"\xff\xff\xff\xff"), (b"avc1", b"mp4a"), (b"avc1", b"rv40")])
def test_a_part_that_was_damaged_ends_no_run(tmp_path: Path, clip: Clip, was: bytes, damaged: bytes) -> None:
    """What PyAV can't decode, or can't put into an MP4, it tells by a ValueError, and at the next start again.

    The name of the program that wrote it, damaged, is one that only older ones mind.
    """
    write_part(tmp_path / "x.part", filled(clip).reader(0).read(LATE))
    whole = (tmp_path / "x.part").read_bytes()
    assert was in whole
    (tmp_path / "x.part").write_bytes(whole.replace(was, damaged))
    copy = FastStart(tmp_path / "x.part", tmp_path / "x.mp4")
    try:
        finished = copy.advance(1 << 30)
    except OSError as exc:
        assert "not understood" in str(exc)  # noqa: PT017  it depends on the version of PyAV
    else:
        assert was == b"Lavf"
        assert finished is not None
    copy.close()


def test_a_copy_that_is_left_stays_a_part(tmp_path: Path, clip: Clip) -> None:
    write_part(tmp_path / "x.part", filled(clip).reader(0).read(LATE))
    copy = FastStart(tmp_path / "x.part", tmp_path / "x.mp4")
    assert copy.advance(1000) is None
    copy.close()
    copy.close()
    assert [p.name for p in tmp_path.iterdir()] == ["x.part"]
    finish(tmp_path / "x.part", tmp_path / "x.mp4")
    assert len(numbers_in(tmp_path / "x.mp4")) == 200


def test_a_disk_that_refuses_is_an_os_error(tmp_path: Path, clip: Clip) -> None:
    reading = filled(clip).reader(0).read(LATE)
    with pytest.raises(OSError, match="No such file"):
        write_part(tmp_path / "missing" / "x.part", reading)
    with pytest.raises(OSError, match="No such file"):
        FastStart(tmp_path / "missing.part", tmp_path / "x.mp4", pictures=3).advance(1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_is_an_os_error(clip: Clip) -> None:
    reading = filled(clip).reader(0).read(LATE)
    with pytest.raises(OSError, match="No space left"):
        write_part(Path("/dev/full"), reading)


def test_a_stream_that_is_not_understood_is_an_os_error(tmp_path: Path) -> None:
    junk = bar_coded_clip(width=160, height=96, seconds=0.4, gop=10)
    tape = Tape(seconds=60)
    tape.begin(CodecFacts(codec="h264", extradata=b""))
    for n, coded in enumerate(coded_of(junk)):
        packet = av.Packet(b"\x00\x00\x01\x09" + bytes(50))
        tape.put(type(coded)(packet=packet, pts_ns=coded.pts_ns, key=coded.key, arrived_ns=0, waited=True), n)
    with pytest.raises(OSError, match=r"."):
        write_part(tmp_path / "x.part", tape.reader(0).read(LATE))


@pytest.mark.parametrize(("name", "least"), [("h264-b-ts", 40), ("hevc-mp4", 40), ("av1-mp4", 13), ("mpeg4-avi", 40)])
def test_a_packet_that_is_junk_does_not_cost_the_clip(tmp_path: Path, name: str, least: int) -> None:
    file, encoder, options = RECORDED[name]
    write_recording(tmp_path / file, frames=40, codec=encoder, options=options)
    reading = reading_of_file(tmp_path / file)
    junk = replace(reading.pictures[13], packet=av.Packet(b"\xff" * 40))
    reading = replace(reading, pictures=(*reading.pictures[:13], junk, *reading.pictures[14:]))
    write_part(tmp_path / "x.part", reading)
    done = finish(tmp_path / "x.part", tmp_path / "x.mp4")
    assert done.nbytes == (tmp_path / "x.mp4").stat().st_size
    with av.open(str(tmp_path / "x.mp4")) as clip:
        assert sum(1 for p in clip.demux(video=0) if p.size) >= least - 1
