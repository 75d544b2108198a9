"""Cameras through `open_source`: a real RTSP server on the other side, and everything that cameras do wrong."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from host_picture import on_host
from servers import barcode
from servers.clip import Clip, bar_coded_clip, clip_of_file
from servers.rtsp import Mount, RtspServer

from streamer.capture import av_source, rtsp_packets
from streamer.capture.base import Delivery, DropCause, Grab, Source, SourceSpec
from streamer.capture.open import open_source
from streamer.capture.rtsp_dialogue import NotUnderstoodError
from streamer.core.errors import EndOfStream, LostReason, SourceError
from streamer.core.frame import PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # streams run at their own pace, and milliseconds are looked at

MS = 1_000_000
PASSWORD = "p@ss/w:rd #1"  # noqa: S105  not a secret, but shaped like one
QUOTED = "p%40ss%2Fw%3Ard%20%231"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return bar_coded_clip(seconds=4.0, gop=10)


@pytest.fixture(params=["own", "ffmpeg"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test over our own RTSP client, and over FFmpeg's."""
    name: str = request.param
    if name == "ffmpeg":
        leave_to_ffmpeg(monkeypatch)
    return name


def leave_to_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotUnderstoodError

    monkeypatch.setattr(av_source, "open_rtsp", refuse)


@contextmanager
def opened(
    url: str,
    drops: Counter[DropCause] | None = None,
    *,
    delivery: Delivery = Delivery.NEWEST,
    transport: str = "auto",
    read_timeout_s: float = 0.6,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Source]:
    counted: Counter[DropCause] = Counter() if drops is None else drops

    def count(cause: DropCause, frames: int) -> None:
        counted[cause] += frames

    spec = SourceSpec(
        camera="c",
        url=url,
        delivery=delivery,
        transport=transport,
        read_timeout_s=read_timeout_s,
        open_timeout_s=1.0,
    )
    source = open_source(spec, stopping=stopping, dropped=count)
    try:
        assert source.live
        yield source
    finally:
        source.close()


def number(grab: Grab) -> int:
    read = barcode.read(on_host(grab.picture).planes[0])
    assert read is not None
    return read


def numbers(source: Source, count: int) -> list[int]:
    return [number(source.read()) for _ in range(count)]


def wait_until_sent(mount: Mount, last: int) -> None:
    """Wait, without reading, until the server has sent frame `last`."""
    there = threading.Event()
    mount.on_sent = lambda sent, _: there.set() if sent >= last else None
    assert there.wait(timeout=8.0)


def read_until_lost(source: Source, limit: int = 500) -> SourceError:
    with pytest.raises(SourceError) as caught:
        for _ in range(limit):
            source.read()
    assert_no_secret(caught.value)
    return caught.value


def assert_no_secret(exc: BaseException | None) -> None:
    while exc is not None:
        assert "p@ss" not in f"{exc!s}{exc!r}{exc.args}"
        assert "p%40ss" not in f"{exc!s}{exc!r}{exc.args}"
        exc = exc.__cause__ or exc.__context__


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_each_picture_arrives_in_order_and_young(client: str, transport: str, codec: str) -> None:
    drops: Counter[DropCause] = Counter()
    mount = Mount(clip=bar_coded_clip(seconds=4.0, gop=10, codec=codec), audio=True)
    with RtspServer({"/cam": mount}) as server, opened(server.url(), drops, transport=transport) as source:
        grabs = []
        for _ in range(30):
            grab = source.read()
            grabs.append((number(grab), grab.captured_ns, time.monotonic_ns()))
    assert {b[0] - a[0] for a, b in pairwise(grabs)} == {1}
    assert not drops
    sent = dict(mount.sent)
    errors_ms = sorted((captured - sent[n]) / MS for n, captured, _ in grabs)
    held_ms = 0 if client == "own" else 40  # FFmpeg's parser waits for the next picture
    assert abs(errors_ms[15] - held_ms) < 15  # the capture time is the moment of sending
    ages_ms = sorted((now - sent[n]) / MS for n, _, now in grabs)
    assert ages_ms[15] < held_ms + 20


def test_the_first_picture_comes_within_half_a_second_of_its_sending(client: str, clip: Clip) -> None:
    mount = Mount(clip=clip)
    with RtspServer({"/cam": mount}) as server, opened(server.url()) as source:
        first = source.read()
        waited_ms = (time.monotonic_ns() - mount.sent[0][1]) / MS
        assert number(first) <= 1, client
        assert waited_ms < 500
        assert mount.sent[-1][0] - number(first) <= 2  # no backlog


