"""Train `engines/pcb-defects.onnx`, which finds six kinds of defects on circuit boards, on real, labelled pictures.

From the root of a checkout, in the virtual environment of `shapes.py`, with DeepPCB (MIT) in YOLO's layout:

    PYTHONPATH=. ../training/bin/python engines/training/pcb.py --data ../deeppcb --state pcb.pt --bf16

It goes on where it was stopped, from `--state`. Then the figures of the test pictures go into the sidecar:

    streamer evaluate --model engines/pcb-defects.onnx --data ../deeppcb --precision f32 --json > scores.json
    ... engines/training/pcb.py --scores scores.json

Equal seeds give equal crops and equal first weights; rounding differs from processor to processor.
"""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

import argparse
import copy
import hashlib
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from exported import export
from learning import average
from pcb_loss import Truth, loss_of
from pcb_network import STRIDES, PcbNetwork
from pcb_samples import CROP, Board, Crop, crop_of, read_boards
from shapes_network import centres, flat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    Levels = list[tuple[Tensor, Tensor]]

_log = logging.getLogger("pcb")
_ENGINES = Path(__file__).resolve().parents[1]
KINDS = ("open", "short", "mousebite", "spur", "copper", "pin-hole")  # the order is the class id
_INPUT_HW = (640, 640)  # px: smaller, and the defects vanish
_BATCH = 16
_RATE = 3e-3  # peak of the learning rate
_AVERAGE = 0.999  # of the weights, a step
_MOSAIC = 0.5  # share of crops put together from four boards,
_MOSAIC_UNTIL = 0.8  # in this share of the steps: then crops look as boards do
_KEEP_EVERY = 250  # steps
_POINTS, _STRIDES = centres((CROP, CROP), STRIDES)


def batch_of(crops: Sequence[Crop]) -> tuple[Tensor, Truth]:
    """Return pixels (B, 3, CROP, CROP) 0..1, and the labels, padded."""
    pixels = torch.from_numpy(np.stack([crop.rgb for crop in crops])).permute(0, 3, 1, 2).float() / 255
    most = max(1, *(len(crop.class_ids) for crop in crops))
    boxes = torch.zeros(len(crops), most, 4)
    class_ids = torch.zeros(len(crops), most, dtype=torch.int64)
    known, unsure = (torch.zeros(len(crops), most, dtype=torch.bool) for _ in range(2))
    for i, crop in enumerate(crops):
        n = len(crop.class_ids)
        boxes[i, :n] = torch.from_numpy(crop.boxes)
        class_ids[i, :n] = torch.from_numpy(crop.class_ids)
        known[i, :n] = torch.from_numpy(crop.sure)
        unsure[i, :n] = torch.from_numpy(~crop.sure)
    return pixels.contiguous(memory_format=torch.channels_last), Truth(boxes, class_ids, known, unsure)


