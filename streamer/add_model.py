"""`streamer models add`: a short look at a model that the catalogue does not know, and a sidecar beside it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import yaml

from streamer.classify import Shown
from streamer.core.errors import ConfigError
from streamer.infer.classifier import open_classifier
from streamer.infer.heads.numbering import COCO91
from streamer.infer.labels import LISTS, load_labels
from streamer.infer.model import open_model
from streamer.infer.recognise import load_spec
from streamer.infer.recognise.trial import trial_picture
from streamer.infer.sidecar import load_sidecar
from streamer.infer.spec import ColorOrder
from streamer.models import counts_otherwise, described, print_pairs
from streamer.pixels.convert import picture_of_bgr
from streamer.pixels.draw import draw
from streamer.stills import NMS_IOU, PictureError, Still, load_picture

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

    from streamer.infer.recognise import SpecOptions
    from streamer.infer.spec import ModelSpec, Scoring

_SCORE = 0.25  # the least that is shown, as `detect` does
_TOP = 5  # classes that are shown, as `classify` does
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
    spec = load_spec(str(path), options=options, task=None, beside=sidecar != path.with_suffix(".yaml"))
    of = "the portrait that ships (a person)" if picture is None else str(picture)
    told, seen, nothing = (_classified if spec.scoring else _detected)(spec, shown, of)
    print_pairs(described(spec), out)
    out.write(f"{told}\n")
    drawn = sidecar.with_name(f"{sidecar.stem}-seen.jpg")
    _, jpeg = cv2.imencode(".jpg", seen)
    _write(drawn, jpeg.tobytes())
    _write(sidecar, _sidecar_text(spec, _origin(sidecar, spec, out)).encode())
    print_pairs([("drawn", str(drawn)), ("sidecar", str(sidecar))], out)
    if nothing:
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


def _detected(spec: ModelSpec, bgr: NDArray[np.uint8], name: str) -> tuple[str, NDArray[np.uint8], bool]:
    """Return what a detector finds in a picture: in words, drawn, and whether that is nothing."""
    model = open_model(
        spec, backend="auto", precision="f32", latency=True, floor=_SCORE, iou=NMS_IOU, on_ready=lambda: None
    )
    with contextlib.closing(model):
        (found,) = model.collect(model.submit([picture_of_bgr(bgr)]))
    height, width = bgr.shape[:2]
    told = Still(name, width, height, spec.name, spec.labels, found).as_text()
    return told, draw(bgr, found, spec.labels), not len(found)


def _classified(spec: ModelSpec, bgr: NDArray[np.uint8], name: str) -> tuple[str, NDArray[np.uint8], bool]:
    """Return what a classifier says of a picture, and the picture as it sees it."""
    model = open_classifier(spec, backend="auto", precision="f32", latency=True, on_ready=lambda: None)
    with contextlib.closing(model):
        ticket = model.submit([picture_of_bgr(bgr)])
        canvas = ticket.canvases[0].copy()
        (classes,) = model.collect(ticket)
    told = Shown(name, spec, classes[:_TOP]).as_text()
    return told, canvas if spec.input.color is ColorOrder.BGR else np.ascontiguousarray(canvas[..., ::-1]), False


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as exc:
        raise ConfigError(f"{path}: can't be written ({exc.strerror})") from exc


def _origin(sidecar: Path, spec: ModelSpec, out: TextIO) -> dict[str, Any]:
    """Return what the sidecar that is replaced says of this very file's origin."""
    if not sidecar.exists():
        return {}
    try:
        earlier = load_sidecar(sidecar).model_dump(exclude_none=True)
    except ConfigError as exc:
        out.write(f"Nothing is kept of the sidecar that was there: {exc}\n")
        return {}
    if earlier.get("sha256", spec.digest.removeprefix("sha256:")) != spec.digest.removeprefix("sha256:"):
        out.write("Nothing is kept of the sidecar that was there: it tells of another file\n")
        return {}
    return {key: value for key, value in earlier.items() if key in _ORIGIN}


def _sidecar_text(spec: ModelSpec, origin: dict[str, Any]) -> str:
    """Return what was decided, and what is known of the model's origin."""
    said = {**_decided(spec), **origin}
    what = "the head" if spec.scoring is None else "that it classifies"
    head = f"# Written by `streamer models add`; {what} was decided by {spec.decided_by}. Edit what is wrong.\n"
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
    ids: dict[str, Any] = {"ids": _ids(spec.ids)} if spec.ids is not None and counts_otherwise(spec) else {}
    anchors = {} if spec.anchors is None else {"anchors": [list(pair) for pair in spec.anchors]}
    aliases = {"aliases": dict(spec.aliases)} if spec.aliases else {}
    return {
        "file": spec.path.name,
        "task": spec.task.value,
        **({"head": spec.head} if spec.scoring is None else _scoring(spec, spec.scoring)),
        "labels": next((name for name in LISTS if spec.labels == load_labels(name)), list(spec.labels)),
        **ids,
        **anchors,
        **aliases,
        "size": height if height == width else [height, width],
        "color": seen.color.value,
        "scale": "1/255" if abs(seen.scale * 255 - 1) < 1e-9 else _number(seen.scale),
        "mean": _each(seen.mean),
        "std": _each(seen.std),
        "fit": seen.fit.value,
        **({} if seen.resize is None else {"resize": seen.resize}),
        "pad": seen.pad,
        "layout": seen.layout,
        "sha256": spec.digest.removeprefix("sha256:"),
        "bytes": spec.path.stat().st_size,
    }


def _scoring(spec: ModelSpec, scoring: Scoring) -> dict[str, Any]:
    said: dict[str, Any] = {"activation": scoring.activation.value}
    if scoring.multi_label:
        by_name = {label: _number(score) for label, score in zip(spec.labels, scoring.thresholds, strict=True)}
        said["threshold"] = by_name if len(set(by_name.values())) > 1 else _number(scoring.thresholds[0])
    return said


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