def test_a_server_that_sends_what_it_has_kept_does_not_make_us_late(client: str, clip: Clip) -> None:
    mount = Mount(clip=clip, cached_gop=True)
    drops: Counter[DropCause] = Counter()
    with RtspServer({"/cam": mount}) as server, opened(server.url()) as watcher:
        numbers(watcher, 8)  # in the middle of a group of pictures
        with opened(server.url(), drops) as source:
            times = [source.read().captured_ns for _ in range(25)]
            grab = source.read()
            assert (time.monotonic_ns() - grab.captured_ns) / MS < 80, client
    assert times == sorted(times)
    assert not drops


@pytest.mark.parametrize("digest", [False, True])
def test_login(client: str, clip: Clip, *, digest: bool) -> None:
    mount = Mount(clip=clip, login=("admin", PASSWORD), digest=digest)
    with RtspServer({"/cam": mount}) as server:
        with opened(server.url(userinfo=f"admin:{QUOTED}")) as source:
            assert numbers(source, 3) == [0, 1, 2], client
        for userinfo in ("admin:wrong", ""):
            with pytest.raises(SourceError) as caught, opened(server.url(userinfo=userinfo)):
                pass
            assert caught.value.reason is LostReason.LOGIN


def test_rtsps(client: str, clip: Clip, tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=cam -keyout key.pem -out cert.pem"
    try:
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, timeout=8)
    except FileNotFoundError:
        pytest.skip("needs openssl (to make a certificate)")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with RtspServer({"/cam": Mount(clip=clip)}, tls=tls) as server, opened(server.url()) as source:
        got = numbers(source, 20)
        assert got == list(range(got[0], got[0] + 20)), client


def test_a_server_without_tcp_is_asked_for_udp(client: str, clip: Clip) -> None:
    with RtspServer({"/cam": Mount(clip=clip, transports=frozenset({"udp"}))}) as server:
        with opened(server.url()) as source:
            numbers(source, 3)
        with pytest.raises(SourceError) as caught, opened(server.url(), transport="tcp"):
            pass
        assert caught.value.reason is LostReason.FAULT, client


def test_the_size_comes_from_the_stream_and_may_change(client: str) -> None:
    both = bar_coded_clip(seconds=0.4, gop=10) + bar_coded_clip(width=640, height=480, seconds=0.8, gop=10)
    with (
        RtspServer({"/cam": Mount(clip=both, parameter_sets=False)}) as server,
        opened(server.url()) as source,
    ):
        sizes = [(g.picture.width, g.picture.height) for g in (source.read() for _ in range(25))]
    assert sizes[0] == (320, 240), client
    assert sizes[-1] == (640, 480)
    assert len(set(sizes)) == 2


def test_a_client_that_joins_between_key_frames_waits_for_one(client: str, clip: Clip) -> None:
    drops: Counter[DropCause] = Counter()
    with RtspServer({"/cam": Mount(clip=clip, start_on_key=False)}) as server, opened(server.url()) as watcher:
        numbers(watcher, 3)
        with opened(server.url(), drops) as source:
            assert number(source.read()) % 10 == 0, client
    assert not drops


def test_a_camera_that_freezes_is_lost_within_the_limit(client: str, clip: Clip) -> None:
    for transport in ("tcp", "udp"):
        mount = Mount(clip=clip)
        with RtspServer({"/cam": mount}) as server, opened(server.url(), transport=transport) as source:
            numbers(source, 3)
            mount.frozen.set()
            began = time.monotonic()
            assert read_until_lost(source).reason is LostReason.FROZEN, client
            assert 0.5 < time.monotonic() - began < 2.5


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_camera_that_goes_away_is_lost(client: str, clip: Clip, how: str, transport: str) -> None:
    with RtspServer({"/cam": Mount(clip=clip)}) as server, opened(server.url(), transport=transport) as source:
        numbers(source, 3)
        (server.close_clients if how == "close" else server.reset_clients)()
        assert read_until_lost(source).reason in (LostReason.ENDED, LostReason.FROZEN), client


@pytest.mark.parametrize("when", ["from the start", "in mid-stream"])
def test_garbage_is_no_picture(client: str, clip: Clip, when: str) -> None:
    drops: Counter[DropCause] = Counter()
    mount = Mount(clip=clip, garbage=when == "from the start")
    with RtspServer({"/cam": mount}) as server, opened(server.url(), drops) as source:
        if when == "in mid-stream":
            numbers(source, 12)
            mount.garbage = True
        lost = read_until_lost(source)
        assert lost.reason in (LostReason.CODEC, LostReason.FROZEN), client
        if client == "own":
            assert lost.reason is LostReason.CODEC
            assert drops[DropCause.CORRUPT] > 0


