"""DDRNet-23-slim, written from its paper (Hong, Pan, Sun, Jia, arXiv 2101.06085: figures 3 to 5, table 1).

Two branches after 1/8: one stays there, one goes down to 1/64, and they exchange what they found twice. The paper's second
segmentation head, which only lends the training another loss, is left out: every network here is fitted by the same losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from linegate.training.network import conv

_WIDTH = 32
_POOLED = 128
_HEAD = 64
_POOLS = ((5, 2), (9, 4), (17, 8))
"""Kernel and stride of the pyramid's poolings; a global one comes after them."""


class Basic(nn.Module):
    """Two 3×3 convolutions and a shortcut (ResNet's basic block); the last of a stage ends without ReLU."""

    def __init__(self, inside: int, outside: int, stride: int = 1, *, active: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(inside, outside, 3, stride), conv(outside, outside, active=False))
        self.short = _shortcut(inside, outside, stride)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, h, w) to (N, outside, h / stride, w / stride)."""
        y: Tensor = self.short(x) + self.layers(x)
        return functional.relu(y) if self.active else y


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 to twice the width, and a shortcut, without a last ReLU."""

    def __init__(self, inside: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(inside, width, 1), conv(width, width, 3, stride), conv(width, 2 * width, 1, active=False)
        )
        self.short = _shortcut(inside, 2 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, h, w) to (N, 2 · width, h / stride, w / stride)."""
        y: Tensor = self.short(x) + self.layers(x)
        return y


def _shortcut(inside: int, outside: int, stride: int) -> nn.Module:
    return nn.Identity() if stride == 1 and inside == outside else conv(inside, outside, 1, stride, active=False)


def _stage(inside: int, outside: int, stride: int, *, active: bool = False) -> nn.Sequential:
    """Two basic blocks."""
    return nn.Sequential(Basic(inside, outside, stride), Basic(outside, outside, active=active))


def _before(inside: int, outside: int, kernel: int = 1) -> nn.Sequential:
    """Batch norm and ReLU, then a convolution, as the pyramid and the head have them."""
    return nn.Sequential(
        nn.BatchNorm2d(inside),
        nn.ReLU(),
        nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=False),
    )


class Pyramid(nn.Module):
    """Deep aggregation pyramid pooling: (N, inside, h, w) to (N, outside, h, w)."""

    def __init__(self, inside: int, width: int, outside: int) -> None:
        super().__init__()
        self.first = _before(inside, width)
        self.pooled = nn.ModuleList([_before(inside, width) for _ in range(len(_POOLS) + 1)])
        self.mixed = nn.ModuleList([_before(width, width, 3) for _ in range(len(_POOLS) + 1)])
        self.squeeze = _before((len(_POOLS) + 2) * width, outside)
        self.short = _before(inside, outside)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        size = x.shape[-2:]
        pools = [functional.avg_pool2d(x, kernel, stride, kernel // 2) for kernel, stride in _POOLS]
        levels = [self.first(x)]
        for pool, narrow, mix in zip([*pools, x.mean((2, 3), keepdim=True)], self.pooled, self.mixed, strict=True):
            levels.append(mix(_resized(narrow(pool), size) + levels[-1]))
        y: Tensor = self.squeeze(torch.cat(levels, 1)) + self.short(x)
        return y


class DdrNet(nn.Module):
    """(N, 3, H, W) float to (features (N, 64, H / 8, W / 8), deepest features (N, 512, H / 64, W / 64))."""

    features, deep = _HEAD, 16 * _WIDTH

    def __init__(self) -> None:
        super().__init__()
        one, two, four, eight = _WIDTH, 2 * _WIDTH, 4 * _WIDTH, 8 * _WIDTH
        self.stem = nn.Sequential(conv(3, one, 3, 2), conv(one, one, 3, 2), _stage(one, one, 1, active=True))
        self.shared = _stage(one, two, 2, active=True)
        self.low = nn.ModuleList([_stage(two, four, 2), _stage(four, eight, 2)])
        self.high = nn.ModuleList([_stage(two, two, 1), _stage(two, two, 1)])
        self.up = nn.ModuleList([conv(four, two, 1, active=False), conv(eight, two, 1, active=False)])
        twice = nn.Sequential(conv(two, four, 3, 2), conv(four, eight, 3, 2, active=False))
        self.down = nn.ModuleList([conv(two, four, 3, 2, active=False), twice])
        self.last_low = Bottleneck(eight, eight, 2)
        self.last_high = Bottleneck(two, two)
        self.pyramid = Pyramid(self.deep, _POOLED, four)
        self.head = nn.Sequential(_before(four, _HEAD, 3), nn.BatchNorm2d(_HEAD), nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        high = low = functional.relu(self.shared(self.stem(x)))
        size = high.shape[-2:]
        for deeper, level, up, down in zip(self.low, self.high, self.up, self.down, strict=True):
            below, above = deeper(low), level(high)
            low = functional.relu(below + down(functional.relu(above)))
            high = functional.relu(above + _resized(up(functional.relu(below)), size))
        deep = self.last_low(low)
        return self.head(self.last_high(high) + _resized(self.pyramid(deep), size)), deep


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
