"""What the doctor finds, and how it asks: each runtime in a process of its own, with a limit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from typing import Any

LIMIT_S = 10.0  # of each probe; they run side by side


class State(str, Enum):
    """How a finding is to be taken."""

    OK = "ok"
    MISSING = "missing"  # something that would help is not there
    NOTE = "note"  # for information


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    state: State
    found: str
    purpose: str = ""  # what it is for, a sentence; given when it is missing
    get: str = ""  # the exact line that installs it


def ask(code: str) -> tuple[Any, str]:
    """Run `code`, which calls `say(value)` once, in an interpreter of its own.

    What a vendor prints goes to stderr, so that stdout holds the answer alone.

    Returns:
        The value, or None and why there is none.
    """
    program = (
        f"import json, os\nout = os.dup(1)\nos.dup2(2, 1)\ndef say(v): os.write(out, json.dumps(v).encode())\n{code}"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603  ours
    except subprocess.TimeoutExpired:
        return None, f"does not answer within {LIMIT_S:.0f} s"
    if done.returncode == 0 and done.stdout:
        return json.loads(done.stdout), ""
    last = (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]
    kind, _, reason = last.partition(": ")
    return None, "not installed" if kind == "ModuleNotFoundError" else (reason or last)[:200]


def required(topic: str, code: str, purpose: str, get: str) -> Finding:
    """Ask for what should be there."""
    found, error = ask(code)
    if found is None:
        return Finding(topic, State.MISSING, error, purpose, get)
    return Finding(topic, State.OK, str(found))


def pip_line(extra: str, package: str = "") -> str:
    """Return the line that installs the packages of an extra (or only one of them) as pyproject wants them."""
    wanted = []
    for line in metadata.requires("streamer") or []:
        requirement, _, condition = (part.strip() for part in line.partition(";"))
        belongs = f'"{extra}"' in condition.replace("'", '"') if extra else not condition
        if belongs and requirement.startswith(package):
            wanted.append(f"'{requirement}'")
    return f"{sys.executable} -m pip install {' '.join(wanted) or package or extra}"
