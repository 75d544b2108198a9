"""The fixtures themselves: what they show must be what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from servers import barcode
from servers.clip import bar_coded_clip, clip_of_file, write_recording
from servers.rtsp import Mount, RtspServer


@pytest.mark.parametrize("number", [0, 1, 0x5555, 40_000, 0xFFFF])
@pytest.mark.parametrize("size", [(1080, 1920), (96, 160), (360, 641)])
def test_a_number_is_read_back_at_any_size_and_through_noise(number: int, size: tuple[int, int]) -> None:
    luma = np.random.default_rng(1).integers(0, 255, (1080, 1920), np.uint8)
    barcode.draw(luma, number)
    seen = cv2.resize(luma, size[::-1]).astype(np.int16)
    noisy = (seen + np.random.default_rng(2).integers(-20, 20, size)).clip(0, 255).astype(np.uint8)
    assert barcode.read(noisy) == number


def test_no_number_is_read_where_there_is_none() -> None:
    assert barcode.read(np.full((240, 320), 128, np.uint8)) is None


def test_numbers_rise_over_the_loop() -> None:
    count = 0
    for number in (0, 40, 80, 5, 50, 95, 10, 8):
        count = barcode.unwrap(count, number, 100)
    assert count == 208


def test_a_recordings_packets_are_served_as_they_are(tmp_path: Path) -> None:
    write_recording(tmp_path / "x.mp4", frames=30, options={"bf": "2", "preset": "medium"})
    clip = clip_of_file(tmp_path / "x.mp4")
    assert len(clip.units) == 30
    assert sorted(u.pts for u in clip.units) == [n * 3600 for n in range(30)]
    assert {b.due - a.due for a, b in pairwise(clip.units)} == {3600}
    assert min(u.due - u.pts for u in clip.units) == 0
    assert (clip.width, clip.height, clip.duration) == (320, 240, 30 * 3600)


def test_the_clip_ends_where_it_is_not_looped() -> None:
    mount = Mount(clip=bar_coded_clip(seconds=0.4), loop=False)
    options = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "0"}
    with RtspServer({"/cam": mount}) as server, av.open(server.url(), options=options, timeout=(3, 2)) as container:
        seen = [barcode.read(f.reformat(format="gray").to_ndarray()) for f in container.decode(video=0)]
    assert seen == list(range(10))
    assert [n for n, _ in mount.sent] == list(range(10))


def test_the_program_says_its_addresses_and_writes_when_it_sent(tmp_path: Path) -> None:
    program = Path(__file__).parent / "rtsp.py"
    times = tmp_path / "times.csv"
    options = ["--size", "320x240", "--fps", "25", "--seconds", "1", "--cameras", "2"]
    command = [sys.executable, str(program), *options, "--times", str(times)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert len(facts["urls"]) == 2
        assert facts["period"] == 25
        with av.open(facts["urls"][1], options={"rtsp_transport": "tcp"}, timeout=(3, 2)) as container:
            next(container.decode(video=0))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=5) == 0
    camera, number, sent_ns = times.read_text().splitlines()[0].split(",")
    assert (camera, number) == ("/cam1", "0")
    assert int(sent_ns) > 0
