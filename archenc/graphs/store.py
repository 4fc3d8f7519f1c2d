"""ArchGraphs: a batch of architectures as dense padded arrays.

One store holds a whole benchmark, so taking a batch is a gather and no code loops over architectures. What
its arrays mean: :mod:`archenc.graphs.conventions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter, NoSuchPosition
from archenc.files.text import shown
from archenc.files.values import as_numbers
from archenc.graphs.conventions import ABSENT, EDGE_OFFSET, LARGEST_FEATURE, NODE_OFFSET, Index, OpOn
from archenc.graphs.paths import reachability

if TYPE_CHECKING:
    import networkx

    from archenc.graphs.drawing import Picture


@dataclass(frozen=True, eq=False)
class ArchGraphs:
    """A batch of N architectures of one space.

    Attributes:
        space: the search space that gives the operation ids their meaning.
        adjacency: uint8 (R, V, V).
        ops: uint8 (R, V), (R, V, V) or (R, S, V, V); see the module's conventions.
        mask: bool (R, V), True where a node exists.
        simplified: whether what computes nothing was cut from this form
            (:meth:`archenc.spaces.base.Space.simplify`).
        features: float32 (R, V, k), (R, V, V, k) or (R, S, V, V, k), k numbers that are known of each
            operation (zero-cost scores, for example), or None; see :meth:`with_features`. They are no part of
            an architecture: hashes and texts do not depend on them.
        architecture_features: float64 (N, k), k numbers that are known of each architecture (parameters,
            latency, a zero-cost score, an accuracy after few epochs), NaN where one is not known, or None;
            see :meth:`with_architecture_features`. No part of it either.
        histories: which nodes have equal states in the layers of an encoder
            (:class:`archenc.graphs.history.History`), by what that depends on, as encoders find once for a
            store (:meth:`archenc.encoder.LocalEncoder.prepare`). They go with the rows that are picked, not
            with changed graphs.

    Examples:
        >>> import archenc
        >>> archenc.create_space("nasbench201").sample(100, seed=0)[:3]
        ArchGraphs(nasbench201: 3 architectures, 4 nodes, ops on edges)
    """

    space: Any  # a Space, of which a batch needs what SpaceOfGraphs names
    adjacency: Tensor
    ops: Tensor
    mask: Tensor
    simplified: bool = False
    features: Tensor | None = None
    architecture_features: Tensor | None = None
    histories: dict[Any, Any] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.features is not None and self.features.shape[:-1] != self.ops.shape:
            raise InvalidParameter(
                f"features of shape {tuple(self.features.shape)} do not fit operations of shape "
                f"{tuple(self.ops.shape)}; "
                "give a vector for each place of an operation"
            )
        known = self.architecture_features
        if known is not None and (known.dim() != 2 or len(known) != len(self) or known.shape[1] == 0):
            raise InvalidParameter(
                f"features of shape {tuple(known.shape)} do not fit {len(self)} architectures; give a row of "
                "numbers for each, or None"
            )

    @property
    def op_on(self) -> OpOn:
        """Where the operations sit in this form of the graphs."""
        return "node" if self.ops.dim() == 2 else "edge"

    @property
    def num_nodes(self) -> int:
        """V: nodes of a row, padding included."""
        return self.adjacency.shape[-1]

    @property
    def num_ops(self) -> int:
        """Size of the operation vocabulary of this form, special ids included."""
        return len(self.space.operations) + (NODE_OFFSET if self.op_on == "node" else EDGE_OFFSET)

    @property
    def num_features(self) -> int:
        """k: length of the vector of features of an operation, 0 where there are none."""
        return 0 if self.features is None else self.features.shape[-1]

    @property
    def num_architecture_features(self) -> int:
        """k: how many numbers are known of an architecture, 0 where there are none."""
        return 0 if self.architecture_features is None else self.architecture_features.shape[1]

    @property
    def device(self) -> torch.device:
        return self.adjacency.device

    def __len__(self) -> int:
        return self.adjacency.shape[0] // int(self.space.cells)

    @property
    def shape(self) -> tuple[int]:
        """(N,), so that scikit-learn's splitters index the batch as an array."""
        return (len(self),)

    def __repr__(self) -> str:
        cells = f", {self.space.cells} cells each" if self.space.cells > 1 else ""
        return (
            f"ArchGraphs({self.space.name}: {len(self)} architectures{cells}, {self.num_nodes} nodes, ops "
            f"on {self.op_on}s)"
        )

    def __getitem__(self, index: Index | tuple[Index, EllipsisType]) -> ArchGraphs:
        """The architectures at ``index`` (an int, a slice, positions or a boolean mask), always as a batch;
        see :func:`positions`.
        """
        at, rows = self._rows(index)
        try:
            picked = self.map_arrays(lambda array: array[rows], lambda known: known[at])
        except (IndexError, TypeError):
            raise NoSuchPosition(
                f"{shown(index)} is out of the range of these {len(self)} architectures; give numbers inside"
            ) from None
        picked.histories.update({key: history[rows] for key, history in self.histories.items()})
        return picked

    def _rows(self, index: Index | tuple[Index, EllipsisType]) -> tuple[Tensor | slice, Tensor | slice]:
        """The places of architectures, and those of their rows."""
        cells = self.space.cells
        if isinstance(index, slice) and cells == 1 and index.step is None:
            return index, index  # views
        if not (
            isinstance(index, Tensor) and index.dtype == torch.int64 and index.dim() == 1
        ):  # the batch of a training loop
            index = torch.from_numpy(positions(index, len(self)))
        picked = index.to(self.device)
        return picked, picked if cells == 1 else (
            picked[:, None] * cells + torch.arange(cells, device=self.device)
        ).flatten()

    def to(self, device: torch.device | str) -> ArchGraphs:
        return self.map_arrays(lambda array: array.to(device), lambda known: known.to(device))

    def map_arrays(
        self, change: Callable[[Tensor], Tensor], change_known: Callable[[Tensor], Tensor] | None = None
    ) -> ArchGraphs:
        """The graphs with ``change`` applied to each of their arrays of R rows.

        Args:
            change: what is done to these.
            change_known: what is done to the features of architectures, which have N rows; they stay as they
                are without it.
        """
        features, known = self.features, self.architecture_features
        return replace(
            self,
            adjacency=change(self.adjacency),
            ops=change(self.ops),
            mask=change(self.mask),
            features=None if features is None else change(features),
            architecture_features=known if known is None or change_known is None else change_known(known),
        )

    def with_features(self, features: np.ndarray | Tensor | None) -> ArchGraphs:
        """The same architectures with other features of their operations, or with none.

        Every change of form and every choice of rows keeps the features with their operations; what draws new
        architectures, such as :meth:`archenc.spaces.base.Space.mutate`, gives graphs without.

        Args:
            features: numbers in the shape of ``ops`` with an axis of k >= 1 more; those at places without an
                operation do not count.

        Raises:
            InvalidParameter: another shape, or a number that is not finite.
        """
        if features is None:
            return replace(self, features=None)
        values = torch.as_tensor(
            as_numbers(features, "the array of features", InvalidParameter),
            dtype=torch.float32,
            device=self.device,
        )
        if values.shape[-1:] == (0,):
            raise InvalidParameter(
                "the features have length 0; give at least one number for each operation, or None"
            )
        checked = replace(self, features=values)
        values = torch.where((self.ops != ABSENT).unsqueeze(-1), values, 0.0)  # PAD is the same number
        if not values.isfinite().all():
            raise InvalidParameter(
                "a feature of an operation is not a finite number; fill such gaps first, for example with "
                "the mean"
            )
        return replace(checked, features=values)

    def with_architecture_features(self, features: Any) -> ArchGraphs:
        """The same architectures with other numbers that are known of each (side information), or with none.

        They go with their architectures through every change of form and choice of rows. Graphs of PyTorch
        Geometric or networkx do not carry them, and what draws new architectures, such as
        :meth:`archenc.spaces.base.Space.mutate`, gives graphs without.

        Args:
            features: numbers (N, k), or (N,) for a single one each; NaN where one is not known.

        Raises:
            InvalidParameter: another shape, infinities, or magnitudes beyond :data:`LARGEST_FEATURE`.
        """
        if features is None:
            return replace(self, architecture_features=None)
        values = as_numbers(features, "the array of architecture features", InvalidParameter)
        values = values[:, None] if values.ndim == 1 else values
        if (np.abs(values) > LARGEST_FEATURE).any():
            raise InvalidParameter(
                f"a feature of an architecture is infinite or beyond {LARGEST_FEATURE:g}; give NaN where it "
                "is not known, or its logarithm"
            )
        return replace(
            self, architecture_features=torch.tensor(values, dtype=torch.float64, device=self.device)
        )

    def edge_ops(self) -> Tensor:
        """Operation ids on edges with an explicit slot axis, (R, S, V, V)."""
        if self.op_on == "node":
            raise InvalidParameter(
                "these graphs carry their operations on nodes, so they have no edge operations"
            )
        return self.ops.unsqueeze(1) if self.ops.dim() == 3 else self.ops

    def edge_features(self) -> Tensor | None:
        """Features of operations on edges with an explicit slot axis, (R, S, V, V, k), or None."""
        return (
            None
            if self.features is None
            else self.features.reshape(*self.edge_ops().shape, self.num_features)
        )

    def transitive_closure(self) -> Tensor:
        """(R, V, V) uint8, 1 where a path of at least one edge leads from i to j."""
        return reachability(self.adjacency)

    def hash(self) -> np.ndarray:
        """(N, 16) uint8: the space's canonical hash, equal for isomorphic architectures."""
        digests: np.ndarray = self.space.hash(self)
        return digests

    def to_networkx(self, index: int = 0) -> networkx.DiGraph:
        """One architecture as a graph whose nodes or edges carry ``op`` names; several cells become disjoint
        components.
        """
        from archenc.graphs.to_networkx import to_networkx

        return to_networkx(self[index])

    def plot(self, index: int = 0, title: str = "") -> Picture:
        """A picture of one architecture, which notebooks show and ``save("cell.svg")`` writes."""
        from archenc.graphs.drawing import picture

        return picture(self[index], [title] if title else [])

    def _repr_html_(self) -> str:
        from archenc.graphs.drawing import batch_html

        return batch_html(self)

    def to_pyg(self) -> list[Any]:
        """The architectures as PyTorch Geometric ``Data`` objects (see :mod:`archenc.graphs.pyg`)."""
        from archenc.graphs.to_pyg import to_data_list

        return to_data_list(self)


