"""The contract of a search space: parse, print, validate, sample, enumerate, mutate, hash and simplify.

Every method takes and gives a whole batch (:class:`~archenc.graphs.ArchGraphs`); a single architecture is a
batch of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.files.text import shown
from archenc.graphs import NODE_OFFSET, ArchGraphs, OpOn, transforms
from archenc.graphs.hashing import wl_hash
from archenc.spaces.networks import Network, Skeleton, SkeletonName, chosen_skeleton
from archenc.spaces.parameters import edge_slots, is_whole, node_pairs, operation_number

MAX_DRAWN = 2**32
"""Most bytes of adjacency matrices that are drawn at once."""
_TAKE_GRAPHS = ("format", "validate", "mutate", "hash", "simplify", "node_form", "costs", "build")
_Method = TypeVar("_Method", bound=Callable[..., Any])


def checked_graphs(space: Space, graphs: Any) -> ArchGraphs:
    """``graphs`` if they are architectures of the space; raises :class:`InvalidArchitecture` for anything
    else.
    """
    if not isinstance(graphs, ArchGraphs):
        kind = type(graphs).__name__
        raise InvalidArchitecture(
            f"an object of type {kind} is no batch of architectures; give graphs, as parse and sample make "
            "them"
        )
    if graphs.space is not space and graphs.space != space:
        raise InvalidArchitecture(
            f"the graphs belong to the space {graphs.space.name!r}, not to {space.name!r}; use their own "
            "space"
        )
    return graphs


def _of_graphs(method: _Method) -> _Method:
    """The method, which looks first at what it was given."""

    @wraps(method)
    def checked(self: Space, graphs: ArchGraphs, *args: Any, **kwargs: Any) -> Any:
        return method(self, checked_graphs(self, graphs), *args, **kwargs)

    return cast(_Method, checked)


class Space(ABC):
    """A search space.

    A space of one's own says what is abstract here: :meth:`parse`, :meth:`format`, :meth:`validate`,
    :meth:`sample`, :meth:`mutate` and :meth:`config`. Where its architectures are cells of named operations,
    :class:`archenc.spaces.cell.CellSpace` has all of it, and the space overrides only what is its own. It may
    also say :meth:`enumerate`, :meth:`hash`, :meth:`simplify`, :meth:`node_form`, :meth:`costs` and
    :attr:`parametric_ops`.

    Methods that take graphs raise :class:`InvalidArchitecture` for anything but graphs of this space, a
    subclass's own methods too.

    Attributes:
        name: the registered name, or the user's own.
        op_on: where operations sit, ``"node"`` or ``"edge"``.
        operations: names of the choosable operations; the position is the operation's number k.
        max_nodes: V, nodes of a cell, inputs and output included.
        max_edges: most edges of a cell, or None.
        num_inputs: input nodes of a cell.
        input_names: their names in pictures, where they have any.
        cells: cells of an architecture.
        edges_per_pair: most edges that may join the same ordered pair of nodes.
        topology: the fixed edges as (source, target) pairs, or None when they are part of the choice.
        none_op, skip_op: the operations that compute zero and identity, or None.
        join_op: the operation of edges that only hand a value to the output, where there are such edges: the
            last of ``operations``, never a choice, and without nodes in the op-on-node form; or None.
        notations: names of the ways in which numbers are read, where there are several, the default first:
            ``parse(x, notation=name)``.
        size: how many architectures there are, isomorphic ones counted once, where that is known and listing
            them takes long; else None.
        published_hash: whether :meth:`hash` gives the hashes that the benchmark published, so that their
            texts name architectures.
        skeletons: the sizes of the networks of :meth:`build` by their names, empty where it builds none.
        paper: where the space was published.

    Examples:
        >>> import archenc
        >>> archenc.list_spaces()[:3]
        ['amoeba', 'autoformer', 'cell']
    """

    name: str
    op_on: OpOn
    operations: tuple[str, ...]
    max_nodes: int
    max_edges: int | None = None
    num_inputs: int = 1
    input_names: tuple[str, ...] = ()
    cells: int = 1
    edges_per_pair: int = 1
    topology: tuple[tuple[int, int], ...] | None = None
    none_op: str | None = None
    skip_op: str | None = None
    join_op: str | None = None
    notations: tuple[str, ...] = ()
    size: int | None = None
    published_hash: bool = False
    skeletons: ClassVar[Mapping[str, Skeleton]] = {}
    paper: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _TAKE_GRAPHS:
            if name in vars(cls):
                setattr(cls, name, _of_graphs(vars(cls)[name]))

    # -- what a space must say -------------------------------------------------------------------------------

    @abstractmethod
    def parse(self, architectures: Any) -> ArchGraphs:
        """Read one architecture or a sequence of them (text, tuple or dict; see the space's own docstring).

        Raises:
            InvalidArchitecture: what is wrong, at which position of the sequence, which is also the error's
                ``position`` (:func:`archenc.errors.read_each` sets it), and what a right one looks like.
        """

    @abstractmethod
    def format(self, graphs: ArchGraphs) -> list[str]:
        """The text of each architecture; ``parse(format(g))`` gives ``g`` back."""

    @abstractmethod
    def validate(self, graphs: ArchGraphs) -> ArchGraphs:
        """Give ``graphs`` back if every architecture belongs to the space, else raise
        :class:`InvalidArchitecture` for the first.
        """

    @abstractmethod
    def sample(self, n: int, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """Draw ``n`` architectures with replacement.

        Raises:
            InvalidParameter: ``n`` is no number of architectures, or ``seed`` is no seed.
        """

    @abstractmethod
    def mutate(self, graphs: ArchGraphs, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """One random change (an operation or an edge) in each architecture; the result is valid and differs
        from its parent.

        It has no features, as these belong to the parent's operations.
        """

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What :func:`archenc.spaces.from_config` needs to build the space again, as JSON values."""

    # -- what follows from it --------------------------------------------------------------------------------

    def enumerate(self) -> ArchGraphs:
        """Every architecture of the space, once; raises :class:`InvalidParameter` where that is not
        defined.
        """
        raise InvalidParameter(
            f"the space {self.name!r} is too large to enumerate; use sample(n, seed) instead"
        )

    @_of_graphs
    def hash(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 16) uint8, equal for isomorphic architectures (:mod:`archenc.graphs.hashing`)."""
        return wl_hash(graphs)

    @_of_graphs
    def simplify(self, graphs: ArchGraphs) -> ArchGraphs:
        """Cut what computes nothing (:func:`archenc.graphs.transforms.simplify`)."""
        return transforms.simplify(graphs)

    @_of_graphs
    def node_form(self, graphs: ArchGraphs) -> ArchGraphs:
        """The op-on-node form: the graphs themselves, or the line graph of op-on-edge ones."""
        return graphs if graphs.op_on == "node" else transforms.line_graph(graphs)

    @_of_graphs
    def costs(self, graphs: ArchGraphs) -> dict[str, np.ndarray]:
        """``"parameters"`` and ``"flops"``, int64 (N,) each: the size of the network that is built from each
        architecture.

        Parameters are the trainable ones. FLOPs are the multiply-adds of the convolutions and the classifier
        for one image, with one more for each bias of the classifier, as the official records of NAS-Bench-201
        count them; batch normalisations, activations, poolings and sums count nothing.

        Raises:
            InvalidParameter: the space does not say which network its cells make up.
        """
        raise InvalidParameter(
            f"the space {self.name!r} does not say which network its cells make up, so that it has no "
            "parameter counts and FLOPs; "
            "use nasbench101 or nasbench201, or costs of your own"
        )

    @_of_graphs
    def build(
        self,
        graphs: ArchGraphs,
        *,
        skeleton: SkeletonName = "small",
        channels: int | None = None,
        cells: int | None = None,
        resolution: int | None = None,
        classes: int | None = None,
        image_channels: int | None = None,
    ) -> Network:
        """The network of one architecture, an untrained ``torch.nn.Module`` from images (B, image_channels,
        resolution, resolution) to scores of the classes (B, classes).

        Args:
            graphs: one architecture, for example ``graphs[i]``.
            skeleton: the sizes that the others replace: ``"small"``, or ``"published"``, with as many
                trainable parameters as the tables say.
            channels: of the first stage (of the stem, where layers are chosen one by one).
            cells: of each stage; of the whole network where there are normal and reduction cells.
            resolution: side of the images in pixels, for which the sizes are checked.
            classes: outputs, 10 by default.
            image_channels: 3 by default.

        Raises:
            InvalidParameter: a size at which the network does not run, or a space that builds none.
            InvalidArchitecture: not one architecture, or an operation without known layers.
        """
        given = {"channels": channels, "cells": cells, "resolution": resolution}
        given |= {"classes": classes, "image_channels": image_channels}
        return self.network(graphs, chosen_skeleton(self.name, self.skeletons, skeleton, given))

    def network(self, graphs: ArchGraphs, skeleton: Skeleton) -> Network:
        """What :meth:`build` gives for these sizes; a space with :attr:`skeletons` says it."""
        raise NotImplementedError

    @property
    def has_costs(self) -> bool:
        """Whether the space says what the networks of its cells cost: it has :meth:`costs` of its own."""
        return type(self).costs is not Space.costs

    @property
    def parametric_ops(self) -> tuple[str, ...]:
        """The operations with trainable parameters.

        By default all but ``none_op``, ``skip_op`` and those that are called some pooling; a space whose
        names do not follow that says them itself, as a property or an attribute of its class.
        """
        fixed = (self.none_op, self.skip_op)
        return tuple(name for name in self.operations if name not in fixed and "pool" not in name)

    @property
    def operation_features(self) -> Tensor | None:
        """float32 (K, k): what is known of each operation; None where operations are mere names."""
        return None

    def edge_slots(self) -> Tensor:
        """(E, 3) int64: source, target and slot of every place where an operation on an edge can sit.

        They are in the order of target, source and slot.
        """
        pairs = node_pairs(self.num_inputs, self.max_nodes) if self.topology is None else self.topology
        return edge_slots(pairs, self.edges_per_pair)

    @property
    def reads_only_paths(self) -> bool:
        """Whether what lies on no path from input to output is cut off an architecture that is read."""
        return False

    @property
    def num_node_form_nodes(self) -> int:
        """V of the op-on-node form."""
        return self.max_nodes if self.op_on == "node" else self.num_inputs + len(self.edge_slots()) + 1

    @property
    def node_vocabulary(self) -> tuple[str, ...]:
        """Names of the ids in op-on-node form."""
        return ("<padding>", "input", "output", *self.operations)

    @property
    def edge_vocabulary(self) -> tuple[str, ...]:
        """Names of the ids in op-on-edge form."""
        return ("<absent>", *self.operations)

    def graphs(self, adjacency: Any, ops: Any, mask: Any = None) -> ArchGraphs:
        """Build a batch from arrays that already follow the conventions of :mod:`archenc.graphs` (no
        validation).
        """
        adjacency = torch.as_tensor(np.asarray(adjacency)).to(torch.uint8)
        ops = torch.as_tensor(np.asarray(ops)).to(torch.uint8)
        if mask is None:
            mask = ops != 0 if ops.dim() == 2 else torch.ones(adjacency.shape[:2], dtype=torch.bool)
        return ArchGraphs(self, adjacency, ops, torch.as_tensor(np.asarray(mask)).bool())

    def operation_number(self, name: str, where: str) -> int:
        """Number k of the operation called ``name``.

        Raises:
            InvalidArchitecture: there is none of that name; the message says ``where`` it stood.
        """
        return operation_number(self.name, self.operations, name, where)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.config() == other.config()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.name))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.name!r}, {len(self.operations)} operations on {self.op_on}s, "
            f"{self.max_nodes} nodes)"
        )


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """The random generator for ``seed``, or ``seed`` itself if it is one already; raises
    :class:`InvalidParameter` for what is no seed.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if not is_whole(seed) or seed < 0:
        raise InvalidParameter(
            f"the seed is {shown(seed)}; give a whole number of at least 0 or a generator of numpy"
        )
    return np.random.default_rng(seed)


def checked_count(space: Space, n: Any) -> int:
    """How many are to be drawn; raises :class:`InvalidParameter` for no such number, or too many at once."""
    if not is_whole(n) or n < 0:
        raise InvalidParameter(f"{shown(n)} architectures cannot be drawn; give a whole number of at least 0")
    most = MAX_DRAWN // (space.cells * space.max_nodes**2)
    if n > most:
        raise InvalidParameter(
            f"{shown(n)} architectures of {space.name!r} are too many to be drawn at once; draw at most "
            f"{most:,}"
        )
    return int(n)


def is_list(value: Any) -> bool:
    """Whether this has items in an order, and is no text."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def as_array(values: Any) -> np.ndarray:
    """The values as an array; an empty one of floats, which no reader takes, if they make up none."""
    try:
        return np.asarray(values)
    except (
        ValueError,
        TypeError,
        RuntimeError,
    ):  # rows of different lengths, or a tensor that numpy cannot hold
        return np.zeros((0, 0, 0))


def as_sequence(architectures: Any, is_part: Callable[[Any], bool] = lambda item: False) -> list[Any]:
    """What a user gave as a list of architectures: the one place that tells one architecture from several.

    Text, bytes, a dict and a named tuple are one architecture. So is anything else that has a part of an
    architecture (an operation, a cell) among its items; otherwise its items are architectures, whether they
    are good ones or not.

    Args:
        architectures: one architecture or several; arrays are taken as the lists of their items.
        is_part: whether an item is only a part of an architecture.

    Raises:
        InvalidArchitecture: it is none of this.
    """
    if isinstance(architectures, str | bytes | Mapping) or hasattr(architectures, "_fields"):
        return [architectures]
    try:
        items = [_plain(item) for item in _plain(architectures)]
    except (TypeError, RuntimeError):
        kind = type(architectures).__name__
        raise InvalidArchitecture(
            f"cannot read a {kind} as architectures; give a text, a dict or a list of them"
        ) from None
    return [items] if any(map(is_part, items)) else items


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | Tensor) else value


__all__ = ["NODE_OFFSET", "Space", "as_sequence", "generator", "is_whole"]
