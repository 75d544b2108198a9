"""Sources that GStreamer reads: `gst:<pipeline>`, and `csi:N` on a Jetson.

PyGObject is not on PyPI as a wheel: it comes from the distribution, for the distribution's own Python.
"""

from __future__ import annotations

import importlib
import math
import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.core.clock import NS_PER_MS, NS_PER_S
from streamer.core.errors import EndOfStream, LostReason, SourceError
from streamer.core.frame import ColorMatrix, ColorRange, Picture, PixelFormat
from streamer.core.redact import redact

from .base import Delivery, Grab

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import DropCause, SourceSpec

_WANTED = (
    "needs GStreamer and PyGObject for this Python: on Debian and Ubuntu install python3-gi,"
    " gir1.2-gst-plugins-base-1.0, gstreamer1.0-plugins-base and gstreamer1.0-plugins-good,"
    " and make the environment with --system-site-packages"
)
_POLL_NS = 200 * NS_PER_MS  # so often `stopping` is asked while nothing comes
_SINK = "streamer_sink"
_FULL_RANGE = 1  # GstVideoColorRange: 0..255
_MESSAGES = {  # GStreamer's resource errors, and the one for a format nobody understands
    ("gst-resource-error-quark", 3): LostReason.NOT_FOUND,
    ("gst-resource-error-quark", 9): LostReason.ENDED,  # read
    ("gst-resource-error-quark", 15): LostReason.LOGIN,  # not authorised
    ("gst-stream-error-quark", 6): LostReason.CODEC,  # no decoder
    ("gst-stream-error-quark", 7): LostReason.CODEC,  # decoding failed
}


def open_gstreamer(
    spec: SourceSpec, *, stopping: Callable[[], bool], dropped: Callable[[DropCause, int], None]
) -> GstSource:
    """Start a pipeline and return it as a source.

    Raises:
        SourceError: PyGObject is not there, the pipeline can't be parsed, or it does not start.
    """
    del dropped  # appsink drops what is late before we could count it; GStreamer says nothing of it
    gst = _gstreamer()
    description = pipeline_for(spec)
    lost: str | None = None
    pipeline: Any = None
    try:
        pipeline = gst.parse_launch(description)
    except gst.glib_error as exc:
        lost = exc.message
    if lost is not None:
        raise SourceError(LostReason.FAULT, f"gst: the pipeline can't be made: {redact(lost)}")
    source = GstSource(gst, pipeline, spec=spec, stopping=stopping)
    try:
        source.start(spec.open_timeout_s)
    except BaseException:
        source.close()
        raise
    return source


def pipeline_for(spec: SourceSpec) -> str:
    """Return the whole pipeline: what the address says, and our appsink behind it.

    NV12, which hardware decoders give, goes through as it is, and so does I420; the rest is converted to one of them.
    `csi:N` is NVIDIA's camera source, 1280x720 at 30 fps. It has never been run here: it needs a Jetson.
    """
    prefix, _, rest = spec.url.partition(":")
    if prefix == "csi":
        rest = (
            f"nvarguscamerasrc sensor-id={int(rest.partition('?')[0])} ! "
            "video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 ! nvvidconv ! video/x-raw,format=NV12"
        )
    # One buffer, the newest; or a short queue that makes the pipeline wait.
    depth = "max-buffers=1 drop=true" if spec.delivery is Delivery.NEWEST else "max-buffers=8 drop=false"
    return f"{rest} ! videoconvert ! video/x-raw,format={{I420,NV12}} ! appsink name={_SINK} {depth} sync=false"


class _Gst:
    """The parts of PyGObject that are used, imported when they are needed."""

    def __init__(self) -> None:
        gi = importlib.import_module("gi")
        for name in ("Gst", "GstApp", "GstVideo"):
            gi.require_version(name, "1.0")
        self.api: Any = importlib.import_module("gi.repository.Gst")
        self.video: Any = importlib.import_module("gi.repository.GstVideo")
        self.glib_error: Any = importlib.import_module("gi.repository.GLib").Error
        importlib.import_module("gi.repository.GstApp")  # gives appsink its methods
        if not self.api.is_initialized():
            self.api.init(None)

    def parse_launch(self, description: str) -> Any:  # noqa: ANN401  PyGObject has no types
        return self.api.parse_launch(description)


def _gstreamer() -> _Gst:
    missing = ""
    try:
        return _Gst()
    except (ImportError, ValueError) as exc:  # ValueError: the type library is not installed
        missing = str(exc)
    raise SourceError(LostReason.FAULT, f"gst: {_WANTED} ({missing})")


