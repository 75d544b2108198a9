"""Whether a picture is fit to be judged: a verdict on one that shows nothing would be a guess."""

from __future__ import annotations

import statistics
from collections import deque
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.decision import Doubt

if TYPE_CHECKING:
    from streamer.pixels.quality import Quality

_USUAL = 101  # pictures whose median is the camera's usual sharpness
_FEW = 8  # with fewer than these nothing is usual yet


class Fitness:
    """The doubts about the pictures of one camera. Pure; for one thread.

    A blurred picture never becomes the usual one: a lens that is knocked out of focus is doubted until it is put right,
    however long that takes.
    """

    def __init__(
        self, *, dark: float = 0.04, blurred: float = 0.3, frozen_s: float = 1.0, each_frame: bool = True
    ) -> None:
        """Store what is doubted; 0 turns a doubt off.

        Args:
            dark: below this mean brightness, 0..1.
            blurred: below this share of the camera's own usual sharpness.
            frozen_s: for longer than this the very same picture. Where items are fewer than frames, each must show
                something new: the picture of the item before is doubted at once.
            each_frame: whether `check` is shown each frame, or only those of items.

        Raises:
            ValueError: a value is out of range.
        """
        if not 0 <= dark <= 1 or not 0 <= blurred <= 1 or frozen_s < 0:
            raise ValueError(f"dark and blurred 0..1 and frozen_s >= 0 expected, got {dark}, {blurred}, {frozen_s}")
        self._dark = dark
        self._blurred = blurred
        self._frozen_ns = round(frozen_s * NS_PER_S)
        self._each_frame = each_frame
        self._usual: deque[float] = deque(maxlen=_USUAL)
        self._fingerprint: int | None = None
        self._since_ns = 0  # capture time of the first picture with that fingerprint

    def check(self, quality: Quality, captured_ns: int) -> Doubt | None:
        """Return the doubt about the next picture; None if it can be judged."""
        frozen = self._is_frozen(quality.fingerprint, captured_ns)  # first: it must be shown every picture
        if quality.brightness < self._dark:
            return Doubt.DARK
        if self._is_blurred(quality.sharpness):
            return Doubt.BLURRED
        if frozen:
            return Doubt.FROZEN
        self._usual.append(quality.sharpness)
        return None

    def _is_blurred(self, sharpness: float) -> bool:
        return len(self._usual) >= _FEW and sharpness < self._blurred * statistics.median(self._usual)

    def _is_frozen(self, fingerprint: int, captured_ns: int) -> bool:
        if fingerprint != self._fingerprint:
            self._fingerprint, self._since_ns = fingerprint, captured_ns
            return False
        if not self._frozen_ns:
            return False
        return not self._each_frame or captured_ns - self._since_ns > self._frozen_ns
