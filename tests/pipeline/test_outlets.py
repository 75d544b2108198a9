"""Where a camera's frames go, and what of them a classification is shown."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.errors import ChannelClosed
from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.core.look import Look
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.closer_looks import CloserLooks
from streamer.pipeline.frames import FrameQueue, Lane, Lost, SourceEnd
from streamer.pipeline.outlets import DetectorOutlet, DetectorPlan, LooksOutlet, LooksPlan

if TYPE_CHECKING:
    from streamer.motion.gate import Region
    from streamer.pipeline.outlets import Outlet

WIDTH, HEIGHT = 64, 48


def frame(seq: int) -> Frame:
    """One of 20 frames a second, in which each pixel is different."""
    luma = (np.arange(HEIGHT)[:, None] * 3 + np.arange(WIDTH) + seq).astype(np.uint8)
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    info = FrameInfo(
        camera="cam", connection=0, seq=seq, captured_ns=seq * 50_000_000, utc_ns=0, width=WIDTH, height=HEIGHT,
        live=True,
    )  # fmt: skip
    picture = Picture(format=PixelFormat.I420, planes=(luma, chroma, chroma), width=WIDTH, height=HEIGHT)
    return Frame(info=info, picture=picture)


def never(*_: object) -> None:
    raise AssertionError("nothing may be lost here")


class Motion:
    """A gate that has seen nothing move."""

    def __init__(self) -> None:
        self.watched: list[int] = []

    def watch(self, frame: Frame) -> None:
        self.watched.append(frame.info.seq)

    def skips(self, _frame: Frame) -> bool:
        return True

    def regions(self) -> tuple[Region, ...]:
        return ((0.5, 0.5, 0.51, 0.52),)


def detector(queue: FrameQueue[Frame], **changes: Any) -> DetectorOutlet:  # noqa: ANN401  any field
    plan: dict[str, Any] = {"cadence": Cadence(0), "gate": None, "skipped": lambda: None}
    return DetectorOutlet(DetectorPlan(camera="cam", frames=queue, **(plan | changes)))


def looks(queue: FrameQueue[Look], **changes: Any) -> LooksOutlet:  # noqa: ANN401  any field
    plan: dict[str, Any] = {"name": "view", "cadence": Cadence(0), "zone": None}
    return LooksOutlet(LooksPlan(camera="cam", looks=queue, **(plan | changes)))


def frames() -> FrameQueue[Frame]:
    return FrameQueue({"cam": Lane.BUFFER}, never)


def views(lane: Lane = Lane.BUFFER) -> FrameQueue[Look]:
    return FrameQueue({"cam/view": lane}, never)


def chosen(outlet: Outlet, count: int, items: set[int] | None = None) -> list[int]:
    """Return which of so many frames are looked at."""
    return [seq for seq in range(count) if outlet.choose(frame(seq), item=seq in (items or set()))]


def test_each_model_takes_frames_at_its_own_pace() -> None:
    assert chosen(detector(frames(), cadence=Cadence(5)), 20) == [0, 4, 8, 12, 16]
    assert chosen(looks(views(), cadence=Cadence(1)), 45) == [0, 20, 40]


def test_items_are_looked_at_by_what_judges_them_whatever_the_pace() -> None:
    items = {3, 4, 9}
    assert chosen(detector(frames(), cadence=Cadence(2), items=True), 12, items) == [0, 3, 4, 9, 10]
    assert chosen(detector(frames(), cadence=None, items=True), 12, items) == [3, 4, 9]
    assert chosen(looks(views(), cadence=None), 12, items) == [3, 4, 9]


def test_what_judges_no_items_keeps_its_pace_on_a_factory_line() -> None:
    items = set(range(40))
    assert chosen(detector(frames(), cadence=Cadence(2)), 20, items) == [0, 10]
    assert chosen(looks(views(), cadence=Cadence(1)), 40, items) == [0, 20]


def test_an_item_is_looked_at_though_nothing_moves_and_the_gate_sees_every_frame() -> None:
    gate, skipped = Motion(), []
    outlet = detector(
        frames(), cadence=Cadence(5), gate=gate, items=True, skipped=lambda: skipped.append(len(gate.watched) - 1)
    )
    assert chosen(outlet, 10, {3}) == [3]
    assert gate.watched == list(range(10))
    assert skipped == [0, 4, 8]


def test_a_detector_is_shown_what_moves_besides_where_that_is_asked_for() -> None:
    taken = []
    for closer in (None, CloserLooks((16, 16))):
        queue = frames()
        assert detector(queue, gate=Motion(), closer=closer).offer(frame(0))
        taken += queue.take(5, 0)
    whole, zoomed = taken
    assert isinstance(whole, Frame)
    assert isinstance(zoomed, Frame)
    assert whole.zoom == ()
    ((x1, y1, x2, y2),) = zoomed.zoom
    assert (x2 - x1, y2 - y1) == (16, 16)
    assert x1 < 0.5 * WIDTH < 0.51 * WIDTH < x2
    assert y1 < 0.5 * HEIGHT < 0.52 * HEIGHT < y2
    assert zoomed.picture.nbytes == whole.picture.nbytes  # nothing is copied: the queue's bound holds


def test_the_whole_frame_is_shown_as_it_is() -> None:
    queue, given = views(), frame(2)
    assert looks(queue).offer(given)
    (look,) = queue.take(5, 0)
    assert isinstance(look, Look)
    assert (look.info, look.name, look.track, look.lane) == (given.info, "view", None, "cam/view")
    assert look.picture is given.picture


def test_a_zone_is_shown_as_a_copy_of_its_part_alone() -> None:
    queue, given = views(), frame(2)
    zone = ((0.5, 0.25), (0.75, 0.25), (0.75, 0.75), (0.5, 0.5))
    assert looks(queue, zone=zone).offer(given)
    (look,) = queue.take(5, 0)
    assert isinstance(look, Look)
    assert isinstance(look.picture, Picture)
    assert (look.picture.width, look.picture.height) == (16, 24)
    assert isinstance(given.picture, Picture)
    assert np.array_equal(look.picture.planes[0], given.picture.planes[0][12:36, 32:48])
    assert not np.shares_memory(look.picture.planes[0], given.picture.planes[0])  # what waits holds no whole frame
    assert look.picture.planes[1].shape == (12, 8)
    assert (look.info.width, look.info.height) == (WIDTH, HEIGHT)  # the frame's


def test_an_end_and_a_loss_stand_behind_the_last_frame_of_each_lane() -> None:
    found, shown = frames(), views()
    for outlet, queue, lane in ((detector(found), found, "cam"), (looks(shown), shown, "cam/view")):
        assert outlet.offer(frame(0))
        outlet.end(0)
        assert outlet.offer(frame(1))
        outlet.end(None)
        kinds = [type(item) for item in queue.take(5, 0)]
        assert kinds[-1] is Lost
        second, end = queue.take(5, 0)
        assert isinstance(second, (Frame, Look))
        assert second.info.seq == 1
        assert end == SourceEnd(lane)


def test_a_full_lane_of_a_recording_asks_to_try_again_and_a_closed_one_ends_the_capture() -> None:
    lost: list[str] = []
    queue: FrameQueue[Look] = FrameQueue({"cam/view": Lane.WAIT}, lambda _, cause: lost.append(cause))
    outlet = looks(queue)
    assert outlet.offer(frame(0))
    assert outlet.offer(frame(1))
    answers: list[bool | str] = []

    def offer_again() -> None:
        try:
            while not outlet.offer(frame(2)):
                answers.append(False)
        except ChannelClosed:
            answers.append("closed")

    reader = threading.Thread(target=offer_again)
    reader.start()
    queue.close()
    reader.join(5)
    assert not reader.is_alive()
    assert answers[-1] == "closed"
    assert lost.count("stopped") == 3
    with pytest.raises(ChannelClosed):
        outlet.offer(frame(3))
