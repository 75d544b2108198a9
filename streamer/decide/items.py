"""The items of one camera: when each begins, which picture shows it, what is known of it, and what becomes of it."""

from __future__ import annotations

import threading
from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.decision import Doubt, Verdict
from streamer.core.errors import BackendError, ChannelClosed
from streamer.pixels.quality import quality

from .book import ItemBook
from .evidence import Evidence, FrameEvidence, ObjectEvidence
from .fitness import Fitness
from .judge import doubted, judge, judge_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.core.frame import Frame, FrameInfo
    from streamer.core.look import Classified
    from streamer.core.results import Box, Detections

    from .judge import Judgement, JudgeSpec

_MOST_CHARACTERS = 128  # of an item's id


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
        if not 0 <= self.after_s < self.deadline_s or self.expires_s <= 0:
            raise ValueError(f"0 <= after_s < deadline_s and expires_s > 0 expected, got {self}")


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
        self._evidence = Evidence()
        self._lock = threading.Lock()  # guards the list
        self._waiting: list[tuple[int, int]] = []  # (number, due_ns) of items that wait for their frame, in order

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
        if number is None and doubt is not None:  # an object may turn out to have crossed the line in this frame
            self._evidence.doubt(info, doubt)
        elif number is not None and doubt is not None:
            self._judge(number, doubted(doubt))
        return number is not None and doubt is None

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
            insort(self._waiting, (number, began_ns + round(self._plan.after_s * NS_PER_S)))

    def crossed(
        self,
        name: str | None,
        info: FrameInfo,
        *,
        track: int,
        box: Box,
        detections: Detections | None,
        labels: Mapping[str, tuple[str, float]],
    ) -> None:
        """Begin an item that is a tracked object. Events thread.

        It is judged by what is known of it then, and waits for labels that are not decided yet (`labelled`): a live one
        until its deadline. Once the items have ended none begins any more.

        Args:
            name: its id; None: its number.
            info: the frame in which it has crossed the line.
            track: its id.
            box: where it is, px.
            detections: of that frame.
            labels: its decided labels, by classification: class and score.

        Raises:
            ValueError: the id is open already, or there are too many items.
        """
        try:
            number = self._book.begin(name, began_ns=self._captured_ns(info), live=self._plan.live, info=info)
        except ChannelClosed:  # of the items; whoever tells us of an object has an end of its own
            return
        doubt = self._evidence.doubt_about(info)
        item = ObjectEvidence(number=number, track=track, info=info, box=box, detections=detections)
        if doubt is not None:
            self._judge(number, doubted(doubt))
        elif not self._judge_object(item, labels, last=False):
            self._evidence.expect(item)

    def labelled(self, track: int, labels: Mapping[str, tuple[str, float]], *, last: bool = False) -> None:
        """Take in the decided labels of an object, an item or not. Events thread.

        Args:
            track: its id.
            labels: by classification: class and score.
            last: no more will come: its looks have ended, decided or not.
        """
        for item in self._evidence.objects(track):
            self._judge_object(item, labels, last=last)

    def result(self, info: FrameInfo, detections: Detections) -> None:
        """Take in what the detector said of a frame, an item's or not. Inference thread."""
        self._judge_frame(self._evidence.learn(info, detections=detections))

    def classified(self, classified: Classified) -> None:
        """Take in what a classifier said of a frame or a zone, an item's or not. Inference thread."""
        if classified.track is None and classified.name in self._plan.judge.labels:
            self._judge_frame(self._evidence.learn(classified.info, classes={classified.name: classified.output}))

    def lost(self, info: FrameInfo, doubt: Doubt) -> None:
        """Say that a frame, an item's or not, will not be looked at. Any thread."""
        number = self._evidence.number_of(info)
        if number is not None:
            self._judge(number, doubted(doubt))

    def camera_lost(self) -> None:
        """Say that no frames come for now. Those that did come are on their way still."""
        with self._lock:
            numbers = [number for number, _ in self._waiting]
        for number in numbers:
            self._judge(number, doubted(Doubt.FAILED))

    def objects_lost(self) -> None:
        """Say that no label of an object that was seen up to now will come."""
        for item in self._evidence.objects():
            self._judge(item.number, doubted(Doubt.FAILED))

    def end(self) -> None:
        """Let no item begin any more, and decide what is open. Any thread."""
        self._book.end(Doubt.FAILED, now_ns=self._clock.monotonic_ns())

    def due_ns(self, info: FrameInfo) -> int | None:
        """Return when the item that a frame shows is decided at the latest. Any thread.

        Returns:
            Monotonic; 0: it waits for nothing any more, or there is none; None: it has all the time it needs.
        """
        number = self._evidence.number_of(info)
        return 0 if number is None else self._book.due_ns(number)

    def take_decided(self, now_ns: int) -> list[Decision]:
        """Take the decisions that are due, in the order of their items. Decide thread."""
        decisions = self._book.take_decided(now_ns)
        if decisions:
            self._evidence.handed_out(decision.number for decision in decisions)
            with self._lock:
                while self._waiting and self._waiting[0][0] <= decisions[-1].number:
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
        self._evidence.expect(FrameEvidence(number=number, info=info))
        return number

    def _awaited(self, info: FrameInfo) -> int | None:
        """Return the item that has waited for this frame; one whose time is over meanwhile is passed over."""
        while True:
            with self._lock:
                if not self._waiting or (self._plan.live and info.captured_ns < self._waiting[0][1]):
                    return None
                number, _ = self._waiting.pop(0)
            if self._book.picture(number, info, now_ns=self._clock.monotonic_ns()):
                self._evidence.expect(FrameEvidence(number=number, info=info))
                return number

    def _judge_frame(self, known: FrameEvidence | None) -> None:
        """Judge the item that a frame shows, if what is known of it is enough."""
        if known is None:
            return
        spec = self._plan.judge
        judgement = judge(spec, known.info, detections=known.detections, classes=known.classes)
        missing = (spec.class_ids and known.detections is None) or spec.labels.keys() - known.classes.keys()
        if not missing or self._is_certain(judgement):
            self._judge(known.number, judgement)

    def _judge_object(self, item: ObjectEvidence, labels: Mapping[str, tuple[str, float]], *, last: bool) -> bool:
        """Judge the item that is an object, if what is known of it is enough; False if it is not."""
        spec = self._plan.judge
        judgement = judge_object(spec, item.info, box=item.box, detections=item.detections, labels=labels)
        enough = last or not spec.labels.keys() - labels.keys() or self._is_certain(judgement)
        if enough:
            self._judge(item.number, judgement)
        return enough

    def _is_certain(self, judgement: Judgement) -> bool:
        """Whether a judgement holds whatever is still to come: a defect is one.

        A recording waits all the same: its reasons are to be the same in each run, whichever model is faster.
        """
        return self._plan.live and judgement.verdict is Verdict.REJECT

    def _judge(self, number: int, judgement: Judgement) -> None:
        self._book.judge(number, judgement, now_ns=self._clock.monotonic_ns())
        self._evidence.forget(number)
