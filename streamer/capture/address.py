"""What an address says about its source, without opening it."""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from streamer.core.errors import ConfigError


class SourceKind(str, Enum):
    """The families of sources, one adapter route each."""

    RTSP = "rtsp"  # rtsp:// and rtsps://
    HTTP = "http"  # http:// and https://: MJPEG, or whatever FFmpeg knows
    FILE = "file"
    V4L2 = "v4l2"  # /dev/videoN and usb:N
    CSI = "csi"
    GSTREAMER = "gst"
    SYNTHETIC = "synthetic"


_SCHEMES = {
    "rtsp": SourceKind.RTSP,
    "rtsps": SourceKind.RTSP,
    "http": SourceKind.HTTP,
    "https": SourceKind.HTTP,
    "file": SourceKind.FILE,
}
_PREFIXES = {
    "usb": SourceKind.V4L2,
    "csi": SourceKind.CSI,
    "gst": SourceKind.GSTREAMER,
    "synthetic": SourceKind.SYNTHETIC,
}


def kind_of(url: str) -> SourceKind:
    """Return which family `url` belongs to; whatever has no scheme is a file.

    Raises:
        ConfigError: the scheme is none of ours, or a numbered camera has no number.
    """
    if scheme := re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", url):
        if (kind := _SCHEMES.get(scheme[1].lower())) is None:
            raise ConfigError(f"a source may begin with {', '.join(f'{s}://' for s in _SCHEMES)}, not {scheme[1]}://")
        return kind
    if url.startswith("/dev/"):  # /dev/video0, /dev/v4l/by-id/...
        return SourceKind.V4L2
    prefix, colon, rest = url.partition(":")
    kind = _PREFIXES.get(prefix, SourceKind.FILE) if colon else SourceKind.FILE
    if kind in (SourceKind.V4L2, SourceKind.CSI) and not re.match(r"\d+(\?|$)", rest):
        raise ConfigError(f"{prefix}: needs the camera's number, as in {prefix}:0")
    if kind in (SourceKind.GSTREAMER, SourceKind.SYNTHETIC) and not rest.strip():
        raise ConfigError(f"{prefix}: needs {'a pipeline' if kind is SourceKind.GSTREAMER else 'a scene'} after it")
    return kind


def is_finite(url: str) -> bool:
    """Tell whether the source ends by itself: a file, or a synthetic scene with `seconds=`.

    Raises:
        ConfigError: as `kind_of`.
    """
    kind = kind_of(url)
    if kind is SourceKind.SYNTHETIC:
        return "seconds" in parse_qs(url.partition("?")[2])
    return kind is SourceKind.FILE


def has_host_name(url: str) -> bool:
    """Tell whether the address has a host that is a name, not a number."""
    if kind_of(url) not in (SourceKind.RTSP, SourceKind.HTTP):
        return False
    try:
        ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return True
    return False


def shown(url: str) -> str:
    """Return the part of an address that may stand in a message: no login, path or query, all of which hold secrets."""
    if not re.match(r"(rtsps?|https?)://", url, re.IGNORECASE):
        prefix = url.partition(":")[0]
        return f"{prefix}:..." if prefix in {"gst", "synthetic"} else url.partition("?")[0]
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
