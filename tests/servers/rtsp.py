"""A real RTSP server in pure Python, with every fault that a camera has, as a fixture or as a program.

    python tests/servers/rtsp.py --cameras 4 --size 1920x1080 --fps 25 --times sent.csv
    python tests/servers/rtsp.py --clip recording.mp4 --path /cam --once

The program prints one JSON object with the URLs, serves until its stdin closes or it is signalled, and appends
`camera,number,sent_ns` (monotonic, the moment the frame's last packet was handed to the kernel) to `--times`.
Numbers rise for ever; the bar code in the picture is `number % len(clip.units)`: `barcode.unwrap` undoes it.
"""

from __future__ import annotations

import argparse
import json
import signal
import socketserver
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a program
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.clip import Clip, bar_coded_clip, clip_of_file
from servers.rtsp_session import Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

Sent = tuple[int, int]  # (number of the frame, monotonic ns of its last packet)


@dataclass(slots=True, kw_only=True, eq=False)
class Mount:
    """What is served under one path, and how it misbehaves. The switches may be turned while clients play."""

    clip: Clip
    loop: bool = True
    speed: float = 1.0
    transports: frozenset[str] = frozenset({"tcp", "udp"})
    login: tuple[str, str] | None = None
    digest: bool = False
    audio: bool = False
    parameter_sets: bool = True  # in the SDP
    start_on_key: bool = True  # False: a client gets whatever comes next, as from most cameras
    answers: dict[str, int] = field(default_factory=dict)  # method -> status, in place of the true answer
    describe_delay_s: float = 0.0
    garbage: bool = False
    drop_ratio: float = 0.0
    cached_gop: bool = False  # send what came since the last key frame at once, as some servers do
    frozen: threading.Event = field(default_factory=threading.Event)
    on_sent: Callable[[int, int], None] | None = None
    sent: list[Sent] = field(default_factory=list)  # appended by the sessions' threads
    _started_ns: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)  # guards _started_ns

    def started_ns(self) -> int:
        """Return when the clip's first unit was due: the moment of the first PLAY."""
        with self._lock:
            if self._started_ns is None:
                self._started_ns = time.monotonic_ns()
            return self._started_ns

    def has_ended(self) -> bool:
        """Tell whether a clip that is not looped has been played to its end."""
        with self._lock:
            started_ns = self._started_ns
        played = self.clip.duration / 90_000 / self.speed
        return not self.loop and started_ns is not None and time.monotonic_ns() - started_ns > played * 1e9


class RtspServer:
    """Serves its mounts on 127.0.0.1 on a free port, from `with` to its end."""

    def __init__(self, mounts: dict[str, Mount], *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.mounts = mounts
        self.requests: list[tuple[str, str, dict[str, str]]] = []  # method, URL, header fields in lower case
        self.sessions: list[Session] = []
        self.tls = tls
        self.stop = threading.Event()
        self._port = port

    def __enter__(self) -> RtspServer:  # noqa: PYI034  typing.Self is not in Python 3.10
        self._server = _Listener(("127.0.0.1", self._port), _Handler)
        self._server.owner = self
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="rtsp-test", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for mount in self.mounts.values():
            mount.frozen.clear()
        for session in list(self.sessions):
            session.finish()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)

    def url(self, path: str = "/cam", *, userinfo: str = "") -> str:
        """Return the address of a mount."""
        at = f"{userinfo}@" if userinfo else ""
        return f"{'rtsps' if self.tls else 'rtsp'}://{at}127.0.0.1:{self._port}{path}"

    def close_clients(self) -> None:
        """Close each connection politely (FIN)."""
        for session in list(self.sessions):
            session.finish()

    def reset_clients(self) -> None:
        """Reset each connection (RST)."""
        for session in list(self.sessions):
            session.reset()

    def methods(self) -> list[str]:
        """Return the methods of all requests so far."""
        return [method for method, _, _ in self.requests]


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    owner: RtspServer

    def handle_error(self, *_: object) -> None:
        """Leave broken connections alone: they are what the tests are about."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        owner = self.server.owner
        connection = self.request
        if owner.tls is not None:
            connection = owner.tls.wrap_socket(connection, server_side=True)
        session = Session(connection, mounts=owner.mounts, requests=owner.requests, stop=owner.stop)
        owner.sessions.append(session)
        try:
            session.serve()
        finally:
            session.finish()
            owner.sessions.remove(session)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve bar-coded or recorded H.264 over RTSP on 127.0.0.1")
    parser.add_argument("--clip", type=Path, help="an MP4 with H.264; absent: bar-coded pictures")
    parser.add_argument("--picture", type=Path, help="a photograph behind the bar code")
    parser.add_argument("--path", default="/cam", help="with several cameras: /cam0, /cam1, ...")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the bar-coded loop")
    parser.add_argument("--gop", type=int, default=50)
    parser.add_argument(
        "--noise", type=float, default=0.0, help="grey levels; 3 makes decoding cost what it usually does"
    )
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--once", action="store_true", help="end the stream with the clip")
    parser.add_argument("--times", type=Path, help="file to which camera,number,sent_ns is appended")
    return parser.parse_args()


def _clip(args: argparse.Namespace) -> Clip:
    if args.clip is not None:
        return clip_of_file(args.clip)
    width, height = (int(n) for n in args.size.split("x"))
    background = None
    if args.picture is not None:
        import av  # noqa: PLC0415  only for a photograph

        with av.open(str(args.picture)) as container:
            photo = next(container.decode(video=0)).reformat(width=width, height=height, format="gray")
        background = photo.to_ndarray()
    return bar_coded_clip(
        width=width,
        height=height,
        fps=args.fps,
        seconds=args.seconds,
        gop=args.gop,
        background=background,
        noise=args.noise,
    )


def main() -> None:
    """Serve until stdin closes or a signal comes."""
    args = _arguments()
    clip = _clip(args)
    paths = [args.path] if args.cameras == 1 else [f"{args.path}{n}" for n in range(args.cameras)]
    with ExitStack() as stack:
        times = stack.enter_context(args.times.open("a", buffering=1)) if args.times else None

        def note(path: str) -> Callable[[int, int], None] | None:
            return None if times is None else lambda number, ns: print(f"{path},{number},{ns}", file=times)

        mounts = {p: Mount(clip=clip, loop=not args.once, speed=args.speed, on_sent=note(p)) for p in paths}
        server = stack.enter_context(RtspServer(mounts, port=args.port))
        facts = {"urls": [server.url(p) for p in paths], "period": len(clip.units), "duration_s": clip.duration / 9e4}
        print(json.dumps(facts), flush=True)  # noqa: T201  the program's answer
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))
        sys.stdin.read()


if __name__ == "__main__":
    main()
