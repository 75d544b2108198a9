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

    def write(self, until_ns: int) -> int | None:
        """Write what the tape has up to a moment.

        Returns:
            How many pictures the part holds now; None once no more will come.

        Raises:
            OSError: the disk does not take it, or the stream is not understood.
        """
        reading = self._reader.read(until_ns)
        if reading.pictures:
            file = self._file
            if file is None and reading.facts is not None:
                self._part.parent.mkdir(parents=True, exist_ok=True)
                file = self._file = open_part(self._part, reading.facts, reading.pictures[0], depth=reading.depth)
            for taped in reading.pictures:
                if file is not None:
                    file.write(taped)
        if reading.over:
            return None
        return 0 if self._file is None else self._file.pictures

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
        return FastStart(self._part, self._clip, pictures=file.pictures)

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
