"""One client of the RTSP server: its dialogue and its stream."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import random
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from servers import rtp

if TYPE_CHECKING:
    from servers.clip import AccessUnit
    from servers.rtsp import Mount

_NONCE = "5f1f0c7b2a10"
_REALM = "camera"
_REPORT_EVERY_NS = 5_000_000_000
_STATUS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 461: "Unsupported Transport"}


class Session:
    """Answers requests on the handler's thread, sends video on one of its own."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        mounts: dict[str, Mount],
        requests: list[tuple[str, str, dict[str, str]]],
        stop: threading.Event,
    ) -> None:
        self._connection = connection
        self._mounts = mounts
        self._requests = requests
        self._server_stop = stop
        self._stop = threading.Event()
        self._write_lock = threading.Lock()  # guards writing: replies, RTP and RTCP share the connection
        self._udp: dict[int, tuple[socket.socket, tuple[str, int]]] = {}  # channel -> socket and peer
        self._audio = False
        self._sender: threading.Thread | None = None
        self._buffer = b""

    def serve(self) -> None:
        """Answer requests until the client or the server leaves."""
        with contextlib.suppress(OSError):
            while (request := self._request()) is not None:
                self._answer(*request)

    def finish(self) -> None:
        """End the stream and close the connection."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        if self._sender is not None and self._sender is not threading.current_thread():
            self._sender.join(timeout=2.0)
        self._connection.close()
        for peer, _ in self._udp.values():
            peer.close()

    def reset(self) -> None:
        """Close the connection with RST."""
        self._stop.set()
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        spare = self._connection.dup()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._connection.fileno())  # `finish` must not say goodbye
        os.close(nothing)
        spare.shutdown(socket.SHUT_RD)  # wakes the thread in recv(), which holds the socket: else nothing is sent
        spare.close()

    def _request(self) -> tuple[str, str, dict[str, str]] | None:
        """Read one request; interleaved frames of the client (RTCP) are skipped."""
        while True:
            if self._buffer[:1] == b"$" and len(self._buffer) >= 4:
                size = 4 + int.from_bytes(self._buffer[2:4], "big")
                if len(self._buffer) >= size:
                    self._buffer = self._buffer[size:]
                    continue
            elif self._buffer[:1] != b"$" and b"\r\n\r\n" in self._buffer:
                head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                method, url, _ = first.split(" ", 2)
                fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                self._requests.append((method, url, fields))
                return method, url, fields
            data = self._connection.recv(65536)
            if not data:
                return None
            self._buffer += data

    def _mount(self, url: str) -> tuple[str, Mount | None]:
        path = urlsplit(url).path
        path = path.rsplit("/track", 1)[0].rstrip("/")
        return path, self._mounts.get(path)

    def _answer(self, method: str, url: str, fields: dict[str, str]) -> None:
        _, mount = self._mount(url)
        if method == "OPTIONS":
            self._reply(fields, 200, {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"})
        elif mount is None or mount.has_ended():
            self._reply(fields, 404)
        elif method in mount.answers:
            self._reply(fields, mount.answers[method])
        elif not _allowed(mount, method, fields):
            kind = "Digest" if mount.digest else "Basic"
            nonce = f', nonce="{_NONCE}"' if mount.digest else ""
            self._reply(fields, 401, {"WWW-Authenticate": f'{kind} realm="{_REALM}"{nonce}'})
        elif method == "DESCRIBE":
            if self._server_stop.wait(mount.describe_delay_s):
                return
            body = _description(mount, url)
            self._reply(fields, 200, {"Content-Base": url + "/", "Content-Type": "application/sdp"}, body)
        elif method == "SETUP":
            self._set_up(mount, url, fields)
        elif method == "PLAY":
            self._reply(fields, 200, {"Session": "1234;timeout=60", "Range": "npt=now-"})
            sender = threading.Thread(target=self._stream, args=(mount,), name="rtsp-test-sender", daemon=True)
            sender.start()
            self._sender = sender  # only now: whoever ends the session may join it at once
        elif method == "TEARDOWN":
            self._reply(fields, 200, {"Session": "1234"})
            self._stop.set()
        else:
            self._reply(fields, 200, {"Session": "1234;timeout=60"})

    def _set_up(self, mount: Mount, url: str, fields: dict[str, str]) -> None:
        wanted = fields.get("transport", "")
        kind = "tcp" if "interleaved" in wanted or "TCP" in wanted else "udp"
        if kind not in mount.transports:
            self._reply(fields, 461)
            return
        first = 2 if url.endswith("track2") else 0
        self._audio |= first == 2
        answer = f"RTP/AVP/TCP;unicast;interleaved={first}-{first + 1}"
        if kind == "udp":
            ports = [int(p) for p in wanted.split("client_port=")[1].split(";")[0].split("-")]
            for channel, port in zip((first, first + 1), ports, strict=True):
                peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                peer.bind(("127.0.0.1", 0))
                self._udp[channel] = (peer, ("127.0.0.1", port))
            own = [self._udp[c][0].getsockname()[1] for c in (first, first + 1)]
            answer = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={own[0]}-{own[1]}"
        self._reply(fields, 200, {"Session": "1234;timeout=60", "Transport": answer})

    def _reply(
        self, fields: dict[str, str], status: int, more: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        lines = [f"RTSP/1.0 {status} {_STATUS.get(status, 'Error')}", f"CSeq: {fields.get('cseq', '0')}"]
        lines += [f"{k}: {v}" for k, v in (more or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        with self._write_lock:
            self._connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def _stream(self, mount: Mount) -> None:
        """Send the units when they are due.

        Thread: rtsp-test-sender.  Ends: `finish`, `reset`, the client leaves, or the clip's end without loop.
        Blocks on: the next unit's time, sending (the client reads, or `finish` shuts the connection down).
        """
        with contextlib.suppress(OSError):
            _Sender(self, mount).run()
            if not self._stop.is_set():  # the clip has ended
                self._connection.shutdown(socket.SHUT_RDWR)

    def stopped(self, wait_s: float = 0.0) -> bool:
        """Wait for the end of the session; tell whether it has come."""
        return self._stop.wait(wait_s) if wait_s > 0 else self._stop.is_set()

    @property
    def audio(self) -> bool:
        """Whether the client has set up the audio track."""
        return self._audio

    def send(self, channel: int, packets: list[bytes]) -> None:
        """Send packets over the transport that was set up."""
        if self._udp:
            peer, address = self._udp[channel]
            for packet in packets:
                peer.sendto(packet, address)
            return
        data = b"".join(b"$" + bytes([channel]) + len(p).to_bytes(2, "big") + p for p in packets)
        with self._write_lock:
            self._connection.sendall(data)


class _Sender:
    """Walks through a mount's clip at its pace and hands packets to the session."""

    def __init__(self, session: Session, mount: Mount) -> None:
        self._session = session
        self._mount = mount
        self._chance = random.Random(1)
        self._sequence = 65_500  # so that it wraps early
        self._ssrc = self._chance.getrandbits(32)
        self._reported_ns = 0
        self._offset = 4_294_900_000  # so that the time stamps wrap early

    def run(self) -> None:
        mount, clip = self._mount, self._mount.clip
        started_ns = mount.started_ns()
        number = self._first(started_ns)
        while mount.loop or number < len(clip.units):
            turn, place = divmod(number, len(clip.units))
            unit = clip.units[place]
            due_ns = started_ns + self._span_ns(turn * clip.duration + unit.due)
            if self._session.stopped((due_ns - time.monotonic_ns()) / 1e9):
                return
            if not mount.frozen.is_set():
                self._send(unit, number, (turn * clip.duration + unit.pts + self._offset) & 0xFFFFFFFF)
            number += 1

    def _span_ns(self, ticks: int) -> int:
        return round(ticks / 90_000 * 1e9 / self._mount.speed)

    def _first(self, started_ns: int) -> int:
        """Return the number of the first unit to send: the next one, or the next or last key frame."""
        clip = self._mount.clip
        now_ns = time.monotonic_ns() - 1_000_000
        turn, rest = divmod(round((now_ns - started_ns) / 1e9 * 90_000 * self._mount.speed), clip.duration)
        number = max(0, turn * len(clip.units) + sum(unit.due < rest for unit in clip.units))
        step = -1 if self._mount.cached_gop else 1
        while self._mount.start_on_key and number > 0 and not clip.units[number % len(clip.units)].key:
            number += step
        return number

    def _send(self, unit: AccessUnit, number: int, timestamp: int) -> None:
        mount = self._mount
        if time.monotonic_ns() - self._reported_ns > _REPORT_EVERY_NS:
            self._reported_ns = time.monotonic_ns()
            self._session.send(1, [rtp.sender_report(self._ssrc, timestamp)])
        made = list(rtp.packets(unit, timestamp=timestamp, sequence=self._sequence, ssrc=self._ssrc))
        self._sequence += len(made)
        if mount.garbage:
            made = [rtp.garbled(p, self._chance) for p in made]
        if mount.drop_ratio:
            made = [p for p in made if self._chance.random() >= mount.drop_ratio]
        if self._session.audio:
            quiet = rtp.header(rtp.AUDIO_TYPE, number, number * 160, 7) + b"\xff" * 160
            self._session.send(2, [quiet])
        self._session.send(0, made)
        sent_ns = time.monotonic_ns()
        mount.sent.append((number, sent_ns))
        if mount.on_sent is not None:
            mount.on_sent(number, sent_ns)


