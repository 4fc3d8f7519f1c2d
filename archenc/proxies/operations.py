"""Scores of single operations, which break the symmetry of TA-GATES (``symmetry_breaking="scores"``)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from archenc.errors import InvalidParameter
from archenc.files.progress import progress as progress_bar
from archenc.graphs import ArchGraphs
from archenc.proxies.run import Setting, batch_of, checked_seed
from archenc.proxies.scores import Probe, channel_fisher

OPERATION_SCORES = ("grad-norm", "snip", "plain", "synflow", "fisher", "output", "output-gradient")
"""Of each operation: the first five are proxies over its own weights and convolutions, ``plain`` being the
sum of weight times gradient; the last two, which operations without weights have too, the root mean square of
what it gives and of the gradient to that.
"""
_PLACE = re.compile(r"\.(?:edges|operations)\.(\w+)(?:\.|$)")
LEAST = 1e-12


def operation_scores(
    graphs: ArchGraphs, *, seeds: Sequence[int] = (0,), setting: Setting | None = None, progress: bool = False
) -> np.ndarray:
    """float32, the shape of ``graphs.ops`` with an axis of :data:`OPERATION_SCORES` behind it.

    An operation that stands in several cells of the network has the sum over them. Logarithms of magnitudes
    (``plain`` with its sign) are averaged over seeds and standardised over all operations of these graphs
    that compute something, so that they can be attached as they are:
    ``graphs.with_features(operation_scores(graphs))``.

    Args:
        graphs: architectures of NAS-Bench-101, NAS-Bench-201 or TransNAS-Bench-101, as they were read.
        seeds: of weights and images.
        setting: images and sizes.
        progress: whether to show a bar.

    Raises:
        InvalidParameter: a space whose operations have no such places.
    """
    setting = setting or Setting()
    place_of = _places(graphs)
    table = np.zeros((len(graphs), *graphs.ops.shape[1:], len(OPERATION_SCORES)))
    there = np.zeros(table.shape[:-1], dtype=bool)
    side = graphs.space.skeletons["small"].resolution if setting.resolution is None else setting.resolution
    batches = {seed: batch_of(setting.images, setting.batch, side, seed) for seed in map(checked_seed, seeds)}
    for row in progress_bar(range(len(graphs)), "scores of operations", show=progress):
        for seed, batch in batches.items():
            network = setting.network(graphs[row], seed)
            for place, values in _of_network(network, batch, seed).items():
                at = (row, *place_of(place))
                table[at] += np.array(values) / len(batches)
                there[at] = True
    mean, deviation = table[there].mean(0), table[there].std(0)
    scaled = (table - mean) / np.where(deviation > 1e-9, deviation, 1.0)
    return np.where(there[..., None], scaled, 0.0).astype(np.float32)


def _places(graphs: ArchGraphs) -> Callable[[str], tuple[int, ...]]:
    """From the name of an operation in a cell to its index in the graphs' operations."""
    if graphs.space.cells == 1 and graphs.op_on == "edge" and graphs.ops.dim() == 3:
        return lambda name: (int(name.partition("_")[0]), int(name.partition("_")[2]))
    if graphs.space.name == "nasbench101":
        if bool((graphs.space.simplify(graphs).mask != graphs.mask).any()):
            raise InvalidParameter(
                "some of these cells have nodes on no path from input to output; parse them, which "
                "cuts such nodes"
            )
        return lambda name: (int(name),)
    raise InvalidParameter(
        f"there are no scores of single operations in the space {graphs.space.name!r}; use nasbench101, "
        "nasbench201 or transnas101-micro"
    )


def _of_network(network: nn.Module, batch: tuple[Tensor, Tensor], seed: int) -> dict[str, list[float]]:
    """The scores of the operation at each place."""
    outputs: dict[str, list[Tensor]] = {}
    hooks = []
    for name, module in network.named_modules():
        found = _PLACE.search(f".{name}")
        if found and f".{name}".endswith(f".{found[1]}"):
            kept = outputs.setdefault(found[1], [])
            hooks.append(
                module.register_forward_hook(lambda _, given, output, kept=kept: kept.append(output))
            )
    probe = Probe(network, *batch, seed)  # type: ignore[arg-type]
    _ = probe.scores
    for hook in hooks:
        hook.remove()
    gradients = _gradients_of(probe, outputs)
    sums = {place: dict.fromkeys(OPERATION_SCORES, 0.0) for place in outputs}
    for name, gradient in probe.weight_gradients.items():
        if found := _PLACE.search(f".{name}"):
            weight = probe.weights[name].detach()
            own = sums[found[1]]
            own["grad-norm"] += float(gradient.square().sum())
            own["snip"] += float((gradient * weight).abs().sum())
            own["plain"] += float((gradient * weight).sum())
    for name, flow in probe.flow.items():
        if found := _PLACE.search(f".{name}"):
            sums[found[1]]["synflow"] += float(flow.sum())
    for name, value in channel_fisher(probe).items():
        if found := _PLACE.search(f".{name}"):
            sums[found[1]]["fisher"] += value
    for place, kept in outputs.items():
        sums[place]["output"] = sum(float(value.detach().square().mean()) for value in kept)
        sums[place]["output-gradient"] = gradients[place]
    return {place: [_scaled(name, own[name]) for name in OPERATION_SCORES] for place, own in sums.items()}


def _gradients_of(probe: Probe, outputs: dict[str, list[Tensor]]) -> dict[str, float]:
    """The mean square of the gradient to what each place gives, summed over its cells."""
    loss = nn.functional.cross_entropy(probe.scores, probe.classes)
    flat = [value for kept in outputs.values() for value in kept]
    if not flat or not loss.requires_grad:
        return dict.fromkeys(outputs, 0.0)
    found = iter(torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True))
    return {
        place: sum(0.0 if (g := next(found)) is None else float(g.square().mean()) for _ in kept)
        for place, kept in outputs.items()
    }


def _scaled(name: str, value: float) -> float:
    """The logarithm above the least magnitude that is told from nothing, with the sign."""
    size = math.log(max(abs(value), LEAST)) - math.log(LEAST)
    return math.copysign(size, value) if name == "plain" else size
