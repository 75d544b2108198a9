"""Values that are shown nowhere."""

from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, SecretStr, WithJsonSchema

from . import values


def _secret(value: object) -> SecretStr | None:
    text = values.mqtt_text(value)
    return SecretStr(text) if text else None


def _hidden(secret: SecretStr | None) -> str | None:
    return None if secret is None else str(secret)


Password = Annotated[
    SecretStr | None,
    PlainValidator(_secret),
    PlainSerializer(_hidden, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
