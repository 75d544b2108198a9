from __future__ import annotations

import io
import json
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from streamer import doctor as doctor_module
from streamer import findings
from streamer.doctor import broker, clock, cpu, doctor, examine, memory, video_devices
from streamer.findings import Finding, State, ask, pip_line

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, "utf-8")


@pytest.mark.timeout(60)
def test_this_machine_is_examined_as_json() -> None:
    out = io.StringIO()
    assert doctor(out, as_json=True) == 0
    findings = {f["topic"]: f for f in json.loads(out.getvalue())["findings"]}
    assert findings["Python"]["found"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    for required in ("ONNX Runtime", "PyAV", "OpenCV"):
        assert findings[required]["state"] == "ok", findings[required]
    assert "h264" in findings["PyAV"]["found"]
    assert all(f["state"] in {"ok", "note"} or f["purpose"] for f in findings.values())


@pytest.mark.timeout(60)
def test_a_machine_where_nothing_can_be_seen_is_no_crash(tmp_path: Path) -> None:
    findings = {f.topic: f for f in examine(root=tmp_path)}
    assert findings["CPU"].state is State.NOTE
    assert "could not be examined" in findings["CPU"].found


def test_people_get_a_table_and_lines_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "sudo apt-get install " + "very-long-package-name " * 10
    findings = [
        Finding("CPU", State.OK, "fast [2 cores]"),
        Finding("GStreamer", State.MISSING, "not installed", "For gst: sources.", line),
    ]
    monkeypatch.setattr(doctor_module, "examine", lambda: findings)
    out = io.StringIO()
    assert doctor(out) == 0
    lines = out.getvalue().splitlines()
    assert any("fast [2 cores]" in text for text in lines)
    assert "GStreamer: not installed. For gst: sources." in lines
    assert f"    {line}".rstrip() in [text.rstrip() for text in lines]  # not wrapped
    assert "Nothing is missing." not in lines


def test_cpu_of_a_pc(tmp_path: Path) -> None:
    write(
        tmp_path,
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Some Xeon\nflags\t\t: fpu avx2 avx512_bf16 amx_bf16\n\n",
    )
    write(tmp_path, "sys/fs/cgroup/cpu.max", "50000 100000\n")
    assert cpu(tmp_path).found == "Some Xeon, 0.5 cores; avx2 avx512_bf16 amx_bf16"


def test_cpu_of_a_board(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "processor : 0\nFeatures : fp asimd bf16\n\nModel : Some Board\n")
    assert cpu(tmp_path).found.startswith("Some Board, ")
    assert cpu(tmp_path).found.endswith("; asimd bf16")


def test_memory(tmp_path: Path) -> None:
    write(
        tmp_path,
        "proc/meminfo",
        "MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable:  4194304 kB\nHugePages_Total: 0\n",
    )
    assert memory(tmp_path).found == "8.0 GiB, 4.0 GiB available"


def test_usb_cameras_are_named(tmp_path: Path) -> None:
    assert video_devices(tmp_path).state is State.NOTE
    write(tmp_path, "dev/video0", "")
    write(tmp_path, "sys/class/video4linux/video0/name", "HD Webcam\n")
    assert video_devices(tmp_path) == Finding("USB cameras", State.OK, "/dev/video0 HD Webcam")


def test_a_broker_is_found_where_one_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        assert broker("127.0.0.1", port).state is State.OK
    missing = broker("127.0.0.1", port)
    assert missing.state is State.MISSING
    assert "mosquitto" in missing.get


def test_the_clock_is_asked_not_guessed() -> None:
    assert clock().found in {"synchronised", "not synchronised"} or clock().state is State.NOTE


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module_anywhere", "not installed"),
        (
            "raise ImportError('libGL.so.1: cannot open shared object file')",
            "libGL.so.1: cannot open shared object file",
        ),
        ("os.abort()", "ended with code -6"),
        ("pass", "ended with code 0"),
    ],
)
def test_a_runtime_that_fails_is_a_reason(code: str, reason: str) -> None:
    assert ask(code) == (None, reason)


def test_a_runtime_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "LIMIT_S", 0.5)
    found, reason = ask("import threading; threading.Event().wait()")
    assert found is None
    assert "does not answer" in reason


def test_a_runtime_that_chatters_is_still_understood() -> None:
    assert ask("print('loading...'); os.system('echo banner'); say(['1.2', {'a': True}])") == (
        ["1.2", {"a": True}],
        "",
    )


def test_install_lines_name_what_the_project_asks_for() -> None:
    assert "'amqtt" in pip_line("demo")
    assert "'av" in pip_line("", "av")
    assert "paho" not in pip_line("", "av")
    assert pip_line("", "onnxruntime").count("'") == 2
