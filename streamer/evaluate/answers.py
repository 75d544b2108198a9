"""A model's answers to labelled pictures, in the data's own numbering of classes."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from streamer.core.clock import NS_PER_MS
from streamer.pixels.convert import picture_of_bgr
from streamer.stills import PictureError, load_picture

from .class_scores import NamedClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.core.results import Classification, Detections
    from streamer.infer.network import Network

    from .join import Joined
    from .truths import LabelledPicture

FLOOR = 0.001  # least score: precision at the greatest recalls needs what nobody would report
_WARM_UP = 3  # pictures, after which a machine works at its own pace

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class Judged:
    """What a detector said of one picture, beside what is there."""

    picture: LabelledPicture
    width: int  # px
    height: int  # px
    boxes: NDArray[np.float32]  # (M, 4) x1 y1 x2 y2, px
    scores: NDArray[np.float32]  # (M,) above the floor
    class_ids: NDArray[np.int64]  # (M,) index into the set's labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered(Generic[Answer]):
    """A network's answer to one picture."""

    picture: LabelledPicture
    width: int  # px
    height: int  # px
    answer: Answer
    took_ms: float  # from the decoded picture to boxes or scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long a model takes for a picture, one after the other."""

    ms: float  # median
    p95_ms: float
    pictures: int  # that were timed

    @property
    def per_s(self) -> float:
        """Pictures a second at that pace."""
        return 1000 / self.ms


def answers(
    network: Network[Answer], pictures: Sequence[LabelledPicture], *, unread: Callable[[str], None]
) -> Iterator[Answered[Answer]]:
    """Ask a network about each picture, one after the other.

    None is read ahead: on a few cores that would slow down what is timed.

    Args:
        network: open.
        pictures: read here, and let go.
        unread: told in a sentence of each picture that can't be read; it is left out.

    Raises:
        BackendError: the runtime failed.
    """
    for picture in pictures:
        try:
            bgr = load_picture(picture.path)
        except PictureError as exc:
            unread(str(exc))
            continue
        began_ns = time.perf_counter_ns()
        (answer,) = network.collect(network.submit([picture_of_bgr(bgr)]))
        took_ms = (time.perf_counter_ns() - began_ns) / NS_PER_MS
        yield Answered(picture=picture, width=bgr.shape[1], height=bgr.shape[0], answer=answer, took_ms=took_ms)


def judged_of(one: Answered[Detections], joined: Joined) -> Judged:
    """Return what a detector said in the data's numbering; what the data knows nothing of is left out."""
    class_ids = np.array(joined.ids, np.int64)[one.answer.class_ids]
    mine = class_ids >= 0
    return Judged(
        picture=one.picture,
        width=one.width,
        height=one.height,
        boxes=one.answer.boxes[mine],
        scores=one.answer.scores[mine],
        class_ids=class_ids[mine],
    )


def named_of(one: Answered[Classification], joined: Joined) -> NamedClass:
    """Return a classifier's scores in the data's numbering; classes that only it has are left out."""
    scores = np.zeros(len(joined.labelled.labels), np.float32)
    class_ids = np.array(joined.ids, np.int64)[one.answer.class_ids]
    mine = class_ids >= 0
    np.maximum.at(scores, class_ids[mine], one.answer.scores[mine])
    return NamedClass(picture=one.picture, scores=scores)


def speed_of(took_ms: Sequence[float]) -> Speed:
    """Return the pace after a warm-up.

    Args:
        took_ms: at least one.
    """
    timed = took_ms[_WARM_UP:] or took_ms
    return Speed(ms=statistics.median(timed), p95_ms=float(np.percentile(timed, 95)), pictures=len(timed))
