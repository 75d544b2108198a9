from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from factory_line import CAMERA, info
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.clock import NS_PER_MS, NS_PER_S
from streamer.core.decision import Decision, Doubt, Verdict
from streamer.core.errors import ChannelClosed
from streamer.decide.book import ItemBook
from streamer.decide.judge import Judgement, doubted

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_NS = 200 * NS_PER_MS
ACCEPT = Judgement(verdict=Verdict.ACCEPT, reason=None)
SHORT = Judgement(verdict=Verdict.REJECT, reason="short")


def book(otherwise: Verdict = Verdict.REJECT, changed: Callable[[], None] = lambda: None) -> ItemBook:
    return ItemBook(CAMERA, deadline_ns=DEADLINE_NS, otherwise=otherwise, expires_ns=NS_PER_S, changed=changed)


def begun(items: ItemBook, at_ms: int, name: str | None = None, *, live: bool = True) -> int:
    at_ns = at_ms * NS_PER_MS
    return items.begin(name, began_ns=at_ns, live=live, info=info(at_ms, at_ns, live=live))


def judged(items: ItemBook, number: int, judgement: Judgement, at_ms: int) -> bool:
    return items.judge(number, judgement, now_ns=at_ms * NS_PER_MS)


def taken(items: ItemBook, at_ms: int) -> list[tuple[str, str, str | None, bool]]:
    return [(d.item, d.verdict.value, d.reason, d.late) for d in items.take_decided(at_ms * NS_PER_MS)]


def test_a_decision_tells_all_of_its_item() -> None:
    items = book()
    number = begun(items, 1000, "board-7")
    judged(items, number, SHORT, 1080)

    assert items.take_decided(1090 * NS_PER_MS) == [
        Decision(
            camera=CAMERA,
            item="board-7",
            number=1,
            verdict=Verdict.REJECT,
            reason="short",
            captured_utc_ns=8 * NS_PER_S,
            captured_ns=NS_PER_S,
            began_ns=NS_PER_S,
            decided_ns=1080 * NS_PER_MS,
            expires_ns=2200 * NS_PER_MS,
            late=False,
        )
    ]


def test_an_item_judged_early_waits_for_those_before_it_and_not_beyond_their_deadline() -> None:
    items = book()
    first, second, third = (begun(items, at_ms) for at_ms in (0, 50, 100))
    judged(items, third, ACCEPT, 120)
    judged(items, second, SHORT, 130)

    assert taken(items, 199) == []
    assert items.next_ns() == 200 * NS_PER_MS
    assert taken(items, 200) == [
        ("1", "reject", "late", True),
        ("2", "reject", "short", False),
        ("3", "accept", None, False),
    ]
    assert not judged(items, first, ACCEPT, 201)
    assert items.next_ns() is None


def test_the_first_judgement_is_final() -> None:
    items = book()
    number = begun(items, 0)

    assert judged(items, number, SHORT, 50)
    assert not judged(items, number, ACCEPT, 60)
    assert items.next_ns() == 0
    assert taken(items, 60) == [("1", "reject", "short", False)]


def test_a_judgement_at_the_deadline_changes_nothing_even_before_the_decision_is_taken() -> None:
    items = book()
    number = begun(items, 0)

    assert not judged(items, number, ACCEPT, 200)
    assert taken(items, 230) == [("1", "reject", "late", True)]


def test_a_judgement_in_time_holds_however_late_it_is_taken() -> None:
    items = book()
    number = begun(items, 0)
    judged(items, number, ACCEPT, 199)

    assert taken(items, 900) == [("1", "accept", None, False)]


@pytest.mark.parametrize("otherwise", list(Verdict))
def test_a_doubt_gives_otherwise_with_its_reason(otherwise: Verdict) -> None:
    items = book(otherwise)
    judged(items, begun(items, 0), doubted(Doubt.DARK), 10)

    assert taken(items, 10) == [("1", otherwise.value, "dark", False)]


def test_an_item_without_a_picture_has_failed_and_not_come_late() -> None:
    items = book()
    items.begin("a", began_ns=0, live=True)
    number = items.begin("b", began_ns=0, live=True)

    assert items.picture(number, info(3, 100 * NS_PER_MS), now_ns=150 * NS_PER_MS)
    assert taken(items, 200) == [("a", "reject", "failed", True), ("b", "reject", "late", True)]
    assert not items.picture(number, info(4, 0), now_ns=0)


def test_a_picture_that_comes_too_late_is_none() -> None:
    items = book()
    number = items.begin("a", began_ns=0, live=True)

    assert not items.picture(number, info(3, 0), now_ns=DEADLINE_NS)
    (decision,) = items.take_decided(DEADLINE_NS)
    assert (decision.captured_ns, decision.captured_utc_ns, decision.reason) == (None, None, "failed")


