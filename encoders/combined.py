"""Several fixed encodings side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.errors import InvalidParameter
from archenc.graphs import ArchGraphs
from archenc.registry import create_encoder
from archenc.spaces.base import Space

DEFAULT_PARTS: Mapping[str, Mapping[str, Any]] = {
    "graf-plus": {},
    "path-profile": {},
    "adjacency": {"kind": "onehot"},
}


class CombinedEncoder(Encoder):
    """The encodings of several fixed encoders in a row, for each cell.

    Args:
        space: the search space.
        parts: the keyword parameters of each part by its encoder's name; by default GRAF-plus, path profile
            and one-hot adjacency.
        simplify: whether all parts see simplified graphs; a part's own ``simplify`` goes before.

    Attributes:
        groups: length of each part's encoding of a cell, or of the groups that the part itself names, which
            is what a kernel with a length scale for each of them needs.

    Raises:
        InvalidParameter: no part at all, or one that is learnt.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> parts = {"op-count": {}, "adjacency": {"kind": "onehot"}}
        >>> encoder = archenc.create_encoder("combined", space, parts=parts)
        >>> encoder.groups, encoder.encode(space.sample(3, seed=0)).shape
        ((5, 30), (3, 35))
    """

    fixed = True
    paper = "no paper: this package's own"

    def __init__(
        self, space: Space, *, parts: dict[str, dict[str, Any]] | None = None, simplify: bool = False
    ) -> None:
        super().__init__(space)
        self.simplify_parts = simplify
        wanted = DEFAULT_PARTS if parts is None else parts
        parts_: list[Encoder] = [
            create_encoder(name, space, **{"simplify": simplify, **parameters})
            for name, parameters in wanted.items()
        ]
        if not parts_ or not all(part.fixed for part in parts_):
            raise InvalidParameter(
                f"the encoder 'combined' got the parts {', '.join(wanted) or 'none'}; give fixed encodings"
            )
        self.parts_ = torch.nn.ModuleList(parts_)
        self.groups: tuple[int, ...] = sum((getattr(part, "groups", (part.cell_dim,)) for part in parts_), ())
        self.cell_dim = sum(self.groups)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        parts = [part for part in self.parts_ if isinstance(part, Encoder)]
        return torch.cat([part.encode_cells(part.prepare(graphs)).float() for part in parts], dim=1)
