from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from streamer.events.ids import EventIds


def test_it_is_the_uuid_of_the_rfc() -> None:
    """RFC 9562, appendix A.6: 2022-02-22T14:22:22-05:00, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F."""
    ids = EventIds(lambda _: 0xCC3 << 62 | 0x18C4DC0C0C07398F)
    assert ids(0x017F22E279B0 * 1_000_000) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.lists(st.integers(0, 2**47), min_size=2, max_size=50), st.integers(0, 2**74 - 1))
def test_ids_rise_strictly_whatever_the_wall_clock_does(moments_ms: list[int], tail: int) -> None:
    ids = EventIds(lambda bits: tail & ((1 << bits) - 1))
    made = [ids(ms * 1_000_000) for ms in moments_ms]
    assert made == sorted(set(made))
    assert all(UUID(i).version == 7 and UUID(i).variant == UUID(made[0]).variant for i in made)


def test_the_time_can_be_read_from_it() -> None:
    ms = 1_764_000_000_123
    assert UUID(EventIds()(ms * 1_000_000 + 999_999)).int >> 80 == ms
