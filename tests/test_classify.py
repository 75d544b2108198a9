"""`classify` on single pictures: its output, its errors, and the shared classifier's own figures."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tiny_classifier import write_classifier

from streamer.add_model import add_model
from streamer.classify import classify
from streamer.core.errors import BackendError
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task
from streamer.models import show_model

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("red", "green", "blue")
PLAIN = SpecOptions(labels=NAMES, look="ultralytics")
MEASURED = {  # the figures of the shared data's README
    "goldfish": ("goldfish", 1, 0.99),
    "parrot": ("macaw", 88, 0.83),
    "cat_720p": ("Egyptian cat", 285, 0.58),
    "polar_bear": ("ice bear", 296, 1.00),
    "granny_smith_1": ("Granny Smith", 948, 1.00),
}
SQUEEZENET = SpecOptions(labels="imagenet1000", color="bgr", mean=(104, 117, 123))  # as that README says
RUNTIMES = [
    pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
    for kind in ("onnxruntime", "openvino")
]


def run(images: Sequence[Path | str], model: Path | str, **changes: Any) -> tuple[int, str]:  # noqa: ANN401  any argument
    out = io.StringIO()
    said: dict[str, Any] = {"options": PLAIN, "top": 5, "backend": "onnxruntime", "as_json": True}
    code = classify(images, model=str(model), **(said | changes), out=out)
    return code, out.getvalue()


def streamer(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamer", *map(str, arguments)],
        capture_output=True, text=True, timeout=30, check=False, cwd=ROOT, env=os.environ,
    )  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_classifier(tmp_path / "colours.onnx")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "green.png"
    cv2.imwrite(str(path), np.full((30, 40, 3), (0, 255, 0), np.uint8))
    return path


def test_the_contracts_object(model: Path, picture: Path) -> None:
    code, said = run([picture], model)
    assert code == 0
    answer = json.loads(said)
    assert list(answer) == ["image", "model", "classes"]
    assert (answer["image"], answer["model"]) == (str(picture), "colours")
    assert [(row["class"], row["class_id"]) for row in answer["classes"]] == [("green", 1), ("red", 0), ("blue", 2)]
    assert list(answer["classes"][0]) == ["class", "class_id", "score"]
    assert sum(row["score"] for row in answer["classes"]) == pytest.approx(1.0, abs=1e-3)


def test_top_is_how_many(model: Path, picture: Path) -> None:
    _, said = run([picture], model, top=1)
    assert [row["class"] for row in json.loads(said)["classes"]] == ["green"]


def test_people_get_a_bar_for_each_score(model: Path, picture: Path) -> None:
    _, said = run([picture], model, as_json=False)
    # e**4 of e**4 + 2 is 0.965: 29 of 30 signs.
    assert said.splitlines() == [
        f"{picture}: green",
        f"  green  0.96  {'#' * 29}",
        "  red    0.02  #",
        "  blue   0.02  #",
    ]


def test_of_several_labels_each_is_there_or_not(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "tags.onnx", last=("Sigmoid",))
    cyan = tmp_path / "cyan.png"
    cv2.imwrite(str(cyan), np.full((30, 40, 3), (200, 255, 0), np.uint8))
    _, said = run([cyan], model)
    there = {row["class"]: row["present"] for row in json.loads(said)["classes"]}
    assert there == {"green": True, "blue": True, "red": True}  # red at just 0.5
    options = SpecOptions(labels=NAMES, look="ultralytics", threshold={"blue": 0.97, "red": 0.6})
    _, said = run([cyan], model, options=options, as_json=False)
    assert said.splitlines()[0] == f"{cyan}: green"
    assert [line.split()[:3] for line in said.splitlines()[1:]] == [
        ["green", "0.98", "yes"], ["blue", "0.96", "no"], ["red", "0.50", "no"],
    ]  # fmt: skip


def test_a_picture_that_can_not_be_read_keeps_no_other_from_its_turn(
    model: Path, picture: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with caplog.at_level(logging.ERROR):
        code, said = run([broken, tmp_path / "none.jpg", picture], model)
    assert code == 2
    assert len(said.splitlines()) == 1
    assert [r.message for r in caplog.records] == [
        f"{broken}: is no picture that can be decoded", f"{tmp_path / 'none.jpg'}: there is no such file",
    ]  # fmt: skip


def test_a_detector_names_the_right_command(picture: Path) -> None:
    with pytest.raises(BackendError, match="shapes: is a detector: `streamer detect` finds objects with it"):
        run([picture], "shapes")


def test_the_command_as_its_user_meets_it(model: Path, picture: Path) -> None:
    done = streamer("classify", picture, "--model", model, "--top", "2", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "choose with --labels and --look" in done.stderr
    (model.parent / "colours.yaml").write_text("labels: [red, green, blue]\nlook: ultralytics\n")
    done = streamer("classify", picture, "--model", model, "--top", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["class"] for row in json.loads(done.stdout)["classes"]] == ["green", "red"]
    done = streamer("detect", picture, "--model", model)
    assert (done.returncode, done.stdout) == (3, "")
    assert "`streamer classify`" in done.stderr
    assert streamer("classify", picture, "--model", model, "--look", "cafe").returncode == 2
    assert streamer("classify", picture, "--model", model, "--top", "0").returncode == 2


def test_add_writes_down_how_a_classifier_is_used(tmp_path: Path, picture: Path) -> None:
    path = write_classifier(tmp_path / "own.onnx", last=("Sigmoid",))
    options = SpecOptions(labels=NAMES, look="torch", threshold={"blue": 0.25})
    out = io.StringIO()
    assert add_model(path, options=options, name=None, picture=picture, force=False, out=out) == 0
    assert "activation none (inside already: Sigmoid)" in out.getvalue()
    assert "crop, out of the shorter side at 37 px" in out.getvalue()
    assert f"{picture}: green\n" in out.getvalue()  # red and blue are far below 0 once the mean is taken
    seen = cv2.imread(str(tmp_path / "own-seen.jpg"))
    assert seen is not None
    assert seen.shape == (32, 32, 3)
    assert np.abs(seen.astype(int) - (0, 255, 0)).max() < 10
    asked = load_spec(str(path), options=options, task=Task.CLASSIFY)
    written = load_spec(str(path), task=Task.CLASSIFY)
    assert (written.input, written.labels, written.decided_by) == (asked.input, NAMES, "sidecar")
    assert written.scoring is not None
    assert written.scoring.thresholds == (0.5, 0.5, 0.25)
    out = io.StringIO()
    assert show_model(str(path), out) == 0
    assert "classifier, decided by sidecar" in out.getvalue()
    assert "red 0.5, green 0.5, blue 0.25; each class is judged for itself" in out.getvalue()


@pytest.mark.parametrize("backend", RUNTIMES)
def test_the_shared_classifier_gives_its_measured_answers(shared_data: Path, backend: str) -> None:
    pictures = [shared_data / "images" / f"{name}.jpg" for name in MEASURED]
    model = shared_data / "models" / "squeezenet1_1.onnx"
    code, said = run(pictures, model, options=SQUEEZENET, backend=backend, top=1)
    assert code == 0
    best = [json.loads(line)["classes"][0] for line in said.splitlines()]
    assert [(row["class"], row["class_id"]) for row in best] == [(name, i) for name, i, _ in MEASURED.values()]
    assert [row["score"] for row in best] == pytest.approx([score for _, _, score in MEASURED.values()], abs=0.01)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")
def test_both_runtimes_agree(shared_data: Path) -> None:
    pictures = [shared_data / "images" / f"{name}.jpg" for name in MEASURED]
    model = shared_data / "models" / "squeezenet1_1.onnx"
    scores = []
    for backend in ("onnxruntime", "openvino"):
        _, said = run(pictures, model, options=SQUEEZENET, backend=backend, top=1000)
        answers = [json.loads(line)["classes"] for line in said.splitlines()]
        scores.append([[row["score"] for row in sorted(rows, key=lambda r: r["class_id"])] for rows in answers])
    assert np.abs(np.subtract(scores[0], scores[1])).max() <= 0.001
