"""Decoding on an NVIDIA GPU, by FFmpeg's NVDEC: the pictures stay in its memory.

FFmpeg copies each picture out of the decoder's own surfaces (it would not with its flag `unsafe_output`, never set
here). So pictures may be held without starving the decoder, and no surfaces are asked for beyond its own.
"""

from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING, cast

import av
from av.codec.hwaccel import HWAccel

from streamer.core.errors import BackendError, LostReason
from streamer.core.frame import DevicePicture, PixelFormat

from .address import shown
from .av_faults import fault
from .pictures import colors_of, picture_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from streamer.core.frame import Picture

    from .base import SourceSpec

    Current = Callable[[], AbstractContextManager[None]]

_log = logging.getLogger(__name__)

FORMATS = {"nv12": PixelFormat.NV12, "p010le": PixelFormat.P010}  # of what lies in a GPU's memory
# FFmpeg shares the context that is current, which is the one of the whole process. It would retain the primary one by
# itself too, but refuses that once somebody has activated it with flags that are not its own.
_OPTIONS: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
_PROBE = "h264"  # a codec that every NVDEC has
_LIBRARY = "libnvcuvid.so.1"
_said: dict[str, str] = {}  # by camera: where its pictures are decoded, as it was told last


class Nvdec:
    """The decoders of one GPU, for one connection to one camera."""

    def __init__(self, spec: SourceSpec, *, device: int, current: Current) -> None:
        """Store; `open_nvdec` makes sure that it works.

        Args:
            spec: of the camera; `decode: gpu` makes what can't be decoded here a failure.
            device: index of the GPU.
            current: makes the GPU's context current in this thread.
        """
        self.device = device
        self._spec = spec
        self._current = current
        self._why_not: str | None = None  # why no decoder was made here; what its pictures are like says nothing then

    def current(self) -> AbstractContextManager[None]:
        """Make the context current, in which decoders of `accel` are made."""
        return self._current()

    def accel(self) -> HWAccel:
        """Return what PyAV makes decoders with; they decode on the CPU what the GPU can't."""
        return HWAccel(
            "cuda", device=self.device, is_hw_owned=True, allow_software_fallback=True, options=dict(_OPTIONS)
        )

    def codec(self, name: str) -> av.VideoCodecContext:
        """Return a decoder's context, not opened yet; the CPU's where the GPU has no room for one more.

        Raises:
            SourceError: it has none, and `decode: gpu` does not allow that.
        """
        with self.current():
            try:
                return cast("av.VideoCodecContext", av.CodecContext.create(name, "r", self.accel()))
            except av.FFmpegError as exc:
                self._why_not = f"the GPU takes no more decoders ({exc.strerror or exc})"
        self.refuse(self._why_not)
        return cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))

    def say_where(self) -> None:
        """Say that the GPU decodes this camera, unless that is known."""
        _say(self._spec.camera, f"decoded on GPU {self.device}")

    def refuse(self, why: str) -> None:
        """Say that the CPU decodes this camera, and why, unless that is known.

        Raises:
            SourceError: `decode: gpu` does not allow that.
        """
        _refuse(self._spec, self._why_not or why)

    def give_up(self, why: str) -> None:
        """Say that the CPU goes on with this connection, and why.

        Raises:
            SourceError: `decode: gpu` does not allow that.
        """
        if self._spec.decode == "gpu":
            _refuse(self._spec, why)
        _log.warning("%s; the CPU goes on from the next key frame", why, extra={"camera": self._spec.camera})

    def fetched(self, frame: av.VideoFrame) -> Picture:
        """Copy a frame to the CPU whose format is none that we draw on the GPU, such as 4:4:4.

        Raises:
            SourceError: the GPU failed.
        """
        inner = frame.format.name if frame.sw_format is None else frame.sw_format.name
        _say(self._spec.camera, f"decoded on the GPU, and copied to the CPU: {inner} is drawn there")
        try:
            return picture_of(frame)
        except av.FFmpegError as exc:
            failed = exc.strerror or str(exc)
        raise fault(LostReason.CODEC, address=shown(self._spec.url), detail=f"the GPU gives no picture ({failed})")


def open_nvdec(spec: SourceSpec) -> Nvdec | None:
    """Return the GPU's decoders, if they are wanted and there; else the CPU decodes.

    Raises:
        SourceError: they are not there, and `decode: gpu` asks for them.
    """
    if spec.decode == "cpu" or (spec.decode == "auto" and spec.hardware is None):
        return None
    device = spec.hardware or 0
    from streamer.cuda.open import open_gpu  # noqa: PLC0415  only when a GPU is wanted

    failed: str | None
    try:
        nvdec = Nvdec(spec, device=device, current=open_gpu(device).current)
        failed = _probe(nvdec)
    except BackendError as exc:
        failed = str(exc)
    if failed is None:
        return nvdec
    _refuse(spec, failed)
    return None


def _refuse(spec: SourceSpec, why: str) -> None:
    if spec.decode == "gpu":
        detail = f"no GPU decodes it, as `decode: gpu` asks for: {why}"
        raise fault(LostReason.CODEC, address=shown(spec.url), detail=detail)
    _say(spec.camera, f"decoded on the CPU: {why}")


def _probe(nvdec: Nvdec) -> str | None:
    """Make a decoder's device and let go of it; return what is in its way.

    FFmpeg looks for the decoder's own library only with the first picture, and then falls back without a word. Loaded
    here it stays: not every connection loads it and lets it go.
    """
    with nvdec.current():
        try:
            nvdec.accel().create(av.Codec(_PROBE, "r"))
        except NotImplementedError:
            return "this FFmpeg is built without NVDEC"
        except av.FFmpegError as exc:
            return f"FFmpeg can't use it ({exc.strerror or exc})"
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError as exc:
        return f"NVDEC is not here ({exc}); in a container NVIDIA_DRIVER_CAPABILITIES must hold `video`"
    if not hasattr(av.VideoFrame, "sw_format"):
        return f"PyAV {av.__version__} does not tell how a GPU's pictures lie; 18 does, for Python 3.11 and later"
    return None


def _say(camera: str, what: str) -> None:
    """Say it when it changes, and not at each connection."""
    if _said.get(camera) != what:
        _said[camera] = what
        _log.info("%s", what, extra={"camera": camera})


def on_cpu(codec: av.VideoCodecContext) -> av.VideoCodecContext:
    """Return a decoder's context for the same stream that uses the CPU; it begins with the next key frame."""
    twin = cast("av.VideoCodecContext", av.CodecContext.create(codec.name, "r"))
    twin.extradata = codec.extradata
    twin.codec_tag = codec.codec_tag
    twin.width, twin.height = codec.width, codec.height
    return twin


def device_picture(frame: av.VideoFrame, device: int) -> DevicePicture | None:
    """Return what a frame of the GPU holds, without a copy; None: its format is none of ours."""
    inner = frame.sw_format
    if inner is None or inner.name not in FORMATS:
        return None
    matrix, span = colors_of(frame)
    return DevicePicture(
        format=FORMATS[inner.name],
        pointers=tuple(plane.buffer_ptr for plane in frame.planes),
        pitches=tuple(plane.line_size for plane in frame.planes),
        width=frame.width,
        height=frame.height,
        matrix=matrix,
        range=span,
        device=device,
        owner=frame,
    )
