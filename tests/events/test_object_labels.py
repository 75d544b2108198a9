from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from event_scenes import BOX, Tracks, classified, info
from hypothesis import given
from hypothesis import strategies as st

from streamer.events.labels import LabelSpec, LabelVotes, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from streamer.core.results import Box

KINDS = ("box", "bag", "letter")
PARCEL = LabelSpec(name="parcel", class_ids=frozenset({0}), labels=KINDS)
BIGGER: Box = (100.0, 100.0, 175.0, 287.0)  # 1.56 times the area of BOX


@dataclass
class Camera:
    """A camera whose classifier answers each look at once, in the order of a string: A, B, C, or `-` for none.

    The last letter goes on for ever.
    """

    votes: LabelVotes
    answers: str = "A"
    tracks: Tracks = field(default_factory=Tracks)
    looks: list[tuple[float, int]] = field(default_factory=list)  # second, track
    measured: list[float] = field(default_factory=list)

    def frame(
        self, t: float, boxes: Mapping[int, Box], sharp: Callable[[float], float] = lambda _: 10.0
    ) -> list[Wanted]:
        """Show some objects, and answer what is asked."""

        def sharpness(_box: Box) -> float:
            self.measured.append(t)
            return sharp(t)

        tracks = [self.tracks.seen(t, track, box=box) for track, box in boxes.items()]
        wanted = self.votes.wanted(info(t), tracks, sharpness)
        for want in wanted:
            letter = self.answers[min(len(self.looks), len(self.answers) - 1)]
            self.looks.append((t, want.track))
            scores = {} if letter == "-" else {"ABC".index(letter): 0.75}
            self.votes.observe(classified(t, scores, name=want.name, track=want.track))
        return wanted

    def watch(
        self,
        until_s: float,
        box: Callable[[float], Box] = lambda _: BOX,
        sharp: Callable[[float], float] = lambda _: 10.0,
        fps: float = 5,
    ) -> list[float]:
        """Show one object for a while; return the seconds at which it was looked at."""
        for k in range(round(until_s * fps) + 1):
            t = round(k / fps, 3)
            self.frame(t, {1: box(t)}, sharp)
        return [t for t, _ in self.looks]


def camera(answers: str = "A", **spec: object) -> Camera:
    return Camera(LabelVotes([replace(PARCEL, **spec)]), answers)  # type: ignore[arg-type]


class TestDeciding:
    def test_it_is_looked_at_from_its_first_confirmed_frame_until_the_votes_concur(self) -> None:
        scene = camera()
        assert scene.watch(5) == [0.2, 0.4, 0.6]
        assert scene.votes.labels_of(1) == {"parcel": ("box", 0.75)}

    def test_looks_show_different_views(self) -> None:
        assert camera().watch(2, fps=25) == [0.04, 0.24, 0.44]
        assert camera().watch(6, fps=1) == [1, 2, 3]

    def test_where_votes_differ_it_goes_on_each_second(self) -> None:
        scene = camera("ABCABA")
        looks = scene.watch(8)
        assert looks == [0.2, 0.4, 0.6, 1.2, 2.2, 3.2]
        assert scene.votes.labels_of(1)["parcel"][0] == "box"

    def test_a_wavering_object_keeps_to_three_looks_and_one_a_second(self) -> None:
        looks = camera("AB" * 100, agree=60).watch(60)
        assert len(looks) == 3 + 59
        assert looks[3:6] == [1.2, 2.2, 3.2]

    def test_no_more_are_asked_at_once_than_must_agree(self) -> None:
        assert camera("ABBB", agree=2).watch(5) == [0.2, 0.4, 1.2]
        assert camera("ABCCC", agree=4).watch(5) == [0.2, 0.4, 0.6, 1.2, 2.2, 3.2]

    def test_undecided_it_has_no_label(self) -> None:
        scene = camera()
        scene.watch(0.4)
        assert scene.votes.labels_of(1) == {}
        assert scene.votes.labels_of(99) == {}

    def test_one_vote_may_decide(self) -> None:
        scene = camera("ABBC", agree=1, again_s=1.0)
        assert scene.watch(0.9) == [0.2]
        assert scene.votes.labels_of(1)["parcel"][0] == "box"
        scene.watch(3)
        assert [t for t, _ in scene.looks] == [0.2, 1.2, 2.2]
        assert scene.votes.labels_of(1)["parcel"][0] == "bag"

    def test_other_classes_are_not_looked_at(self) -> None:
        scene = camera(class_ids=frozenset({1}))
        assert scene.watch(5) == scene.measured == []

    def test_ghosts_of_one_frame_are_not_looked_at(self) -> None:
        scene = camera()
        for t in range(10):
            assert scene.frame(float(t), {t: BOX}) == []

    def test_each_classification_looks_for_itself(self) -> None:
        votes = LabelVotes([PARCEL, LabelSpec(name="colour", class_ids=frozenset({0, 1}), labels=("red",), agree=1)])
        scene = Camera(votes)
        scene.watch(1)
        assert votes.labels_of(1) == {"parcel": ("box", 0.75), "colour": ("red", 0.75)}
        assert Counter(scene.looks) == {(0.2, 1): 2, (0.4, 1): 1, (0.6, 1): 1}

    def test_who_has_waited_longest_comes_first(self) -> None:
        scene = camera("-", least=0.5)
        scene.frame(0.0, {1: BOX})
        scene.frame(0.2, {1: BOX, 2: BOX})
        wanted = scene.frame(0.4, {1: BOX, 2: BOX})
        assert [want.track for want in wanted] == [2, 1]
        assert wanted[0] == Wanted("parcel", 2, BOX)


