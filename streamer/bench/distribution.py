"""Many numbers in a few: medians over rounds, quantiles and bins of ages."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Upper edges of the bins of ages, ms: about a third wider each time, as far as ages reach.
EDGES_MS = (5, 7, 10, 14, 20, 28, 40, 56, 80, 110, 160, 220, 320, 450, 640, 900, 1300, 1800, 2500, 5000, 10000)


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over all rounds."""

    median: float
    least: float
    most: float

    def as_json(self) -> dict[str, float]:
        """Return it under its documented keys."""
        return {"median": rounded(self.median), "min": rounded(self.least), "max": rounded(self.most)}


@dataclass(frozen=True, slots=True)
class Ages:
    """How old results were."""

    count: int
    p50: float  # ms, like all below
    p95: float
    p99: float
    most: float
    counts: tuple[int, ...]  # by bin: up to each of EDGES_MS, and one more for what is older

    def as_json(self) -> dict[str, Any]:
        """Return it under its documented keys."""
        figures = {"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.most}
        bins = [{"up_to_ms": edge, "count": n} for edge, n in zip((*EDGES_MS, None), self.counts, strict=True)]
        return {"count": self.count, **{key: round(value, 2) for key, value in figures.items()}, "histogram": bins}


def spread(values: Sequence[float]) -> Spread | None:
    """Return the median and the range; None of nothing."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def ages(values_ms: Sequence[float]) -> Ages | None:
    """Return quantiles (nearest rank) and bins of ages, ms; None of nothing."""
    if not values_ms:
        return None
    ordered = sorted(values_ms)
    counts = [0] * (len(EDGES_MS) + 1)
    place = 0
    for value in ordered:
        while place < len(EDGES_MS) and value > EDGES_MS[place]:
            place += 1
        counts[place] += 1
    return Ages(
        len(ordered), quantile(ordered, 0.5), quantile(ordered, 0.95), quantile(ordered, 0.99), ordered[-1],
        tuple(counts),
    )  # fmt: skip


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the least value that at least `share` of the sorted values do not exceed (nearest rank)."""
    rank = -(-share * len(ordered) // 1)  # rounded up
    return ordered[min(len(ordered), max(1, round(rank))) - 1]


def rounded(value: float) -> float:
    """Return a number with four digits that count."""
    return float(f"{value:.4g}")
