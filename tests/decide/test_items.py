from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from factory_line import BOARD, DEFECTS, LOOKED, OPEN, SHORT, found, frame, gray, info, plan, said

from streamer.core.clock import NS_PER_MS, NS_PER_S, FakeClock
from streamer.core.decision import Doubt, Verdict
from streamer.core.errors import BackendError, ChannelClosed
from streamer.core.frame import DevicePicture, PixelFormat
from streamer.core.look import Classified
from streamer.core.results import ModelRef, Timing
from streamer.decide.items import Items
from streamer.decide.judge import JudgeSpec

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture, FrameInfo
    from streamer.core.results import Classification
    from streamer.decide.items import ItemsPlan

LABELS = JudgeSpec(labels={"look": LOOKED})
BOTH = replace(DEFECTS, labels={"look": LOOKED})
GOOD, BENT = said(0.9, 0.05, 0.05), said(0.05, 0.05, 0.9)


class Line:
    """One camera's items, and a clock that the test moves. Times are ms from its start."""

    def __init__(self, items_plan: ItemsPlan) -> None:
        self.clock = FakeClock()
        self._start_ns = self.clock.monotonic_ns()
        self._live = items_plan.live
        self.items = Items(items_plan, clock=self.clock)

    def go_to(self, at_ms: float) -> None:
        self.clock.advance((self.ns(at_ms) - self.clock.monotonic_ns()) / NS_PER_S)

    def ns(self, at_ms: float) -> int:
        return self._start_ns + round(at_ms * NS_PER_MS)

    def info(self, seq: int, at_ms: float) -> FrameInfo:
        return info(seq, self.ns(at_ms), live=self._live)

    def capture(self, seq: int, at_ms: float, picture: AnyPicture | None = None) -> bool:
        """Decode a frame in the moment of its capture."""
        self.go_to(max(at_ms, (self.clock.monotonic_ns() - self._start_ns) / NS_PER_MS))
        return self.items.captured(frame(seq, self.ns(at_ms), live=self._live, picture=picture))

    def classify(self, seq: int, output: Classification, *, name: str = "look", track: int | None = None) -> None:
        about = self.info(seq, 0)
        self.items.classified(
            Classified(
                info=about,
                name=name,
                track=track,
                output=output,
                timing=Timing(captured_ns=about.captured_ns, taken_ns=0, inferred_ns=0),
                model=ModelRef(name="m", digest="sha256:0", backend="fake", precision="f32"),
            )
        )

    def decided(self) -> list[tuple[str, str, str | None]]:
        return [(d.item, d.verdict.value, d.reason) for d in self.items.take_decided(self.clock.monotonic_ns())]

    def open(self) -> int:
        """Frames that something is still expected of, as far as the items remember them."""
        return len(self.items._evidence) + len(self.items._waiting)


def test_every_frame_is_an_item_and_is_judged_by_its_own_result() -> None:
    line = Line(plan())
    assert [line.capture(seq, 50 * seq) for seq in range(3)] == [True, True, True]

    line.items.result(line.info(1, 50), found((OPEN, 0.9)))
    line.items.result(line.info(0, 0), found((BOARD, 0.9)))
    line.items.result(line.info(2, 100), found((SHORT, 0.45)))

    assert line.decided() == [("1", "accept", None), ("2", "reject", "open"), ("3", "reject", "unsure")]
    assert line.open() == 0


def test_without_an_answer_the_deadline_decides_and_a_later_answer_changes_nothing() -> None:
    line = Line(plan())
    line.capture(0, 0)
    line.go_to(200)
    line.items.result(line.info(0, 0), found())

    assert line.decided() == [("1", "reject", "late")]
    line.items.result(line.info(0, 0), found())
    assert line.decided() == []
    assert line.open() == 0
    assert line.items.due_ns(line.info(0, 0)) == 0


def test_the_deadline_runs_from_the_capture_and_not_from_the_decoding() -> None:
    line = Line(plan())
    line.go_to(150)
    line.capture(0, 0)

    assert line.items.next_ns() == line.ns(200)


