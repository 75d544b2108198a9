"""USB cameras: what can be shown without one. A real one was never run here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.container import _device_fd
from streamer.capture.open import open_source
from streamer.core.errors import LostReason, SourceError


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
