"""Train `engines/shapes.onnx`, the small detector that the demo and the tests run on, and measure it.

From the root of a checkout, with a virtual environment of its own:

    python -m venv ../training && ../training/bin/pip install -r engines/training/requirements.txt
    PYTHONPATH=. ../training/bin/python engines/training/shapes.py

It writes the weights and their sidecar, in about ten minutes on one core with `--bf16 --threads 1`, as the shipped ones
were made. Equal seeds give equal pictures and equal first weights; rounding differs from processor to processor.
"""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

import argparse
import copy
import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import yaml
from exported import export
from learning import average, generalised_iou
from shapes_network import STRIDES, ShapesNetwork, centres, flat
from shapes_samples import INPUT_HW, PAD, Sample, flip, recolour, training_samples
from shapes_score import SCORE, measure
from torch import Tensor
from torch.nn import functional

from streamer.capture.scenes.outlines import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

_log = logging.getLogger("shapes")
_ENGINES = Path(__file__).resolve().parents[1]
_BATCH = 32
_RATE = 4e-3  # peak of the learning rate
_RATE_ON = 1.5e-3  # the same where a network goes on
_BOX_WEIGHT = 4.0  # of the boxes against the kinds
_AVERAGE = 0.998  # of the weights, a step
_SIZES = ((0, 38), (28, 84), (68, 1000))  # px: what each stride answers for; they overlap
_RADIUS = 1.0  # strides around a box's centre whose cells answer for it
_BACKGROUND, _IGNORED = -1, -2
_POINTS, _STRIDES = (part.numpy() for part in centres(INPUT_HW, STRIDES))
_LEAST, _MOST = (np.array([dict(zip(STRIDES, _SIZES, strict=True))[int(s)][i] for s in _STRIDES]) for i in (0, 1))


