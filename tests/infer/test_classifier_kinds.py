"""Every kind of classifier, small and real: recognised, run on both runtimes, and brought to f16 for TensorRT."""

from __future__ import annotations

import importlib.util
import json
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from engine_nets import opened
from test_classifier import plain
from tiny_classifier import write_classifier, write_layers
from tiny_transformer import write_transformer

from streamer.core.errors import BackendError
from streamer.infer.agreement import FASTER
from streamer.infer.answers import answers_of
from streamer.infer.backends.batch import Normaliser
from streamer.infer.classifier import open_classifier
from streamer.infer.engine.precision import convert
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Fit, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamer.infer.spec import ModelSpec

NAMES = ("red", "green", "blue")
BACKENDS = [
    pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
    for kind in ("onnxruntime", "openvino")
]
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
LOOK = SpecOptions(labels=NAMES, look="ultralytics")
HUGGING_FACE = {"architectures": ["ViTForImageClassification"], "id2label": dict(enumerate(NAMES))}
PREPARED = {"do_rescale": True, "size": {"height": 32, "width": 32}, "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}  # fmt: skip
DINO = {"size": {"shortest_edge": 36}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}}
ULTRALYTICS = {"task": "classify", "names": "{0: 'red', 1: 'green', 2: 'blue'}", "imgsz": "[32, 32]", "stride": "1"}
AZURE = {"Image.BitmapPixelFormat": "Rgb8", "Image.NominalPixelRange": "NominalRange_0_255"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a classifier is written, what its owner says of it, and what it answers to red, green and blue."""

    write: Callable[[Path], object]
    said: SpecOptions = LOOK
    shows: tuple[tuple[str, ...], ...] = (("red",), ("green",), ("blue",))  # the best; or what is there
    maps: bool = False  # it answers in mappings, which only ONNX Runtime can


def hugging_face(path: Path, *, dino: bool) -> None:
    write_transformer(path, dino=dino)
    (path.parent / "config.json").write_text(json.dumps(HUGGING_FACE))
    (path.parent / "preprocessor_config.json").write_text(json.dumps(PREPARED | (DINO if dino else {})))


def azure(path: Path) -> None:
    write_classifier(path, last=("Softmax",), metadata=AZURE)
    (path.parent / "labels.txt").write_text("\n".join(NAMES))


KINDS = {
    "convolutions": Kind(write=write_layers),
    "logits": Kind(write=lambda path: write_layers(path, last=())),
    "nhwc": Kind(write=lambda path: write_classifier(path, shape=("N", 32, 32, 3), nhwc=True)),
    "binary": Kind(
        write=lambda path: write_classifier(path, classes=1, shape=("N", 3, 32, 32)),
        said=replace(LOOK, labels=("calm", "alarm")),
        shows=(("alarm",), ("calm",), ("calm",)),
    ),
    "two classes": Kind(
        write=lambda path: write_classifier(path, classes=2, last=("Softmax",)),
        said=replace(LOOK, labels=("stop", "go")),
        shows=(("stop",), ("go",), ("stop",)),
    ),
    "multi-label": Kind(
        write=lambda path: write_classifier(path, last=("Sigmoid",), shape=("N", 3, 32, 32)),
        said=replace(LOOK, threshold=0.7),
    ),
    "maps": Kind(write=lambda path: write_classifier(path, last=("Softmax",), keys=NAMES), maps=True),
    "azure": Kind(write=azure, said=SpecOptions()),
    "ultralytics": Kind(
        write=lambda path: write_classifier(path, last=("Softmax",), metadata=ULTRALYTICS), said=SpecOptions()
    ),
    "vit": Kind(write=lambda path: hugging_face(path, dino=False), said=SpecOptions()),
    "dinov2": Kind(write=lambda path: hugging_face(path, dino=True), said=SpecOptions()),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def spec(kind: Kind, tmp_path: Path) -> ModelSpec:
    kind.write(tmp_path / "own.onnx")
    return load_spec(str(tmp_path / "own.onnx"), options=kind.said, task=Task.CLASSIFY)


def shown(spec: ModelSpec, backend: str) -> tuple[tuple[str, ...], ...]:
    """Return what pictures of the three colours show: the best class, or those that are there."""
    assert spec.scoring is not None
    least = spec.scoring.thresholds
    found = []
    with closing(open_classifier(spec, backend=backend, precision="auto", latency=True, on_ready=lambda: None)) as net:
        for colour in COLOURS:
            (answer,) = net.collect(net.submit([plain(*colour)]))
            there = [i for i, score in answer if score >= least[i]] if least else [int(answer.class_ids[0])]
            found.append(tuple(spec.labels[i] for i in there))
    return tuple(found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_kind_answers_on_both_runtimes(kind: Kind, spec: ModelSpec, backend: str) -> None:
    if kind.maps and backend == "openvino":
        with pytest.raises(BackendError, match=r"own\.onnx: OpenVINO can't"):
            shown(spec, backend)
    else:
        assert shown(spec, backend) == kind.shows


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if not kind.maps], indirect=True)
def test_every_kind_says_the_same_in_f16(spec: ModelSpec, tmp_path: Path) -> None:
    """What TensorRT is given, run by ONNX Runtime."""
    made = convert(spec.path, "f16", spec=spec.input, calibration=None, folder=tmp_path)
    answers = answers_of(spec, threshold=0.0, iou=0.5)
    exact, half = opened(spec.path), opened(made)
    normalise = Normaliser(replace(spec.input, dtype="float32"))
    for colour in COLOURS:
        batch = normalise(np.full((1, *spec.input.hw, 3), colour, np.uint8))
        half_type = np.float16 if half.get_inputs()[0].type == "tensor(float16)" else np.float32
        names = list(spec.output_names)
        ones = answers.read(exact.run(names, {spec.input.name: batch}), 0)
        others = answers.read(half.run(names, {spec.input.name: batch.astype(half_type)}), 0)
        assert answers.compare([ones], [others], FASTER).matched == 1


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")
def test_where_it_is_left_to_us_maps_go_to_the_runtime_that_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.infer.backends.open._has_tensorrt", lambda: False)
    monkeypatch.setattr("streamer.infer.backends.open.on_cpu", lambda: "openvino")
    write_classifier(tmp_path / "own.onnx", last=("Softmax",), keys=NAMES)
    spec = load_spec(str(tmp_path / "own.onnx"), options=LOOK, task=Task.CLASSIFY)
    assert shown(spec, "auto") == (("red",), ("green",), ("blue",))
    assert "onnxruntime takes its place" in caplog.text


def test_transformers_are_prepared_as_their_files_say(tmp_path: Path) -> None:
    hugging_face(tmp_path / "own.onnx", dino=True)
    spec = load_spec(str(tmp_path / "own.onnx"), task=Task.CLASSIFY)
    assert (spec.input.fit, spec.input.resize, spec.input.hw) == (Fit.CROP, 36, (32, 32))
    assert spec.decided_by == "companion"
