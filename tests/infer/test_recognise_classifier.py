"""Classifiers recognised: their output, their scores, their names and how they see; and what is asked."""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_classifier import ask, plain
from tiny_classifier import STRENGTH, write_classifier
from tiny_onnx import Output, write_tiny

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Activation, ColorOrder, Fit, Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streamer.infer.spec import ModelSpec

NAMES = ("red", "green", "blue")
ULTRALYTICS = {"task": "classify", "names": "{0: 'red', 1: 'green', 2: 'blue'}", "imgsz": "[32, 32]", "stride": "1"}
HUGGING_FACE = {"architectures": ["ViTForImageClassification"], "id2label": {"0": "red", "1": "green", "2": "blue"}}
SOFTMAX_OF_4 = math.exp(STRENGTH) / (math.exp(STRENGTH) + 2)
SIGMOID_OF_4 = 1 / (1 + math.exp(-STRENGTH))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "own.onnx"


def load(path: Path, **said: Any) -> ModelSpec:  # noqa: ANN401  the keys of SpecOptions
    options = SpecOptions(**({"labels": NAMES, "look": "ultralytics"} | said))
    return load_spec(str(path), options=options, task=Task.CLASSIFY)


def best(spec: ModelSpec, *colour: int) -> tuple[str, Any]:
    """Return the best class of a picture of one colour, and its score."""
    (answer,) = ask(spec, [plain(*colour)])
    return spec.labels[int(answer.class_ids[0])], float(answer.scores[0])


# --- scores or logits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "activation", "score"),
    [
        ((), Activation.SOFTMAX, SOFTMAX_OF_4),
        (("LogSoftmax",), Activation.SOFTMAX, SOFTMAX_OF_4),
        (("Softmax",), Activation.NONE, SOFTMAX_OF_4),
        (("Sigmoid",), Activation.NONE, SIGMOID_OF_4),
        (("Share",), Activation.NONE, SOFTMAX_OF_4),  # a softmax spelled out: its values tell
        (("Neg", "Neg"), Activation.SOFTMAX, SOFTMAX_OF_4),  # values beyond 1 tell
        (("Sum",), Activation.SOFTMAX, SOFTMAX_OF_4),  # a sum of logits
        (("Softmax", "Mean"), Activation.NONE, SOFTMAX_OF_4),  # a mean of probabilities
    ],
)
def test_scores_are_told_from_logits(path: Path, last: Sequence[str], activation: Activation, score: float) -> None:
    spec = load(write_classifier(path, last=last))
    assert spec.scoring is not None
    assert spec.scoring.activation is activation
    assert spec.scoring.multi_label == ("Sigmoid" in last)
    assert best(spec, 255, 0, 0) == ("red", pytest.approx(score, abs=1e-4))


def test_what_can_not_be_told_is_asked(path: Path) -> None:
    write_classifier(path, last=("Sigmoid", "Neg", "Neg"))
    with pytest.raises(BackendError, match=r"can't be told .* --activation softmax, sigmoid \(to be applied\) or none"):
        load(path)
    spec = load(path, activation="none", threshold={"RED": 0.3})
    assert spec.scoring is not None
    assert spec.scoring.thresholds == (0.3, 0.5, 0.5)


