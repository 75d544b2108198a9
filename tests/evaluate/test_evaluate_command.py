"""`streamer evaluate` as a whole, on pictures of the project's own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import yaml
from labelled_folders import SHAPES, coco, picture, text, yolo_shapes
from tiny_classifier import write_classifier

from streamer.core.errors import BackendError, ConfigError
from streamer.evaluate.answers import answers
from streamer.evaluate.command import Options, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(90)
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}


def run(model: Path | str, data: Path, *, as_json: bool = True, **changes: Any) -> tuple[int, str]:  # noqa: ANN401
    out = io.StringIO()
    said: dict[str, Any] = {"backend": "onnxruntime", "save": data.parent / "out"}
    options = Options(model=str(model), data=data, **(said | changes))
    return evaluate(options, as_json=as_json, out=out), out.getvalue()


def report(model: Path | str, data: Path, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    code, out = run(model, data, **changes)
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def colours(folder: Path, per_class: int = 3) -> Path:
    """Write a folder for each colour; the last picture in `blue` is green."""
    for name, bgr in COLOURS.items():
        for number in range(per_class):
            shown = COLOURS["green"] if name == "blue" and number == per_class - 1 else bgr
            picture(folder / name / f"{number}.png", size=(32, 32), bgr=shown)
    return folder


def test_the_shapes_network_on_shapes_through_the_command_line(tmp_path: Path, seed: int) -> None:
    data = yolo_shapes(tmp_path / "data", seed, 8)
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "evaluate", "--model", "shapes", "--data", str(data), "--json"],
        capture_output=True, text=True, timeout=80, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TTY_COMPATIBLE": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["model"]["name"] == "shapes"
    assert found["data"] == {"path": str(data), "split": "val", "pictures": 8, "evaluated": 8, "unread": 0}
    assert found["detection"]["map50"] > 0.9
    assert found["detection"]["map50_95"] > 0.6
    assert [row["class"] for row in found["detection"]["classes"]] == list(SHAPES)
    assert found["speed"]["pictures"] == 5
    saved = tmp_path / "evaluation-shapes"
    assert sorted(path.name for path in saved.iterdir()) == ["curves.png", "mistakes.png", "scores.json"]
    assert all(cv2.imread(str(saved / name)) is not None for name in ("curves.png", "mistakes.png"))
    assert json.loads((saved / "scores.json").read_text()) == {k: v for k, v in found.items() if k != "saved"}


def test_the_table_says_everything_and_its_last_lines_can_be_pasted(tmp_path: Path, seed: int) -> None:
    data = yolo_shapes(tmp_path / "data", seed, 4)
    code, out = run("shapes", data, as_json=False)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("model shapes on onnxruntime f32, ")
    assert lines[1] == f"data {data}, val: 4 pictures"
    assert "ms a picture (median; 95 % within" in lines[2]
    titles = next(line for line in lines if line.startswith("class"))
    assert titles.split() == ["class", "labelled", "AP50", "AP50-95", "least", "score", "precision", "recall", "F1"]
    pasted = yaml.safe_load(next(line for line in lines if "classes: {" in line))
    assert set(pasted["classes"]) <= set(SHAPES)
    assert all(0 < score < 1 for score in pasted["classes"].values())
    assert lines[-1].startswith("saved: ")


def test_other_names_are_left_out_and_said(tmp_path: Path, seed: int) -> None:
    names = ("CIRCLE", "square", "triangle", "asterisk", "cross")
    data = yolo_shapes(tmp_path / "data", seed, 6, names=names)
    _, out = run("shapes", data, as_json=False)
    assert re.search(r"! left out: (1 object|\d+ objects) of asterisk, which shapes does not know", out)
    assert "not counted: 1 class of shapes that the data does not know: star" in out
    assert re.search(r"! with this line these are no longer looked for: .*star", out)
    found = report("shapes", data)
    assert [row["class"] for row in found["detection"]["classes"]] == ["CIRCLE", "square", "triangle", "cross"]
    assert found["left_out"]["classes_of_model"] == ["star"]
    assert "circle: " in found["paste"]  # as the model spells it


def test_a_limit_takes_pictures_from_everywhere(tmp_path: Path) -> None:
    model, data = write_classifier(tmp_path / "net.onnx"), colours(tmp_path / "data")
    found = report(model, data, limit=3, labels=str(text(tmp_path / "names.txt", *COLOURS)), look="ultralytics")
    assert found["data"]["pictures"] == 9
    assert [(row["class"], row["labelled"]) for row in found["classification"]["classes"]] == [
        ("blue", 1), ("green", 1), ("red", 1)
    ]  # fmt: skip


def test_a_classifier_on_folders_of_classes(tmp_path: Path) -> None:
    model, data = write_classifier(tmp_path / "net.onnx"), colours(tmp_path / "data")
    names = str(text(tmp_path / "names.txt", *COLOURS))
    found = report(model, data, labels=names, look="ultralytics")
    classification = found["classification"]
    assert classification["top1"] == pytest.approx(8 / 9, abs=1e-3)
    assert classification["top5"] is None
    assert classification["confusion"] == [[2, 1, 0], [0, 3, 0], [0, 0, 3]]  # blue, green, red
    saved = tmp_path / "out"
    assert sorted(path.name for path in saved.iterdir()) == ["confusion.png", "mistakes.png", "scores.json"]
    code, out = run(model, data, as_json=False, labels=names, look="ultralytics")
    assert code == 0
    assert "top-1 0.889" in out


def test_a_picture_that_can_not_be_read_is_told_and_the_others_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = write_classifier(tmp_path / "net.onnx"), colours(tmp_path / "data")
    broken = data / "green" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    said: dict[str, Any] = {"labels": str(text(tmp_path / "names.txt", *COLOURS)), "look": "ultralytics"}
    code, out = run(model, data, as_json=False, **said)
    assert code == 2
    assert "! left out: 1 picture that can't be read" in out
    assert capsys.readouterr().err == f"{broken}: is cut off; the end of the picture is missing\n"
    code, out = run(model, data, **said)
    assert (code, json.loads(out)["data"]["unread"], json.loads(out)["data"]["evaluated"]) == (2, 1, 8)
    for path in data.rglob("*.png"):
        path.write_bytes(b"none")
    with pytest.raises(ConfigError, match="none of its pictures can be read"):
        run(model, data, **said)


def test_a_model_of_the_other_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises((BackendError, ConfigError), match="shapes"):
        run("shapes", colours(tmp_path / "data"))


def test_coco_labels_are_evaluated_too(tmp_path: Path, seed: int) -> None:
    yolo = yolo_shapes(tmp_path / "yolo", seed, 2)
    bgr = cv2.imread(str(yolo / "images" / "val" / "0.png"))
    assert bgr is not None
    data = tmp_path / "coco"
    data.mkdir()
    cv2.imwrite(str(data / "a.png"), bgr)
    rows = np.loadtxt(yolo / "labels" / "val" / "0.txt", ndmin=2)
    height, width = bgr.shape[:2]
    sides = rows[:, 1:] * (width, height, width, height)
    sides[:, :2] -= sides[:, 2:] / 2
    coco(
        data / "labels.json",
        images=[{"id": 1, "file_name": "a.png", "width": width, "height": height}],
        categories=[{"id": 10 * number + 5, "name": name} for number, name in enumerate(SHAPES)],
        annotations=[
            {"id": n, "image_id": 1, "category_id": int(10 * row[0] + 5), "bbox": box.tolist()}
            for n, (row, box) in enumerate(zip(rows, sides, strict=True))
        ],
    )
    found = report("shapes", data)
    assert found["data"]["split"] is None
    assert sum(row["labelled"] for row in found["detection"]["classes"]) == len(rows)
    assert found["detection"]["map50"] > 0.8


def test_what_is_not_ours_is_not_written_over(tmp_path: Path, seed: int) -> None:
    data = yolo_shapes(tmp_path / "data", seed, 2)
    saved = tmp_path / "out"
    text(saved / "curves.png", "mine")
    text(saved / "notes.txt", "mine")
    with pytest.raises(ConfigError, match=r"out holds a curves\.png that is of no evaluation; choose another folder"):
        run("shapes", data)
    (saved / "curves.png").unlink()
    assert run("shapes", data)[0] == 0
    assert run("shapes", data)[0] == 0  # our own is
    assert (saved / "notes.txt").read_text() == "mine\n"
    with pytest.raises(ConfigError, match=r"notes\.txt is no folder that can be written to"):
        run("shapes", data, save=saved / "notes.txt")


def test_ctrl_c_says_how_far_it_came(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = yolo_shapes(tmp_path / "data", seed, 4)

    def stopped(*given: Any, **named: Any) -> Iterator[Any]:  # noqa: ANN401  as the real one
        for number, one in enumerate(answers(*given, **named)):
            if number == 2:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr("streamer.evaluate.command.answers", stopped)
    assert run("shapes", data) == (130, "")
    assert capsys.readouterr().err == "stopped after 2 of 4 pictures: nothing is scored\n"
    assert not (tmp_path / "out").exists()


def test_faults_of_the_data_come_before_any_work(tmp_path: Path, seed: int) -> None:
    data = yolo_shapes(tmp_path / "data", seed, 2)
    text(data / "labels" / "val" / "1.txt", "7 0.5 0.5 0.1 0.1")
    with pytest.raises(ConfigError, match=r"1\.txt:1: class 7 is none of 0 to 4"):
        run("shapes", data)
    with pytest.raises(ConfigError, match="nosuch"):
        run("nosuch", data)
