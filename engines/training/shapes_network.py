"""A tiny anchor-free detector with the output layout of YOLOv8: [B, 4 + C, A], boxes decoded, scores 0..1."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

STRIDES = (8, 16, 32)
_WIDTH = 32  # channels of the neck
_TOWER = 24  # channels of each branch of the head


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Bottleneck(nn.Module):
    """Half the channels, a 3x3 look around, and what came in added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels // 2, 1), conv(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Refine (B, C, H, W)."""
        return x + self.body(x)


class ShapesNetwork(nn.Module):
    """Backbone, top-down neck, and one head that all strides share."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.strides = STRIDES
        self.to8 = nn.Sequential(
            conv(3, 12, stride=2), conv(12, 20, stride=2), conv(20, 32, stride=2), Bottleneck(32), Bottleneck(32)
        )
        self.to16 = nn.Sequential(conv(32, 40, stride=2), Bottleneck(40))
        self.to32 = nn.Sequential(conv(40, 32, stride=2), Bottleneck(32))
        self.lateral = nn.ModuleList(nn.Conv2d(channels, _WIDTH, 1) for channels in (32, 40, 32))
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.look = conv(_WIDTH, _WIDTH)
        self.score = nn.Sequential(conv(_WIDTH, _TOWER), nn.Conv2d(_TOWER, classes, 1))
        self.extent = nn.Sequential(conv(_WIDTH, _TOWER), nn.Conv2d(_TOWER, 4, 1))
        nn.init.constant_(self.score[-1].bias, -4.6)  # one cell in a hundred holds something
        nn.init.constant_(self.extent[-1].bias, 0.7)  # two strides to each side

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return, for each stride, class logits (B, C, h, w) and log extents l t r b in strides (B, 4, h, w)."""
        f8 = self.to8(x)
        f16 = self.to16(f8)
        f32 = self.to32(f16)
        p32 = self.lateral[2](f32)
        p16 = self.lateral[1](f16) + self.up(p32)
        p8 = self.lateral[0](f8) + self.up(p16)
        looks = [self.look(p) for p in (p8, p16, p32)]
        return [(self.score(look), self.extent(look)) for look in looks]


def centres(hw: tuple[int, int], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return each cell's centre (A, 2) x y, px, and its stride (A,), px; rows of the smallest stride first."""
    points, steps = [], []
    for stride in strides:
        h, w = hw[0] // stride, hw[1] // stride
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        points.append((torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride)
        steps.append(torch.full((h * w,), float(stride)))
    return torch.cat(points), torch.cat(steps)


def flat(
    levels: list[tuple[Tensor, Tensor]], classes: int, hw: tuple[int, int], strides: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Join the strides: logits (B, C, A) and log extents (B, 4, A).

    The sizes are plain numbers, so that the exported graph need not compute any.
    """
    cells = [(hw[0] // stride) * (hw[1] // stride) for stride in strides]
    logits = torch.cat([s.reshape(-1, classes, n) for (s, _), n in zip(levels, cells, strict=True)], 2)
    extents = torch.cat([e.reshape(-1, 4, n) for (_, e), n in zip(levels, cells, strict=True)], 2)
    return logits, extents
