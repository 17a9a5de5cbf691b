"""Networks that others would pick, with the same two heads and fitted by the same recipe: what the bake-off compares with.

The trunks are torchvision's (BSD-3-Clause); Fast-SCNN and DDRNet-23-slim are written from their papers (Poudel et al., BMVC
2019; Hong et al., arXiv 2101.06085). torchvision is imported by those that need it: it brings torch's compiler along, which
takes longer to import than all else of training.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from linegate.training.ddrnet import DdrNet
from linegate.training.network import LineNet, Net, NetOutput, NetSpec, PartHead, conv, limit_gradient, scaled

_LEVELS = (1, 2, 4)
Trunk = nn.Module
"""(N, 3, H, W) float to (decoder features (N, F, h, w), deepest features (N, D, …))."""


def build(spec: NetSpec, pretrained: bool = False, timeout_s: float = 5.0) -> Net:
    """The network of ``spec``. ``pretrained`` loads ImageNet weights into torchvision trunks where they can be had."""
    if spec.kind == "line":
        return LineNet(spec)
    makers: dict[str, Callable[[bool, float], tuple[Trunk, int, int]]] = {
        "unet-resnet18": _unet_resnet18,
        "unet-mobilenetv3": _unet_mobilenetv3,
        "lraspp": _lraspp,
        "deeplabv3": _deeplabv3,
        "fastscnn": lambda _pretrained, _timeout_s: (FastScnn(), 128, 128),
        "ddrnet23slim": lambda _pretrained, _timeout_s: (DdrNet(), DdrNet.features, DdrNet.deep),
    }
    trunk, features, deep = makers[spec.kind](pretrained, timeout_s)
    return Baseline(spec.model_copy(update={"widths": (deep,)}), trunk, features)


class Baseline(Net):
    """A trunk with Linegate's two heads. ``spec.widths`` ends with the embedding's length."""

    def __init__(self, spec: NetSpec, trunk: Trunk, features: int) -> None:
        super().__init__()
        self.spec = spec
        self.trunk = trunk
        self.mask = nn.Conv2d(features, spec.classes, 1)
        self.part = PartHead(features, spec.classes)
        nn.init.constant_(self.mask.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> NetOutput:
        """See ``Net``."""
        x = scaled(image)
        if x.shape[1] == 1:
            x = x.repeat(1, 3, 1, 1)
        y, deep = self.trunk(x)
        mask = self.mask(y)
        share = self.spec.part_gradient
        # The part head sees every baseline at 1/8, as it sees Linegate's own at most: at 1/1 it would see nothing of a part.
        down = max(1, 8 // self.spec.stride_px)
        small_y, small_mask = (functional.max_pool2d(t, down) if down > 1 else t for t in (y, mask))
        part = self.part(limit_gradient(small_y, share), limit_gradient(small_mask, share))
        return NetOutput(mask, part, deep.mean((2, 3)))


class UNet(nn.Module):
    """Encoder stages at 1/2 … 1/32 and a decoder back to 1/1 with two 3×3 convolutions a step (Ronneberger et al., 2015)."""

    def __init__(self, stages: list[nn.Module], widths: list[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        outs = (128, 64, 32, 32, 16)
        ins = [widths[-1], *outs[:-1]]
        skips = [*reversed(widths[:-1]), 0]
        self.steps = nn.ModuleList(
            [nn.Sequential(conv(i + s, o), conv(o, o)) for i, s, o in zip(ins, skips, outs, strict=True)]
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Trunk``."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        deep = x
        skips: list[Tensor | None] = [*reversed(features[:-1]), None]
        for step, skip in zip(self.steps, skips, strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = step(x if skip is None else torch.cat([x, skip], 1))
        return x, deep


class LrAspp(nn.Module):
    """torchvision's LR-ASPP head on MobileNetV3-Large, without its last upsampling: features at 1/8."""

    def __init__(self, backbone: nn.Module, low: int, high: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.squeeze = conv(high, 128, 1)
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(high, 128, 1, bias=False), nn.Sigmoid())
        self.low = nn.Conv2d(low, 64, 1)
        self.high = nn.Conv2d(128, 64, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Trunk``."""
        features = self.backbone(x)
        low, high = features["low"], features["high"]
        y = self.squeeze(high) * self.scale(high)
        y = functional.interpolate(y, size=low.shape[-2:], mode="bilinear", align_corners=False)
        return self.low(low) + self.high(y), high


class DeepLab(nn.Module):
    """torchvision's DeepLabV3 head (atrous pyramid and a 3×3 convolution) on dilated MobileNetV3-Large features at 1/16.

    Its features are brought to 1/8 before the mask is made of them: the 1×1 convolution that follows commutes with the
    upsampling, so this is the upsampling of logits that torchvision does, half of it within the loss.
    """

    def __init__(self, backbone: nn.Module, inside: int) -> None:
        from torchvision.models.segmentation.deeplabv3 import ASPP

        super().__init__()
        self.backbone = backbone
        self.pyramid = ASPP(inside, [12, 24, 36])
        self.mix = conv(256, 256)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Trunk``."""
        deep = self.backbone(x)
        y = self.mix(self.pyramid(deep))
        return functional.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False), deep


