"""`detect` on single pictures: its output, its errors, and the accuracy of the whole still-picture route."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from streamer.core.errors import BackendError, ConfigError
from streamer.core.names import canonical
from streamer.infer.recognise import SpecOptions
from streamer.stills import PictureError, _save, detect, load_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[str, float, tuple[float, float, float, float]]  # class, score, x1 y1 x2 y2 px
MODELS = {
    "yolox_nano_416": SpecOptions(head="yolox", labels="coco80"),
    "yolox_nano_v5layout": SpecOptions(),
    "yolox_nano_v8layout": SpecOptions(),
    "yolox_nano_end2end": SpecOptions(),
}
MEASURED_AT = 0.4  # the confidence of the README's figures


def run(images: Sequence[Path | str], model: Path | str, **changes: Any) -> tuple[int, str]:  # noqa: ANN401  any argument
    out = io.StringIO()
    said: dict[str, Any] = {"options": SpecOptions(), "score": 0.25, "backend": "onnxruntime", "as_json": True}
    code = detect(images, model=str(model), **(said | {"save": None} | changes), out=out)
    return code, out.getvalue()


def rows(line: str) -> list[Row]:
    return [(d["class"], d["score"], tuple(d["box"])) for d in json.loads(line)["detections"]]


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union."""
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - both)


def unmatched(wanted: Sequence[Row], found: Sequence[Row], *, iou: float, score: float) -> list[Row]:
    """Return what of `wanted` has no partner of its own in `found`."""
    left = list(found)
    missing = []
    for row in wanted:
        near = [
            other
            for other in left
            if canonical(other[0]) == canonical(row[0])
            and abs(other[1] - row[1]) <= score
            and overlap(other[2], row[2]) > iou
        ]
        if near:
            left.remove(max(near, key=lambda other: overlap(other[2], row[2])))
        else:
            missing.append(row)
    return missing


def above(given: Sequence[Row], threshold: float) -> list[Row]:
    """Leave out what lies within 0.05 of the threshold: it may fall on either side."""
    return [row for row in given if row[1] > threshold + 0.05]


def measured(readme: str, model: str) -> dict[str, list[Row]]:
    """Read the section of one model from the data's README."""
    section = readme.split(f"### {model}.onnx", 1)[1].split("###", 1)[0]
    found = {}
    for name, text in re.findall(r"^- (\S+\.jpg): (.*)$", section, re.MULTILINE):
        said = re.findall(r"([a-z ]+?) (\d\.\d+) \[(-?\d+), (-?\d+), (-?\d+), (-?\d+)\]", text)
        found[name] = [(c.strip(), float(s), (float(a), float(b), float(x), float(y))) for c, s, a, b, x, y in said]
    return found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("model", MODELS)
def test_the_measured_detections_are_met(shared_data: Path, model: str) -> None:
    wanted = measured((shared_data / "README.md").read_text("utf-8"), model)
    assert len(wanted) == 7
    images = [shared_data / "images" / name for name in wanted]
    code, out = run(images, shared_data / "models" / f"{model}.onnx", options=MODELS[model], score=MEASURED_AT - 0.05)
    assert code == 0
    for line, (name, expected) in zip(out.splitlines(), wanted.items(), strict=True):
        found = rows(line)
        assert not unmatched(above(expected, MEASURED_AT), found, iou=0.8, score=0.05), (name, found)
        assert not unmatched(above(found, MEASURED_AT), expected, iou=0.8, score=0.05), (name, found)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("model", MODELS)
def test_two_runtimes_say_the_same(shared_data: Path, model: str) -> None:
    if (
        importlib.util.find_spec("openvino") is None
    ):  # importing it here would start its telemetry: the adapter knows how
        pytest.skip("needs openvino")
    images = sorted((shared_data / "images").glob("*.jpg"))
    assert images
    path, threshold = shared_data / "models" / f"{model}.onnx", 0.25
    answers = [
        run(images, path, options=MODELS[model], score=threshold - 0.05, backend=backend)[1].splitlines()
        for backend in ("onnxruntime", "openvino")
    ]
    compared = 0
    for image, ours, theirs in zip(images, *answers, strict=True):
        a, b = rows(ours), rows(theirs)
        compared += len(above(a, threshold))
        assert not unmatched(above(a, threshold), b, iou=0.99, score=0.01), image.name
        assert not unmatched(above(b, threshold), a, iou=0.99, score=0.01), image.name
    assert compared > 30


def test_json_is_one_object_of_the_contract_a_line(shared_data: Path) -> None:
    image = shared_data / "images" / "dog.jpg"
    code, out = run([image, str(image)], shared_data / "models" / "yolox_nano_v8layout.onnx")
    assert code == 0
    first, second = map(json.loads, out.splitlines())
    assert first == second
    assert list(first) == ["image", "width", "height", "model", "detections"]
    assert (first["image"], first["width"], first["height"]) == (str(image), 768, 576)
    assert first["model"] == "yolox_nano_v8layout"
    best = first["detections"][0]
    assert list(best) == ["class", "class_id", "score", "box"]
    assert (best["class"], best["class_id"]) == ("dog", 16)
    assert all(side == round(side, 1) for side in best["box"])


