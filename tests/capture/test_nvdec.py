"""Decoding on a GPU: where it is not there, where it is, and where it gives up. Nothing here has been run on a GPU."""

from __future__ import annotations

import gc
import logging
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import av.error
import pytest
from hardware_frames import HardwareFrame, NvdecCodec, nvdec_of, packets_of, spec_of
from host_picture import on_host
from servers import barcode
from servers.clip import bar_coded_clip, write_recording

from streamer.capture import nvdec
from streamer.capture.decode import Decoder
from streamer.capture.nvdec import Nvdec, open_nvdec
from streamer.capture.open import check_address, open_source
from streamer.core.errors import BackendError, ConfigError, EndOfStream, LostReason, SourceError
from streamer.core.frame import ColorMatrix, ColorRange, DevicePicture, PixelFormat
from streamer.cuda import open as cuda_open
from streamer.pixels.device import downloaded

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu
    from servers.clip import Clip

    from streamer.capture.base import SourceSpec


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    nvdec._said.clear()


@pytest.fixture(scope="module")
def clip() -> Clip:
    return bar_coded_clip(width=160, height=96, seconds=4.0, gop=25)


def no_gpu(_: int = 0) -> None:
    raise BackendError("no NVIDIA driver is installed")


def read_all(spec: SourceSpec) -> list[int | None]:
    source = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
    numbers = []
    try:
        while True:
            numbers.append(barcode.read(on_host(source.read().picture).planes[0]))
    except EndOfStream:
        return numbers
    finally:
        source.close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_recording(path, width=160, height=96, frames=30)
    return path


class Telling:
    """A frame of a PyAV that tells how its planes lie."""

    sw_format = None


