"""`streamer check` as its user meets it: 200 mutated configurations, and slips of the pen."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from streamer.cli import main

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "settings"))

from test_settings_mutations import BLOCK, ENVIRON, KINDS, SECRET, UNBUILT, Mutation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
IN_PROCESS, AS_PROCESS = 195, 5


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def both(self) -> str:
        return self.out + self.err


@pytest.fixture
def streamer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """Call the command line in this process, and leave the process as it was."""
    hook, root = threading.excepthook, logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in list(root.manager.loggerDict)}
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["streamer", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert isinstance(left.value.code, int), left.value.code
        return Said(left.value.code, out, err)

    yield call
    threading.excepthook = hook
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


def mutated(number: int) -> bytes:
    """Return one of the configurations, changed in one to three places; the same for the same number."""
    chance = random.Random(number)
    data = (BLOCK if number % 3 else UNBUILT).encode()
    for _ in range(chance.randint(1, 3)):
        mutation = Mutation(chance.choice(sorted(KINDS)), chance.randrange(100_000), chance.randrange(100_000))
        data = mutation(data)
    return data


def fits(said: Said, config: Path, data: bytes) -> None:
    """Hold a check to the contract: settings, or problems with a line each, and nothing else."""
    case = f"{said}\n{data!r}"
    assert said.code in {0, 2}, case
    assert "Traceback" not in said.both, case
    assert SECRET not in said.both, case
    if said.code == 0:
        assert said.out == "", case
        return
    assert said.out, case
    lines = data.count(b"\n") + 2
    for line in said.out.splitlines():
        match = re.match(rf"{re.escape(str(config))}:(\d+): .", line)
        assert match is not None, f"{line!r}\n{case}"
        assert 1 <= int(match[1]) <= lines, case


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_195_mutations_are_right_or_told_line_by_line(
    streamer: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    config = tmp_path / "config.yaml"
    codes = set()
    for number in range(IN_PROCESS):
        data = mutated(number)
        config.write_bytes(data)
        said = streamer("check", config)
        fits(said, config, data)
        codes.add(said.code)
    assert codes == {0, 2}


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_5_mutations_as_processes_of_their_own(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    environ = os.environ | ENVIRON | {"STREAMER_CACHE": str(tmp_path / "cache")}
    for number in range(IN_PROCESS, IN_PROCESS + AS_PROCESS):
        data = mutated(number)
        config.write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-m", "streamer", "check", str(config)],
            capture_output=True, text=True, timeout=30, check=False, cwd=ROOT, env=environ,
        )  # fmt: skip
        fits(Said(done.returncode, done.stdout, done.stderr), config, data)


@pytest.mark.parametrize(
    ("change", "said_of"),
    [
        ("ca_file: nothing.pem", "mqtt.ca_file: no such file"),
        (f"ca_file: {'x' * 300}", "mqtt.ca_file: no such file"),
        ("data_dir: ./config.yaml", "data_dir: must be a folder"),
        ("data_dir: ./config.yaml/data", "data_dir: must be a folder"),
        ("source: nothing.mp4", "cameras.a.source: .*nothing.mp4"),
        (f"source: {'x' * 300}", "cameras.a.source: "),
        ("fps: 1e-300", "cameras.a.detect.fps: "),
        ("end_after: 0s", "cameras.a.events.0.end_after: "),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_what_a_run_could_not_use_is_told_with_its_line(
    streamer: Callable[..., Said], tmp_path: Path, command: str, change: str, said_of: str
) -> None:
    values = {"ca_file": "null", "data_dir": "./data", "source": "rtsp://192.0.2.1/x", "fps": "5", "end_after": "2s"}
    key, _, value = change.partition(": ")
    values[key] = value
    config = tmp_path / "config.yaml"
    config.write_text(
        """
mqtt: {{url: "mqtts://127.0.0.1:1", ca_file: {ca_file}}}
data_dir: {data_dir}
models: {{net: {{model: shapes}}}}
cameras:
  a:
    source: {source}
    frames: newest
    detect: {{model: net, fps: {fps}}}
    events: [{{name: e, class: star, end_after: {end_after}}}]
""".format(**values)
    )
    said = streamer(command, config)
    assert said.code == 2, said.both
    assert re.search(rf"{re.escape(str(config))}:\d+: {said_of}", said.both), said.both
    assert "Traceback" not in said.both


@pytest.mark.parametrize("command", ["check", "run", "events"])
def test_a_missing_variable_is_named_with_its_line(
    streamer: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.delenv("CAMERA_PASSWORD", raising=False)
    config = tmp_path / "yard.yaml"
    config.write_text((ROOT / "configs" / "yard.yaml").read_text().replace(":-change-me}", "}"))
    said = streamer(command, config)
    assert said.code == 2, said.both
    assert re.search(r"yard\.yaml:\d+: .*CAMERA_PASSWORD", said.both)
    assert "Traceback" not in said.both


@pytest.mark.parametrize(
    "arguments",
    [
        ["chekc", "c.yaml"],
        ["check", "c.yaml", "--prob"],
        ["check"],
        ["check", "c.yaml", "d.yaml"],
        ["run"],
        ["run", "c.yaml", "--log", "xml"],
        ["run", "nothing-here.yaml"],
        ["check", "nothing-here.yaml"],
        ["check", "."],
        ["events", "nothing-here.yaml"],
        ["detect"],
        ["detect", "x.jpg"],
        ["demo", "--seconds", "soon"],
        ["demo", "more"],
        ["--verison"],
    ],
    ids=" ".join,
)
def test_a_slip_in_the_command_is_two_and_said_on_stderr(streamer: Callable[..., Said], arguments: list[str]) -> None:
    said = streamer(*arguments)
    assert said.code == 2, said.both
    assert said.both.strip()
    assert "Traceback" not in said.both


def test_the_schema_is_valid_json_and_takes_the_ready_made_keys(streamer: Callable[..., Said]) -> None:
    said = streamer("check", "--schema")
    assert said.code == 0
    schema = json.loads(said.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {"mqtt", "data_dir", "models", "cameras"} <= set(schema["properties"])


def test_the_version_is_one_line_on_stdout(streamer: Callable[..., Said]) -> None:
    said = streamer("--version")
    assert said.code == 0
    assert re.fullmatch(r"streamer \d+\.\d+\.\d+\S*\n", said.out)
