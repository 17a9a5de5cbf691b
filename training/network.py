"""Linegate's own network: a light trunk of dense 3×3 convolutions with two heads, a mask and a part score.

Dense 3×3 convolutions with widths in multiples of 32 are what CPUs with AVX-512 or AMX run fastest (depthwise ones leave
most of the machine idle), so the trunk shrinks the image at once and spends its work at 1/8 to 1/32. The two heads follow
the idea of segmentation plus decision networks (Tabernik et al., J. Intell. Manuf. 2020; written from the paper).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

Size = Literal["fast", "wide"]
Kind = Literal["line", "unet-resnet18", "unet-mobilenetv3", "lraspp", "deeplabv3", "fastscnn", "ddrnet23slim"]
_BASELINE_STRIDES = {
    "unet-resnet18": 1,
    "unet-mobilenetv3": 1,
    "lraspp": 8,
    "deeplabv3": 8,
    "fastscnn": 8,
    "ddrnet23slim": 8,
}
_MEAN, _SPREAD = 127.5, 64.0
_LEAST_SPREAD = 0.1
"""In units of _SPREAD: 6 grey levels."""
_ROW_STEP = 4
"""Of a colour image every fourth row is asked for its level: three channels of all rows took a fifth of the network's time."""


class NetOutput(NamedTuple):
    """What a network in training returns: logits.

    mask: (N, K, H / stride, W / stride); part: (N,); embedding: (N, D).
    """

    mask: Tensor
    part: Tensor
    embedding: Tensor


class NetSpec(BaseModel):
    """A network's shape. ``widths`` and ``depths`` are per stage, each stage at half the resolution of the one before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "line"
    """"line" is Linegate's own; the others are the bake-off's baselines, which only heed classes and channels."""
    classes: int = Field(ge=1, le=254)
    channels: Literal[1, 3] = 1
    stem_stride: Literal[2, 4] = 4
    widths: tuple[int, ...] = (16, 32, 32, 64, 64)
    depths: tuple[int, ...] = (0, 1, 1, 1, 1)
    decoder: int = 16
    out_level: int = 1
    """Stage whose resolution the mask has."""
    part_gradient: float = Field(0.2, ge=0, le=1)
    """Share of the part head's gradient that reaches the trunk."""
    levelled: bool = False
    """Whether each input is brought to mean 0 and spread 1 first: what lamp, lot and exposure change, the trunk then needn't
    learn to see past. Not for tiles, whose seams would show."""

    @property
    def stride_px(self) -> int:
        """Input pixels per mask pixel."""
        return _BASELINE_STRIDES.get(self.kind) or self.stem_stride << self.out_level

    @property
    def multiple_px(self) -> int:
        """Input width and height must be multiples of this."""
        return 32 if self.kind != "line" else self.stem_stride << (len(self.widths) - 1)

    @staticmethod
    def of(size: Size, classes: int, channels: Literal[1, 3], *, levelled: bool = True) -> NetSpec:
        """Both with the mask at 1/8. "fast": for inputs around 1 MP; "wide": for small images, of which there is time to see
        more. Less than a third of Fast-SCNN's time, with AMX and without (``linegate train bakeoff``)."""
        if size == "fast":
            return NetSpec(classes=classes, channels=channels, levelled=levelled)
        return NetSpec(
            classes=classes,
            channels=channels,
            levelled=levelled,
            widths=(16, 32, 64, 96),
            depths=(0, 0, 1, 1),
            decoder=32,
        )


