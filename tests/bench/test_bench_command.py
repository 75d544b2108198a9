"""The three sources, as their user measures them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.broker import free_port
from tiny_classifier import write_layers

from streamer.capture.record import record_scene

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def colours(folder: Path) -> Path:
    """A small classifier, and what is to be known of it."""
    path = write_layers(folder / "colours.onnx")
    path.with_suffix(".yaml").write_text("{task: classify, labels: [red, green, blue], look: ultralytics}")
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "streamer", "bench", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    quick = ("--rounds", "1", "--seconds", "0.5")
    return subprocess.run(
        command(*quick, *arguments), capture_output=True, text=True, timeout=50, cwd=ROOT, check=False
    )


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    record_scene(path, size=(320, 192), fps=10, seconds=2.0, seed=1)
    return path


@pytest.fixture(scope="module")
def of_file(clip: Path) -> dict[str, Any]:
    return report(run("--file", clip, "--model", "shapes", "--precision", "f32", "--json"))


def test_a_file_is_read_as_fast_as_it_can_be_and_again(of_file: dict[str, Any]) -> None:
    # More than its 10 frames a second, and more than its 20 in all.
    assert of_file["pipeline"]["inferred_per_s"]["median"] > 50
    assert of_file["limits"]["inference"]["net"]["per_s"]["median"] > 0
    assert 0 < of_file["share_of_limit"]["inference"]["net"]["median"] < 2
    assert of_file["age_ms"]["published"] is None
    assert of_file["models"]["net"]["precision"] == "f32"
    assert sum(of_file["drops"].values()) == 0
    if of_file["stages"] is not None:
        cores = sum(stage["cores"] for stage in of_file["stages"].values())
        assert cores == pytest.approx(of_file["pipeline"]["cores"]["median"], rel=0.1)


def test_a_classifier_looks_at_every_frame(clip: Path, tmp_path: Path) -> None:
    made = report(run("--file", clip, "--model", colours(tmp_path), "--precision", "f32", "--json"))
    assert made["models"]["net"]["task"] == "classify"
    rates = made["pipeline"]
    assert rates["inferred_per_s"] == rates["classified_per_s"]
    assert rates["inferred_per_s"]["median"] == pytest.approx(rates["decoded_per_s"]["median"], rel=0.3)
    assert made["limits"]["inference"]["net"]["per_s"]["median"] > 0
    assert made["cameras"]["file"]["state"] == "online"
    assert sum(made["drops"].values()) == 0


def test_in_tandem_each_model_is_put_beside_its_own_limit(clip: Path, tmp_path: Path) -> None:
    tree = {
        "mqtt": {"url": "embedded"},
        "models": {"shapes": {"model": "shapes", "precision": "f32"}, "kinds": {"model": str(colours(tmp_path))}},
        "cameras": {
            "belt": {
                "source": str(clip),
                "detect": {"model": "shapes"},
                "classify": [
                    {"name": "view", "model": "kinds", "of": "frame", "fps": 0},
                    {"name": "kind", "model": "kinds", "of": {"class": ["circle", "square", "triangle"]}},
                ],
            }
        },
    }
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tree))
    made = report(run("--config", tmp_path / "my.yaml", "--json"))
    assert made["cameras"]["belt"]["models"] == ["shapes", "kinds"]
    assert set(made["share_of_limit"]["inference"]) == {"shapes", "kinds"}
    rates = made["pipeline"]
    # Every frame once by itself, and its objects now and then.
    assert rates["classified_per_s"]["median"] >= 0.7 * rates["inferred_per_s"]["median"] > 0


def test_cameras_are_aged_and_are_no_match_for_a_file(of_file: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(of_file))
    arguments = ("--cameras", "2", "--size", "320x192", "--fps", "20", "--model", "shapes", "--seconds", "2")
    done = run(*arguments, "--precision", "f32", "--json", "--compare", tmp_path / "old.json")
    made = report(done)
    assert made["source"] == {"kind": "cameras", "cameras": 2, "width": 320, "height": 192, "fps": 20}
    assert made["pipeline"]["decoded_per_s"]["median"] == pytest.approx(40, rel=0.5)
    assert set(made["cameras"]) == {"cam1", "cam2"}
    assert made["cameras"]["cam2"]["state"] == "online"
    published = made["age_ms"]["published"]
    assert published["count"] >= 5
    assert 0 < published["p50"] <= published["max"]
    assert sum(one["count"] for one in published["histogram"]) == published["count"]
    assert made["compare"]["comparable"] is False
    assert "another source: kind file, now cameras" in made["compare"]["differences"]
    assert {"pipeline, frames inferred/s", "memory at most, MiB"} <= {row["name"] for row in made["compare"]["rows"]}
    assert "[1/3] round 1 of 1: the pipeline; " in done.stderr


def test_a_configuration_is_measured_and_nothing_of_its_users_is_touched(clip: Path, tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text(
        f"mqtt: {{url: 'mqtt://127.0.0.1:{free_port()}', username: me, password: hidden-word}}\n"
        "models: {a: {model: shapes, precision: f32}}\n"
        "cameras:\n"
        f"  file: {{source: {clip}, detect: {{model: a}}}}\n"
        "  live: {source: 'synthetic:shapes?size=320x192&fps=10', detect: {model: a, fps: 0}}\n"
    )
    before = sorted(tmp_path.rglob("*"))
    done = run("--config", config, "--json", "--seconds", "2")
    made = report(done)
    assert sorted(tmp_path.rglob("*")) == before
    assert made["source"]["cameras"] == 2
    assert set(made["limits"]["decoding"]) == {"file"}
    assert made["age_ms"]["published"] is None  # `publish_detections` is off, and left so
    assert made["age_ms"]["result"]["count"] >= 3
    assert "hidden-word" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cameras", "0"), "bench: --cameras 0: allowed are 1 to 64\n"),
        (("--model", "no-such-model"), "no-such-model"),
        (("--file", "README.md"), "README.md: Invalid data found when processing input\n"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_ctrl_c_ends_it_and_everything_that_it_started(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    arguments = command("--cameras", "1", "--size", "320x192", "--seconds", "60")
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environ) as process:
        assert process.stderr is not None
        assert any("round 1" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert "nothing to show" in process.stderr.read()
    assert not list(tmp_path.glob("streamer-bench-*"))
