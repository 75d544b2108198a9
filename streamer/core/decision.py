"""A factory's verdict on one item, as a value. `events/verdicts.py` turns it into bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """What becomes of an item: the contract's `verdict`."""

    ACCEPT = "accept"
    REJECT = "reject"


class Doubt(str, Enum):
    """Why an item's picture decided nothing, so that its verdict is `otherwise`: a `reason` of the contract."""

    LATE = "late"  # nothing was known when its time was over
    UNSURE = "unsure"  # neither good nor bad for certain
    DARK = "dark"
    BLURRED = "blurred"
    FROZEN = "frozen"  # the camera repeats a picture
    OVERRUN = "overrun"  # its frame was lost: more than 2 s of frames were waiting
    FAILED = "failed"  # no picture came, the camera was lost, or the model failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict on one item. Final: there is exactly one for each item."""

    camera: str
    item: str  # the trigger's id, or the item's number
    number: int  # of the item among the camera's in this run, from 1: decisions come in this order
    verdict: Verdict
    reason: str | None  # the class that was found, or a `Doubt`; None: nothing is wrong with it
    captured_utc_ns: int | None  # ns since 1970, of the picture that was judged; None: there was none
    captured_ns: int | None  # the same moment on the monotonic clock, for the age; None: none, or a file's own time
    began_ns: int  # monotonic: the trigger, else the capture; the deadline and the belt's travel run from it
    decided_ns: int  # monotonic
    expires_ns: int | None  # monotonic: from when on it is of no use to anybody; None for a file
    late: bool  # the deadline had passed when it was decided
