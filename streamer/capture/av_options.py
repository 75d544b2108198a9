"""How FFmpeg is asked to open each kind of source. Pure: nothing is opened here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from streamer.core.errors import ConfigError

from .address import SourceKind, kind_of

if TYPE_CHECKING:
    from .base import SourceSpec

_S = 1_000_000  # FFmpeg's times are in microseconds
_ANY_CERTIFICATE = {"tls_verify": "0"}  # cameras sign their own; FFmpeg 9 refuses that unless told
_NO_BLOCKING = "+4"  # AVFMT_FLAG_NONBLOCK, for which FFmpeg's options have no name
# What may be opened: FFmpeg's own guess makes a moving picture of any text (tty), and follows what a list of other
# files names (concat, hls). These are recordings, bare streams of cameras, pictures, and series of pictures.
_RECORDINGS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpegtsraw,mpeg,flv,live_flv,asf,asf_o,wtv,mxf,gxf,nut,ogg,ivf,dv,rm,nsv,nuv,pva,"
    "pmp,ty,kux,ivr,smjpeg,cine,ser,mlv,r3d,dhav,luodat,lmlm4,ingenient,swf,yuv4mpegpipe,"
    "h261,h263,h264,hevc,vvc,av1,obu,evc,m4v,mpegvideo,vc1,vc1test,mjpeg,mpjpeg,mjpeg_2000,cavsvideo,avs2,avs3,dirac,"
    "dnxhd,gif,apng,jpegxl_anim,image2,image2pipe,jpeg_pipe,png_pipe,bmp_pipe,webp_pipe,tiff_pipe,j2k_pipe,jpegls_pipe,"
    "jpegxl_pipe,pam_pipe,pbm_pipe,pgm_pipe,pgmyuv_pipe,ppm_pipe,qoi_pipe,exr_pipe,dpx_pipe"
)
_STREAMS = f"{_RECORDINGS},hls,aac,ac3,eac3,mp3,webvtt"  # a playlist of a server's own, and what else it holds
_FILE = {"protocol_whitelist": "file", "format_whitelist": _RECORDINGS}
_V4L2_KEYS = {"size": "video_size", "fps": "framerate", "format": "input_format"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Arguments of `av.open`. `file` may hold a password: `repr` does not show it."""

    file: str
    options: dict[str, str]
    format: str | None = None
    timeout_s: tuple[float, float] | None = None  # opening, each read

    def __repr__(self) -> str:
        return f"Opening(format={self.format!r}, options={sorted(self.options)})"


def openings(spec: SourceSpec) -> tuple[Opening, ...]:
    """Return what to try, in order; the next one is tried only when the one before can't work with this source.

    Raises:
        ConfigError: the address or the transport is wrong.
    """
    match kind_of(spec.url):
        case SourceKind.RTSP:
            return tuple(_rtsp(spec, transport) for transport in transports(spec))
        case SourceKind.HTTP:
            return (_http(spec),)
        case SourceKind.V4L2:
            return _v4l2(spec)
        case SourceKind.FILE:
            path = unquote(urlsplit(spec.url).path) if spec.url.startswith("file:") else spec.url
            # The protocol is said, so that a name with a colon in it stays a name.
            return (Opening(file=f"file:{path}", options=dict(_FILE)),)
        case kind:
            raise ConfigError(f"{kind.value}: is not opened by FFmpeg")


def transports(spec: SourceSpec) -> tuple[str, ...]:
    """Return the RTSP transports to try.

    Raises:
        ConfigError: the transport is none of those known.
    """
    match spec.transport:
        case "auto":
            return ("tcp", "udp")
        case "tcp" | "udp":
            return (spec.transport,)
    raise ConfigError(f"transport: may be auto, tcp or udp, not {spec.transport!r}")


def _rtsp(spec: SourceSpec, transport: str) -> Opening:
    options = {
        "rtsp_transport": transport,
        # No probing: the SDP names the codec, the decoder finds the size. Saves up to 2 s, and a backlog as long.
        "probesize": "32",
        "analyzeduration": "0",
        "allowed_media_types": "video",
        # Both limits are needed: this one ends a silent socket, PyAV's own one a peer that only trickles.
        "timeout": str(round((spec.read_timeout_s + 1) * _S)),
    }
    if spec.url.lower().startswith("rtsps:"):
        options |= _ANY_CERTIFICATE
    if transport == "udp":
        options["buffer_size"] = str(2 << 20)  # a key frame comes as one burst
    return Opening(file=spec.url, options=options, timeout_s=(spec.open_timeout_s, spec.read_timeout_s))


def _http(spec: SourceSpec) -> Opening:
    options = {
        "analyzeduration": str(_S // 2),
        "fflags": "nobuffer",
        "format_whitelist": _STREAMS,
        "timeout": str(round((spec.read_timeout_s + 1) * _S)),
    }
    if spec.url.lower().startswith("https:"):
        options |= _ANY_CERTIFICATE
    return Opening(file=spec.url, options=options, timeout_s=(spec.open_timeout_s, spec.read_timeout_s))


def _v4l2(spec: SourceSpec) -> tuple[Opening, ...]:
    """Ask for MJPEG first: most cameras give their full rate only in it; then whatever the driver offers.

    `usb:0?size=1280x720&fps=30&format=yuyv422` fixes what is asked. No read may block: a camera that hangs would hold
    FFmpeg inside an ioctl, which no time limit reaches. While it looks for the first picture FFmpeg then asks without
    a pause, so a camera costs one core up to its first picture, or up to the limit for opening.
    """
    device, _, query = spec.url.partition("?")
    try:
        asked = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:  # a part without "="
        raise ConfigError(f"{device}: options are written as in {device}?size=1280x720&fps=30") from None
    if unknown := sorted(asked.keys() - _V4L2_KEYS.keys()):
        raise ConfigError(f"{device}: unknown option {', '.join(unknown)}; there are {', '.join(_V4L2_KEYS)}")
    if blank := [key for key, value in asked.items() if not value]:
        raise ConfigError(f"{device}: {', '.join(blank)} needs a value, as in {device}?size=1280x720&fps=30")
    fixed = {"fflags": _NO_BLOCKING, **{_V4L2_KEYS[key]: value for key, value in asked.items()}}
    choices = [fixed] if "input_format" in fixed else [{**fixed, "input_format": "mjpeg"}, fixed]
    path = device.replace("usb:", "/dev/video") if device.startswith("usb:") else device
    limits_s = (spec.open_timeout_s, spec.read_timeout_s)
    return tuple(Opening(file=path, format="v4l2", options=options, timeout_s=limits_s) for options in choices)
