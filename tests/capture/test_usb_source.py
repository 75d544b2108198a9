"""USB cameras: what can be shown without one, some of it by a made driver. A real one was never run here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import av
import pytest
from servers.clip import write_recording

from streamer.capture.av_options import Opening
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.container import ContainerPackets, _device_fd
from streamer.capture.open import open_source
from streamer.core.errors import LostReason, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = Path(__file__).resolve().parents[1] / "servers" / "v4l2_driver.c"
READER = """
import json, sys, time
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.core.errors import SourceError

url, count = sys.argv[1], int(sys.argv[2])
spec = SourceSpec(camera="c", url=url, delivery=Delivery.EVERY, open_timeout_s=1.0, read_timeout_s=0.5)
began, pictures, lost = time.monotonic(), [], None
try:
    source = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
    pictures = [source.read().picture for _ in range(count)]
    source.close()
except SourceError as exc:
    lost = exc.reason.value
seen = [[int(plane.min()) for plane in p.planes] + [int(plane.max()) for plane in p.planes] for p in pictures]
print(json.dumps({"seen": seen, "lost": lost, "waited_s": time.monotonic() - began}))
"""


def test_a_camera_that_is_not_there_is_not_found() -> None:
    if Path("/dev/video99").exists():
        pytest.skip("this machine has a 99th camera")
    spec = SourceSpec(camera="c", url="usb:99", delivery=Delivery.NEWEST)
    with pytest.raises(SourceError, match="usb:99") as caught:
        open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
    assert caught.value.reason is LostReason.NOT_FOUND


def test_the_devices_descriptor_is_found_and_no_read_of_it_can_block(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    device = tmp_path / "video0"
    os.mkfifo(device)
    fd = os.open(device, os.O_RDWR)
    try:
        assert _device_fd(str(device)) == fd
        assert not os.get_blocking(fd)
        assert _device_fd(str(tmp_path / "video1")) is None
    finally:
        os.close(fd)


def test_what_lies_in_the_drivers_memory_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.avi"
    write_recording(path, codec="rawvideo", frames=3)
    lent: list[av.Packet[Any]] = []
    read = ContainerPackets._read

    def noted(self: ContainerPackets) -> av.Packet[Any] | None:
        packet = read(self)
        assert packet is not None
        lent.append(packet)
        return packet

    monkeypatch.setattr(ContainerPackets, "_read", noted)
    packets = ContainerPackets(
        av.open(str(path)),
        spec=SourceSpec(camera="c", url="usb:0", delivery=Delivery.EVERY),
        opening=Opening(file=str(path), format="v4l2", options={}),
        stopping=lambda: False,
    )
    given = packets.next().packet
    assert given.buffer_ptr != lent[0].buffer_ptr
    assert bytes(given) == bytes(lent[0])
    assert (given.pts, given.dts, given.time_base) == (lent[0].pts, lent[0].dts, lent[0].time_base)
    assert given.is_keyframe
    packets.close()


@contextmanager
def camera_of_a_made_driver(tmp_path: Path) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Yield a device's path, a descriptor that takes its pictures, and the environment in which it is a camera."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux") or not Path("/dev/shm").is_dir():  # noqa: S108  a fifo
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path / "driver.so"
    subprocess.run([compiler, "-shared", "-fPIC", str(DRIVER), "-o", str(library), "-ldl"], check=True, timeout=8)
    with TemporaryDirectory(dir="/dev/shm", prefix="streamer-test-") as folder:  # devices have names in /dev
        device = Path(folder) / "video0"
        os.mkfifo(device)
        fd = os.open(device, os.O_RDWR)
        try:
            yield str(device), fd, {**os.environ, "LD_PRELOAD": str(library)}
        finally:
            os.close(fd)


def read_in_a_process(device: str, count: int, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", READER, device, str(count)],
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        timeout=15,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-500:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.timeout(30)
def test_pictures_outlive_the_memory_of_the_driver(tmp_path: Path) -> None:
    with camera_of_a_made_driver(tmp_path) as (device, fd, environment):
        os.write(fd, bytes(range(50, 60)))
        answer = read_in_a_process(device, 10, environment)
    assert answer["lost"] is None
    assert answer["seen"] == [[value] * 4 for value in range(50, 60)]


@pytest.mark.timeout(30)
def test_a_camera_that_hangs_from_the_start_is_given_up(tmp_path: Path) -> None:
    with camera_of_a_made_driver(tmp_path) as (device, _, environment):
        answer = read_in_a_process(device, 1, environment)
    assert answer["lost"] == LostReason.FROZEN.value
    assert 1.0 < answer["waited_s"] < 4.0  # opening and reading have a limit each


@pytest.mark.timeout(30)
def test_a_camera_that_hangs_later_is_given_up(tmp_path: Path) -> None:
    with camera_of_a_made_driver(tmp_path) as (device, fd, environment):
        os.write(fd, bytes(range(50, 60)))
        answer = read_in_a_process(device, 11, environment)
    assert answer["lost"] == LostReason.FROZEN.value
    assert answer["waited_s"] < 3.0
