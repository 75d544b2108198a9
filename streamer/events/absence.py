"""Whether an object that is out of sight has gone, or is only missed or hidden."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .plane import covered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.results import Track

    from .stay import Stay

_PATIENCE_NS = 3 * NS_PER_S  # how much longer than it must the absence of an object may last that may be missed
# The chance at which so many misses in a row are no longer taken for such. Of objects that are detected in half of the
# frames, five a second, one in ten thousand is torn by that.
_CHANCE = 1e-6
_SURE_HITS = 6  # sightings: what was never missed in so many frames is not taken for one that flickers
_HIDDEN_SHARE = 0.3  # of its place: a detector seldom finds what is hidden that much
_HIDDEN_NS = 60 * NS_PER_S  # what hides it for longer has taken its place


def gone(stay: Stay, wait_s: float, *, now_ns: int, missed: int) -> bool:
    """Tell whether an object is not seen any more because it is not there any more.

    It must have been out of sight for `wait_s`, the time not counted in which something else was in front of it. Where
    it had been at rest, or the detector finds it in some of the frames only, up to 3 s more.

    Args:
        stay: of the object.
        wait_s: how long it must have been out of sight.
        now_ns: capture time up to which it was not seen.
        missed: frames since the last sighting.
    """
    away_ns, wait_ns = now_ns - stay.last.info.captured_ns - stay.hidden_ns, wait_s * NS_PER_S
    if away_ns < wait_ns:
        return False
    if stay.outside or away_ns >= wait_ns + _PATIENCE_NS:
        return True
    return not stay.last.stationary and not flickers(stay, missed)


def flickers(stay: Stay, missed: int) -> bool:
    """Tell whether an object is seen so seldom that it may well be missed in so many frames running."""
    frames = stay.last_frame - stay.first_frame + 1
    if stay.hits >= max(_SURE_HITS, frames):
        return False
    return chance(stay.hits, max(0, frames - stay.hits), missed) > _CHANCE


def chance(hits: int, gaps: int, missed: int) -> float:
    """Return how likely it is to miss an object in so many frames running.

    How often the detector finds it nobody knows but by the frames so far; before them any share was as likely. So this
    is no power of a share, but B(hits + 1, gaps + missed + 1) / B(hits + 1, gaps + 1).

    Args:
        hits: frames so far in which it was seen.
        gaps: frames between them in which it was not.
        missed: frames running.
    """
    frames = hits + gaps
    before = math.lgamma(frames + 2) - math.lgamma(gaps + 1)
    return math.exp(before + math.lgamma(gaps + missed + 1) - math.lgamma(frames + missed + 2))


def hidden(stay: Stay, tracks: Iterable[Track], step_ns: int) -> Stay:
    """Return the stay of an object that was not seen in a frame, with the time for which it was hidden.

    Only one that had been at rest is in its place all the same.

    Args:
        stay: of the object.
        tracks: the objects that the frame shows.
        step_ns: capture time since the frame before.
    """
    box, own = stay.last.box, stay.last.track
    if not stay.last.stationary or stay.outside or box is None:
        return stay
    if all(track.id == own or covered(box, track.box) < _HIDDEN_SHARE for track in tracks):
        return stay
    return replace(stay, hidden_ns=min(stay.hidden_ns + step_ns, _HIDDEN_NS))
