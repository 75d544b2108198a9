"""Decisions and detections are joined: each board once, in order, whatever is late, lost or repeated."""

from __future__ import annotations

import random

from made_boards import decision, detections

from streamer.board_reports import BoardReports, Found
from streamer.core.decision import Verdict


def numbers(reports: BoardReports, *, of: dict[str, object]) -> list[int]:
    told = reports.decision(of) if "number" in of else reports.detections(of)
    return [board.number for board in told]


def test_a_board_is_told_once_its_detections_have_come() -> None:
    reports = BoardReports()
    assert reports.decision(decision(1, "short")) == []
    (board,) = reports.detections(detections(1, ("open", 0.71), ("short", 0.93)))
    assert (board.number, board.verdict, board.reason, board.age_ms) == (1, Verdict.REJECT, "short", 61.4)
    assert board.found == (
        Found(kind="short", score=0.93, box=(100, 100, 140, 140)),
        Found(kind="open", score=0.71, box=(100, 100, 140, 140)),
    )
    assert board.in_time


def test_detections_may_come_first() -> None:
    reports = BoardReports()
    assert reports.detections(detections(1)) == []
    (board,) = reports.decision(decision(1))
    assert board.found == ()


def test_a_repeated_decision_tells_nothing_new() -> None:
    reports = BoardReports()
    reports.decision(decision(1))
    assert numbers(reports, of=detections(1)) == [1]
    assert reports.decision(decision(1)) == []
    assert reports.decision(decision(2)) == []
    assert reports.decision(decision(2)) == []
    assert numbers(reports, of=detections(2)) == [2]
    assert reports.rest() == []


def test_a_board_whose_detections_were_lost_waits_for_those_of_the_next() -> None:
    reports = BoardReports()
    told = [number for n in range(1, 4) for number in numbers(reports, of=decision(n))]
    assert told == []
    boards = reports.detections(detections(2))
    assert [(board.number, board.found) for board in boards] == [(1, None), (2, ())]
    assert [(board.number, board.found) for board in reports.rest()] == [(3, None)]


def test_no_more_than_twenty_boards_wait_for_a_feed_that_is_silent() -> None:
    reports = BoardReports()
    told = [number for n in range(1, 31) for number in numbers(reports, of=decision(n))]
    assert told == list(range(1, 11))
    assert [board.number for board in reports.rest()] == list(range(11, 31))


def test_a_feed_without_decisions_is_not_kept_for_ever() -> None:
    reports = BoardReports()
    for n in range(1, 31):
        reports.detections(detections(n, ("open", 0.9)))
    told = [board for n in range(1, 31) for board in reports.decision(decision(n))]
    assert [board.number for board in told if board.found is None] == list(range(1, 11))


def test_a_board_at_which_nobody_looked_is_told_at_once() -> None:
    reports = BoardReports()
    for number, reason in enumerate(("late", "overrun", "dark", "blurred", "frozen"), start=1):
        assert numbers(reports, of=decision(number, reason)) == [number]
    (board,) = reports.decision(decision(6, "failed", picture=False))
    assert board.captured_at is None
    assert not board.in_time


def test_detections_of_a_board_that_was_told_as_late_are_not_taken_for_another_ones() -> None:
    reports = BoardReports()
    assert numbers(reports, of=decision(1, "late", late=True)) == [1]
    assert reports.detections(detections(1, ("open", 0.9))) == []
    assert reports.decision(decision(2)) == []
    (board,) = reports.detections(detections(2))
    assert (board.number, board.found) == (2, ())


def test_boards_come_once_and_in_order_whatever_the_feed_does(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(200):
        reports, told, wanted = BoardReports(), [], []
        feed: list[int] = []
        for number in range(1, 30):
            if draw.random() < 0.1:
                continue  # a decision that was never delivered
            wanted.append(number)
            reason = draw.choice([None, "open", "late", "unsure"])
            feed.append(number)
            for _ in range(draw.choice([1, 1, 1, 2])):
                told += reports.decision(decision(number, reason))
            while feed and draw.random() < 0.7:
                of = feed.pop(0)
                told += reports.detections(detections(of, ("open", 0.9))) if draw.random() < 0.9 else []
        told += reports.rest()
        assert [board.number for board in told] == wanted
