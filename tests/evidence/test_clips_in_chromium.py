"""Clips play in a browser, and begin to while their end has not come yet."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from clip_packets import S, boxes_in, filled, finish, reading_of_file, write_part
from servers.clip import bar_coded_clip, write_recording

from streamer.capture.cut import TapeCut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    Play: TypeAlias = Callable[[Path], dict[str, Any]]

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(90),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
PAGE = """<!doctype html><link rel=icon href="data:,"><video id=v muted src=/clip.mp4></video><script>
const v = document.getElementById("v");
const say = (what) => fetch("/" + what, {method: "POST", body: JSON.stringify({
  what, error: v.error && v.error.message, width: v.videoWidth, height: v.videoHeight, at: v.currentTime,
  seconds: v.duration, frames: v.getVideoPlaybackQuality().totalVideoFrames})});
v.onloadeddata = () => { say("begun"); v.play(); };
v.onended = () => say("ended");
v.onerror = () => say("failed");
</script>"""


class Site:
    """Serves a page with a clip, of which the last third comes only once the browser shows the beginning."""

    def __init__(self, clip: Path) -> None:
        self.clip = clip.read_bytes()
        self.said: dict[str, Any] = {}
        self.begun, self.over = threading.Event(), threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_clip = self.path == "/clip.mp4"
                body = site.clip if is_clip else PAGE.encode()
                self.send_response(200)
                self.send_header("Content-Type", "video/mp4" if is_clip else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                early = len(body) * 2 // 3 if is_clip else len(body)
                self.wfile.write(body[:early])
                if is_clip:
                    site.begun.wait(60.0)
                    self.wfile.write(body[early:])

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                site.said[said["what"]] = said
                if said["what"] == "begun":
                    site.begun.set()
                else:
                    site.over.set()
                    site.begun.set()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Play a clip in a browser of the test's own; return what the page has said."""

    def shown(clip: Path) -> dict[str, Any]:
        site = Site(clip)
        thread = threading.Thread(target=site.server.serve_forever, args=(0.02,), name="chromium-test", daemon=True)
        thread.start()
        flags = [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
        browser = subprocess.Popen(
            [str(CHROMIUM), *flags, site.url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert site.over.wait(60.0), f"the browser said only {site.said}"
        finally:
            browser.terminate()
            browser.wait(10.0)
            site.begun.set()
            site.server.shutdown()
            site.server.server_close()
            thread.join(5.0)
        return site.said

    return shown


def test_a_clip_of_a_camera_plays_to_its_end_and_begins_before_all_of_it_is_there(tmp_path: Path, play: Play) -> None:
    sent = bar_coded_clip(width=320, height=240, seconds=4.0, gop=25, noise=6.0)
    cut = TapeCut(filled(sent).reader(S), part=tmp_path / "p", clip=tmp_path / "c.mp4")
    assert cut.write(3 * S - 1) is None
    copy = cut.end()
    assert copy is not None
    assert copy.advance(1 << 30) is not None
    assert (tmp_path / "c.mp4").stat().st_size > 300_000  # more than a browser reads before it shows anything
    said = play(tmp_path / "c.mp4")
    assert "failed" not in said, said
    assert (said["ended"]["width"], said["ended"]["height"]) == (320, 240)
    assert said["ended"]["seconds"] == pytest.approx(2.0, abs=0.05)
    assert said["ended"]["at"] == pytest.approx(2.0, abs=0.05)
    assert said["ended"]["frames"] >= 45


@pytest.mark.parametrize(
    ("file", "encoder", "options"),
    [
        ("a.ts", "libx264", {"g": "10", "bf": "2"}),
        ("a.mp4", "libsvtav1", {"g": "10", "preset": "12", "svtav1-params": "pred-struct=1"}),
    ],
    ids=["reordered", "av1"],
)
def test_other_streams_play_too(tmp_path: Path, play: Play, file: str, encoder: str, options: dict[str, str]) -> None:
    write_recording(tmp_path / file, frames=40, codec=encoder, options=options)
    write_part(tmp_path / "x.part", reading_of_file(tmp_path / file))
    finish(tmp_path / "x.part", tmp_path / "x.mp4")
    assert boxes_in(tmp_path / "x.mp4")[:2] == ["ftyp", "moov"]
    said = play(tmp_path / "x.mp4")
    assert "failed" not in said, said
    assert said["ended"]["seconds"] == pytest.approx(1.6, abs=0.1)
    assert said["ended"]["frames"] >= 35
