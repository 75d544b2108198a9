"""Events that are posted: what goes with them, and what each answer means."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from servers.broker import wait_until
from servers.hook import HookServer, Posted, Says
from servers.said import Said

from streamer.core.clock import FakeClock, SystemClock
from streamer.publish.base import Message
from streamer.publish.webhook import WebhookOptions, WebhookSink, idempotency_key, open_webhook, signature

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "the-true-Passw0rd"  # noqa: S105  of a test
NOW_S = FakeClock().utc_ns() // 10**9


def event(name: str = "0199c3b2-7d1e-7c44-9a31-5f1f0c7b2a10", seq: int = 0) -> Message:
    payload = json.dumps({"id": name, "seq": seq, "type": "start"}).encode()
    return Message(topic="porch/event", payload=payload, qos=1, retain=False)


@pytest.fixture
def server() -> Iterator[HookServer]:
    with HookServer() as running:
        yield running


Make = Callable[..., WebhookSink]


@pytest.fixture
def made(seed: int) -> Iterator[Callable[..., WebhookSink]]:
    """Sinks on a clock whose pauses take no time."""
    opened: list[WebhookSink] = []

    def make(url: str, clock: FakeClock | SystemClock | None = None, **options: object) -> WebhookSink:
        chosen = replace(WebhookOptions(name="alarm", url=url), **options)  # type: ignore[arg-type]
        opened.append(open_webhook(chosen, clock=clock or FakeClock(), rng=random.Random(seed)))
        return opened[-1]

    yield make
    for sink in opened:
        sink.close()


def sent(sink: WebhookSink, message: Message) -> str | None:
    """Send a message and return what the receiver says."""
    said = Said()
    wait_until(lambda: sink.send(message, said), 5.0, "room")
    return said.wait()


def in_turn(*answers: Says) -> Callable[[Posted], Says]:
    left = list(answers)
    return lambda _: left.pop(0) if left else Says()


def test_an_event_is_posted_as_it_is_with_what_a_receiver_needs(server: HookServer, made: Make) -> None:
    sink = made(server.url("/in/tök n?a=ü"), secret=SECRET, headers={"X-Room": "yard"}, agent="streamer/1.2")
    assert sent(sink, event("e1", 3)) is None
    (posted,) = server.posted()
    assert posted.path == "/in/t%C3%B6k%20n?a=%C3%BC"
    assert posted.body == event("e1", 3).payload
    shown = {name: posted.headers[name] for name in ("content-type", "idempotency-key", "user-agent", "x-room")}
    assert shown == {
        "content-type": "application/json",
        "idempotency-key": "e1-3",
        "user-agent": "streamer/1.2",
        "x-room": "yard",
    }
    assert posted.headers["x-streamer-timestamp"] == str(NOW_S)
    proof = hmac.new(SECRET.encode(), b"%d." % NOW_S + posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["x-streamer-signature"] == f"sha256={proof}"
    assert "authorization" not in posted.headers


def test_without_a_secret_nothing_is_signed(server: HookServer, made: Make) -> None:
    assert sent(made(server.url()), event()) is None
    assert "x-streamer-signature" not in server.posted()[0].headers


def test_a_login_goes_as_one_unless_a_header_says_otherwise(server: HookServer, made: Make) -> None:
    assert sent(made(server.url(userinfo="user:p%40ss")), event()) is None
    assert sent(made(server.url(userinfo="user:x"), headers={"authorization": "Bearer t"}), event()) is None
    shown = [posted.headers["authorization"] for posted in server.posted()]
    assert shown == ["Basic dXNlcjpwQHNz", "Bearer t"]


def test_the_example_of_the_documentation() -> None:
    assert signature("secret", "1700000000", b'{"id":"a","seq":0}') == (
        "sha256=750ef74466c02518cf103116cd018bdea1d8c3c32c4c0fa033ded5e4007cf485"
    )


@pytest.mark.parametrize(
    "body", [b"1", b"[]", b"{}", b"\xff", b"", b'{"id":"a b\\n","seq":0}', b'{"id":1}', b'{"id":"@", "seq":""}']
)
def test_what_is_no_event_has_a_key_that_can_be_sent_and_is_the_same_for_a_repeat(body: bytes) -> None:
    key = idempotency_key(body)
    assert key == idempotency_key(body)
    assert key != idempotency_key(body + b" ")
    assert key.isascii()
    assert key.strip() == key
    assert 0 < len(key) <= 100


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(server: HookServer, made: Make, status: int) -> None:
    server.answer = lambda _: Says(status=status, body=b"" if status == 204 else b"thanks")
    assert sent(made(server.url()), event()) is None
    assert len(server.posted()) == 1


@pytest.mark.parametrize("status", [300, 301, 307, 408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_be_better_later_is_tried_again_under_the_same_key(
    server: HookServer, made: Make, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = in_turn(*[Says(status=status)] * 3)
    sink = made(server.url())
    assert sent(sink, event()) is None
    assert sink.tried_again == 3
    posted = server.posted()
    assert len(posted) == 4
    assert len({(one.body, one.headers["idempotency-key"]) for one in posted}) == 1
    assert f"answered {status}" in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 422, 451])
def test_any_other_4xx_is_a_refusal(server: HookServer, made: Make, status: int) -> None:
    server.answer = in_turn(Says(status=status, body=b"no"))
    sink = made(server.url())
    refusal = sent(sink, event("a"))
    assert refusal is not None
    assert f"answered {status}" in refusal
    assert sent(sink, event("b")) is None
    assert [posted.name() for posted in server.posted()] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "least_s"),
    [("120", 120), ("Tue, 14 Nov 2023 22:15:20 GMT", 120), ("Tue, 14 Nov 2023 22:15:20 -0000", 120), ("soon", 0)],
)
def test_the_receiver_says_when_to_come_again(server: HookServer, made: Make, value: str, least_s: float) -> None:
    server.answer = in_turn(Says(status=503, headers={"Retry-After": value}))
    clock = FakeClock()
    assert sent(made(server.url(), clock), event()) is None
    first, second = (int(posted.headers["x-streamer-timestamp"]) for posted in server.posted())
    assert least_s <= second - first <= max(least_s, 1)


def test_a_redirect_is_not_followed_with_what_is_meant_for_this_address(
    server: HookServer, made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with HookServer() as elsewhere:
        server.answer = in_turn(Says(status=308, headers={"Location": elsewhere.url()}))
        assert sent(made(server.url(), secret=SECRET), event()) is None
        assert elsewhere.posted() == []
    assert "a redirect, which is not followed" in caplog.text


def test_order_holds_through_an_outage(server: HookServer, made: Make) -> None:
    server.answer = in_turn(Says(), Says(status=500), Says(hangs_up=True), Says(status=500))
    sink = made(server.url())
    assert [sent(sink, event(name)) for name in ("a", "b", "c")] == [None] * 3
    assert [posted.name() for posted in server.posted()] == ["a", "b", "b", "b", "b", "c"]


def test_a_backlog_goes_over_one_connection_and_a_rested_one_is_not_used_again(server: HookServer, made: Make) -> None:
    clock = FakeClock()
    sink = made(server.url(), clock)
    for name in ("a", "b", "c"):
        assert sent(sink, event(name)) is None
    clock.advance(1.5)
    assert sent(sink, event("d")) is None
    ports = [posted.connection for posted in server.posted()]
    assert ports[0] == ports[1] == ports[2] != ports[3]


def test_a_connection_that_was_closed_meanwhile_costs_no_pause(server: HookServer, made: Make) -> None:
    server.answer = in_turn(Says(), Says(hangs_up=True), Says())
    sink = made(server.url())
    assert sent(sink, event("a")) is None
    assert sent(sink, event("b")) is None  # the server hung up on the old connection, and took it on a new one
    assert sink.tried_again == 0
    assert [posted.name() for posted in server.posted()] == ["a", "b", "b"]


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_an_answer_of_any_length_is_an_answer(server: HookServer, made: Make, size: int) -> None:
    server.answer = lambda _: Says(status=200, body=b"x" * size)
    sink = made(server.url())
    assert [sent(sink, event(name)) for name in ("a", "b")] == [None, None]
    assert len(server.posted()) == 2


@pytest.mark.parametrize("head", [{}, {"Connection": "close"}])
def test_an_answer_counts_whatever_becomes_of_its_body(server: HookServer, made: Make, head: dict[str, str]) -> None:
    server.answer = lambda _: Says(status=200, headers=head, body=b"x" * 1000, breaks_off=True)
    sink = made(server.url(), timeout_s=0.3)
    assert [sent(sink, event(name)) for name in ("a", "b")] == [None, None]
    assert [posted.name() for posted in server.posted()] == ["a", "b"]


def test_a_receiver_that_says_nothing_or_drips_is_left_after_the_time_limit(
    server: HookServer, made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = threading.Event()

    def slow(_: Posted) -> Says:
        waiting.wait(5.0)
        return Says(hangs_up=True)

    steps: list[Callable[[Posted], Says]] = [slow, lambda _: Says(drips=True)]
    server.answer = lambda posted: steps.pop(0)(posted) if steps else Says()
    sink = made(server.url(), timeout_s=0.3)
    assert sent(sink, event()) is None
    waiting.set()
    assert sink.tried_again == 2
    assert len(server.posted()) == 3
    assert "no answer within 0.3 s" in caplog.text


def test_the_end_breaks_off_what_is_on_its_way(server: HookServer, made: Make) -> None:
    server.answer = lambda _: Says(drips=True)
    said, sink = Said(), made(server.url(), SystemClock(), timeout_s=60.0)
    assert sink.send(event(), said)
    server.until(1)
    sink.close()
    assert not sink._thread.is_alive()
    assert said.refusals == []


def test_an_end_while_it_connects_posts_nothing(
    server: HookServer, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = made(server.url(), SystemClock())
    connect = http.client.HTTPConnection.connect

    def slowly(line: http.client.HTTPConnection) -> None:
        connect(line)
        sink.let_go()  # there was no socket yet that could be shut

    monkeypatch.setattr(http.client.HTTPConnection, "connect", slowly)
    said = Said()
    assert sink.send(event(), said)
    wait_until(lambda: not sink._thread.is_alive(), 5.0, "it has ended")
    assert server.posted() == []
    assert said.refusals == []


def test_why_nobody_is_there(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sink = made(f"http://127.0.0.1:{port}/")
    said = Said()
    assert sink.send(event(), said)
    wait_until(lambda: sink.trouble() is not None, 5.0, "trouble")
    sink.close()
    assert f"http://127.0.0.1:{port}: nothing listens there" in caplog.text
    assert said.refusals == []


def test_what_does_not_speak_http_is_no_answer(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = made(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert sink.send(event(), Said())
        taken, _ = listener.accept()
        with taken:
            taken.recv(10_000)
            taken.sendall(b"SSH-2.0-x\r\n")
            wait_until(lambda: sink.trouble() is not None, 5.0, "trouble")
    sink.close()
    assert "did not answer in HTTP" in caplog.text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*run, "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_tls_is_proved_and_an_unknown_authority_gets_nothing(
    certificate: Path, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with HookServer(tls=context) as server:
        untrusting = made(server.url(), secret=SECRET)
        assert untrusting.send(event(), Said())
        wait_until(lambda: untrusting.trouble() is not None, 5.0, "trouble")
        assert "certificate is not trusted" in (untrusting.trouble() or "")
        untrusting.close()
        assert server.posted() == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        sink = made(server.url())
        assert [sent(sink, event(name)) for name in ("a", "b")] == [None, None]
        server.answer = lambda _: Says(drips=True)
        said = Said()
        assert sink.send(event("c"), said)
        server.until(3)
        sink.close()  # breaks off over TLS, too
        assert not sink._thread.is_alive()
        assert said.refusals == []


@pytest.mark.parametrize(
    "url", ["ftp://host/", "http://", "https:///path", "host/path", "", "http://host:99999/", "http://" + "a" * 70]
)
def test_an_address_that_can_not_be_used_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="must be http"):
        WebhookOptions(name="alarm", url=url)


@pytest.mark.parametrize("headers", [{"Content-Length": "1"}, {"X": "a\nb"}, {"a b": "c"}, {"": "x"}, {"X": "\u20ac"}])
def test_a_header_that_can_not_be_sent_is_refused_at_once(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="the header"):
        WebhookOptions(name="alarm", url="http://host/", headers=headers)


def test_no_secret_is_shown(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    caplog.set_level("DEBUG")
    url = f"http://user:{SECRET}@127.0.0.1:{port}/{SECRET}?token={SECRET}"
    options = WebhookOptions(name="alarm", url=url, secret=SECRET, headers={"X-Token": SECRET})
    sink = made(url, secret=SECRET, headers={"X-Token": SECRET})
    assert sink.send(event(), Said())
    wait_until(lambda: sink.trouble() is not None, 5.0, "trouble")
    sink.close()
    assert SECRET not in f"{options!r}{sink.trouble()}{caplog.text}"
