"""`streamer detect`: objects in single pictures, once."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.core.errors import ConfigError, StreamerError
from streamer.infer.model import open_model
from streamer.infer.recognise import load_spec
from streamer.pixels.convert import picture_of_bgr
from streamer.pixels.draw import draw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from numpy.typing import NDArray

    from streamer.core.results import Detections
    from streamer.infer.model import Model
    from streamer.infer.recognise import SpecOptions
    from streamer.infer.spec import ModelSpec

_log = logging.getLogger(__name__)

NMS_IOU = 0.5  # the contract's
_JPEG = (".jpg", ".jpeg")
_SAVED_AS = (*_JPEG, ".png", ".bmp", ".webp")
_SOME_FAILED = 2


class PictureError(StreamerError):
    """A picture can't be read; the others can."""


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """What was found in one picture."""

    image: str  # as given
    width: int  # px
    height: int  # px
    model: str
    labels: tuple[str, ...]
    detections: Detections

    def as_json(self) -> str:
        """Return the contract's object, on one line."""
        found = [
            {
                "class": self.labels[d.class_id],
                "class_id": d.class_id,
                "score": round(d.score, 4),
                "box": [round(side, 1) for side in d.box],
            }
            for d in self.detections
        ]
        size = {"width": self.width, "height": self.height}
        return json.dumps({"image": self.image, **size, "model": self.model, "detections": found})

    def as_text(self) -> str:
        """Return lines for people."""
        count = len(self.detections)
        name = os.fsencode(self.image).decode(errors="replace")  # a terminal may not know every byte of a name
        lines = [f"{name} ({self.width}x{self.height}): {count or 'no'} object{'s' * (count != 1)}"]
        names = [self.labels[d.class_id] for d in self.detections]
        column = max(map(len, names), default=0)
        for found, what in zip(self.detections, names, strict=True):
            sides = " ".join(f"{side:6.0f}" for side in found.box)
            lines.append(f"  {what:{column}}  {found.score:.2f}  [{sides} ]")
        return "\n".join(lines)


def detect(
    images: Sequence[Path | str],
    *,
    model: str,
    options: SpecOptions,
    score: float,
    backend: str,
    as_json: bool,
    save: Path | None,
    out: TextIO,
) -> int:
    """Detect objects in pictures; one line (JSON) or paragraph (text) for each goes to `out`.

    A picture that can't be read is logged in one sentence, and the others go on.

    Args:
        images: paths.
        model: a catalogue name or a path.
        options: what is known of the model beyond that.
        score: the least that is shown.
        backend: auto | openvino | onnxruntime | ...
        as_json: the contract's objects instead of text.
        save: folder for pictures with boxes drawn; made if need be.
        out: where results go.

    Returns:
        The exit code: 0, or 2 when a picture could not be read.

    Raises:
        ConfigError: an argument is wrong.
        BackendError: the model can't be used here.
    """
    targets = _targets(images, save)
    spec = load_spec(model, options=options)
    failed = False
    with contextlib.closing(_open(spec, backend, score)) as opened:
        for image, target in zip(images, targets, strict=True):
            try:
                bgr = load_picture(Path(image))
            except PictureError as exc:
                _log.error("%s", exc)
                failed = True
                continue
            (found,) = opened.collect(opened.submit([picture_of_bgr(bgr)]))
            still = Still(str(image), bgr.shape[1], bgr.shape[0], spec.name, spec.labels, found)
            out.write(f"{still.as_json() if as_json else still.as_text()}\n")
            out.flush()
            if target is not None:
                _save(draw(bgr, found, spec.labels), target)
    return _SOME_FAILED if failed else 0


def _open(spec: ModelSpec, backend: str, score: float) -> Model:
    return open_model(
        spec, backend=backend, precision="f32", latency=True, floor=score, iou=NMS_IOU, on_ready=lambda: None
    )


def load_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture file, turned as its EXIF orientation says.

    Returns:
        (H, W, 3), BGR.

    Raises:
        PictureError: there is none, or it is broken; a picture that was cut off is not completed with grey.
    """
    try:
        if not path.is_file():  # a pipe or a device would never end
            raise PictureError(f"{path}: {'is no file' if path.exists() else 'there is no such file'}")
        raw = path.read_bytes()
    except (OSError, ValueError) as exc:
        raise PictureError(f"{path}: can't be read ({getattr(exc, 'strerror', None) or exc})") from exc
    if _cut_off(raw):
        raise PictureError(f"{path}: is cut off; the end of the picture is missing")
    try:
        bgr = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR) if raw else None
    except cv2.error as exc:
        raise PictureError(f"{path}: can't be decoded ({exc.err})") from exc
    if bgr is None:
        raise PictureError(f"{path}: is no picture that can be decoded")
    return np.asarray(bgr, np.uint8)


def _cut_off(raw: bytes) -> bool:
    """Whether the last scan of a JPEG or the last chunk of a PNG is missing: decoders fill up what is not there."""
    if raw.startswith(b"\xff\xd8"):
        # Inside a scan 0xff never precedes these bytes, so that both are markers wherever they stand.
        return raw.rfind(b"\xff\xd9") < raw.rfind(b"\xff\xda")
    return raw.startswith(b"\x89PNG") and b"IEND" not in raw[-64:]


def _targets(images: Sequence[Path | str], save: Path | None) -> list[Path | None]:
    """Choose a name in `save` for each picture, none twice and none that is a given picture.

    Raises:
        ConfigError: the folder can't be made.
    """
    if save is None:
        return [None] * len(images)
    try:
        save.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"--save: {save} is no folder that can be written to ({exc.strerror})") from exc
    taken = {Path(image).absolute() for image in images}
    targets: list[Path | None] = []
    for image in map(Path, images):
        suffix = image.suffix if image.suffix.lower() in _SAVED_AS else f"{image.suffix}.jpg"
        target, number = save / f"{image.stem}{suffix}", 1
        while target.absolute() in taken:
            number += 1
            target = save / f"{image.stem}-{number}{suffix}"
        taken.add(target.absolute())
        targets.append(target)
    return targets


def _save(bgr: NDArray[np.uint8], target: Path) -> None:
    # Colour at full resolution: at half, as usual, thin coloured lines and small letters are smeared.
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    is_jpeg = target.suffix.lower() in _JPEG
    done, encoded = cv2.imencode(target.suffix.lower(), bgr, options if is_jpeg else [])
    if not done:
        height, width = bgr.shape[:2]
        raise ConfigError(f"--save: {target} can't be written: {width}x{height} px are too many for {target.suffix}")
    try:
        target.write_bytes(encoded.tobytes())
    except OSError as exc:
        raise ConfigError(f"--save: {target} can't be written ({exc.strerror})") from exc
