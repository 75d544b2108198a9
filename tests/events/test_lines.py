from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from event_scenes import Tracks, info
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.frame import FrameInfo
from streamer.events.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.results import Box

GATE = ((0.25, 0.5), (0.75, 0.5))  # of 1280x720: from (320, 360) to the right, to (960, 360); `in` is downwards
MARGIN = 10.0  # px, a tenth of the boxes' height


def at(x: float, y: float) -> Box:
    """A box of height 100 that stands at a point, px."""
    return x - 20, y - 100, x + 20, y


def go(lines: Lines, feet: Iterable[tuple[float, float]], *, fps: float = 5) -> list[tuple[str, str]]:
    """Show one object; return line and direction of each crossing."""
    tracks = Tracks()
    return [
        (crossing.line, crossing.direction)
        for k, point in enumerate(feet)
        for crossing in lines.observe(info(k / fps), [tracks.seen(k / fps, box=at(*point))])
    ]


def gate() -> Lines:
    return Lines({"gate": GATE})


class TestDirection:
    def test_in_is_from_left_to_right_looking_along_the_line(self) -> None:
        assert go(gate(), [(640, 300), (640, 420)]) == [("gate", "in")]
        assert go(gate(), [(640, 420), (640, 300)]) == [("gate", "out")]
        assert go(Lines({"back": GATE[::-1]}), [(640, 300), (640, 420)]) == [("back", "out")]

    @given(angle=st.floats(0, 6.283), way=st.floats(0.2, 2.9))
    def test_it_turns_with_the_line(self, angle: float, way: float) -> None:
        along = np.array([np.cos(angle), np.sin(angle)]) * 200
        centre, size = np.array([640, 360]), np.array([1280, 720])
        start, end = (centre - along) / size, (centre + along) / size
        lines = Lines({"l": ((float(start[0]), float(start[1])), (float(end[0]), float(end[1])))})
        # looking along the line, y down, a turn to the right adds to the angle: so this goes from left to right
        step = np.array([np.cos(angle + way), np.sin(angle + way)]) * 100
        feet = [tuple(p.tolist()) for p in (centre - step, centre + step, centre - step)]
        assert go(lines, feet) == [("l", "in"), ("l", "out")]

    def test_each_direction_of_each_line_is_counted(self) -> None:
        lines = Lines({"gate": GATE, "far": ((0.0, 0.25), (1.0, 0.25))})
        assert lines.counts() == {("gate", "in"): 0, ("gate", "out"): 0, ("far", "in"): 0, ("far", "out"): 0}
        go(lines, [(640, 100), (640, 420), (640, 300)])
        assert lines.counts() == {("gate", "in"): 1, ("gate", "out"): 1, ("far", "in"): 1, ("far", "out"): 0}
        lines.forget()
        assert sum(lines.counts().values()) == 3


class TestWay:
    def test_beside_the_line_there_is_nothing_to_cross(self) -> None:
        assert go(gate(), [(300, 300), (300, 420), (980, 420), (980, 300)]) == []

    def test_the_way_counts_and_not_the_places(self) -> None:
        assert go(gate(), [(100, 300), (700, 420)]) == [("gate", "in")]
        assert go(gate(), [(100, 300), (400, 420)]) == []

    def test_a_way_around_the_end_is_none_and_back_through_it_is_one(self) -> None:
        assert go(gate(), [(640, 300), (300, 300), (300, 420), (640, 420), (640, 300)]) == [("gate", "out")]

    def test_within_the_jitter_it_is_where_it_went_through_that_counts(self) -> None:
        assert go(gate(), [(900, 300), (900, 366), (1000, 362), (1100, 366), (1100, 420)]) == [("gate", "in")]
        assert go(gate(), [(1000, 300), (1000, 366), (940, 366), (900, 366), (900, 420)]) == []

    def test_lost_on_one_side_and_found_on_the_other_it_has_crossed(self) -> None:
        lines, tracks = gate(), Tracks()
        for k in range(5):
            lines.observe(info(k / 5), [tracks.seen(k / 5, box=at(640, 300))])
        for k in range(5, 12):
            lines.observe(info(k / 5), [])
        (crossing,) = lines.observe(info(2.4), [tracks.seen(2.4, box=at(640, 420))])
        assert (crossing.direction, crossing.crossed) == ("in", info(2.4))

    def test_another_id_is_another_object(self) -> None:
        lines, tracks = gate(), Tracks()
        lines.observe(info(0), [tracks.seen(0, 1, box=at(640, 300))])
        assert lines.observe(info(0.2), [tracks.seen(0.2, 2, box=at(640, 420))]) == []

    def test_two_ghosts_under_one_id_cross_nothing(self) -> None:
        lines, tracks = gate(), Tracks()
        lines.observe(info(0), [tracks.seen(0, box=at(640, 300))])
        for k in range(1, 9):
            lines.observe(info(k / 5), [])
        assert lines.observe(info(1.8), [tracks.seen(1.8, box=at(640, 420))]) == []

    def test_a_picture_of_another_size_begins_anew(self) -> None:
        lines, tracks = gate(), Tracks()
        lines.observe(info(0), [tracks.seen(0, box=at(640, 300))])
        small = FrameInfo(
            camera="porch", connection=0, seq=1, captured_ns=1, utc_ns=1, width=640, height=360, live=True
        )
        assert lines.observe(small, [tracks.seen(0.2, box=at(320, 300))]) == []

    def test_what_begins_on_the_line_comes_from_nowhere(self) -> None:
        assert go(gate(), [(640, 355), (640, 420), (640, 300)]) == [("gate", "out")]