class GstSource:
    """A running pipeline. It reads cameras and files alike, and always counts as live."""

    live = True

    def __init__(self, gst: _Gst, pipeline: Any, *, spec: SourceSpec, stopping: Callable[[], bool]) -> None:  # noqa: ANN401
        self._gst = gst
        self._pipeline = pipeline
        self._sink = pipeline.get_by_name(_SINK)
        self._stopping = stopping
        self._read_timeout_ns = round(spec.read_timeout_s * NS_PER_S)
        self._captured_ns = 0

    def start(self, limit_s: float) -> None:
        """Set the pipeline playing.

        Raises:
            SourceError: it does not play within the limit.
        """
        api = self._gst.api
        self._pipeline.set_state(api.State.PLAYING)
        change, _, _ = self._pipeline.get_state(round(limit_s * NS_PER_S))
        if change == api.StateChangeReturn.FAILURE:
            raise self._fault() or SourceError(LostReason.FAULT, "gst: the pipeline does not start")
        if change == api.StateChangeReturn.ASYNC:
            raise self._fault() or SourceError(LostReason.TIMEOUT, "gst: no picture in time")

    def read(self) -> Grab:
        """Return the next picture; raises SourceError when the pipeline fails, ends or gives nothing."""
        asked_ns = time.monotonic_ns()
        while not self._stopping():
            sample = self._sink.try_pull_sample(_POLL_NS)
            if sample is not None:
                return Grab(picture=self._picture(sample), captured_ns=self._captured(sample))
            if (lost := self._fault()) is not None:
                raise lost
            if self._sink.is_eos():
                raise SourceError(LostReason.ENDED, "gst: the pipeline has ended")
            if time.monotonic_ns() - asked_ns > self._read_timeout_ns:
                raise SourceError(LostReason.FROZEN, "gst: no picture comes any more")
        raise EndOfStream

    def close(self) -> None:
        """Stop the pipeline."""
        if self._pipeline is not None:
            self._pipeline.set_state(self._gst.api.State.NULL)
            self._pipeline = self._sink = None

    def _fault(self) -> SourceError | None:
        """Return the first error on the pipeline's bus."""
        message = self._pipeline.get_bus().pop_filtered(self._gst.api.MessageType.ERROR)
        if message is None:
            return None
        error, _ = message.parse_error()
        reason = _MESSAGES.get((error.domain, error.code), LostReason.FAULT)
        text = re.sub(r"[a-z]+://\S+", "...", error.message)  # no address: it may hold a password
        return SourceError(reason, f"gst: {text}")

    def _captured(self, sample: Any) -> int:  # noqa: ANN401
        """Return the buffer's time: GStreamer's clock is the monotonic one wherever a pipeline is live."""
        now_ns = time.monotonic_ns()
        api = self._gst.api
        buffer, clock = sample.get_buffer(), self._pipeline.get_clock()
        age_ns = 0
        if clock is not None and buffer.pts != api.CLOCK_TIME_NONE:
            running_ns = sample.get_segment().to_running_time(api.Format.TIME, buffer.pts)
            age_ns = clock.get_time() - self._pipeline.get_base_time() - running_ns
        # A pipeline that is not live runs ahead of its clock, or behind it for ever: then the arrival is all there is.
        captured_ns = now_ns - age_ns if 0 <= age_ns < NS_PER_S else now_ns
        self._captured_ns = max(self._captured_ns, captured_ns)
        return self._captured_ns

    def _picture(self, sample: Any) -> Picture:  # noqa: ANN401
        """Copy the sample: GStreamer wants its buffer back."""
        info = self._gst.video.VideoInfo.new_from_caps(sample.get_caps())
        mapped, memory = sample.get_buffer().map(self._gst.api.MapFlags.READ)
        if not mapped:
            raise SourceError(LostReason.FAULT, "gst: a buffer can't be read")
        try:
            data = np.frombuffer(bytes(memory.data), np.uint8)
        finally:
            sample.get_buffer().unmap(memory)
        form, shapes = _laid_out(sample.get_caps().get_structure(0).get_string("format"), info.height, info.width)
        planes = tuple(
            np.lib.stride_tricks.as_strided(
                data[offset:], shape=(shape[0], math.prod(shape[1:])), strides=(stride, 1), writeable=False
            ).reshape(shape)
            for shape, offset, stride in zip(shapes, info.offset, info.stride, strict=False)
        )
        video = self._gst.video
        matrices = {video.VideoColorMatrix.BT709: ColorMatrix.BT709, video.VideoColorMatrix.BT2020: ColorMatrix.BT2020}
        full = int(info.colorimetry.range) == _FULL_RANGE
        return Picture(
            format=form,
            planes=planes,
            width=info.width,
            height=info.height,
            matrix=matrices.get(info.colorimetry.matrix, ColorMatrix.BT601),
            range=ColorRange.FULL if full else ColorRange.LIMITED,
        )


def _laid_out(name: str, h: int, w: int) -> tuple[PixelFormat, tuple[tuple[int, ...], ...]]:
    """Return our name for a format that `pipeline_for` asks for, and the shapes of its planes."""
    half = ((h + 1) // 2, (w + 1) // 2)
    if name == "NV12":
        return PixelFormat.NV12, ((h, w), (*half, 2))
    return PixelFormat.I420, ((h, w), half, half)
