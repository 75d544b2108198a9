"""Compressed pictures as they come, before any is decoded: the seam between a connection and the decoder.

A recorder, a second stream or decoding on demand taps in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import av


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coded:
    """One compressed picture."""

    packet: av.Packet[Any]  # empty at a file's end: the decoder gives what it still holds
    pts_ns: int | None  # None where the stream has no usable stamps
    key: bool  # can be understood without the ones before
    arrived_ns: int  # monotonic: when it was complete
    waited: bool  # it was waited for, so `arrived_ns` is its arrival; False: it had lain ready
    lost: bool = False  # packets between the last one and this one never came
    damaged: bool = False  # it came, but is no picture; `packet` is empty


class PacketReader(Protocol):
    """One open connection, before decoding. Opened, read and closed by one thread."""

    @property
    def codec(self) -> av.VideoCodecContext:
        """The decoder's context for this stream, not yet opened."""

    def next(self) -> Coded:
        """Return the next compressed picture.

        Raises:
            SourceError: the stream is lost.
            EndOfStream: a file has ended, or the pipeline is stopping.
        """

    def close(self) -> None:
        """Release the connection. Idempotent; never raises."""