class TestNoClass:
    def test_an_object_that_shows_none_rests_without_a_label(self) -> None:
        scene = camera("-", least=0.5)
        assert scene.watch(9) == [0.2, 0.4, 0.6]
        assert scene.votes.labels_of(1) == {}

    def test_a_poor_view_says_nothing_against_what_better_ones_have_shown(self) -> None:
        scene = camera("AAA" + "-" * 50, least=0.5, again_s=1.0)
        scene.watch(30)
        assert scene.votes.labels_of(1)["parcel"][0] == "box"

    def test_the_best_that_is_present_where_each_is_judged_for_itself(self) -> None:
        votes = LabelVotes([replace(PARCEL, agree=1, thresholds=(0.5, 0.8, 0.2))])
        votes.wanted(info(0.2), [replace(Tracks().seen(0.2), hits=2)], lambda _: 1.0)
        votes.observe(classified(0.2, {0: 0.625, 1: 0.79, 2: 0.3}, track=1))
        assert votes.labels_of(1) == {"parcel": ("box", 0.625)}
        votes.observe(classified(0.4, {0: 0.4, 1: 0.7}, track=1))  # nothing is there any more
        assert votes.labels_of(1) == {}


class TestAgain:
    def test_a_decided_object_is_looked_at_again_every_so_often(self) -> None:
        assert camera().watch(25) == [0.2, 0.4, 0.6, 10.6, 20.6]
        assert camera(again_s=4.0).watch(9) == [0.2, 0.4, 0.6, 4.6, 8.6]

    def test_a_much_bigger_view_is_another_look(self) -> None:
        assert camera().watch(5, lambda t: BOX if t < 3 else BIGGER) == [0.2, 0.4, 0.6, 3.0]
        assert camera().watch(5, lambda t: BOX if t < 3 else (100.0, 100.0, 170.0, 280.0)) == [0.2, 0.4, 0.6]
        assert camera().watch(5, lambda t: BIGGER if t < 3 else BOX) == [0.2, 0.4, 0.6]

    def test_a_much_sharper_view_of_the_same_size_is_another_look(self) -> None:
        def jitters(t: float) -> Box:
            return (100.0, 100.0, 158.0 if round(t * 5) % 2 else 160.0, 250.0)

        assert camera().watch(5, jitters, lambda t: 10.0 if t < 3 else 15.1) == [0.2, 0.4, 0.6, 3.2]
        assert camera().watch(5, jitters, lambda t: 10.0 if t < 3 else 15.0) == [0.2, 0.4, 0.6]
        smaller = camera().watch(5, lambda t: BIGGER if t < 3 else BOX, lambda t: 10.0 if t < 3 else 99.0)
        assert smaller == [0.2, 0.4, 0.6]

    def test_sharpness_is_measured_once_a_second_at_most(self) -> None:
        scene = camera()
        scene.watch(9, fps=25)
        assert len(scene.measured) <= 9
        assert all(b - a > 0.99 for a, b in pairwise(scene.measured))

    def test_one_wrong_answer_is_looked_into_at_once_and_changes_nothing(self) -> None:
        scene = camera("AAAAB" + "A" * 9)
        assert scene.watch(25) == [0.2, 0.4, 0.6, 10.6, 20.6, 20.8]
        assert scene.votes.labels_of(1)["parcel"][0] == "box"

    def test_an_object_that_has_changed_has_a_new_label_once_that_has_its_votes(self) -> None:
        scene = camera("AAABBB")
        assert scene.watch(13) == [0.2, 0.4, 0.6, 10.6, 10.8, 11.0]
        assert scene.votes.labels_of(1) == {"parcel": ("bag", 0.75)}

    def test_wrong_answers_hardly_ever_change_it(self, seed: int) -> None:
        """A minute of each of a hundred objects, three of ten answers wrong."""
        rng, changes, right = np.random.default_rng(seed), 0, 0
        for _ in range(100):
            scene = camera("".join("B" if wrong else "A" for wrong in rng.random(70) < 0.3))
            labels = []
            for k in range(300):
                scene.frame(k / 5, {1: BOX})
                labels += [label for label, _ in scene.votes.labels_of(1).values()]
            changes += sum(a != b for a, b in pairwise(labels))
            right += labels[-1] == "box"
            assert len(scene.looks) <= 3 + 60
        assert changes <= 60
        assert right >= 80


