"""The service unit: known keys only, hardened, and still able to do its work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[1] / "systemd" / "streamer.service"
THRESHOLD = 30  # exposure, tenths


@pytest.fixture
def unit_here(tmp_path: Path) -> Path:
    """A copy whose program and documentation exist on this machine, as `verify` wants."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    text = UNIT.read_text("utf-8")
    program = "/opt/streamer/.venv/bin/streamer"
    assert f"ExecStart={program} run " in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, shutil.which("true") or "/bin/true"), "utf-8")
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=9, check=False)


def test_systemd_knows_every_key(unit_here: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=one", str(unit_here))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_wrong_key_would_be_found(unit_here: Path) -> None:
    unit_here.write_text(unit_here.read_text("utf-8").replace("WatchdogSec=", "WatchDog="), "utf-8")
    done = analyze("verify", "--man=no", "--recursive-errors=one", str(unit_here))
    assert done.returncode != 0
    assert "WatchDog" in done.stderr


def test_it_is_exposed_no_more_than_it_must(unit_here: Path) -> None:
    done = analyze("security", "--offline=yes", f"--threshold={THRESHOLD}", "--no-pager", str(unit_here))
    assert done.returncode == 0, done.stdout


def test_it_restarts_after_a_fault_and_only_then() -> None:
    lines = [line for line in UNIT.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#")]
    service = dict(line.split("=", 1) for line in lines)  # of keys given twice the last one; none of those is asked for
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"].split() == ["2"]
    assert service["SuccessExitStatus"] == "4"
    assert int(service["TimeoutStopSec"]) > 5  # a stop takes up to 5 s
    assert int(service["WatchdogSec"]) > 2 * 3  # a camera's read may last 3 s, and the feeding comes at half the limit
    assert service["MemoryDenyWriteExecute"] == "no"  # OpenVINO compiles at run time
    assert "video" in service["SupplementaryGroups"].split()
