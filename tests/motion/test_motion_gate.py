from __future__ import annotations

import itertools

import numpy as np
import pytest

from streamer.core.frame import Picture, PixelFormat
from streamer.motion.gate import MotionGate, MotionPlan, watched_cells

S = 1_000_000_000
SETTLED = 2**62  # whoever looks is certain of all


def picture(left: int | None = None, *, light: int = 100, width: int = 320) -> Picture:
    plane = np.full((180, width), light, np.uint8)
    if left is not None:
        plane[60:140, left : left + 30] = 220
    return Picture(format=PixelFormat.GRAY, planes=(plane,), width=width, height=180)


class Camera:
    """Ten pictures a second through a gate."""

    def __init__(self, plan: MotionPlan | None = None, *, begin_s: float = 1000.0) -> None:
        self.gate = MotionGate(plan or MotionPlan())
        self.begin_ns = self.now_ns = round(begin_s * S)

    def show(self, seconds: float, one: Picture | None = None, *, settled_ns: int = SETTLED) -> list[float]:
        """Show one picture for a while; return the seconds since the beginning of those let through."""
        passed = []
        for _ in range(round(seconds * 10)):
            self.gate.watch(one or picture(), self.now_ns)
            if not self.gate.skips(self.now_ns, settled_ns):
                passed.append((self.now_ns - self.begin_ns) / S)
            self.now_ns += S // 10
        return passed

    def walk(self) -> None:
        for left in range(0, 280, 14):
            self.show(0.1, picture(left))


def test_a_new_scene_is_looked_at_for_five_seconds_and_then_at_each_heartbeat() -> None:
    passed = Camera().show(40)

    assert passed[:50] == pytest.approx([i / 10 for i in range(50)])
    assert passed[50:] == pytest.approx([14.9, 24.9, 34.9])


def test_motion_is_looked_at_and_for_a_stated_time_after() -> None:
    camera = Camera(MotionPlan(hold_s=4, heartbeat_s=60))
    camera.show(20)
    camera.walk()

    after = camera.show(30)

    assert 25.5 <= after[-1] <= 27.2  # the last motion was at 22 s; what it bared counts for a second
    assert len(after) == pytest.approx((after[-1] - 22) * 10, abs=2)


def test_nothing_is_skipped_before_the_scene_after_the_motion_is_certain() -> None:
    camera = Camera(MotionPlan(heartbeat_s=60))
    camera.show(20)
    camera.walk()
    moved_ns = camera.now_ns

    assert len(camera.show(10, settled_ns=-1)) == 100  # something is not certain
    assert len(camera.show(10, settled_ns=moved_ns - 2 * S)) == 100  # this was before the motion
    assert camera.show(10, settled_ns=moved_ns + 5 * S) == []
    assert len(camera.show(1, settled_ns=-1)) == 10


def test_another_light_is_looked_at_once() -> None:
    camera = Camera(MotionPlan(heartbeat_s=60))
    camera.show(20)

    lit = camera.now_ns
    assert camera.show(0.1, picture(light=40), settled_ns=lit - 1) == [20.0]
    assert camera.show(5, picture(light=40), settled_ns=lit) == []


def test_a_new_connection_another_size_and_a_jump_in_time_begin_anew() -> None:
    camera = Camera(MotionPlan(heartbeat_s=600))
    camera.show(20)
    assert camera.show(5) == []

    camera.gate.reset()
    assert len(camera.show(10)) == 50
    assert len(camera.show(10, picture(width=640))) == 50
    camera.now_ns += 60 * S
    assert len(camera.show(10, picture(width=640))) == 50
    camera.now_ns -= 70 * S
    assert len(camera.show(10, picture(width=640))) == 50


def test_a_camera_of_one_picture_in_ten_seconds_is_still_gated() -> None:
    gate, passed = MotionGate(MotionPlan(heartbeat_s=60)), []
    for number in range(40):
        gate.watch(picture(100 if number == 30 else None), number * 10 * S)
        if not gate.skips(number * 10 * S, SETTLED):
            passed.append(number)

    assert passed == [0, 6, 12, 18, 24, 30, 36]


@pytest.mark.parametrize(("step_s", "most_s"), [(4, 8), (3, 9), (10, 10), (12, 12)])
def test_a_heartbeat_is_never_later_than_it_must_be_though_pictures_come_seldom(step_s: int, most_s: int) -> None:
    camera, passed = Camera(), []
    camera.show(20)
    for _ in range(40):
        camera.now_ns += step_s * S - S // 10
        passed += camera.show(0.1)

    assert passed[-1] > 20
    assert {round(later - earlier) for earlier, later in itertools.pairwise(passed)} == {most_s}


