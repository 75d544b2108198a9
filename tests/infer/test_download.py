"""Downloads: redirects, parts, and every way in which a server, a network or a disk says no."""

from __future__ import annotations

import base64
import os
import re
import resource
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.weights import Handler, WeightsServer, etag_of, give, pour, say

from streamer.core.errors import BackendError
from streamer.infer.download import DownloadError, download, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = bytes(range(256)) * 4000  # 1 MB
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 3659407\n"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")  # the servers here are on this machine


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with WeightsServer(files={"/m.onnx": MODEL}) as running:
        yield running


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx.part"


def refused(url: str, part: Path, **options: float) -> str:
    with pytest.raises(DownloadError) as caught:
        download(url, part, size=len(MODEL), **options)  # type: ignore[arg-type]
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_file_comes_whole_and_its_progress_is_told(server: WeightsServer, part: Path) -> None:
    told: list[tuple[int, int | None]] = []
    download(server.url("/m.onnx"), part, size=len(MODEL), progress=lambda done, of: told.append((done, of)))
    assert part.read_bytes() == MODEL
    assert told[-1] == (len(MODEL), len(MODEL))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert os.listdir(part.parent) == [part.name]  # noqa: PTH208  names alone


def test_without_a_known_size_the_servers_is_taken(server: WeightsServer, part: Path) -> None:
    download(server.url("/m.onnx"), part)
    assert part.read_bytes() == MODEL


def test_a_body_without_a_length_ends_with_the_connection(server: WeightsServer, part: Path) -> None:
    server.answers["/m.onnx"] = pour(MODEL)
    download(server.url("/m.onnx"), part, size=len(MODEL))
    assert part.read_bytes() == MODEL


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_lead_to_another_host(server: WeightsServer, part: Path, status: int) -> None:
    with WeightsServer(files={"/a b/m.onnx": MODEL}) as other:
        server.answers["/m.onnx"] = say(
            status, Location=other.url("/a b/m.onnx?sig=1", host="localhost").replace(" ", "%20")
        )
        other.answers["/a%20b/m.onnx?sig=1"] = give(MODEL)
        download(server.url("/m.onnx", login="me:pass%20word@"), part, size=len(MODEL))
        assert part.read_bytes() == MODEL
        assert server.asked[0].authorization == f"Basic {base64.b64encode(b'me:pass word').decode()}"
        assert other.asked[0].authorization is None  # it is for the first host alone


def test_a_part_asks_its_redirected_host_for_the_rest(server: WeightsServer, part: Path) -> None:
    part.write_bytes(MODEL[:1000])
    server.answers["/r"] = say(302, Location=server.url("/m.onnx", host="localhost"))
    download(server.url("/r"), part, size=len(MODEL))
    assert part.read_bytes() == MODEL
    assert server.asked[-1].range == "bytes=1000-"


def test_an_answer_that_is_cut_off_is_gone_on_with(server: WeightsServer, part: Path) -> None:
    server.answers["/m.onnx"] = give(MODEL, stop_after=300_000)
    download(server.url("/m.onnx"), part, size=len(MODEL))
    assert part.read_bytes() == MODEL
    assert [a.range for a in server.asked] == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert {a.if_range for a in server.asked[1:]} == {etag_of(MODEL)}


def test_what_came_stays_for_the_next_time(server: WeightsServer, part: Path) -> None:
    server.answers["/m.onnx"] = give(MODEL, stop_after=100_000)
    assert "was cut off 5 times" in refused(server.url("/m.onnx"), part)
    assert part.read_bytes() == MODEL[:500_000]
    del server.answers["/m.onnx"]
    server.asked.clear()
    download(server.url("/m.onnx"), part, size=len(MODEL))
    assert part.read_bytes() == MODEL
    assert [(a.range, a.if_range) for a in server.asked] == [("bytes=500000-", etag_of(MODEL))]


def test_a_file_that_has_changed_since_comes_whole(server: WeightsServer, part: Path) -> None:
    other = MODEL[::-1]
    server.answers["/m.onnx"] = give(other, stop_after=150_000)
    refused(server.url("/m.onnx"), part)
    del server.answers["/m.onnx"]
    download(server.url("/m.onnx"), part, size=len(MODEL))
    assert part.read_bytes() == MODEL


