"""The second stage of one camera: what of a frame the classifier is shown, and what becomes of a look that fails."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.errors import ChannelClosed
from streamer.core.frame import FrameInfo, Picture, PixelFormat
from streamer.core.look import Classified, Look
from streamer.core.results import Classification, ModelRef, Timing, Track
from streamer.events.labels import LabelSpec, LabelVotes
from streamer.pipeline.tandem import Crop, Tandem

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture
    from streamer.core.results import Box

WIDTH, HEIGHT = 320, 240
PARCEL, COLOUR = 0, 1  # the detector's classes
KIND = LabelSpec(name="kind", class_ids=frozenset({PARCEL}), labels=("box", "bag"), agree=2)
HUE = LabelSpec(name="hue", class_ids=frozenset({PARCEL, COLOUR}), labels=("red", "blue"), agree=1)
BOX: Box = (100.0, 100.0, 140.0, 180.0)
MODEL = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")


class Rig:
    """A tandem whose classifiers take what they are offered, unless they are told to refuse."""

    def __init__(self, *specs: LabelSpec, margin: float = 0.0, square: bool = False) -> None:
        self.frames: dict[int, Picture] = {}
        self.looks: deque[Look] = deque()
        self.refusals = 0
        self.full = False
        self.closed = False
        crops = {spec.name: Crop(margin=margin, square=square, offer=self._offer) for spec in specs}
        self.tandem = Tandem(LabelVotes(specs), crops, picture_of=self._picture_of, refused=self._refused)

    def _picture_of(self, info: FrameInfo) -> AnyPicture | None:
        return self.frames.pop(info.seq, None)

    def _refused(self) -> None:
        self.refusals += 1

    def _offer(self, look: Look) -> bool:
        if self.closed:
            raise ChannelClosed
        if not self.full:
            self.looks.append(look)
        return not self.full

    def show(self, seq: int, *tracks: tuple[int, int, Box], gone: bool = False) -> Picture:
        """Show (id, class, box) in a frame of which there are 5 a second; `gone`: its picture is not there any more."""
        info, picture = frame(seq)
        if not gone:
            self.frames[seq] = picture
        at_ns = info.captured_ns
        seen = [
            Track(id=number, class_id=class_id, box=box, score=0.9, first_ns=0, last_ns=at_ns, hits=seq + 2)
            for number, class_id, box in tracks
        ]
        self.tandem.look(info, seen)
        return picture

    def answer(self, class_id: int) -> None:
        """Answer the oldest look."""
        look = self.looks.popleft()
        timing = Timing(captured_ns=look.info.captured_ns, taken_ns=0, inferred_ns=0)
        output = Classification(
            class_ids=np.array([class_id, 1 - class_id], np.int32), scores=np.array([0.9, 0.1], np.float32)
        )
        said = Classified(info=look.info, name=look.name, track=look.track, output=output, timing=timing, model=MODEL)
        self.tandem.classified(said)


def frame(seq: int) -> tuple[FrameInfo, Picture]:
    luma = np.random.default_rng(seq).integers(16, 235, (HEIGHT, WIDTH), dtype=np.uint8)
    chroma = np.full((HEIGHT // 2, WIDTH // 2, 2), 128, np.uint8)
    info = FrameInfo(
        camera="cam", connection=0, seq=seq, captured_ns=seq * 200_000_000, utc_ns=0, width=WIDTH, height=HEIGHT,
        live=True,
    )  # fmt: skip
    return info, Picture(format=PixelFormat.NV12, planes=(luma, chroma), width=WIDTH, height=HEIGHT)


def test_a_look_is_a_copy_of_the_objects_part_and_lets_go_of_the_frame() -> None:
    rig = Rig(KIND)
    whole = rig.show(0, (7, PARCEL, BOX))
    (look,) = rig.looks
    assert (look.track, look.name, look.lane, look.info.seq) == (7, "kind", "cam/kind", 0)
    assert isinstance(look.picture, Picture)
    assert np.array_equal(look.picture.planes[0], whole.planes[0][100:180, 100:140])
    assert look.picture.planes[1].shape == (40, 20, 2)
    assert not any(np.shares_memory(part, plane) for part, plane in zip(look.picture.planes, whole.planes, strict=True))
    assert all(part.base is None for part in look.picture.planes)


@pytest.mark.parametrize(
    ("margin", "square", "expected"),
    [(0.0, True, (80, 80)), (0.25, False, (60, 120)), (0.25, True, (120, 120))],
)
def test_the_part_has_a_margin_and_may_be_a_square(*, margin: float, square: bool, expected: tuple[int, int]) -> None:
    rig = Rig(KIND, margin=margin, square=square)
    rig.show(0, (7, PARCEL, BOX))
    assert (rig.looks[0].picture.width, rig.looks[0].picture.height) == expected


def test_each_classification_looks_at_its_own_classes_and_decides_for_itself() -> None:
    rig = Rig(KIND, HUE)
    rig.show(0, (1, PARCEL, BOX), (2, COLOUR, (0.0, 0.0, 40.0, 40.0)))
    assert sorted((look.name, look.track) for look in rig.looks) == [("hue", 1), ("hue", 2), ("kind", 1)]
    for _ in range(3):
        rig.answer(1)
    assert {name: said for name, (said, _) in rig.tandem.labels_of(1).items()} == {"hue": "blue"}  # `kind` wants two
    assert rig.tandem.labels_of(2)["hue"] == pytest.approx(("blue", 0.9))


def test_nothing_is_asked_while_an_answer_is_on_its_way() -> None:
    rig = Rig(KIND)
    assert not rig.tandem.waiting()
    for seq in range(4):
        rig.show(seq, (7, PARCEL, BOX))
        assert rig.tandem.waiting()
    assert len(rig.looks) == 1
    rig.answer(0)
    assert not rig.tandem.waiting()
    rig.show(4, (7, PARCEL, BOX))
    assert len(rig.looks) == 1


def test_a_look_that_is_refused_is_counted_and_asked_again_a_moment_later() -> None:
    rig = Rig(KIND)
    rig.full = True
    rig.show(0, (7, PARCEL, BOX))
    assert (rig.refusals, rig.tandem.waiting(), list(rig.looks)) == (1, False, [])
    rig.full = False
    rig.show(1, (7, PARCEL, BOX))
    assert (rig.refusals, len(rig.looks)) == (1, 1)


def test_where_the_frame_is_gone_nothing_is_asked_and_the_next_one_is_looked_at() -> None:
    rig = Rig(KIND)
    rig.show(0, (7, PARCEL, BOX), gone=True)
    assert (rig.refusals, rig.tandem.waiting()) == (0, False)
    rig.show(1, (7, PARCEL, BOX))
    assert len(rig.looks) == 1


def test_a_run_that_ends_asks_nothing_and_waits_for_nothing() -> None:
    rig = Rig(KIND)
    rig.closed = True
    rig.show(0, (7, PARCEL, BOX))
    assert not rig.tandem.waiting()


def test_a_camera_that_is_away_is_forgotten_with_what_was_asked() -> None:
    rig = Rig(HUE)
    rig.show(0, (7, PARCEL, BOX))
    rig.answer(0)
    rig.show(1, (8, PARCEL, BOX))
    rig.tandem.reset()
    assert not rig.tandem.waiting()
    assert rig.tandem.labels_of(7) == {}
    rig.answer(0)  # of the connection before
    assert rig.tandem.labels_of(8) == {}


def test_a_box_at_the_edge_or_without_size_is_still_a_picture() -> None:
    rig = Rig(KIND)
    rig.show(0, (1, PARCEL, (-20.0, -20.0, -5.0, -5.0)), (2, PARCEL, (319.5, 239.5, 319.5, 239.5)))
    assert len(rig.looks) == 2
    for look in rig.looks:
        assert look.picture.width >= 2
        assert look.picture.height >= 2
