from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.publish.pulses import Pulse, Pulses


def ignore(_refusal: str | None) -> None:
    """Nobody asks."""


def pulse(start_ns: int, end_ns: int) -> Pulse:
    return Pulse(start_ns, end_ns, ignore)


def test_a_pulse_has_a_beginning_and_an_end() -> None:
    pulses = Pulses()
    pulses.add(pulse(10, 20))
    assert pulses.next_ns(0) == 10
    assert pulses.begin(9) == ([], [])
    assert not pulses.active(9)
    assert pulses.begin(10) == ([pulse(10, 20)], [])
    assert pulses.active(10)
    assert pulses.next_ns(10) == 20
    assert pulses.active(19)
    assert not pulses.active(20)
    assert pulses.next_ns(20) is None


def test_a_pulse_that_comes_late_is_given_as_far_as_it_is_left_or_missed() -> None:
    pulses = Pulses()
    pulses.add(pulse(10, 20))
    pulses.add(pulse(5, 12))
    assert pulses.begin(15) == ([pulse(10, 20)], [pulse(5, 12)])
    assert pulses.active(19)
    assert not pulses.active(20)


def test_one_that_is_given_up_does_not_come() -> None:
    pulses = Pulses()
    pulses.add(pulse(40, 50))
    pulses.add(pulse(30, 35))
    assert len(pulses) == 2
    assert pulses.give_up() == [pulse(30, 35), pulse(40, 50)]
    assert len(pulses) == 0
    assert pulses.next_ns(11) is None


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 20)), max_size=12), st.lists(st.integers(0, 130)))
def test_the_line_is_active_where_any_pulse_is(asked: list[tuple[int, int]], looks: list[int]) -> None:
    pulses = Pulses()
    for start_ns, length_ns in asked:
        pulses.add(pulse(start_ns, start_ns + length_ns))
    met: set[tuple[int, int]] = set()
    edges = {start for start, _ in asked} | {start + length for start, length in asked}
    for now_ns in sorted(edges | set(looks)):  # looked at at every edge, as the loop does, and in between
        begun, missed = pulses.begin(now_ns)
        assert not missed
        met |= {(one.start_ns, one.end_ns - one.start_ns) for one in begun}
        assert pulses.active(now_ns) == any(start <= now_ns < start + length for start, length in asked)
        later = [edge for edge in edges if edge > now_ns]
        following = pulses.next_ns(now_ns)
        assert following is None or following in later
        if any(start > now_ns for start, _ in asked):
            assert following is not None
            assert following <= min(start for start, _ in asked if start > now_ns)
    assert met == set(asked)