class TestAsking:
    def test_what_is_asked_is_not_asked_again_until_it_is_answered(self) -> None:
        votes, tracks = LabelVotes([PARCEL]), Tracks()
        tracks.seen(0.0)
        assert len(votes.wanted(info(0.2), [tracks.seen(0.2)], lambda _: 1.0)) == 1
        assert votes.waiting()
        assert votes.wanted(info(1.2), [tracks.seen(1.2)], lambda _: 1.0) == []
        votes.observe(classified(0.2, {0: 0.75}, track=1))
        assert not votes.waiting()
        assert len(votes.wanted(info(1.4), [tracks.seen(1.4)], lambda _: 1.0)) == 1

    def test_a_refused_one_is_wanted_again_and_costs_nothing(self) -> None:
        votes, tracks = LabelVotes([PARCEL]), Tracks()
        times = [k / 25 for k in range(51)]
        asked = []
        for t in times:
            for want in votes.wanted(info(t), [tracks.seen(t)], lambda _: 1.0):
                asked.append(t)
                votes.refused(want)
            assert not votes.waiting()
        assert len(asked) == 10
        assert all(b - a > 0.18 for a, b in pairwise(asked))

    def test_a_better_view_that_was_refused_is_still_better(self) -> None:
        scene = camera()
        scene.watch(3)
        tracks = [scene.tracks.seen(3.2, box=BIGGER)]
        (want,) = scene.votes.wanted(info(3.2), tracks, lambda _: 10.0)
        scene.votes.refused(want)
        assert len(scene.votes.wanted(info(3.4), tracks, lambda _: 10.0)) == 1

    def test_an_answer_that_never_comes_mutes_no_object(self) -> None:
        votes, tracks = LabelVotes([PARCEL]), Tracks()
        asked = [t for t in range(12) if votes.wanted(info(t), [tracks.seen(t)], lambda _: 1.0)]
        assert asked == [1, 6, 11]

    def test_what_nobody_asked_says_nothing(self) -> None:
        votes = LabelVotes([PARCEL])
        votes.observe(classified(0, {0: 0.75}, track=5))
        votes.observe(classified(0, {0: 0.75}, track=None))
        votes.observe(classified(0, {0: 0.75}, name="another", track=5))
        votes.refused(Wanted("parcel", 5, BOX))
        assert (votes.labels_of(5), votes.waiting()) == ({}, False)


