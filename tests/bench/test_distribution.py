from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.bench.distribution import EDGES_MS, ages, quantile, spread


def test_ages_fall_into_bins_up_to_their_edge() -> None:
    found = ages([5.0, 5.1, 7.0, 39.9, 10_000.0, 10_000.1])
    assert found is not None
    bins = {one["up_to_ms"]: one["count"] for one in found.as_json()["histogram"]}
    assert {edge: n for edge, n in bins.items() if n} == {5: 1, 7: 2, 40: 1, 10_000: 1, None: 1}
    assert (found.count, found.most) == (6, 10_000.1)


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert quantile([3.0], 0.01) == quantile([3.0], 0.99) == 3.0


def test_of_nothing_there_is_no_figure() -> None:
    assert ages([]) is None
    assert spread([]) is None


def test_a_spread_keeps_the_range_of_the_rounds() -> None:
    found = spread([40.0, 44.0, 41.0])
    assert found is not None
    assert found.as_json() == {"median": 41.0, "min": 40.0, "max": 44.0}


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_no_age_is_lost(values: list[float]) -> None:
    found = ages(values)
    assert found is not None
    assert sum(found.counts) == len(values)
    assert found.p50 <= found.p95 <= found.p99 <= found.most == max(values)
    for place, edge in enumerate(EDGES_MS):
        assert sum(found.counts[: place + 1]) == sum(value <= edge for value in values)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@given(values=st.lists(st.floats(0, 1e3), min_size=1))
def test_a_quantile_is_not_exceeded_by_its_share(share: float, values: list[float]) -> None:
    ordered = sorted(values)
    at = quantile(ordered, share)
    assert sum(value <= at for value in ordered) >= share * len(ordered) - 1e-9
