"""What the trainings of all detectors share."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, kept: float) -> None:
    """Move an averaged network a little towards the one that learns."""
    for mean, now in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1 - kept)
        else:
            mean.copy_(now)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return (N,) in -1..1 (Rezatofighi et al., arXiv 1902.09630) of boxes (N, 4) x1 y1 x2 y2, pair by pair."""

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(min=0).prod(1)

    both = area(torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:]))
    union = area(a[:, :2], a[:, 2:]) + area(b[:, :2], b[:, 2:]) - both
    hull = area(torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:]))
    return both / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
