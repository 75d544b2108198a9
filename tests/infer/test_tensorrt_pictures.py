"""Pictures that stay on the GPU: drawn there, in one launch with those that the CPU drew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from trt_engines import input_of, open_built, spec_of
from trt_networks import SIDE, write_rows

from streamer.core.errors import BackendError
from streamer.core.frame import ColorMatrix, ColorRange, DevicePicture, Picture, PixelFormat
from streamer.infer.canvas import open_canvases

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu
    from trt_engines import Opened

FRAME = (90, 122)  # height, width: odd halves
PITCH = 256  # bytes: rows are padded
LEVELS = 3 / 255  # the CPU rounds each plane first: at most so far apart (tests/cuda)


class Surface:
    """A decoder's surface: its memory goes when nobody holds it."""

    def __init__(self, gpu: FakeGpu, pointer: int) -> None:
        self._gpu = gpu
        self._pointer = pointer

    def __del__(self) -> None:
        self._gpu.free_surface(self._pointer)


def host_picture(seed: int) -> Picture:
    """NV12 with smooth contents, so that rounding decides little."""
    rng = np.random.default_rng(seed)
    h, w = FRAME
    rows, columns = np.mgrid[0:h, 0:w]
    luma = 120 + 60 * np.sin(rows / rng.uniform(9, 20)) + 50 * np.cos(columns / rng.uniform(9, 20))
    half_h, half_w = (h + 1) // 2, (w + 1) // 2
    chroma = np.stack([128 + 40 * np.sin(np.mgrid[0:half_h, 0:half_w][i] / 15 + seed) for i in (0, 1)], axis=2)
    planes = (np.rint(luma).astype(np.uint8), np.rint(chroma).astype(np.uint8))
    return Picture(format=PixelFormat.NV12, planes=planes, width=w, height=h, matrix=ColorMatrix.BT709)


def on_gpu(gpu: FakeGpu, picture: Picture) -> DevicePicture:
    """The same picture as NVDEC would leave it: padded rows, and there only once the default stream has come by."""
    h, half_h = picture.height, (picture.height + 1) // 2
    memory = np.full((h + half_h, PITCH), 7, np.uint8)
    memory[:h, : picture.width] = picture.planes[0]
    memory[h:, : picture.planes[1].shape[1] * 2] = picture.planes[1].reshape(half_h, -1)
    pointer = gpu.surface(memory)
    return DevicePicture(
        format=PixelFormat.NV12,
        pointers=(pointer, pointer + h * PITCH),
        pitches=(PITCH, PITCH),
        width=picture.width,
        height=h,
        matrix=picture.matrix,
        range=ColorRange.LIMITED,
        device=0,
        owner=Surface(gpu, pointer),
    )


@pytest.fixture
def opened(fake_gpu: FakeGpu, tmp_path: Path) -> Opened:
    del fake_gpu
    path = write_rows(tmp_path / "rows.onnx", anchors=12800, anchor_major=False, power=1.0)
    return open_built(tmp_path, spec_of(path, input_of((SIDE, SIDE), 4), ("out",)))


def test_pictures_from_both_sides_are_answered_as_if_the_cpu_had_drawn_all(fake_gpu: FakeGpu, opened: Opened) -> None:
    canvases = open_canvases(opened.spec.input)
    for kinds in ("gg", "hg", "g", "ghgh", "hh", "gg"):
        hosts = [host_picture(10 * len(kinds) + i) for i in range(len(kinds))]
        drawn, placements = canvases.fill(hosts)
        expected = opened.backend.collect(opened.backend.submit(drawn))[0].copy()
        pictures = [on_gpu(fake_gpu, p) if kind == "g" else p for p, kind in zip(hosts, kinds, strict=True)]
        rows = drawn.copy()
        rows[[i for i, kind in enumerate(kinds) if kind == "g"]] = 255  # they say nothing
        launched = fake_gpu.machine.launches.count("draw")
        (found,) = opened.backend.collect(opened.backend.submit_pictures(pictures, placements, rows))
        factors = np.array([SIDE, SIDE, 40, 40, 1, 1])[None, :, None]
        np.testing.assert_allclose(found / factors, expected / factors, atol=LEVELS + 1e-4)
        assert fake_gpu.machine.launches.count("draw") == launched + 1
        host_only = [i for i, kind in enumerate(kinds) if kind == "h"]
        np.testing.assert_array_equal(found[host_only], expected[host_only])
        del pictures
    opened.backend.close()


def test_a_surface_goes_back_to_its_decoder_once_its_batch_is_answered(fake_gpu: FakeGpu, opened: Opened) -> None:
    def live() -> int:
        return sum(1 for b in fake_gpu.machine.memory.live("device") if b.owner == "decoder")

    drawn, placements = open_canvases(opened.spec.input).fill([host_picture(1)])
    fake_gpu.machine.hang()
    ticket = opened.backend.submit_pictures([on_gpu(fake_gpu, host_picture(1))], placements, drawn)
    assert live() == 1
    assert not opened.backend.ready(ticket)
    fake_gpu.machine.release()
    opened.backend.collect(ticket)
    assert live() == 0
    opened.backend.close()


def test_a_picture_on_another_gpu_is_refused(opened: Opened) -> None:
    drawn, placements = open_canvases(opened.spec.input).fill([host_picture(1)])
    elsewhere = DevicePicture(
        format=PixelFormat.NV12,
        pointers=(1 << 32, 1 << 33),
        pitches=(PITCH, PITCH),
        width=FRAME[1],
        height=FRAME[0],
        matrix=ColorMatrix.BT709,
        range=ColorRange.LIMITED,
        device=1,
        owner=None,
    )
    ticket = opened.backend.submit_pictures([elsewhere], placements, drawn)
    with pytest.raises(BackendError, match="rows: a picture lies on GPU 1, the engine on GPU 0"):
        opened.backend.collect(ticket)
    opened.backend.close()
