"""Every ready-made configuration runs: its own file, drawn scenes for its cameras, a real broker, `streamer run`.

What is not there in a clean checkout gets a stand-in, and nothing else of a file is changed:

- the address of a camera, where no variable names it: a drawn scene; that of its `record` stream: nobody;
- a detector that has to be downloaded: the shipped `shapes` network, whose five shapes get the names of five classes;
- a classifier that has to be downloaded: a tiny one, whose classes are those that the rules ask for.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from servers.broker import Mosquitto, Subscriber, free_port, mosquitto_program, wait_until
from tiny_classifier import write_classifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {path.stem: path for path in sorted((ROOT / "configs").glob("*.yaml"))}
DRAWN = "synthetic:shapes?fps=5&seed=4"
PEOPLE = ["objects/person"]
STREET = ("person", "car", "truck", "dog", "cat")

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(150)]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a file is tried, and what has to be heard of each of its cameras."""

    answers: Mapping[str, Sequence[str]]  # camera -> what its answers come under
    classes: Sequence[str] = ()  # what the five shapes are called, where its detector is not here
    drawn: Sequence[str] = ()  # cameras whose addresses are those of real ones
    environ: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "streamer"
    disabled: Sequence[str] = ()


TRIALS = {
    "cpu": Trial(
        answers={"front": PEOPLE, "side": PEOPLE, "cellar": PEOPLE},
        classes=STREET,
        drawn=["front", "side", "cellar"],
    ),
    "doorstep": Trial(answers={"door": ["objects/person", "objects/parcel"]}),
    "factory-line": Trial(answers={"line": ["decision", "detections"]}),
    "file": Trial(answers={"film": ["event"]}, environ={"VIDEO": "synthetic:shapes?seconds=4&pace=fast&seed=4"}),
    "jetson": Trial(
        answers={"drive": PEOPLE, "dock": PEOPLE, "gate": PEOPLE},
        classes=STREET,
        drawn=["drive", "dock", "gate"],
    ),
    "robot": Trial(
        answers={"front": ["detections"]},
        classes=("person", "chair", "dining table", "sofa", "dog"),
        environ={"ROBOT_CAMERA": DRAWN},
    ),
    "tandem": Trial(
        answers={"porch": ["objects/person", "class/door"]},
        classes=("person", "suitcase", "handbag", "car", "dog"),
        drawn=["porch"],
    ),
    "yard": Trial(
        answers={"drive": ["objects/car"], "yard": PEOPLE, "garden": ["objects/cat"]},
        classes=STREET,
        drawn=["drive", "yard", "garden"],
        prefix="streamer/home",
        disabled=["shed"],
    ),
}


def written(folder: Path, name: str, trial: Trial) -> Path:
    """Write a copy of a configuration, with stand-ins beside it for what is not here."""
    text = CONFIGS[name].read_text("utf-8")
    text = text.replace("model: yolox-nano", "model: ./detector.yaml")
    text = text.replace("model: squeezenet1.1", "model: ./classifier.onnx")
    text = re.sub(r"(?m)^(    record: ).*", rf"\1rtsp://127.0.0.1:{free_port()}/nobody", text)
    for camera in trial.drawn:
        text, replaced = re.subn(rf"(?m)^(  {camera}:\n(?:    .*\n)*?    source: ).*", rf"\g<1>{DRAWN}", text)
        assert replaced == 1, camera
    network = ROOT / "engines" / "shapes.onnx"
    detector = yaml.safe_load(network.with_suffix(".yaml").read_text("utf-8"))
    named = {"file": str(network), "labels": list(trial.classes)}
    (folder / "detector.yaml").write_text(yaml.safe_dump(detector | named), "utf-8")
    write_classifier(folder / "classifier.onnx", classes=4)
    kind = {"task": "classify", "labels": ["carton", "crate", "packet", "mailbag"], "look": "torch"}
    (folder / "classifier.yaml").write_text(yaml.safe_dump(kind), "utf-8")
    copy = folder / f"{name}.yaml"
    copy.write_text(text, "utf-8")
    return copy


class Running:
    """A configuration that runs, with a broker of its own."""

    def __init__(self, folder: Path, name: str, stack: ExitStack) -> None:
        folder.mkdir()
        self.trial = TRIALS[name]
        self.code: int | None = None
        self._stopped = False
        mosquitto = stack.enter_context(Mosquitto(folder / "broker"))
        self._told: set[str] = set()  # topics under which something was said
        self._heard = Subscriber(mosquitto.port, on_arrival=self._note).start()
        stack.callback(self._heard.stop)
        self._log = folder / "log"
        given = {
            "MQTT_HOST": f"127.0.0.1:{mosquitto.port}",
            "STREAMER_CACHE": str(folder / "cache"),
            "CUDA_VISIBLE_DEVICES": "",  # an engine for a GPU takes minutes
        }
        secrets = dict.fromkeys(re.findall(r"export ([A-Z_]+)=", CONFIGS[name].read_text("utf-8")), "a/b@c")
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "streamer", "run", str(written(folder, name, self.trial))],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | given | secrets | dict(self.trial.environ),
            )
        stack.callback(self._child.wait, 10)
        stack.callback(self._child.kill)  # of one that has ended nothing

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    def states(self, camera: str) -> list[str]:
        told = self._heard.on(f"{self.trial.prefix}/{camera}/status")
        return [json.loads(payload)["state"] for payload in told if payload]

    def answered(self, camera: str) -> bool:
        """Whether each thing that is told of a camera's pictures has been told: that it is there, or that it is not."""
        return {f"{self.trial.prefix}/{camera}/{under}" for under in self.trial.answers[camera]} <= self._told

    def ended(self) -> bool:
        """Stop it as a user does, once each camera has answered; say whether it has ended."""
        if not self._stopped and all(map(self.answered, self.trial.answers)):
            self._child.send_signal(signal.SIGTERM)
            self._stopped = True
        self.code = self._child.poll()
        return self.code is not None

    def _note(self, topic: str, payload: bytes) -> None:
        if payload not in (b"", b"null"):
            self._told.add(topic)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Running]:
    """All of them at the same time, each stopped as soon as it has shown that it works."""
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    folder = tmp_path_factory.mktemp("ready")
    with ExitStack() as stack:
        running = {name: Running(folder / name, name, stack) for name in CONFIGS}

        def all_ended() -> bool:
            left = [run for run in running.values() if not run.ended()]  # each is looked after, whatever the others do
            return not left

        with suppress(AssertionError):  # which of them has not ended each test says of its own
            wait_until(all_ended, 120, "the end of all runs")
    return running


@pytest.mark.parametrize("name", CONFIGS)
def test_runs_until_it_is_stopped_and_answers_for_each_camera(runs: dict[str, Running], name: str) -> None:
    run = runs[name]
    assert run.code == 0, run.log
    assert "Traceback" not in run.log
    configured = yaml.safe_load(CONFIGS[name].read_text("utf-8"))["cameras"]
    assert set(configured) == {*run.trial.answers, *run.trial.disabled}
    for camera in run.trial.answers:
        assert run.states(camera)[:2] == ["connecting", "online"], run.log
        assert run.answered(camera), f"{camera}\n{run.log}"
    for camera in run.trial.disabled:
        assert run.states(camera) == ["disabled"], run.log
