"""Eight RTSP cameras of which four are good; and the drawn scene that all of them show.

    python tests/servers/faulty.py --clip scene.mp4 --loops loops.csv

The program prints one JSON object with the URLs by name, and serves until its stdin closes or it is signalled. `good0`
to `good3` play the clip again and again; `frozen` stops sending after 8 s and keeps its connection; `login` wants
another password than its URL has; `garbage` sends noise in place of pictures; `moving` can't be reached for 5 s after
each 5 s.
For each good camera `name,turn,utc_ns` is appended to `--loops` when it begins the clip anew.
"""

from __future__ import annotations

import argparse
import errno
import json
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if not __package__:  # run as a program
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.clip import Clip, clip_of_file
from servers.rtsp import Mount, RtspServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

GOOD = ("good0", "good1", "good2", "good3")
LOGIN = ("admin", "the-true-Passw0rd")
WRONG = "wrong-Sekret-42"  # what the URL says in its place
FPS = 15
_FREEZE_AFTER_S = 8.0
_TURN_S = 5.0


def record_scene(path: Path, *, seed: int, seconds: float, empty_s: float = 3.0) -> None:
    """Write the shapes scene as a film, 640x360; its last `empty_s` show nobody, so no event spans the loop's seam.

    Args:
        path: an MP4.
        seed: which scene.
        seconds: of the film.
        empty_s: how much of it, at its end, shows the background alone.
    """
    import av  # noqa: PLC0415  only whoever draws needs it

    from streamer.capture.scenes.backdrop import Backdrop  # noqa: PLC0415
    from streamer.capture.scenes.shapes import Scene  # noqa: PLC0415

    scene, backdrop = Scene(seed, 640, 360), Backdrop(seed, 640, 360)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "veryfast", "g": str(FPS), "bf": "0", "crf": "23"}
        for number in range(round(seconds * FPS)):
            if number < (seconds - empty_s) * FPS:
                picture = scene.at(number / FPS).bgr
            else:
                picture = backdrop.picture()
                backdrop.add_noise(picture, number)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))


class MovingServer:
    """One camera on a port of its own that can be taken away, politely (FIN) or not (RST), and be brought back."""

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._server: RtspServer | None = None
        self._port = 0
        self.url = ""

    def __enter__(self) -> MovingServer:  # noqa: PYI034  typing.Self is not in Python 3.10
        self.come()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go()

    def come(self) -> None:
        """Listen, at the same port as ever."""
        for attempt in range(20):  # a connection of somebody else may just have this port
            server = RtspServer({"/cam": self._mount}, port=self._port)
            try:
                server.__enter__()
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE or attempt == 19:
                    raise
                threading.Event().wait(0.1)
            else:
                break
        self._server = server
        self.url = server.url()
        self._port = int(self.url.rpartition(":")[2].partition("/")[0])

    def go(self, *, rudely: bool = False) -> None:
        """Leave the clients alone and listen no more."""
        server, self._server = self._server, None
        if server is not None:
            if rudely:
                server.reset_clients()
            server.__exit__()

    def loop(self, stop: threading.Event) -> None:
        """Come and go until `stop`.

        Thread: moving-test.  Ends: `stop` is set.  Blocks on: `stop`, 5 s.
        """
        rudely = False
        while not stop.wait(_TURN_S):
            if self._server is None:
                self.come()
            else:
                self.go(rudely=rudely)
                rudely = not rudely


def mounts(clip: Clip, note: Callable[[str], Callable[[int, int], None]]) -> dict[str, Mount]:
    """Return the seven cameras that share a port, by path."""
    return {
        **{f"/{name}": Mount(clip=clip, on_sent=note(name)) for name in GOOD},
        "/frozen": Mount(clip=clip),
        "/login": Mount(clip=clip, login=LOGIN, digest=True),
        "/garbage": Mount(clip=clip, garbage=True),
    }


def _noting(out: TextIO, period: int) -> Callable[[str], Callable[[int, int], None]]:
    utc_offset_ns = time.time_ns() - time.monotonic_ns()

    def note(name: str) -> Callable[[int, int], None]:
        def sent(number: int, sent_ns: int) -> None:
            if number % period == 0:
                out.write(f"{name},{number // period},{sent_ns + utc_offset_ns}\n")

        return sent

    return note


def main() -> None:
    """Serve until stdin closes or a signal comes."""
    parser = argparse.ArgumentParser(description="Serve eight RTSP cameras, four of them faulty, on 127.0.0.1")
    parser.add_argument("--clip", type=Path, required=True, help="an MP4 with H.264")
    parser.add_argument("--loops", type=Path, required=True, help="file to which name,turn,utc_ns is appended")
    args = parser.parse_args()
    clip = clip_of_file(args.clip)
    stop = threading.Event()
    with ExitStack() as stack:
        loops = stack.enter_context(args.loops.open("a", buffering=1))
        served = mounts(clip, _noting(loops, len(clip.units)))
        server = stack.enter_context(RtspServer(served))
        moving = stack.enter_context(MovingServer(Mount(clip=clip)))
        mover = threading.Thread(target=moving.loop, args=(stop,), name="moving-test")
        stack.callback(mover.join, timeout=5.0)
        stack.callback(stop.set)
        mover.start()
        freezer = threading.Timer(_FREEZE_AFTER_S, served["/frozen"].frozen.set)
        stack.callback(freezer.cancel)
        freezer.start()
        urls = {path[1:]: server.url(path) for path in served} | {"moving": moving.url}
        urls["login"] = server.url("/login", userinfo=f"{LOGIN[0]}:{WRONG}")
        print(json.dumps({"urls": urls, "duration_s": clip.duration / 9e4}), flush=True)  # noqa: T201  the answer
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))
        sys.stdin.read()


if __name__ == "__main__":
    main()
