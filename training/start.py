"""Retraining begins with the network that is at work: what it knows need not be learnt again, and fewer verdicts change.

The weights come out of the bundle's ONNX file, the one thing that every bundle has. There batch norm is folded into the
convolutions; before it can be trained again it is unfolded: where y = W·x + b, and W·x has mean m and spread s over pictures of
today, W / s is convolved, normalised by (m / s, 1), then scaled and moved by (s, b + m), which is the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from linegate.models.bundle import Bundle, BundleError
from linegate.training.network import LineNet, Net
from linegate.training.pictures import Pictures

AGAIN = 0.25
"""The rate of such a training, of that of one that begins with nothing."""
PICTURES = 32
"""So many show what a layer's mean and spread are: each is thousands of places."""


def begin_from(net: Net, bundle: Bundle, classes: Sequence[str], images: Iterable[Tensor]) -> None:
    """Give ``net`` the weights of ``bundle``'s network, in place. Classes are matched by name: of one that the bundle doesn't
    know, the mask keeps its fresh weights and the part score doesn't heed it yet, so every other output is the bundle's.

    Args:
        images: (N, C, H, W) uint8, as the network will see them.

    Raises:
        BundleError: the bundle's network isn't of this build.
    """
    known = bundle.manifest.classes
    graph = onnx.load_from_string(bundle.model_bytes()).graph
    layers, weights = _layers(net), _weights(graph)
    if not isinstance(net, LineNet) or len(layers) != len(weights):
        raise _unlike(bundle, f"{len(weights)} layers with weights where this one has {len(layers)}")
    if any(node.op_type == "Sqrt" for node in graph.node) is not net.spec.levelled:  # no root without a spread
        raise _unlike(bundle, "an input brought to one level" if not net.spec.levelled else "an input as it comes")
    sources = [known.index(name) if name in known else None for name in classes]
    norms = _norms(net)
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, weights, strict=True):
            axis, first = _class_axis(net, layer)
            if not _carry(layer.weight, weight, axis, first, sources, len(known)):
                found = f"a layer of {tuple(weight.shape)} where this one has {tuple(layer.weight.shape)}"
                raise _unlike(bundle, found)
            if (norm := norms.get(layer)) is not None:
                norm.weight.fill_(1)
                norm.bias.copy_(bias)
                norm.running_mean.zero_()
                norm.running_var.fill_(1 - norm.eps)
            else:
                _carry(layer.bias, bias, 0 if layer is net.mask else -1, 0, sources, len(known))
        _unfold(net, norms, images)


def some_inputs(pictures: Pictures) -> Iterable[Tensor]:
    """Some of the pictures as single inputs (1, C, H, W), evenly over all; of large ones the corner."""
    spec = pictures.spec
    for index in np.linspace(0, len(pictures.samples) - 1, min(PICTURES, len(pictures.samples))).astype(int).tolist():
        image = pictures.image(index)[: spec.height_px, : spec.width_px]
        planes = image[None] if spec.channels == 1 else image.transpose(2, 0, 1)
        yield torch.from_numpy(np.array(planes))[None]  # the pictures themselves may not be written to


def _layers(net: Net) -> list[Any]:
    """Layers with weights, as they come in turn."""
    found: list[nn.Module] = []
    kinds = (nn.Conv2d, nn.Linear)
    hooks = [m.register_forward_hook(lambda m, *_: found.append(m)) for m in net.modules() if isinstance(m, kinds)]
    side = 2 * net.spec.multiple_px
    was = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.zeros((1, net.spec.channels, side, side)))
    finally:
        net.train(was)
        for hook in hooks:
            hook.remove()
    return found


def _weights(graph: Any) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of convolutions and matrices, as they come in turn; none where they aren't stored as plain numbers."""
    stored = {one.name: one for one in graph.initializer}
    pairs = [tuple(node.input[1:3]) for node in graph.node if node.op_type in ("Conv", "Gemm")]
    if not all(len(pair) == 2 and set(pair) <= stored.keys() for pair in pairs):
        return []
    return [tuple(torch.from_numpy(numpy_helper.to_array(stored[n]).copy()) for n in pair) for pair in pairs]  # type: ignore[misc]


def _norms(net: Net) -> dict[nn.Module, Any]:
    """The batch norm behind each convolution that has one."""
    rows = [list(m.children()) for m in net.modules() if isinstance(m, nn.Sequential)]
    return {a: b for row in rows for a, b in pairwise(row) if isinstance(b, nn.BatchNorm2d)}


def _class_axis(net: LineNet, layer: nn.Module) -> tuple[int, int]:
    """The axis of a layer's weights along which classes lie, and where they begin; (-1, 0) for a layer that knows none."""
    if layer is net.mask:
        return 0, 0
    if layer is net.part.last:
        return 1, net.part.last.in_features - net.spec.classes
    return (1, net.spec.decoder) if layer is net.part.convs[0][0] else (-1, 0)  # type: ignore[index]


def _carry(own: Tensor, old: Tensor, axis: int, first: int, sources: Sequence[int | None], known: int) -> bool:
    """Write ``old`` into ``own``, along ``axis`` class by class from ``first`` on; False where it doesn't fit."""
    if axis < 0:
        if own.shape != old.shape:
            return False
        own.copy_(old)
        return True
    mine, theirs = own.movedim(axis, 0), old.movedim(axis, 0)
    if mine.shape[1:] != theirs.shape[1:] or len(mine) - len(sources) != first or len(theirs) - known != first:
        return False
    mine[:first] = theirs[:first]
    for place, source in enumerate(sources):
        if source is not None:
            mine[first + place] = theirs[first + source]
        elif axis:  # what reads the class's mask doesn't heed it yet
            mine[first + place] = 0
    return True


def _unfold(net: LineNet, norms: dict[nn.Module, Any], images: Iterable[Tensor]) -> None:
    """Batch norm that normalises, instead of one that only moves: see the head of this file."""
    sums: dict[nn.Module, list[Tensor]] = {}

    def look(layer: nn.Module, _inputs: object, out: Tensor) -> None:
        moments = torch.stack([out.mean((0, 2, 3)), out.square().mean((0, 2, 3))]).double()
        sums.setdefault(layer, []).append(moments)

    hooks = [layer.register_forward_hook(look) for layer in norms]
    was = net.training
    try:
        net.eval()
        for image in images:
            net(image)
    finally:
        net.train(was)
        for hook in hooks:
            hook.remove()
    for layer, found in sums.items():
        mean, square = torch.stack(found).mean(0)
        spread = (square - mean.square()).clamp(min=1e-4).sqrt()
        norm = norms[layer]
        layer.weight.div_(spread.view(-1, 1, 1, 1))  # type: ignore[operator]
        norm.running_mean.copy_(mean / spread)
        norm.running_var.fill_(1)
        norm.weight.copy_(spread * (1 + norm.eps) ** 0.5)
        norm.bias.add_(mean)


def _unlike(bundle: Bundle, found: str) -> BundleError:
    return BundleError(
        f"bundle {bundle.label}",
        expected="a network of the build that is to be trained",
        found=found,
        remedy="Begin from another bundle, or anew with --anew.",
    )