def test_a_frame_of_the_future_is_from_now() -> None:
    line = Line(plan())
    line.items.captured(frame(0, line.ns(5000)))

    assert line.items.next_ns() == line.ns(200)


def test_a_frame_that_took_longer_than_the_deadline_is_late_and_not_failed() -> None:
    line = Line(plan())
    line.go_to(300)
    line.capture(0, 0)

    assert line.decided() == [("1", "reject", "late")]
    assert line.open() == 0


def test_results_of_frames_that_are_no_items_are_of_no_interest() -> None:
    line = Line(plan(each_frame=False))
    assert not line.capture(0, 0)
    line.items.result(line.info(0, 0), found((SHORT, 0.9)))
    line.items.lost(line.info(0, 0), Doubt.OVERRUN)

    assert line.decided() == []
    assert line.items.counts()["items"] == 0


# --- fitness


def test_an_unfit_picture_is_decided_at_once_and_not_inferred() -> None:
    line = Line(plan(otherwise=Verdict.ACCEPT))
    dark = gray(np.zeros((48, 64), np.uint8))

    assert not line.capture(0, 0, dark)
    assert line.items.due_ns(line.info(0, 0)) == 0
    line.items.result(line.info(0, 0), found((SHORT, 0.9)))
    assert line.decided() == [("1", "accept", "dark")]
    assert line.open() == 0


def test_a_blurred_picture_and_a_frozen_one_are_doubted() -> None:
    line = Line(plan())
    for seq in range(8):
        line.capture(seq, 50 * seq)
        line.items.result(line.info(seq, 50 * seq), found())
    flat = gray(np.tile(np.linspace(60, 200, 64).astype(np.uint8), (48, 1)))
    assert not line.capture(8, 400, flat)
    same = frame(0, 0).picture
    assert [line.items.captured(frame(9 + n, line.ns(450 + 550 * n), picture=same)) for n in range(3)] == [
        True,
        True,
        False,
    ]
    line.go_to(3000)

    reasons = [reason for _, _, reason in line.decided()]
    assert reasons == [None] * 8 + ["blurred", "late", "late", "frozen"]


def test_the_item_of_a_picture_that_a_gpu_lost_is_decided() -> None:
    line = Line(plan())
    wrong = DevicePicture(
        format=PixelFormat.NV12,
        pointers=(1, 2),
        pitches=(64, 64),
        width=64,
        height=48,
        matrix=(about := frame(0, 0).picture).matrix,
        range=about.range,
        device=99,
        owner=None,
    )
    with pytest.raises(BackendError):
        line.items.captured(replace(frame(0, line.ns(0)), picture=wrong))

    assert line.decided() == [("1", "reject", "failed")]
    assert line.open() == 0


# --- what an item needs


def test_an_item_waits_for_all_that_it_is_judged_by() -> None:
    line = Line(plan(judge=BOTH))
    line.capture(0, 0)
    line.items.result(line.info(0, 0), found())
    assert line.decided() == []
    line.classify(0, GOOD)

    assert line.decided() == [("1", "accept", None)]


def test_a_live_item_with_a_defect_is_rejected_before_the_rest_is_known() -> None:
    line = Line(plan(judge=BOTH))
    line.capture(0, 0)
    line.items.result(line.info(0, 0), found((SHORT, 0.9)))

    assert line.decided() == [("1", "reject", "short")]


@pytest.mark.parametrize("first", ["detector", "classifier"])
def test_a_recorded_item_has_the_same_reason_whichever_model_is_faster(first: str) -> None:
    line = Line(plan(judge=BOTH, live=False))
    line.capture(0, 0)
    if first == "classifier":
        line.classify(0, BENT)
    line.items.result(line.info(0, 0), found((SHORT, 0.9)))
    if first == "detector":
        line.classify(0, BENT)

    assert line.decided() == [("1", "reject", "short")]