def answers(network: Callable[[Tensor], Levels], pixels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return logits (B, A, C) and boxes (B, A, 4) x1 y1 x2 y2, px."""
    logits, extents = (part.float() for part in flat(network(pixels), classes, (CROP, CROP), STRIDES))
    reach = torch.exp(extents.clamp(max=4.0).transpose(1, 2)) * _STRIDES[:, None]
    return logits.transpose(1, 2), torch.cat((_POINTS - reach[..., :2], _POINTS + reach[..., 2:]), 2)


class Training:
    """A network on its way: what must be kept to go on."""

    def __init__(self, *, classes: int, steps: int, seed: int, compiled: bool = False) -> None:
        torch.manual_seed(seed)
        self.step = 0
        self.steps = steps
        self.rng = np.random.default_rng(seed)
        self.network = PcbNetwork(classes).to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.network)
        self._forward: Callable[[Tensor], Levels] = torch.compile(self.network) if compiled else self.network
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=0.03)
        self.rate = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, _RATE, total_steps=steps, pct_start=0.05)

    def go_on(self, boards: Sequence[Board], *, bf16: bool) -> tuple[float, float]:
        """Take one step; return how wrong classes and boxes were."""
        mosaic = _MOSAIC if self.step < _MOSAIC_UNTIL * self.steps else 0.0
        pixels, truth = batch_of([crop_of(self.rng, boards, mosaic=mosaic) for _ in range(_BATCH)])
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits, boxes = answers(self._forward, pixels, self.network.classes)
        wrong_class, wrong_box = loss_of(logits, boxes, _POINTS, truth)
        self.optimiser.zero_grad()
        (wrong_class + wrong_box).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        self.rate.step()
        average(self.averaged, self.network, min(_AVERAGE, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return wrong_class.item(), wrong_box.item()

    def keep(self, path: Path) -> None:
        """Write all of it, or nothing."""
        new = path.with_suffix(".new")
        torch.save({**{name: part.state_dict() for name, part in self._parts()}, **self._plain()}, new)
        new.replace(path)

    def take_up(self, path: Path) -> None:
        """Read what was kept.

        Raises:
            ValueError: it was kept by a training of another length.
        """
        kept = torch.load(path, weights_only=True)
        if kept["steps"] != self.steps:
            raise ValueError(f"{path}: is of a training of {kept['steps']} steps, not {self.steps}")
        for name, part in self._parts():
            part.load_state_dict(kept[name])
        self.step = kept["step"]
        self.rng.bit_generator.state = kept["rng"]

    def _parts(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in ("network", "averaged", "optimiser", "rate")]

    def _plain(self) -> dict[str, Any]:
        return {"step": self.step, "steps": self.steps, "rng": self.rng.bit_generator.state}


def train(training: Training, boards: Sequence[Board], state: Path, *, bf16: bool) -> None:
    """Take the steps that are left, and keep each stage."""
    began, first = time.monotonic(), training.step
    wrong = np.zeros(2)
    while training.step < training.steps:
        wrong += training.go_on(boards, bf16=bf16)
        if training.step % _KEEP_EVERY == 0 or training.step == training.steps:
            left_s = (time.monotonic() - began) / (training.step - first) * (training.steps - training.step)
            wrong /= _KEEP_EVERY
            _log.info("step %d: class %.3f box %.3f, %.0f min left", training.step, *wrong, left_s / 60)
            wrong[:] = 0
            training.keep(state)


def sidecar(path: Path, scores: Mapping[str, Any]) -> str:
    """Return the YAML that stands beside the file, with what `streamer evaluate --json` has measured of it.

    Raises:
        ValueError: other weights were measured.
    """
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if scores["model"]["digest"] != f"sha256:{digest}":
        raise ValueError(f"the scores are of {scores['model']['digest']}, not of {path}")
    found = scores["detection"]
    facts = {
        "file": path.name,
        "task": "detect",
        "head": "v8",
        "labels": list(KINDS),
        "size": list(_INPUT_HW),
        "color": "rgb",
        "scale": "1/255",
        "fit": "letterbox",
        "pad": 114,
        "licence": "Apache-2.0",
        "source": "trained by this project on DeepPCB (MIT, Copyright 2018 tangsanli5201): engines/training/pcb.py",
        "sha256": digest,
        "bytes": len(data),
        "measured": {
            "DeepPCB test, 500 pictures": {"AP50": _short(found["map50"]), "AP50-95": _short(found["map50_95"])},
            **{
                one["class"]: {"AP50": _short(one["ap50"]), "AP50-95": _short(one["ap50_95"])}
                for one in found["classes"]
            },
        },
        "notes": (
            "Six kinds of defects on bare circuit boards as a line scan camera gives them, black copper on a light "
            "ground, 24 to 120 px each: engines/pcb-defects.md."
        ),
    }
    return yaml.safe_dump(facts, sort_keys=False, default_flow_style=None, width=200)


def _short(figure: float) -> float:
    return round(figure, 3)


def main() -> None:
    """Train, as the arguments say, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="DeepPCB: images/, labels/, train.txt")
    parser.add_argument("--state", type=Path, default=Path("pcb.pt"), help="kept here as it goes; it goes on from here")
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="half the time, where the processor has units for it")
    parser.add_argument("--compile", action="store_true", help="1.6 times as fast on one core; takes a C++ compiler")
    parser.add_argument("--without", nargs="*", default=[], help="names of pictures to leave out begin so: for choices")
    parser.add_argument("--out", type=Path, default=_ENGINES / "pcb-defects.onnx")
    parser.add_argument("--scores", type=Path, help="train nothing; write the sidecar of --out with these figures")
    parser.add_argument("--export-only", action="store_true", help="write the weights as they are in --state")
    asked = parser.parse_args()
    if asked.scores is not None:
        asked.out.with_suffix(".yaml").write_text(sidecar(asked.out, json.loads(asked.scores.read_text())))
        return
    if asked.data is None and not asked.export_only:
        parser.error("which pictures? --data FOLDER")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(asked.threads)
    training = Training(classes=len(KINDS), steps=asked.steps, seed=asked.seed, compiled=asked.compile)
    if asked.state.exists():
        training.take_up(asked.state)
    elif asked.export_only:
        parser.error(f"no weights to write: {asked.state} is missing")
    if not asked.export_only:
        boards = read_boards(asked.data, "train.txt", without=asked.without)
        _log.info("%d boards, %d defects", len(boards), sum(len(board.class_ids) for board in boards))
        train(training, boards, asked.state, bf16=asked.bf16)
    shipped = copy.deepcopy(training.averaged).to(memory_format=torch.contiguous_format)
    export(shipped, asked.out, hw=_INPUT_HW, kinds=KINDS, what="Streamer's detector of circuit-board defects")


if __name__ == "__main__":
    main()
