"""What a camera says of its video before it sends any (RFC 4566, 6184, 7798). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

_CODECS = {"H264": "h264", "H265": "hevc"}
_PARAMETER_SETS = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
_START = b"\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoMedia:
    """The first video track of a session."""

    codec: str  # h264 | hevc: FFmpeg's names
    payload_type: int
    clock_hz: int
    control: str  # absolute URL for SETUP
    aggregate: str  # absolute URL for PLAY
    parameter_sets: bytes  # Annex B; empty where the camera sends them in band


def video_of(sdp: str, *, base_url: str) -> VideoMedia | None:
    """Return the first video track, or None if it is none that our own client understands.

    Args:
        sdp: the body of the answer to DESCRIBE.
        base_url: Content-Base, or the address asked; without login.
    """
    session, *sections = re.split(r"(?m)^(?=m=)", sdp)
    section = next((s for s in sections if s.startswith("m=video")), None)
    if section is None:
        return None
    first = re.match(r"m=video \d+ RTP/S?AVPF? (\d+)", section)
    mapped = first and re.search(rf"(?mi)^a=rtpmap:{first[1]} ([\w-]+)/(\d+)", section)
    if not first or not mapped or (codec := _CODECS.get(mapped[1].upper())) is None:
        return None
    parameters = _parameters(section, first[1])
    if parameters.get("packetization-mode") == "2":  # interleaved NAL units: nobody sends them
        return None
    aggregate = _absolute(_control(session), base_url)
    return VideoMedia(
        codec=codec,
        payload_type=int(first[1]),
        clock_hz=int(mapped[2]),
        control=_absolute(_control(section), aggregate),
        aggregate=aggregate,
        parameter_sets=_parameter_sets(parameters),
    )


def _parameters(section: str, payload_type: str) -> dict[str, str]:
    said = re.search(rf"(?m)^a=fmtp:{payload_type} (.*)$", section)
    pairs = (item.strip().partition("=") for item in said[1].split(";")) if said else ()
    return {key.lower(): value.strip() for key, _, value in pairs}


def _parameter_sets(parameters: dict[str, str]) -> bytes:
    coded = (item for key in _PARAMETER_SETS for item in parameters.get(key, "").split(",") if item)
    try:
        return b"".join(_START + base64.b64decode(item) for item in coded)
    except binascii.Error:  # they also come in band; what is broken here must not reach the decoder
        return b""


def _control(section: str) -> str:
    said = re.search(r"(?m)^a=control:(.*?)\s*$", section)
    return said[1] if said else "*"


def _absolute(control: str, base_url: str) -> str:
    """Join as cameras expect it: appended, not resolved (the base often ends in a query)."""
    if control in ("*", ""):
        return base_url
    if re.match(r"rtsps?://", control, re.IGNORECASE):
        return control
    return f"{base_url}{control}" if base_url.endswith("/") else f"{base_url}/{control}"