class TestForgetting:
    def test_out_of_sight_for_a_minute_is_forgotten(self) -> None:
        scene = camera()
        scene.watch(1)
        scene.frame(60.0, {2: BOX})
        assert scene.votes.labels_of(1)
        scene.frame(61.1, {2: BOX})
        assert scene.votes.labels_of(1) == {}

    def test_memory_is_bounded_whatever_comes(self) -> None:
        scene = camera()
        for k in range(3000):
            t = k / 100
            scene.frame(t, {k: BOX, k + 1: BOX, 100_000: BOX})
        votes = scene.votes
        assert len(votes._seen_ns) == 1024
        assert len(votes._watches) <= 1024
        assert votes.labels_of(100_000)

    def test_what_is_never_answered_is_bounded_too(self) -> None:
        votes, tracks = LabelVotes([PARCEL]), Tracks()
        for k in range(2000):
            votes.wanted(info(k / 1000), [tracks.seen(k / 1000, n) for n in (k, k + 1)], lambda _: 1.0)
        assert len(votes._asked) == len(votes._watches) <= 1024

    def test_a_lost_camera_knows_nobody(self) -> None:
        scene = camera()
        scene.watch(1)
        scene.votes.wanted(info(11), [scene.tracks.seen(11)], lambda _: 1.0)
        scene.votes.reset()
        assert (scene.votes.labels_of(1), scene.votes.waiting()) == ({}, False)


Step = tuple[float, frozenset[int], str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.04, 0.2, 1.0, 7.0, 70.0]),
        st.frozensets(st.integers(1, 5), max_size=4),
        st.sampled_from("AAABBC-") | st.sampled_from(["late", "lost", "refused", "reset"]),
    ),
    max_size=80,
)


@dataclass
class Anything:
    """A camera for which anything may happen, and what must hold whatever does."""

    votes: LabelVotes
    tracks: Tracks = field(default_factory=Tracks)
    t: float = 0.0
    sharp: Iterator[float] = field(default_factory=lambda: cycle([1.0, 9.0, 4.0, 30.0, 2.0]))
    late: list[int] = field(default_factory=list)
    looks: dict[int, list[float]] = field(default_factory=dict)
    said: dict[int, str] = field(default_factory=dict)

    def step(self, ids: frozenset[int], what: str) -> None:
        """Show a frame with some tracks; `what` becomes of the looks at them."""
        if what == "reset":
            self.votes.reset()
            self.looks, self.said = {}, {}
        seen = [self.tracks.seen(self.t, track) for track in sorted(ids)]
        for want in self.votes.wanted(info(self.t), seen, lambda _: next(self.sharp)):
            assert self.votes.waiting()
            if what == "refused":
                self.votes.refused(want)
                continue
            self.looks.setdefault(want.track, []).append(self.t)
            if what == "late":
                self.late.append(want.track)
            elif what in "ABC-":
                self.answer(want.track, what)
        if what in "ABC-":
            while self.late:
                self.answer(self.late.pop(), what)

    def answer(self, track: int, letter: str) -> None:
        scores = {} if letter == "-" else {"ABC".index(letter): 0.75}
        self.votes.observe(classified(self.t, scores, track=track))
        self.said[track] = self.said.get(track, "") + letter

    def check(self, agree: int) -> None:
        for track, times in self.looks.items():
            assert all(b - a >= 0.189 for a, b in pairwise(times))
            assert len(times) <= min(agree, 3) + (self.t - times[0])
            for label, score in self.votes.labels_of(track).values():
                assert self.said[track].count("ABC"[KINDS.index(label)]) >= agree
                assert score == 0.75


@given(steps=STEPS, agree=st.integers(1, 4), again_s=st.sampled_from([0.5, 10.0]))
def test_whatever_comes_looks_are_few_and_labels_have_their_votes(
    steps: Sequence[Step], agree: int, again_s: float
) -> None:
    """Tracks come and go; answers come at once, late, in any order, or never."""
    scene = Anything(LabelVotes([replace(PARCEL, agree=agree, again_s=again_s, least=0.5)]))
    for step_s, ids, what in steps:
        scene.t = round(scene.t + step_s, 3)
        scene.step(ids, what)
        scene.check(agree)


class TestValues:
    @pytest.mark.parametrize("wrong", [{"agree": 0}, {"again_s": 0.0}, {"least": -0.1}])
    def test_values_out_of_range_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="parcel: agree >= 1"):
            replace(PARCEL, **wrong)

    def test_thresholds_are_those_of_the_labels(self) -> None:
        with pytest.raises(ValueError, match="parcel: a threshold for each of 3 labels expected, got 1"):
            replace(PARCEL, thresholds=(0.5,))