@pytest.mark.parametrize(
    ("last", "said", "message"),
    [
        (("Softmax",), "softmax", "says activation softmax, but softmax is inside already"),
        (("Softmax",), "sigmoid", "says activation sigmoid, but softmax is inside already"),
        ((), "none", "its numbers are no scores yet"),
        ((), "tanh", "'tanh' is not known; allowed are softmax, sigmoid, none"),
    ],
)
def test_what_was_said_is_compared_with_the_graph(path: Path, last: Sequence[str], said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(write_classifier(path, last=last), activation=said)


def test_several_labels_at_once_each_with_its_threshold(path: Path) -> None:
    spec = load(write_classifier(path), activation="sigmoid", threshold={"green": 0.9})
    assert spec.scoring is not None
    assert spec.scoring.thresholds == (0.5, 0.9, 0.5)
    assert best(spec, 255, 0, 0)[1] == pytest.approx(SIGMOID_OF_4, abs=1e-4)
    with pytest.raises(ConfigError, match="threshold: 'pink' is no class"):
        load(path, activation="sigmoid", threshold={"pink": 0.9})
    with pytest.raises(ConfigError, match="judged each for itself"):
        load(path, threshold=0.4)


@pytest.mark.parametrize(("last", "activation"), [((), Activation.SIGMOID), (("Sigmoid",), Activation.NONE)])
def test_one_number_is_binary(path: Path, last: Sequence[str], activation: Activation) -> None:
    write_classifier(path, classes=1, last=last)
    both = load(path, labels=("calm", "alarm"))
    assert both.scoring is not None
    assert (both.scoring.activation, both.scoring.multi_label) == (activation, False)
    assert best(both, 255, 0, 0) == ("alarm", pytest.approx(SIGMOID_OF_4, abs=1e-4))
    one = load(path, labels=("alarm",))
    assert one.scoring is not None
    assert one.scoring.thresholds == (0.5,)
    assert best(one, 0, 255, 0) == ("alarm", pytest.approx(0.5))


# --- outputs and inputs of every shape --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        {"shape": (1, 32, 32, 3), "nhwc": True},
        {"shape": ("N", 3, "H", "W"), "rows": "N"},
        {"shape": ("N", 3, 32, 32), "rows": "M"},
        {"shape": (4, 3, 32, 32)},
        {"as_maps": True},
        {"axes": 1},
    ],
)
def test_every_shape_is_read(path: Path, kind: dict[str, Any]) -> None:
    spec = load(write_classifier(path, **kind))
    assert (spec.task, spec.classes, spec.decided_by) == (Task.CLASSIFY, 3, "shapes")
    assert best(spec, 0, 255, 0) == ("green", pytest.approx(SOFTMAX_OF_4, abs=1e-4))
    assert spec.input.hw == ((224, 224) if "H" in kind.get("shape", ()) else (32, 32))


def test_an_open_size_may_be_any(path: Path) -> None:
    spec = load(write_classifier(path, shape=("N", 3, "H", "W")), size=299)
    assert spec.input.hw == (299, 299)


def test_scores_as_a_mapping_are_read_and_name_their_classes(path: Path) -> None:
    write_classifier(path, last=("Softmax",), keys=("red", "green", "blue"))
    spec = load_spec(str(path), options=SpecOptions(look="ultralytics"), task=Task.CLASSIFY)
    assert spec.labels == ("red", "green", "blue")  # the network's order, not that of the mapping
    assert [best(spec, *colour)[0] for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))] == list(spec.labels)
    german = load(path, labels=("rot", "grün", "blau"))
    assert best(german, 0, 0, 255) == ("blau", pytest.approx(SOFTMAX_OF_4, abs=1e-4))


def test_of_several_outputs_the_one_with_the_logits_is_taken(path: Path) -> None:
    row = np.array([[0.1, 0.2, 0.7]], np.float32)
    outputs = [Output("hidden", np.zeros((1, 5, 8), np.float32)), Output("logits", row), Output("pooled", row)]
    assert load(write_tiny(path, outputs), task="classify").output_names == ("logits",)
    outputs = [Output("first", row), Output("second", row)]
    with pytest.raises(BackendError, match=r"several outputs could: first \[1, 3\] and second \[1, 3\]"):
        load(write_tiny(path, outputs), task="classify")


# --- names ------------------------------------------------------------------------------------------------------------


def test_the_background_of_tensorflow_has_no_name(path: Path) -> None:
    spec = load(write_classifier(path, classes=1001, last=("Softmax",)), labels="imagenet1000")
    assert spec.ids is not None
    assert (len(spec.labels), spec.ids[0], spec.ids[-1]) == (1000, 1, 1000)
    assert best(spec, 0, 255, 0)[0] == "tench"
    spec = load(write_classifier(path, classes=4), ids=1)
    assert best(spec, 0, 255, 0)[0] == "red"


@pytest.mark.parametrize(
    ("classes", "said", "message"),
    [
        (1, {}, "gives 3 class names, its output scores .1, 1. has 1; allowed are one name, or two"),
        (5, {}, "gives 3 class names, its output scores .1, 5. has 5$"),
        (4, {}, "gives 3 class names, its output scores .1, 4. has 4; if its first is the background, write `ids: 1`"),
        (4, {"ids": 2}, "ids: 2 is not allowed with 3 class names and 4 scores"),
        (3, {"ids": "coco91"}, "ids: 'coco91' is not allowed"),
        (3, {"head": "v8"}, "is a detector"),
        (3, {"task": "classify", "head": "v8"}, "says head 'v8' of a classifier"),
        (3, {"task": "segment"}, "task 'segment'; allowed is classify"),
        (3, {"look": "cafe"}, "look: 'cafe' is not known; allowed are torch, tf, caffe, ultralytics"),
        (3, {"resize": 20}, "resize 20; the input of 32 px is cut out of it"),
        (3, {"resize": 40, "fit": "letterbox"}, "resize, which goes with fit crop or stretch"),
    ],
)
def test_what_contradicts_the_model_is_said(path: Path, classes: int, said: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, BackendError), match=message):
        load(write_classifier(path, classes=classes), **said)


