from __future__ import annotations

import io
from pathlib import Path

import pytest
from tiny_classifier import write_classifier

from streamer.bench.command import bench
from streamer.bench.subject import (
    SIZES,
    Options,
    check_model,
    check_options,
    models_of,
    open_subject,
    plain,
    size_of,
)
from streamer.capture.record import record_scene
from streamer.core.errors import ConfigError
from streamer.infer.spec import Task
from streamer.pipeline.frames import OUTSTANDING
from streamer.settings import load


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(file=Path(__file__), cameras=1), "--file and --cameras exclude each other"),
        (Options(cameras=1, config=Path("x")), "--cameras and --config exclude each other"),
        (Options(size="720p"), "--size and --fps are for --cameras"),
        (Options(fps=5), "--size and --fps are for --cameras"),
        (Options(cameras=0), "--cameras 0: allowed are 1 to 64"),
        (Options(cameras=65), "allowed are 1 to 64"),
        (Options(cameras=1, fps=0), "--fps 0: allowed are 1 to 120"),
        (Options(cameras=1, size="1080i"), "--size '1080i': allowed are 360p,"),
        (Options(config=Path("x"), model="shapes"), "--model does not go with --config"),
        (Options(config=Path("x"), look="torch"), "--look does not go with --config"),
        (Options(config=Path("x"), precision="f32"), "--precision does not go with --config"),
        (Options(publish=True), "--publish goes with --config only"),
        (Options(file=Path("nowhere.mp4")), "no such file: nowhere.mp4"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(options: Options, said: str) -> None:
    with pytest.raises(ConfigError, match="bench: ") as caught:
        check_options(options)
    assert said in str(caught.value)


@pytest.mark.parametrize(("rounds", "seconds"), [(0, 5.0), (101, 5.0), (1, 0.4), (1, 1e9), (1, float("nan"))])
def test_a_measurement_that_can_be_none(rounds: int, seconds: float) -> None:
    with pytest.raises(ConfigError, match="allowed are "):
        bench(Options(rounds=rounds, seconds=seconds), as_json=False, compare=None, out=io.StringIO())


@pytest.mark.parametrize("size", [*SIZES, "1080P", "640x480", "64x64"])
def test_sizes(size: str) -> None:
    width, height = size_of(size)
    assert width % 2 == height % 2 == 0


@pytest.mark.parametrize("size", ["", "640", "640x", "641x480", "62x64", "9999x64", "640*480", "１０80p"])  # noqa: RUF001
def test_no_sizes(size: str) -> None:
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT in even numbers"):
        size_of(size)


def test_a_clip_becomes_a_configuration_that_looks_at_every_frame(tmp_path: Path) -> None:
    clip = tmp_path / "my clip – é.mp4"  # noqa: RUF001  a name as people have them
    record_scene(clip, size=(320, 192), fps=10, seconds=0.5, seed=1)
    said: list[str] = []
    with open_subject(Options(file=clip, backend="onnxruntime", precision="f32"), tmp_path, said.append) as subject:
        settings = load(subject.config, {}).settings
    camera = settings.cameras["file"]
    assert camera.source.reveal() == str(clip)
    assert (camera.delivery, camera.detect_fps) == ("every", 0.0)
    assert camera.publish_detections is not None
    assert (settings.models["net"].backend, settings.models["net"].precision) == ("onnxruntime", "f32")
    assert subject.facts["bytes"] == clip.stat().st_size
    assert any("no --model" in line for line in said)


def test_a_classifier_is_shown_each_whole_frame(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    record_scene(clip, size=(320, 192), fps=10, seconds=0.5, seed=1)
    path = write_classifier(tmp_path / "c.onnx")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    names = str(tmp_path / "names.txt")
    options = Options(file=clip, model=str(path), labels=names, look="ultralytics", activation="softmax")
    task = check_model(options)
    assert task is Task.CLASSIFY
    with open_subject(options, tmp_path, lambda _: None, task=task) as subject:
        settings = load(subject.config, {}).settings
    camera, model = settings.cameras["file"], settings.models["net"]
    assert (model.look, model.activation) == ("ultralytics", "softmax")
    assert camera.detect is None
    assert [(looks.model, looks.rate, looks.of.objects) for looks in camera.classify] == [("net", 0.0, False)]
    assert models_of(camera) == {"net": 2}


def test_how_many_pictures_may_wait_for_each_model(tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text(
        "models: {a: {model: shapes}, b: {model: shapes}}\n"
        "cameras:\n"
        "  one:\n"
        "    source: rtsp://192.0.2.1/x\n"
        "    detect: {model: a}\n"
        "    classify:\n"
        "      - {name: view, model: b, of: frame}\n"
        "      - {name: kind, model: b, of: {class: [circle]}}\n"
    )
    assert models_of(load(config, {}).settings.cameras["one"]) == {"a": 1, "b": 1 + OUTSTANDING}


def test_a_text_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("A text that FFmpeg would draw.\n" * 900)
    with (
        pytest.raises(ConfigError, match=r"bench: --file .*notes\.txt: it holds no video"),
        open_subject(Options(file=text), tmp_path, lambda _: None),
    ):
        pass


def test_a_configuration_is_taken_as_it_is(tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text(
        "models: {a: {model: shapes}}\n"
        "cameras:\n"
        "  one: {source: one.mp4, detect: {model: a}}\n"
        "  two: {source: 'rtsp://u:secret@192.0.2.1/x', detect: {model: a}}\n"
        "  off: {source: off.mp4, enabled: false, detect: {model: a}}\n"
    )
    with open_subject(Options(config=config), tmp_path, lambda _: None) as subject:
        pass
    assert subject.config == config
    assert subject.files == {"one": tmp_path / "one.mp4"}
    assert subject.live
    assert subject.facts["cameras"] == 2
    assert "secret" not in repr(subject)


def test_a_message_does_not_name_the_benchs_own_file() -> None:
    assert plain("/tmp/x y/bench.yaml:6: models.net.precision: not here") == "bench: precision: not here"  # noqa: S108
    assert plain("bench.yaml:9: cameras.file.source: no such file") == "bench: source: no such file"
    assert plain("my.yaml:6: models.net.precision: no") == "my.yaml:6: models.net.precision: no"
