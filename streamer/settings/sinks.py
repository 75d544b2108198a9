"""`sinks`: who is told of events besides the broker."""

import shlex
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, SecretStr, WithJsonSchema

from streamer.core.redact import redact

from . import values
from .secret import Password
from .section import Section


def _webhook(value: object) -> SecretStr:
    allowed = "must be http://HOST/PATH or https://HOST/PATH"
    text = values.text_of(value, allowed).strip()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(c.isspace() for c in text):
        values.refuse(allowed)
    return SecretStr(text)


def _command(value: object) -> object:
    """Return what is run: a list as it is; a text is split as a shell would, but no shell is asked."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError:
        values.refuse("holds a quotation mark without its partner; or write it as a list: [PROGRAM, ARGUMENT]")


def _parts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(part, str) for part in value):
        values.refuse("must be a program and its arguments: [PROGRAM, ARGUMENT], or one text")
    if not str(value[0]) or any("\0" in part for part in value):
        values.refuse("must begin with a program")
    return tuple(str(part) for part in value)


def _headers(value: object) -> dict[str, SecretStr]:
    if not isinstance(value, dict):
        values.refuse("must be a mapping of header names to their values")
    for name, text in value.items():
        if not isinstance(text, (str, SecretStr)) or not name or not name.isascii() or ":" in name or " " in name:
            values.refuse("must be a mapping of header names to their values, each a text")
        if isinstance(text, str) and ("\r" in text or "\n" in text):
            values.refuse("must not hold a line break")
    return {name: text if isinstance(text, SecretStr) else SecretStr(text) for name, text in value.items()}


Address = Annotated[
    SecretStr,
    PlainValidator(_webhook),
    PlainSerializer(lambda secret: redact(secret.get_secret_value()), when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^https?://"}),
]
Command = Annotated[
    tuple[str, ...],
    PlainValidator(_parts),
    BeforeValidator(_command),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Headers = Annotated[
    Mapping[str, SecretStr],
    PlainValidator(_headers),
    PlainSerializer(lambda headers: dict.fromkeys(headers, "**"), when_used="json"),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]


class ExtraSink(Section):
    """A webhook or a command that is told of events, with the same guarantee as the broker."""

    name: values.Name = Field(description="Its name in messages and figures.")
    webhook: Address | None = Field(default=None, description="Where each event is sent by POST, as JSON.")
    command: Command | None = Field(
        default=None, description="A program that gets each event on its standard input; no shell is involved."
    )
    secret: Password = Field(default=None, description="Webhook: signs each event (HMAC-SHA256), best as ${NAME}.")
    headers: Headers = Field(default_factory=dict, description="Webhook: headers of each request.")
    timeout_s: values.PositiveSeconds = Field(
        default="10s", validate_default=True, alias="timeout", description="How long one event may take."
    )
    cameras: values.Names | None = Field(default=None, description="Only of these cameras. Left out: of all.")
    events: values.Names | None = Field(default=None, description="Only of the rules of these names. Left out: all.")
    types: tuple[Literal["start", "update", "end"], ...] | None = Field(
        default=None, description="Only these kinds of messages. Left out: start, update and end."
    )