def varied(rng: Generator, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a sample's picture and boxes in other colours, and mirrored."""
    rgb, moved = flip(rng, sample.rgb, sample.boxes)
    return recolour(rng, rgb), moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What differs from scene to scene."""

    classes: int
    # Changes a sample anew whenever it is used.
    vary: Callable[[Generator, Sample], tuple[NDArray[np.uint8], NDArray[np.float32]]] = varied
    # Of a box of a width and a height, px: says which strides answer for it. What is much taller than wide may have no
    # cell of the stride of its height within.
    size: Callable[[float, float], float] = max


def targets(
    boxes: NDArray[np.float32], sample: Sample, size: Callable[[float, float], float]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Say what each cell must answer: a class (A,), or nothing or anything, and a box (A, 4) x1 y1 x2 y2."""
    kind = np.full(len(_POINTS), _BACKGROUND, np.int64)
    box_of = np.zeros((len(_POINTS), 4), np.float32)
    x, y = _POINTS.T
    for box, class_id, sure in zip(boxes, sample.class_ids, sample.sure, strict=True):  # the last lies on top
        x1, y1, x2, y2 = box
        inside = (x > x1) & (x < x2) & (y > y1) & (y < y2)
        if not sure:
            kind[inside & (kind == _BACKGROUND)] = _IGNORED
            continue
        large = size(x2 - x1, y2 - y1)
        near = np.maximum(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < _RADIUS * _STRIDES
        chosen = inside & near & (large >= _LEAST) & (large < _MOST)
        kind[chosen] = class_id
        box_of[chosen] = box
    return kind, box_of


def batch_of(rng: Generator, samples: list[Sample], recipe: Recipe) -> tuple[Tensor, Tensor, Tensor]:
    """Return pixels (B, 3, H, W) 0..1, classes (B, A) and boxes (B, A, 4), varied anew."""
    pixels, kinds, boxes = [], [], []
    for sample in samples:
        rgb, moved = recipe.vary(rng, sample)
        pixels.append(rgb.transpose(2, 0, 1))
        kind, box_of = targets(moved, sample, recipe.size)
        kinds.append(kind)
        boxes.append(box_of)
    scaled = torch.from_numpy(np.ascontiguousarray(np.stack(pixels))).float() / 255
    return scaled, torch.from_numpy(np.stack(kinds)), torch.from_numpy(np.stack(boxes))


def loss_of(network: ShapesNetwork, pixels: Tensor, kinds: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return how wrong the classes are (cross entropy) and the boxes (1 - generalised IoU), for each answering cell."""
    logits, extents = (part.float() for part in flat(network(pixels), network.classes, INPUT_HW, STRIDES))
    logits = logits.transpose(1, 2)
    answering = kinds >= 0
    wanted = functional.one_hot(kinds.clamp(min=0), network.classes) * answering[..., None]
    counted = (kinds != _IGNORED)[..., None].expand_as(logits)
    count = answering.sum().clamp(min=1)
    wrong_kind = functional.binary_cross_entropy_with_logits(logits[counted], wanted[counted].float(), reduction="sum")
    reach = (torch.exp(extents.transpose(1, 2)) * torch.from_numpy(_STRIDES)[None, :, None])[answering]
    points = torch.from_numpy(_POINTS)[None].expand(len(pixels), -1, -1)[answering]
    guessed = torch.cat((points - reach[:, :2], points + reach[:, 2:]), 1)
    wrong_box = (1 - generalised_iou(guessed, boxes[answering])).sum()
    return wrong_kind / count, wrong_box / count


def train(
    samples: list[Sample], recipe: Recipe, *, steps: int, seed: int, bf16: bool, begun: ShapesNetwork | None = None
) -> ShapesNetwork:
    """Return the averaged network after so many steps; it goes on, more carefully, from one that was begun."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = ShapesNetwork(recipe.classes) if begun is None else copy.deepcopy(begun).train()
    peak = _RATE if begun is None else _RATE_ON
    averaged = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=0.1)
    began = time.monotonic()
    for step in range(steps):
        chosen = [samples[i] for i in rng.integers(len(samples), size=_BATCH)]
        pixels, kinds, boxes = batch_of(rng, chosen, recipe)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            wrong_kind, wrong_box = loss_of(network, pixels, kinds, boxes)
        optimiser.zero_grad()
        (wrong_kind + _BOX_WEIGHT * wrong_box).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        rate.step()
        average(averaged, network, min(_AVERAGE, (1 + step) / (10 + step)))
        if step % 100 == 99:
            now_s = time.monotonic() - began
            _log.info("step %d: kind %.3f box %.3f, %.0f s", step + 1, wrong_kind.item(), wrong_box.item(), now_s)
    return averaged.eval()


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
        "source": "trained by this project: engines/training/shapes.py",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "measured": dict(_figures(path)),
        "notes": (
            f"Measured on scenes it never saw, score {SCORE}, IoU 0.5; a shape of which 60 % shows must be found. "
            "For the demo and for tests on real inference."
        ),
    }
    return yaml.safe_dump(facts, sort_keys=False, default_flow_style=None, width=200)


def _figures(path: Path) -> Iterator[tuple[str, dict[str, float]]]:
    for name, size, jpeg in (
        ("640x360", (640, 360), None),
        ("640x360 as JPEG of quality 40", (640, 360), 40),
        ("1280x720 as JPEG of quality 60", (1280, 720), 60),
        ("640x480 as JPEG of quality 60", (640, 480), 60),
    ):
        seen = measure(path, size=size, jpeg=jpeg)
        _log.info("%s: %s", name, seen)
        yield (
            name,
            {
                "recall": round(seen.recall, 3),
                "precision": round(seen.precision, 3),
                "mean_iou": round(seen.mean_iou, 3),
                "shapes": seen.truths,
            },
        )


def main() -> None:
    """Train, export and measure, as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="half the time, where the processor has units for it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=_ENGINES / "shapes.onnx")
    parser.add_argument("--measure-only", action="store_true", help="train nothing; write the sidecar of --out anew")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(asked.threads)
    if not asked.measure_only:
        make(asked)
    asked.out.with_suffix(".yaml").write_text(sidecar(asked.out))


def make(asked: argparse.Namespace) -> None:
    """Render the samples, train, and write the weights."""
    samples = list(training_samples(np.random.default_rng(asked.seed), asked.samples))
    _log.info("%d pictures, %d shapes", len(samples), sum(len(s.class_ids) for s in samples))
    network = train(samples, Recipe(classes=len(KINDS)), steps=asked.steps, seed=asked.seed, bf16=asked.bf16)
    _log.info("%d weights", sum(p.numel() for p in network.parameters()))
    export(network, asked.out, hw=INPUT_HW, kinds=KINDS, what="Streamer's shapes detector")


if __name__ == "__main__":
    main()
