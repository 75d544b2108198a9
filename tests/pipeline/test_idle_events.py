"""Idling changes no event: drawn streets and real films, each watched twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from idle_films import Differences, as_it_is, films, refilmed
from idle_watch import Truth, Watch, reel_of
from passers_by import street_film

from streamer.core.event import EventType
from streamer.motion.gate import MotionPlan

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

# Whom the gate does not see a heartbeat may find, and whether one comes just then is luck in both ways.
NO_HEARTBEAT = MotionPlan(heartbeat_s=1000.0)
LATER_S = 0.5  # the contract of idling: no start later by more


def assert_same_events(everything: Watch, idling: Watch, *, told_later_s: float) -> None:
    for kind in (EventType.START, EventType.END):
        before, now = everything.told(kind), idling.told(kind)
        assert [told.name for told in now] == [told.name for told in before]
        for a, b in zip(before, now, strict=True):
            assert b.at_s - a.at_s <= LATER_S
            assert b.told_s - a.told_s <= told_later_s


@pytest.mark.parametrize("part", range(4))
def test_the_events_of_a_drawn_street_are_the_same(part: int, seed: int) -> None:
    saved = started = 0
    for number in range(5):
        film = street_film(seed * 20 + part * 5 + number, width=224, height=126, fps=8, seconds=40)
        truth = Truth(film)
        everything = Watch(reel_of(film.packets, fps=film.fps), truth, idle=False, plan=NO_HEARTBEAT).run()
        idling = Watch(reel_of(film.packets, fps=film.fps), truth, plan=NO_HEARTBEAT).run()
        started += len(everything.told(EventType.START))
        # Where noise is nearly all that a packet holds, only the next key frame tells.
        assert_same_events(everything, idling, told_later_s=LATER_S if film.noise < 2 else 3.0)
        saved += idling.counts["idle"]
    assert started >= 5
    assert saved > 100  # of 1600


NAMES = (
    "bolt-multi-size-detection-preview.mp4", "bottle-detection.mp4", "face-demographics-walking-preview.mp4",
    "fruit-and-vegetable-detection-preview.mp4", "highway-cctv.avi", "one-by-one-person-detection.mp4",
    "overhead-road.avi", "people-detection-preview.mp4", "person-bicycle-car-detection-preview.mp4",
    "worker-zone-detection-preview.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_events_of_a_real_film_are_the_same(name: str, shared_data: Path) -> None:
    path = shared_data / "videos" / name
    assert path in films(shared_data)
    packets, fps = refilmed(path, seconds=10, width=256, every=1 if "preview" in name or "one-by-one" in name else 2)
    everything = Watch(reel_of(packets, fps=fps), Differences(), idle=False).run()
    idling = Watch(reel_of(packets, fps=fps), Differences()).run()
    assert idling.counts["idle"] > 20, "it never idled"
    assert_same_events(everything, idling, told_later_s=LATER_S)


def test_a_recording_with_b_frames_stays_awake(shared_data: Path) -> None:
    path = shared_data / "videos" / "worker-zone-detection-preview.mp4"
    idling = Watch(as_it_is(path), Differences()).run()
    assert idling.counts["idle"] == 0
