"""What a sink answers, waited for."""

from __future__ import annotations

import threading


class Said:
    """What a sink has said of messages; for one answer at a time."""

    def __init__(self) -> None:
        self.refusals: list[str | None] = []
        self._came = threading.Event()

    def __call__(self, refusal: str | None) -> None:
        self.refusals.append(refusal)
        self._came.set()

    def wait(self) -> str | None:
        assert self._came.wait(8.0)
        return self.refusals[-1]
