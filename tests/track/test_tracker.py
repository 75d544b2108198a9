from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from track_scenes import NS_PER_S, SceneMaker, Shot

from streamer.core.results import Detections
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Iterable

SEEDS = range(10)


def frame(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    """Detections of (box, score, class id) rows."""
    return Detections(
        boxes=np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        scores=np.array([r[1] for r in rows], np.float32),
        class_ids=np.array([r[2] for r in rows], np.int32),
    )


def ids_by_person(shots: Iterable[Shot], tracker: ObjectTracker | None = None) -> dict[int, list[int]]:
    """Run a scene; return the ids that each person had, in order."""
    tracker = tracker or ObjectTracker(least={0: 0.5})
    ids: dict[int, list[int]] = {}
    for shot in shots:
        tracked = tracker.update(shot.detections, shot.captured_ns)
        who_by_box = {tuple(np.array(s.box, np.float32).tolist()): s.who for s in shot.seen}
        for box, track_id in zip(tracked.detections.boxes.tolist(), tracked.track_ids.tolist(), strict=True):
            ids.setdefault(who_by_box[tuple(box)], []).append(track_id)
    return ids


BOX = (100.0, 100.0, 160.0, 250.0)


class TestScores:
    def test_only_the_least_score_starts_a_track(self) -> None:
        tracker = ObjectTracker(least={0: 0.5})
        assert tracker.update(frame((BOX, 0.49, 0)), 0).tracks == ()
        assert [t.id for t in tracker.update(frame((BOX, 0.5, 0)), NS_PER_S).tracks] == [1]

    def test_a_running_track_goes_on_down_to_eight_tenths(self) -> None:
        tracker = ObjectTracker(least={0: 0.5})
        tracker.update(frame((BOX, 0.6, 0)), 0)
        (track,) = tracker.update(frame((BOX, 0.4, 0)), NS_PER_S // 5).tracks
        assert (track.id, track.hits, round(track.score, 2)) == (1, 2, 0.4)
        assert tracker.update(frame((BOX, 0.39, 0)), 2 * NS_PER_S // 5).tracks == ()

    def test_thresholds_are_met_exactly_in_single_precision(self) -> None:
        tracker = ObjectTracker(least={0: 0.7})
        assert len(tracker.update(frame((BOX, 0.7, 0)), 0).tracks) == 1
        assert len(tracker.update(frame((BOX, 0.56, 0)), 1).tracks) == 1

    def test_classes_not_asked_for_are_dropped(self) -> None:
        tracker = ObjectTracker(least={0: 0.5, 2: 0.9})
        tracked = tracker.update(frame((BOX, 0.99, 7), (BOX, 0.8, 0), (BOX, 0.8, 2)), 0)
        assert [t.class_id for t in tracked.tracks] == [0]

    def test_one_number_asks_for_every_class(self) -> None:
        tracked = ObjectTracker(least=0.5).update(frame((BOX, 0.9, 7), (BOX, 0.8, 0), (BOX, 0.4, 2)), 0)
        assert sorted(t.class_id for t in tracked.tracks) == [0, 7]

    def test_classes_never_share_a_track(self) -> None:
        tracker = ObjectTracker(least=0.5)
        tracker.update(frame((BOX, 0.9, 998)), 0)
        (track,) = tracker.update(frame((BOX, 0.9, 999)), NS_PER_S // 5).tracks
        assert (track.id, track.hits) == (2, 1)


class TestRows:
    def test_rows_belong_together_and_stay_best_first(self) -> None:
        tracker = ObjectTracker(least={0: 0.5})
        boxes = [(x, 100.0, x + 60, 250.0) for x in (0.0, 200.0, 400.0)]
        tracker.update(frame((boxes[0], 0.9, 0), (boxes[1], 0.8, 0), (boxes[2], 0.7, 0)), 0)
        tracked = tracker.update(
            frame((boxes[2], 0.9, 0), (boxes[0], 0.6, 0), (boxes[1], 0.45, 0), (BOX, 0.45, 0)), NS_PER_S // 5
        )
        assert tracked.track_ids.tolist() == [3, 1, 2]
        assert [t.id for t in tracked.tracks] == [3, 1, 2]
        assert [t.box for t in tracked.tracks] == [boxes[2], boxes[0], boxes[1]]
        assert tracked.detections.scores.tolist() == pytest.approx([0.9, 0.6, 0.45])

    def test_a_track_tells_its_sightings(self) -> None:
        tracker = ObjectTracker(least={0: 0.5})
        tracker.update(frame((BOX, 0.6, 0)), 5)
        tracker.update(frame(), NS_PER_S)
        (track,) = tracker.update(frame((BOX, 0.9, 0)), 2 * NS_PER_S).tracks
        assert (track.first_ns, track.last_ns, track.hits) == (5, 2 * NS_PER_S, 2)

    def test_nothing_in_nothing_out(self) -> None:
        tracked = ObjectTracker(least={0: 0.5}).update(Detections.empty(), 0)
        assert (len(tracked.detections), str(tracked.track_ids.dtype), len(tracked.tracks)) == (0, "int32", 0)


class TestTime:
    @pytest.mark.parametrize("fps", [25, 5, 1])
    @pytest.mark.parametrize(("away_s", "same"), [(1.9, True), (2.2, False)])
    def test_memory_is_seconds_whatever_the_rate(self, fps: float, away_s: float, *, same: bool) -> None:
        tracker = ObjectTracker(least={0: 0.5}, memory_s=2.0)
        tracker.update(frame((BOX, 0.9, 0)), 0)
        for k in range(1, int(away_s * fps) + 1):
            tracker.update(frame(), round(k / fps * NS_PER_S))
        (track,) = tracker.update(frame((BOX, 0.9, 0)), round(away_s * NS_PER_S)).tracks
        assert (track.id == 1) is same

    def test_memory_may_be_longer(self) -> None:
        tracker = ObjectTracker(least={0: 0.5}, memory_s=30.0)
        tracker.update(frame((BOX, 0.9, 0)), 0)
        assert tracker.update(frame((BOX, 0.9, 0)), 29 * NS_PER_S).tracks[0].id == 1

    @pytest.mark.parametrize("step_ns", [0, -NS_PER_S])
    def test_time_that_stands_still_or_goes_back_is_survived(self, step_ns: int) -> None:
        tracker = ObjectTracker(least={0: 0.5})
        tracker.update(frame((BOX, 0.9, 0)), 10 * NS_PER_S)
        tracker.update(frame((BOX, 0.9, 0)), 10 * NS_PER_S + step_ns)
        assert tracker.update(frame((BOX, 0.9, 0)), 10 * NS_PER_S + 2 * step_ns).tracks[0].id == 1

    def test_reset_forgets_objects_but_not_the_numbers_given(self) -> None:
        tracker = ObjectTracker(least={0: 0.5})
        tracker.update(frame((BOX, 0.9, 0)), 0)
        tracker.reset()
        (track,) = tracker.update(frame((BOX, 0.9, 0)), 1).tracks
        assert (track.id, track.hits, track.first_ns) == (2, 1, 1)


class TestIdentity:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("fps", [25, 5, 2, 1])
    def test_a_walker_keeps_one_id_at_any_rate(self, fps: float, seed: int) -> None:
        assert set(ids_by_person(SceneMaker(seed).walker(fps))[0]) == {1}, seed

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize(
        ("fps", "missed", "irregular"), [(25, 0.5, 0.0), (5, 0.2, 0.9), (5, 0.5, 0.0), (3, 0.5, 0)]
    )
    def test_missed_and_irregular_frames_do_not_lose_a_walker(
        self, fps: float, missed: float, irregular: float, seed: int
    ) -> None:
        assert set(ids_by_person(SceneMaker(seed).walker(fps, missed=missed, irregular=irregular))[0]) == {1}, seed

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("fps", [25, 5, 2])
    def test_a_runner_keeps_one_id(self, fps: float, seed: int) -> None:
        assert set(ids_by_person(SceneMaker(seed).runner(fps))[0]) == {1}, seed

    @pytest.mark.parametrize("fps", [10, 5])
    def test_flicker_makes_one_id(self, fps: float) -> None:
        for seed in range(100):
            ids = ids_by_person(SceneMaker(seed).flicker(fps, share=0.5, seconds=6, people=2))
            assert [len(set(i)) for i in ids.values()] == [1, 1], seed

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("hidden", [False, True])
    @pytest.mark.parametrize("fps", [25, 10])
    def test_people_who_cross_keep_their_ids(self, fps: float, seed: int, *, hidden: bool) -> None:
        ids = ids_by_person(SceneMaker(seed).crossing(fps, hidden=hidden))
        assert ids[0][0] == ids[0][-1], seed
        assert ids[1][0] == ids[1][-1], seed
        assert ids[0][-1] != ids[1][-1], seed

    def test_an_object_missed_for_a_moment_does_not_give_its_id_to_a_neighbour(self) -> None:
        tracker = ObjectTracker(least={0: 0.5})
        step_ns = NS_PER_S // 25
        tracker.update(frame((BOX, 0.9, 0)), 0)
        beside = (300.0, 100.0, 360.0, 250.0)
        (track,) = tracker.update(frame((beside, 0.9, 0)), step_ns).tracks
        assert track.id == 2
        assert tracker.update(frame((BOX, 0.9, 0), (beside, 0.9, 0)), 2 * step_ns).track_ids.tolist() == [1, 2]


class TestAtRest:
    """A parked car, five times a second: at rest for the first twelve seconds."""

    def parked(self, *, seconds: float = 12.0) -> tuple[ObjectTracker, int]:
        tracker, random = ObjectTracker(least={0: 0.5, 2: 0.5}), np.random.default_rng(3)
        told = []
        for k in range(round(seconds * 5) + 1):
            box = tuple((np.array(BOX) + random.normal(0, 2, 4)).tolist())
            (track,) = tracker.update(frame((box, 0.9, 2)), k * NS_PER_S // 5).tracks
            told.append(track.stationary)
        assert told == [k >= 50 for k in range(len(told))]
        return tracker, round(seconds * NS_PER_S)

    @pytest.mark.parametrize("away_s", [1.0, 4.0, 30.0, 59.0])
    def test_it_keeps_its_id_while_it_is_hidden(self, away_s: float) -> None:
        tracker, now_ns = self.parked()
        for k in range(1, round(away_s * 5)):
            lorry = ((90.0, 80.0, 300.0, 260.0), 0.9, 0)
            tracker.update(frame(lorry), now_ns + k * NS_PER_S // 5)
        (track,) = tracker.update(frame((BOX, 0.8, 2)), now_ns + round(away_s * NS_PER_S)).tracks
        assert (track.id, track.first_ns, track.hits, track.stationary) == (1, 0, 62, True)

    def test_neither_what_comes_later_nor_its_neighbour_is_taken_for_it(self) -> None:
        tracker, now_ns = self.parked()
        for k in range(1, 20):
            tracker.update(frame(), now_ns + k * NS_PER_S // 5)
        beside = (150.0, 100.0, 210.0, 250.0)
        (track,) = tracker.update(frame((beside, 0.9, 2)), now_ns + 4 * NS_PER_S).tracks
        assert (track.id, track.stationary) == (2, False)
        for k in range(21, 330):
            tracker.update(frame((beside, 0.9, 2)), now_ns + k * NS_PER_S // 5)
        ids = tracker.update(frame((BOX, 0.9, 2), (beside, 0.9, 2)), now_ns + 66 * NS_PER_S).track_ids
        assert ids.tolist() == [3, 2]

    def test_one_that_drives_off_is_not_remembered_there(self) -> None:
        tracker, now_ns = self.parked()
        for k in range(1, 11):
            gone = (100.0 + 30 * k, 100.0, 160.0 + 30 * k, 250.0)
            (track,) = tracker.update(frame((gone, 0.9, 2)), now_ns + k * NS_PER_S // 5).tracks
        assert (track.id, track.stationary) == (1, False)
        for k in range(11, 30):
            tracker.update(frame(), now_ns + k * NS_PER_S // 5)
        (track,) = tracker.update(frame((BOX, 0.9, 2)), now_ns + 6 * NS_PER_S).tracks
        assert track.id == 2

    def test_it_is_looked_for_before_all_counts_as_settled(self) -> None:
        tracker, now_ns = self.parked()
        assert tracker.settled()
        told = []
        for k in range(1, 40):
            tracker.update(frame(), now_ns + k * NS_PER_S // 5)
            told.append(tracker.settled())
        assert told == [False] * 25 + [True] * 14  # 2 s of memory, and 3 s in which it may only be missed

    def test_hours_in_which_nobody_looks_change_nothing(self) -> None:
        tracker, now_ns = self.parked()
        for minute in range(1, 180):
            tracker.still(now_ns + minute * 60 * NS_PER_S)
        (track,) = tracker.update(frame((BOX, 0.8, 2)), now_ns + (179 * 60 + 10) * NS_PER_S).tracks
        assert (track.id, track.stationary) == (1, True)

    def test_what_was_lost_before_is_not_remembered_for_hours(self) -> None:
        tracker, now_ns = self.parked()
        for k in range(1, 30):
            tracker.update(frame(), now_ns + k * NS_PER_S // 5)
        tracker.still(now_ns + 3600 * NS_PER_S)
        (track,) = tracker.update(frame((BOX, 0.9, 2)), now_ns + 3601 * NS_PER_S).tracks
        assert track.id == 2


ROWS = st.lists(
    st.tuples(
        st.tuples(st.floats(0, 1280, width=32), st.floats(0, 720, width=32), st.floats(0, 300), st.floats(0, 300)).map(
            lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
        ),
        st.floats(0, 1, width=32),
        st.integers(0, 999),
    ),
    max_size=8,
).map(lambda rows: sorted(rows, key=lambda row: -row[1]))


@given(shots=st.lists(st.tuples(st.floats(-1, 20), ROWS), max_size=12))
def test_whatever_comes_the_rows_belong_together(
    shots: list[tuple[float, list[tuple[tuple[float, float, float, float], float, int]]]],
) -> None:
    tracker, now_ns, known = ObjectTracker(least=0.5), 0, dict[int, int]()
    for step_s, rows in shots:
        now_ns += round(step_s * NS_PER_S)
        tracked = tracker.update(frame(*rows), now_ns)
        ids = tracked.track_ids.tolist()
        assert len(set(ids)) == len(ids)
        assert [(t.id, t.box, t.score, t.class_id, t.last_ns) for t in tracked.tracks] == [
            (i, *row, now_ns) for i, row in zip(ids, tracked.detections, strict=True)
        ]
        assert sum(score >= 0.5 for _, score, _ in rows) <= len(ids)
        new = [i for i in ids if i not in known]
        assert all(i > max(known, default=0) for i in new)
        assert all(known.setdefault(t.id, t.class_id) == t.class_id for t in tracked.tracks)


def test_cost_is_a_fraction_of_a_millisecond() -> None:
    """Guards the 3 ms a frame of everything outside inference and decoding; generous, since machines are shared."""
    tracker = ObjectTracker(least=0.5)
    spent_s = []
    for k in range(60):
        rows = [((x + k, 100.0, x + k + 60, 250.0), 0.9, 0) for x in range(0, 1000, 100)]
        detections = frame(*rows)
        began = time.perf_counter()
        tracker.update(detections, k * NS_PER_S // 5)
        spent_s.append(time.perf_counter() - began)
    assert sorted(spent_s)[10] < 0.002