def test_garbage_that_ends_is_survived(clip: Clip) -> None:
    drops: Counter[DropCause] = Counter()
    mount = Mount(clip=clip)
    with RtspServer({"/cam": mount}) as server, opened(server.url(), drops, read_timeout_s=3.0) as source:
        numbers(source, 12)
        mount.garbage = True
        wait_until_sent(mount, 18)
        mount.garbage = False
        got = numbers(source, 20)
    after = got[next(i for i, n in enumerate(got) if n >= 18) :]
    assert after[0] % 10 == 0  # whatever refers to the garbage is left out
    assert after == list(range(after[0], after[0] + len(after)))
    assert drops[DropCause.CORRUPT] + drops[DropCause.MISSING] > 0


def test_a_change_of_codec_ends_the_connection_and_the_next_one_works(clip: Clip) -> None:
    mixed = bar_coded_clip(seconds=0.4, gop=10) + bar_coded_clip(seconds=8.0, gop=10, codec="hevc")
    mount = Mount(clip=mixed)
    with RtspServer({"/cam": mount}) as server:
        with opened(server.url()) as source:
            assert read_until_lost(source).reason is LostReason.CODEC
        mount.clip = clip
        with opened(server.url()) as source:
            numbers(source, 3)


@pytest.mark.parametrize(
    ("answers", "path", "reason"),
    [
        ({}, "/nothing", LostReason.NOT_FOUND),
        ({"DESCRIBE": 403}, "/cam", LostReason.LOGIN),
        ({"DESCRIBE": 503}, "/cam", LostReason.FAULT),
        ({"SETUP": 500}, "/cam", LostReason.FAULT),
        ({"PLAY": 404}, "/cam", LostReason.NOT_FOUND),
    ],
)
def test_refusals_have_their_reason(
    client: str, clip: Clip, answers: dict[str, int], path: str, reason: LostReason
) -> None:
    with RtspServer({"/cam": Mount(clip=clip, answers=answers)}) as server:
        with pytest.raises(SourceError) as caught, opened(server.url(path, userinfo=f"admin:{QUOTED}")):
            pass
        assert caught.value.reason is reason, client
        assert_no_secret(caught.value)


def test_a_redirection_is_left_to_ffmpeg_and_its_end_is_ours(clip: Clip) -> None:
    with RtspServer({"/cam": Mount(clip=clip, answers={"DESCRIBE": 302})}) as server:
        with pytest.raises(SourceError), opened(server.url()):
            pass
        assert "OPTIONS" in server.methods()  # FFmpeg begins with it, we do not