class _Separable(nn.Sequential):
    """Depthwise 3×3 and pointwise 1×1."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False),
            nn.BatchNorm2d(inside),
            nn.ReLU(inplace=True),
            conv(inside, outside, 1),
        )


class _Bottleneck(nn.Module):
    """MobileNetV2's inverted residual, expansion 6."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        wide = 6 * inside
        depthwise = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)
        self.layers = nn.Sequential(
            conv(inside, wide, 1),
            depthwise,
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            conv(wide, outside, 1, active=False),
        )
        self.short = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, h, w) to (N, outside, h / stride, w / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.short else y


def pool_to(x: Tensor, cells: int) -> Tensor:
    """(N, C, h, w) to (N, C, cells, cells), at most h × w: averages over equal, maybe overlapping windows (a form that every
    static size exports in, unlike adaptive pooling)."""
    counts = [min(cells, int(length)) for length in x.shape[-2:]]
    steps = [int(length) // count for length, count in zip(x.shape[-2:], counts, strict=True)]
    kernel = [int(length) - (count - 1) * step for length, count, step in zip(x.shape[-2:], counts, steps, strict=True)]
    return functional.avg_pool2d(x, kernel, steps)


class FastScnn(nn.Module):
    """Learning to downsample, global features at 1/32, pyramid pooling, fusion at 1/8."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(conv(3, 32, 3, 2), _Separable(32, 48, 2), _Separable(48, 64, 2))
        layers: list[nn.Module] = []
        inside = 64
        for outside, stride in ((64, 2), (96, 2), (128, 1)):
            layers += [_Bottleneck(inside, outside, stride), *(_Bottleneck(outside, outside, 1) for _ in range(2))]
            inside = outside
        self.deep = nn.Sequential(*layers)
        self.pools = nn.ModuleList([conv(128, 32, 1) for _ in _LEVELS])
        self.pyramid = conv(128 + 3 * 32, 128, 1)
        self.high = nn.Sequential(
            nn.Conv2d(128, 128, 3, 1, 1, groups=128, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            conv(128, 128, 1, active=False),
        )
        self.low = conv(64, 128, 1, active=False)
        self.last = nn.Sequential(_Separable(128, 128, 1), _Separable(128, 128, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Trunk``."""
        low = self.down(x)
        deep = self.deep(low)
        size = deep.shape[-2:]
        pooled = [pool(pool_to(deep, cells)) for pool, cells in zip(self.pools, _LEVELS, strict=True)]
        levels = [functional.interpolate(level, size=size, mode="bilinear") for level in pooled]
        y = self.pyramid(torch.cat([deep, *levels], 1))
        y = functional.interpolate(y, size=low.shape[-2:], mode="bilinear")
        return self.last(functional.relu(self.high(y) + self.low(low))), deep


def _unet_resnet18(pretrained: bool, timeout_s: float) -> tuple[Trunk, int, int]:
    from torchvision import models

    weights = fetched(models.ResNet18_Weights.IMAGENET1K_V1, timeout_s) if pretrained else None
    net = models.resnet18(weights=None)
    if weights is not None:
        net.load_state_dict(weights)
    first = nn.Sequential(net.conv1, net.bn1, net.relu)
    stages = [first, nn.Sequential(net.maxpool, net.layer1), net.layer2, net.layer3, net.layer4]
    return UNet(stages, [64, 64, 128, 256, 512]), 16, 512


def _unet_mobilenetv3(pretrained: bool, timeout_s: float) -> tuple[Trunk, int, int]:
    layers = _mobilenet(pretrained, timeout_s)
    stages: list[nn.Module] = [layers[:2], layers[2:4], layers[4:7], layers[7:13], layers[13:]]
    return UNet(stages, [16, 24, 40, 112, 960]), 16, 960


def _lraspp(pretrained: bool, timeout_s: float) -> tuple[Trunk, int, int]:
    from torchvision.models._utils import IntermediateLayerGetter

    layers = _mobilenet(pretrained, timeout_s, dilated=True)
    backbone = IntermediateLayerGetter(layers, {"4": "low", "16": "high"})
    return LrAspp(backbone, 40, 960), 64, 960


def _deeplabv3(pretrained: bool, timeout_s: float) -> tuple[Trunk, int, int]:
    return DeepLab(_mobilenet(pretrained, timeout_s, dilated=True), 960), 256, 960


def _mobilenet(pretrained: bool, timeout_s: float, *, dilated: bool = False) -> nn.Sequential:
    from torchvision import models

    weights = fetched(models.MobileNet_V3_Large_Weights.IMAGENET1K_V1, timeout_s) if pretrained else None
    net = models.mobilenet_v3_large(weights=None, dilated=dilated)
    if weights is not None:
        net.load_state_dict(weights)
    layers: nn.Sequential = net.features
    return layers


def fetched(weights: Any, timeout_s: float = 5.0) -> dict[str, Any] | None:
    """ImageNet weights from torchvision's cache or the network; None where they can't be had within ``timeout_s`` of silence.

    A station without internet must neither hang nor crash because of them.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout_s)
    try:
        found: dict[str, Any] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, ValueError):
        return None
    finally:
        socket.setdefaulttimeout(before)
    return found