def test_labels_alone_judge_without_a_detector() -> None:
    line = Line(plan(judge=LABELS))
    for seq, answer in enumerate([GOOD, BENT, said(0.4, 0.3, 0.3)]):
        line.capture(seq, 50 * seq)
        line.classify(seq, answer)

    assert line.decided() == [("1", "accept", None), ("2", "reject", "bent"), ("3", "reject", "unsure")]


def test_answers_about_objects_and_other_classifications_do_not_judge_a_frame() -> None:
    line = Line(plan(judge=LABELS))
    line.capture(0, 0)
    line.classify(0, BENT, name="weather")
    line.classify(0, BENT, track=7)

    assert line.decided() == []
    assert line.items.due_ns(line.info(0, 0))


def test_a_lost_frame_decides_its_item() -> None:
    line = Line(plan())
    for seq in range(2):
        line.capture(seq, seq)
    line.items.lost(line.info(1, 1), Doubt.OVERRUN)
    assert line.decided() == []
    line.items.lost(line.info(0, 0), Doubt.FAILED)
    line.items.result(line.info(0, 0), found())

    assert line.decided() == [("1", "reject", "failed"), ("2", "reject", "overrun")]
    assert line.open() == 0


# --- triggers


def test_a_trigger_gets_the_first_frame_captured_at_or_after_it() -> None:
    line = Line(plan(each_frame=False))
    line.go_to(100)
    line.items.trigger("a", line.ns(100))

    assert not line.capture(0, 99)  # decoded after the trigger, captured before it: it might show the item before
    assert line.capture(1, 140)
    assert not line.capture(2, 180)
    line.items.result(line.info(1, 140), found((SHORT, 0.9)))
    (decision,) = line.items.take_decided(line.clock.monotonic_ns())
    assert (decision.item, decision.reason, decision.captured_ns) == ("a", "short", line.ns(140))
    assert (decision.began_ns, decision.late) == (line.ns(100), False)


def test_the_deadline_of_a_triggered_item_runs_from_its_trigger() -> None:
    line = Line(plan(each_frame=False))
    line.items.trigger("a", line.ns(0))
    line.capture(0, 150)

    assert line.items.next_ns() == line.ns(200)
    line.go_to(200)
    assert line.decided() == [("a", "reject", "late")]


def test_without_a_frame_by_its_deadline_an_item_has_failed() -> None:
    line = Line(plan(each_frame=False))
    line.items.trigger("a", line.ns(0))
    line.items.trigger("b", line.ns(0))
    line.go_to(200)

    assert not line.capture(0, 200)  # neither has use for it, taken or not
    assert line.decided() == [("a", "reject", "failed"), ("b", "reject", "failed")]
    assert line.open() == 0


def test_a_frame_shows_one_item_and_the_oldest_trigger_gets_it() -> None:
    line = Line(plan(each_frame=False))
    for name in "abc":
        line.items.trigger(name, line.ns(0))

    assert [line.capture(seq, 40 * seq + 10) for seq in range(4)] == [True, True, True, False]
    for seq, rows in enumerate([(), ((OPEN, 0.9),), ((SHORT, 0.9),)]):
        line.items.result(line.info(seq, 0), found(*rows))
    assert line.decided() == [("a", "accept", None), ("b", "reject", "open"), ("c", "reject", "short")]


def test_a_picture_is_awaited_for_as_long_as_the_belt_takes() -> None:
    line = Line(plan(each_frame=False, after_s=0.1))
    line.go_to(50)
    line.items.trigger("a", line.ns(50))

    assert [line.capture(seq, 40 * seq + 60) for seq in range(4)] == [False, False, False, True]


def test_a_trigger_shown_the_picture_of_the_item_before_is_doubted() -> None:
    line = Line(plan(each_frame=False))
    same = frame(0, 0).picture
    line.items.trigger("a", line.ns(0))
    assert line.capture(0, 10, same)
    line.items.trigger("b", line.ns(20))
    assert not line.capture(1, 30, same)
    line.items.result(line.info(0, 10), found())

    assert line.decided() == [("a", "accept", None), ("b", "reject", "frozen")]


