"""Frames that the detector has seen, kept until the tracks in them are known: the only pictures behind inference."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from .frames import OUTSTANDING

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture, Frame, FrameInfo

_BYTES = 256 << 20  # of all cameras together; then the oldest frames go, and what was in them is looked at later


class KeptFrames:
    """A few frames of each camera, bounded in number and bytes. The inference threads put, the events thread takes."""

    def __init__(self, max_bytes: int = _BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards all below
        self._frames: OrderedDict[tuple[str, int, int], Frame] = OrderedDict()
        self._nbytes = 0

    def keep(self, frame: Frame) -> None:
        """Keep a frame; the oldest of its camera, or of all, make room."""
        with self._lock:
            mine = [key for key in self._frames if key[0] == frame.info.camera]
            for key in mine[: max(0, len(mine) + 1 - OUTSTANDING)]:
                self._drop_locked(key)
            self._frames[_key(frame.info)] = frame
            self._nbytes += frame.picture.nbytes
            while self._nbytes > self._max_bytes:
                self._drop_locked(next(iter(self._frames)))

    def take(self, info: FrameInfo) -> AnyPicture | None:
        """Return a frame's picture, if it is still there, and let go of the camera's older ones."""
        with self._lock:
            wanted = _key(info)
            frame = self._frames.get(wanted)
            for key in [key for key in self._frames if key[0] == wanted[0] and key < wanted]:
                self._drop_locked(key)
        return None if frame is None else frame.picture

    def done(self, info: FrameInfo) -> None:
        """Let go of a frame and the camera's older ones: all that was wanted of it has been taken."""
        wanted = _key(info)
        with self._lock:
            for key in [key for key in self._frames if key[0] == wanted[0] and key <= wanted]:
                self._drop_locked(key)

    def _drop_locked(self, key: tuple[str, int, int]) -> None:
        self._nbytes -= self._frames.pop(key).picture.nbytes


def _key(info: FrameInfo) -> tuple[str, int, int]:
    return info.camera, info.connection, info.seq
