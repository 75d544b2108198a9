"""Decoding and nothing else: the limit that a pipeline on this machine is measured against."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream

from .container import open_container
from .decode import Decoder

if TYPE_CHECKING:
    from .base import SourceSpec


def decode_for(spec: SourceSpec, seconds: float) -> tuple[int, float]:
    """Decode a file on one thread, again from its start whenever it ends.

    Args:
        spec: a file.
        seconds: how long.

    Returns:
        Pictures, and the seconds that they took.

    Raises:
        SourceError: it can't be opened, or holds no picture.
    """
    began_ns = time.monotonic_ns()
    end_ns, pictures = began_ns + round(seconds * NS_PER_S), 0
    while time.monotonic_ns() < end_ns:
        packets = open_container(spec, stopping=lambda: False)
        try:
            decoder, found = Decoder(packets.codec, threads=1), 0
            while time.monotonic_ns() < end_ns:
                found += len(decoder.decode(packets.next()).pictures)
        except EndOfStream:
            if not found:
                break
        finally:
            packets.close()
            pictures += found
    return pictures, (time.monotonic_ns() - began_ns) / NS_PER_S
