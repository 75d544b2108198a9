"""`streamer models pull`: weights into the cache, with a bar on a terminal and a few lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from streamer.core.errors import BackendError
from streamer.core.redact import redact
from streamer.infer.catalogue import open_catalogue
from streamer.infer.pull import pull
from streamer.models import entry_of, megabytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import TextIO

    from streamer.infer.catalogue import Catalogue, Entry

_FAILED = 3
_INTERRUPTED = 130
_BAR_S = 0.1  # between two drawings of the bar
_LINE_S = 5.0  # between two lines where there is no bar


def pull_models(models: Sequence[str], *, origin: str | None, out: TextIO) -> int:
    """Get the weights of models; the path of each goes to `out`, and how it goes on to stderr.

    One that fails does not keep the others from coming.

    Args:
        models: catalogue names, or paths of sidecars.
        origin: a folder or a mirror's address; None: where the sidecars say.
        out: where results go.

    Returns:
        The exit code: 0; 3 if one can't be had; 130 if interrupted.

    Raises:
        ConfigError: an argument is wrong; then nothing is fetched.
    """
    catalogue = open_catalogue()
    entries = [entry_of(model, catalogue) for model in dict.fromkeys(models)]
    try:
        return max([_pull_one(entry, catalogue, origin, out) for entry in entries], default=0)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from there\n")
        return _INTERRUPTED


def _pull_one(entry: Entry, catalogue: Catalogue, origin: str | None, out: TextIO) -> int:
    """Pull a model and say so; return the exit code."""
    console = Console(stderr=True, highlight=False)
    terminal = console.is_terminal and not console.is_dumb_terminal
    try:
        with _Bar(entry.name, console) if terminal else _Lines(entry.name) as watch:
            pulled = pull(entry, catalogue, origin=origin, watch=watch)
    except BackendError as exc:
        sys.stderr.write(f"{redact(str(exc))}\n")
        return _FAILED
    licence = f"licence {entry.sidecar.licence or 'unknown'}"
    what = f"{megabytes(pulled.path.stat().st_size)}, {licence}"
    out.write(f"{entry.name}: {pulled.path} ({what if pulled.fetched else f'was here already, {what}'})\n")
    out.flush()
    return 0


class _Bar:
    """A progress bar on stderr. It starts no thread: `at` draws."""

    def __init__(self, name: str, console: Console) -> None:
        self._name = name
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeRemainingColumn(), console=console, auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(name, total=None)
        self._drawn_s = 0.0

    def __enter__(self) -> _Bar:  # noqa: PYI034  typing.Self is younger than Python 3.10
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def trying(self, address: str) -> None:
        """Tell where it comes from, above the bar."""
        self._bar.console.print(f"{self._name}: from {address}", markup=False, soft_wrap=True)

    def waiting(self) -> None:
        """Tell that somebody else is at it."""
        self._bar.console.print(f"{self._name}: another process is fetching it", markup=False, soft_wrap=True)

    def at(self, done: int, size: int | None) -> None:
        """Draw the bar anew, now and then."""
        if done == size or time.monotonic() - self._drawn_s > _BAR_S:
            self._drawn_s = time.monotonic()
            self._bar.update(self._task, completed=done, total=size, refresh=True)


class _Lines:
    """Plain lines on stderr: where it comes from, and how far it is every few seconds."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._told_s = clock()

    def __enter__(self) -> _Lines:  # noqa: PYI034  typing.Self is younger than Python 3.10
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        pass

    def trying(self, address: str) -> None:
        """Tell where it comes from."""
        sys.stderr.write(f"{self._name}: from {address}\n")

    def waiting(self) -> None:
        """Tell that somebody else is at it."""
        sys.stderr.write(f"{self._name}: another process is fetching it\n")

    def at(self, done: int, size: int | None) -> None:
        """Tell how far it is, if that was not told just now."""
        if self._clock() - self._told_s < _LINE_S:
            return
        self._told_s = self._clock()
        sys.stderr.write(f"{self._name}: {megabytes(done)}{f' of {megabytes(size)}' if size else ''}\n")
