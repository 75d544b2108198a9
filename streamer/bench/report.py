"""All rounds of a measurement as one JSON object, whose keys are documented in docs/bench.md."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from streamer.figures import DROP_CAUSES

from .distribution import ages, rounded, spread
from .machine import circumstances
from .threads import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rounds import Round
    from .subject import Options, Subject

SCHEMA = 1
KIND = "streamer bench"

Report = dict[str, Any]


def build(options: Options, subject: Subject, rounds: Sequence[Round]) -> Report:
    """Put everything that was measured together.

    Args:
        options: what was asked for.
        subject: what was measured.
        rounds: at least one.
    """
    models, files = _in_all([r.infer for r in rounds]), _in_all([r.decode for r in rounds])
    together = subject.kind == "cameras"  # they all show one clip
    return {
        "schema": SCHEMA,
        "kind": KIND,
        **circumstances(),
        "source": {"kind": subject.kind, **subject.facts},
        "options": {"rounds": options.rounds, "seconds": options.seconds, "publish": options.publish},
        "rounds_done": len(rounds),
        "models": _models(rounds),
        "pipeline": _pipeline(rounds),
        "limits": {
            "inference": {name: _limit([r.infer[name] for r in rounds]) for name in models},
            "decoding": {name: _limit([r.decode[name] for r in rounds]) for name in files},
        },
        "share_of_limit": {
            "inference": {name: _spread([_of_inference(r, name) for r in rounds]) for name in models},
            "decoding": {name: _spread([_of_decoding(r, name, together=together) for r in rounds]) for name in files},
        },
        "engines": {name: _engine(rounds, name) for name in models if _on_gpu(rounds, name)},
        "age_ms": {
            "published": _ages([age for r in rounds for age in r.published_ms]),
            "result": _ages([age for r in rounds for c in r.pipeline["cameras"].values() for age in c["ages_ms"]]),
        },
        "drops": _drops(rounds),
        "stages": _stages(rounds),
        "cameras": {name: _camera(rounds, name) for name in rounds[0].pipeline["cameras"]},
        "memory_mib": {key: _memory(rounds, key) for key in ("start", "peak", "end")},
        "cores_used_by": {
            who: _median([share for r in rounds if (share := r.shares[who]) is not None])
            for who in ("bench", "cameras", "foreign")
        },
        "rounds": [_round(r) for r in rounds],
    }


def _in_all(limits: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names that every round has: a camera may have been offline in one of them."""
    return [name for name in limits[0] if all(name in one for one in limits)]


