"""The tally is worth what it counts: right and wrong verdicts, late boards, lost decisions, defects by kind."""

from __future__ import annotations

from collections import Counter

import pytest
from made_boards import ELSEWHERE, KINDS, board, drawn, found

from streamer.core.decision import Verdict
from streamer.tally import Outcome, Tally, match


def test_each_verdict_is_compared_with_what_was_drawn() -> None:
    tally = Tally(KINDS)
    assert tally.add(board(1), ()) is Outcome.RIGHT
    assert tally.add(board(2, "open", found("open")), drawn("open")) is Outcome.RIGHT
    assert tally.add(board(3), drawn("spur", "spur")) is Outcome.MISSED
    assert tally.add(board(4, "spur", found("spur")), ()) is Outcome.FALSE_REJECT
    assert tally.add(board(5, "unsure"), ()) is Outcome.FALSE_REJECT
    assert tally.add(board(6, "unsure"), drawn("open")) is Outcome.RIGHT
    assert (tally.boards, tally.judged, tally.good, tally.bad, tally.missed) == (6, 6, 3, 3, 1)
    assert tally.missed_kinds == Counter(spur=2)
    assert tally.false_rejects == Counter(spur=1, unsure=1)
    assert tally.drawn == Counter(open=2, spur=2)
    assert tally.found == Counter(open=1)
    assert tally.invented == Counter(spur=1)
    assert not tally.not_judged
    assert tally.lost == 0


def test_a_board_rejected_for_the_wrong_defect_is_rightly_rejected_and_its_own_is_not_found() -> None:
    tally = Tally(KINDS)
    assert tally.add(board(1, "spur", found("spur")), drawn("open")) is Outcome.RIGHT
    assert (tally.drawn, tally.found, tally.invented) == (Counter(open=1), Counter(), Counter(spur=1))


@pytest.mark.parametrize("reason", ["late", "overrun", "failed"])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_board_that_was_not_judged_stands_apart(reason: str, verdict: Verdict) -> None:
    tally = Tally(KINDS)
    seen = board(1, reason, found("open"), verdict=verdict, late=True)
    assert tally.add(seen, drawn("open")) is Outcome.NOT_JUDGED
    assert (tally.boards, tally.judged, tally.not_judged) == (1, 0, Counter({reason: 1}))
    assert not tally.drawn
    assert not tally.found


def test_a_decision_behind_its_deadline_is_late_whatever_it_says() -> None:
    tally = Tally(KINDS)
    assert tally.add(board(1, late=True), ()) is Outcome.NOT_JUDGED
    assert tally.add(board(2, "open", late=True), ()) is Outcome.NOT_JUDGED
    assert tally.not_judged == Counter(late=2)


@pytest.mark.parametrize("reason", ["dark", "blurred", "frozen", "unsure"])
def test_doubt_is_a_verdict_in_time(reason: str) -> None:
    tally = Tally(KINDS)
    assert tally.add(board(1, reason), ()) is Outcome.FALSE_REJECT
    assert tally.judged == 1


def test_gaps_are_lost_decisions_and_what_comes_twice_is_refused() -> None:
    tally = Tally(KINDS)
    tally.add(board(3), ())
    tally.add(board(4), ())
    tally.add(board(7), ())
    assert (tally.boards, tally.lost) == (3, 4)
    with pytest.raises(ValueError, match="expected one behind 7, got 7"):
        tally.add(board(7), ())
    assert (tally.boards, tally.lost) == (3, 4)


def test_defects_of_a_board_whose_detections_did_not_come_are_in_no_count() -> None:
    tally = Tally(KINDS)
    assert tally.add(board(1, "open", told=False), drawn("open")) is Outcome.RIGHT
    assert (tally.untold, tally.bad) == (1, 1)
    assert not tally.drawn


def test_a_defect_is_found_by_its_own_kind_at_its_own_place_once() -> None:
    assert match([found("open")], drawn("open")) == (["open"], [])
    assert match([found("short")], drawn("open")) == ([], ["short"])
    assert match([found("open", box=ELSEWHERE)], drawn("open")) == ([], ["open"])
    assert match([found("open"), found("open", 0.5)], drawn("open")) == (["open"], ["open"])
    assert match([found("open")], drawn("open", "open")) == (["open"], [])
    assert match([found("short"), found("open")], drawn("open", "short")) == (["short", "open"], [])
    assert match([], drawn("open")) == ([], [])
    assert match([found("open")], ()) == ([], ["open"])
    assert match([], ()) == ([], [])


def test_the_right_place_is_an_overlap_of_three_tenths() -> None:
    def moved(by_px: float) -> tuple[float, float, float, float]:
        return 100 + by_px, 100, 140 + by_px, 140

    assert match([found("open", box=moved(21.0))], drawn("open")) == (["open"], [])  # 19 of 61 px
    assert match([found("open", box=moved(22.0))], drawn("open")) == ([], ["open"])  # 18 of 62 px


def test_of_two_defects_the_nearer_one_is_found() -> None:
    both = (*drawn("open", box=(110, 100, 150, 140)), *drawn("open", box=(100, 100, 140, 140)))
    left, right = found("open", box=(100, 100, 140, 140)), found("open", 0.6, box=(115, 100, 155, 140))
    assert match([left, right], both) == (["open", "open"], [])
