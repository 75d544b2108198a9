"""The JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json
from typing import Any

from .tree import Settings

JsonSchema = dict[str, Any]

_VARIABLE: JsonSchema = {"type": "string", "pattern": r"\$\{"}  # a value may be `${NAME}`
_EMPTY: JsonSchema = {"type": "null"}  # a key without a value counts as left out


def json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of a configuration file; each key has a description with its default."""
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    for definition in (schema, *definitions.values()):
        _complete(definition, definitions)
    definitions["Of"] = {"anyOf": [{"const": "frame"}, definitions["Of"]]}
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
        value.pop("title", None)
        if "description" not in value:  # pydantic leaves out what the section it points to says already
            value["description"] = definitions[value["$ref"].rpartition("/")[2]]["description"]
        if key in required:
            value["description"] += " Required."
        elif "default" in value and not isinstance(value["default"], dict | list) and value["default"] is not None:
            value["description"] += f" Default: {json.dumps(value['default'])}."
        description = value.pop("description")
        default = {"default": value.pop("default")} if "default" in value else {}
        forms = value.pop("anyOf", None) or [dict(value)]
        forms = [form for form in forms if form != _EMPTY]
        extra = [_VARIABLE] if not _takes_text(forms) else []
        extra += [] if key in required else [_EMPTY]
        section["properties"][key] = {"description": description, **default, "anyOf": [*forms, *extra]}


def _takes_text(forms: list[JsonSchema]) -> bool:
    """Whether any text is fine already, or none is (a section or a list)."""
    kinds = {form.get("type") for form in forms}
    free_text = any(form.get("type") == "string" and not {"pattern", "enum"} & set(form) for form in forms)
    return free_text or kinds <= {"object", "array", None}
