"""How a build goes on, for people: a bar on a terminal, a few lines elsewhere. On stderr."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from streamer.infer.engine.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

_SAID = {
    "wait": "another process builds the same engine; waiting for it",
    "start": "looking at this machine",
    "convert": "writing the model anew",
    "measure": "measuring the ranges of its layers",
    "read": "TensorRT reads it",
    "build": "TensorRT builds it",
    "inspect": "looking at what was built",
    "prove": "comparing it with ONNX Runtime",
}
_BUILDING = "read"  # who comes so far has built it
_LINE_S = 30.0  # between two lines where there is no bar
_BAR_S = 0.1


class Watch(Protocol):
    """Who is told how a build goes on. A context manager owns it."""

    built: bool  # whether an engine was built, not found

    def __enter__(self) -> Watch: ...  # noqa: PYI034  typing.Self is younger than Python 3.10

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def at(self, told: Progress) -> None:
        """Take how it goes on."""

    def tick(self) -> bool:
        """Show that time passes. A `stopping`: Ctrl-C is what stops here, so never true."""

    def proving(self, canvases: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Yield the canvases of a proof, and show how many are done."""


def open_watch(name: str) -> Watch:
    """Return what suits the terminal, or that there is none."""
    console = Console(stderr=True, highlight=False)
    return _Bars(name, console) if console.is_terminal and not console.is_dumb_terminal else _Lines(name)


class _Told(ABC):
    """What a bar and lines have in common."""

    def __init__(self, name: str) -> None:
        self.built = False
        self._name = name

    def at(self, told: Progress) -> None:
        self.built = self.built or told.phase == _BUILDING
        self._show(told)

    def tick(self) -> bool:
        return False

    def proving(self, canvases: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        for number, canvas in enumerate(canvases):
            self.at(Progress(phase="prove", share=number / len(canvases)))
            yield canvas

    @abstractmethod
    def _show(self, told: Progress) -> None:
        """Show how it goes on."""


class _Bars(_Told):
    """A progress bar for each phase. It starts no thread: `at` and `tick` draw."""

    def __init__(self, name: str, console: Console) -> None:
        super().__init__(name)
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            console=console, auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(name, total=None)
        self._drawn_s = 0.0

    def __enter__(self) -> _Bars:  # noqa: PYI034  typing.Self is younger than Python 3.10
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def tick(self) -> bool:
        if time.monotonic() - self._drawn_s > _BAR_S:
            self._drawn_s = time.monotonic()
            self._bar.refresh()
        return False

    def _show(self, told: Progress) -> None:
        self._bar.update(
            self._task,
            description=f"{self._name}: {_SAID[told.phase]}",
            completed=0.0 if told.share is None else told.share,
            total=None if told.share is None else 1.0,
        )
        self.tick()


class _Lines(_Told):
    """Plain lines: one for each phase, and how far a long one is now and then."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name)
        self._clock = clock
        self._phase = ""
        self._told_s = 0.0

    def __enter__(self) -> _Lines:  # noqa: PYI034  typing.Self is younger than Python 3.10
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        pass

    def _show(self, told: Progress) -> None:
        if told.phase == self._phase and self._clock() - self._told_s < _LINE_S:
            return
        share = "" if told.share is None or told.phase != self._phase else f", {told.share:.0%}"
        self._phase, self._told_s = told.phase, self._clock()
        sys.stderr.write(f"{self._name}: {_SAID[told.phase]}{share}\n")