def test_a_server_without_ranges_starts_anew(server: WeightsServer, part: Path) -> None:
    part.write_bytes(b"x" * 700_000)
    server.answers["/m.onnx"] = give(MODEL, ranges=False)
    download(server.url("/m.onnx"), part, size=len(MODEL))
    assert part.read_bytes() == MODEL


def test_a_weak_etag_proves_nothing_and_is_not_sent(server: WeightsServer, part: Path) -> None:
    server.answers["/m.onnx"] = give(MODEL, stop_after=900_000, etag='W/"1"')
    download(server.url("/m.onnx"), part, size=len(MODEL))
    assert [a.if_range for a in server.asked] == [None, None]
    assert part.read_bytes() == MODEL


def test_what_is_whole_already_asks_nobody(server: WeightsServer, part: Path) -> None:
    part.write_bytes(MODEL)
    download(server.url("/m.onnx"), part, size=len(MODEL))
    assert server.asked == []


@pytest.mark.parametrize("size", [None, len(MODEL)])
def test_a_part_that_is_too_long_is_of_something_else(server: WeightsServer, part: Path, size: int | None) -> None:
    part.write_bytes(MODEL + b"more")
    download(server.url("/m.onnx"), part, size=size)
    assert part.read_bytes() == MODEL


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "there is no such file (HTTP 404)"),
        (410, "no such file any more"),
        (401, "wants a login"),
        (403, "does not give it to us (HTTP 403)"),
        (429, "asked too often"),
        (500, "a fault of its own (HTTP 500); try again later"),
        (503, "a fault of its own (HTTP 503); try again later"),
        (418, "answers HTTP 418"),
    ],
)
def test_each_status_has_its_sentence(server: WeightsServer, part: Path, status: int, said: str) -> None:
    server.answers["/m.onnx"] = say(status, b"<html>no</html>")
    heard = refused(server.url("/m.onnx"), part)
    assert heard.startswith(f"{server.url('/m.onnx')}: ")
    assert said in heard
    assert not part.exists()


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (POINTER, "text/plain", "answers with a git-lfs pointer"),
        (b"  <!DOCTYPE html><title>Log in</title>", "text/html", "answers with a web page"),
        (b"welcome", "text/html; charset=utf-8", "answers with a web page"),
        (b"<html>", "application/octet-stream", "answers with a web page"),
        (b"\x08\x07short", "application/octet-stream", "has 7 bytes, not 1,024,000: it is not the file that is meant"),
        (b"", "application/octet-stream", "has 0 bytes"),
    ],
)
def test_what_is_no_model_is_named_and_takes_nothing_away(
    server: WeightsServer, part: Path, body: bytes, kind: str, said: str
) -> None:
    part.write_bytes(MODEL[:5000])
    server.answers["/m.onnx"] = say(200, body, Content_Type=kind)
    assert said in refused(server.url("/m.onnx"), part)
    assert part.read_bytes() == MODEL[:5000]


def test_a_length_that_lies_is_found_out(server: WeightsServer, part: Path) -> None:
    def less_than_it_says(handler: Handler) -> None:
        handler.head(200, {"Content-Length": len(MODEL)})
        handler.wfile.write(MODEL[:1000] if "Range" not in handler.headers else b"")

    server.answers["/m.onnx"] = less_than_it_says
    assert "was cut off at 0 of 1,024,000 bytes" in refused(server.url("/m.onnx"), part)
    server.answers["/m.onnx"] = pour(MODEL * 2)
    assert "gives more than the 1,024,000 bytes" in refused(server.url("/m.onnx"), part)


def test_another_part_than_was_asked_for_is_refused(server: WeightsServer, part: Path) -> None:
    part.write_bytes(MODEL[:5000])
    server.answers["/m.onnx"] = say(206, MODEL[:10], Content_Range="bytes 0-9/1024000")
    assert "another part of the file" in refused(server.url("/m.onnx"), part)


def test_redirects_without_end_or_to_a_file_are_refused(server: WeightsServer, part: Path) -> None:
    server.answers["/round"] = say(302, Location=server.url("/round"))
    assert "infinite loop" in refused(server.url("/round"), part)
    server.answers["/file"] = say(302, Location="file:///etc/passwd")
    assert "HTTP 302" in refused(server.url("/file"), part)
    assert not part.exists()


