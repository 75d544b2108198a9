"""What has to be freed at the end, last first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable


class Closing:
    """Steps of an end. One that fails holds up no other: of a lost GPU all of them do.

    No `ExitStack`: it carries each failure along, and with it the frames and what they name, which then outlives the
    step that was to free it.
    """

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def callback(self, step: Callable[[], object]) -> None:
        """Add what is to be done before all that was added earlier."""
        self._steps.append(step)

    def close(self) -> str | None:
        """Do it all, with the GPU current. Idempotent. Return the first failure in a sentence, if there was one."""
        first = None
        while self._steps:
            try:
                self._steps.pop()()
            except BackendError as exc:  # noqa: PERF203  a dozen steps
                first = first or str(exc)
        return first
