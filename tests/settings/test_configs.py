"""Every ready-made configuration is right as it stands, and with what it offers instead."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from streamer.check import check
from streamer.core.decision import Verdict
from streamer.infer.recognise import load_spec
from streamer.settings import json_schema, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.settings import Camera

FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
PASSWORD = "Pass/w@rd-77"  # noqa: S105  an example
# A line of YAML that is commented out: it may take the place of the line above it, or be added to it.
OFFERED = re.compile(r"( *)# (- \{name: .*|[a-z_]+: .*)")
of_each = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


def head(path: Path) -> str:
    """Return the comment that a file begins with."""
    return path.read_text("utf-8").partition("\n\n")[0]


def asked_for(path: Path) -> dict[str, str]:
    """Return the environment that a file's head asks for."""
    return dict.fromkeys(re.findall(r"export ([A-Z_]+)=", head(path)), PASSWORD)


def place_of(line: str) -> tuple[str, ...]:
    """Return what tells a line from its neighbours: its indentation, and its key or the name in it."""
    found = re.match(r"( *)(?:- \{name: )?([a-z_-]+)", line)
    return found.groups() if found else ()


def with_offers(path: Path, *, last: bool) -> str:
    """Return a configuration with all that it offers; of several lines for one place with the first or the last."""
    lines: list[str] = []
    taken = False  # whether the line above is one that was offered
    for line in path.read_text("utf-8").removeprefix(head(path)).splitlines():
        offer = OFFERED.fullmatch(line)
        if offer is None:
            if not line.lstrip().startswith("#"):
                lines.append(line)
                taken = False
            continue
        new = "".join(offer.groups())
        if place_of(lines[-1]) != place_of(new):
            lines.append(new)
        elif last or not taken:
            lines[-1] = new
        taken = True
    return "\n".join(lines) + "\n"


def checked(path: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, cache: Path) -> tuple[int, str]:
    """Check a configuration as on a machine that has downloaded nothing; return the exit code and the problems."""
    for name in re.findall(r"\$\{([A-Z_]+)", path.read_text("utf-8")):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STREAMER_CACHE", str(cache))
    out = io.StringIO()
    return check(path, probe=False, out=out), out.getvalue()


def cameras(name: str) -> Mapping[str, Camera]:
    path = FOLDER / f"{name}.yaml"
    return load(path, asked_for(path)).settings.cameras


def test_there_is_one_for_each_kind_of_user() -> None:
    kinds = {"cpu", "doorstep", "factory-line", "file", "jetson", "robot", "tandem", "yard"}
    assert {path.stem for path in CONFIGS} == kinds


@of_each
def test_is_right_with_what_its_head_asks_for(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(path, asked_for(path), monkeypatch, tmp_path) == (0, "")
    assert PASSWORD not in capsys.readouterr().err


@of_each
def test_is_right_with_nothing_set(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(path, {}, monkeypatch, tmp_path) == (0, "")


@of_each
@pytest.mark.parametrize("which", ["first", "last"])
def test_is_right_with_what_it_offers(
    path: Path,
    which: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = with_offers(path, last=which == "last")
    if "chip:" in text:
        pytest.importorskip("gpiod")
    copy = tmp_path / path.name
    copy.write_text(text, "utf-8")
    assert checked(copy, asked_for(path), monkeypatch, tmp_path / "cache") == (0, "")


@of_each
def test_a_head_says_what_to_run_and_names_each_variable_that_is_needed(path: Path) -> None:
    assert f"streamer run configs/{path.name}" in head(path)
    wanted = re.findall(r"\$\{([A-Z_]+)(?:|:-change-me)\}", path.read_text("utf-8"))
    assert set(wanted) == set(asked_for(path))


@of_each
def test_shows_no_password(path: Path) -> None:
    settings = load(path, asked_for(path)).settings
    assert settings.data_dir == FOLDER / "data" / path.stem
    for camera in settings.cameras.values():
        assert "Pass" not in f"{camera!r}{camera.source}"


@of_each
def test_fits_the_schema_for_editors(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(path.read_text("utf-8")))


def test_a_small_doorstep_becomes_a_real_one(tmp_path: Path) -> None:
    path = tmp_path / "door.yaml"
    path.write_text(with_offers(FOLDER / "doorstep.yaml", last=True), "utf-8")
    door = load(path, {"DOOR_PASSWORD": PASSWORD}).settings.cameras["door"]

    assert door.source.reveal() == "rtsp://user:Pass%2Fw%40rd-77@192.0.2.20/stream2"
    assert door.clip is not None
    assert {rule.name: rule.class_names for rule in door.events or ()} == {
        "visitor": ("person",),
        "parcel-left": ("suitcase", "handbag"),
        "dog": ("dog",),
        "parcel-taken": ("suitcase", "handbag"),
        "someone-at-parcel": (),
    }


def test_the_yard_shares_and_overrides_by_anchors() -> None:
    yard = cameras("yard")

    assert yard["yard"].detect is not None
    assert yard["drive"].detect is not None
    assert (yard["yard"].detect.classes, yard["yard"].detect.zoom) == ({"person": 0.5}, True)
    assert yard["drive"].detect.classes == {"person": 0.5, "car": 0.6, "truck": 0.6}
    assert yard["shed"].detect == yard["drive"].detect
    assert not yard["shed"].enabled
    assert yard["drive"].source.reveal() == "rtsp://admin:Pass%2Fw%40rd-77@192.0.2.21/stream2"


def test_the_line_judges_each_picture_by_every_class_that_its_network_knows() -> None:
    line = cameras("factory-line")["line"]
    rule = line.decides

    assert (line.delivery, line.detect_fps, line.gated) == ("every", 0.0, False)
    assert rule is not None
    assert rule.decide is not None
    assert line.detect is not None
    assert (rule.decide.trigger.kind, rule.decide.deadline_s, rule.decide.otherwise) == ("frame", 0.4, Verdict.REJECT)
    assert rule.class_names == tuple(line.detect.classes or ()) == load_spec("pcb-defects").labels


def test_the_robot_sees_each_frame_and_nothing_old() -> None:
    front = cameras("robot")["front"]
    assert (front.delivery, front.detect_fps, front.max_age_s, front.gated) == ("newest", 0.0, 0.15, False)
    assert front.publish_detections is not None
    assert front.events == ()


def test_the_small_box_decodes_no_more_than_it_must() -> None:
    for camera in cameras("cpu").values():
        assert camera.idles
        assert 0 < camera.detect_fps <= 3


def test_a_file_is_read_frame_by_frame() -> None:
    film = load(FOLDER / "file.yaml", {"VIDEO": "films/a.mp4"}).settings.cameras["film"]
    assert (film.delivery, film.detect_fps) == ("every", 0.0)
    assert film.source.reveal() == str(FOLDER / "films/a.mp4")
