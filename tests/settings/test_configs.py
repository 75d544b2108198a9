"""Every ready-made configuration loads, and editors find no fault in it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from streamer.settings import json_schema, load

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
ENVIRON = {"PORCH_PASSWORD": "a@b/c", "CAMERA_PASSWORD": "x y"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_loads_with_nothing_set(path: Path) -> None:
    assert load(path, {}).settings.cameras


def test_there_are_some() -> None:
    assert {path.stem for path in CONFIGS} >= {"porch", "yard", "file", "feed", "jetson", "tandem", "factory-line"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_loads(path: Path) -> None:
    settings = load(path, ENVIRON).settings

    assert settings.cameras
    assert settings.data_dir.is_absolute()
    assert "a@b/c" not in repr(settings)
    assert "a%40b%2Fc" not in repr(settings)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_fits_the_schema_for_editors(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(path.read_text()))


def test_the_yard_shares_and_overrides_by_anchors() -> None:
    cameras = load(Path(CONFIGS[0]).with_name("yard.yaml"), ENVIRON).settings.cameras

    assert cameras["garage"].detect is not None
    assert cameras["garage"].detect.classes == {"person": 0.5, "car": 0.6, "truck": 0.6}
    assert cameras["shed"].detect == cameras["yard"].detect
    assert not cameras["shed"].enabled
    assert cameras["yard"].source.reveal() == "rtsp://admin:x%20y@192.0.2.21:554/stream2"


def test_the_file_is_read_frame_by_frame_and_the_feed_at_full_rate() -> None:
    film = load(Path(CONFIGS[0]).with_name("file.yaml"), {"VIDEO": "films/a.mp4"}).settings.cameras["film"]
    front = load(Path(CONFIGS[0]).with_name("feed.yaml"), {}).settings.cameras["front"]

    assert (film.delivery, film.detect_fps) == ("every", 0.0)
    assert film.source.reveal() == str(CONFIGS[0].parent / "films/a.mp4")
    assert (front.delivery, front.detect_fps, front.max_age_s, front.events) == ("newest", 0.0, 0.15, ())
