"""The plainest encodings: which operations an architecture has, whatever their connections."""

from __future__ import annotations

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.encoders.modules.features import has_absent, num_positions, one_hot, operation_numbers
from archenc.graphs import ArchGraphs
from archenc.graphs.transforms import narrowed
from archenc.spaces.base import Space


class OpCountEncoder(Encoder):
    """How often each of the space's K operations occurs: K numbers.

    The baseline that any encoding must beat before its use of the graph can be credited. Isomorphic
    architectures get the same encoding; where operations sit on edges, only with ``simplify=True``, because
    "none" edges are otherwise counted.

    Args:
        space: the search space.
        simplify: whether to count only operations that take part in the computation.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|"
        >>> counts = archenc.create_encoder("op-count", space).encode(space.parse([cell]))
        >>> dict(zip(space.operations, counts[0].tolist()))
        {'none': 2.0, 'skip_connect': 1.0, 'nor_conv_1x1': 0.0, 'nor_conv_3x3': 2.0, 'avg_pool_3x3': 1.0}
    """

    fixed = True
    invariant = True
    paper = "no paper: a baseline without any structure"

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.cell_dim = len(space.operations)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        chosen = one_hot(operation_numbers(narrowed(graphs)), self.cell_dim)
        return chosen.reshape(len(chosen), -1, self.cell_dim).sum(1, dtype=torch.float32)


class OpOneHotEncoder(Encoder):
    """A one-hot vector of length K for each place, where all architectures of the space share one topology.

    Places are interior nodes, or edges ordered by target, then source; NAS-Bench-201 gives 6 x 5 numbers.
    With ``simplify=True`` each edge gets one more state, first, for "cut".

    Args:
        space: the search space.
        simplify: whether what computes nothing is cut first.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> archenc.create_encoder("op-onehot", space).encode(space.sample(3, seed=0)).shape
        (3, 30)
    """

    fixed = True
    paper = (
        "no paper: a baseline; the one-hot adjacency encoding of White et al. "
        "(NeurIPS 2020, arXiv:2007.04965) without its edges"
    )

    def __init__(self, space: Space, *, simplify: bool = False) -> None:
        super().__init__(space, simplify=simplify)
        self.absent = has_absent(space, simplify=simplify)
        self.cell_dim = num_positions(space) * (len(space.operations) + self.absent)

    @classmethod
    def unsupported(cls, space: Space) -> str | None:
        if space.topology is None:
            return (
                "its architectures differ in their edges, which a list of operations leaves out; "
                "use the 'adjacency' encoder"
            )
        return super().unsupported(space)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return one_hot(operation_numbers(graphs), len(self.space.operations), absent=self.absent).float()
