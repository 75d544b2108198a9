"""Train `engines/doorway.onnx`, which finds people and parcels in the drawn doorway, and measure it.

From the root of a checkout, in the virtual environment of `shapes.py`:

    PYTHONPATH=. ../training/bin/python engines/training/doorway.py --bf16 --threads 1

It writes the weights and their sidecar. Equal seeds give equal pictures and equal first weights; rounding differs from
processor to processor.
"""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

import argparse
import hashlib
import logging
import math
from pathlib import Path

import numpy as np
import torch
import yaml
from doorway_samples import training_samples, vary
from doorway_score import SCORE, measure
from exported import export
from shapes import Recipe, train
from shapes_samples import INPUT_HW, PAD

from streamer.capture.scenes.doorway import KINDS

_log = logging.getLogger("doorway")
_ENGINES = Path(__file__).resolve().parents[1]
# Pictures, of each scene, share of any time, and steps. Each round goes on with other pictures: the last with many more
# houses, and more of what stands before them and is no parcel.
_ROUNDS = ((7000, 10, 0.2, 2200), (6000, 10, 0.2, 1000), (4500, 3, 0.4, 900))


def sidecar(path: Path) -> str:
    """Return the YAML that stands beside the file."""
    data = path.read_bytes()
    facts = {
        "file": path.name,
        "task": "detect",
        "head": "v8",
        "labels": list(KINDS),
        "size": list(INPUT_HW),
        "color": "rgb",
        "scale": "1/255",
        "fit": "letterbox",
        "pad": PAD,
        "licence": "Apache-2.0",
        "source": "trained by this project: engines/training/doorway.py",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "measured": measured(path),
        "notes": (
            f"Measured on doorways it never saw, in all weathers, score {SCORE}, IoU 0.5; what shows to 60 % must be "
            "found. For tests on real inference: it knows drawn people and parcels only."
        ),
    }
    return yaml.safe_dump(facts, sort_keys=False, default_flow_style=None, width=200)


def measured(path: Path) -> dict[str, dict[str, float]]:
    """Return the figures for each kind at some sizes."""
    figures = {}
    for name, size, jpeg in (("640x360", (640, 360), None), ("1280x720 as JPEG of quality 60", (1280, 720), 60)):
        for kind, seen in measure(path, size=size, jpeg=jpeg).items():
            _log.info("%s, %s: %s", name, kind, seen)
            figures[f"{kind}, {name}"] = {
                "recall": round(seen.recall, 3),
                "precision": round(seen.precision, 3),
                "mean_iou": round(seen.mean_iou, 3),
                "objects": seen.truths,
            }
    return figures


def main() -> None:
    """Train, export and measure, as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="half the time, where the processor has units for it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=_ENGINES / "doorway.onnx")
    parser.add_argument("--measure-only", action="store_true", help="train nothing; write the sidecar of --out anew")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(asked.threads)
    if not asked.measure_only:
        recipe = Recipe(classes=len(KINDS), vary=vary, size=lambda width, height: math.sqrt(width * height))
        network = None
        for number, (count, of_each, any_time, steps) in enumerate(_ROUNDS):
            rng = np.random.default_rng(asked.seed + number)
            samples = list(training_samples(rng, count, of_each=of_each, any_time=any_time))
            _log.info("%d pictures, %d objects", len(samples), sum(len(s.class_ids) for s in samples))
            network = train(samples, recipe, steps=steps, seed=asked.seed + number, bf16=asked.bf16, begun=network)
        assert network is not None  # noqa: S101  for the type checker: there is a round
        export(network, asked.out, hw=INPUT_HW, kinds=KINDS, what="Streamer's doorway detector")
    asked.out.with_suffix(".yaml").write_text(sidecar(asked.out))


if __name__ == "__main__":
    main()
