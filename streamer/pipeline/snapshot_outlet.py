"""A picture of a camera for somebody who has asked for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .shot_queue import Snap

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.frame import Frame


class SnapshotOutlet:
    """The next frame that is decoded after somebody has asked. `ask` in any thread, the rest in the capture thread."""

    def __init__(self, camera: str, *, online: Callable[[], bool], offer: Callable[[Snap], None]) -> None:
        """Store the parts.

        Args:
            camera: its name.
            online: whether pictures come from it now.
            offer: has the picture encoded and told; never waits.
        """
        self._camera = camera
        self._online = online
        self._offer = offer
        self._asked = False  # one value, read and written whole: who asks twice before a frame comes gets one

    def ask(self) -> None:
        """Have the next frame taken.

        Raises:
            ValueError: none is to be expected.
        """
        if not self._online():
            raise ValueError(f"{self._camera} is not online: there is no picture of it now; its status says why")
        self._asked = True

    def choose(self, _frame: Frame, *, item: bool) -> bool:  # noqa: ARG002  an outlet's signature
        """Choose the first frame after somebody has asked."""
        asked, self._asked = self._asked, False
        return asked

    def offer(self, frame: Frame) -> bool:
        """Hand it over."""
        self._offer(Snap(camera=self._camera, picture=frame.picture))
        return True

    def end(self, _connection: int | None) -> None:
        """Nobody waits behind the last frame."""
