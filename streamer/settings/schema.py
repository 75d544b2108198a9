"""The JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json
from typing import Any

from .tree import Settings

JsonSchema = dict[str, Any]

_NOT_A_FORM = ("title", "description", "default")
_VARIABLE: JsonSchema = {"type": "string", "pattern": r"\$\{"}  # a value may be `${NAME}`
_BY_GPIO: JsonSchema = {
    "type": "object",
    "properties": {"gpio": {"description": "The input that tells of an item. Required.", "$ref": "#/$defs/GpioInput"}},
    "required": ["gpio"],
    "additionalProperties": False,
}
_EMPTY: JsonSchema = {"type": "null"}  # a key without a value counts as left out


def json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of a configuration file; each key has a description with its default."""
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    for definition in (schema, *definitions.values()):
        _complete(definition, definitions)
    definitions["Of"] = {"anyOf": [{"const": "frame"}, definitions["Of"]]}
    definitions["Feed"] = {"anyOf": [{"type": "boolean"}, _VARIABLE, definitions["Feed"]]}
    definitions["Trigger"] = {"anyOf": [{"enum": ["frame", "command"]}, {"$ref": "#/$defs/Crossing"}, _BY_GPIO]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Streamer's configuration",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": definitions,
    }


def _complete(section: JsonSchema, definitions: JsonSchema) -> None:
    """Add to each key of a section its default in words, and the values that every key may have."""
    required = section.get("required", [])
    for key, value in section.get("properties", {}).items():
        # pydantic leaves out what the section that a key points to says already
        words = value.get("description") or definitions[value["$ref"].rpartition("/")[2]]["description"]
        default = value.get("default")
        plain = default is not None and not isinstance(default, (dict, list))
        words += " Required." if key in required else f" Default: {json.dumps(default)}." if plain else ""
        forms = value.get("anyOf") or [{k: v for k, v in value.items() if k not in _NOT_A_FORM}]
        forms = [_closed(form) for form in forms if form != _EMPTY]
        forms += [] if _takes_text(forms) else [_VARIABLE]
        forms += [] if key in required else [_EMPTY]
        section["properties"][key] = {
            "description": words,
            **({"default": default} if plain else {}),
            **(forms[0] if len(forms) == 1 else {"anyOf": forms}),
        }


def _closed(form: JsonSchema) -> JsonSchema:
    """Refuse names that do not fit the pattern of names."""
    return {**form, "additionalProperties": False} if "patternProperties" in form else form


def _takes_text(forms: list[JsonSchema]) -> bool:
    """Whether any text is fine already, or none is (a section or a list)."""
    kinds = {form.get("type") for form in forms}
    free_text = any(form.get("type") == "string" and not {"pattern", "enum"} & set(form) for form in forms)
    return free_text or kinds <= {"object", "array", None}
