"""Addresses of cameras and of the broker: checked when read, and silent about their passwords ever after."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from pydantic import PlainSerializer, PlainValidator, SecretStr, WithJsonSchema

from streamer.core.redact import redact

from .values import refuse, resolve_path, text_of

if TYPE_CHECKING:
    from pydantic import ValidationInfo

SOURCES = "rtsp://, rtsps://, http://, https://, a file, /dev/video0, usb:0, csi:0, gst:<pipeline> or synthetic:<scene>"
_SCHEMES = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
_MISSPELT = re.compile(r"(rtsps?|https?|mqtts?|usb|csi|gst|synthetic|file)\b|[A-Za-z][A-Za-z0-9+.-]*:/")
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(%25[\w.-]+)?\]|[^\[\]:@/?#\s]+)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a camera's pictures come from. `str` and `repr` hide its secrets; `reveal()` does not."""

    kind: str  # rtsp | http | file | v4l2 | usb | csi | gst | synthetic
    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Return the whole address, with its password; a file's is absolute."""
        return self._text

    @property
    def live(self) -> bool:
        """Whether time passes on its own there, so that a late frame is skipped unless `every` is asked for."""
        return self.kind != "file" and not (self.kind == "synthetic" and "pace=fast" in self._text)

    def __str__(self) -> str:
        return redact(self._text)

    def __repr__(self) -> str:
        return f"Source({self.kind}, {self!s})"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is; `embedded` means one inside this process."""

    host: str
    port: int
    tls: bool
    embedded: bool = False
    username: str | None = None
    password: SecretStr | None = None

    def __str__(self) -> str:
        if self.embedded:
            return "embedded"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}"


def parse_source(value: object, info: ValidationInfo) -> Source:
    """Check a camera's address.

    Raises:
        PydanticCustomError: it is none; the sentence does not repeat it.
    """
    text = text_of(value, f"must be an address: {SOURCES}").strip()
    head, colon, rest = text.partition(":")
    head = head.lower()
    if head in _SCHEMES and rest.startswith("//"):
        _check_url(text)
        return Source(_SCHEMES[head], text)
    if head in {"usb", "csi"} and colon:
        if not re.fullmatch(r"[0-9]{1,3}(\?\S*)?", rest):
            refuse(f"must be {head}: and the camera's number, such as {head}:0")
        return Source(head, f"{head}:{rest}")
    if head in {"gst", "synthetic"} and colon:
        if not rest.strip():
            refuse("needs a pipeline after gst:" if head == "gst" else "needs a scene after synthetic:, such as shapes")
        return Source(head, f"{head}:{rest}")
    if text.startswith("/dev/"):
        return Source("v4l2", text)
    if not text or "\n" in text or "://" in text or (colon and _MISSPELT.match(text)):
        refuse(f"must be an address: {SOURCES}")
    return Source("file", str(resolve_path(text, info)))


def parse_broker(value: object) -> BrokerAddress:
    """Check the broker's address.

    Raises:
        PydanticCustomError: it is none; the sentence does not repeat it.
    """
    text = text_of(value, "must be mqtt://HOST, mqtts://HOST or embedded").strip()
    if text == "embedded":
        return BrokerAddress("127.0.0.1", 0, tls=False, embedded=True)
    scheme, _, rest = text.partition("://")
    if scheme not in {"mqtt", "mqtts"} or not rest:
        refuse("must be mqtt://HOST, mqtt://HOST:PORT, mqtts://HOST (TLS) or embedded")
    user, host, port = _check_url(text.removesuffix("/"))
    if "/" in rest.removesuffix("/") or "?" in rest or "#" in rest:
        refuse("must end after the host and port: mqtt://HOST:PORT")
    name, colon, password = user.partition(":")
    return BrokerAddress(
        host.strip("[]"),
        port or (8883 if scheme == "mqtts" else 1883),
        tls=scheme == "mqtts",
        username=unquote(name) or None,
        password=SecretStr(unquote(password)) if colon and password else None,
    )


def _check_url(text: str) -> tuple[str, str, int | None]:
    """Return the user part, the host and the port of a URL, or refuse it without repeating any of it."""
    if re.search(r"\s", text):
        refuse("holds a space; write it as %20")
    authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    user, _, host_port = authority.rpartition("@")
    if re.search(r"%(?![0-9A-Fa-f]{2})", user):
        refuse("has a % in its user or password that encodes nothing; write %25, or give the password as ${NAME}")
    match = _HOST_PORT.fullmatch(host_port)
    if match is None or not 1 <= int(match["port"] or 1) <= 65535:
        refuse(
            "needs a host, and a port from 1 to 65535 if any: SCHEME://USER:PASSWORD@HOST:PORT/PATH;"
            " if the password holds / ? # or @, give it as ${NAME}"
        )
    return user, match["host"], int(match["port"]) if match["port"] else None


SourceField = Annotated[
    Source, PlainValidator(parse_source), PlainSerializer(str), WithJsonSchema({"type": "string", "minLength": 1})
]
BrokerField = Annotated[
    BrokerAddress,
    PlainValidator(parse_broker),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
