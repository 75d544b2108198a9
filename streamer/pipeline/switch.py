"""Whether a camera is wanted: switched by a command, obeyed by its capture thread."""

from __future__ import annotations


class Switch:
    """On or off. Any thread may turn it; one value is read and written whole, so it needs no lock."""

    def __init__(self) -> None:
        self._on = True

    def turn(self, *, on: bool) -> None:
        """Switch the camera on or off; its thread obeys within a moment."""
        self._on = on

    def on(self) -> bool:
        """Whether the camera is wanted."""
        return self._on
