"""`streamer models`: what it prints, what it writes, and how it leaves."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest
from servers.weights import WeightsServer, give, pour, say

from streamer.add_model import add_model
from streamer.core.errors import BackendError, ConfigError
from streamer.infer.catalogue import open_catalogue
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.models import list_models, show_model

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SHAPES = open_catalogue({}).weights(open_catalogue({}).entry("shapes"))
MODEL = SHAPES.read_bytes()
SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")  # the servers here are on this machine
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with WeightsServer(files={"/w.onnx": MODEL}) as running:
        yield running


def sidecar(folder: Path, server: WeightsServer, name: str = "own") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(
        f"url: {server.url('/w.onnx')}\nsha256: {SHA256}\nbytes: {len(MODEL)}\nlicence: MIT\nhead: v8\n"
        "labels: [circle, square, triangle, star, cross]\n"
    )
    return path


def streamer(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamer", *map(str, arguments)],
        capture_output=True, text=True, timeout=30, check=False, cwd=ROOT, env=os.environ | environ,
    )  # fmt: skip


def listed(*, as_json: bool = False) -> list[str]:
    out = io.StringIO()
    assert list_models(out, as_json=as_json) == 0
    return out.getvalue().splitlines()


def test_the_list_is_whole_at_80_columns_and_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("80", "20", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        lines = listed()
        assert max(map(len, lines)) <= 80
        assert [line.split()[0] for line in lines[1 : lines.index("")]] == sorted(
            open_catalogue().names(), key=lambda name: (open_catalogue().entry(name).sidecar.task != "detect", name)
        )
        assert not any("\x1b" in line or "…" in line for line in lines)
    assert lines[0].split() == ["name", "task", "input", "AP,", "top-1", "licence", "size", "sum", "here"]


def test_each_score_names_its_source() -> None:
    lines = listed()
    row = next(line for line in lines if line.startswith("yolox-nano "))
    assert row.split()[:8] == ["yolox-nano", "detect", "416", "25.8", row.split()[4], "Apache-2.0", "3.7", "MB"]
    assert row.split()[-1] == "no"
    assert f"{row.split()[4]} Megvii-BaseDetection/YOLOX README, val2017" in lines


def test_the_list_tells_what_is_here(cache: Path) -> None:
    cache.mkdir()
    (cache / "yolox-nano.onnx").write_bytes(b"x" * 3659407)
    (cache / "yolox-tiny.onnx").write_bytes(b"cut off")
    rows = {line.split()[0]: line.split()[-1] for line in listed() if line}
    assert (rows["yolox-nano"], rows["yolox-tiny"], rows["yolox-s"], rows["shapes"]) == ("yes", "wrong", "no", "yes")


def test_machines_get_an_object_a_line() -> None:
    models = {model["name"]: model for model in map(json.loads, listed(as_json=True))}
    assert set(models) == set(open_catalogue().names())
    assert models["yolox-s"]["ap"] == 40.5
    assert models["yolox-s"]["here"] is False
    assert models["shapes"]["path"] == str(SHAPES)
    assert models["mobilenetv2"]["top1_source"] == "opencv/opencv_zoo README"


def shown(model: str | Path) -> dict[str, str]:
    out = io.StringIO()
    assert show_model(str(model), out) == 0
    return {key: value.strip() for key, value in (line.split(":", 1) for line in out.getvalue().splitlines())}


def test_show_tells_everything_of_a_model_that_is_here() -> None:
    said = shown("shapes")
    assert said["here"] == f"{SHAPES}; its checksum is right"
    assert said["use"] == "head v8, decided by catalogue"
    assert said["classes"] == "5: circle, square, triangle, star, cross"
    assert said["sees"] == "320x192 px, rgb, letterbox, pad 114"
    assert said["values"] == "(pixel * 1/255 - 0) / 1"
    assert said["notes"].startswith("Measured on scenes it never saw")


def test_show_tells_how_to_get_one_that_is_not(cache: Path) -> None:
    assert shown("yolox-nano")["here"] == "no; `streamer models pull yolox-nano` fetches it"
    assert "no sentence of it names the weights" in shown("yolox-nano")["notes"]
    cache.mkdir()
    (cache / "yolox-nano.onnx").write_bytes(b"other bytes")
    assert shown("yolox-nano")["here"].endswith("its checksum is WRONG: it is not used")
    assert "`streamer models pull yolox-nano` gets it anew" in shown("yolox-nano")["use"]


def test_show_of_a_file_tells_what_it_is(tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    shutil.copy(SHAPES, copy)
    said = shown(copy)
    assert (said["file"], said["sha256"]) == (str(copy), SHA256)
    assert said["catalogue"] == "these are the bytes of shapes"
    copy.write_bytes(b"nothing")
    with pytest.raises(BackendError, match="is no ONNX file"):
        shown(copy)
    with pytest.raises(ConfigError, match="'yolox-nana' is not in the catalogue"):
        shown("yolox-nana")


@pytest.mark.timeout(40)
def test_a_pull_as_its_user_meets_it(server: WeightsServer, tmp_path: Path, cache: Path) -> None:
    path = sidecar(tmp_path, server)
    server.answers["/w.onnx"] = give(MODEL, stop_after=200_000)
    done = streamer("models", "pull", path)
    assert (done.returncode, done.stdout) == (0, f"own: {cache}/own.onnx (0.4 MB, licence MIT)\n")
    assert done.stderr == f"own: from {server.url('/w.onnx')}\n"
    assert (cache / "own.onnx").read_bytes() == MODEL
    again = streamer("models", "pull", path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "was here already" in again.stdout
    assert load_spec(str(path)).digest == f"sha256:{SHA256}"


@pytest.mark.timeout(40)
def test_one_that_fails_keeps_no_other_from_coming(server: WeightsServer, tmp_path: Path, cache: Path) -> None:
    bad, good = tmp_path / "bad.yaml", sidecar(tmp_path, server)
    bad.write_text(f"url: {server.url('/none')}\nsha256: {'0' * 64}\n")
    done = streamer("models", "pull", bad, good)
    assert done.returncode == 3
    assert f"model bad can't be had: {server.url('/none')}: there is no such file (HTTP 404)" in done.stderr
    assert f"`streamer models pull {bad} --from FOLDER`" in done.stderr
    assert "Traceback" not in done.stderr
    assert (cache / "own.onnx").is_file()


@pytest.mark.timeout(60)
def test_wrong_arguments_are_two_and_nothing_is_fetched(server: WeightsServer, tmp_path: Path, cache: Path) -> None:
    path = sidecar(tmp_path, server)
    nowhere = [(path, "--from", origin) for origin in ("", "http://", "https:///models")]
    for arguments in ((path, "yolox-nana"), (path, "--from", tmp_path / "none"), (SHAPES,), (), *nowhere):
        done = streamer("models", "pull", *arguments)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr
    assert server.asked == []
    assert not cache.exists()


@pytest.mark.timeout(40)
def test_a_terminal_sees_a_bar_and_ctrl_c_ends_it(server: WeightsServer, tmp_path: Path, cache: Path) -> None:
    path, hold = sidecar(tmp_path, server), threading.Event()
    server.answers["/w.onnx"] = pour(MODEL[:100_000], length=len(MODEL), hold=hold)
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "streamer", "models", "pull", str(path)],
        stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    with child:
        while b"/359.7 kB" not in seen:  # the bar
            seen += os.read(ours, 4096)
        child.send_signal(signal.SIGINT)
        hold.set()
        assert child.wait(timeout=10) == 130
    with pytest.raises(OSError, match="Input/output error"):  # the other end has left
        while True:
            seen += os.read(ours, 4096)
    os.close(ours)
    assert b"the same command goes on from there" in seen
    assert b"Traceback" not in seen
    came = (cache / "own.onnx.part").stat().st_size
    assert 0 < came <= 100_000
    del server.answers["/w.onnx"]
    assert streamer("models", "pull", path).returncode == 0
    assert server.asked[-1].range == f"bytes={came}-"


@pytest.mark.timeout(40)
def test_detect_says_how_to_get_what_is_missing() -> None:
    picture = str(ROOT / "tests" / "none.jpg")
    done = streamer("detect", picture, "--model", "yolox-nano")
    assert done.returncode == 3
    assert "`streamer models pull yolox-nano` fetches them (3.7 MB, licence Apache-2.0, https://" in done.stderr


def test_wrong_bytes_are_never_used(server: WeightsServer, tmp_path: Path, cache: Path) -> None:
    cache.mkdir()
    (cache / "own.onnx").write_bytes(MODEL[:-1] + b"x")
    with pytest.raises(BackendError, match="its sha256 is"):
        load_spec(str(sidecar(tmp_path, server)))


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """A model that neither sidecar nor catalogue knows: `shapes` with a byte more of what a reader skips."""
    path = tmp_path / "mine" / "parts.onnx"
    path.parent.mkdir()
    path.write_bytes(MODEL + b"\x1a\x01x")  # the field `domain` of a ModelProto, once more
    return path


def added(path: Path, *, name: str | None = None, picture: Path | None = None, force: bool = False) -> str:
    out = io.StringIO()
    options = SpecOptions(head="v8", labels=["circle", "square", "triangle", "star", "cross"], size=(192, 320))
    assert add_model(path, options=options, name=name, picture=picture, force=force, out=out) == 0
    return out.getvalue()


def test_add_writes_down_all_that_was_decided(unknown: Path) -> None:
    said = added(unknown)
    written = unknown.with_suffix(".yaml")
    assert "head v8, decided by options" in said
    assert str(written) in said
    spec = load_spec(str(unknown))
    assert (spec.decided_by, spec.labels) == ("sidecar", ("circle", "square", "triangle", "star", "cross"))
    given = load_spec(str(unknown), options=SpecOptions(head="v8", labels=spec.labels, size=(192, 320)))
    assert (spec.input, spec.ids, spec.columns) == (given.input, given.ids, given.columns)
    assert load_spec(str(written)).input == spec.input
    assert cv2.imread(str(unknown.with_name("parts-seen.jpg"))) is not None


def test_add_writes_over_nothing_unless_told_to(unknown: Path) -> None:
    written = unknown.with_suffix(".yaml")
    written.write_text("licence: MIT\nnotes: by hand\nids: 7\n")
    with pytest.raises(ConfigError, match=r"parts\.yaml: is there already; --force writes over it"):
        added(unknown)
    assert written.read_text() == "licence: MIT\nnotes: by hand\nids: 7\n"
    written.write_text("licence: MIT\nnotes: by hand\n")
    added(unknown, force=True)
    assert "licence: MIT\n" in written.read_text()
    assert "notes: by hand\n" in written.read_text()
    added(unknown, name="other")
    assert load_spec(str(unknown.with_name("other.yaml"))).path == unknown


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        ("head: [broken\n", "Nothing is kept of the sidecar that was there: .*is no YAML text"),
        (f"sha256: {'0' * 64}\nhead: yolox\nlicence: MIT\n", "it tells of another file"),
        ("head: yolox\nids: 7\nlabels: [a]\nsize: 64\n", "head v8, decided by options"),
        ("file: other.onnx\n", "head v8, decided by options"),
    ],
)
def test_what_is_replaced_is_not_believed(unknown: Path, earlier: str, said: str) -> None:
    written = unknown.with_suffix(".yaml")
    written.write_text(earlier)
    assert re.search(said, added(unknown, force=True))
    assert "licence" not in written.read_text()
    assert load_spec(str(unknown)).head == "v8"


def test_add_looks_at_a_picture_of_ones_own(unknown: Path, tmp_path: Path) -> None:
    assert "the portrait that ships" in added(unknown, name="a")
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), cv2.imread(str(ROOT / "streamer" / "infer" / "data" / "hopper.jpg")))
    assert f"{picture} (384x450): " in added(unknown, name="b", picture=picture)
    with pytest.raises(ConfigError, match=r"--picture: .*there is no such file"):
        added(unknown, name="c", picture=tmp_path / "none.png")
    assert not unknown.with_name("c.yaml").exists()


@pytest.mark.parametrize("name", ["", "a/b", "..", "x\n", " x"])
def test_a_sidecars_name_is_a_plain_one(unknown: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--name: "):
        added(unknown, name=name)


def test_add_takes_a_model_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no \.onnx file"):
        added(tmp_path / "net.pt")
    with pytest.raises(ConfigError, match="there is no file"):
        added(tmp_path / "none.onnx")


@pytest.mark.timeout(40)
def test_add_asks_where_doubt_is_left(shared_data: Path, tmp_path: Path) -> None:
    model = tmp_path / "nano.onnx"
    shutil.copy(shared_data / "models" / "yolox_nano_416.onnx", model)
    with pytest.raises(BackendError, match="choose with --labels"):
        add_model(model, options=SpecOptions(), name=None, picture=None, force=False, out=io.StringIO())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nano.onnx"]
    done = streamer("models", "add", model, "--labels", "coco80", "--picture", shared_data / "images" / "dog.jpg")
    assert done.returncode == 0, done.stderr
    assert "dog" in done.stdout
    assert "labels: coco80\n" in model.with_suffix(".yaml").read_text()
    again = streamer("detect", shared_data / "images" / "dog.jpg", "--model", model, "--json")
    assert {"dog", "bicycle", "car"} <= {found["class"] for found in json.loads(again.stdout)["detections"]}


def test_a_server_that_answers_nonsense_is_one_line(server: WeightsServer, tmp_path: Path) -> None:
    server.answers["/w.onnx"] = say(200, b"<html>log in", Content_Type="text/html")
    done = streamer("models", "pull", sidecar(tmp_path, server))
    assert done.returncode == 3
    (_, line) = done.stderr.splitlines()
    assert "answers with a web page, not the file" in line
