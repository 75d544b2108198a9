"""The items of one camera: when each begins, which picture shows it, what is known of it, and what becomes of it."""

from __future__ import annotations

import threading
from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.decision import Doubt, Verdict
from streamer.core.errors import BackendError, ChannelClosed
from streamer.pixels.quality import quality

from .book import ItemBook
from .fitness import Fitness
from .judge import doubted, judge, judge_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.core.frame import Frame, FrameInfo
    from streamer.core.look import Classified
    from streamer.core.results import Box, Classification, Detections

    from .judge import Judgement, JudgeSpec

_MOST_CHARACTERS = 128  # of an item's id
_MOST_UNFIT = 256  # frames whose doubt is remembered for objects that cross a line in them: more than ever wait

_Key = tuple[int, int]  # a frame of this camera: its connection and its number


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsPlan:
    """What the items of a camera are.

    Raises:
        ValueError: a duration is out of range.
    """

    camera: str
    judge: JudgeSpec  # also says what is needed: detections if it names defect classes, and an answer for each label
    deadline_s: float  # from the trigger, else from the capture
    otherwise: Verdict  # what becomes of an item that can't be judged in time
    each_frame: bool  # every frame is an item; False: triggers and crossings begin them
    live: bool  # False: a recording, which has no deadline
    crossings: bool = False  # tracked objects begin items by crossing a line
    after_s: float = 0.0  # an item's picture is captured so long after its trigger: the way from a sensor to the camera
    expires_s: float = 1.0  # so long after its deadline a decision is of no use any more
    dark: float = 0.04  # as in `Fitness`, and the two below
    blurred: float = 0.3
    frozen_s: float = 1.0

    def __post_init__(self) -> None:
        if self.deadline_s <= 0 or self.after_s < 0 or self.expires_s <= 0:
            raise ValueError(f"deadline_s > 0, after_s >= 0 and expires_s > 0 expected, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Evidence:
    """What is known of an item that a frame shows."""

    number: int
    info: FrameInfo
    detections: Detections | None = None
    classes: Mapping[str, Classification] = field(default_factory=dict)

    def complete(self, spec: JudgeSpec) -> bool:
        """Whether all has come that its judgement needs."""
        return not (spec.class_ids and self.detections is None) and not spec.labels.keys() - self.classes.keys()


class Items:
    """The items of one camera. Thread-safe: capture, inference, events and triggers tell it what they know.

    A trigger's item is shown by the first frame captured at or after it (and `after_s`), never by an earlier one, which
    might show the item before. A frame shows one item; of several triggers the oldest gets it.

    Nothing in here waits: its lock and its book's are held for a few lines, so that decisions leave in time whatever
    else hangs.
    """

    def __init__(self, plan: ItemsPlan, *, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._told: Callable[[], None] = lambda: None
        self._book = ItemBook(
            plan.camera,
            deadline_ns=round(plan.deadline_s * NS_PER_S),
            otherwise=plan.otherwise,
            expires_ns=round(plan.expires_s * NS_PER_S),
            changed=self._changed,
        )
        self._fitness = Fitness(  # the capture thread's own
            dark=plan.dark,
            blurred=plan.blurred,
            frozen_s=plan.frozen_s,
            each_frame=plan.each_frame or plan.crossings,
        )
        self._lock = threading.Lock()  # guards all below
        self._waiting: list[tuple[int, int]] = []  # (number, due_ns) of items that wait for their frame, in order
        self._evidence: dict[_Key, _Evidence] = {}
        self._frames: dict[int, _Key] = {}  # which frame shows an item that waits for evidence
        self._handed_out = 0  # the number of the last one
        self._unfit: OrderedDict[_Key, Doubt] = OrderedDict()  # of the latest frames, for crossings

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called when `take_decided` or `next_ns` may return something new; it must not wait."""
        self._told = told

    def captured(self, frame: Frame) -> bool:
        """Take in the next decoded frame, before anything else does. Capture thread.

        Returns:
            Whether it shows an item that is to be judged by it: then it must be inferred, and reported if it is lost.

        Raises:
            ChannelClosed: the items have ended.
            BackendError: its picture is in the memory of a GPU that failed; its item is decided.
        """
        info = frame.info
        number = self._begun(info) if self._plan.each_frame else self._awaited(info)
        if number is None and not self._plan.crossings:
            return False
        try:
            doubt = self._fitness.check(quality(frame.picture), info.captured_ns)
        except BackendError:
            if number is not None:
                self._judge(number, doubted(Doubt.FAILED))
            raise
        if number is None:
            self._remember(info, doubt)
            return False
        if doubt is not None:
            self._judge(number, doubted(doubt))
        return doubt is None

    def trigger(self, name: str, at_ns: int) -> None:
        """Begin an item. Any thread.

        Args:
            name: its id.
            at_ns: when it was triggered, monotonic.

        Raises:
            ValueError: the id is empty, too long or open already, there are too many items, or they have ended.
        """
        if not 0 < len(name) <= _MOST_CHARACTERS:
            raise ValueError(f"an item's id has 1 to {_MOST_CHARACTERS} characters, this one {len(name)}")
        began_ns = min(at_ns, self._clock.monotonic_ns())
        try:
            number = self._book.begin(name, began_ns=began_ns, live=self._plan.live)
        except ChannelClosed:
            raise ValueError(f"no items of camera {self._plan.camera} are taken any more: the run ends") from None
        with self._lock:
            insort(self._waiting, (number, at_ns + round(self._plan.after_s * NS_PER_S)))

    def crossed(
        self,
        name: str | None,
        info: FrameInfo,
        *,
        box: Box,
        detections: Detections | None,
        labels: Mapping[str, tuple[str, float]],
    ) -> None:
        """Begin an item that is a tracked object, and judge it by what is known of it. Events thread.

        Once the items have ended none begins any more.

        Args:
            name: its id; None: its number.
            info: the frame in which it has crossed the line.
            box: where it is, px.
            detections: of that frame.
            labels: its decided labels, by classification: class and score.

        Raises:
            ValueError: the id is open already, or there are too many items.
        """
        with self._lock:
            doubt = self._unfit.get(_key(info))
        spec = self._plan.judge
        if doubt is None:
            judgement = judge_object(spec, info, box=box, detections=detections, labels=labels)
        else:
            judgement = doubted(doubt)
        try:
            number = self._book.begin(name, began_ns=self._captured_ns(info), live=self._plan.live, info=info)
        except ChannelClosed:  # of the items; whoever tells us of an object has an end of its own
            return
        self._judge(number, judgement)

    def result(self, info: FrameInfo, detections: Detections) -> None:
        """Take in what the detector said of a frame, an item's or not. Events thread."""
        self._learn(info, detections=detections, classes={})

    def classified(self, classified: Classified) -> None:
        """Take in what a classifier said of a frame or a zone, an item's or not. Events thread."""
        if classified.track is None and classified.name in self._plan.judge.labels:
            self._learn(classified.info, detections=None, classes={classified.name: classified.output})

    def lost(self, info: FrameInfo, doubt: Doubt) -> None:
        """Say that a frame, an item's or not, will not be looked at. Any thread."""
        with self._lock:
            evidence = self._evidence.get(_key(info))
        if evidence is not None:
            self._judge(evidence.number, doubted(doubt))

    def camera_lost(self) -> None:
        """Say that no frames come any more for now. Frames that did come are on their way still."""
        with self._lock:
            numbers = [number for number, _ in self._waiting]
        for number in numbers:
            self._judge(number, doubted(Doubt.FAILED))

    def end(self) -> None:
        """Let no item begin any more, and decide what is open. Any thread."""
        self._book.end(Doubt.FAILED, now_ns=self._clock.monotonic_ns())
        with self._lock:
            self._waiting.clear()
            self._evidence.clear()
            self._frames.clear()

    def wants(self, info: FrameInfo) -> bool:
        """Whether a frame shows an item whose judgement still waits for something. Any thread."""
        with self._lock:
            return _key(info) in self._evidence

    def take_decided(self, now_ns: int) -> list[Decision]:
        """Take the decisions that are due, in the order of their items. Decide thread."""
        decisions = self._book.take_decided(now_ns)
        if decisions:
            with self._lock:
                self._handed_out = decisions[-1].number
                for decision in decisions:
                    self._forget_locked(decision.number)
                while self._waiting and self._waiting[0][0] <= self._handed_out:
                    del self._waiting[0]
        return decisions

    def next_ns(self) -> int | None:
        """Return when `take_decided` will have something: 0 for at once, None if no time will bring that about."""
        return self._book.next_ns()

    def over(self) -> bool:
        """Whether the items have ended and every decision was taken."""
        return self._book.over()

    def counts(self) -> Mapping[str, int]:
        """Return the numbers of items, as `ItemBook.counts` names them."""
        return self._book.counts()

    def _changed(self) -> None:
        self._told()

    def _captured_ns(self, info: FrameInfo) -> int:
        """Return when a frame was captured; of a live camera that is no later than now, whatever its clock says."""
        return min(info.captured_ns, self._clock.monotonic_ns()) if self._plan.live else info.captured_ns

    def _begun(self, info: FrameInfo) -> int:
        """Begin the item that a frame is."""
        number = self._book.begin(None, began_ns=self._captured_ns(info), live=self._plan.live, info=info)
        self._expect(number, info)
        return number

    def _awaited(self, info: FrameInfo) -> int | None:
        """Return the item that has waited for this frame; one whose time is over meanwhile is passed over."""
        while True:
            with self._lock:
                if not self._waiting or (self._plan.live and info.captured_ns < self._waiting[0][1]):
                    return None
                number, _ = self._waiting.pop(0)
            if self._book.picture(number, info, now_ns=self._clock.monotonic_ns()):
                self._expect(number, info)
                return number

    def _expect(self, number: int, info: FrameInfo) -> None:
        """Have a place for what comes to be known of an item."""
        with self._lock:
            if number > self._handed_out:  # else it is decided already, and nobody would clear the place
                self._evidence[_key(info)] = _Evidence(number=number, info=info)
                self._frames[number] = _key(info)

    def _learn(self, info: FrameInfo, *, detections: Detections | None, classes: Mapping[str, Classification]) -> None:
        with self._lock:
            known = self._evidence.get(_key(info))
            if known is None:
                return
            known = replace(
                known,
                detections=known.detections if detections is None else detections,
                classes={**known.classes, **classes},
            )
            self._evidence[_key(info)] = known
        spec = self._plan.judge
        judgement = judge(spec, info, detections=known.detections, classes=known.classes)
        # A defect is one, whatever is still to come. A recording waits all the same: its reasons are to be the same in
        # each run, whichever model is faster.
        if known.complete(spec) or (self._plan.live and judgement.verdict is Verdict.REJECT):
            self._judge(known.number, judgement)

    def _judge(self, number: int, judgement: Judgement) -> None:
        self._book.judge(number, judgement, now_ns=self._clock.monotonic_ns())
        with self._lock:
            self._forget_locked(number)

    def _remember(self, info: FrameInfo, doubt: Doubt | None) -> None:
        """Keep the doubt about a frame in which an object may turn out to have crossed a line."""
        if doubt is None:
            return
        with self._lock:
            self._unfit[_key(info)] = doubt
            if len(self._unfit) > _MOST_UNFIT:
                self._unfit.popitem(last=False)

    def _forget_locked(self, number: int) -> None:
        key = self._frames.pop(number, None)
        if key is not None:
            self._evidence.pop(key, None)


def _key(info: FrameInfo) -> _Key:
    return info.connection, info.seq
