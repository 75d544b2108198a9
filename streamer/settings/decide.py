"""`cameras.<name>.events[].decide`: a factory's verdict on each item, and what a rejected one sets off."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from . import values
from .section import Section

TRIGGERS = "frame, command, {line: NAME, class: [NAME, ...]} or {gpio: {chip: gpiochip0, line: 17}}"


class Crossing(Section):
    """An item is an object that crosses a line."""

    line: values.Name = Field(description="A name under `lines`.")
    class_names: values.ClassNames = Field(alias="class", description="The classes of the items.")
    direction: Literal["in", "out"] | None = Field(default=None, description="Only crossings in this direction.")


class GpioInput(Section):
    """A light barrier or a button."""

    chip: values.Text = Field(description="The GPIO chip: gpiochip0, or its path.")
    line: values.Count = Field(description="The line's number on the chip.")
    edge: Literal["rising", "falling"] = Field(default="rising", description="Which change begins an item.")
    bias: Literal["as-is", "up", "down", "off"] = Field(
        default="as-is", description="Pull the line up or down; light barriers are mostly open collectors: up."
    )
    debounce_s: values.Seconds = Field(
        default="5ms", validate_default=True, alias="debounce", description="Changes shorter than this do not count."
    )


class GpioOutput(Section):
    """What throws a rejected item out."""

    chip: values.Text = Field(description="The GPIO chip: gpiochip0, or its path.")
    line: values.Count = Field(description="The line's number on the chip.")
    delay_s: values.Seconds = Field(
        default="0s",
        validate_default=True,
        alias="delay",
        description="From the item's trigger, else its capture, to the pulse: the belt's travel.",
    )
    pulse_s: values.PositiveSeconds = Field(
        default="100ms", validate_default=True, alias="pulse", description="How long the line is active."
    )
    active: Literal["high", "low"] = Field(default="high", description="The line's level while it is active.")


class Trigger(Section):
    """What begins an item."""

    kind: Literal["frame", "command", "line", "gpio"] = Field(description="frame, command, line or gpio.")
    crossing: Crossing | None = Field(default=None, description="The line that items cross.")
    gpio: GpioInput | None = Field(default=None, description="The input that tells of an item.")


def _trigger(value: object) -> object:
    if isinstance(value, Trigger):
        return value
    if value in ("frame", "command"):
        return {"kind": value}
    if isinstance(value, dict) and "line" in value:
        return {"kind": "line", "crossing": value}
    if isinstance(value, dict) and list(value) == ["gpio"]:
        return {"kind": "gpio", "gpio": value["gpio"]}
    return values.refuse(f"must be {TRIGGERS}")


class Decide(Section):
    """A factory's verdict on each item."""

    deadline_s: values.PositiveSeconds = Field(
        alias="deadline", description="Time to the verdict, from the trigger, or else from the capture of the frame."
    )
    otherwise: Literal["accept", "reject"] = Field(default="reject", description="The verdict when there is doubt.")
    trigger: Annotated[Trigger, BeforeValidator(_trigger)] = Field(
        default="frame", validate_default=True, description=f"What begins an item: {TRIGGERS}. Left out: each frame."
    )
    picture_after_s: values.Seconds = Field(
        default="0s",
        validate_default=True,
        alias="picture_after",
        description="An item's picture is the first that is captured so long after its trigger: the way from the sensor"
        " to the camera.",
    )
    sure: values.Share = Field(
        default=0.5, description="Least score of a classification that decides; below it there is doubt."
    )
    dark: values.Share = Field(
        default=0.04, description="Mean brightness, 0 to 1, below which a picture decides nothing; 0 = never."
    )
    blurred: values.Share = Field(
        default=0.3, description="Share of its usual sharpness below which a picture decides nothing; 0 = never."
    )
    frozen_s: values.Seconds = Field(
        default="1s",
        validate_default=True,
        alias="frozen",
        description="How long a picture may stay the same to the bit before it decides nothing; 0s = for ever.",
    )
    output: GpioOutput | None = Field(default=None, description="A GPIO line that is pulsed for each rejected item.")
