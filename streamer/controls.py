"""What of a run's cameras can be commanded while it goes on: whether they are watched, and a picture of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from streamer.pipeline.messages import CameraState
from streamer.pipeline.snapshot_outlet import SnapshotOutlet
from streamer.pipeline.switch import Switch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.pipeline.shot_queue import Snap
    from streamer.settings import Camera

    from .figures import Figures


class Controls:
    """A switch for each live camera, and a snapshot of each camera. Made before the threads, used by them."""

    def __init__(self, cameras: Mapping[str, Camera], figures: Figures, *, offer: Callable[[Snap], None]) -> None:
        """Make them.

        Args:
            cameras: those that run.
            figures: know which of them is online.
            offer: has a picture encoded and told.
        """
        self._switches = {name: Switch() for name, camera in cameras.items() if camera.source.live}
        self.snapshots = {
            name: SnapshotOutlet(name, online=partial(_online, figures, name), offer=offer) for name in cameras
        }
        self._recordings = [name for name, camera in cameras.items() if not camera.source.live]

    def wanted(self, camera: str) -> Callable[[], bool]:
        """Return what says whether a camera is to be watched."""
        switch = self._switches.get(camera)
        return (lambda: True) if switch is None else switch.on

    def switches(self) -> Mapping[str, Callable[[bool], None]]:
        """Return what switches each camera; a recording is read once, and refuses."""
        live = {name: partial(_turn, switch) for name, switch in self._switches.items()}
        return {**live, **{name: partial(_refuse, name) for name in self._recordings}}

    def asks(self) -> Mapping[str, Callable[[], None]]:
        """Return what asks each camera for a picture."""
        return {name: outlet.ask for name, outlet in self.snapshots.items()}


def _online(figures: Figures, camera: str) -> bool:
    return figures.cameras[camera].state == CameraState.ONLINE.value


def _turn(switch: Switch, on: bool) -> None:  # noqa: FBT001  what a command says
    switch.turn(on=on)


def _refuse(camera: str, _on: bool) -> None:  # noqa: FBT001  as above
    raise ValueError(f"{camera} is a recording: it is read once, from its start, and can't be switched")
