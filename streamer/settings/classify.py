"""`cameras.<name>.classify`: what pictures, or parts of them, show overall."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from . import values
from .section import Section

_OBJECT_VOTES = 3  # a single view of an object in motion errs too often


class Of(Section):
    """What a classification looks at: the whole frame, a zone, or each tracked object of some classes."""

    zone: values.Name | None = Field(default=None, description="A name under `zones`.")
    class_names: values.ClassNames | None = Field(
        default=None, alias="class", description="Classes of tracked objects."
    )

    @property
    def objects(self) -> bool:
        """Whether it looks at tracked objects."""
        return self.class_names is not None


def _of(value: object) -> object:
    if value == "frame":
        return Of()
    if not isinstance(value, dict) or len(value) != 1:
        values.refuse("must be frame, {zone: NAME} or {class: [NAME, ...]}")
    return value


OfField = Annotated[Of, BeforeValidator(_of)]


class Classify(Section):
    """One image classification."""

    name: values.Name = Field(description="Its name in topics and payloads.")
    model: values.Name = Field(description="A name under `models`.")
    of: OfField = Field(default=Of(), description="frame, {zone: NAME} or {class: [NAME, ...]}.")
    every_s: values.PositiveSeconds | None = Field(
        default=None, alias="every", description="How often, for a frame or a zone; left out: each second."
    )
    fps: values.Rate | None = Field(
        default=None, description="The same as a rate, in place of `every`; 0 = each frame."
    )
    agree: values.Times | None = Field(
        default=None,
        description="How many answers must agree; left out: 1 for a frame or a zone, 3 for an object.",
    )
    last: values.Times | None = Field(
        default=None, description="Of how many last answers `agree` must agree; left out: as many, that is, in a row."
    )
    for_s: values.Seconds = Field(
        default="0s",
        validate_default=True,
        alias="for",
        description="How long a new state must hold before it is told.",
    )
    score: values.Share = Field(default=0.0, description="Least score; an answer below it names no class.")
    margin: values.Share = Field(
        default=0.1, description="Of an object's box: how much of its size is added on each side."
    )
    square: values.Flag = Field(
        default=True, description="Of an object's box: grown to a square, so that its shape is kept."
    )
    again_s: values.PositiveSeconds = Field(
        default="10s",
        validate_default=True,
        alias="again",
        description="How often a decided object is looked at again.",
    )

    @property
    def votes(self) -> int:
        """How many answers must agree, also where the file leaves it open."""
        return self.agree or (_OBJECT_VOTES if self.of.objects else 1)

    @property
    def rate(self) -> float:
        """Looks a second at a frame or a zone, 0 = each frame, also where the file leaves it open."""
        if self.fps is not None:
            return self.fps
        return 1.0 / (self.every_s or 1.0)
