"""Made-up scenes for the tracker: objects with known identities, as a detector would report them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamer.core.results import Box, Detections

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Sighting:
    """One object as the detector sees it."""

    who: int
    box: Box
    score: float = 0.8
    class_id: int = 0


@dataclass(frozen=True)
class Shot:
    """One frame of a scene."""

    t_s: float
    seen: tuple[Sighting, ...]

    @property
    def captured_ns(self) -> int:
        return round((1_000 + self.t_s) * NS_PER_S)

    @property
    def best_first(self) -> list[Sighting]:
        return sorted(self.seen, key=lambda sighting: -sighting.score)

    @property
    def detections(self) -> Detections:
        rows = self.best_first
        return Detections(
            boxes=np.array([r.box for r in rows], np.float32).reshape(-1, 4),
            scores=np.array([r.score for r in rows], np.float32),
            class_ids=np.array([r.class_id for r in rows], np.int32),
        )


class SceneMaker:
    """Draws scenes; all randomness comes from its seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def box(self, cx: float, cy: float = 300, *, height: float = 170, jitter: float = 0.02) -> Box:
        """Return a standing person's box around a point, as noisy as a detector's."""
        width = 0.4 * height
        e = self.random.normal(0, jitter, 4) * (width, height, width, height)
        return (
            float(cx - width / 2 + e[0]),
            float(cy - height / 2 + e[1]),
            float(cx + width / 2 + e[2]),
            float(cy + height / 2 + e[3]),
        )

    def times(self, fps: float, seconds: float, irregular: float = 0.0) -> list[float]:
        """Return capture times, s; `irregular` 0..1 is how much the steps differ."""
        steps = (1 + self.random.uniform(-irregular, irregular, round(seconds * fps))) / fps
        return [0.0, *np.cumsum(steps).tolist()]

    def walker(self, fps: float, *, missed: float = 0.0, irregular: float = 0.0) -> list[Shot]:
        """A person walks at 1.4 m/s, stops for two seconds, walks on, turns and walks back.

        At most 1.9 s pass between two sightings.
        """
        shots, seen_s = [], 0.0
        for t in self.times(fps, 10, irregular):
            walked_s = min(t, 3) + max(0, min(t, 7) - 5) - max(0, t - 7)
            visible = self.random.random() >= missed or t == 0 or t + 1 / fps - seen_s > 1.9
            seen_s = t if visible else seen_s
            seen = (Sighting(0, self.box(200 + 140 * walked_s)),) if visible else ()
            shots.append(Shot(t, seen))
        return shots

    def runner(self, fps: float) -> list[Shot]:
        """A person runs past at 3.5 m/s."""
        return [Shot(t, (Sighting(0, self.box(350 * t)),)) for t in self.times(fps, 4)]

    def crossing(self, fps: float, *, hidden: bool) -> list[Shot]:
        """Two people meet head-on and pass; `hidden`: nobody sees the one behind for as long as they overlap half."""
        shots = []
        for t in self.times(fps, 8):
            left, right = 100 + 140 * t, 1220 - 140 * t
            front = Sighting(1, self.box(right, 310, height=178))
            behind = Sighting(0, self.box(left))
            covered = hidden and abs(left - right) < 35
            shots.append(Shot(t, (front,) if covered else (front, behind)))
        return shots

    def flicker(self, fps: float, *, share: float, seconds: float = 20, people: int = 1) -> list[Shot]:
        """People stand still and are seen in a random `share` of the frames, at least every 1.9 s."""
        shots, seen_s = [], [0.0] * people
        for t in self.times(fps, seconds):
            seen = []
            for who in range(people):
                if t == 0 or self.random.random() < share or t + 1 / fps - seen_s[who] > 1.9:
                    seen.append(Sighting(who, self.box(200 + 90 * who, jitter=0.03)))
                    seen_s[who] = t
            shots.append(Shot(t, tuple(seen)))
        return shots
