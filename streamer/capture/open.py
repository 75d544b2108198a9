"""Open a source by its address: the only place that chooses an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from .address import SourceKind, is_finite, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import DropCause, Source, SourceSpec

__all__ = ["SourceKind", "check_address", "clip_refusal", "is_finite", "kind_of", "open_source"]

_DECODED_ELSEWHERE = {
    SourceKind.SYNTHETIC: "its pictures are drawn, not decoded",
    SourceKind.GSTREAMER: "its pipeline says what decodes it, such as nvv4l2decoder",
    SourceKind.CSI: "it gives pictures as they are",
}


_UNCODED = {
    SourceKind.SYNTHETIC: "this one's pictures are drawn",
    SourceKind.GSTREAMER: "a pipeline gives pictures",
    SourceKind.CSI: "this one gives pictures",
    SourceKind.V4L2: "a USB camera sends single pictures",
}


def check_address(spec: SourceSpec) -> None:
    """Look at everything in an address that can be judged without opening it.

    Raises:
        ConfigError: the address or one of its options is wrong; the message says what is allowed.
    """
    kind = kind_of(spec.url)
    if spec.decode == "gpu" and kind in _DECODED_ELSEWHERE:
        raise ConfigError(f"`decode: gpu` is not for it: {_DECODED_ELSEWHERE[kind]}; leave `decode` out")
    match kind:
        case SourceKind.SYNTHETIC:
            from .synthetic_options import parse_synthetic  # noqa: PLC0415  only when chosen

            parse_synthetic(spec.url)
        case SourceKind.RTSP | SourceKind.HTTP | SourceKind.V4L2 | SourceKind.FILE:
            from .av_options import openings  # noqa: PLC0415  only when chosen

            openings(spec)


def clip_refusal(url: str) -> str | None:
    """Return why no clips can be made of a source, or None if they can, as far as its address tells.

    A clip is the camera's own compressed stream; where there is none, nothing is encoded in its place.
    """
    kind = kind_of(url)
    return f"a clip is made of the stream that the camera sends, and {_UNCODED[kind]}" if kind in _UNCODED else None


def open_source(
    spec: SourceSpec,
    *,
    stopping: Callable[[], bool],
    dropped: Callable[[DropCause, int], None],
) -> Source:
    """Connect and return an open source; each adapter is imported only when it is chosen.

    Args:
        spec: what to open.
        stopping: asked between packets; once true, `read` raises EndOfStream.
        dropped: told of each loss, with its cause and the number of frames.

    Raises:
        SourceError: it can't be opened now.
        ConfigError: the address is none that we know.
        EndOfStream: `stopping()` became true meanwhile.
    """
    match kind_of(spec.url):
        case SourceKind.SYNTHETIC:
            from .synthetic import open_synthetic  # noqa: PLC0415  only when chosen

            return open_synthetic(spec, stopping=stopping, dropped=dropped)
        case SourceKind.GSTREAMER | SourceKind.CSI:
            from .gst_source import open_gstreamer  # noqa: PLC0415  only when chosen

            return open_gstreamer(spec, stopping=stopping, dropped=dropped)
        case SourceKind.RTSP | SourceKind.HTTP | SourceKind.V4L2 | SourceKind.FILE:
            from .av_source import open_av  # noqa: PLC0415  only when chosen

            return open_av(spec, stopping=stopping, dropped=dropped)