def test_a_server_that_stands_still_is_left(server: WeightsServer, part: Path) -> None:
    done = threading.Event()
    server.answers["/m.onnx"] = pour(MODEL[:100], length=len(MODEL), hold=done)
    said = refused(server.url("/m.onnx"), part, idle_s=0.2)
    done.set()
    assert "nothing came for 0 s" in said


def test_a_server_that_drips_is_left(server: WeightsServer, part: Path) -> None:
    done = threading.Event()

    def drip(handler: Handler) -> None:
        handler.head(200, {"Content-Length": len(MODEL)})
        handler.wfile.write(MODEL[:512] if "Range" not in handler.headers else b"")
        while not done.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    server.answers["/m.onnx"] = drip
    said = refused(server.url("/m.onnx"), part, idle_s=0.3)
    done.set()
    assert re.search(r"gave \d+ bytes in 0 s", said)


def test_a_port_where_nobody_listens(part: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        said = refused(f"http://127.0.0.1:{taken.getsockname()[1]}/m.onnx", part)
    assert said.endswith("/m.onnx: refuses the connection")


def test_a_name_that_nobody_knows(part: Path) -> None:
    assert "its name can't be resolved: there is no network" in refused("https://weights.invalid/m.onnx", part)


@pytest.mark.parametrize(
    "url",
    ["", "m.onnx", "ftp://127.0.0.1/m", "http:///m", "http://[1/m", "file:///etc/passwd", "http://127.0.0.1:no/m",
     "http://a\x00b/m", "http://127.0.0.1:0/m", "http://a/\n"],
)  # fmt: skip
def test_an_address_that_is_none(part: Path, url: str) -> None:
    assert refused(url, part).endswith("is no http or https address")


@pytest.mark.parametrize("url", [f"http://{'a' * 300}/m", "http://a..b/m"])
def test_an_odd_name_is_said_in_a_sentence(part: Path, url: str) -> None:
    assert refused(url, part)


def test_what_is_no_web_server(part: Path) -> None:
    def greet(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-x\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=greet, args=(listening,), daemon=True)
        thread.start()
        said = refused(f"http://127.0.0.1:{listening.getsockname()[1]}/m.onnx", part, idle_s=2.0)
        thread.join(timeout=5)
    assert "does not answer as a web server does (BadStatusLine)" in said


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True, timeout=9,
    )  # fmt: skip
    return folder


def test_https_is_checked(certificate: Path, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with WeightsServer(files={"/m.onnx": MODEL}, tls=context) as server:
        said = refused(server.url("/m.onnx", host="localhost"), part)
        assert "its certificate is not trusted (self" in said
        assert "SSL_CERT_FILE" in said
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        download(server.url("/m.onnx", host="localhost"), part, size=len(MODEL))
        assert part.read_bytes() == MODEL
    with WeightsServer() as plain:
        said = refused(plain.url("/m.onnx").replace("http:", "https:"), part.with_name("b.part"))
        assert "no encrypted connection" in said


def test_a_password_is_never_told(server: WeightsServer, part: Path) -> None:
    said = refused(server.url("/none", login="me:geheim@"), part)
    assert "geheim" not in said


def test_the_part_file_is_never_a_link(server: WeightsServer, part: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    part.symlink_to(outside)
    with pytest.raises(BackendError, match=r"m\.onnx\.part: can't be written"):
        download(server.url("/m.onnx"), part, size=len(MODEL))
    assert outside.read_bytes() == b""


def test_a_full_disk_is_said() -> None:
    said = r"m\.part: the disk is full; make room, or choose another folder"
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(BackendError, match=said):
        write_all(full, b"x", Path("m.part"))


def test_a_file_that_grows_too_large_is_said(server: WeightsServer, part: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(BackendError, match=r"m\.onnx\.part: can't be written \(File too large\)"):
            download(server.url("/m.onnx"), part, size=len(MODEL))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert part.read_bytes() == MODEL[:300_000]


def test_a_folder_that_is_not_there(server: WeightsServer, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"can't be written .*STREAMER_CACHE"):
        download(server.url("/m.onnx"), tmp_path / "none" / "m.part", size=len(MODEL))
