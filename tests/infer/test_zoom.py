from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.frame import Picture, PixelFormat
from streamer.core.results import Detections
from streamer.infer.zoom import joined, only_close, zoom_parts
from streamer.pixels.crop import cropped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.frame import Part
    from streamer.core.results import Box
    from streamer.infer.zoom import Region

HD = (1080, 1920)
INPUT = (416, 416)
LEVEL = np.uint8(0)
LEFT: Part = (0, 300, 416, 716)
MIDDLE: Part = (400, 300, 816, 716)


def region(x: float, y: float, w: float, h: float, frame_hw: tuple[int, int] = HD) -> Region:
    """Return a rectangle given in px as fractions."""
    return x / frame_hw[1], y / frame_hw[0], (x + w) / frame_hw[1], (y + h) / frame_hw[0]


def found(*rows: tuple[Box, float, int]) -> Detections:
    if not rows:
        return Detections.empty()
    boxes, scores, class_ids = zip(*sorted(rows, key=lambda row: -row[1]), strict=True)
    return Detections(
        boxes=np.array(boxes, np.float32), scores=np.array(scores, np.float32), class_ids=np.array(class_ids, np.int32)
    )


def of_part(part: Part, *rows: tuple[Box, float, int]) -> tuple[Part, Detections]:
    """Return what a part shows of boxes that are given in px of the frame."""
    x, y = part[:2]
    return part, found(*(((a - x, b - y, c - x, d - y), score, kind) for (a, b, c, d), score, kind in rows))


def rows_of(detections: Detections) -> list[tuple[tuple[int, ...], float, int]]:
    return [(tuple(map(round, one.box)), round(one.score, 3), one.class_id) for one in detections]


def test_a_small_region_is_shown_at_the_frames_own_resolution() -> None:
    (part,) = zoom_parts([region(900, 500, 24, 60)], HD, INPUT)
    assert (part[2] - part[0], part[3] - part[1]) == (416, 416)
    assert part[0] < 900 - 100 < 924 + 100 < part[2]
    assert part[1] < 500 - 100 < 560 + 100 < part[3]


def test_a_region_that_the_whole_frame_shows_well_needs_no_part() -> None:
    assert zoom_parts([region(900, 200, 200, 600)], HD, INPUT) == ()
    assert len(zoom_parts([region(900, 200, 200, 250)], HD, INPUT)) == 1


def test_a_frame_that_is_hardly_made_smaller_needs_no_part() -> None:
    assert zoom_parts([region(100, 100, 10, 10, (270, 480))], (270, 480), INPUT) == ()
    assert zoom_parts([region(100, 100, 10, 10, (480, 640))], (480, 640), INPUT) != ()


def test_regions_that_are_near_each_other_share_a_part_and_others_do_not() -> None:
    near = [region(900, 500, 20, 40), region(1000, 520, 20, 40), region(950, 600, 30, 30)]
    assert len(zoom_parts(near, HD, INPUT)) == 1
    assert len(zoom_parts([*near, region(100, 100, 20, 20)], HD, INPUT)) == 2


def test_of_more_than_there_are_parts_for_the_more_important_ones_are_looked_at() -> None:
    scattered = [region(x, y, 20, 20) for x, y in [(100, 100), (1800, 100), (100, 1000), (1800, 1000), (110, 130)]]
    parts = zoom_parts(scattered, HD, INPUT, most=2)
    assert [(part[0], part[1]) for part in parts] == [(0, 0), (1504, 0)]


def test_a_large_one_of_the_small_ones_gets_a_larger_part() -> None:
    (part,) = zoom_parts([region(900, 400, 290, 200)], HD, INPUT)
    assert part[2] - part[0] > 416
    assert (part[2] - part[0]) / (part[3] - part[1]) == pytest.approx(1, abs=0.01)


