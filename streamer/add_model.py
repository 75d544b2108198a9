"""`streamer models add`: a short look at a model that the catalogue does not know, and a sidecar beside it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import cv2
import yaml

from streamer.core.errors import ConfigError
from streamer.infer.heads.numbering import COCO91
from streamer.infer.labels import load_labels
from streamer.infer.model import open_model
from streamer.infer.recognise import load_spec
from streamer.infer.recognise.trial import trial_picture
from streamer.infer.sidecar import load_sidecar
from streamer.models import described, print_pairs
from streamer.pixels.convert import picture_of_bgr
from streamer.pixels.draw import draw
from streamer.stills import NMS_IOU, PictureError, Still, load_picture

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.results import Detections
    from streamer.infer.recognise import SpecOptions
    from streamer.infer.spec import ModelSpec

_SCORE = 0.25  # the least that is shown, as `detect` does
# Keys of a sidecar that tell of a model's origin, which no look at it can tell.
_ORIGIN = {
    "url", "mirrors", "licence", "source", "grade", "ap", "ap_source", "top1", "top1_source", "measured", "notes",
}  # fmt: skip


def add_model(
    path: Path, *, options: SpecOptions, name: str | None, picture: Path | None, force: bool, out: TextIO
) -> int:
    """Recognise a model, run it on a picture, and write down beside it all that was decided.

    Args:
        path: the `.onnx` file.
        options: what its owner knows.
        name: of the sidecar, without `.yaml`; None: that of the file.
        picture: what it is run on; None: the portrait that ships.
        force: write over a sidecar that is there.
        out: where results go.

    Returns:
        The exit code.

    Raises:
        ConfigError: an argument is wrong, or a sidecar is there.
        BackendError: the model can't be used, or it stays unclear how.
    """
    sidecar = _target(path, name)
    if sidecar.exists() and not force:
        raise ConfigError(f"{sidecar}: is there already; --force writes over it, --name chooses another name")
    shown = trial_picture() if picture is None else _given(picture)
    spec = load_spec(str(path), options=options)
    found = _look(spec, shown)
    print_pairs(described(spec), out)
    height, width = shown.shape[:2]
    of = "the portrait that ships (a person)" if picture is None else str(picture)
    out.write(f"{Still(of, width, height, spec.name, spec.labels, found).as_text()}\n")
    drawn = sidecar.with_name(f"{sidecar.stem}-seen.jpg")
    _, jpeg = cv2.imencode(".jpg", draw(shown, found, spec.labels))
    _write(drawn, jpeg.tobytes())
    _write(sidecar, _sidecar_text(sidecar, spec).encode())
    print_pairs([("drawn", str(drawn)), ("sidecar", str(sidecar))], out)
    if not len(found):
        out.write(
            "Nothing was seen. Try --picture with one that shows what it knows; if it still sees nothing, its colours,"
            f" scale or fit are read wrongly: correct them in {sidecar}\n"
        )
    return 0


def _given(picture: Path) -> NDArray[np.uint8]:
    try:
        return load_picture(picture)
    except PictureError as exc:
        raise ConfigError(f"--picture: {exc}") from exc


def _target(path: Path, name: str | None) -> Path:
    """Return where the sidecar goes."""
    if path.suffix.lower() != ".onnx":
        raise ConfigError(f"{path}: is no .onnx file; a sidecar is written beside one")
    if name is None:
        return path.with_suffix(".yaml")
    if not name or name != name.strip(". ") or "/" in name or not name.isprintable():
        raise ConfigError(f"--name: {name!r} is not allowed; it is a plain name, such as parcels")
    return path.with_name(f"{name}.yaml")


def _look(spec: ModelSpec, bgr: NDArray[np.uint8]) -> Detections:
    model = open_model(
        spec, backend="auto", precision="f32", latency=True, floor=_SCORE, iou=NMS_IOU, on_ready=lambda: None
    )
    with contextlib.closing(model):
        (found,) = model.collect(model.submit([picture_of_bgr(bgr)]))
    return found


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as exc:
        raise ConfigError(f"{path}: can't be written ({exc.strerror})") from exc


def _sidecar_text(sidecar: Path, spec: ModelSpec) -> str:
    """Return what was decided, and what an earlier sidecar said of the model's origin."""
    earlier = load_sidecar(sidecar).model_dump(exclude_none=True) if sidecar.exists() else {}
    said = {**_decided(spec), **{key: value for key, value in earlier.items() if key in _ORIGIN}}
    head = f"# Written by `streamer models add`; the head was decided by {spec.decided_by}. Edit what is wrong.\n"
    text: str = yaml.dump(
        said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
    )
    return head + text


class _Dumper(yaml.SafeDumper):
    """A key on each line, and lists on theirs: 80 class names are not worth 80 lines."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the signature the library calls
        """Write what stands twice twice."""
        return True


_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def _decided(spec: ModelSpec) -> dict[str, Any]:
    seen = spec.input
    height, width = seen.hw
    ids: dict[str, Any] = {} if spec.ids is None else {"ids": _ids(spec.ids)}
    aliases = {"aliases": dict(spec.aliases)} if spec.aliases else {}
    return {
        "file": spec.path.name,
        "task": spec.task.value,
        "head": spec.head,
        "labels": "coco80" if spec.labels == load_labels("coco80") else list(spec.labels),
        **ids,
        **aliases,
        "size": height if height == width else [height, width],
        "color": seen.color.value,
        "scale": "1/255" if abs(seen.scale * 255 - 1) < 1e-9 else _number(seen.scale),
        "mean": _each(seen.mean),
        "std": _each(seen.std),
        "fit": seen.fit.value,
        "pad": seen.pad,
        "layout": seen.layout,
        "sha256": spec.digest.removeprefix("sha256:"),
        "bytes": spec.path.stat().st_size,
    }


def _ids(ids: tuple[int, ...]) -> str | int | list[int]:
    if ids == COCO91:
        return "coco91"
    return ids[0] if ids == tuple(range(ids[0], ids[0] + len(ids))) else list(ids)


def _each(values: tuple[float, float, float]) -> float | list[float]:
    """Return one number where all channels have the same."""
    return _number(values[0]) if len(set(values)) == 1 else [_number(value) for value in values]


def _number(value: float) -> float:
    """Return a whole number as one, so that no `.0` is written."""
    return int(value) if float(value).is_integer() else float(value)
