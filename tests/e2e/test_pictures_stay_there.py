"""From NVDEC's frames to detections over the fakes of pycuda and TensorRT: no picture comes to the CPU on the way."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import av
import pytest
from hardware_frames import STEP_NS, ClipPackets, NvdecCodec, nvdec_of, spec_of
from trt_engines import open_built

from streamer.capture.av_source import LiveSource
from streamer.capture.coded import clip_of_file
from streamer.capture.record import record_scene
from streamer.core.clock import SystemClock
from streamer.core.errors import ChannelClosed
from streamer.core.frame import DevicePicture, Frame, FrameInfo
from streamer.infer.catalogue import open_catalogue
from streamer.infer.heads import open_head
from streamer.infer.model import Model
from streamer.infer.recognise.load import load_spec
from streamer.infer.zoom import joined
from streamer.pipeline import closer_looks
from streamer.pipeline.frames import FrameQueue, Lane
from streamer.pipeline.infer_loop import Inference, InferPlan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nvidia import FakeGpu

    from streamer.capture.coded import Clip
    from streamer.capture.nvdec import Nvdec
    from streamer.core.frame import AnyPicture, Part
    from streamer.core.results import Detections, ModelRef, Timing
    from streamer.infer.spec import ModelSpec

CAMERAS = ("left", "right")
PARTS = ((162, 84, 482, 276), (320, 168, 640, 360))  # of 640x360, at the frame's own resolution
FRAMES = 12


def pictures_of(clip: Clip, codec: av.VideoCodecContext, nvdec: Nvdec | None) -> Iterator[AnyPicture]:
    source = LiveSource(ClipPackets(clip, codec), spec=spec_of(), dropped=lambda *_: None, nvdec=nvdec)
    for _ in range(FRAMES):
        yield source.read().picture
    source.close()


def frame_of(camera: str, number: int, picture: AnyPicture, zoom: tuple[Part, ...]) -> Frame:
    info = FrameInfo(
        camera=camera,
        connection=0,
        seq=number,
        captured_ns=number * STEP_NS,
        utc_ns=number * STEP_NS,
        width=picture.width,
        height=picture.height,
        live=True,
    )
    return Frame(info=info, picture=picture, zoom=zoom)


def inferred(
    model: Model, feeds: dict[str, Iterator[AnyPicture]], *, there: bool, zoom: tuple[Part, ...]
) -> dict[tuple[str, int], Detections]:
    """Run the inference loop over all that the cameras give."""
    lost: list[str] = []
    frames: FrameQueue[Frame] = FrameQueue(dict.fromkeys(feeds, Lane.BUFFER), lost=lambda _, cause: lost.append(cause))
    for camera, pictures in feeds.items():
        for number, picture in enumerate(pictures):
            assert isinstance(picture, DevicePicture) is there
            assert frames.offer(frame_of(camera, number, picture, zoom))
        frames.finish(camera)
    found: dict[tuple[str, int], Detections] = {}

    def told(frame: Frame, output: Detections, _timing: Timing, _model: ModelRef) -> None:
        frames.release(frame.lane)
        found[frame.info.camera, frame.info.seq] = output

    plan = InferPlan(
        open_model=lambda: model,
        frames=frames,
        told=told,
        marked=lambda mark: frames.release(mark.lane),
        count=lambda *_: None,
        counter="inferred",
        measured=lambda _: None,
        max_age_ns=lambda _: None,
        due_ns=lambda _: None,
        within_ns=None,
        swapper=None,
        pictures=closer_looks.pictures_of,
        joined=lambda frame, answers: joined(
            answers[0], list(zip(frame.zoom, answers[1:], strict=True)), frame_hw=(360, 640)
        ),
    )
    with pytest.raises(ChannelClosed):
        Inference(plan, clock=SystemClock(), beat=lambda: None).loop()
    assert not lost
    return found


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    folder = tmp_path_factory.mktemp("scenes")
    for seed, camera in enumerate(CAMERAS, start=5):
        record_scene(folder / f"{camera}.mp4", size=(640, 360), fps=5, seconds=FRAMES / 5, seed=seed)
    return {camera: clip_of_file(folder / f"{camera}.mp4") for camera in CAMERAS}


@pytest.mark.parametrize("zoom", [(), PARTS])
def test_detections_are_those_of_pictures_on_the_cpu(
    fake_gpu: FakeGpu, tmp_path: Path, clips: dict[str, Clip], zoom: tuple[Part, ...]
) -> None:
    spec: ModelSpec = load_spec("shapes", catalogue=open_catalogue({}))

    def model() -> Model:
        return Model(spec, open_built(tmp_path, spec).backend, open_head(spec), floor=0.4, iou=0.5)

    there = {name: pictures_of(clip, NvdecCodec(fake_gpu).context, nvdec_of()) for name, clip in clips.items()}
    on_gpu = inferred(model(), there, there=True, zoom=zoom)
    gc.collect()
    assert not [block for block in fake_gpu.machine.memory.live("device") if block.owner == "decoder"]
    here = {name: pictures_of(clip, software(), None) for name, clip in clips.items()}
    on_cpu = inferred(model(), here, there=False, zoom=zoom)
    assert set(on_gpu) == set(on_cpu) == {(camera, n) for camera in CAMERAS for n in range(FRAMES)}
    for key, detections in on_cpu.items():
        sure = detections[detections.scores > 0.5]
        assert all(any_same(one, on_gpu[key]) for one in sure), (key, sure, on_gpu[key])
    assert sum(len(detections) for detections in on_cpu.values()) >= 10


def software() -> av.VideoCodecContext:
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, av.VideoCodecContext)
    return codec


def any_same(one: Any, others: Detections) -> bool:  # noqa: ANN401  a row of Detections
    return any(
        one.class_id == other.class_id
        and abs(one.score - other.score) < 0.02
        and max(abs(a - b) for a, b in zip(one.box, other.box, strict=True)) < 3
        for other in others
    )
