"""Events that people can trust: what a person would name before a doorway is told, and what is not there is not.

Gate, network, tracker and rules are the real ones, in the scene's own time (`doorway_watch`). The seeds are drawn anew
each time and printed; `tests/measure/trust.py --seed N` shows what was missed with one. These are small shares of what
that measures: a round in which all goes well is enough, and one in which not all does is looked into with more.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from doorway_watch import by_network, drawn_weather, empty, open_doorway, visited

from streamer.capture.scenes.doorway_story import SLOT_S
from streamer.core.results import Detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorway_watch import Detect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SIZE = (320, 180)
ROUNDS = 6
LEAST_RECALL = 0.95
MOST_FALSE = 1  # of the empty scene's whole share, which is less than an hour


@pytest.fixture
def detect() -> Iterator[Detect]:
    model = open_doorway()
    yield by_network(model)
    model.close()


def drawn() -> int:
    """Return a seed that no run has seen, and say which."""
    seed = random.SystemRandom().randrange(10**9)
    print("doorway seed", seed)  # noqa: T201  shown when the test fails
    return seed


def test_what_a_person_would_name_is_told(detect: Detect) -> None:
    named = found = 0
    for _ in range(ROUNDS):
        missed = []
        for _ in range(3):
            seed = drawn()
            verdict = visited(seed, detect, seconds=2 * SLOT_S, size=SIZE, weather=drawn_weather(seed))
            named, found = named + verdict.named, found + len(verdict.found)
            missed += verdict.missed
        print(f"{found} of {named} told; missed:", *missed)  # noqa: T201
        if not missed:
            break
    assert found >= LEAST_RECALL * named


def test_nothing_is_told_of_a_windy_doorway_to_which_nobody_comes(detect: Detect) -> None:
    said = []
    for _ in range(ROUNDS):
        seed = drawn()
        watched = empty(seed, detect, seconds=3 * SLOT_S, size=SIZE, weather=drawn_weather(seed, windy=True))
        print("told:", *watched.said)  # noqa: T201
        said += watched.said
        if not watched.said:
            break
    assert len(said) <= MOST_FALSE


def test_the_same_scene_without_a_network_is_told_nothing_of() -> None:
    """What the others count comes from the network's boxes: a detector that sees nothing makes no event."""
    verdict = visited(1, lambda *_: Detections.empty(), seconds=SLOT_S, size=(160, 90), weather=drawn_weather(1))
    assert verdict.named
    assert verdict.recall == 0
    assert verdict.false == []
