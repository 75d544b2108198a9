from __future__ import annotations

import cv2
import numpy as np
import pytest
from host_picture import on_host

from streamer.capture.base import Delivery, DropCause, Source, SourceSpec
from streamer.capture.scenes.boards import Boards
from streamer.capture.scenes.doorway import Doorway, Weather
from streamer.capture.scenes.shapes import Scene
from streamer.capture.synthetic import open_synthetic
from streamer.core.clock import NS_PER_S, FakeClock
from streamer.core.errors import ConfigError, EndOfStream
from streamer.core.frame import PixelFormat


class _Losses:
    """What the source said it lost."""

    def __init__(self) -> None:
        self.told: list[tuple[DropCause, int]] = []

    def __call__(self, cause: DropCause, count: int) -> None:
        self.told.append((cause, count))


def _open(
    url: str,
    clock: FakeClock,
    *,
    delivery: Delivery = Delivery.NEWEST,
    stopping: bool = False,
    losses: _Losses | None = None,
) -> Source:
    spec = SourceSpec(camera="scene", url=url, delivery=delivery)
    return open_synthetic(spec, stopping=lambda: stopping, dropped=losses or _Losses(), clock=clock)


def _read_all(source: Source) -> list[int]:
    captured_ns: list[int] = []
    with pytest.raises(EndOfStream):
        while True:
            captured_ns.append(source.read().captured_ns)
    return captured_ns


def test_a_wrong_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="no scene 'cars'"):
        _open("synthetic:cars", FakeClock())


def test_a_doorway_has_weather_and_visitors() -> None:
    source = _open("synthetic:doorway?seed=7&size=64x36&fps=10&pace=fast&wind=0.9&rain=0.5&visitors=0", FakeClock())
    scene = Doorway(7, 64, 36, weather=Weather(wind=0.9, rain=0.5), visitors=0.0)
    for number in range(3):
        wanted = cv2.cvtColor(scene.at(number / 10).bgr, cv2.COLOR_BGR2YUV_I420)
        assert np.array_equal(on_host(source.read().picture).planes[0], wanted[:36])


def test_a_conveyor_shows_its_boards_one_after_another() -> None:
    source = _open("synthetic:boards?seed=7&size=128x96&rate=3&defective=1&pace=fast", FakeClock())
    scene = Boards(7, 128, 96, rate=3.0, defective=1.0)
    for number in range(4):
        wanted = cv2.cvtColor(scene.at(number / 3).bgr, cv2.COLOR_BGR2YUV_I420)
        assert np.array_equal(on_host(source.read().picture).planes[0], wanted[:96])


def test_fast_is_like_a_file() -> None:
    clock = FakeClock()
    epoch_ns = clock.monotonic_ns()
    source = _open("synthetic:shapes?size=64x64&fps=20&seconds=1.5&pace=fast", clock)
    assert not source.live
    assert _read_all(source) == [epoch_ns + i * NS_PER_S // 20 for i in range(30)]
    assert clock.monotonic_ns() == epoch_ns  # nobody waited


def test_live_is_paced_by_the_clock() -> None:
    clock = FakeClock()
    epoch_ns = clock.monotonic_ns()
    source = _open("synthetic:shapes?size=64x64&fps=10&seconds=2", clock)
    assert source.live
    captured_ns = _read_all(source)
    assert captured_ns == [epoch_ns + i * NS_PER_S // 10 for i in range(20)]
    assert clock.monotonic_ns() == captured_ns[-1]


def test_no_picture_comes_before_its_time() -> None:
    clock = FakeClock()
    source = _open("synthetic:shapes?size=64x64&fps=3", clock)
    for _ in range(7):
        assert source.read().captured_ns <= clock.monotonic_ns()


def test_a_late_reader_gets_the_newest_and_the_loss_is_counted() -> None:
    clock, losses = FakeClock(), _Losses()
    epoch_ns = clock.monotonic_ns()
    source = _open("synthetic:shapes?size=64x64&fps=10", clock, losses=losses)
    source.read()
    clock.advance(1.05)
    assert source.read().captured_ns == epoch_ns + NS_PER_S
    assert losses.told == [(DropCause.LATE, 9)]


def test_every_frame_is_given_to_a_late_reader_who_asks_for_it() -> None:
    clock, losses = FakeClock(), _Losses()
    epoch_ns = clock.monotonic_ns()
    source = _open("synthetic:shapes?size=64x64&fps=10", clock, delivery=Delivery.EVERY, losses=losses)
    source.read()
    clock.advance(1.05)
    assert source.read().captured_ns == epoch_ns + NS_PER_S // 10
    assert losses.told == []


def test_a_late_reader_still_gets_the_last_frame() -> None:
    clock = FakeClock()
    epoch_ns = clock.monotonic_ns()
    source = _open("synthetic:shapes?size=64x64&fps=10&seconds=1", clock)
    source.read()
    clock.advance(60)
    assert _read_all(source) == [epoch_ns + 9 * NS_PER_S // 10]


def test_stopping_ends_it() -> None:
    source = _open("synthetic:shapes?size=64x64", FakeClock(), stopping=True)
    with pytest.raises(EndOfStream):
        source.read()
    source.close()
    source.close()


def test_stopping_ends_a_wait_for_the_next_picture() -> None:
    clock = FakeClock()
    stop_at_ns = clock.monotonic_ns() + NS_PER_S // 4
    spec = SourceSpec(camera="scene", url="synthetic:shapes?size=64x64&fps=1", delivery=Delivery.NEWEST)
    source = open_synthetic(spec, stopping=lambda: clock.monotonic_ns() >= stop_at_ns, dropped=_Losses(), clock=clock)
    source.read()
    with pytest.raises(EndOfStream):
        source.read()
    assert clock.monotonic_ns() < stop_at_ns + NS_PER_S // 5


@pytest.mark.parametrize(("width", "height"), [(640, 360), (98, 66)])  # 66 / 4 rows: chroma does not end with a row
def test_the_planes_are_the_scene(width: int, height: int) -> None:
    source = _open(f"synthetic:shapes?seed=4&size={width}x{height}&fps=1&pace=fast", FakeClock())
    for _ in range(5):
        picture = on_host(source.read().picture)
    assert picture.format is PixelFormat.I420
    assert [plane.shape for plane in picture.planes] == [
        (height, width),
        (height // 2, width // 2),
        (height // 2, width // 2),
    ]
    packed = np.concatenate([plane.ravel() for plane in picture.planes]).reshape(height * 3 // 2, width)
    back = cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420).astype(np.int16)
    wanted = Scene(4, width, height).at(4.0).bgr.astype(np.int16)
    assert np.abs(back - wanted).mean() < 6  # chroma is halved, and the noise's colour with it


def test_a_scene_that_is_read_like_a_file_begins_at_the_epoch_and_a_live_one_at_its_opening() -> None:
    clock = FakeClock()
    first = {}
    for pace in ("fast", "live"):
        url = f"synthetic:shapes?size=64x64&seconds=1&pace={pace}"
        spec = SourceSpec(camera="scene", url=url, delivery=Delivery.EVERY, epoch_ns=5)
        first[pace] = open_synthetic(spec, stopping=lambda: False, dropped=_Losses(), clock=clock).read().captured_ns
    assert first == {"fast": 5, "live": clock.monotonic_ns()}