# --- how it sees ------------------------------------------------------------------------------------------------------


def test_everything_open_is_asked_at_once(path: Path) -> None:
    write_classifier(path, classes=1000)
    with pytest.raises(BackendError, match=r"names of its classes .* `--labels imagenet1000 --look torch`"):
        load(path, labels=None, look=None)
    with pytest.raises(BackendError, match=r"nothing tells how its pictures are prepared \(torch: RGB"):
        load(path, labels="imagenet1000", look=None)
    with pytest.raises(BackendError, match=r"--labels imagenet1000`\), or write `labels:` in a sidecar own.yaml"):
        load(path, labels=None)


def test_a_look_in_one_word_and_keys_that_replace_its_parts(path: Path) -> None:
    write_classifier(path)
    torch = load(path, look="torch").input
    assert (torch.color, torch.mean, torch.std) == (ColorOrder.RGB, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (torch.fit, torch.resize, torch.scale, torch.area) == (Fit.CROP, 37, 1 / 255, True)
    caffe = load(path, look="caffe", color="rgb").input
    assert (caffe.color, caffe.scale, caffe.mean, caffe.std) == (
        ColorOrder.RGB, 1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0),
    )  # fmt: skip
    tf = load(path, look="tf", fit="crop", resize=36).input
    assert (tf.fit, tf.resize) == (Fit.CROP, 36)
    assert tf.scale * 255 - tf.mean[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("said", "scale", "mean", "std"),
    [
        ({"mean": (104, 117, 123)}, 1.0, (104, 117, 123), 1.0),  # of pixel values: nothing is scaled
        ({"mean": 127.5, "std": 127.5}, 1.0, (127.5,) * 3, 127.5),
        ({"mean": 0.5, "std": 0.5}, 1 / 255, (0.5,) * 3, 0.5),
        ({"scale": 1 / 255}, 1 / 255, (0,) * 3, 1.0),
        ({"scale": 1.0}, 1.0, (0,) * 3, 1.0),
    ],
)
def test_mean_and_std_leave_no_doubt_of_the_scale(
    path: Path, said: dict[str, Any], scale: float, mean: tuple[float, ...], std: float
) -> None:
    seen = load(write_classifier(path), look=None, **said).input
    assert (seen.scale, seen.mean, seen.std) == (scale, mean, (std,) * 3)
    assert (seen.color, seen.fit, seen.resize) == (ColorOrder.RGB, Fit.CROP, None)


def test_nothing_said_but_naught_is_no_look(path: Path) -> None:
    with pytest.raises(BackendError, match="nothing tells how its pictures are prepared"):
        load(write_classifier(path), look=None, mean=0, std=1)


def test_a_sidecar_says_it_all(path: Path) -> None:
    write_classifier(path)
    path.with_suffix(".yaml").write_text(
        "task: classify\nlabels: [red, green, blue]\ncolor: bgr\nscale: 1/255\nfit: stretch\nresize: 36\n"
    )
    spec = load_spec(str(path), task=Task.CLASSIFY)
    assert (spec.decided_by, spec.input.fit, spec.input.resize) == ("sidecar", Fit.STRETCH, 36)
    assert best(spec, 255, 0, 0)[0] == "blue"  # the sidecar has the colours the wrong way round


def test_ultralytics_say_it_all_in_their_metadata(path: Path) -> None:
    write_classifier(path, last=("Softmax",), metadata=ULTRALYTICS)
    spec = load_spec(str(path), task=Task.CLASSIFY)
    assert (spec.labels, spec.decided_by) == (NAMES, "metadata")
    assert (spec.input.fit, spec.input.resize, spec.input.mean) == (Fit.CROP, None, (0.0, 0.0, 0.0))
    assert best(spec, 255, 0, 0) == ("red", pytest.approx(SOFTMAX_OF_4, abs=1e-4))


def test_azure_says_it_in_its_metadata_and_a_list_beside(path: Path) -> None:
    said = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}
    write_classifier(path, last=("Softmax",), metadata=said, keys=NAMES)
    spec = load_spec(str(path), task=Task.CLASSIFY)
    assert (spec.labels, spec.input.color, spec.input.scale) == (NAMES, ColorOrder.BGR, 1.0)
    assert (spec.input.fit, spec.output_names) == (Fit.STRETCH, ("loss",))


