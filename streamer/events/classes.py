"""What a camera's frame or a zone shows overall: `class/<name>`. `class.schema.json` describes the payload."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.clock import NS_PER_S

from .payload import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.look import Classified
    from streamer.core.results import Classification, ClassScore


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSpec:
    """When a classification of a frame or a zone has a new state.

    Raises:
        ValueError: a value is out of range, or two do not fit each other.
    """

    name: str  # of the classification
    labels: tuple[str, ...]  # the model's class names; the index is the class id
    agree: int = 1  # so many answers must agree
    last: int | None = None  # of so many last ones; None: in a row
    for_s: float = 0.0  # and for so long
    least: float = 0.0  # score; an answer below it names no class
    thresholds: tuple[float, ...] = ()  # of each label, where each is judged for itself; empty: one of them is it

    def __post_init__(self) -> None:
        if self.agree < 1 or self.window < self.agree or self.for_s < 0 or not 0 <= self.least <= 1:
            raise ValueError(f"{self.name}: 1 <= agree <= last, for_s >= 0 and 0 <= least <= 1 expected, got {self}")
        if self.thresholds and len(self.thresholds) != len(self.labels):
            raise ValueError(
                f"{self.name}: a threshold for each of {len(self.labels)} labels expected, got {len(self.thresholds)}"
            )

    @property
    def window(self) -> int:
        """Of how many last answers `agree` must agree."""
        return self.agree if self.last is None else self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassState:
    """What is shown since a moment. The scores are those of the answer with which that became sure."""

    class_name: str | None  # the model's own spelling; None: no class
    class_id: int | None
    score: float | None
    since_utc_ns: int  # ns since 1970: capture of the first of the answers that agree
    present: tuple[tuple[str, float], ...] | None = None  # every class, best first, where each is judged for itself


@dataclass(frozen=True, slots=True)
class _Answer:
    """One answer, as far as it counts."""

    info: FrameInfo
    found: tuple[ClassScore, ...]  # the classes that it names, best first

    @property
    def shows(self) -> frozenset[int]:
        """Answers agree that show the same."""
        return frozenset(row.class_id for row in self.found)


class ClassStates:
    """The states of one camera's classifications of frames and zones. Pure; owned by one thread.

    A new state is one that `agree` of the last answers name, the newest among them, and that has been named for a time.
    It has been named since its first answer after which the others were never too many: of five answers of which three
    must agree, two of the last five may be others.
    """

    def __init__(self, specs: Iterable[ClassSpec]) -> None:
        self._votes = {spec.name: _Votes(spec) for spec in specs}
        self._told: dict[str, frozenset[int]] = {}  # name -> what its state shows

    def names(self) -> tuple[str, ...]:
        """Return the names of the classifications, in the order in which they were given."""
        return tuple(self._votes)

    def observe(self, classified: Classified) -> Mapping[str, ClassState]:
        """Take in the next answer; return the states that are new with it, by name.

        One about a frame before that of the last answer says nothing any more.
        """
        votes = self._votes.get(classified.name)
        if votes is None:
            return {}
        state = votes.cast(classified)
        if state is None or self._told.get(classified.name) == votes.shown:
            return {}
        self._told[classified.name] = votes.shown
        return {classified.name: state}

    def offline(self) -> Mapping[str, None]:
        """Forget everything, as the camera is not online; return the names whose state was known."""
        known = dict.fromkeys(self._told)
        self._told = {}
        self._votes = {name: _Votes(votes.spec) for name, votes in self._votes.items()}
        return known


class _Votes:
    """The last answers of one classification."""

    def __init__(self, spec: ClassSpec) -> None:
        self.spec = spec
        self.shown: frozenset[int] = frozenset()  # what the newest answer shows
        self._last: deque[_Answer] = deque(maxlen=spec.window)
        self._since: dict[frozenset[int], FrameInfo] = {}  # what is shown -> first frame since which it is

    def cast(self, classified: Classified) -> ClassState | None:
        """Take in an answer; return the state that it names, if that has held."""
        info, found = classified.info, present(classified.output, self.spec.least, self.spec.thresholds)
        if self._last and info.captured_ns < self._last[-1].info.captured_ns:
            return None
        answer = _Answer(info, found)
        self._last.append(answer)
        self.shown = answer.shows
        self._since.setdefault(self.shown, info)
        self._since = {shown: first for shown in self._since if (first := self._begun(shown)) is not None}
        since = self._since[self.shown]
        agreeing = sum(vote.shows == self.shown for vote in self._last)
        if agreeing < self.spec.agree or info.captured_ns - since.captured_ns < self.spec.for_s * NS_PER_S:
            return None
        return _state(self.spec, found, since.utc_ns)

    def _begun(self, shown: frozenset[int]) -> FrameInfo | None:
        """Return the first frame since which the others have not been too many, if any of the last ones is that."""
        since, votes = self._since[shown], list(self._last)
        after = [vote for vote in votes if vote.info.captured_ns >= since.captured_ns]
        if self._few_others(after, shown):
            return since
        firsts = (n for n, vote in enumerate(votes) if vote.shows == shown and self._few_others(votes[n:], shown))
        first = next(firsts, None)
        return None if first is None else votes[first].info

    def _few_others(self, votes: Sequence[_Answer], shown: frozenset[int]) -> bool:
        return sum(vote.shows != shown for vote in votes) <= self.spec.window - self.spec.agree


def present(output: Classification, least: float, thresholds: Sequence[float]) -> tuple[ClassScore, ...]:
    """Return the classes that an answer names, best first.

    Args:
        output: every class, best first.
        least: score below which no class is named.
        thresholds: least score of each label; empty: one of them is it, so at most the best is named.
    """
    if not thresholds:
        best = output[:1]
        return tuple(best[best.scores >= np.float32(least)])
    needed = np.maximum(np.asarray(thresholds, np.float32), np.float32(least))
    return tuple(output[output.scores >= needed[output.class_ids]])


def encode_class(state: ClassState | None) -> bytes:
    """Return the payload of a state; None: nothing is known."""
    if state is None:
        return b"null"
    said: dict[str, object] = {
        "class": state.class_name,
        "score": None if state.score is None else round(state.score, 4),
        "since": rfc3339(state.since_utc_ns),
    }
    if state.present is not None:
        said["classes"] = [{"class": name, "score": round(score, 4)} for name, score in state.present]
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _state(spec: ClassSpec, found: tuple[ClassScore, ...], since_utc_ns: int) -> ClassState:
    state = ClassState(class_name=None, class_id=None, score=None, since_utc_ns=since_utc_ns)
    if found:
        best = found[0]
        state = replace(state, class_name=spec.labels[best.class_id], class_id=best.class_id, score=best.score)
    if spec.thresholds:
        state = replace(state, present=tuple((spec.labels[row.class_id], row.score) for row in found))
    return state
