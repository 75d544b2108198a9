"""Hours of the week in which no event starts, by local time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # the index is a day's number
_DAY_MINUTES = 24 * 60
_FORM = re.compile(r"(?:(?P<days>[a-z,\s-]+)\s)?\s*(?P<from>\d{1,2}:\d{2})\s*-\s*(?P<to>\d{1,2}:\d{2})")
_ALLOWED = 'allowed: "22:00-06:00", or with days "mon-fri 08:00-17:00", "sat,sun 00:00-24:00"'


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A stretch of each of some days. One that does not end after its beginning goes on into the next day.

    Raises:
        ValueError: a value is out of range, or the stretch is empty.
    """

    days: frozenset[int]  # on which it begins; 0: Monday
    from_minute: int  # of the day, 0..1439; belongs to it
    to_minute: int  # 0..1440; belongs to it no more

    def __post_init__(self) -> None:
        if not self.days or not self.days <= set(range(len(DAYS))):
            raise ValueError(f"days of the week, 0 to 6, expected, got {sorted(self.days)}")
        if not (0 <= self.from_minute < _DAY_MINUTES and 0 <= self.to_minute <= _DAY_MINUTES):
            raise ValueError(f"minutes of a day expected, got {self.from_minute} and {self.to_minute}")
        if self.from_minute == self.to_minute:
            raise ValueError("quiet hours must not end when they begin; a whole day is 00:00-24:00")

    def __str__(self) -> str:
        """Return a text that names them."""
        names = "" if len(self.days) == len(DAYS) else ",".join(DAYS[day] for day in sorted(self.days)) + " "
        return f"{names}{_clock(self.from_minute)}-{_clock(self.to_minute)}"

    def cover(self, weekday: int, minute: int) -> bool:
        """Tell whether a minute of a day of the week is in them."""
        if self.from_minute < self.to_minute:
            return weekday in self.days and self.from_minute <= minute < self.to_minute
        began_today = weekday in self.days and minute >= self.from_minute
        return began_today or ((weekday - 1) % len(DAYS) in self.days and minute < self.to_minute)


def parse_quiet(text: str) -> QuietHours:
    """Return the quiet hours that a text names: `22:00-06:00`, `sat,sun 00:00-24:00`, `mon-fri 08:00-17:00`.

    Raises:
        ValueError: it names none; the message says why, and what is allowed.
    """
    found = _FORM.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} names no hours; {_ALLOWED}")
    try:
        return QuietHours(
            days=frozenset(range(len(DAYS))) if found["days"] is None else _days(found["days"]),
            from_minute=_minute(found["from"], last=_DAY_MINUTES - 1),
            to_minute=_minute(found["to"], last=_DAY_MINUTES),
        )
    except ValueError as exc:
        raise ValueError(f"{text!r}: {exc}; {_ALLOWED}") from None


def quiet(hours: Iterable[QuietHours], utc_ns: int, tz: tzinfo | None = None) -> bool:
    """Tell whether a moment is in quiet hours.

    Args:
        hours: any number.
        utc_ns: the moment, ns since 1970.
        tz: whose time the hours are in; None: this machine's.
    """
    moment = datetime.fromtimestamp(utc_ns // NS_PER_S, tz)
    weekday, minute = moment.weekday(), moment.hour * 60 + moment.minute
    return any(stretch.cover(weekday, minute) for stretch in hours)


def _days(text: str) -> frozenset[int]:
    """Return the days of a list such as `mon-wed,sun`."""
    days: set[int] = set()
    for part in text.split(","):
        ends = [_day(name) for name in part.split("-")]
        if len(ends) > 2:  # a stretch of days has two ends
            raise ValueError(f"{part.strip()!r} is no day and no stretch of days")
        days.update((ends[0] + n) % len(DAYS) for n in range((ends[-1] - ends[0]) % len(DAYS) + 1))
    return frozenset(days)


def _day(name: str) -> int:
    if name.strip() not in DAYS:
        raise ValueError(f"{name.strip()!r} is no day; the days are {' '.join(DAYS)}")
    return DAYS.index(name.strip())


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _minute(text: str, *, last: int) -> int:
    """Return the minute of the day of `HH:MM`."""
    hour, minute = (int(part) for part in text.split(":"))
    if minute >= 60 or hour * 60 + minute > last:
        raise ValueError(f"{text} is no time of day")
    return hour * 60 + minute
