"""GRAF: neural graph features (Kadlecova et al., ICML 2024)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.encoders.modules.features import one_hot, operation_numbers
from archenc.graphs import EDGE_OFFSET, NODE_OFFSET, ArchGraphs, OpOn
from archenc.graphs.transforms import narrowed
from archenc.registry.rules import Count
from archenc.spaces.base import Space

MOST_SUBSETS = 128
NO_PATH = 10_000
"""Longer than any path."""


class GRAFEncoder(Encoder):
    """How an architecture's operations lie in its graph, for every non-empty subset S of the operations.

    * ``op_count``: how often each operation occurs; where operations sit on nodes, the input and output nodes
      are counted too.
    * ``min_path_len(S)``: edges on the shortest input-output path that avoids all operations outside S; V + 1
      if there is none.
    * ``max_op_on_path(S)``: operations on the longest input-output path that uses only those of S; -1 if
      there is none.
    * ``node_degree(S)``: edges with an operation of S that leave an input; that enter the output; mean over
      the nodes of those that enter a node; and of those that leave one. Where operations sit on nodes, an
      edge has for its operation that of its other end.

    NAS-Bench-201 has 5 + 6 * 31 = 191 features and NAS-Bench-101 5 + 6 * 7 = 47. "none" is an operation like
    any other, unless graphs are simplified: subsets of operations that cannot occur then are left out
    (NAS-Bench-201: 4 + 6 * 15 = 94 features).

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``, because "none" edges are otherwise walked and counted.

    Deviations: the avoided sets, all but the whole in the paper, are named by their complements, which makes
    the same features; without a path, NAS-Bench-101 gets the constants above, where the release gives the
    cell's own number of nodes and -4; several inputs are added up, or whichever is nearest or furthest; large
    spaces leave out the middle sizes of subsets.

    Args:
        space: the search space.
        max_subset: most operations of a subset, the set of all operations aside; None takes the largest
            number for which there are at most 128 subsets: all of them up to 7 operations, three operations
            of 8, two of 9.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> encoder = archenc.create_encoder("graf", space, simplify=True)
        >>> features = dict(zip(encoder.feature_names, encoder.encode(space.parse([cell]))[0].tolist()))
        >>> len(features), features["op_count(nor_conv_3x3)"]
        (94, 2.0)
    """

    fixed = True
    invariant = True
    paper = (
        "Kadlecova et al.: Surprisingly Strong Performance Prediction with Neural Graph Features, "
        "ICML 2024, section 3, https://openreview.net/forum?id=EhPpZV6KLk"
    )

    def __init__(self, space: Space, *, max_subset: Count | None = None, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.max_subset = max_subset
        self.operations = occurring_operations(space, simplify=simplify, form=space.op_on)
        self.subsets = operation_subsets(self.operations, max_subset)
        self.cell_dim = len(self.feature_names)

    @property
    def feature_names(self) -> list[str]:
        """What each number of a cell's encoding is, for example ``"min_path_len(conv3x3, skip_connect)"``."""
        names = self.space.operations
        counted = [names[k] for k in self.operations]
        if self.space.op_on == "node":
            counted += ["input", "output"]
        features = ["min_path_len", "max_op_on_path", "out_of_input", "into_output", "mean_in", "mean_out"]
        sets = [", ".join(names[k] for k in subset) for subset in self.subsets]
        counts = [f"op_count({name})" for name in counted]
        return counts + [f"{feature}({names})" for feature in features for names in sets]

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        graphs, num_ops = narrowed(graphs), len(self.space.operations)
        member = membership(self.subsets, num_ops).to(graphs.device)
        shortest, longest = path_lengths(graphs, member)
        on_nodes = graphs.op_on == "node"
        shortest = torch.where(shortest < NO_PATH, shortest, self.space.max_nodes + 1)
        longest = torch.where(longest > 0, longest - int(on_nodes), -1)

        size = graphs.mask.sum(1, keepdim=True).float()
        ends = [self.space.num_inputs * torch.ones_like(size), torch.ones_like(size)] if on_nodes else []
        leaving, entering, into, out_of = (degree @ member.T.float() for degree in degrees(graphs))
        counts = operation_counts(graphs)[:, self.operations]
        means = (into / size, out_of / size)
        return torch.cat([counts, *ends, shortest.T, longest.T, leaving, entering, *means], dim=1)


def occurring_operations(space: Space, *, simplify: bool, form: OpOn) -> list[int]:
    """Numbers k of the operations that graphs of a form have.

    Simplifying cuts "none", and skip connections in the op-on-node form.
    """
    cut = {space.none_op, space.skip_op if form == "node" else None} if simplify else set()
    return [k for k, name in enumerate(space.operations) if name not in cut]


