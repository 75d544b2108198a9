from __future__ import annotations

from typing import TYPE_CHECKING

from event_scenes import Tracks, info

from streamer.core.frame import FrameInfo
from streamer.events.zones import Zones

if TYPE_CHECKING:
    from streamer.core.results import Box

MAT = ((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0))  # of 1280x720: x 320..960, y 360..720
RIGHT = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))


def at(x: float, y: float, height: float = 100.0) -> Box:
    """A box that stands at a point, px."""
    return x - 20, y - height, x + 20, y


def walk(zones: Zones, *feet: tuple[float, float], track_id: int = 1) -> list[tuple[str, ...]]:
    tracks = Tracks()
    return [
        zones.observe(info(k / 5), [tracks.seen(k / 5, track_id, box=at(*point))])[track_id]
        for k, point in enumerate(feet)
    ]


def test_it_is_where_its_foot_point_is_whatever_its_box_covers() -> None:
    zones = Zones({"mat": MAT})
    assert walk(zones, (640, 355), (640, 365), (640, 720)) == [(), ("mat",), ("mat",)]


def test_zones_may_overlap_and_stand_in_the_order_of_the_file() -> None:
    assert walk(Zones({"right": RIGHT, "mat": MAT}), (800, 500), (400, 500), (1200, 500), (100, 100)) == [
        ("right", "mat"),
        ("mat",),
        ("right",),
        (),
    ]


def test_it_has_left_only_a_tenth_of_its_height_beyond_the_border() -> None:
    zones = Zones({"mat": MAT})
    assert walk(zones, (640, 361), (640, 351), (640, 362), (640, 352)) == [("mat",)] * 4
    assert walk(zones, (640, 351), (640, 349), (640, 351), (640, 361)) == [("mat",), (), (), ("mat",)]


def test_who_comes_near_without_touching_is_not_in() -> None:
    assert walk(Zones({"mat": MAT}), (640, 359), (640, 355), (640, 359)) == [()] * 3


def test_everyone_has_places_of_their_own_and_a_new_beginning_forgets_them() -> None:
    zones, tracks = Zones({"mat": MAT}), Tracks()
    zones.observe(info(0), [tracks.seen(0, 1, box=at(640, 361)), tracks.seen(0, 2, box=at(640, 351))])
    seen = [tracks.seen(0.2, i, box=at(640, 355)) for i in (1, 2)]
    assert zones.observe(info(0.2), seen) == {1: ("mat",), 2: ()}
    zones.forget()
    assert zones.observe(info(0.4), seen) == {1: (), 2: ()}


def test_out_of_sight_is_not_out_of_the_zone() -> None:
    zones = Zones({"mat": MAT})
    walk(zones, (640, 361))
    assert zones.observe(info(9), []) == {}
    assert walk(zones, (640, 355)) == [("mat",)]


def test_zones_follow_the_size_of_the_picture() -> None:
    small = FrameInfo(
        camera="porch", connection=1, seq=0, captured_ns=0, utc_ns=0, width=640, height=360, live=True
    )  # fmt: skip
    assert Zones({"mat": MAT}).observe(small, [Tracks().seen(0, box=at(320, 181))]) == {1: ("mat",)}
