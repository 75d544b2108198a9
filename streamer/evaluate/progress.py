"""How an evaluation goes on, for people: a bar on stderr where that is a terminal, nothing elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BAR_S = 0.1  # between two drawings of the bar

_ASKING = "asking the model"

T = TypeVar("T")


class Watch:
    """What is done so far. It starts no thread: each picture draws the bar."""

    def __init__(self) -> None:
        self.doing = "reading the labels"  # for the sentence of one who was stopped
        self._done = 0
        self._total = 0

    def pictures(self, answered: Iterable[T], total: int) -> Iterator[T]:
        """Yield what is answered, and show how many of all the pictures that are."""
        self.doing, self._total = _ASKING, total
        console = Console(stderr=True, highlight=False)
        shown = console.is_terminal and not console.is_dumb_terminal
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, auto_refresh=False, transient=True, disable=not shown,
        )  # fmt: skip
        task, drawn_s = bar.add_task("pictures", total=total), 0.0
        with bar:
            for one in answered:
                self._done += 1
                if shown and time.monotonic() - drawn_s > _BAR_S:
                    drawn_s = time.monotonic()
                    bar.update(task, completed=self._done, refresh=True)
                yield one

    def stopped(self) -> str:
        """Say how far it came."""
        if self.doing == _ASKING:
            return f"stopped after {self._done} of {self._total} pictures: nothing is scored"
        return f"stopped while {self.doing}"