def positions(index: Any, n: int) -> np.ndarray:
    """int64 (k,): what ``index`` picks out of n rows, by the rules of numpy for an array of one axis.

    Args:
        index: a whole number, a slice, whole numbers (k,) or a mask (n,) of True and False, as a list, an
            array or a tensor; with ``...`` behind it, too, which is how scikit-learn indexes arrays.
        n: number of rows.

    Raises:
        NoSuchPosition: something else, or a number outside -n .. n - 1.
    """
    given = index
    if isinstance(index, tuple) and len(index) == 2 and index[1] is ...:
        index = index[0]
    try:
        if isinstance(index, slice):
            return np.arange(n)[index].copy()  # torch knows no negative steps
        array = np.asarray(index.detach().cpu() if isinstance(index, Tensor) else index)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        array = np.array(None)
    array = (
        array.astype(np.int64) if array.shape == (0,) else array
    )  # numpy takes an empty list for one of floats
    fits = array.ndim == 1 and (array.dtype.kind in "iu" or (array.dtype == bool and len(array) == n))
    if isinstance(index, tuple) or not (fits or (array.ndim == 0 and array.dtype.kind in "iu")):
        raise NoSuchPosition(
            f"{shown(given)} picks nothing out of {n} architectures; give a number, a slice, a list of "
            "numbers or a mask"
        )
    outside = array[(array < -n) | (array >= n)] if array.dtype != bool else array[:0]
    if outside.size:
        raise NoSuchPosition(
            f"there is no architecture {outside.flat[0]} of {n}; give numbers from {-n} to {n - 1}"
        )
    return np.atleast_1d(np.arange(n)[array])