def test_a_trigger_of_the_future_is_from_now() -> None:
    line = Line(plan(each_frame=False))
    line.items.trigger("a", line.ns(9000))

    assert line.items.next_ns() == line.ns(200)


@pytest.mark.parametrize(
    ("name", "said_of_it"), [("", "1 to 128 characters, this one 0"), ("x" * 129, "this one 129"), ("a", "'a' is not")]
)
def test_a_trigger_that_cannot_be_an_item_is_refused(name: str, said_of_it: str) -> None:
    line = Line(plan(each_frame=False))
    line.items.trigger("a", line.ns(0))
    with pytest.raises(ValueError, match=said_of_it):
        line.items.trigger(name, line.ns(0))

    assert line.items.counts()["items"] == 1


def test_a_recording_gives_a_trigger_its_next_frame_whenever_that_is_from() -> None:
    line = Line(plan(each_frame=False, live=False))
    line.go_to(5000)
    line.items.trigger("a", line.ns(5000))

    assert line.items.captured(frame(0, line.ns(40), live=False))
    line.go_to(90_000)
    line.items.result(info(0, line.ns(40), live=False), found())
    assert line.decided() == [("a", "accept", None)]


def test_a_lost_camera_fails_the_items_that_wait_for_a_picture_and_no_others() -> None:
    line = Line(plan(each_frame=False))
    line.items.trigger("a", line.ns(0))
    line.items.trigger("b", line.ns(0))
    line.capture(0, 10)
    line.items.camera_lost()
    line.items.trigger("c", line.ns(20))  # the camera may come back in time
    assert line.items.captured(frame(0, line.ns(50), connection=1, picture=frame(1, 0).picture))

    line.items.result(line.info(0, 10), found())
    line.items.result(info(0, line.ns(50), connection=1), found((OPEN, 0.7)))
    assert line.decided() == [("a", "accept", None), ("b", "reject", "failed"), ("c", "reject", "open")]
    assert line.open() == 0


def test_a_frame_captured_in_the_moment_of_the_trigger_shows_its_item() -> None:
    line = Line(plan(each_frame=False))
    line.items.trigger("a", line.ns(0))

    assert line.capture(0, 0)


def test_triggers_of_a_camera_that_is_away_do_not_pile_up() -> None:
    line = Line(plan(each_frame=False))
    for n in range(1000):
        line.items.trigger(f"item-{n}", line.ns(10 * n))
        line.go_to(10 * n + 10)
        line.decided()

    assert line.open() <= 20


# --- items that cross a line


def crossed(line: Line, seq: int, at_ms: float, *rows: tuple[int, float], name: str | None = None) -> None:
    line.items.crossed(
        name,
        line.info(seq, at_ms),
        track=5,
        box=(200, 100, 400, 300),
        detections=found(*rows),
        labels={"look": ("good", 0.9)},
    )


def test_an_object_that_crosses_is_judged_by_what_is_known_of_it() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    assert not line.capture(0, 0)
    line.go_to(80)
    crossed(line, 0, 0)
    crossed(line, 0, 0, (SHORT, 0.8), name="x")
    crossed(line, 0, 0, (SHORT, 0.45))

    assert line.decided() == [("1", "accept", None), ("x", "reject", "short"), ("3", "reject", "unsure")]


def unlabelled(line: Line, *rows: tuple[int, float], track: int = 5) -> None:
    about = line.info(0, 0)
    line.items.crossed(None, about, track=track, box=(200, 100, 400, 300), detections=found(*rows), labels={})


@pytest.mark.parametrize("live", [True, False])
def test_an_object_without_its_labels_waits_for_them(*, live: bool) -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH, live=live))
    for track in (5, 6, 7):
        unlabelled(line, track=track)
    line.items.labelled(6, {"look": ("bent", 0.8)})
    line.items.labelled(5, {})
    line.items.labelled(8, {"look": ("bent", 0.8)})
    assert line.decided() == []
    line.items.labelled(5, {"look": ("good", 0.8)})
    line.items.labelled(5, {"look": ("bent", 0.8)})
    line.items.labelled(7, {}, last=True)

    assert line.decided() == [("1", "accept", None), ("2", "reject", "bent"), ("3", "reject", "unsure")]
    assert line.open() == 0