def operation_subsets(operations: Sequence[int], max_subset: int | None = None) -> list[tuple[int, ...]]:
    """Subsets of up to ``max_subset`` operations, then all; for None see :class:`GRAFEncoder`."""
    most = len(operations)
    if max_subset is None:
        largest = 1
        while largest < most and _num_subsets(most, largest + 1) <= MOST_SUBSETS:
            largest += 1
    else:
        largest = max_subset
    sizes = sorted({*range(1, min(largest, most) + 1), most})
    return [subset for size in sizes for subset in itertools.combinations(operations, size)]


def _num_subsets(operations: int, largest: int) -> int:
    """How many subsets of 1 to ``largest`` operations there are, the whole set included."""
    return sum(math.comb(operations, size) for size in range(1, largest + 1)) + (largest + 1 < operations)


def membership(subsets: Sequence[tuple[int, ...]], num_ops: int) -> Tensor:
    """Bool (S, K): whether subset s contains operation k."""
    member = torch.zeros((len(subsets), num_ops), dtype=torch.bool)
    for row, subset in enumerate(subsets):
        member[row, list(subset)] = True
    return member


def path_lengths(graphs: ArchGraphs, member: Tensor) -> tuple[Tensor, Tensor]:
    """Int16 (S, R) twice: edges on the shortest and on the longest input-output path.

    Only paths with operations of a subset alone count. Where there is no such path, the shortest has at least
    ``NO_PATH`` and the longest a negative number of edges.

    Args:
        graphs: R rows in either form.
        member: bool (S, K), the operations of each subset.
    """
    inputs, rows = graphs.space.num_inputs, len(graphs.mask)
    # to each node, which come first, so that every step runs over contiguous memory
    shortest = graphs.mask.new_zeros((graphs.num_nodes, len(member), rows), dtype=torch.int16)
    longest = torch.zeros_like(shortest)
    for target in range(inputs, graphs.num_nodes):
        step = allowed_steps(graphs, member, target)
        shortest[target] = torch.where(step, shortest[:target], NO_PATH).amin(0) + 1
        longest[target] = torch.where(step, longest[:target], -NO_PATH).amax(0) + 1
    return shortest[-1], longest[-1]


def allowed_steps(graphs: ArchGraphs, member: Tensor, target: int) -> Tensor:
    """Bool (target, S, R): whether there is an edge from each earlier node whose operation is in the subset.

    Where operations sit on nodes, the operation is that of the target.
    """
    if graphs.op_on == "edge":
        ids = graphs.edge_ops()[:, :, :target, target].permute(1, 2, 0).long()  # (slots, target, R)
        return _with_special_ids(member, "edge")[:, ids].any(1).transpose(0, 1)
    edges = graphs.adjacency[:, :target, target].T.contiguous().bool()
    return _with_special_ids(member, "node")[:, graphs.ops[:, target].long()] & edges[:, None]


def _with_special_ids(member: Tensor, op_on: OpOn) -> Tensor:
    """Membership by id, bool (S, vocabulary): the output always, never padding, inputs and absent edges."""
    specials = NODE_OFFSET if op_on == "node" else EDGE_OFFSET
    special = torch.zeros((len(member), specials), dtype=torch.bool, device=member.device)
    if op_on == "node":
        special[:, NODE_OFFSET - 1] = True
    return torch.cat([special, member], dim=1)


def operation_counts(graphs: ArchGraphs) -> Tensor:
    """Float (R, K): how often each operation occurs."""
    num_ops = len(graphs.space.operations)
    chosen = one_hot(operation_numbers(graphs), num_ops).reshape(len(graphs.mask), -1, num_ops)
    return chosen.sum(1, dtype=torch.float32)


def degrees(graphs: ArchGraphs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Float (R, K) four times: edges with operation k out of inputs, into the output, into and out of nodes.

    Where operations sit on nodes, an edge has the operation of its target where it leaves and of its source
    where it enters.
    """
    num_ops, inputs = len(graphs.space.operations), graphs.space.num_inputs
    if graphs.op_on == "edge":
        ids = torch.arange(num_ops, dtype=graphs.ops.dtype, device=graphs.device) + EDGE_OFFSET
        edges = (graphs.edge_ops()[..., None] == ids).sum(1, dtype=torch.float32)  # (R, V, V, K)
        everywhere = edges.sum((1, 2))
        return edges[:, :inputs].sum((1, 2)), edges[:, :, -1].sum(1), everywhere, everywhere
    ids = torch.arange(num_ops, dtype=graphs.ops.dtype, device=graphs.device) + NODE_OFFSET
    chosen = (graphs.ops[..., None] == ids).float()  # (R, V, K)
    edges = graphs.adjacency.float()
    sources, targets = edges.sum(1), edges.sum(2)  # (R, V): edges that enter and that leave each node
    per_node = (edges[:, :inputs].sum(1), edges[:, :, -1], targets, sources)
    leaving, entering, into, out_of = (torch.einsum("rv,rvk->rk", weight, chosen) for weight in per_node)
    return leaving, entering, into, out_of
