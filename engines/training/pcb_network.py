"""A small anchor-free detector for small things in sharp pictures: strides 8 and 16, with a wide look around."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

import torch
from shapes_network import Bottleneck, conv
from torch import Tensor, nn

STRIDES = (8, 16)
_NECK = 64  # channels
_TOWER = 32  # channels of each branch of the head


class PcbNetwork(nn.Module):
    """Backbone down to stride 32 for the surroundings, top-down neck, and a head for each of two strides.

    For 640x640: 2.9 GFLOP (a multiplication and an addition are two), 0.6 M weights.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.strides = STRIDES
        self.to8 = nn.Sequential(
            conv(3, 16, stride=2),
            conv(16, 32, stride=2),
            Bottleneck(32),
            conv(32, 64, stride=2),
            Bottleneck(64),
            Bottleneck(64),
        )
        self.to16 = nn.Sequential(conv(64, 96, stride=2), Bottleneck(96), Bottleneck(96))
        self.to32 = nn.Sequential(conv(96, 128, stride=2), Bottleneck(128), Bottleneck(128))
        self.lateral = nn.ModuleList(nn.Conv2d(channels, _NECK, 1) for channels in (64, 96, 128))
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.scores = nn.ModuleList(_branch(classes) for _ in STRIDES)
        self.extents = nn.ModuleList(_branch(4) for _ in STRIDES)
        for score, extent in zip(self.scores, self.extents, strict=True):
            nn.init.constant_(score[-1].bias, -4.6)  # one cell in a hundred holds something
            nn.init.constant_(extent[-1].bias, 0.5)

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return, for each stride, class logits (B, C, h, w) and log extents l t r b in strides (B, 4, h, w)."""
        f8 = self.to8(x)
        f16 = self.to16(f8)
        p32 = self.lateral[2](self.to32(f16))
        p16 = self.lateral[1](f16) + self.up(p32)
        p8 = self.lateral[0](f8) + self.up(p16)
        return [
            (score(torch.relu(p)), extent(torch.relu(p)))
            for p, score, extent in zip((p8, p16), self.scores, self.extents, strict=True)
        ]


def _branch(outputs: int) -> nn.Sequential:
    return nn.Sequential(conv(_NECK, _TOWER), conv(_TOWER, _TOWER), nn.Conv2d(_TOWER, outputs, 1))
