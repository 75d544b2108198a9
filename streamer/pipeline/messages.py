"""What travels to the events thread beside results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.core.decision import Decision
    from streamer.core.errors import LostReason
    from streamer.core.frame import FrameInfo


class CameraState(str, Enum):
    """The contract's `state` of a camera."""

    ONLINE = "online"
    CONNECTING = "connecting"
    OFFLINE = "offline"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """Nothing has moved up to this frame, so it was not looked at: what the last result shows is still there."""

    info: FrameInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A verdict that was given, and what was said of it: to be kept."""

    decision: Decision
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraChange:
    """A camera's state has changed."""

    camera: str
    state: CameraState
    reason: LostReason | None
    since_utc_ns: int
    connection: int  # the connection that began or was lost
    finite: bool = False  # the end of a finite source: no loss, and its last results are still on the way
    trailing: bool = False  # a loss where every frame counts: its last results are on the way, `Lost` behind them
