"""From a tape to a clip on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .remux import FastStart, open_part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .remux import PartFile
    from .tape import Tape, TapeReader


class TapeCut:
    """One clip on its way. Made by any thread; from then on used by one."""

    def __init__(self, reader: TapeReader, *, part: Path, clip: Path) -> None:
        """Store the parts; no file is made yet.

        Args:
            reader: where the clip begins.
            part: what is written first.
            clip: what becomes of it.
        """
        self._reader = reader
        self._part = part
        self._clip = clip
        self._file: PartFile | None = None
        self._captured: list[int] = []  # monotonic ns, of each picture in the part, in order of decoding
        self._until_ns = 0

    def write(self, until_ns: int) -> int | None:
        """Write what the tape has up to a moment.

        Args:
            until_ns: when the clip ends, as far as that is known: what was written of later moments stays out of it.

        Returns:
            How many pictures the part holds now; None once no more will come.

        Raises:
            OSError: the disk does not take it, or the stream is not understood.
        """
        self._until_ns = until_ns
        reading = self._reader.read(until_ns)
        if reading.pictures:
            file = self._file
            if file is None and reading.facts is not None:
                self._part.parent.mkdir(parents=True, exist_ok=True)
                file = self._file = open_part(self._part, reading.facts, reading.pictures[0], depth=reading.depth)
            for taped in reading.pictures:
                if file is not None and file.write(taped):
                    self._captured.append(taped.captured_ns)
        if reading.over:
            return None
        return len(self._captured)

    def end(self) -> FastStart | None:
        """Close the part; return what makes a clip of it, or None if nothing has come.

        Raises:
            OSError: the disk does not take it.
        """
        self._reader.close()
        file, self._file = self._file, None
        if file is None:
            return None
        file.close()
        return FastStart(self._part, self._clip, pictures=self._wanted())

    def _wanted(self) -> int:
        """Return how many pictures of the part, from its first, the clip holds: up to its end, and one at least."""
        count = len(self._captured)
        return next((n for n in range(count, 0, -1) if self._captured[n - 1] <= self._until_ns), min(count, 1))

    def drop(self) -> None:
        """Leave it, and remove what was written.

        Raises:
            OSError: the disk does not let go of it.
        """
        self._reader.close()
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            finally:
                self._part.unlink(missing_ok=True)


def cutter(tapes: Mapping[str, Tape]) -> Callable[[str, int, Path, Path], TapeCut | None]:
    """Return what begins a clip: of a camera, from a moment, into a part, for a clip; None for one without a tape.

    It waits for nothing and makes no file: any thread may call it.
    """

    def cut(camera: str, from_ns: int, part: Path, clip: Path) -> TapeCut | None:
        tape = tapes.get(camera)
        return None if tape is None else TapeCut(tape.reader(from_ns), part=part, clip=clip)

    return cut


def leftover(part: Path, clip: Path) -> FastStart:
    """Return what makes a clip of a part that a crash has left behind."""
    return FastStart(part, clip)