@pytest.mark.parametrize("size", [(1, 1), (3000, 20), (20, 3000), (161, 91)])
def test_any_size_of_picture_will_do(size: tuple[int, int]) -> None:
    plane = np.full(size[::-1], 90, np.uint8)
    small = Picture(format=PixelFormat.GRAY, planes=(plane,), width=size[0], height=size[1])

    assert len(Camera().show(10, small)) == 50


def test_masks_cover_their_part_of_the_picture() -> None:
    half = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    watched = watched_cells((90, 160), (half,))

    assert not watched[:, :79].any()
    assert watched[:, 81:].all()
    assert watched_cells((90, 160), ()).all()
    assert not watched_cells((90, 160), (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)).any()


def test_motion_behind_a_mask_is_not_looked_at() -> None:
    everything = ((0.0, 0.2), (1.0, 0.2), (1.0, 0.9), (0.0, 0.9))
    camera = Camera(MotionPlan(heartbeat_s=600, masks=(everything,)))
    camera.show(20)
    for left in range(0, 280, 14):
        assert camera.show(0.1, picture(left)) == []


@pytest.mark.parametrize("wrong", [{"sensitivity": 1.1}, {"hold_s": -1.0}, {"heartbeat_s": 0.0}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        MotionPlan(**wrong)  # type: ignore[arg-type]


def test_where_something_moves_is_said_in_fractions_of_the_picture() -> None:
    camera = Camera()
    camera.show(20)
    assert camera.gate.regions() == ()
    camera.show(0.1, picture(160))
    assert camera.gate.regions()[0] == pytest.approx((160 / 320, 60 / 180, 190 / 320, 140 / 180), abs=0.02)
    camera.show(10)
    assert camera.gate.regions() == ()


def test_a_new_scene_moves_nowhere() -> None:
    camera = Camera()
    camera.show(20)
    camera.show(0.1, picture(160))
    camera.gate.reset()
    assert camera.gate.regions() == ()
    camera.show(0.1, picture(10))
    assert camera.gate.regions() == ()


@pytest.mark.parametrize("width", [161, 199, 320, 333])
def test_regions_lie_within_pictures_of_any_width(width: int) -> None:
    camera = Camera()
    camera.show(20, picture(width=width))
    camera.show(0.1, picture(width - 60, width=width))
    (x1, y1, x2, y2) = camera.gate.regions()[0]
    assert 0 <= x1 < x2 <= 1
    assert 0 <= y1 < y2 <= 1
    assert x1 == pytest.approx(1 - 60 / width, abs=0.03)


def test_it_idles_when_nothing_asks_for_more_pictures() -> None:
    camera = Camera(MotionPlan(hold_s=4, heartbeat_s=60))
    assert not camera.gate.idle(SETTLED)  # it has seen nothing yet
    camera.show(4.5)
    assert not camera.gate.idle(SETTLED)  # the scene is new
    camera.show(15)
    assert camera.gate.idle(SETTLED)
    assert not camera.gate.idle(-1)  # something is not certain
    camera.walk()
    moved_ns = camera.now_ns
    assert not camera.gate.idle(SETTLED)
    camera.show(3)
    assert not camera.gate.idle(SETTLED)  # the hold
    camera.show(5)
    assert camera.gate.idle(SETTLED)
    assert not camera.gate.idle(moved_ns - 2 * S)  # nobody has seen the scene since
    camera.gate.reset()
    assert not camera.gate.idle(SETTLED)


def test_it_does_not_idle_while_something_small_may_move() -> None:
    small = picture()
    small.planes[0][60:66, 100:104] = 220
    camera = Camera(MotionPlan(heartbeat_s=60))
    camera.show(20)
    assert camera.gate.idle(SETTLED)

    camera.show(0.1, small)

    assert camera.gate.regions() == ()
    assert not camera.gate.idle(SETTLED)
    camera.show(0.1)
    assert camera.gate.idle(SETTLED)  # it was nothing


def test_key_frames_alone_are_enough_to_see_that_something_came() -> None:
    """One picture every ten seconds, as of a camera that idles."""
    camera = Camera(MotionPlan(heartbeat_s=600))
    camera.show(20)
    for _ in range(20):
        camera.now_ns += 10 * S
        camera.show(0.1)
        assert camera.gate.idle(SETTLED)
    camera.now_ns += 10 * S
    camera.show(0.1, picture(100))
    assert not camera.gate.idle(SETTLED)
