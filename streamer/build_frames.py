"""Real frames for `streamer models build`: from a folder of pictures or a clip, drawn as the model sees them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.core.errors import ConfigError, EndOfStream, SourceError
from streamer.core.frame import Picture
from streamer.infer.engine.frames import MOST, spread_canvases
from streamer.pixels.convert import picture_of_bgr
from streamer.stills import PictureError, load_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from streamer.capture.base import DropCause
    from streamer.infer.spec import InputSpec

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def frames_of(path: Path, spec: InputSpec, *, most: int = MOST) -> NDArray[np.uint8]:
    """Return frames spread over a folder of pictures or a clip.

    Args:
        path: of the folder or the clip.
        spec: of the model's input.
        most: how many at most.

    Returns:
        (N, H, W, 3) canvases, N > 0.

    Raises:
        ConfigError: there is no such thing, or no picture in it; or one of them is broken.
    """
    pictures = _of_folder(path) if path.is_dir() else _of_clip(path)
    canvases = spread_canvases(pictures, spec, most=most)
    if not len(canvases):
        raise ConfigError(
            f"--frames: {path} holds no pictures; it is a folder of them ({', '.join(_PICTURES)}) or a clip"
        )
    return canvases


def _of_folder(folder: Path) -> Iterator[Picture]:
    """Read the pictures of a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _PICTURES:
            try:
                yield picture_of_bgr(load_picture(path))
            except PictureError as exc:
                raise ConfigError(f"--frames: {exc}") from exc


def _of_clip(path: Path) -> Iterator[Picture]:
    """Read a clip to its end, every frame."""
    if not path.is_file():
        raise ConfigError(f"--frames: {path}: there is no such folder or clip")
    spec = SourceSpec(camera="frames", url=str(path.absolute()), delivery=Delivery.EVERY)

    def dropped(_cause: DropCause, _frames: int) -> None:
        """Take no notice: what can't be decoded is not calibrated on."""

    try:
        with closing(open_source(spec, stopping=lambda: False, dropped=dropped)) as source:
            while True:
                picture = source.read().picture
                if isinstance(picture, Picture):  # it was opened to decode on the CPU, so it is
                    yield picture
    except EndOfStream:
        return
    except SourceError as exc:
        raise ConfigError(f"--frames: {path}: {exc}") from exc
