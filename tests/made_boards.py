"""Boards of a line as a broker tells of them, and defects as they are drawn, for tests."""

from __future__ import annotations

from typing import Any

from streamer.board_reports import Board, Found
from streamer.capture.scenes.shapes import SceneObject
from streamer.core.decision import Verdict

KINDS = ("open", "short", "spur")
PLACE = (100.0, 100.0, 140.0, 140.0)
ELSEWHERE = (400.0, 300.0, 440.0, 340.0)


def moment(number: int) -> str:
    """When the picture of a board was taken: half a second behind the one before."""
    return f"2026-11-21T10:15:{number // 2:02d}.{number % 2 * 500:03d}Z"


def drawn(*kinds: str, box: tuple[float, float, float, float] = PLACE) -> tuple[SceneObject, ...]:
    return tuple(SceneObject(kind=kind, id=i, box=box, visible=1.0) for i, kind in enumerate(kinds))


def found(kind: str, score: float = 0.9, box: tuple[float, float, float, float] = PLACE) -> Found:
    return Found(kind=kind, score=score, box=box)


def board(
    number: int = 1,
    reason: str | None = None,
    *seen: Found,
    verdict: Verdict | None = None,
    late: bool = False,
    told: bool = True,
) -> Board:
    """A board that was accepted if there is no reason against it."""
    return Board(
        number=number,
        verdict=verdict or (Verdict.REJECT if reason else Verdict.ACCEPT),
        reason=reason,
        late=late,
        captured_at=moment(number),
        age_ms=61.4,
        found=seen if told else None,
    )


def decision(number: int, reason: str | None = None, *, picture: bool = True, late: bool = False) -> dict[str, Any]:
    """The payload of a decision."""
    return {
        "schema": 1,
        "camera": "line",
        "number": number,
        "item": str(number),
        "verdict": "reject" if reason else "accept",
        "reason": reason,
        "captured_at": moment(number) if picture else None,
        "age_ms": 61.4 if picture else None,
        "late": late,
    }


def detections(number: int, *seen: tuple[str, float]) -> dict[str, Any]:
    """The payload of the feed about the same picture."""
    return {
        "captured_at": moment(number),
        "age_ms": 63.0,
        "frame": {"width": 640, "height": 640, "connection": 0, "seq": number - 1},
        "detections": [
            {"class": kind, "class_id": 0, "score": score, "box": [round(side) for side in PLACE], "track": 1}
            for kind, score in seen
        ],
    }