class TestNoGpu:
    """What happens where there is none: nothing is lost, and it is said once."""

    def test_the_cpu_decodes_and_says_why_once(
        self, recording: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(cuda_open, "open_gpu", no_gpu)
        caplog.set_level(logging.INFO)
        for _ in range(2):
            assert read_all(spec_of(url=str(recording))) == list(range(30))
        said = [record.getMessage() for record in caplog.records if "decoded on the CPU" in record.getMessage()]
        assert said == ["decoded on the CPU: no NVIDIA driver is installed"]

    def test_decode_gpu_is_offline_and_says_why(self, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cuda_open, "open_gpu", no_gpu)
        with pytest.raises(SourceError, match="as `decode: gpu` asks for: no NVIDIA driver is installed") as caught:
            read_all(spec_of("gpu", url=str(recording)))
        assert caught.value.reason is LostReason.CODEC

    @pytest.mark.parametrize("spec", [spec_of("cpu"), spec_of("auto", hardware=None)], ids=["cpu", "no model there"])
    def test_no_gpu_is_asked_for_where_none_is_wanted(self, spec: SourceSpec, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(cuda_open, "open_gpu")
        assert open_nvdec(spec) is None

    def test_a_driver_that_ffmpeg_cant_use_is_told(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Refusing:
            def create(self, _: object) -> None:
                raise av.error.ExternalError(-542398533, "Generic error in an external library")

        monkeypatch.setattr(cuda_open, "open_gpu", lambda _: nvdec_of())
        monkeypatch.setattr(Nvdec, "accel", lambda _: Refusing())
        caplog.set_level(logging.INFO)
        assert open_nvdec(spec_of()) is None
        assert "FFmpeg can't use it (Generic error in an external library)" in caplog.text

    @pytest.mark.parametrize(
        ("library", "frame", "said"),
        [
            ("libnvcuvid-is-not-here.so.1", Telling, r"NVDEC is not here .*NVIDIA_DRIVER_CAPABILITIES"),
            ("libc.so.6", object, r"PyAV \d+\.\d+\.\d+ does not tell how a GPU's pictures lie; 18 does"),
        ],
        ids=["a container without the driver's decoder", "PyAV 17, the last for Python 3.10"],
    )
    def test_what_is_found_out_only_with_the_first_picture_is_looked_for_before(
        self,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        library: str,
        frame: type[object],
        said: str,
    ) -> None:
        """FFmpeg makes its device wherever there is libcuda."""

        class Content:
            def create(self, _: object) -> None:
                """Make a device."""

        monkeypatch.setattr(cuda_open, "open_gpu", lambda _: nvdec_of())
        monkeypatch.setattr(Nvdec, "accel", lambda _: Content())
        monkeypatch.setattr(nvdec, "_LIBRARY", library)
        monkeypatch.setattr(av, "VideoFrame", frame)
        caplog.set_level(logging.INFO)
        assert open_nvdec(spec_of()) is None
        assert re.search(f"decoded on the CPU: {said}", caplog.text)

    def test_where_a_camera_is_decoded_is_told_when_it_changes(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        for _ in range(2):
            nvdec_of().say_where()
        for _ in range(2):
            nvdec_of().refuse("the GPU is full")
        nvdec_of().say_where()
        assert caplog.messages == ["decoded on GPU 0", "decoded on the CPU: the GPU is full", "decoded on GPU 0"]

    @pytest.mark.skipif(cuda_open.has_gpu(), reason="there is a GPU, and FFmpeg can use it")
    def test_the_real_ffmpeg_says_so_where_there_is_no_driver(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        assert "FFmpeg can't use it" in str(nvdec._probe(nvdec_of()))
        assert not nvdec_of().codec("h264").is_hwaccel
        assert "the GPU takes no more decoders" in caplog.text

    def test_the_real_ffmpeg_has_nvdec_for_what_cameras_send(self) -> None:
        for name in ("h264", "hevc", "mjpeg"):
            devices = {config.device_type.name for config in av.Codec(name, "r").hardware_configs}
            assert "cuda" in devices, name

    def test_a_recording_that_no_gpu_decodes_is_read_as_ever(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """By the real FFmpeg, which is asked for the GPU and finds that it has no such decoder."""
        path = tmp_path / "clip.mkv"
        write_recording(path, width=160, height=96, frames=10, codec="ffv1")
        monkeypatch.setattr(cuda_open, "open_gpu", lambda _: nvdec_of())
        monkeypatch.setattr(nvdec, "_probe", lambda _: None)
        caplog.set_level(logging.INFO)
        assert read_all(spec_of(url=str(path))) == list(range(10))
        assert caplog.text.count("decoded on the CPU: the GPU decodes no ffv1 like this one (yuv420p)") == 1
        with pytest.raises(SourceError, match="no GPU decodes it, as `decode: gpu` asks for: the GPU decodes no ffv1"):
            read_all(spec_of("gpu", url=str(path)))

    def test_the_current_context_is_asked_for(self) -> None:
        accel = nvdec_of().accel()
        assert accel.is_hw_owned
        assert (accel.options["current_ctx"], accel.options["primary_ctx"]) == ("1", "0")

    def test_one_decoder_too_many_is_left_for_the_cpu(
        self, clip: Clip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        create = av.CodecContext.create

        def full(name: str, mode: str, hwaccel: object = None) -> object:
            assert mode == "r"
            if hwaccel is not None:
                raise av.error.MemoryError(-12, "Cannot allocate memory")
            return create(name, "r")

        monkeypatch.setattr(av, "CodecContext", SimpleNamespace(create=full))
        caplog.set_level(logging.INFO)
        for _ in range(2):  # connections
            ours = nvdec_of()
            assert len(decoded(Decoder(ours.codec("h264"), threads=1, nvdec=ours), clip, 3)) == 3
        assert caplog.messages == ["decoded on the CPU: the GPU takes no more decoders (Cannot allocate memory)"]
        with pytest.raises(SourceError, match="takes no more decoders"):
            nvdec_of("gpu").codec("h264")

    @pytest.mark.parametrize("url", ["synthetic:shapes", "gst:videotestsrc", "csi:0"])
    def test_what_is_not_decoded_here_is_not_decoded_on_a_gpu_either(self, url: str) -> None:
        check_address(spec_of(url=url))
        with pytest.raises(ConfigError, match="`decode: gpu` is not for it"):
            check_address(spec_of("gpu", url=url))


def decoded(decoder: Decoder, clip: Clip, count: int) -> list[Any]:
    pictures = []
    for coded in list(packets_of(clip))[:count]:
        outcome = decoder.decode(coded)
        assert not outcome.corrupt
        pictures += [one.picture for one in outcome.pictures]
    return pictures


class TestFrames:
    """What comes out of the decoder."""

    @pytest.mark.parametrize(
        ("sw_format", "kind"), [("nv12", PixelFormat.NV12), ("p010le", PixelFormat.P010)], ids=["8 bits", "10 bits"]
    )
    def test_a_frame_stays_where_it_is(
        self, fake_gpu: FakeGpu, clip: Clip, caplog: pytest.LogCaptureFixture, sw_format: str, kind: PixelFormat
    ) -> None:
        caplog.set_level(logging.INFO)
        codec = NvdecCodec(fake_gpu, sw_format=sw_format)
        pictures = decoded(Decoder(codec.context, threads=1, nvdec=nvdec_of()), clip, 5)
        assert len(pictures) == 5
        for number, picture in enumerate(pictures):
            assert isinstance(picture, DevicePicture)
            assert (picture.format, picture.width, picture.height, picture.device) == (kind, 160, 96, 0)
            assert (picture.matrix, picture.range) == (ColorMatrix.BT601, ColorRange.LIMITED)
            assert picture.pointers == tuple(plane.buffer_ptr for plane in picture.owner.planes)  # type: ignore[attr-defined]
            assert picture.pitches == tuple(plane.line_size for plane in picture.owner.planes)  # type: ignore[attr-defined]
            assert barcode.read(downloaded(picture).planes[0]) == number
        assert caplog.messages == ["decoded on GPU 0"]

    def test_its_memory_lives_as_long_as_the_picture(self, fake_gpu: FakeGpu, clip: Clip) -> None:
        pictures = decoded(Decoder(NvdecCodec(fake_gpu).context, threads=1, nvdec=nvdec_of()), clip, 3)
        kept = pictures.pop(0)
        pictures.clear()
        gc.collect()
        assert len(fake_gpu.machine.memory.live("device")) == 2  # the planes of the one that is kept
        assert barcode.read(downloaded(kept).planes[0]) == 0

    def test_another_format_is_copied_to_the_cpu(
        self, fake_gpu: FakeGpu, clip: Clip, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        codec = NvdecCodec(fake_gpu, sw_format="yuv444p")
        pictures = decoded(Decoder(codec.context, threads=1, nvdec=nvdec_of("gpu")), clip, 4)
        assert [barcode.read(on_host(picture).planes[0]) for picture in pictures] == [0, 1, 2, 3]
        assert caplog.text.count("decoded on the GPU, and copied to the CPU: yuv444p") == 1

    def test_a_gpu_that_fails_at_that_costs_the_connection(
        self, fake_gpu: FakeGpu, clip: Clip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(*_: object, **__: object) -> None:
            raise av.error.ExternalError(-542398533, "Generic error in an external library")

        monkeypatch.setattr(HardwareFrame, "reformat", lost)
        decoder = Decoder(NvdecCodec(fake_gpu, sw_format="yuv444p").context, threads=1, nvdec=nvdec_of())
        with pytest.raises(SourceError, match="the GPU gives no picture") as caught:
            decoded(decoder, clip, 1)
        assert caught.value.reason is LostReason.CODEC

    def test_what_the_gpu_cant_decode_ffmpeg_decodes_on_the_cpu(
        self, fake_gpu: FakeGpu, clip: Clip, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        codec = NvdecCodec(fake_gpu, sw_format=None)
        pictures = decoded(Decoder(codec.context, threads=1, nvdec=nvdec_of()), clip, 4)
        assert [barcode.read(on_host(picture).planes[0]) for picture in pictures] == [0, 1, 2, 3]
        assert caplog.text.count("the GPU decodes no h264 like this one (yuv420p)") == 1

    def test_but_not_where_the_gpu_must(self, fake_gpu: FakeGpu, clip: Clip) -> None:
        decoder = Decoder(NvdecCodec(fake_gpu, sw_format=None).context, threads=1, nvdec=nvdec_of("gpu"))
        with pytest.raises(SourceError, match="decodes no h264 like this one"):
            decoded(decoder, clip, 1)

    def test_the_gpu_holds_no_pictures_back(self, fake_gpu: FakeGpu) -> None:
        codec = NvdecCodec(fake_gpu)
        Decoder(codec.context, threads=4, nvdec=nvdec_of())
        assert (codec.thread_count, codec.thread_type) == (1, "NONE")