def test_an_object_whose_labels_do_not_come_in_time_is_late() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    unlabelled(line)
    line.go_to(200)
    line.items.labelled(5, {"look": ("good", 0.8)})

    assert line.decided() == [("1", "reject", "late")]
    assert line.open() == 0


def test_a_defect_of_a_live_object_does_not_wait_for_its_labels() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    unlabelled(line, (SHORT, 0.9))

    assert line.decided() == [("1", "reject", "short")]


def test_a_defect_of_a_recorded_object_is_found_again_when_nothing_more_comes() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH, live=False))
    unlabelled(line, (SHORT, 0.9))
    assert line.decided() == []
    line.items.labelled(5, {}, last=True)

    assert line.decided() == [("1", "reject", "short")]


def test_an_object_that_crosses_twice_is_two_items() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    unlabelled(line)
    unlabelled(line)
    line.items.labelled(5, {"look": ("bent", 0.8)})

    assert line.decided() == [("1", "reject", "bent"), ("2", "reject", "bent")]


def test_with_the_camera_the_labels_are_lost() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    unlabelled(line)
    line.items.camera_lost()
    assert line.decided() == []  # labels of what was seen are on their way
    line.items.objects_lost()

    assert line.decided() == [("1", "reject", "failed")]
    assert line.open() == 0


def test_an_object_that_crosses_in_an_unfit_picture_is_doubted() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    line.capture(0, 0, gray(np.zeros((48, 64), np.uint8)))
    line.capture(1, 50)
    crossed(line, 0, 0)
    crossed(line, 1, 50)

    assert line.decided() == [("1", "reject", "dark"), ("2", "accept", None)]


def test_where_objects_cross_each_frame_is_seen_and_frozen_is_a_matter_of_time() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    same = frame(0, 0).picture
    for seq in range(23):
        line.capture(seq, 50 * seq, same)
    crossed(line, 20, 1000)
    crossed(line, 21, 1050)

    assert line.decided() == [("1", "accept", None), ("2", "reject", "frozen")]


def test_an_object_that_is_known_to_have_crossed_too_late_is_late() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    line.capture(0, 0)
    line.go_to(200)
    crossed(line, 0, 0)

    assert line.decided() == [("1", "reject", "late")]


def test_doubts_about_frames_are_not_kept_for_ever() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    for seq in range(600):
        line.capture(seq, 50 * seq, gray(np.zeros((48, 64), np.uint8)))

    assert len(line.items._evidence._doubts) == 256


# --- the end


def test_the_end_fails_what_is_open_and_lets_nothing_begin() -> None:
    line = Line(plan(each_frame=False, crossings=True, judge=BOTH))
    line.items.trigger("a", line.ns(0))
    line.items.trigger("b", line.ns(0))
    line.capture(0, 10)
    line.items.end()

    assert not line.items.over()
    with pytest.raises(ValueError, match="no items of camera belt are taken any more"):
        line.items.trigger("c", line.ns(20))
    crossed(line, 0, 10)
    line.items.result(line.info(0, 10), found())
    assert line.decided() == [("a", "reject", "failed"), ("b", "reject", "failed")]
    assert line.items.over()
    assert line.open() == 0


def test_after_the_end_a_frame_ends_the_thread_that_reads_it() -> None:
    line = Line(plan())
    line.items.end()
    with pytest.raises(ChannelClosed):
        line.capture(0, 0)


def test_an_item_decided_while_it_is_written_in_leaves_nothing_behind() -> None:
    line = Line(plan())
    line.go_to(500)
    decided: list[object] = []
    line.items.listen(lambda: decided.extend(line.decided()))  # the decide thread is that fast
    line.capture(0, 0)

    assert decided == [("1", "reject", "late")]
    assert line.open() == 0


def test_durations_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"after_s < deadline_s"):
        plan(deadline_s=0)
    with pytest.raises(ValueError, match=r"0 <= after_s"):
        plan(after_s=-1)
