"""What second models call the objects in view, and when they are asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_MS, NS_PER_S

from .ballot import Ballot
from .classes import present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.look import Classified
    from streamer.core.results import Box, Track

_LEAST_HITS = 2  # sightings that confirm a track: a ghost of one frame is not looked at
_IN_A_ROW = 3  # looks at an object at once; and then
_PACE_NS = NS_PER_S  # one in this time
_APART_NS = NS_PER_S // 5 - 10 * NS_PER_MS  # between two looks, so that they show different views; less jitter
_BETTER = 1.5  # times the area or the sharpness of the best view so far: worth another look
_NO_SMALLER = 0.9  # of its area: boxes jump a little from frame to frame
_SHARPNESS_NS = NS_PER_S  # an object's sharpness is measured at most so often
_ANSWER_NS = 5 * NS_PER_S  # an answer that has not come by then never will
_UNSEEN_NS = 60 * NS_PER_S  # objects out of sight for so long are forgotten
_MOST = 1024  # objects: more than a camera shows within that time


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpec:
    """How one classification of tracked objects decides.

    Raises:
        ValueError: a value is out of range, or two do not fit each other.
    """

    name: str  # of the classification
    class_ids: frozenset[int]  # of the detector: the objects that are looked at
    labels: tuple[str, ...]  # the classifier's class names; the index is the class id
    agree: int = 3  # so many answers decide
    least: float = 0.0  # score; an answer below it names no class
    again_s: float = 10.0  # a decided object is looked at again so often
    thresholds: tuple[float, ...] = ()  # of each label, where each is judged for itself; empty: one of them is it

    def __post_init__(self) -> None:
        if self.agree < 1 or self.again_s <= 0 or not 0 <= self.least <= 1:
            raise ValueError(f"{self.name}: agree >= 1, again_s > 0 and 0 <= least <= 1 expected, got {self}")
        if self.thresholds and len(self.thresholds) != len(self.labels):
            raise ValueError(
                f"{self.name}: a threshold for each of {len(self.labels)} labels expected, got {len(self.thresholds)}"
            )


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that a classifier is to look at."""

    name: str  # of the classification
    track: int
    box: Box  # px


Key = tuple[str, int]  # of a watch: the classification's name, and the track


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """What is known of one object for one classification. Times are those of captures."""

    ballot: Ballot
    area_px: float = 0.0  # of the largest view that was looked at
    sharpness: float = 0.0  # of the sharpest one
    tried_ns: int | None = None  # the last time that a look was wanted,
    looked_ns: int = 0  # and of those the last that was not refused
    measured_ns: int | None = None  # the last time that sharpness was measured
    spent_ns: int = 0  # when all looks so far would be over, at one each `_PACE_NS`


