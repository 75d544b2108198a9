"""What other programs leave beside a model's file: Hugging Face's JSON files, and a list of class names."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.labels import load_labels, what_is_wrong
from streamer.infer.spec import Activation, SpecOptions, Task

from .layers import Layer

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES = 5_000_000
_LABELS = "labels.txt"  # Azure Custom Vision, Teachable Machine and many more
_CLASSIFIER = "ForImageClassification"  # how the class names of Hugging Face's classifiers end
_SUBFOLDER = "onnx"  # Hugging Face: REPO/config.json, REPO/onnx/model.onnx


def companion_layers(path: Path, *, named: bool) -> list[Layer]:
    """Return what the files beside a model say of it, the most telling first.

    Args:
        path: of the model.
        named: whether its classes are named already: no list of names is looked for then.

    Raises:
        BackendError: one that is there can't be understood.
    """
    folder = path.parent
    folders = [folder, folder.parent] if folder.name == _SUBFOLDER else [folder]
    layers = []
    for name, read in (("config.json", _names), ("preprocessor_config.json", _look)):
        found = next((place / name for place in folders if os.path.isfile(place / name)), None)  # noqa: PTH113  pathlib's raises where a folder may not be entered
        if found is not None and (said := read(_mapping(found), found)) is not None:
            layers.append(Layer("companion", str(found), said))
    labels = folder / _LABELS
    if not named and not any(layer.said.labels for layer in layers) and os.path.isfile(labels):  # noqa: PTH113  as above
        try:
            layers.append(Layer("companion", str(labels), SpecOptions(labels=load_labels(str(labels)))))
        except ConfigError as exc:
            raise BackendError(str(exc)) from exc
    return layers


def _mapping(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        said = json.loads(raw) if len(raw) <= _MAX_BYTES else None
    except OSError as exc:
        raise BackendError(f"{path}: can't be read ({exc.strerror})") from exc
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {}  # a file of that name that is somebody else's


def _names(config: dict[str, Any], path: Path) -> SpecOptions | None:
    """Read a `config.json`: `id2label`, and whether it is of a classifier."""
    kinds = config.get("architectures")
    classifies = isinstance(kinds, list) and any(str(kind).endswith(_CLASSIFIER) for kind in kinds)
    task = Task.CLASSIFY.value if classifies else None
    each = classifies and config.get("problem_type") == "multi_label_classification"
    activation = Activation.SIGMOID.value if each else None  # never inside these exports
    given = config.get("id2label")
    if not isinstance(given, dict) or not given:
        return SpecOptions(task=task, activation=activation) if classifies else None
    try:
        by_id = {int(key): str(value).strip() for key, value in given.items()}
    except ValueError as exc:
        raise BackendError(f"{path}: id2label: {exc}") from exc
    named = {key: by_id[key] for key in sorted(by_id) if key >= 0 and by_id[key] not in ("", "N/A")}
    if not named:
        return None
    for key, name in named.items():
        if (wrong := what_is_wrong(name)) is not None:
            raise BackendError(f"{path}: id2label: {key}: {wrong}")
    contiguous = list(named) == list(range(len(named)))
    ids = None if contiguous else tuple(named)
    return SpecOptions(labels=tuple(named.values()), ids=ids, task=task, activation=activation)


def _look(config: dict[str, Any], path: Path) -> SpecOptions | None:
    """Read a `preprocessor_config.json`: scale, mean, std, size and what is cut out."""
    if "do_rescale" not in config and "do_normalize" not in config:
        return None
    try:
        scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else None
        mean, std = None, None
        if config.get("do_normalize"):
            mean, std = (_three(config[key]) for key in ("image_mean", "image_std"))
        elif "do_normalize" in config:
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        hw, resize, fit = _cut(config)
    except (KeyError, TypeError, ValueError) as exc:
        raise BackendError(f"{path}: can't be understood ({exc!r})") from exc
    return SpecOptions(scale=scale, mean=mean, std=std, size=hw, fit=fit, resize=resize)


def _cut(config: dict[str, Any]) -> tuple[tuple[int, int] | None, int | None, str | None]:
    """Return the input's (height, width), what is resized to before the centre is cut out, and the fit."""
    size = config.get("size")
    hw = _sides(size)
    shorter = size.get("shortest_edge") if isinstance(size, dict) else size
    if config.get("do_center_crop"):
        cut = config["crop_size"]
        cut_hw = (int(cut), int(cut)) if isinstance(cut, int) else _sides(cut)
        resize = hw[0] if hw is not None else shorter
        return cut_hw, None if resize is None else int(resize), "crop" if hw is None else "stretch"
    if shorter is not None and config.get("crop_pct"):  # ConvNeXt's and LeViT's
        return (int(shorter), int(shorter)), int(shorter / float(config["crop_pct"])), "crop"
    return hw, None, None if hw is None else "stretch"


def _sides(size: Any) -> tuple[int, int] | None:  # noqa: ANN401  whatever stands in the file
    """Return (height, width), px, if both are named."""
    sides = size if isinstance(size, dict) and {"height", "width"} <= size.keys() else None
    return None if sides is None else (int(sides["height"]), int(sides["width"]))


def _three(values: Any) -> tuple[float, float, float]:  # noqa: ANN401  whatever stands in the file
    red, green, blue = (float(value) for value in values)
    return red, green, blue