def concatenate(batches: Sequence[ArchGraphs]) -> ArchGraphs:
    """Join batches of the same space and form, in order."""
    if not batches:
        raise InvalidParameter("there is nothing to concatenate; give at least one batch of graphs")
    first = _checked_batch(batches[0])
    if any(_checked_batch(b).space != first.space or b.ops.shape[1:] != first.ops.shape[1:] for b in batches):
        raise InvalidParameter(
            "only graphs of one space and one form can be concatenated; convert them first"
        )
    if any(b.simplified != first.simplified for b in batches):
        raise InvalidParameter(
            "simplified graphs and plain ones cannot be concatenated; simplify all of them, or none"
        )
    if any(b.num_features != first.num_features for b in batches):
        raise InvalidParameter(
            "only graphs with equally many features can be concatenated; attach or drop them by "
            "with_features first"
        )
    if any(b.num_architecture_features != first.num_architecture_features for b in batches):
        remedy = "attach or drop them by with_architecture_features first"
        raise InvalidParameter(
            f"only graphs with equally many architecture features can be concatenated; {remedy}"
        )
    known = [b.architecture_features for b in batches if b.architecture_features is not None]
    return replace(
        first,
        adjacency=torch.cat([b.adjacency for b in batches]),
        ops=torch.cat([b.ops for b in batches]),
        mask=torch.cat([b.mask for b in batches]),
        features=torch.cat([b.features for b in batches if b.features is not None])
        if first.num_features
        else None,
        architecture_features=torch.cat(known) if known else None,
    )


def _checked_batch(graphs: Any) -> ArchGraphs:
    if not isinstance(graphs, ArchGraphs):
        raise InvalidArchitecture(NO_BATCH.format(shown(graphs)))
    return graphs


NO_BATCH = (
    "{} is no batch of architectures; give ArchGraphs, or say of which space they are, as in "
    "Predictor(space='nasbench201')"
)


def ordinary(graphs: ArchGraphs) -> ArchGraphs:
    """Graphs that can be trained on: copies of arrays that were made inside ``inference_mode``, which
    autograd refuses.
    """

    def ordinary_array(array: Tensor) -> Tensor:
        return array.clone() if array.is_inference() else array

    return graphs.map_arrays(ordinary_array, ordinary_array)
