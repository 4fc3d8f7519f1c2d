"""The path encodings (White, Neiswanger, Savani, AAAI 2021; White et al., NeurIPS 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.encoders.adjacency import Kind
from archenc.encoders.modules.features import present_indices
from archenc.errors import InvalidParameter
from archenc.graphs import NODE_OFFSET, ArchGraphs
from archenc.registry.rules import Count
from archenc.spaces.base import Space

MAX_FEATURES = 100_000
_CHUNK_BYTES = 2**26


class PathEncoder(Encoder):
    """One feature for each sequence of operations that can lie on a path from an input to the output.

    With K operations the path (o_1, ..., o_k) has the index

        sum_{l < k} K^l  +  sum_{i < k} K^i o_{i+1}

    so that paths are ordered by length, and a truncated encoding is a prefix of the whole one. Where a cell
    has I > 1 inputs, each length has I blocks of K^k features, one for each input. Where operations sit on
    edges every path has at least one, and the empty path is left out, unless simplifying bypasses skip
    connections. NAS-Bench-101 has 364 features (cut at 40: paths of at most three operations), NAS-Bench-201
    has 155 (156 when simplified: the empty path is then a skip connection).

    * ``onehot``: 1 for each path that the architecture has.
    * ``categorical``: the 1-based indices of its paths in ascending order, padded with 0.
    * ``continuous``: as ``onehot``, then the number of its distinct paths (within the cutoff).

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``, because "none" edges otherwise make paths like any other operation.

    Deviations: the operations are numbered in the space's order; inputs are told apart within a length and
    not in blocks of all lengths, so that a cutoff drops the longest paths of all inputs.

    Args:
        space: the search space.
        kind: one of the above.
        cutoff: keep only the first ``cutoff`` features; None keeps all.
        simplify: whether what computes nothing is cut first; skip connections are then bypassed.

    Raises:
        InvalidParameter: more than 100,000 features.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> encoder = archenc.create_encoder("path", space, kind="categorical", simplify=True)
        >>> encoder.encode(space.parse([cell]))[:, :3].tolist()  # two paths
        [[6.0, 150.0, 0.0]]
    """

    form = "node"
    fixed = True
    invariant = True
    paper = (
        "White, Neiswanger, Savani: BANANAS, AAAI 2021, section 3, arXiv:1910.11858; "
        "White, Neiswanger, Nolen, Savani: A Study on Encodings for Neural Architecture Search, "
        "NeurIPS 2020, section 3, arXiv:2007.04965"
    )

    def __init__(
        self, space: Space, *, kind: Kind = "onehot", cutoff: Count | None = None, simplify: bool = False
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.kind, self.cutoff = kind, cutoff
        self.num_ops = len(space.operations) - (space.join_op is not None)
        bypasses = simplify and space.skip_op is not None
        self.min_length = 1 if space.op_on == "edge" and not bypasses else 0
        self.max_length, self.num_features = self._size(longest_path(space))
        inside = space.num_node_form_nodes - space.num_inputs - 1
        lengths = range(self.min_length, self.max_length + 1)
        most = space.num_inputs * sum(math.comb(inside, length) for length in lengths)
        self.list_length = min(self.num_features, most)
        self.cell_dim = {
            "onehot": self.num_features,
            "categorical": self.list_length,
            "continuous": self.num_features + 1,
        }[kind]

    @classmethod
    def unsupported(cls, space: Space) -> str | None:
        shortest = shortest_path(space)
        if len(space.operations) ** shortest > MAX_FEATURES:
            return (
                f"every path has at least {shortest} operations, which make more than {MAX_FEATURES:,} "
                "sequences; use the 'adjacency' encoder"
            )
        return super().unsupported(space)

    def _size(self, longest: int) -> tuple[int, int]:
        """The longest path with a feature of its own, and the number of features."""
        features = 0
        for length in range(self.min_length, longest + 1):
            features += self.space.num_inputs * self.num_ops**length
            if self.cutoff is not None and features >= self.cutoff:
                return length, self.cutoff
            if features > MAX_FEATURES:
                raise InvalidParameter(
                    f"the path encoding of the space {self.space.name!r} has more than {MAX_FEATURES:,} "
                    "features; give a smaller cutoff"
                )
        return longest, features

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        rows = max(1, _CHUNK_BYTES // (self.num_features * graphs.num_nodes))
        chunks = zip(torch.split(graphs.adjacency, rows), torch.split(graphs.ops, rows), strict=True)
        bits = torch.cat([self._paths(adjacency, ops) for adjacency, ops in chunks])
        if self.kind == "categorical":
            return present_indices(bits, self.list_length).float()
        if self.kind == "continuous":
            return torch.cat([bits.float(), bits.sum(1, keepdim=True, dtype=torch.float32)], dim=1)
        return bits.float()

    def _paths(self, adjacency: Tensor, ops: Tensor) -> Tensor:
        """Uint8 (R, F): which paths each cell has, from adjacency (R, V, V) and ops (R, V).

        The sequences that reach a node are those that reach its sources, each with the node's operation
        appended. They are kept for each length k as uint8 (I, K^k, R): rows last, so that every step runs
        over contiguous memory.
        """
        edges = adjacency.permute(1, 2, 0).contiguous()
        ids = ops.T
        num_nodes, rows = ids.shape
        num_inputs, num_ops = self.space.num_inputs, self.num_ops
        choices = torch.arange(num_ops, dtype=ids.dtype, device=ids.device)[:, None] + NODE_OFFSET
        own = torch.eye(num_inputs, dtype=torch.uint8, device=ids.device)[:, :, None, None]

        reached: list[dict[int, Tensor]] = [
            {0: own[i].expand(num_inputs, 1, rows)} for i in range(num_inputs)
        ]
        for node in range(num_inputs, num_nodes):
            arriving: dict[int, Tensor] = {}
            for source, sequences in enumerate(reached):
                edge = edges[source, node]
                for length, present in sequences.items():
                    sent = present & edge
                    arriving[length] = arriving[length] | sent if length in arriving else sent
            operation = (ids[node] == choices).to(torch.uint8)[:, None, :]  # (K, 1, R)
            reached.append(
                {
                    length + 1: (operation & present[:, None]).reshape(num_inputs, -1, rows)
                    for length, present in arriving.items()
                    if length < self.max_length
                }
            )
        lengths = range(self.min_length, self.max_length + 1)
        found = torch.cat([arriving[length].reshape(-1, rows) for length in lengths])
        return found[: self.num_features].T.contiguous()


def longest_path(space: Space) -> int:
    """The most operations on a path from an input to the output of a cell."""
    edges = sorted(space.topology or space.edge_slots()[:, :2].tolist())
    steps = [0] * space.max_nodes
    for source, target in edges:  # by source, so that a source is final when it is read
        steps[target] = max(steps[target], steps[source] + 1)
    most = min(steps[-1], space.max_edges or steps[-1])
    return most if space.op_on == "edge" and space.join_op is None else most - 1


def shortest_path(space: Space) -> int:
    """The fewest operations on an input-output path; 0 or 1 where edges are part of the choice."""
    steps = [0.0] * space.num_inputs + [math.inf] * (space.max_nodes - space.num_inputs)
    for source, target in sorted(space.topology or [(0, space.max_nodes - 1)]):
        steps[target] = min(steps[target], steps[source] + 1)
    return int(steps[-1]) - (space.op_on == "node")
