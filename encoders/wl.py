"""Weisfeiler-Lehman features of NASBOWL (Ru, Wan, Dong, Osborne, ICLR 2021)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.graphs import INPUT, ArchGraphs
from archenc.graphs.hashing import wl_labels
from archenc.graphs.transforms import narrowed
from archenc.registry.rules import Buckets, Few
from archenc.spaces.base import Space


class WLEncoder(Encoder):
    """How often each Weisfeiler-Lehman label occurs among the nodes of the op-on-node form.

    A node's label starts as its operation. In each of h rounds it becomes a new name for the pair of itself
    and the multiset of its sources' labels, so that after h rounds it stands for the subtree of depth h above
    the node. The encoding is the histogram phi of the labels of rounds 0 to h, and phi . phi' the WL subtree
    kernel of two architectures (section 3.1). The head ``gp`` with ``kernel="linear"`` takes it normalised,
    phi . phi' / (|phi| |phi'|): the two together are NASBOWL's surrogate.

    Isomorphic architectures get the same encoding; where operations sit on edges, only with
    ``simplify=True``, because "none" edges are otherwise nodes.

    Deviations: h is given, where the paper picks it by marginal likelihood. Labels are 64-bit hashes, and
    those of rounds from 1 on are folded into ``buckets`` columns, so that the length does not depend on the
    architectures seen; labels in the same column count as one, which is seldom where cells have few labels.

    Args:
        space: the search space.
        iterations: h, rounds of refinement.
        buckets: columns for the labels of rounds 1 to h.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("wl", space, iterations=1, buckets=64)
        >>> histograms = encoder.encode(space.sample(3, seed=0))
        >>> histograms.shape, histograms.sum(1).tolist()  # eight nodes, each with two labels
        ((3, 71), [16.0, 16.0, 16.0])
    """

    form = "node"
    fixed = True
    invariant = True
    paper = (
        "Ru et al.: Interpretable NAS via Bayesian Optimisation with Weisfeiler-Lehman Kernels, "
        "ICLR 2021, section 3.1, arXiv:2006.07556"
    )

    def __init__(
        self, space: Space, *, iterations: Few = 2, buckets: Buckets = 2048, simplify: bool = False
    ) -> None:
        super().__init__(space, simplify=simplify)
        self.iterations, self.buckets = iterations, buckets
        self.num_labels = len(space.node_vocabulary) - INPUT  # all but padding
        self.cell_dim = self.num_labels + (buckets if iterations else 0)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        graphs = narrowed(graphs)
        mask = graphs.mask.cpu().numpy()
        labels = wl_labels(graphs, self.iterations)
        first = graphs.ops.cpu().numpy().astype(np.int64) - INPUT
        folded = (labels[1:] % np.uint64(self.buckets)).astype(np.int64) + self.num_labels
        columns = np.concatenate([first, *folded], axis=1)
        counted = torch.from_numpy(np.tile(mask, (1, len(labels)))).float()
        histogram = torch.zeros((len(mask), self.cell_dim), dtype=torch.float32)
        return histogram.scatter_add_(1, torch.from_numpy(columns).clamp(min=0), counted).to(graphs.device)