def test_text_is_for_people(shared_data: Path) -> None:
    images = [shared_data / "images" / name for name in ("dog.jpg", "airport_aerial.jpg")]
    _, out = run(images, shared_data / "models" / "yolox_nano_v8layout.onnx", as_json=False, score=0.4)
    assert "dog.jpg (768x576): 4 objects" in out
    assert re.search(r"^  dog      0\.8\d  \[ +1\d\d ", out, re.MULTILINE)
    assert "airport_aerial.jpg" in out
    assert out.rstrip().endswith("no objects")


def test_a_picture_that_fails_does_not_stop_the_others(
    shared_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    images = [tmp_path / "missing.jpg", shared_data / "images" / "dog.jpg", broken]
    with caplog.at_level(logging.ERROR):
        code, out = run(images, shared_data / "models" / "yolox_nano_v8layout.onnx")
    assert code == 2
    assert [json.loads(line)["image"] for line in out.splitlines()] == [str(images[1])]
    assert [record.message for record in caplog.records] == [
        f"{images[0]}: there is no such file",
        f"{broken}: is no picture that can be decoded",
    ]


def test_pictures_are_saved_under_names_of_their_own(shared_data: Path, tmp_path: Path) -> None:
    original = load_picture(shared_data / "images" / "dog.jpg")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        cv2.imwrite(str(folder / "dog.png"), original)
    images = [folder / "dog.png" for folder in folders]
    before = images[0].read_bytes()
    model = shared_data / "models" / "yolox_nano_v8layout.onnx"
    assert run(images, model, save=folders[0])[0] == 0  # the folder of a given picture
    assert images[0].read_bytes() == before
    assert sorted(path.name for path in folders[0].iterdir()) == ["dog-2.png", "dog-3.png", "dog.png"]
    drawn = load_picture(folders[0] / "dog-2.png")
    assert drawn.shape == original.shape
    assert (drawn != original).any()


def test_a_picture_too_large_for_its_format_is_not_saved_empty(tmp_path: Path) -> None:
    target = tmp_path / "wide.jpg"
    with pytest.raises(ConfigError, match=r"wide\.jpg can't be written: 70000x2 px are too many for \.jpg"):
        _save(np.zeros((2, 70000, 3), np.uint8), target)
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp"])
def test_thin_lines_keep_their_color_when_saved(tmp_path: Path, suffix: str) -> None:
    picture = np.full((60, 60, 3), 255, np.uint8)
    picture[:, 31] = (0, 0, 255)
    _save(picture, tmp_path / f"line{suffix}")
    blue, green, red = load_picture(tmp_path / f"line{suffix}")[30, 31].astype(int)
    assert red > 230
    assert max(blue, green) < 60


def test_a_folder_that_can_not_be_made_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="--save"):
        run([], "yolox-nano", save=tmp_path / "file" / "sub")


def test_a_model_that_is_unclear_ends_before_any_picture(shared_data: Path) -> None:
    with pytest.raises(BackendError, match="of head yolox with 80 classes"):
        run(["missing.jpg"], shared_data / "models" / "yolox_nano_416.onnx")


def test_exif_turns_a_picture(tmp_path: Path) -> None:
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, :20] = 255
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    # Orientation 6: turn by 90 degrees clockwise.
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    exif = b"Exif\x00\x00" + tiff
    path = tmp_path / "türned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    turned = load_picture(path)
    assert turned.shape == (40, 20, 3)
    assert turned[:15].mean() > 250
    assert turned[25:].mean() < 5


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_that_was_cut_off_is_not_completed(tmp_path: Path, suffix: str) -> None:
    whole = cv2.imencode(suffix, np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole)
    assert load_picture(path).shape == (64, 64, 3)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(PictureError, match="is cut off"):
        load_picture(path)


def test_grey_deep_and_transparent_pictures_become_bgr(tmp_path: Path) -> None:
    for number, picture in enumerate(
        [np.full((8, 9), 7, np.uint8), np.full((8, 9, 3), 60_000, np.uint16), np.full((8, 9, 4), 7, np.uint8)]
    ):
        path = tmp_path / f"{number}.png"
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        read = load_picture(path)
        assert (read.shape, read.dtype.name) == ((8, 9, 3), "uint8")


@pytest.mark.parametrize("name", [".", "/dev/null", "x" * 300, "a\0b"])
def test_what_is_no_picture_file_is_named(name: str) -> None:
    with pytest.raises(PictureError):
        load_picture(Path(name))


def test_an_empty_file_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(PictureError, match="no picture that can be decoded"):
        load_picture(tmp_path / "empty.jpg")