def conv(inside: int, outside: int, kernel: int = 3, stride: int = 1, *, active: bool = True) -> nn.Sequential:
    """Convolution, batch norm (folded away when compiled) and ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside, momentum=0.05),
    ]
    if active:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3×3 convolutions and a shortcut, (N, C, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(width, width)
        self.second = conv(width, width, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.relu(x + self.second(self.first(x)))


class Trunk(nn.Module):
    """Image (N, C, H, W) float to features of each stage, finest first."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        kernel = spec.stem_stride + 1 if spec.stem_stride == 4 else 3
        self.stem = conv(spec.channels, spec.widths[0], kernel, spec.stem_stride)
        stages: list[nn.Module] = []
        for level, (width, depth) in enumerate(zip(spec.widths, spec.depths, strict=True)):
            layers: list[nn.Module] = [conv(spec.widths[level - 1], width, 3, 2)] if level else []
            layers += [Residual(width) for _ in range(depth)]
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Features, finest first, to one map (N, ``spec.decoder``, h, w) at ``spec.out_level``: added top-down (FPN)."""

    def __init__(self, widths: Sequence[int], width: int, out_level: int) -> None:
        super().__init__()
        self.out_level = out_level
        self.lateral = nn.ModuleList([nn.Conv2d(inside, width, 1) for inside in widths[out_level:]])
        self.smooth = nn.ModuleList([conv(width, width) for _ in widths[out_level:-1]])

    def forward(self, features: list[Tensor]) -> Tensor:
        """See the class."""
        used = features[self.out_level :]
        y: Tensor = self.lateral[-1](used[-1])
        for level in range(len(used) - 2, -1, -1):
            y = functional.interpolate(y, scale_factor=2.0, mode="nearest") + self.lateral[level](used[level])
            y = self.smooth[level](y)
        return y


class PartHead(nn.Module):
    """Map of features and mask logits to one part logit: two strided convolutions, then the maximum and the mean.

    The maximum lets one small defect decide; the mean tells one from a restless surface.
    """

    def __init__(self, features: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.convs = nn.Sequential(conv(features + classes, width, 3, 2), conv(width, width, 3, 2))
        self.last = nn.Linear(2 * width + classes, 1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(N, F, h, w) and (N, K, h, w) to the logit (N,)."""
        x = self.convs(torch.cat([features, mask], 1))
        pooled = torch.cat([x.amax((2, 3)), x.mean((2, 3)), mask.amax((2, 3)) * 0.2], 1)
        logit: Tensor = self.last(pooled)[:, 0]
        return logit


class Net(nn.Module):
    """What every network that can be trained here is: a module with a spec that maps uint8 images to NetOutput."""

    spec: NetSpec


def scaled(image: Tensor) -> Tensor:
    """0..255 to about -2..2, in the network, so that no station scales differently."""
    return (image.float() - _MEAN) * (1 / _SPREAD)


def levelled(image: Tensor) -> Tensor:
    """Each image to mean 0 and spread about 1 over all its pixels and channels (in colour: of every fourth row).

    A surface without any structure has a spread of nothing but noise, which must not be blown up to look like defects.
    """
    image = scaled(image)
    if image.shape[1] == 1:
        centred = image - _mean(image)
        return centred / (_mean(centred.square()).sqrt() + _LEAST_SPREAD)
    some = image[:, :, ::_ROW_STEP]
    mean = _mean(some)
    spread = (_mean(some.square()) - mean.square()).clamp(min=0).sqrt()
    gain = 1 / (spread + _LEAST_SPREAD)
    return image * gain - mean * gain


def _mean(image: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 1, 1, 1): the means of the rows, then theirs.

    Inference engines add up a million pixels one after the other in float32, which had them 1e-3 beside torch in the part's
    logit; so the sums are kept short. Without the reshape between them OpenVINO makes one reduction of the two again.
    """
    batch, channels, height, _ = image.shape
    return image.mean(3).reshape(batch, 1, channels * height, 1).mean(2, keepdim=True)


class LineNet(Net):
    """Linegate's network: uint8 or float image (N, C, H, W), 0..255, to NetOutput."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.trunk = Trunk(spec)
        self.decoder = Decoder(spec.widths, spec.decoder, spec.out_level)
        self.mask = nn.Conv2d(spec.decoder, spec.classes, 1)
        self.part = PartHead(spec.decoder, spec.classes)
        nn.init.constant_(self.mask.bias, -4.0)  # type: ignore[arg-type]  # nearly every pixel is good

    def forward(self, image: Tensor) -> NetOutput:
        """See the class."""
        features = self.trunk(levelled(image) if self.spec.levelled else scaled(image))
        deep = features[-1]
        y = self.decoder(features)
        mask = self.mask(y)
        share = self.spec.part_gradient
        part = self.part(limit_gradient(y, share), limit_gradient(mask, share))
        return NetOutput(mask, part, deep.mean((2, 3)))


def limit_gradient(x: Tensor, share: float) -> Tensor:
    """``x``, with only ``share`` of its gradient. Outside training it is ``x`` itself, so nothing of it is exported."""
    return x * share + x.detach() * (1 - share) if x.requires_grad else x


class Deployed(nn.Module):
    """A network as the line runs it: uint8 image to mask probabilities, part probability (N, 1) and embedding."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        out: NetOutput = self.net(image)
        return torch.sigmoid(out.mask), torch.sigmoid(out.part)[:, None], out.embedding


def parameters_m(net: nn.Module) -> float:
    """Trainable parameters, in millions."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad) / 1e6
