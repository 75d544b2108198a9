"""Recordings that begin again when they end, so that a short clip serves a measurement of any length."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.capture.open import is_finite, open_source
from streamer.core.errors import EndOfStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.capture.base import DropCause, Grab, OpenSource, Source, SourceSpec


class LoopedSource:
    """A finite source, opened anew at its end; times go on rising."""

    def __init__(self, open_again: Callable[[], Source], *, stopping: Callable[[], bool]) -> None:
        self._open_again = open_again
        self._stopping = stopping
        self._source = open_again()
        self.live = self._source.live
        self._shift_ns = 0  # from the present turn's own times to ours
        self._first_ns: int | None = None  # of the present turn, its own time
        self._last_ns = self._step_ns = 0

    def read(self) -> Grab:
        """Return the next picture, the first again after the last one.

        Raises:
            EndOfStream: `stopping()` is true, or a turn gives no picture.
            SourceError: as the source does.
        """
        try:
            grab = self._source.read()
        except EndOfStream:
            if self._stopping() or self._first_ns is None:
                raise
            self._source.close()
            if not self.live:  # what is live takes its times from the clock
                self._shift_ns += self._last_ns + self._step_ns - self._first_ns
            self._first_ns = None
            self._source = self._open_again()
            grab = self._source.read()
        if self._first_ns is None:
            self._first_ns = grab.captured_ns
        else:
            self._step_ns = grab.captured_ns - self._last_ns
        self._last_ns = grab.captured_ns
        return replace(grab, captured_ns=grab.captured_ns + self._shift_ns)

    def close(self) -> None:
        """Close what is open."""
        self._source.close()


def open_looped(
    spec: SourceSpec,
    *,
    stopping: Callable[[], bool],
    dropped: Callable[[DropCause, int], None],
    opener: OpenSource = open_source,
) -> Source:
    """Open a source; one that would end begins again instead.

    Raises:
        SourceError: it can't be opened now.
        EndOfStream: `stopping()` became true meanwhile.
    """

    def opened() -> Source:
        return opener(spec, stopping=stopping, dropped=dropped)

    return LoopedSource(opened, stopping=stopping) if is_finite(spec.url) else opened()
