"""What is kept of events besides their messages, and for how long."""

from pydantic import Field

from . import values
from .section import Section


class Clip(Section):
    """How much of the stream is kept around an event."""

    before_s: values.Seconds = Field(
        default="5s", validate_default=True, alias="before", description="From so long before its start."
    )
    after_s: values.Seconds = Field(
        default="5s", validate_default=True, alias="after", description="To so long after its end."
    )
    longest_s: values.PositiveSeconds = Field(
        default="5m", validate_default=True, alias="longest", description="A clip is never longer than this."
    )


class Save(Section):
    """What is kept of an event besides its messages."""

    snapshot: values.Flag = Field(default=True, description="A JPEG of the event's best view.")
    clip: Clip | None = Field(
        default=None, description="A video of the event, as the camera sent it: {} or {before: 5s, after: 5s}."
    )


class Evidence(Section):
    """Bounds of the pictures and clips in `data_dir`."""

    max_age_s: values.PositiveSeconds = Field(
        default="14d", validate_default=True, alias="max_age", description="Older ones are deleted."
    )
    max_size: values.Size = Field(
        default="10GB", validate_default=True, description="Most disk space for all of them; the oldest go first."
    )
    min_free: values.Size = Field(
        default="1GB", validate_default=True, description="With less space free on the disk none are written."
    )