def test_deadlines_follow_the_order_of_the_items() -> None:
    items = book()
    begun(items, 100)
    judged(items, begun(items, 40), ACCEPT, 110)  # a clock that jumped back

    assert taken(items, 299) == []
    assert [(d.number, d.began_ns // NS_PER_MS, d.late) for d in items.take_decided(300 * NS_PER_MS)] == [
        (1, 100, True),
        (2, 100, False),
    ]


def test_a_recording_waits_for_its_judgement() -> None:
    items = book()
    number = begun(items, 0, live=False)

    assert items.next_ns() is None
    assert taken(items, 1_000_000) == []
    assert judged(items, number, ACCEPT, 1_000_001)
    (decision,) = items.take_decided(1_000_002 * NS_PER_MS)
    assert (decision.verdict, decision.late) == (Verdict.ACCEPT, False)
    assert (decision.captured_ns, decision.expires_ns, decision.captured_utc_ns) == (None, None, 7 * NS_PER_S)


def test_an_id_may_come_again_once_its_item_is_decided() -> None:
    items = book()
    number = begun(items, 0, "a")
    with pytest.raises(ValueError, match="item 'a' is not decided yet"):
        begun(items, 10, "a")
    judged(items, number, ACCEPT, 20)
    with pytest.raises(ValueError, match="not decided yet"):
        begun(items, 30, "a")

    assert taken(items, 40) == [("a", "accept", None, False)]
    assert begun(items, 50, "a") == 2


def test_a_flood_of_triggers_is_refused_and_frames_are_not() -> None:
    items = book()
    for n in range(10_000):
        begun(items, 0, f"item-{n}")

    with pytest.raises(ValueError, match="10000 items are not decided yet"):
        begun(items, 0, "one more")
    begun(items, 0)
    assert len(taken(items, 200)) == 10_001
    begun(items, 300, "one more")


def test_the_end_decides_what_is_open_and_lets_nothing_begin() -> None:
    items = book()
    begun(items, 0)
    judged(items, begun(items, 10), SHORT, 20)
    items.end(Doubt.FAILED, now_ns=30 * NS_PER_MS)

    assert not items.over()
    with pytest.raises(ChannelClosed):
        begun(items, 40)
    assert taken(items, 40) == [("1", "reject", "failed", False), ("2", "reject", "short", False)]
    assert items.over()


def test_counts_tell_what_became_of_the_items() -> None:
    items = book()
    for n, judgement in enumerate([ACCEPT, SHORT, SHORT, doubted(Doubt.BLURRED), None]):
        number = begun(items, n)
        if judgement is not None:
            judged(items, number, judgement, n)
    taken(items, 203)
    taken(items, 210)
    begun(items, 220)

    assert items.counts() == {
        "items": 6,
        "accepted": 1,
        "rejected": 4,
        "late": 1,
        "rejected_short": 2,
        "otherwise_blurred": 1,
        "otherwise_late": 1,
    }


def test_whoever_waits_is_told_of_every_change() -> None:
    told: list[int | None] = []
    items = book(changed=lambda: told.append(items.next_ns()))  # without the lock: else this would wait for itself
    number = begun(items, 0)
    judged(items, number, ACCEPT, 10)
    items.end(Doubt.FAILED, now_ns=0)

    assert told == [DEADLINE_NS, 0, 0]


def test_items_of_many_threads_leave_once_each_and_in_order() -> None:
    items = book()
    decisions: list[Decision] = []

    def begin_and_judge() -> None:
        for _ in range(300):
            judged(items, begun(items, 0), ACCEPT, 10)

    threads = [threading.Thread(target=begin_and_judge) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        decisions += items.take_decided(0)
    for thread in threads:
        thread.join(5)
    decisions += items.take_decided(0)

    assert [d.number for d in decisions] == list(range(1, 1201))
    assert {d.verdict for d in decisions} == {Verdict.ACCEPT}


# --- against a simple model: a plain list, looked through from its beginning each time


@dataclass
class _Model:
    began_ms: int
    judgement: Judgement | None = None
    judged_ms: int = 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(-300, 20)),  # ms before or behind now
        st.tuples(st.just("judge"), st.integers(0, 30)),  # which one
        st.tuples(st.just("pass"), st.integers(0, 120)),  # ms
        st.tuples(st.just("take"), st.just(0)),
    ),
    max_size=60,
)
JUDGEMENTS = (ACCEPT, SHORT, doubted(Doubt.UNSURE))


@settings(max_examples=300)
@given(steps=STEPS, otherwise=st.sampled_from(Verdict))
def test_the_book_is_a_list_that_is_looked_through_from_its_beginning(
    steps: list[tuple[str, int]], otherwise: Verdict
) -> None:
    items = book(otherwise)
    model: list[_Model] = []
    handed_out: list[Decision] = []
    now = 1000

    def expected() -> list[tuple[int, Verdict, str | None, bool]]:
        rows = []
        for number, item in enumerate(model[len(handed_out) :], start=len(handed_out) + 1):
            late = item.judgement is None and now >= item.began_ms + 200
            judgement = doubted(Doubt.LATE) if late else item.judgement
            if judgement is None:
                break
            rows.append((number, judgement.verdict or otherwise, judgement.reason, late))
        return rows

    for step, value in [*steps, ("pass", 1000), ("take", 0)]:
        if step == "begin":
            began_ms = max([now + value, *(item.began_ms for item in model)])
            begun(items, now + value)
            model.append(_Model(began_ms))
        elif step == "judge":
            judgement = JUDGEMENTS[value % 3]
            open_one = value < len(model) and value >= len(handed_out)
            fits = open_one and model[value].judgement is None and now < model[value].began_ms + 200
            assert judged(items, value + 1, judgement, now) == fits
            if fits:
                model[value].judgement = judgement
        elif step == "pass":
            now += value
        else:
            rows = expected()
            decisions = items.take_decided(now * NS_PER_MS)
            assert [(d.number, d.verdict, d.reason, d.late) for d in decisions] == rows
            handed_out += decisions
    assert len(handed_out) == len(model)
    assert all(d.reason is not None or model[d.number - 1].judgement == ACCEPT for d in handed_out)
