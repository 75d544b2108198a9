"""`streamer.sh` with stand-ins for Python, apt and sudo: what it installs when, and what it says if it may not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "streamer.sh"
REAL = ("sh", "sed", "cat", "dirname", "cksum", "uname", "tail", "mktemp", "rm", "env", "mkdir", "cp", "true")

# Answers what the script asks of an interpreter; what is absent is a file in $STATE (venv, gl, mosquitto, pip-fails).
PYTHON = """#!/bin/sh
echo "python $*" >>"$STATE/calls"
case "$*" in
*version_info*minor* | *'print("python3'*) echo python3.11-venv ;;
*version_info*) [ ! -e "$STATE/old-python" ] ;;
*'import ensurepip'*) [ ! -e "$STATE/no-venv" ] ;;
*libGL*) [ ! -e "$STATE/no-gl" ] ;;
*'-m venv'*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*'-m pip'*) if [ -e "$STATE/pip-fails" ]; then echo 'no matching distribution' >&2; exit 1; fi ;;
esac
"""
APT = """#!/bin/sh
echo "apt-get $*" >>"$STATE/calls"
case "$*" in *install*) [ ! -e "$STATE/no-lists" ] || exit 100 ;; *update*) rm -f "$STATE/no-lists" ;; esac
rm -f "$STATE/no-venv" "$STATE/no-gl"
"""
SUDO_REFUSES = '#!/bin/sh\necho "sudo: a password is required" >&2\nexit 1\n'


class Newcomer:
    """A checkout and a PATH of stand-ins, the way a fresh machine looks to the script."""

    def __init__(self, root: Path) -> None:
        self.checkout = root / "my streamer"  # a space, as people have them
        self.bin = root / "bin"
        self.state = root / "state"
        for folder in (self.checkout, self.bin, self.state):
            folder.mkdir()
        shutil.copy(SCRIPT, self.checkout)
        (self.checkout / "pyproject.toml").write_text("[project]\n", "utf-8")
        for name in REAL:
            (self.bin / name).symlink_to(shutil.which(name) or name)
        self.program("python3", PYTHON)
        self.program("mosquitto", "#!/bin/sh\n")
        self.program("sudo", SUDO_REFUSES)
        self.is_user(1000)

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text, "utf-8")
        (self.bin / name).chmod(0o755)

    def is_user(self, uid: int) -> None:
        self.program("id", f"#!/bin/sh\necho {uid}\n")
        if uid == 0:
            self.program("apt-get", APT)

    def lacks(self, *what: str) -> None:
        for name in what:
            (self.state / name).touch()

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": str(self.bin), "STATE": str(self.state), "TMPDIR": str(self.state)}
        command = ["/bin/sh", str(self.checkout / "streamer.sh"), *arguments]
        return subprocess.run(
            command, cwd=cwd or self.checkout, env=environ, capture_output=True, text=True, timeout=9, check=False
        )

    def calls(self, word: str) -> list[str]:
        """What was called since the last time that mentions `word`."""
        path = self.state / "calls"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if word in line]


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    if os.name != "posix" or not shutil.which("cksum"):
        pytest.skip("needs a POSIX system")
    return Newcomer(tmp_path)


def test_without_a_command_it_says_which_there_are(newcomer: Newcomer) -> None:
    done = newcomer.run()
    assert done.returncode == 2
    assert "streamer.sh demo" in done.stderr
    assert "streamer.sh test" in done.stderr
    assert newcomer.calls("") == []


def test_demo_sets_up_once_and_hands_its_options_on(newcomer: Newcomer, tmp_path: Path) -> None:
    done = newcomer.run("demo", "--seconds", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    calls = newcomer.calls("python -m")
    extras = "demo,openvino" if os.uname().machine == "x86_64" else "demo"
    assert calls == [
        "python -m venv --clear .venv",
        f"python -m pip install --quiet --disable-pip-version-check --editable .[{extras}]",
        "python -m streamer demo --seconds 5",
    ]
    newcomer.run("demo")
    assert newcomer.calls("python -m") == ["python -m streamer demo"]


def test_a_change_of_the_requirements_is_noticed(newcomer: Newcomer) -> None:
    newcomer.run("demo")
    newcomer.calls("")
    (newcomer.checkout / "pyproject.toml").write_text("[project]\ndependencies = []\n", "utf-8")
    newcomer.run("demo")
    assert len(newcomer.calls("-m pip install")) == 1


def test_test_brings_its_own_extras(newcomer: Newcomer) -> None:
    newcomer.run("demo")
    newcomer.calls("")
    done = newcomer.run("test", "-q", "tests/core")
    assert done.returncode == 0, done.stderr
    calls = newcomer.calls("python -m")
    assert calls[0].endswith(",test]")
    assert calls[-1] == "python -m pytest -q tests/core"
    assert not any("venv" in call for call in calls)


def test_who_has_tested_can_see_the_demo_at_once(newcomer: Newcomer) -> None:
    newcomer.run("test")
    newcomer.calls("")
    newcomer.run("demo")
    assert newcomer.calls("python -m") == ["python -m streamer demo"]


def test_root_gets_what_is_missing_by_apt(newcomer: Newcomer) -> None:
    newcomer.is_user(0)
    newcomer.lacks("no-venv", "no-lists")
    done = newcomer.run("demo")
    assert done.returncode == 0, done.stderr
    assert [call.partition("=0 ")[2] for call in newcomer.calls("apt-get")] == [
        "install -y --no-install-recommends python3.11-venv",
        "update",
        "install -y --no-install-recommends python3.11-venv",
    ]


def test_root_gets_libraries_and_broker(newcomer: Newcomer) -> None:
    newcomer.is_user(0)
    newcomer.lacks("no-gl")
    (newcomer.bin / "mosquitto").unlink()
    done = newcomer.run("test")
    assert done.returncode == 0, done.stderr
    installed = newcomer.calls("apt-get")
    assert installed[0].endswith("libgl1 libglib2.0-0")
    if shutil.which("mosquitto", path="/usr/sbin:/sbin") is None:  # the script looks there, too
        assert installed[1].endswith(" mosquitto")


def test_others_are_told_what_to_install(newcomer: Newcomer) -> None:
    newcomer.program("apt-get", APT)
    newcomer.lacks("no-venv")
    done = newcomer.run("demo")
    assert done.returncode == 3
    assert done.stderr == "streamer.sh: please install first: sudo apt-get install python3.11-venv\n"
    assert newcomer.calls("apt-get") == []


def test_an_old_python_is_said_to_be_one(newcomer: Newcomer) -> None:
    newcomer.is_user(0)
    newcomer.lacks("old-python")
    done = newcomer.run("demo")
    assert done.returncode == 3
    assert "Python 3.10 or newer is needed" in done.stderr


def test_a_failed_install_shows_its_reason_and_is_tried_again(newcomer: Newcomer) -> None:
    newcomer.lacks("pip-fails")
    done = newcomer.run("demo")
    assert done.returncode == 3
    assert "no matching distribution" in done.stderr
    assert "pip could not install the packages" in done.stderr
    (newcomer.state / "pip-fails").unlink()
    assert newcomer.run("demo").returncode == 0


def test_the_exit_code_is_that_of_the_command(newcomer: Newcomer) -> None:
    newcomer.program("python3", PYTHON.replace("esac", "*'-m pytest'*) exit 5 ;;\nesac"))
    assert newcomer.run("test").returncode == 5
