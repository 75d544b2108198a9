"""`cameras.<name>.events[]`: what makes an event."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from streamer.core.quiet import QuietHours, parse_quiet

from . import values
from .decide import Decide
from .section import Section

_ALLOWED = 'must be hours such as "22:00-06:00", "mon-fri 08:00-17:00" or "sat,sun 00:00-24:00"'


def _quiet(value: object) -> QuietHours:
    try:
        return parse_quiet(values.text_of(value, _ALLOWED))
    except ValueError:  # its sentence repeats the text, which may be somebody's secret
        values.refuse(_ALLOWED)


def _listed(value: object) -> object:
    return [value] if isinstance(value, (str, QuietHours)) else value


_HOURS = {"type": "string", "pattern": "[0-9]{1,2}:[0-9]{2} *- *[0-9]{1,2}:[0-9]{2}$"}
Quiet = Annotated[
    tuple[Annotated[QuietHours, PlainValidator(_quiet), PlainSerializer(str), WithJsonSchema(_HOURS)], ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_HOURS, {"type": "array", "items": _HOURS}]}),
]


class Count(Section):
    """How many objects at once make the event."""

    more_than: values.Count = Field(description="The event runs while there are more than so many.")


class Left(Section):
    """An object that stays where it was put after whoever brought it has gone."""

    by: values.ClassNames = Field(description="The classes of those who bring things, such as [person].")


class Rule(Section):
    """What makes an event."""

    name: values.Name = Field(description="Its name in topics and payloads.")
    class_names: values.ClassNames = Field(
        default=(),
        alias="class",
        description="One class, or a list; any of them counts. A verdict on `labels` alone needs none.",
    )
    zone: values.Name | None = Field(default=None, description="Only within this zone.")
    line: values.Name | None = Field(default=None, description="Each crossing of this line is an event.")
    direction: Literal["in", "out"] | None = Field(default=None, description="Only crossings in this direction.")
    count: Count | None = Field(default=None, description="One event, while there are so many at once.")
    left: Left | None = Field(
        default=None, description="Only what stays where it was put after whoever brought it has gone, for `after`."
    )
    removed: values.Flag = Field(default=False, description="Each taking away of something that had been at rest.")
    all_of: values.Names = Field(default=(), alias="all", description="While each of these rules has an open event.")
    any_of: values.Names = Field(default=(), alias="any", description="While one of these rules has an open event.")
    none_of: values.Names = Field(default=(), alias="not", description="While none of these rules has an open event.")
    decide: Decide | None = Field(default=None, description="A verdict on each item, for a factory's line.")
    labels: Mapping[values.Name, values.ClassNames] | None = Field(
        default=None, description="Only objects that a classification of this name has given one of these classes."
    )
    after_s: values.Seconds = Field(
        default="500ms", validate_default=True, alias="after", description="How long it must last before it is told."
    )
    end_after_s: values.PositiveSeconds = Field(
        default="2s", validate_default=True, alias="end_after", description="How long it must be gone to end."
    )
    min_area: values.Share = Field(
        default=0.0, description="Least share of the picture that the object covers, 0 to 1."
    )
    quiet: Quiet = Field(
        default=(),
        description='Hours in which no event starts, by local time: "22:00-06:00", "sat,sun 00:00-24:00"; or a list.',
    )
    cooldown_s: values.Seconds = Field(
        default="0s",
        validate_default=True,
        alias="cooldown",
        description="For so long after an event of this rule no other one starts.",
    )

    @property
    def combines(self) -> tuple[str, ...]:
        """The rules whose events this one is made of, if it is."""
        return (*self.all_of, *self.any_of, *self.none_of)
