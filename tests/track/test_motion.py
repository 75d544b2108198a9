from __future__ import annotations

import numpy as np
import pytest

from streamer.track.motion import FRAME_RATE, CoastingEstimator


def box(cx: float, *, width: float = 60) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([cx - width / 2, 100.0, cx + width / 2, 250.0])


def walked(fps: float) -> CoastingEstimator:
    """An object seen for two seconds at 100 px/s."""
    estimator = CoastingEstimator(box(0))
    for k in range(1, round(2 * fps) + 1):
        estimator.predict(FRAME_RATE / fps)
        estimator.update(box(100 * k / fps))
    return estimator


def centre_x(estimator: CoastingEstimator) -> float:
    x1, _, x2, *_ = estimator.state_to_bbox().tolist()
    return float(x1 + x2) / 2


@pytest.mark.parametrize("fps", [30, 10, 5, 2])
def test_a_moving_object_is_expected_further_on_at_any_rate(fps: float) -> None:
    estimator = walked(fps)
    estimator.predict(FRAME_RATE * 0.2)
    assert 208 < centre_x(estimator) < 224


def test_an_unseen_object_slows_down_and_keeps_its_size() -> None:
    estimator = walked(5)
    for _ in range(100):
        estimator.predict(FRAME_RATE * 0.2)
    x1, y1, x2, y2, _ = estimator.state_to_bbox().tolist()
    assert 220 < (x1 + x2) / 2 < 300
    assert (x2 - x1, y2 - y1) == pytest.approx((60, 150), abs=1)


def test_one_long_step_and_many_short_ones_lead_to_the_same_place() -> None:
    once, often = walked(5), walked(5)
    once.predict(FRAME_RATE * 1.0)
    for _ in range(10):
        often.predict(FRAME_RATE * 0.1)
    assert centre_x(once) == pytest.approx(centre_x(often), abs=0.5)


def test_the_reach_grows_with_time_unseen_and_has_an_end() -> None:
    estimator = walked(5)
    reaches = []
    for _ in range(40):
        estimator.predict(FRAME_RATE * 0.1)
        reaches.append(float(estimator.state_to_bbox()[4]))
    size = (60 * 150) ** 0.5
    assert reaches == sorted(reaches)
    assert reaches[0] < size
    assert reaches[-1] == pytest.approx(2.5 * size, rel=0.05)


def test_no_time_no_change() -> None:
    estimator = walked(5)
    before = estimator.state_to_bbox().tolist()
    estimator.predict(0.0)
    assert estimator.state_to_bbox().tolist() == pytest.approx(before)
