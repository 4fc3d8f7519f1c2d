"""How much of each kind of operation a signal meets on its way through a cell; features of this package."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.encoders.graf import membership, occurring_operations
from archenc.graphs import ABSENT, EDGE_OFFSET, NODE_OFFSET, ArchGraphs
from archenc.graphs.transforms import narrowed
from archenc.spaces.base import Space

NO_PATH = -1.0


class PathProfileEncoder(Encoder):
    """Six sums over the ways from the inputs to the output, for each class S of operations.

    A step u -> v weighs w = 1 if its operation (on nodes: that of v) is in S, else 0. Over all input-output
    paths, of the sum of the weights: the ``most``, the ``least``, and the ``mean``. And three recursions from
    the inputs, x = 0, to the output, over the steps that enter a node: ``drift`` x(v) = mean(x(u) + w),
    ``soft_most`` x(v) = log sum exp(x(u) + w), which also counts paths, and ``soft_least`` x(v) = -log sum
    exp(-x(u) - w). Without a path each is -1. Two more features are log(1 + number of paths) and the number
    of nodes.

    The classes are the operations one by one, those whose names share a word or a size
    (:func:`operation_classes`), and all together. NAS-Bench-101 has 38 features, and NAS-Bench-201 44.

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``, which cuts "none".

    Args:
        space: the search space.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> encoder = archenc.create_encoder("path-profile", space, simplify=True)
        >>> features = dict(zip(encoder.feature_names, encoder.encode(space.parse([cell]))[0].tolist()))
        >>> len(features), features["most(nor_conv_3x3)"]
        (44, 2.0)
    """

    fixed = True
    invariant = True
    paper = "no paper: this package's own"

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        occurring = occurring_operations(space, simplify=simplify, form=space.op_on)
        self.classes = operation_classes(space.operations, occurring)
        self.cell_dim = len(self.feature_names)
        sums = (self.cell_dim - 2) // 2
        self.groups = (2 + sums, sums)  # over whole paths, and step by step

    @property
    def feature_names(self) -> list[str]:
        """What each number of a cell's encoding is, for example ``"least(nor_conv_1x1, nor_conv_3x3)"``."""
        sets = [", ".join(self.space.operations[k] for k in numbers) for numbers in self.classes]
        sums = ("most", "least", "mean", "drift", "soft_most", "soft_least")
        return ["log_paths", "nodes", *(f"{name}({each})" for name in sums for each in sets)]

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        graphs = narrowed(graphs)
        weights = membership(self.classes, len(self.space.operations)).T.to(graphs.device)  # (K, S)
        specials = NODE_OFFSET if graphs.op_on == "node" else EDGE_OFFSET
        by_id = torch.cat([weights.new_zeros(specials, len(self.classes)), weights]).float()
        zero = torch.zeros((len(graphs.mask), len(self.classes)), dtype=torch.float32, device=graphs.device)
        sums = {name: [zero] * self.space.num_inputs for name in _STEPS}
        paths = [zero[:, :1].double() + 1] * self.space.num_inputs
        totals = [zero.double()] * self.space.num_inputs
        for node in range(self.space.num_inputs, graphs.num_nodes):
            sources, there, weight = _entering(graphs, by_id, node)
            there = there & (torch.stack(paths, 1)[:, sources] > 0)  # a way that leads nowhere back is none
            for name, step in _STEPS.items():
                arriving = torch.stack(sums[name], 1)[:, sources] + weight  # (R, E, S)
                sums[name].append(torch.where(there.any(1), step(arriving, there), 0.0))
            before = torch.where(there, torch.stack(paths, 1)[:, sources], 0.0)
            total = torch.where(there, torch.stack(totals, 1)[:, sources], 0.0)
            totals.append((total + before * weight).sum(1))
            paths.append(before.sum(1))
        number = paths[-1]  # (R, 1)
        most, least, *recursions = (values[-1] for values in sums.values())
        features = [most, least, (totals[-1] / number.clamp(min=1)).float(), *recursions]
        size = torch.cat([number.log1p().float(), graphs.mask.sum(1, keepdim=True).float()], dim=1)
        return torch.cat([size, *(torch.where(number > 0, values, NO_PATH) for values in features)], dim=1)


_Step = Callable[[Tensor, Tensor], Tensor]
# from (R, E, S) sums that arrive and (R, E, 1) whether by a step that is there, to (R, S)
_STEPS: dict[str, _Step] = {
    "most": lambda sums, there: torch.where(there, sums, -torch.inf).amax(1),
    "least": lambda sums, there: torch.where(there, sums, torch.inf).amin(1),
    "drift": lambda sums, there: torch.where(there, sums, 0.0).sum(1) / there.sum(1).clamp(min=1),
    "soft_most": lambda sums, there: torch.where(there, sums, -torch.inf).logsumexp(1),
    "soft_least": lambda sums, there: -torch.where(there, -sums, -torch.inf).logsumexp(1),
}


def _entering(graphs: ArchGraphs, by_id: Tensor, node: int) -> tuple[Tensor, Tensor, Tensor]:
    """The steps into a node: sources (E,), whether each is there (R, E, 1), and weights (R, E or 1, S)."""
    sources = torch.arange(node, device=graphs.device)
    if graphs.op_on == "node":
        weights = by_id[graphs.ops[:, node].long()][:, None]
        return sources, graphs.adjacency[:, :node, node, None].bool(), weights
    ids = graphs.edge_ops()[:, :, :node, node].flatten(1).long()
    return sources.repeat(graphs.edge_ops().shape[1]), ids[..., None] != ABSENT, by_id[ids]


def operation_classes(names: Sequence[str], numbers: Sequence[int]) -> list[tuple[int, ...]]:
    """Sets of the operations ``numbers``: each, those that share a word or a size like ``3x3``, and all."""
    by_word: dict[str, list[int]] = {}
    for k in numbers:
        for word in dict.fromkeys(re.findall(r"[a-z]+|[0-9]+(?:x[0-9]+)*", names[k].lower())):
            by_word.setdefault(word, []).append(k)
    return list(dict.fromkeys([*((k,) for k in numbers), *map(tuple, by_word.values()), tuple(numbers)]))