def _models(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return each model as it ran last; a precision that was proved meanwhile is not taken up in the middle."""
    return rounds[-1].pipeline["models"]  # type: ignore[no-any-return]  # as the child has answered


def _pipeline(rounds: Sequence[Round]) -> dict[str, Any]:
    return {
        "inferred_per_s": _spread([_per_s(r, "inferred") for r in rounds]),
        "decoded_per_s": _spread([_per_s(r, "decoded") for r in rounds]),
        "classified_per_s": _spread([_per_s(r, "classified") for r in rounds]),
        "cpu_ms_per_frame": _spread([_ms(r.pipeline["process_cpu_s"], _total(r, "inferred")) for r in rounds]),
        "cores": _spread([r.pipeline["process_cpu_s"] / r.pipeline["elapsed_s"] for r in rounds]),
    }


def _total(one: Round, counter: str) -> int:
    return sum(camera[counter] for camera in one.pipeline["cameras"].values())


def _per_s(one: Round, counter: str) -> float:
    return _total(one, counter) / float(one.pipeline["elapsed_s"])


def _ms(cpu_s: float, frames: int) -> float:
    return cpu_s / max(1, frames) * 1e3


def _limit(limits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    batch = {"batch": limits[-1]["batch"]} if "batch" in limits[-1] else {}
    return {
        "per_s": _spread([limit["per_s"] for limit in limits]),
        "cpu_ms_per_frame": _spread([limit["cpu_ms"] for limit in limits]),
        **batch,
    }


def _of_inference(one: Round, model: str) -> float:
    """Return the rate of a model as a share of its limit in the same round."""
    return float(one.pipeline["asked"][model] / one.pipeline["elapsed_s"] / one.infer[model]["per_s"])


def _on_gpu(rounds: Sequence[Round], model: str) -> bool:
    return bool(_models(rounds)[model]["backend"] == "tensorrt")


def _engine(rounds: Sequence[Round], model: str) -> dict[str, Any]:
    """Return an engine's own time for a batch, and the part of the time in which the pipeline keeps it busy."""
    limits = [one.infer[model] for one in rounds]
    return {
        "batch": limits[-1]["batch"],
        "batch_ms": _spread([limit["batch_ms"] for limit in limits]),
        "pipeline_batch_ms": _median([ms for one in rounds if (ms := one.pipeline["infer_ms"].get(model)) is not None]),
        "busy": _spread([_busy(one, model) for one in rounds]),
    }


def _busy(one: Round, model: str) -> float:
    """Return what the engine alone would have taken for the pipeline's pictures, as a part of the time they took."""
    limit = one.infer[model]
    return float(one.pipeline["asked"][model] / limit["batch"] * limit["batch_ms"] / 1e3 / one.pipeline["elapsed_s"])


def _of_decoding(one: Round, camera: str, *, together: bool) -> float:
    """Return the decoded rate of a camera, or of all of them together, as a share of decoding its file alone."""
    cameras = one.pipeline["cameras"]
    frames = sum(c["decoded"] for c in cameras.values()) if together else cameras[camera]["decoded"]
    return float(frames / one.pipeline["elapsed_s"] / one.decode[camera]["per_s"])


def _drops(rounds: Sequence[Round]) -> dict[str, int]:
    total: Counter[str] = Counter(dict.fromkeys(DROP_CAUSES, 0))
    for one in rounds:
        for camera in one.pipeline["cameras"].values():
            total.update(camera["dropped"])
    return {cause: total[cause] for cause in DROP_CAUSES}


def _stages(rounds: Sequence[Round]) -> dict[str, Any] | None:
    """Return what each stage costs, medians over the rounds; None where the system does not tell."""
    told = [r for r in rounds if r.pipeline["stages_cpu_s"] is not None]
    if not told:
        return None
    return {
        stage: {
            "cpu_ms_per_frame": _median([_ms(r.pipeline["stages_cpu_s"][stage], _total(r, "inferred")) for r in told]),
            "cores": _median([r.pipeline["stages_cpu_s"][stage] / r.pipeline["elapsed_s"] for r in told]),
        }
        for stage in STAGES
    }


def _camera(rounds: Sequence[Round], name: str) -> dict[str, Any]:
    seen = [(r.pipeline["cameras"][name], r.pipeline["elapsed_s"]) for r in rounds]
    told = [(c, s) for c, s in seen if c["capture_cpu_s"] is not None]
    dropped: Counter[str] = Counter()
    for camera, _ in seen:
        dropped.update(camera["dropped"])
    last = seen[-1][0]
    return {
        "size": last["size"],
        "state": last["state"],
        "model": next(iter(last["models"])),
        "models": list(last["models"]),
        "decoded_per_s": _median([c["decoded"] / s for c, s in seen]),
        "inferred_per_s": _median([c["inferred"] / s for c, s in seen]),
        "classified_per_s": _median([c["classified"] / s for c, s in seen]),
        "capture_cpu_ms_per_frame": _median([_ms(c["capture_cpu_s"], c["decoded"]) for c, _ in told]),
        "capture_cores": _median([c["capture_cpu_s"] / s for c, s in told]),
        "age_p50_ms": _median([age for c, _ in seen for age in c["ages_ms"]]),
        "dropped": dict(dropped),
    }


def _memory(rounds: Sequence[Round], key: str) -> float | None:
    return _median([mib for r in rounds if (mib := r.pipeline["memory_mib"][key]) is not None])


def _round(one: Round) -> dict[str, Any]:
    """Return the plain rates of one round, for those who want to do their own statistics."""
    return {
        "inferred_per_s": rounded(_per_s(one, "inferred")),
        "classified_per_s": rounded(_per_s(one, "classified")),
        "decoded_per_s": rounded(_per_s(one, "decoded")),
        "cores": rounded(one.pipeline["process_cpu_s"] / one.pipeline["elapsed_s"]),
        "inference_limit_per_s": {name: rounded(limit["per_s"]) for name, limit in one.infer.items()},
        "decoding_limit_per_s": {name: rounded(limit["per_s"]) for name, limit in one.decode.items()},
        "foreign_cores": None if one.shares["foreign"] is None else rounded(one.shares["foreign"]),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    found = spread(values)
    return None if found is None else found.as_json()


def _ages(values_ms: Sequence[float]) -> dict[str, Any] | None:
    found = ages(values_ms)
    return None if found is None else found.as_json()


def _median(values: Sequence[float]) -> float | None:
    return rounded(statistics.median(values)) if values else None