frames_hw = st.tuples(st.integers(2, 3000), st.integers(2, 4000))
inputs_hw = st.tuples(st.integers(4, 40), st.integers(4, 40)).map(lambda hw: (hw[0] * 16, hw[1] * 16))
fraction = st.floats(0, 1, width=32)
regions = st.lists(
    st.tuples(fraction, fraction, fraction, fraction).map(
        lambda r: (min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]), max(r[1], r[3]))
    ),
    max_size=12,
)


@given(frame_hw=frames_hw, input_hw=inputs_hw, where=regions, most=st.integers(1, 4))
def test_parts_can_be_cut_and_show_everything_closer(
    frame_hw: tuple[int, int], input_hw: tuple[int, int], where: list[Region], most: int
) -> None:
    h, w = frame_hw
    picture = Picture(
        format=PixelFormat.NV12,
        planes=(np.broadcast_to(LEVEL, frame_hw), np.broadcast_to(LEVEL, (-(-h // 2), -(-w // 2), 2))),
        width=w,
        height=h,
    )
    whole = min(input_hw[0] / h, input_hw[1] / w)
    parts = zoom_parts(where, frame_hw, input_hw, most=most)
    assert len(parts) <= most
    for part in parts:
        shown = cropped(picture, part)  # it would refuse one that begins at an odd px, or is not within the frame
        assert min(input_hw[0] / shown.height, input_hw[1] / shown.width) >= 1.4 * whole
        assert all(corner % 2 == 0 or corner in (h, w) for corner in part)
    if len(parts) < most and whole * 1.5 <= 1:
        small = [r for r in where if max((r[2] - r[0]) * w, (r[3] - r[1]) * h) * whole <= min(64, *input_hw) / 4]
        assert all(
            any(
                x1 <= r[0] * w + 1 and y1 <= r[1] * h + 1 and r[2] * w <= x2 + 1 and r[3] * h <= y2 + 1
                for x1, y1, x2, y2 in parts
            )
            for r in small
        )


def test_without_parts_the_whole_is_what_it_is() -> None:
    whole = found(((0, 0, 10, 10), 0.9, 0), ((1, 1, 11, 11), 0.8, 0))
    assert joined(whole, [], frame_hw=HD) is whole


def test_what_only_a_part_shows_is_added_in_px_of_the_frame() -> None:
    whole = found(((1000, 100, 1200, 500), 0.9, 0))
    both = joined(whole, [of_part(LEFT, ((100, 400, 130, 460), 0.8, 1))], frame_hw=HD)
    assert rows_of(both) == [((1000, 100, 1200, 500), 0.9, 0), ((100, 400, 130, 460), 0.8, 1)]
    assert rows_of(only_close(whole, both)) == [((100, 400, 130, 460), 0.8, 1)]


def test_what_both_show_is_one_the_better_one() -> None:
    whole = found(((98, 396, 134, 466), 0.5, 1))
    both = joined(whole, [of_part(LEFT, ((100, 400, 130, 460), 0.8, 1))], frame_hw=HD)
    assert rows_of(both) == [((100, 400, 130, 460), 0.8, 1)]
    assert len(only_close(whole, both)) == 1  # the whole shows it far less surely
    assert len(only_close(found(((98, 396, 134, 466), 0.75, 1)), both)) == 0


def test_what_one_look_alone_shows_twice_stays() -> None:
    whole = found(((100, 400, 130, 460), 0.9, 1), ((102, 400, 132, 460), 0.8, 1), ((100, 400, 130, 460), 0.7, 2))
    assert len(joined(whole, [of_part(MIDDLE)], frame_hw=HD)) == 3


def test_what_something_is_the_closer_look_knows_better_unless_it_is_less_sure() -> None:
    bird = found(((98, 398, 132, 462), 0.6, 14))
    person = of_part(LEFT, ((100, 400, 130, 460), 0.8, 0), ((90, 440, 140, 465), 0.5, 1))
    assert rows_of(joined(bird, [person], frame_hw=HD)) == [
        ((100, 400, 130, 460), 0.8, 0),
        ((90, 440, 140, 465), 0.5, 1),
    ]
    vague = found(((60, 360, 180, 500), 0.6, 14))  # it may be hardly more than a guess where it is
    assert len(joined(vague, [person], frame_hw=HD)) == 2
    car = found(((60, 360, 180, 500), 0.6, 2))  # both are there, if the part shows both
    both = of_part(LEFT, ((100, 400, 130, 460), 0.8, 0), ((62, 362, 180, 500), 0.5, 2))
    assert sorted(one.class_id for one in joined(car, [both], frame_hw=HD)) == [0, 2]
    sure = found(((98, 398, 132, 462), 0.9, 14))
    assert len(joined(sure, [person], frame_hw=HD)) == 3
    beyond = found(((380, 400, 440, 460), 0.6, 14))  # the part does not show all of it
    assert len(joined(beyond, [of_part(LEFT, ((370, 400, 405, 460), 0.8, 0))], frame_hw=HD)) == 2


def test_what_a_part_cuts_off_gives_way_to_the_whole() -> None:
    car = (300.0, 500.0, 700.0, 700.0)
    cut = of_part(LEFT, ((300, 500, 416, 700), 0.95, 2), ((300, 500, 415, 700), 0.9, 7))
    assert rows_of(joined(found((car, 0.6, 2)), [cut], frame_hw=HD)) == [((300, 500, 700, 700), 0.6, 2)]
    assert len(joined(found(), [cut], frame_hw=HD)) == 0


def test_the_frames_own_edge_cuts_nothing_off() -> None:
    corner: Part = (1504, 664, 1920, 1080)
    box = (1880.0, 1000.0, 1920.0, 1080.0)
    assert len(joined(found(), [of_part(corner, (box, 0.9, 0))], frame_hw=HD)) == 1
    top: Part = (0, 0, 416, 416)
    assert len(joined(found(), [of_part(top, ((0, 0, 50, 50), 0.9, 0))], frame_hw=HD)) == 1


def test_halves_in_two_parts_become_one() -> None:
    halves = [
        of_part(LEFT, ((350, 500, 416, 560), 0.9, 2)),
        of_part(MIDDLE, ((400, 502, 470, 561), 0.7, 2), ((400, 400, 440, 450), 0.9, 2), ((400, 502, 470, 561), 0.9, 3)),
    ]
    assert rows_of(joined(found(), halves, frame_hw=HD)) == [((350, 500, 470, 561), 0.7, 2)]
    whole = found(((345, 500, 475, 562), 0.8, 2))
    assert rows_of(joined(whole, halves, frame_hw=HD)) == [((345, 500, 475, 562), 0.8, 2)]


def test_what_two_parts_cut_off_at_the_same_side_is_not_mended() -> None:
    parts = [
        of_part(MIDDLE, ((400, 500, 440, 560), 0.9, 2)),
        of_part((402, 200, 818, 616), ((402, 500, 440, 560), 0.7, 2)),
    ]
    assert len(joined(found(), parts, frame_hw=HD)) == 0


def test_a_half_in_one_part_gives_way_to_all_of_it_in_another() -> None:
    parts = [
        of_part(LEFT, ((380, 500, 416, 560), 0.9, 2)),
        of_part((360, 300, 776, 716), ((380, 500, 450, 560), 0.6, 2)),
    ]
    assert rows_of(joined(found(), parts, frame_hw=HD)) == [((380, 500, 450, 560), 0.6, 2)]


def test_a_piece_of_what_is_larger_than_the_part_is_no_object() -> None:
    whole = found(((50, 100, 700, 1000), 0.7, 0))
    both = joined(whole, [of_part(LEFT, ((200, 450, 300, 600), 0.9, 0))], frame_hw=HD)
    assert rows_of(both) == [((50, 100, 700, 1000), 0.7, 0)]


def test_two_that_the_whole_takes_for_one_are_two_when_they_are_seen_closer() -> None:
    whole = found(((100, 400, 200, 460), 0.5, 0))
    pair = of_part(LEFT, ((100, 400, 140, 460), 0.8, 0), ((160, 402, 199, 460), 0.7, 0))
    assert len(joined(whole, [pair], frame_hw=HD)) == 2
    unsure = of_part(LEFT, ((100, 400, 140, 460), 0.4, 0))
    assert rows_of(joined(whole, [unsure], frame_hw=HD)) == [((100, 400, 200, 460), 0.5, 0)]


def seen(objects: Sequence[tuple[Box, int]], part: Part, *, dice: random.Random) -> Detections:
    """Play a detector: it sees what is at least 12 px long on its input, and of what is cut off the rest."""
    x1, y1, x2, y2 = part
    scale = min(INPUT[0] / (y2 - y1), INPUT[1] / (x2 - x1))
    rows: list[tuple[Box, float, int]] = []
    for (a, b, c, d), kind in objects:
        left, top, right, bottom = max(a, x1), max(b, y1), min(c, x2), min(d, y2)
        if right - left < 0.2 * (c - a) or bottom - top < 0.2 * (d - b):
            continue
        if max(right - left, bottom - top) * scale < 12:
            continue
        off = [dice.uniform(-0.5, 0.5) / scale for _ in range(4)]
        box = (left - x1 + off[0], top - y1 + off[1], right - x1 + off[2], bottom - y1 + off[3])
        limits = (x2 - x1, y2 - y1, x2 - x1, y2 - y1)
        clipped = tuple(max(0.0, min(value, limit)) for value, limit in zip(box, limits, strict=True))
        rows.append(((clipped[0], clipped[1], clipped[2], clipped[3]), dice.uniform(0.5, 0.95), kind))
    return found(*rows)


def test_a_frame_of_large_and_small_objects_is_told_object_by_object(seed: int) -> None:
    """Each object that stands free is told once, with its own box, whatever the parts cut off."""
    dice = random.Random(seed)
    small = told_small = 0
    for _ in range(300):
        objects: list[tuple[Box, int]] = []
        while len(objects) < 10:
            side = dice.choice([24, 30, 40, 60, 300, 500])
            w, h = side * dice.uniform(0.5, 1), side * dice.uniform(0.5, 1)
            x, y = dice.uniform(0, HD[1] - w), dice.uniform(0, HD[0] - h)
            apart = all(x > c + 20 or c2 > x + w + 20 or y > d + 20 or d2 > y + h + 20 for (c2, d2, c, d), _ in objects)
            if apart:
                objects.append(((x, y, x + w, y + h), dice.randrange(2)))
        moving = [region(a, b, c - a, d - b) for (a, b, c, d), _ in objects[:4]]
        parts = zoom_parts(moving, HD, INPUT)
        whole = seen(objects, (0, 0, HD[1], HD[0]), dice=dice)
        both = joined(whole, [(part, seen(objects, part, dice=dice)) for part in parts], frame_hw=HD)
        assert (np.diff(both.scores) <= 0).all()
        assert (both.boxes >= -0.01).all()
        of_object = [
            [one for one in both if kind == one.class_id and alike(box, one.box) > 0.6] for box, kind in objects
        ]
        assert all(len(told) <= 1 for told in of_object)
        assert sum(map(len, of_object)) == len(both)  # and nothing else is told
        for box, kind in objects:  # what the whole shows is never lost
            if any(alike(box, one.box) > 0.6 and one.class_id == kind for one in whole):
                assert any(alike(box, one.box) > 0.6 and one.class_id == kind for one in both)
        tiny = [told for (box, _), told in zip(objects[:4], of_object, strict=False) if side_of(box) < 50]
        small += len(tiny)
        told_small += sum(map(len, tiny))
    assert told_small >= 0.9 * small > 100  # without parts none would be: they are less than 12 px of the input


def side_of(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def alike(one: Box, other: Box) -> float:
    """Return the intersection over union."""
    w = min(one[2], other[2]) - max(one[0], other[0])
    h = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, w) * max(0.0, h)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)
