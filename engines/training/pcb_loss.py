"""What a detector's answers are compared with: task-aligned assignment, and the loss that follows from it."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

from dataclasses import dataclass

import torch
from learning import generalised_iou
from torch import Tensor
from torch.nn import functional

_SCORE_POWER, _IOU_POWER = 0.5, 6.0  # of the alignment, as in YOLOv6 and v8
_MOST = 10  # cells that answer for one object
_BOX_WEIGHT = 8.0  # of the boxes against the classes


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Labels of a batch, padded to the most of any picture."""

    boxes: Tensor  # (B, G, 4) x1 y1 x2 y2, px
    class_ids: Tensor  # (B, G)
    known: Tensor  # (B, G) True: must be found
    unsure: Tensor  # (B, G) True: may be found, or not


def loss_of(logits: Tensor, boxes: Tensor, points: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Return how wrong classes and boxes are; the second already weighted.

    Args:
        logits: (B, A, C).
        boxes: (B, A, 4) x1 y1 x2 y2, px.
        points: (A, 2) centres of the cells, px.
        truth: what is there.
    """
    wanted, target, answering = _assign(logits.detach(), boxes.detach(), points, truth)
    weight = wanted.sum(2)
    total = weight.sum().clamp(min=1)
    free = _inside(points, truth.boxes) & truth.unsure[..., None]  # (B, G, A)
    counted = answering | ~free.any(1)
    wrong = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(2)
    off = 1 - generalised_iou(boxes[answering], target[answering])
    return (wrong * counted).sum() / total, _BOX_WEIGHT * (off * weight[answering]).sum() / total


@torch.no_grad()
def _assign(logits: Tensor, boxes: Tensor, points: Tensor, truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
    """Give each object the cells whose score and box fit it best (Feng et al., TOOD, arXiv 2108.07755, section 3.2).

    Returns:
        (B, A, C) scores to be answered, (B, A, 4) boxes to be answered, (B, A) whether a cell answers for anything.
    """
    cells, classes = logits.shape[1:]
    allowed = _inside(points, truth.boxes) & truth.known[..., None]  # (B, G, A)
    score = torch.sigmoid(logits).transpose(1, 2).gather(1, truth.class_ids[..., None].expand(-1, -1, cells))
    iou = _ious(truth.boxes, boxes)
    fit = score**_SCORE_POWER * iou**_IOU_POWER * allowed
    least = fit.topk(min(_MOST, cells), dim=2).values[..., -1:]
    chosen = allowed & (fit >= least) & (fit > 0)
    best = torch.where(chosen, iou, -1.0).max(1)  # of two objects, a cell answers for the one that it fits better
    answering = best.values > 0
    owner = best.indices  # (B, A)
    mine = torch.zeros_like(chosen).scatter_(1, owner[:, None], answering[:, None]) & chosen
    top_fit = (fit * mine).amax(2, keepdim=True).clamp(min=1e-12)
    top_iou = (iou * mine).amax(2, keepdim=True)
    share = (fit / top_fit * top_iou * mine).amax(1)  # (B, A)
    class_id = truth.class_ids.gather(1, owner)
    wanted = functional.one_hot(class_id, classes) * (share * answering)[..., None]
    target = truth.boxes.gather(1, owner[..., None].expand(-1, -1, 4))
    return wanted, target, answering


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Return (B, G, A): whether a centre lies in a box."""
    x, y = points.T
    left, top, right, bottom = (side[..., None] for side in boxes.unbind(2))
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def _ious(truths: Tensor, boxes: Tensor) -> Tensor:
    """Return (B, G, A)."""
    a, b = truths[:, :, None], boxes[:, None]
    both = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(3)
    area_a, area_b = ((each[..., 2:] - each[..., :2]).clamp(min=0).prod(3) for each in (a, b))
    return both / (area_a + area_b - both).clamp(min=1e-6)