def _allowed(mount: Mount, method: str, fields: dict[str, str]) -> bool:
    if mount.login is None:
        return True
    user, password = mount.login
    given = fields.get("authorization", "")
    if not mount.digest:
        return given == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    pairs = (item.partition("=") for item in given.removeprefix("Digest ").split(","))
    said = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
    one = _md5(f"{user}:{_REALM}:{password}")
    two = _md5(f"{method}:{said.get('uri', '')}")
    return unquote(said.get("username", "")) == user and said.get("response") == _md5(f"{one}:{_NONCE}:{two}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _description(mount: Mount, url: str) -> bytes:
    clip = mount.clip
    sets = [base64.b64encode(n).decode() for n in clip.parameter_sets]
    fmtp = "packetization-mode=1"
    if clip.codec == "hevc":
        fmtp = ";".join(f"sprop-{k}={v}" for k, v in zip(("vps", "sps", "pps"), sets, strict=True))
    elif mount.parameter_sets:
        fmtp += f";sprop-parameter-sets={','.join(sets)};profile-level-id={clip.parameter_sets[0][1:4].hex()}"
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        f"a=control:{url}/",
        *(["m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=control:track2"] if mount.audio else []),
        "m=video 0 RTP/AVP 96",
        f"a=rtpmap:96 {'H265' if clip.codec == 'hevc' else 'H264'}/90000",
        *([f"a=fmtp:96 {fmtp}"] if mount.parameter_sets or clip.codec == "h264" else []),
        "a=control:track1",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
