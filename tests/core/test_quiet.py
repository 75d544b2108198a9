from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.quiet import QuietHours, parse_quiet, quiet

EVERY_DAY = frozenset(range(7))


@pytest.mark.parametrize(
    ("text", "days", "minutes"),
    [
        ("22:00-06:00", EVERY_DAY, (1320, 360)),
        ("sat,sun 00:00-24:00", {5, 6}, (0, 1440)),
        ("mon-fri 8:00-17:30", {0, 1, 2, 3, 4}, (480, 1050)),
        ("fri-mon,WED 01:00 - 02:00", {4, 5, 6, 0, 2}, (60, 120)),
        (" sat, sun  22:00-00:00 ", {5, 6}, (1320, 0)),
    ],
)
def test_hours_are_read(text: str, days: set[int], minutes: tuple[int, int]) -> None:
    hours = parse_quiet(text)
    assert (set(hours.days), hours.from_minute, hours.to_minute) == (set(days), *minutes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no hours"),
        ("nights", "names no hours"),
        ("22-06", "names no hours"),
        ("22:00-06:00 sat", "names no hours"),
        ("sunday 22:00-06:00", "'sunday' is no day; the days are mon tue"),
        ("mon-tue-wed 22:00-06:00", "no stretch of days"),
        ("sat, 22:00-06:00", "'' is no day"),
        ("24:00-06:00", "24:00 is no time of day"),
        ("22:60-06:00", "22:60 is no time of day"),
        ("22:00-24:01", "24:01 is no time of day"),
        ("06:00-06:00", "a whole day is 00:00-24:00"),
    ],
)
def test_what_names_no_hours_is_refused_with_what_is_allowed(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"{why}.*; allowed: ") as caught:
        parse_quiet(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"days": frozenset[int](), "from_minute": 0, "to_minute": 1},
        {"days": frozenset({7}), "from_minute": 0, "to_minute": 1},
        {"days": EVERY_DAY, "from_minute": 1440, "to_minute": 1},
        {"days": EVERY_DAY, "from_minute": 0, "to_minute": 1441},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        QuietHours(**wrong)  # type: ignore[arg-type]


HOURS = st.builds(
    lambda days, ends: QuietHours(days=days, from_minute=ends[0], to_minute=ends[1]),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda ends: ends[0] != ends[1]),
)


@given(hours=HOURS)
def test_each_names_itself(hours: QuietHours) -> None:
    assert parse_quiet(str(hours)) == hours


@given(hours=HOURS, day=st.integers(0, 6), minute=st.integers(0, 1439))
def test_a_minute_is_in_the_hours_that_have_begun_and_not_ended(hours: QuietHours, day: int, minute: int) -> None:
    length = (hours.to_minute - hours.from_minute) % 1440 or 1440
    week = 7 * 1440
    begun = [d * 1440 + hours.from_minute for d in hours.days]
    assert hours.cover(day, minute) == any((day * 1440 + minute - b) % week < length for b in begun)


def ns(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000_000


def test_hours_are_those_of_a_clock_on_the_wall() -> None:
    vienna = timezone(timedelta(hours=1))
    night = [parse_quiet("fri 22:00-06:00"), parse_quiet("sun 12:00-13:00")]
    friday = datetime(2026, 11, 20, tzinfo=vienna)
    told = {hour: quiet(night, ns(friday + timedelta(hours=hour)), vienna) for hour in (21, 22, 29, 30, 46, 60, 61)}
    assert told == {21: False, 22: True, 29: True, 30: False, 46: False, 60: True, 61: False}
    assert not quiet(night, ns(friday + timedelta(hours=22)), timezone.utc)
    assert not quiet([], ns(friday), vienna)


def test_without_a_zone_they_are_those_of_this_machine() -> None:
    moment = datetime(2026, 11, 20, 15, 30).astimezone()
    assert quiet([parse_quiet("15:30-15:31")], ns(moment))
    assert not quiet([parse_quiet("15:31-15:30")], ns(moment))
