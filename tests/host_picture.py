"""Pictures that a test looks into."""

from __future__ import annotations

from streamer.core.frame import AnyPicture, Picture


def on_host(picture: AnyPicture) -> Picture:
    """Return a picture that is in the memory of the CPU, as every test without a GPU has them."""
    assert isinstance(picture, Picture)
    return picture
