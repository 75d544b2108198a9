"""A GPU's decoder in use: from the first key frame on, and until it fails. Nothing here has been run on a GPU."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
import pytest
from hardware_frames import STEP_NS, ClipPackets, NvdecCodec, nvdec_of, spec_of
from servers import barcode
from servers.clip import bar_coded_clip, write_recording

from streamer.capture import av_source, decode, nvdec
from streamer.capture.av_source import FileSource, LiveSource
from streamer.capture.base import DropCause, SourceSpec
from streamer.capture.capture_clock import FileClock
from streamer.capture.decode import Decoder
from streamer.capture.nvdec import Nvdec, on_cpu
from streamer.capture.open import open_source
from streamer.core.errors import EndOfStream, SourceError
from streamer.core.frame import DevicePicture
from streamer.pixels.device import downloaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nvidia import FakeGpu
    from servers.clip import Clip


@pytest.fixture(scope="module")
def clip() -> Clip:
    return bar_coded_clip(width=160, height=96, seconds=4.0, gop=25)


def failing_at(*numbers: int, kind: type[av.FFmpegError] = av.error.ExternalError) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number in numbers:
            raise kind(-542398533, "Generic error in an external library")

    return before


def live(clip: Clip, codec: NvdecCodec, drops: Counter[DropCause], decode: str = "auto") -> LiveSource:
    def count(cause: DropCause, frames: int) -> None:
        drops[cause] += frames

    packets = ClipPackets(clip, codec.context)
    return LiveSource(packets, spec=spec_of(decode), dropped=count, nvdec=nvdec_of(decode))


def numbers_of(source: LiveSource | FileSource) -> tuple[list[int | None], list[int | None]]:
    """Return what was read on the GPU and what on the CPU."""
    there: list[int | None] = []
    here: list[int | None] = []
    while True:
        try:
            picture = source.read().picture
        except EndOfStream:
            return there, here
        if isinstance(picture, DevicePicture):
            there.append(barcode.read(downloaded(picture).planes[0]))
        else:
            here.append(barcode.read(picture.planes[0]))


class TestFailures:
    """A decoder that fails in mid-stream."""

    def test_one_failure_costs_the_pictures_up_to_the_next_key_frame(self, fake_gpu: FakeGpu, clip: Clip) -> None:
        drops: Counter[DropCause] = Counter()
        there, here = numbers_of(live(clip, NvdecCodec(fake_gpu, before=failing_at(10)), drops))
        assert there == [*range(10), *range(25, 100)]
        assert not here
        assert drops == {DropCause.CORRUPT: 15}

    def test_after_the_second_the_cpu_goes_on(
        self, fake_gpu: FakeGpu, clip: Clip, caplog: pytest.LogCaptureFixture
    ) -> None:
        drops: Counter[DropCause] = Counter()
        # The second packet that is decoded after the failure at 10 is that of picture 26.
        there, here = numbers_of(live(clip, NvdecCodec(fake_gpu, before=failing_at(10, 12)), drops))
        assert there == [*range(10), 25]
        assert here == list(range(50, 100))
        assert drops == {DropCause.CORRUPT: 15 + 24}
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "the GPU's decoder has failed 2 times" in caplog.text

    def test_a_failure_long_ago_is_forgiven(
        self, fake_gpu: FakeGpu, clip: Clip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decode, "_FORGIVEN", 50)
        drops: Counter[DropCause] = Counter()
        # Packets 11 and on are those of the pictures 25 and on: 61 is the first one after 50 whole pictures.
        there, here = numbers_of(live(clip, NvdecCodec(fake_gpu, before=failing_at(10, 61)), drops))
        assert there == [*range(10), *range(25, 75)]
        assert not here

    def test_broken_data_is_no_fault_of_a_decoder_that_works(self, fake_gpu: FakeGpu, clip: Clip) -> None:
        drops: Counter[DropCause] = Counter()
        before = failing_at(10, 12, 14, 16, kind=av.error.InvalidDataError)
        there, here = numbers_of(live(clip, NvdecCodec(fake_gpu, before=before), drops))
        assert there == [*range(10), 25, 50, 75]
        assert not here

    def test_but_of_one_that_has_never_given_a_picture(self, fake_gpu: FakeGpu, clip: Clip) -> None:
        before = failing_at(*range(100), kind=av.error.InvalidDataError)
        there, here = numbers_of(live(clip, NvdecCodec(fake_gpu, before=before), Counter()))
        assert not there
        assert here == list(range(50, 100))

    def test_where_the_gpu_must_the_camera_is_opened_anew(self, fake_gpu: FakeGpu, clip: Clip) -> None:
        source = live(clip, NvdecCodec(fake_gpu, before=failing_at(0, 1)), Counter(), "gpu")
        with pytest.raises(SourceError, match="has failed 2 times"):
            numbers_of(source)

    def test_a_recording_goes_on_likewise(self, fake_gpu: FakeGpu, clip: Clip) -> None:
        codec = NvdecCodec(fake_gpu, before=failing_at(10, 12))
        drops: Counter[DropCause] = Counter()
        source = FileSource(
            ClipPackets(clip, codec.context),
            Decoder(codec.context, threads=4, nvdec=nvdec_of()),
            clock=FileClock(epoch_ns=0, interval_ns=STEP_NS),
            address="clip.h264",
            stopping=lambda: False,
            dropped=lambda cause, frames: drops.update({cause: frames}),
        )
        assert numbers_of(source) == ([*range(10), 25], list(range(50, 100)))
        assert drops == {DropCause.CORRUPT: 15 + 24}

    def test_the_decoder_of_the_cpu_knows_the_stream(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        write_recording(path, width=160, height=96, frames=30)
        with av.open(str(path)) as container:  # MP4 keeps the parameter sets beside the stream, not in it
            stream = container.streams.video[0]
            twin = on_cpu(stream.codec_context)
            assert twin.extradata == stream.codec_context.extradata
            assert (twin.width, twin.height) == (160, 96)
            frames = [frame for packet in container.demux(stream) for frame in twin.decode(packet)]
        luma = [np.asarray(frame.reformat(format="gray").to_ndarray(), np.uint8) for frame in frames]
        assert [barcode.read(plane) for plane in luma] == list(range(30))


def test_a_camera_is_decoded_on_the_gpu_from_its_first_key_frame_on(
    fake_gpu: FakeGpu, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through `open_source`: what asks for the GPU, and what it asks."""
    asked: list[str] = []

    def made(self: Nvdec, name: str) -> av.VideoCodecContext:
        asked.append(name)
        with self.current():
            assert fake_gpu.machine.stack  # decoders are made with the process's one context current
        return NvdecCodec(fake_gpu, name).context

    def opened(spec: SourceSpec, *, stopping: Callable[[], bool], nvdec: Nvdec | None) -> ClipPackets:
        del spec, stopping
        assert nvdec is not None
        return ClipPackets(clip, nvdec.codec("h264"))

    monkeypatch.setattr(nvdec, "_probe", lambda _: None)
    monkeypatch.setattr(Nvdec, "codec", made)
    monkeypatch.setattr(av_source, "open_rtsp", opened)
    source = open_source(spec_of(), stopping=lambda: False, dropped=lambda *_: None)
    assert isinstance(source, LiveSource)
    there, here = numbers_of(source)
    source.close()
    assert (there, here, asked) == (list(range(100)), [], ["h264"])
