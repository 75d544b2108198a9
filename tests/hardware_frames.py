"""A stand-in for FFmpeg's NVDEC: it decodes on the CPU, and its frames lie in the fake GPU's memory."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.nvdec import Nvdec
from streamer.capture.packets import Coded
from streamer.core.errors import EndOfStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from nvidia import FakeGpu
    from servers.clip import Clip

STEP_NS = 40_000_000  # from one picture of `ClipPackets` to the next
_SAMPLES = {"nv12": np.uint8, "p010le": np.uint16, "yuv444p": np.uint8}
_ALIGNED = 256  # bytes: what a decoder's rows are padded to


class Named:
    """A pixel format, as far as it is asked."""

    is_rgb = has_palette = False

    def __init__(self, name: str) -> None:
        self.name = name


class DevicePlane:
    """Where a plane lies; it has no bytes to look at, as PyAV's planes of such frames have none."""

    def __init__(self, pointer: int, pitch: int) -> None:
        self.buffer_ptr = pointer
        self.line_size = pitch


class HardwareFrame:
    """What PyAV gives with `is_hw_owned`. Its memory is the decoder's, and goes with the frame."""

    def __init__(self, frame: av.VideoFrame, *, sw_format: str, gpu: FakeGpu) -> None:
        self._frame = frame if frame.format.name == sw_format else frame.reformat(format=sw_format)
        self.format, self.sw_format = Named("cuda"), Named(sw_format)
        self.width, self.height = frame.width, frame.height
        self.colorspace, self.color_range = frame.colorspace, frame.color_range
        self.pts, self.dts, self.time_base = frame.pts, frame.dts, frame.time_base
        self.key_frame, self.is_corrupt = frame.key_frame, frame.is_corrupt
        self._gpu = gpu
        self.planes: tuple[DevicePlane, ...] = ()
        paired = len(self._frame.planes) == 2
        planes = [
            rows_of(plane, _SAMPLES[sw_format], pairs=paired and n == 1) for n, plane in enumerate(self._frame.planes)
        ]
        pitches = [-(-plane.nbytes // plane.shape[0] // _ALIGNED) * _ALIGNED for plane in planes]
        self.planes = tuple(
            DevicePlane(gpu.surface(padded(plane, pitch)), pitch) for plane, pitch in zip(planes, pitches, strict=True)
        )

    def reformat(self, **wanted: Any) -> av.VideoFrame:  # noqa: ANN401  as PyAV's
        """Copy it to the CPU, as FFmpeg does for such a frame."""
        return self._frame.reformat(**wanted)

    def __del__(self) -> None:
        default = self._gpu.machine.default
        default.run_until(default.enqueued)  # the decoder's own work on it; that of others makes freeing fail
        for plane in self.planes:
            self._gpu.free_surface(plane.buffer_ptr)


def rows_of(plane: av.video.plane.VideoPlane, dtype: type[np.generic], *, pairs: bool) -> NDArray[Any]:
    """Return the samples of a plane on the CPU, without the padding of its rows; pairs lie side by side."""
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    return rows[:, : plane.width * (2 if pairs else 1)]


def padded(plane: NDArray[Any], pitch: int) -> NDArray[np.uint8]:
    """Return the rows as bytes with something else behind each, `pitch` bytes from row to row."""
    out = np.full((plane.shape[0], pitch), 0xA5, np.uint8)
    out[:, : plane.shape[1] * plane.itemsize] = np.ascontiguousarray(plane).view(np.uint8)
    return out


class NvdecCodec:
    """A decoder's context of PyAV's, made for a GPU."""

    def __init__(
        self,
        gpu: FakeGpu,
        name: str = "h264",
        *,
        sw_format: str | None = "nv12",
        before: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Make one.

        Args:
            gpu: whose memory the frames are in.
            name: of the codec.
            sw_format: of the frames; None: it can't decode the stream, and FFmpeg goes on with the CPU by itself.
            before: called with the number of each packet; it may raise what a decoder raises.
        """
        self._codec = cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))
        self._gpu, self._sw_format, self._before = gpu, sw_format, before
        self.name, self.is_hwaccel = name, True
        self.extradata: bytes | None = None
        self.codec_tag, self.width, self.height = self._codec.codec_tag, 0, 0
        self.thread_count, self.thread_type = 0, ""
        self._packets = -1

    @property
    def context(self) -> av.VideoCodecContext:
        """Itself, for those who take PyAV's."""
        return cast("av.VideoCodecContext", self)

    def decode(self, packet: av.Packet[Any]) -> list[Any]:
        """Decode; frames come with the packet that they are from."""
        self._packets += 1
        self._before(self._packets)
        if not self._codec.is_open:
            self._codec.thread_count, self._codec.thread_type = 1, "NONE"
            if self.extradata is not None:
                self._codec.extradata = self.extradata
        frames = self._codec.decode(packet)
        if self._sw_format is None:
            return list(frames)
        return [HardwareFrame(frame, sw_format=self._sw_format, gpu=self._gpu) for frame in frames]


def spec_of(decode: str = "auto", *, url: str = "rtsp://192.0.2.1/x", hardware: int | None = 0) -> SourceSpec:
    """Return how a camera is opened whose model is on a GPU."""
    return SourceSpec(camera="yard", url=url, delivery=Delivery.EVERY, decode=decode, hardware=hardware)


def nvdec_of(decode: str = "auto") -> Nvdec:
    """Return the decoders of a GPU whose context is current always."""
    return Nvdec(spec_of(decode), device=0, current=nullcontext)


class ClipPackets:
    """A clip as a `PacketReader`: a picture at a time, each at its own."""

    def __init__(self, clip: Clip, codec: av.VideoCodecContext) -> None:
        self.codec = codec
        self._left = packets_of(clip)

    def next(self) -> Coded:
        """Return the next one; raises EndOfStream behind the last."""
        for coded in self._left:
            return coded
        raise EndOfStream

    def close(self) -> None:
        """Nothing is open."""


def packets_of(clip: Clip) -> Iterator[Coded]:
    """Yield a clip's pictures as they come from the network."""
    for n, unit in enumerate(clip.units):
        packet: av.Packet[Any] = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit.nals))
        yield Coded(packet=packet, pts_ns=n * STEP_NS, key=unit.key, arrived_ns=n * STEP_NS, waited=True)
