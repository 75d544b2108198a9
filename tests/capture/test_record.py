"""A scene as a recording: written, taken apart, decoded and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest

from streamer.capture.bare import decode_for
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.coded import RTP_HZ, clip_of_file
from streamer.capture.record import KEY_EVERY_S, record_scene
from streamer.core.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


def spec(path: Path) -> SourceSpec:
    return SourceSpec(camera="x", url=str(path), delivery=Delivery.EVERY)


def test_a_recorded_scene_looks_like_a_cameras_stream(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    assert record_scene(clip, size=(160, 96), fps=10, seconds=4.5, seed=3) == 45
    coded = clip_of_file(clip)
    assert (coded.width, coded.height, coded.duration) == (160, 96, 45 * RTP_HZ // 10)
    assert [n for n, unit in enumerate(coded.units) if unit.key] == list(range(0, 45, KEY_EVERY_S * 10))
    assert [unit.pts for unit in coded.units] == [unit.due for unit in coded.units]  # no B-frames: nothing waits
    assert {nal[0] & 31 for nal in coded.parameter_sets} == {7, 8}


def test_equal_seeds_record_the_same_pictures(tmp_path: Path) -> None:
    pictures = []
    for name in ("a.mp4", "b.mp4"):
        record_scene(tmp_path / name, size=(160, 96), fps=10, seconds=0.3, seed=5)
        with av.open(str(tmp_path / name)) as container:
            pictures.append([frame.to_ndarray(format="gray").tobytes() for frame in container.decode(video=0)])
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) == 3


def test_decoding_begins_again_until_the_time_is_over(tmp_path: Path) -> None:
    record_scene(tmp_path / "clip.mp4", size=(64, 64), fps=10, seconds=0.3, seed=1)
    pictures, elapsed_s = decode_for(spec(tmp_path / "clip.mp4"), 0.3)
    assert pictures > 3
    assert 0.3 <= elapsed_s < 5.0


def test_what_can_not_be_decoded_does_not_go_on_for_ever(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"nothing that FFmpeg knows")
    with pytest.raises(SourceError):
        decode_for(spec(tmp_path / "x.mp4"), 0.2)
    with pytest.raises(SourceError):
        decode_for(spec(tmp_path / "nowhere.mp4"), 0.2)


def test_only_h264_in_mp4_is_served(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 64, 64
        out.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"only H\.264 in MP4 can be served"):
        clip_of_file(tmp_path / "x.avi")
