"""Files through `open_source`: every picture, in order, with its time."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest
from host_picture import on_host
from servers import barcode
from servers.clip import annex_b, bar_coded_clip, write_recording

from streamer.capture.av_source import file_threads
from streamer.capture.base import Delivery, DropCause, SourceSpec
from streamer.capture.open import open_source
from streamer.core.errors import EndOfStream, LostReason, SourceError

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000


class Seen(NamedTuple):
    number: int | None
    captured_ns: int
    width: int


def read_all(path: Path, drops: Counter[DropCause] | None = None) -> list[Seen]:
    counted: Counter[DropCause] = Counter() if drops is None else drops
    spec = SourceSpec(camera="c", url=str(path), delivery=Delivery.EVERY)

    def count(cause: DropCause, frames: int) -> None:
        counted[cause] += frames

    source = open_source(spec, stopping=lambda: False, dropped=count)
    assert not source.live
    seen: list[Seen] = []
    try:
        with pytest.raises(EndOfStream):
            while True:
                grab = source.read()
                seen.append(Seen(barcode.read(on_host(grab.picture).planes[0]), grab.captured_ns, grab.picture.width))
    finally:
        source.close()
    return seen


def numbers(seen: list[Seen]) -> list[int | None]:
    return [s.number for s in seen]


def steps_ms(seen: list[Seen]) -> set[int]:
    return {round((b.captured_ns - a.captured_ns) / MS) for a, b in pairwise(seen)}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.mp4", {"options": {"bf": "3", "preset": "medium"}}),  # B-frames: the decoder holds the last ones back
        ("clip.mkv", {"options": {"bf": "3", "preset": "medium"}}),
        ("sound.avi", {"codec": "mpeg4", "audio": True}),
        ("bframes.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
        ("deep.mkv", {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}}),
        ("gray.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
        ("odd.mkv", {"codec": "ffv1", "width": 321, "height": 241}),
    ],
)
def test_each_picture_comes_once_and_in_order(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    write_recording(tmp_path / name, **options)  # type: ignore[arg-type]
    seen = read_all(tmp_path / name)
    assert numbers(seen) == list(range(50))
    assert steps_ms(seen) == {40}


def test_a_stream_without_stamps_goes_at_its_rate(tmp_path: Path) -> None:
    raw = tmp_path / "raw.h264"
    raw.write_bytes(annex_b(bar_coded_clip(b_frames=2)))
    seen = read_all(raw)
    assert numbers(seen) == list(range(50))
    assert steps_ms(seen) == {40}


def test_the_size_may_change_in_mid_stream(tmp_path: Path) -> None:
    raw = tmp_path / "raw.h264"
    raw.write_bytes(annex_b(bar_coded_clip() + bar_coded_clip(width=640, height=480)))
    seen = read_all(raw)
    assert [s.width for s in seen] == [320] * 50 + [640] * 50
    assert numbers(seen) == [*range(50), *range(50)]


def test_after_damage_no_picture_is_invented(tmp_path: Path) -> None:
    clip = bar_coded_clip(seconds=2.0, gop=15)
    damaged = bytearray(annex_b(clip))
    where = damaged.index(clip.units[20].nals[-1]) + 8  # within the second group of pictures, 15 to 29
    damaged[where : where + 60] = b"\xff" * 60
    raw = tmp_path / "raw.h264"
    raw.write_bytes(damaged)
    drops: Counter[DropCause] = Counter()
    found = numbers(read_all(raw, drops))
    assert [n for n in found if n is not None and n < 20] == list(range(20))
    assert found[-20:] == list(range(30, 50))
    assert drops[DropCause.CORRUPT] == 50 - len(found) > 0


def test_a_file_that_breaks_off_ends_there_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = tmp_path / "whole.mkv"
    write_recording(whole, frames=100, options={"g": "10"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with caplog.at_level(logging.WARNING):
        found = numbers(read_all(cut))
    assert found == list(range(len(found)))
    assert 20 < len(found) < 100


@pytest.mark.parametrize(
    ("content", "reason"), [(None, LostReason.NOT_FOUND), (b"no video at all " * 50, LostReason.CODEC), (b"", None)]
)
def test_what_is_no_video_is_refused_with_its_reason(
    tmp_path: Path, content: bytes | None, reason: LostReason | None
) -> None:
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_all(path)
    assert caught.value.reason is (reason or caught.value.reason)
    assert caught.value.__context__ is None


def test_a_recording_of_sound_only_holds_no_video(tmp_path: Path) -> None:
    import wave  # noqa: PLC0415  for this test only

    with wave.open(str(tmp_path / "x.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    with pytest.raises(SourceError, match="holds no video") as caught:
        read_all(tmp_path / "x.wav")
    assert caught.value.reason is LostReason.CODEC


def test_stopping_ends_a_file(tmp_path: Path) -> None:
    write_recording(tmp_path / "x.mkv")
    stop = False
    spec = SourceSpec(camera="c", url=str(tmp_path / "x.mkv"), delivery=Delivery.EVERY)
    source = open_source(spec, stopping=lambda: stop, dropped=lambda *_: None)
    source.read()
    stop = True
    with pytest.raises(EndOfStream):
        for _ in range(50):
            source.read()
    source.close()
    source.close()


def test_all_files_of_a_run_have_one_epoch_whenever_they_are_opened(tmp_path: Path) -> None:
    began_ns = 7_000 * MS
    times = []
    for name in ("a.mkv", "b.mkv"):
        write_recording(tmp_path / name, frames=10)
        spec = SourceSpec(camera="c", url=str(tmp_path / name), delivery=Delivery.EVERY, epoch_ns=began_ns)
        source = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
        times.append([source.read().captured_ns for _ in range(3)])
        source.close()
    assert times[0] == times[1]
    assert times[0][0] == began_ns


def test_threads_follow_the_machine() -> None:
    assert [file_threads(n) for n in (1, 2, 4, 16)] == [1, 1, 2, 4]


@pytest.mark.parametrize(
    ("name", "frames", "span_s"),
    [
        ("bottle-detection.mp4", 1189, 39.82),
        ("one-by-one-person-detection.mp4", 1394, 139.3),
        ("highway-cctv.avi", 748, 29.9),
        ("overhead-road.avi", 374, 12.43),
        ("people-detection-preview.mp4", 23, 1.83),
    ],
)
def test_real_recordings_are_read_to_their_last_picture(
    shared_data: Path, name: str, frames: int, span_s: float
) -> None:
    seen = read_all(shared_data / "videos" / name)
    assert len(seen) == frames
    assert abs((seen[-1].captured_ns - seen[0].captured_ns) / 1e9 - span_s) < 0.15
    assert min(steps_ms(seen)) > 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "A text that FFmpeg would draw, as a terminal does.\n" * 500),
        ("notes", "\x1b[31mred\x1b[0m\n" * 500),
        ("list.ffconcat", "ffconcat version 1.0\nfile other.mp4\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n"),
        ("words.srt", "1\n00:00:01,000 --> 00:00:02,000\nwords\n\n" * 50),
        ("camera.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"),
    ],
)
def test_a_text_is_no_recording_nor_is_a_list_of_others(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    write_recording(tmp_path / "other.mp4", fps=10, frames=5)
    write_recording(tmp_path / "other.ts", fps=10, frames=5)
    with pytest.raises(SourceError, match=r"it holds no video|Invalid data") as caught:
        read_all(tmp_path / name)
    assert caught.value.reason is LostReason.CODEC
