"""What every mapping of the configuration has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A mapping of the file: frozen, no unknown keys, and a key without a value counts as left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:  # noqa: ANN401  pydantic hands over whatever the file held
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data
