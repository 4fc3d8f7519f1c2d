"""GRAF-plus: features of the operations' places in the graph beyond those of GRAF; this package's own set."""

from __future__ import annotations

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.encoders.graf import (
    NO_PATH,
    degrees,
    membership,
    occurring_operations,
    operation_counts,
    operation_subsets,
    path_lengths,
)
from archenc.graphs import NODE_OFFSET, ArchGraphs
from archenc.graphs.transforms import narrowed
from archenc.registry.rules import Count
from archenc.spaces.base import Space


class GRAFPlusEncoder(Encoder):
    """GRAF's idea with further features, for a Gaussian process, on graphs with operations on nodes.

    For the whole cell: nodes, edges, edges that leave the inputs, edges that enter the output, log(1 + number
    of input-output paths). For each operation k:

    * how often it occurs; edges from the inputs to its nodes, from its nodes to the output, out of its nodes,
      into its nodes;
    * the most edges into one of its nodes, and out of one;
    * the mean over all input-output paths of its number of nodes on the path;
    * its share of a signal that each node splits equally among its targets, from the inputs on, and of one
      that each node splits equally among its sources, from the output back (the share of the output's
      channels, where inputs are concatenated).

    For each pair of operations the number of edges from a node of one to a node of the other. For each subset
    S of the operations GRAF's ``min_path_len(S)`` and ``max_op_on_path(S)``, and the most nodes of S on an
    input-output path, whatever else is on it.

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``: "none" edges are otherwise operations like all others. NAS-Bench-101 has 65 features
    and NAS-Bench-201 173, 65 when simplified.

    Args:
        space: the search space.
        max_subset: most operations of a subset, as in :class:`archenc.encoders.graf.GRAFEncoder`.
        simplify: whether what computes nothing is cut first; skip connections are then bypassed.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> encoder = archenc.create_encoder("graf-plus", space, simplify=True)
        >>> features = dict(zip(encoder.feature_names, encoder.encode(space.parse([cell]))[0].tolist()))
        >>> len(features), features["nodes"], features["edges"]
        (65, 5.0, 5.0)
    """

    form = "node"
    fixed = True
    invariant = True
    paper = (
        "no paper: this package's own, after GRAF "
        "(Kadlecova et al., ICML 2024, https://openreview.net/forum?id=EhPpZV6KLk)"
    )

    def __init__(self, space: Space, *, max_subset: Count | None = None, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.max_subset = max_subset
        self.operations = occurring_operations(space, simplify=simplify, form="node")
        self.subsets = operation_subsets(self.operations, max_subset)
        self.cell_dim = len(self.feature_names)

    @property
    def feature_names(self) -> list[str]:
        """What each number of a cell's encoding is, for example ``"edges(conv3x3 -> skip_connect)"``."""
        names = [self.space.operations[k] for k in self.operations]
        whole = ["nodes", "edges", "edges(inputs)", "edges(output)", "log_paths"]
        per_op = ["op_count", "out_of_input", "into_output", "out", "in", "max_in", "max_out"]
        per_op += ["mean_on_path", "flow", "backflow"]
        per_set = ["min_path_len", "max_op_on_path", "most_on_path"]
        pairs = [f"edges({source} -> {target})" for source in names for target in names]
        sets = [", ".join(self.space.operations[k] for k in subset) for subset in self.subsets]
        return [
            *whole,
            *(f"{feature}({name})" for feature in per_op for name in names),
            *pairs,
            *(f"{feature}({each})" for feature in per_set for each in sets),
        ]

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        graphs, inputs = narrowed(graphs), self.space.num_inputs
        edges = graphs.adjacency.float()
        ids = torch.tensor(self.operations, dtype=graphs.ops.dtype, device=graphs.device) + NODE_OFFSET
        chosen = (graphs.ops[..., None] == ids).float()  # (R, V, K)
        paths, on_path = path_counts(edges, inputs)
        entering, leaving = edges.sum(1), edges.sum(2)  # (R, V)
        ends = [leaving[:, :inputs].sum(1), entering[:, -1]]
        size = torch.stack([graphs.mask.sum(1), leaving.sum(1), *ends, paths.log1p().float()], dim=1)
        most = [(weight[..., None] * chosen).amax(1) for weight in (entering, leaving)]
        backwards = split_equally(edges.flip(1, 2).mT, 1).flip(1)
        weights = (on_path, split_equally(edges, inputs), backwards)
        shares = [torch.einsum("rv,rvk->rk", weight, chosen) for weight in weights]
        pairs = torch.einsum("rvk,rvw,rwl->rkl", chosen, edges, chosen).flatten(1)

        member = membership(self.subsets, len(self.space.operations)).to(graphs.device)
        shortest, longest = path_lengths(graphs, member)
        shortest = torch.where(shortest < NO_PATH, shortest, self.space.num_node_form_nodes + 1)
        longest = torch.where(longest > 0, longest - 1, -1)
        most_on_path = heaviest_path(edges, chosen @ member[:, self.operations].float().T, inputs)
        totals = [total[:, self.operations] for total in (operation_counts(graphs), *degrees(graphs))]
        return torch.cat([size, *totals, *most, *shares, pairs, shortest.T, longest.T, most_on_path], dim=1)


def path_counts(edges: Tensor, inputs: int) -> tuple[Tensor, Tensor]:
    """Number of input-output paths, float64 (R,), and the share of them on which a node lies, float32 (R, V).

    Args:
        edges: (R, V, V) zeros and ones.
        inputs: number of input nodes, which come first.
    """
    ahead = _walks(edges.double(), inputs)  # paths grow exponentially with the nodes
    behind = _walks(edges.double().flip(1, 2).mT, 1).flip(1)
    paths = ahead[:, -1]
    return paths, (ahead * behind / paths[:, None].clamp(min=1)).float()


def split_equally(edges: Tensor, inputs: int) -> Tensor:
    """(R, V): what arrives at each node of a signal of 1 that is split equally.

    Each input sends an equal share of it, and each node an equal share of what it receives to each target.
    """
    return _walks(edges / edges.sum(2, keepdim=True).clamp(min=1), inputs) / inputs


def _walks(weights: Tensor, inputs: int) -> Tensor:
    """(R, V): sum over the walks from inputs to each node of the product of the edges' weights (R, V, V)."""
    totals = [torch.ones_like(weights[:, 0, 0])] * inputs
    for node in range(inputs, weights.shape[1]):
        totals.append((torch.stack(totals, dim=1) * weights[:, :node, node]).sum(1))
    return torch.stack(totals, dim=1)


def heaviest_path(edges: Tensor, weights: Tensor, inputs: int) -> Tensor:
    """(R, S): the greatest sum of node weights (R, V, S) on an input-output path; 0 if there is no path."""
    best = torch.zeros_like(weights.permute(1, 2, 0), memory_format=torch.contiguous_format)
    present, weights = edges.permute(1, 2, 0).contiguous() > 0, weights.permute(1, 2, 0).contiguous()
    for node in range(inputs, len(best)):
        arriving = torch.where(present[:node, node, None], best[:node], -torch.inf)
        best[node] = arriving.amax(0) + weights[node]
    return best[-1].T.clamp(min=0)