@pytest.mark.parametrize(
    ("prepared", "hw", "fit", "resize"),
    [
        ({"size": {"height": 32, "width": 32}}, (32, 32), Fit.STRETCH, None),
        ({"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}},
         (32, 32), Fit.CROP, 40),
        ({"size": 40, "do_center_crop": True, "crop_size": 32}, (32, 32), Fit.CROP, 40),
        ({"size": {"height": 40, "width": 40}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}},
         (32, 32), Fit.STRETCH, 40),
        ({"size": {"shortest_edge": 28}, "crop_pct": 0.875}, (28, 28), Fit.CROP, 32),
    ],
)  # fmt: skip
def test_hugging_face_says_it_in_files_beside(
    path: Path, prepared: dict[str, Any], hw: tuple[int, int], fit: Fit, resize: int | None
) -> None:
    write_classifier(path, shape=("N", "C", "H", "W"), rows="N")
    (path.parent / "config.json").write_text(json.dumps(HUGGING_FACE))
    rest = {"do_rescale": True, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (path.parent / "preprocessor_config.json").write_text(json.dumps(rest | prepared))
    spec = load_spec(str(path), task=Task.CLASSIFY)
    assert (spec.labels, spec.decided_by) == (NAMES, "companion")
    assert (spec.input.hw, spec.input.fit, spec.input.resize) == (hw, fit, resize)
    assert (spec.input.scale, spec.input.mean) == (1 / 255, (0.5, 0.5, 0.5))


def test_hugging_face_tells_several_labels_at_once(path: Path) -> None:
    (path.parent / "config.json").write_text(json.dumps(HUGGING_FACE | {"problem_type": "multi_label_classification"}))
    spec = load(write_classifier(path), labels=None)
    assert spec.scoring is not None
    assert spec.scoring.multi_label


# --- detectors are none -----------------------------------------------------------------------------------------------


def test_a_classifier_is_refused_where_objects_are_wanted(path: Path) -> None:
    write_classifier(path, metadata=ULTRALYTICS)
    with pytest.raises(BackendError, match=r"is a classifier: `streamer classify` .*its metadata says so"):
        load_spec(str(path))
    write_classifier(path)
    with pytest.raises(BackendError, match=r"looks like a classifier .*`streamer classify`"):
        load_spec(str(path))
    with pytest.raises(BackendError, match=r"looks like a classifier .*`streamer classify`"):
        load_spec(str(path), options=SpecOptions(task="detect", labels=NAMES))


def test_a_detector_is_refused_where_classes_are_wanted(path: Path) -> None:
    write_tiny(path, [Output("output0", np.zeros((1, 84, 8400), np.float32))])
    with pytest.raises(BackendError, match=r"no output holds a score for each class .*`streamer detect`"):
        load_spec(str(path), task=Task.CLASSIFY)
    with pytest.raises(BackendError, match="yolox-nano: is a detector: `streamer detect`"):
        load_spec("yolox-nano", task=Task.CLASSIFY)
    boxes, scores = np.zeros((1, 100, 4), np.float32), np.zeros((1, 100), np.float32)
    outputs = [Output("boxes", boxes), Output("scores", scores), Output("classes", scores)]
    outputs.append(Output("num_dets", np.zeros((1, 1), np.int32)))
    with pytest.raises(BackendError, match=r"is a detector by its outputs .*`streamer detect`"):
        load_spec(str(write_tiny(path, outputs)), task=Task.CLASSIFY)


def test_whatever_it_is_can_be_asked_too(path: Path) -> None:
    write_classifier(path)
    options = SpecOptions(labels=NAMES, look="torch")
    assert load_spec(str(path), options=options, task=None).task is Task.CLASSIFY
    assert load_spec("shapes", task=None).task is Task.DETECT


def test_final_boxes_in_rows_are_a_detectors_unless_somebody_says_otherwise(path: Path) -> None:
    rows = Output("output", np.zeros((3, 7), np.float32), open_axes=(0,))
    write_tiny(path, [rows])
    with contextlib.suppress(BackendError):  # which head it is may stay open, but it is one
        assert load_spec(str(path), options=SpecOptions(labels=NAMES), task=None).task is Task.DETECT
    with pytest.raises(BackendError, match=r"answers \[3, 7\] for 1 picture, not a row of scores for each"):
        load(path, labels=tuple("abcdefg"))


def test_the_real_one_needs_its_look_and_names(shared_data: Path) -> None:
    path = shared_data / "models" / "squeezenet1_1.onnx"
    with pytest.raises(BackendError, match=r"--labels imagenet1000 --look torch"):
        load(path, labels=None, look=None)
    spec = load(path, labels="imagenet1000", look="caffe")
    plainer = load(path, labels="imagenet1000", look=None, color="bgr", mean=(103.939, 116.779, 123.68))
    assert plainer.input == spec.input
