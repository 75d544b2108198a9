"""MJPEG over HTTP through `open_source`."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from host_picture import on_host
from servers import barcode
from servers.mjpeg import MjpegServer

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.core.errors import LostReason, SourceError
from streamer.core.frame import ColorRange, PixelFormat

if TYPE_CHECKING:
    from streamer.capture.base import Source


def opened(url: str) -> Source:
    spec = SourceSpec(camera="c", url=url, delivery=Delivery.NEWEST, read_timeout_s=0.6, open_timeout_s=2.0)
    return open_source(spec, stopping=lambda: False, dropped=lambda *_: None)


def read_until_lost(source: Source) -> LostReason:
    try:
        with pytest.raises(SourceError) as caught:
            for _ in range(500):
                source.read()
    finally:
        source.close()
    return caught.value.reason


def test_pictures_come_in_order_full_range_and_dated_by_their_arrival() -> None:
    with MjpegServer(login=("admin", "hunter2")) as server:
        source = opened(server.url(userinfo="admin:hunter2"))
        grabs = []
        for _ in range(15):
            grab = source.read()
            grabs.append((barcode.read(on_host(grab.picture).planes[0]), time.monotonic_ns() - grab.captured_ns))
        source.close()
    assert {(b or 0) - (a or 0) for (a, _), (b, _) in pairwise(grabs)} == {1}
    assert max(age for _, age in grabs) < 100_000_000
    assert grab.picture.format is PixelFormat.I420
    assert grab.picture.range is ColorRange.FULL


def test_a_frozen_and_a_closed_stream_are_lost() -> None:
    with MjpegServer() as server:
        source = opened(server.url())
        source.read()
        server.frozen.set()
        assert read_until_lost(source) is LostReason.FROZEN
    with MjpegServer(pictures=5) as server:
        assert read_until_lost(opened(server.url())) is LostReason.ENDED


@pytest.mark.parametrize(
    ("status", "reason"), [(404, LostReason.NOT_FOUND), (403, LostReason.LOGIN), (503, LostReason.FAULT)]
)
def test_refusals_have_their_reason(status: int, reason: LostReason) -> None:
    with MjpegServer(status=status) as server, pytest.raises(SourceError) as caught:
        opened(server.url(userinfo="admin:hunter2"))
    assert caught.value.reason is reason
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_wrong_password_is_a_login_fault() -> None:
    with MjpegServer(login=("admin", "right")) as server, pytest.raises(SourceError) as caught:
        opened(server.url(userinfo="admin:hunter2"))
    assert caught.value.reason is LostReason.LOGIN
    assert "hunter2" not in str(caught.value)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = b"<!DOCTYPE html>\n<title>Camera</title>\n<form>Please log in</form>\n" * 200
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        pass


def test_a_page_in_the_streams_place_is_no_video() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(SourceError, match="it gives no video") as caught:
                opened(f"http://127.0.0.1:{server.server_port}/page.txt")
        finally:
            server.shutdown()
            thread.join(5)
    assert caught.value.reason is LostReason.CODEC
