"""What the pipeline asks of a camera, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.frame import AnyPicture

    from .tape import Tape


class Delivery(str, Enum):
    """Which frames of a source are looked at."""

    NEWEST = "newest"  # skip what is late
    EVERY = "every"  # in order, none skipped


class DropCause(str, Enum):
    """Why a frame that a camera sent was not decoded or not offered."""

    LATE = "late"  # the socket lagged: packets up to the next key frame were left undecoded
    CORRUPT = "corrupt"  # the decoder refused it
    MISSING = "missing"  # a gap in the time stamps: lost on the way
    IDLE = "idle"  # nothing moved, and it was no key frame


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """An address and how to read it. `url` may hold a password: `repr` does not show it."""

    camera: str
    url: str
    delivery: Delivery
    read_timeout_s: float = 3.0
    open_timeout_s: float = 5.0
    transport: str = "auto"  # RTSP: auto (TCP, then UDP) | tcp | udp
    epoch_ns: int | None = None  # monotonic: when a recording's first picture counts as captured; None: at its opening
    decode: str = "auto"  # auto: on `hardware` if it can | cpu | gpu: on a GPU, or the source fails
    idle: Callable[[], bool] | None = None  # asked with each packet: True while nothing moves; None: decode them all
    idle_look_s: float = 4.0  # of an idle camera, a key frame is decoded at least so often, where there is one
    hardware: int | None = None  # index of the GPU that looks at the pictures, which may stay there; None: no GPU does
    tape: Tape | None = None  # gets every packet as it comes, for clips; None: nobody wants any

    def __repr__(self) -> str:
        return f"SourceSpec(camera={self.camera!r})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grab:
    """One decoded picture and the best estimate of when its light hit the camera."""

    picture: AnyPicture
    captured_ns: int  # monotonic
    recalled: bool = False  # decoded after the fact, from packets kept while nothing moved


class Source(Protocol):
    """One open connection to one camera. Opened, read and closed by one thread; a context manager owns it."""

    @property
    def live(self) -> bool:
        """Whether time passes on its own (a camera), or the frames wait for us (a file)."""

    def read(self) -> Grab:
        """Return the next picture.

        Blocks at most about `read_timeout_s`; of an idle camera up to its next key frame, 12 s.

        Raises:
            SourceError: the stream is lost; `reason` says why. The source can only be closed now.
            EndOfStream: a finite source has ended, or `stopping()` became true.
        """

    def close(self) -> None:
        """Release the connection. Idempotent; never raises."""


class OpenSource(Protocol):
    """The signature of `open_source`, so that tests can pass another."""

    def __call__(
        self,
        spec: SourceSpec,
        *,
        stopping: Callable[[], bool],
        dropped: Callable[[DropCause, int], None],
    ) -> Source:
        """Connect and return an open source.

        Args:
            spec: what to open.
            stopping: asked between packets; once true, `read` raises EndOfStream.
            dropped: told of each loss, with its cause and the number of frames.

        Raises:
            SourceError: it can't be opened now.
        """
