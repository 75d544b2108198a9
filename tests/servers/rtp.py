"""RTP packets as the package's own server makes them, and what only a faulty camera sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.bench.rtp import MTU, VIDEO_TYPE, header, packets, sender_report

if TYPE_CHECKING:
    import random

__all__ = ["AUDIO_TYPE", "MTU", "VIDEO_TYPE", "garbled", "header", "packets", "sender_report"]

AUDIO_TYPE = 0  # PCMU


def garbled(packet: bytes, chance: random.Random) -> bytes:
    """Return the packet with a random payload of the same size."""
    return packet[:12] + chance.randbytes(len(packet) - 12)
