"""What the gate has decided, kept from one start to the next. A proof holds for exactly what it was made with."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .answers import evidence_of, read_as
from .backends.open import choose, runtime_version
from .comparison import Decision, Verdict

if TYPE_CHECKING:
    from .spec import ModelSpec

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofKey:
    """What a proof was made for: on any other value it says nothing."""

    digest: str  # of the model file
    precision: str
    backend: str
    runtime: str  # version
    machine: str  # CPU or GPU
    head: str  # how its outputs are read
    threshold: float
    iou: float


def proof_key(spec: ModelSpec, *, backend: str, precision: str, threshold: float, iou: float) -> ProofKey:
    """Return the key for a model on this machine; `backend` may be `auto`."""
    return ProofKey(
        digest=spec.digest,
        precision=precision,
        backend=choose(backend),
        runtime=runtime_version(backend),
        machine=machine_name(),
        head=read_as(spec),
        threshold=threshold,
        iou=iou,
    )


def machine_name() -> str:
    """Return the CPU's own name, for the key of a proof."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []  # not Linux
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "model\t", "CPU part"))]
    return " ".join(dict.fromkeys(named)) or platform.processor() or platform.machine()


def load_proof(folder: Path, key: ProofKey) -> Verdict | None:
    """Read what was proved for exactly this key; None where nothing was, or the file can't be understood."""
    try:
        stored = json.loads(_path(folder, key).read_text("utf-8"))
        if stored["version"] != _VERSION or stored["key"] != asdict(key):
            return None
        return Verdict(
            decision=Decision(stored["decision"]), agreement=evidence_of(stored["agreement"]), gain=stored["gain"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # proved anew from real frames: nothing is lost but a minute


def save_proof(folder: Path, key: ProofKey, verdict: Verdict) -> None:
    """Write a verdict, whole or not at all; also a refusal, which then is not asked for again at once.

    Raises:
        OSError: the folder can't be written.
    """
    path = _path(folder, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {
        "version": _VERSION,
        "key": asdict(key),
        "decision": verdict.decision.value,
        "agreement": asdict(verdict.agreement),
        "gain": verdict.gain,
    }
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(stored, indent=1), "utf-8")
    part.replace(path)


def _path(folder: Path, key: ProofKey) -> Path:
    digest = key.digest.removeprefix("sha256:")[:16]
    return folder / "proofs" / f"{digest}-{key.backend}-{key.precision}-{key.threshold:g}.json"
