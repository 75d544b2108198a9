"""Who crosses which line, and how many have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .plane import foot, in_px, margin_px, meets, side_px, twins
from .recent import Recent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, Track

    from .plane import Point

IN, OUT = "in", "out"
_LEAST_SHARE = 0.25  # of the frames: what is seen less often has come from nowhere (two ghosts under one id)
_TWIN_NS = NS_PER_S  # the two boxes of an object that is found under two classes cross within this


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """An object has crossed a line."""

    line: str
    direction: str  # in: from left to right as seen looking from the line's start to its end | out
    track: Track  # as it is now, surely beyond
    crossed: FrameInfo  # the first frame in which its foot point was beyond
    twin: int | None = None  # the class under which the same object has just crossed already


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """Where an object stands to a line. Sides: -1 left, 1 right, 0 not known yet."""

    point: Point  # px: its foot point, at the last sighting
    px: tuple[int, int]  # width and height of that frame
    first_frame: int  # the number of the first sighting's frame among the camera's
    hits: int  # sightings
    side: int  # on which it surely was last
    through: int = 0  # crossings of the line's own length since then: to the right less to the left
    crossed: FrameInfo | None = None  # the frame of the last of these


class Lines:
    """The lines of one camera: who crosses them, and how many have since the start. Pure; owned by one thread.

    The way of the foot point from sighting to sighting counts, however long the object was out of sight between two of
    them, and only where it goes through the line's own length. It has crossed once it is beyond by a tenth of its box's
    height, after having been as far on the other side: jitter on the line, and turning round on it, are no crossing.
    """

    def __init__(self, lines: Mapping[str, tuple[Point, Point]]) -> None:
        """Store the lines: name -> from and to, fractions of width and height."""
        self._lines = dict(lines)
        self._courses: dict[str, Recent[_Course]] = {name: Recent() for name in lines}
        self._frames = 0  # observed so far
        self._recent: list[tuple[int, Crossing]] = []  # capture times and crossings of the last second
        self._counts = {(name, direction): 0 for name in lines for direction in (IN, OUT)}

    def observe(self, info: FrameInfo, tracks: Sequence[Track]) -> list[Crossing]:
        """Take in the tracks seen in the next frame; return the crossings that it shows."""
        crossings: list[Crossing] = []
        self._frames += 1
        self._recent = [(at, c) for at, c in self._recent if info.captured_ns - at <= _TWIN_NS]
        for name, ends in self._lines.items():
            start, end = in_px(ends, info)
            courses = self._courses[name]
            for track in tracks:
                course, side = _moved(courses.get(track.id), info, track.box, (start, end), frame=self._frames)
                seldom = course.hits < _LEAST_SHARE * (self._frames - course.first_frame + 1)
                through = side * course.side < 0 < side * course.through and not seldom
                if through and course.crossed is not None:
                    direction = IN if side > 0 else OUT
                    crossing = Crossing(line=name, direction=direction, track=track, crossed=course.crossed)
                    crossings.append(self._counted(crossing, info.captured_ns, tracks))
                if side:
                    course = replace(course, side=side, through=0, crossed=None)
                courses.put(track.id, course)
        return crossings

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many have crossed each line in each direction since the start."""
        return dict(self._counts)

    def forget(self) -> None:
        """Forget who stood where; the numbers stay."""
        self._recent = []
        for courses in self._courses.values():
            courses.clear()

    def _counted(self, crossing: Crossing, now_ns: int, tracks: Sequence[Track]) -> Crossing:
        """Count a crossing, unless the same object has just crossed under another class; return it with that."""
        same = {track.id for track in tracks if twins(track, crossing.track)}
        way = (crossing.line, crossing.direction)
        before = [c for _, c in self._recent if (c.line, c.direction) == way and c.track.id in same]
        if before:
            crossing = replace(crossing, twin=before[0].track.class_id)
        else:
            self._counts[way] += 1
        self._recent.append((now_ns, crossing))
        return crossing


def _moved(
    before: _Course | None, info: FrameInfo, box: Box, line: tuple[Point, Point], *, frame: int
) -> tuple[_Course, int]:
    """Return an object's course with its next sighting, and the side on which it surely is, 0 for none."""
    point, px = foot(box), (info.width, info.height)
    beyond = side_px(point, *line)
    side = 0 if abs(beyond) <= margin_px(box) else 1 if beyond > 0 else -1
    if before is None or before.px != px:  # a camera that has changed its picture begins anew
        return _Course(point=point, px=px, first_frame=frame, hits=1, side=side), side
    course = replace(before, point=point, hits=before.hits + 1)
    step = (beyond > 0) - (side_px(before.point, *line) > 0)
    if step and meets(before.point, point, *line):
        course = replace(course, through=before.through + step, crossed=info)
    return course, side
