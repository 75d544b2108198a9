from __future__ import annotations

import math

import pytest
from event_scenes import BOX, MODEL, Tracks, info

from streamer.core.results import Velocity
from streamer.events.sighting import Sighting, astray


def seen(*, velocity: Velocity | None = None) -> Sighting:
    return Sighting(info=info(0), model=MODEL, class_id=0, score=0.9, box=BOX, velocity=velocity)


def test_a_new_track_is_as_far_astray_as_it_is_from_the_old_place_or_the_way() -> None:
    x1, y1, x2, y2 = BOX
    track = Tracks().seen(3.0, box=(x1 + 120, y1, x2 + 120, y2))
    diagonal = math.hypot(x2 - x1, y2 - y1)
    assert astray(seen(), track) == pytest.approx(120 / diagonal)
    assert astray(seen(velocity=Velocity(40.0, 0.0, 5.0)), track) == 0.0
    assert astray(seen(velocity=Velocity(30.0, 0.0, 5.0)), track) == pytest.approx(30 / diagonal)
    assert astray(seen(velocity=Velocity(-40.0, 0.0, 5.0)), track) == pytest.approx(120 / diagonal)


def test_what_has_no_box_is_no_way_from_anything() -> None:
    crowd = Sighting(info=info(0), model=MODEL, class_id=0, score=0.9)
    assert astray(crowd, Tracks().seen(1.0)) == math.inf