class LabelVotes:
    """The labels of one camera's objects. Pure: time comes with the frames. Owned by one thread.

    An object is looked at from its first confirmed frame on until the votes concur; then when there is a much better
    view of it, or every `again_s`. There are never more than three looks and one a second since its first.
    """

    def __init__(self, specs: Iterable[LabelSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._seen_ns: dict[int, int] = {}  # track -> when it was last in view, the longest ago first
        self._watches: dict[Key, _Watch] = {}
        self._asked: dict[Key, tuple[int, _Watch]] = {}  # not answered yet -> since when, the watch before it was

    def wanted(self, info: FrameInfo, tracks: Sequence[Track], sharpness: Callable[[Box], float]) -> list[Wanted]:
        """Take in the tracks seen in the next frame; return which are to be looked at, who has waited longest first.

        Each counts as asked until it is answered or `refused`, for 5 s at most.

        Args:
            info: of the frame.
            tracks: the objects in it.
            sharpness: of a box in it, a number that rises with what can be seen there.
        """
        now_ns = info.captured_ns
        self._asked = {key: ask for key, ask in self._asked.items() if now_ns - ask[0] < _ANSWER_NS}
        due: list[tuple[int, Wanted]] = []
        for track in tracks:
            self._seen_ns.pop(track.id, None)
            self._seen_ns[track.id] = now_ns
            if track.hits < _LEAST_HITS:
                continue
            for name, spec in self._specs.items():
                key = name, track.id
                if track.class_id not in spec.class_ids or key in self._asked:
                    continue
                before = self._watches.get(key) or _Watch(ballot=Ballot(agree=spec.agree))
                watch, wants = _looked(spec, before, track.box, now_ns=now_ns, sharpness=sharpness)
                self._watches[key] = watch
                if wants:
                    self._asked[key] = now_ns, before
                    due.append((before.looked_ns, Wanted(name, track.id, track.box)))
        self._forget(now_ns)
        return [wanted for _, wanted in sorted(due, key=lambda one: one[0])]

    def refused(self, wanted: Wanted) -> None:
        """Note that an object could not be looked at; it is wanted again a moment later."""
        asked = self._asked.pop((wanted.name, wanted.track), None)
        if asked is not None:
            asked_ns, before = asked
            now = self._watches[wanted.name, wanted.track]
            self._watches[wanted.name, wanted.track] = replace(
                before, ballot=now.ballot, tried_ns=asked_ns, measured_ns=now.measured_ns
            )

    def observe(self, classified: Classified) -> None:
        """Take in what a classifier said of an object. Of one that is forgotten, or of none, it says nothing."""
        if classified.track is None:
            return
        key = classified.name, classified.track
        self._asked.pop(key, None)
        watch = self._watches.get(key)
        if watch is None:
            return
        spec = self._specs[classified.name]
        found = present(classified.output, spec.least, spec.thresholds)
        if not found and not spec.thresholds and watch.ballot.label is not None:
            return  # a view that shows too little says nothing against what better ones have shown
        ballot = watch.ballot.cast(found[0].class_id, found[0].score) if found else watch.ballot.cast(None, 0.0)
        self._watches[key] = replace(watch, ballot=ballot)

    def labels_of(self, track: int) -> Mapping[str, tuple[str, float]]:
        """Return the labels that are decided: name of the classification -> class, mean score of the votes for it."""
        labels: dict[str, tuple[str, float]] = {}
        for name, spec in self._specs.items():
            watch = self._watches.get((name, track))
            if watch is not None and watch.ballot.label is not None:
                labels[name] = spec.labels[watch.ballot.label], watch.ballot.score
        return labels

    def decided_of(self, track: int) -> Mapping[str, tuple[str, float]]:
        """Return the same as `labels_of`, and ("", 1.0) where it is decided that the object is of no class."""
        none: dict[str, tuple[str, float]] = {}
        for name in self._specs:
            watch = self._watches.get((name, track))
            if watch is not None and watch.ballot.decided and watch.ballot.label is None:
                none[name] = "", 1.0
        return none | dict(self.labels_of(track))

    def waiting(self) -> bool:
        """Tell whether something was asked and is not answered."""
        return bool(self._asked)

    def reset(self) -> None:
        """Forget every object: the next frame has nothing to do with the last."""
        self._seen_ns, self._watches, self._asked = {}, {}, {}

    def _forget(self, now_ns: int) -> None:
        """Forget the objects that have been out of sight for long."""
        for track, seen_ns in list(self._seen_ns.items()):
            if now_ns - seen_ns < _UNSEEN_NS and len(self._seen_ns) <= _MOST:
                return
            del self._seen_ns[track]
            for name in self._specs:
                self._watches.pop((name, track), None)
                self._asked.pop((name, track), None)


def _looked(
    spec: LabelSpec, watch: _Watch, box: Box, *, now_ns: int, sharpness: Callable[[Box], float]
) -> tuple[_Watch, bool]:
    """Return the watch as it is after a frame, and whether the object is to be looked at in it."""
    too_soon = watch.tried_ns is not None and now_ns - watch.tried_ns < _APART_NS
    if too_soon or watch.spent_ns - now_ns > (min(spec.agree, _IN_A_ROW) - 1) * _PACE_NS:
        return watch, False
    area_px = (box[2] - box[0]) * (box[3] - box[1])
    due = (
        not watch.ballot.sure
        or now_ns - watch.looked_ns >= spec.again_s * NS_PER_S
        or area_px >= _BETTER * watch.area_px
    )
    view = 0.0
    fresh = watch.measured_ns is not None and now_ns - watch.measured_ns < _SHARPNESS_NS
    if not fresh and (due or area_px >= _NO_SMALLER * watch.area_px):
        view = sharpness(box)
        watch = replace(watch, measured_ns=now_ns)
        due = due or view > _BETTER * watch.sharpness
    if not due:
        return watch, False
    return replace(
        watch,
        area_px=max(area_px, watch.area_px),
        sharpness=max(view, watch.sharpness),
        tried_ns=now_ns,
        looked_ns=now_ns,
        spent_ns=max(watch.spent_ns, now_ns) + _PACE_NS,
    ), True