class TestJitter:
    def test_it_has_crossed_once_it_is_surely_beyond_and_tells_when_it_was_first_beyond(self) -> None:
        lines, tracks = gate(), Tracks()
        seen = []
        for k, y in enumerate([340, 358, 362, 365, 369, 371]):
            seen += [(k, c.crossed) for c in lines.observe(info(k / 5), [tracks.seen(k / 5, box=at(640, y))])]
        assert seen == [(5, info(0.4))]

    @pytest.mark.parametrize("fps", [2, 5, 25])
    def test_who_stands_on_the_line_does_not_cross_it_and_who_walks_on_does_once(self, fps: float) -> None:
        for seed in range(50):
            random = np.random.default_rng(seed)
            shaking = [(640 + random.normal(0, 3), 360 + random.uniform(-9.9, 9.9)) for _ in range(round(20 * fps))]
            assert go(gate(), shaking, fps=fps) == [], seed
            assert go(gate(), [(640, 300), *shaking, (640, 300)], fps=fps) == [], seed
            assert go(gate(), [(640, 300), *shaking, (640, 420)], fps=fps) == [("gate", "in")], seed

    @given(
        ys=st.lists(st.floats(300, 420), min_size=2, max_size=40),
        noise=st.lists(st.floats(-4.9, 4.9), min_size=40, max_size=40),
    )
    def test_jitter_of_less_than_the_margin_changes_no_count(self, ys: list[float], noise: list[float]) -> None:
        """The crossings are those of a thermostat with the margin for its band, and noise can only delay them."""
        clean = [y for y in ys if abs(y - 360) > 15]  # places that are sure also with noise
        shaken = [(640.0, y + n) for y, n in zip(clean, noise, strict=False)]
        sides = [y > 360 for y in clean]
        expected = [("gate", "in" if b else "out") for a, b in pairwise(sides) if a != b]
        assert go(gate(), shaken) == expected

    @given(ys=st.lists(st.floats(300, 420), min_size=1, max_size=60))
    def test_in_and_out_take_turns_and_their_difference_is_where_it_is(self, ys: list[float]) -> None:
        lines = gate()
        said = [direction for _, direction in go(lines, [(640.0, 300.0), *((640.0, y) for y in ys)])]
        assert all(a != b for a, b in pairwise(said))
        assert said[:1] in ([], ["in"])
        counts = lines.counts()
        inside = counts["gate", "in"] - counts["gate", "out"]
        assert inside == (said[-1:] == ["in"])
        if abs(ys[-1] - 360) > MARGIN:
            assert inside == (ys[-1] > 360)


class TestTwins:
    def twins(self, *, apart_px: float) -> Lines:
        """A van that is a car in each frame, and from its second on a truck too."""
        lines, tracks = gate(), Tracks()
        self.told = []
        for k, y in enumerate(range(300, 440, 15)):
            seen = [tracks.seen(k / 5, 1, box=at(640, y))]
            if k > 0:
                seen.append(tracks.seen(k / 5, 2, box=at(640 + apart_px, y - 3), class_id=1))
            self.told += lines.observe(info(k / 5), seen)
        return lines

    def test_one_object_under_two_classes_counts_once(self) -> None:
        assert self.twins(apart_px=2).counts()["gate", "in"] == 1
        assert [(c.track.class_id, c.twin) for c in self.told] == [(0, None), (1, 0)]

    def test_two_side_by_side_count_twice(self) -> None:
        assert self.twins(apart_px=30).counts()["gate", "in"] == 2
        assert [c.twin for c in self.told] == [None, None]