def test_nobody_there_and_no_such_name(client: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        port = taken.getsockname()[1]
        with pytest.raises(SourceError) as caught, opened(f"rtsp://admin:{QUOTED}@127.0.0.1:{port}/cam"):
            pass
    assert caught.value.reason is LostReason.REFUSED, client
    assert_no_secret(caught.value)
    with pytest.raises(SourceError) as caught, opened(f"rtsp://admin:{QUOTED}@no-such-camera.invalid/cam"):
        pass
    assert caught.value.reason is LostReason.DNS
    assert_no_secret(caught.value)


@contextmanager
def peer(behaviour: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept connections and treat each as told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        behaviour(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, name="peer-test", daemon=True)
        thread.start()
        yield f"rtsp://admin:{QUOTED}@127.0.0.1:{listener.getsockname()[1]}/cam"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5.0)


def trickle(connection: socket.socket) -> None:
    never = threading.Event()
    while not never.wait(0.05):
        connection.sendall(b"R")


@pytest.mark.parametrize(
    ("behaviour", "reasons"),
    [
        (lambda c: c.makefile("rb").read(), {LostReason.TIMEOUT}),  # says nothing until we leave
        (
            lambda c: c.sendall(b"\x16\x03 SSH-2.0-x\r\n\r\n" * 9),
            {LostReason.FAULT, LostReason.TIMEOUT, LostReason.CODEC},
        ),
        (lambda c: c.close(), {LostReason.ENDED, LostReason.FAULT, LostReason.CODEC}),
        (trickle, {LostReason.TIMEOUT}),
    ],
    ids=["silent", "junk", "closing", "trickling"],
)
def test_strange_peers_are_given_up_within_the_limit(
    client: str, behaviour: Callable[[socket.socket], None], reasons: set[LostReason]
) -> None:
    with peer(behaviour) as url:
        began = time.monotonic()
        with pytest.raises(SourceError) as caught, opened(url):
            pass
        assert time.monotonic() - began < 4.5
    assert caught.value.reason in reasons, client
    assert_no_secret(caught.value)


def test_stopping_ends_a_wait_at_once(clip: Clip) -> None:
    stop = threading.Event()
    mount = Mount(clip=clip)
    with RtspServer({"/cam": mount}) as server:
        with opened(server.url(), stopping=stop.is_set, read_timeout_s=5.0) as source:
            source.read()
            mount.frozen.set()
            timer = threading.Timer(0.2, stop.set)
            timer.start()
            began = time.monotonic()
            with pytest.raises(EndOfStream):
                for _ in range(10):
                    source.read()
            assert time.monotonic() - began < 1.0
            timer.join(timeout=1.0)
        with pytest.raises(EndOfStream), opened(server.url(), stopping=stop.is_set):
            pass


def test_a_reader_that_was_away_goes_on_at_the_live_edge_and_the_rest_is_counted(clip: Clip) -> None:
    drops: Counter[DropCause] = Counter()
    mount = Mount(clip=clip)
    with RtspServer({"/cam": mount}) as server, opened(server.url(), drops) as source:
        before = numbers(source, 12)[-1]
        wait_until_sent(mount, before + 40)  # 1.6 s
        got = numbers(source, 20)
        grab = source.read()
        assert (time.monotonic_ns() - grab.captured_ns) / MS < 500
    skipped = sum(b - a - 1 for a, b in pairwise([before, *got]))
    assert drops == {DropCause.LATE: skipped}
    assert skipped > 10


def test_every_skips_nothing_however_late(clip: Clip) -> None:
    drops: Counter[DropCause] = Counter()
    mount = Mount(clip=clip)
    with RtspServer({"/cam": mount}) as server, opened(server.url(), drops, delivery=Delivery.EVERY) as source:
        before = numbers(source, 12)[-1]
        wait_until_sent(mount, before + 40)
        assert numbers(source, 45) == list(range(before + 1, before + 46))
    assert not drops


def test_packets_lost_on_the_way_cost_pictures_never_pixels() -> None:
    drops: Counter[DropCause] = Counter()
    whole = bar_coded_clip(seconds=10.0, gop=5)
    with (
        RtspServer({"/cam": Mount(clip=whole, drop_ratio=0.05)}) as server,
        opened(server.url(), drops, transport="udp", read_timeout_s=3.0) as source,
    ):
        got = numbers(source, 40)  # each bar code is readable
    missing = sum(b - a - 1 for a, b in pairwise(got))
    assert missing > 0
    assert 0 < drops[DropCause.MISSING] <= missing + 5
    assert drops[DropCause.LATE] == drops[DropCause.CORRUPT] == 0


def test_the_session_is_kept_alive(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_packets, "_KEEPALIVE_NS", 100 * MS)
    mount = Mount(clip=clip, login=("admin", PASSWORD), digest=True)
    with RtspServer({"/cam": mount}) as server, opened(server.url(userinfo=f"admin:{QUOTED}")) as source:
        numbers(source, 12)
        assert server.methods().count("OPTIONS") >= 2
        assert all(f["session"] == "1234" for m, _, f in server.requests if m == "OPTIONS")
    assert server.methods()[-1] == "TEARDOWN"


def test_no_request_holds_the_password(clip: Clip) -> None:
    mount = Mount(clip=clip, login=("admin", PASSWORD), digest=True)
    with RtspServer({"/cam": mount}) as server, opened(server.url(userinfo=f"admin:{QUOTED}")) as source:
        source.read()
    assert all("p%40ss" not in url and "admin" not in url for _, url, _ in server.requests)


def test_an_unsuitable_codec_goes_through_ffmpeg(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_packets, "video_of", lambda *_, **__: None)
    with RtspServer({"/cam": Mount(clip=clip)}) as server, opened(server.url()) as source:
        assert source.read().picture.format is PixelFormat.I420


@pytest.mark.parametrize("name", ["one-by-one-person-detection.mp4", "bottle-detection.mp4"])
def test_real_recordings_are_read_as_from_a_camera(shared_data: Path, name: str) -> None:
    drops: Counter[DropCause] = Counter()
    mount = Mount(clip=clip_of_file(shared_data / "videos" / name))
    with RtspServer({"/cam": mount}) as server, opened(server.url(), drops) as source:
        times = [source.read().captured_ns for _ in range(25)]
    steps_ms = [(b - a) / MS for a, b in pairwise(times)]
    usual_ms = mount.clip.duration / 90 / len(mount.clip.units)
    assert all(abs(step - usual_ms) < 20 for step in steps_ms[5:])  # in order, B-frames and all
    assert abs(times[-1] - mount.started_ns() - 24 * usual_ms * MS) < 50 * MS  # the clip's own time
    assert not drops
