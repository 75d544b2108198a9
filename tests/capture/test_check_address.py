from __future__ import annotations

import pytest

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import check_address
from streamer.core.errors import ConfigError


@pytest.mark.parametrize(
    "url", ["synthetic:nothing", "synthetic:shapes?fps=0", "usb:0?colour=red", "csi:x", "ftp://192.0.2.1/x"]
)
def test_an_address_that_can_never_work_is_told_without_opening_it(url: str) -> None:
    with pytest.raises(ConfigError):
        check_address(SourceSpec(camera="yard", url=url, delivery=Delivery.NEWEST))


@pytest.mark.parametrize(
    "url", ["synthetic:shapes?seconds=3", "rtsp://192.0.2.1/x", "usb:0", "clip.mp4", "gst:x", "csi:0"]
)
def test_one_that_may_work_passes(url: str) -> None:
    check_address(SourceSpec(camera="yard", url=url, delivery=Delivery.NEWEST))


@pytest.mark.parametrize("url", ["usb:0?abc", "/dev/video0?size", "/dev/video0?size=&fps=5", "usb:0?&"])
def test_options_that_are_not_written_as_such_are_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match=r"as in .*\?size=1280x720&fps=30"):
        check_address(SourceSpec(camera="yard", url=url, delivery=Delivery.NEWEST))
