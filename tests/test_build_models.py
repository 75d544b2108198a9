"""`streamer models build`: what it prints, what it keeps, and how it leaves."""

from __future__ import annotations

import functools
import io
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tiny_classifier import write_classifier, write_layers

from streamer.build_frames import frames_of
from streamer.build_models import build_model
from streamer.build_progress import _Lines
from streamer.core.errors import BackendError, ConfigError
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.progress import Progress
from streamer.infer.engine.prove import trial_canvases
from streamer.infer.recognise import SpecOptions, load_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from nvidia import FakeGpu

    from streamer.infer.engine.stored import StoredEngine

pytestmark = pytest.mark.slow  # each build is a process of its own

ROOT = Path(__file__).resolve().parents[1]


class Building:
    """Builds with the fakes; faults are set for this process and for the builder."""

    def __init__(self, cache: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.environ = environ
        self.cache = EngineCache(cache / "tensorrt")
        self._monkeypatch = monkeypatch

    def faults(self, **values: Any) -> None:  # noqa: ANN401  fields of Faults
        from tensorrt._faults import Faults, set_faults  # noqa: PLC0415  there only while the fixture is

        faults = Faults(**values)
        set_faults(faults)
        for name, value in faults.environ().items():
            self.environ[name] = value
            self._monkeypatch.setenv(name, value)

    def build(self, model: str = "shapes", **values: Any) -> tuple[int, str]:  # noqa: ANN401  of build_model
        given = {
            "options": SpecOptions(), "precision": "auto", "batch": 2, "device": 0, "frames": None, **values,
        }  # fmt: skip
        out = io.StringIO()
        return build_model(model, out=out, **given), out.getvalue()

    def engine(self, precision: str, model: str = "shapes") -> StoredEngine | None:
        return self.cache.find_any(load_spec(model, task=None), precision, this_platform(0))


@functools.cache
def enough_canvases() -> list[NDArray[np.uint8]]:
    """Return 34 of the 48: with three less there is too little to decide on."""
    return trial_canvases(load_spec("shapes"))[:34]


@pytest.fixture
def building(tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> Building:
    environ = {**fake_gpu.environ, "STREAMER_CACHE": str(tmp_path / "cache")}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "streamer.build_models.trial_canvases",
        lambda spec: enough_canvases() if spec.name == "shapes" else trial_canvases(spec)[:20],
    )
    return Building(tmp_path / "cache", environ, monkeypatch)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Return a folder of pictures of shapes."""
    folder = tmp_path / "frames"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(4):
        picture = np.full((192, 320, 3), rng.integers(60, 120), np.uint8)
        for _ in range(4):
            x, y = (int(place) for place in rng.integers(30, 160, 2))
            colour = tuple(int(part) for part in rng.integers(0, 256, 3))
            cv2.circle(picture, (x, y), 22, colour, -1)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.mark.timeout(30)  # the kernels are compiled in it, once a session
def test_auto_builds_and_keeps_an_f16_engine(building: Building, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = building.build()
    assert code == 0
    lines = dict(line.split(":", 1) for line in said.splitlines())
    assert list(lines) == ["engine", "file", "built", "batch", "layers", "proof"]
    assert lines["engine"].strip() == "shapes f16, kept"
    stored = building.engine("f16")
    assert stored is not None
    assert str(stored.plan_path) in lines["file"]
    assert "in f16" in lines["layers"]
    assert "on the picture that ships: weak" in lines["proof"]
    assert (stored.facts["proof"]["decision"], stored.facts["proof"]["source"]) == ("use", "trial")
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "shapes f16: looking at this machine"
    assert "shapes f16: TensorRT builds it" in told
    code, said = building.build()
    assert code == 0
    assert "built:        before, in " in said


@pytest.mark.timeout(30)
def test_where_f16_does_not_agree_it_is_f32(building: Building, capsys: pytest.CaptureFixture[str]) -> None:
    building.faults(noise=(("f16", 0.3),))
    code, said = building.build()
    assert code == 0
    assert "shapes f16, refused" in said
    assert "shapes f32, kept" in said
    assert "model shapes: its f16 engine is refused: it does not agree with ONNX Runtime (" in capsys.readouterr().err
    refused = building.engine("f16")
    assert refused is not None
    assert refused.facts["proof"]["decision"] == "refuse"


def test_where_nothing_can_be_built_both_are_tried(building: Building, capsys: pytest.CaptureFixture[str]) -> None:
    building.faults(build_fails="Error Code 10: no implementation")
    with pytest.raises(BackendError, match="model shapes: no f32 engine: TensorRT can't build it: Error Code 10"):
        building.build()
    assert "model shapes: no f16 engine: TensorRT can't build it" in capsys.readouterr().err


def test_an_engine_that_forgot_its_precision_is_refused(building: Building, capsys: pytest.CaptureFixture[str]) -> None:
    building.faults(forget_precision=True)
    code, said = building.build(precision="f16")
    assert code == 3
    assert "shapes f16, refused" in said
    assert "kept" not in said
    assert "none of its layers computes in f16" in capsys.readouterr().err


def test_int8_is_calibrated_and_proved_on_the_frames(
    building: Building, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = building.build(precision="int8", frames=frames)
    assert "shapes int8: 4 pictures are few" in capsys.readouterr().err
    stored = building.engine("int8")
    assert stored is not None
    assert stored.facts["precisions"]["int8"] > 5
    assert stored.facts["proof"]["source"] == "frames"
    assert "on your frames" in said
    assert code == (3 if stored.facts["proof"]["decision"] == "refuse" else 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"precision": "int8"}, "--precision int8: needs --frames, a folder of pictures or a clip of your own"),
        ({"device": 7}, "device: GPU 7 is not here; there is one, 0"),
        ({"frames": Path("nowhere")}, "--frames: nowhere: there is no such folder or clip"),
        ({"model": "yolo-nonsense"}, "is not in the catalogue"),
    ],
)
def test_wrong_arguments(building: Building, values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        building.build(**values)


def test_a_batch_that_the_model_does_not_take(building: Building) -> None:
    with pytest.raises(ConfigError, match=r"--batch 9: model shapes takes 1\.\.8 pictures at once"):
        building.build(batch=9)


@pytest.fixture
def colours(tmp_path: Path) -> str:
    """A small classifier with layers that can be brought to f16 and to 8 bits."""
    path = write_layers(tmp_path / "colours.onnx")
    path.with_suffix(".yaml").write_text("{task: classify, labels: [red, green, blue], look: ultralytics}")
    return str(path)


@pytest.mark.timeout(30)
def test_a_classifier_is_built_and_held_to_its_classes(building: Building, colours: str, frames: Path) -> None:
    code, said = building.build(colours, frames=frames)
    assert code == 0
    assert "colours f16, kept" in said
    assert "100.0% of 4 pictures show the same, scores differ by 0.0" in said
    stored = building.engine("f16", colours)
    assert stored is not None
    proof = stored.facts["proof"]
    assert (proof["head"], proof["threshold"], proof["agreement"]["frames"]) == ("classifier none", 0.0, 4)


@pytest.mark.timeout(30)
def test_a_classifier_whose_f16_engine_shows_other_classes_is_built_in_f32(building: Building, colours: str) -> None:
    building.faults(noise=(("f16", 20.0),))
    code, said = building.build(colours)
    assert code == 0
    assert "colours f16, refused" in said
    assert "colours f32, kept" in said


@pytest.mark.timeout(30)
def test_a_classifier_is_calibrated_as_a_detector_is(
    building: Building, colours: str, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = building.build(colours, precision="int8", frames=frames)
    assert "it is proved on the same ones; 100 or more" in capsys.readouterr().err
    stored = building.engine("int8", colours)
    assert stored is not None
    assert stored.facts["precisions"]["int8"] >= 1
    assert code == (3 if stored.facts["proof"]["decision"] == "refuse" else 0)


@pytest.mark.timeout(30)
def test_a_classifier_that_answers_in_mappings_is_refused_in_a_sentence(building: Building, tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "azure.onnx", last=("Softmax",), keys=("red", "green", "blue"))
    with pytest.raises(BackendError, match=r"model azure: no f32 engine: .*ZipMap") as caught:
        building.build(str(path), options=SpecOptions(look="ultralytics"), batch=None, precision="f32")
    assert len(str(caught.value).splitlines()) == 1


def streamer(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamer", "models", "build", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environ, timeout=9,
    )  # fmt: skip


def without_fakes(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "STREAMER_CACHE": str(tmp_path)}


def test_without_tensorrt_it_says_how_to_get_it(tmp_path: Path) -> None:
    try:
        import tensorrt  # noqa: F401, PLC0415  only whether it is there
    except ImportError:
        done = streamer("shapes", environ=without_fakes(tmp_path))
        assert done.returncode == 3
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert "tensorrt is not installed" in done.stderr
        assert "pip install" in done.stderr
    else:
        pytest.skip("TensorRT is installed here")


@pytest.mark.parametrize("arguments", [["--batch", "9"], ["--precision", "bf16"], ["--device", "-1"]])
def test_arguments_that_are_no_choice_are_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    assert streamer("shapes", *arguments, environ=without_fakes(tmp_path)).returncode == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_ends_the_build_and_leaves_nothing(building: Building, terminal: bool) -> None:  # noqa: FBT001
    from tensorrt._steps import BuildSteps  # noqa: PLC0415  there only while the fixture is

    with BuildSteps() as steps:
        building.faults(steps_port=steps.port)
        above, below = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "streamer", "models", "build", "shapes"],
            stdout=subprocess.PIPE, stderr=below if terminal else subprocess.PIPE, cwd=ROOT,
            env={**building.environ, "TERM": "xterm"},
        ) as process:  # fmt: skip
            os.close(below)
            steps.wait()
            process.send_signal(signal.SIGINT)
            said = read_all(above) if terminal else process.communicate(timeout=8)[1].decode()
            assert process.wait(8) == 130
        os.close(above)
    assert "interrupted; nothing is left of the engine that was not done" in said
    assert "Traceback" not in said
    assert [path.name for path in building.cache.folder.glob("*.*")] == []
    assert list((building.cache.folder / "work").glob("*/*")) == []


def read_all(terminal: int) -> str:
    said = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # so Linux tells that nobody writes any more
            return said.decode(errors="replace")
        if not part:
            return said.decode(errors="replace")
        said += part


def test_lines_are_few_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with _Lines("m f16", clock=lambda: now[0]) as watch:
        for second in range(100):
            now[0] = float(second)
            watch.at(Progress(phase="build", share=second / 100))
    assert capsys.readouterr().err.splitlines() == [
        "m f16: TensorRT builds it",
        "m f16: TensorRT builds it, 30%",
        "m f16: TensorRT builds it, 60%",
        "m f16: TensorRT builds it, 90%",
    ]
    assert not watch.tick()


def test_frames_of_a_folder_are_drawn_as_the_model_sees_them(frames: Path) -> None:
    spec = load_spec("shapes").input
    canvases = frames_of(frames, spec)
    assert canvases.shape == (4, *spec.hw, 3)
    first = cv2.cvtColor(cv2.imread(str(frames / "0.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(canvases[0], first)


def test_frames_of_a_clip_are_spread_over_it(shared_data: Path) -> None:
    clip = shared_data / "videos" / "person-bicycle-car-detection-preview.mp4"
    canvases = frames_of(clip, load_spec("shapes").input, most=6)
    assert 3 <= len(canvases) <= 6


def test_a_broken_picture_among_the_frames_is_named(frames: Path) -> None:
    (frames / "2.png").write_bytes((frames / "2.png").read_bytes()[:60])
    with pytest.raises(ConfigError, match=r"--frames: .*2\.png: is cut off"):
        frames_of(frames, load_spec("shapes").input)


@pytest.mark.parametrize("content", [None, b"no clip"])
def test_what_holds_no_pictures_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.mp4"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"--frames: .*x\.mp4"):
        frames_of(path, load_spec("shapes").input)
