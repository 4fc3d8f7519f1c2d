"""NAS-Bench-201: cells of four nodes that are all joined, with one of five operations on each of the six
edges.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture, read_each
from archenc.files.text import shown
from archenc.graphs import EDGE_OFFSET, NODE_OFFSET, ArchGraphs
from archenc.spaces.base import as_array, as_sequence, is_list, is_whole
from archenc.spaces.cell.notation import load_json
from archenc.spaces.four_nodes import EDGES, FourNodeSpace, six_numbers
from archenc.spaces.networks import Network, Skeleton, four_nodes

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
STAGES, CELLS_PER_STAGE = (16, 32, 64), 5  # channels of each stage
_NASLIB_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_NASLIB_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_FROM_NASLIB_OP = np.array([OPERATIONS.index(op) for op in _NASLIB_OPERATIONS])
_TO_NASLIB_OP = np.argsort(_FROM_NASLIB_OP)
_FROM_NASLIB_EDGE = np.array(
    [_NASLIB_EDGES.index(edge) for edge in EDGES]
)  # NASLib's place of each of our edges
_TO_NASLIB_EDGE = np.argsort(_FROM_NASLIB_EDGE)
_OP = r"([^|~]+)~"
NUM_CELLS = len(OPERATIONS) ** len(EDGES)
_INDEX = re.compile(r"\d{1,5}", re.ASCII)


class NASBench201(FourNodeSpace):
    """The topology space of NAS-Bench-201 (also of NATS-Bench): 15,625 cells.

    Architectures are written as the official string ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, as the official
    nested tuple ``((("op", 0),), (("op", 0), ("op", 1)), (("op", 0), ("op", 1), ("op", 2)))``, in any form of
    :class:`FourNodeSpace`, or as the official index, a whole number from 0 to 15,624 or its text
    (:meth:`from_index`).

    Numbers are read by a notation, ``parse(x, notation="naslib")``:

    * ``"official"``, the default: six numbers are operations k in the order of the string, edges 0->1, 0->2,
        1->2, 0->3, 1->3, 2->3;
    * ``"naslib"``: six operations, numbers or names, are in NASLib's order of the edges, and numbers are
        NASLib's (:meth:`from_naslib`);
    * ``"index"``: a list of whole numbers is one of indices, also if it has six.

    A list of six whole numbers is one architecture and a list of any other length one of indices, but for
    ``"index"``. Nothing in six numbers tells which notation they are in.

    The 15,625 cells have 14,125 values of :meth:`hash` ("none" edges count as absent) and 5,257 after
    ``space.hash(space.simplify(space.node_form(graphs)))``. The published 6,466 isomorphism groups are
    neither coarser nor finer than
    these: they are the classes of equal expressions in which sums keep equal terms and every "none" as a
        term, and in which a node used
    twice is not told from two equal nodes.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> space.format(space.sample(1, seed=0))[0]
        '|avg_pool_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|skip_connect~1|none~2|'
    """

    paper = (
        "Dong and Yang: NAS-Bench-201, ICLR 2020, arXiv:2001.00326; Dong, Liu, Musial, Gabrys: NATS-Bench, "
        "TPAMI 2021, arXiv:2009.00437"
    )

    title = "NAS-Bench-201"
    pattern = re.compile(rf"\|{_OP}0\|\+\|{_OP}0\|{_OP}1\|\+\|{_OP}0\|{_OP}1\|{_OP}2\|")
    example = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"

    notations = ("official", "naslib", "index")
    skeletons = four_nodes.NASBENCH201

    def __init__(self) -> None:
        super().__init__("nasbench201", OPERATIONS)

    def parse(self, architectures: Any, notation: str = "official") -> ArchGraphs:
        items = [architectures] if is_whole(architectures) else as_sequence(architectures)
        whole = all(map(is_whole, items))
        has_part = any(not is_whole(item) and self.is_part(item) for item in items)
        is_one = has_part or (whole and len(items) == 6 and notation != "index")
        if is_one and whole:
            _check_digits(items)
        items = [items] if is_one else items
        if notation == "naslib":
            items = read_each(items, self._official)
        return self.parse_items(items)

    def _official(self, item: Any, where: str) -> Any:
        """One architecture in NASLib's notation in the official one; what is in neither is left to be
        refused.
        """
        if isinstance(item, str) and item.lstrip().startswith("{"):
            item = load_json(item, where, self.name, self.example)
        if isinstance(item, str):
            item = six_numbers(item) or item
        if isinstance(item, Mapping):
            return {edge: _official_number(operation) for edge, operation in item.items()}
        if is_list(item) and len(item) == len(EDGES):
            return [_official_number(item[place]) for place in _FROM_NASLIB_EDGE]
        return item

    def costs(self, graphs: ArchGraphs, *, classes: int = 10, image_side: int = 32) -> dict[str, np.ndarray]:
        """Parameters and FLOPs of the networks, as the official records count them.

        A network is a 3x3 convolution to 16 channels, three stages of five cells with 16, 32 and 64 channels,
        a residual block of stride 2 before the second and the third (two 3x3 convolutions, and a 1x1
        convolution beside them), and a linear classifier on the mean over the pixels (Dong and Yang, ICLR
        2020, section 2.1). Every convolution of a cell counts, also one that no path from input to output
        passes; :meth:`simplify` first to leave those out.

        Args:
            graphs: N architectures, with operations on edges or in node form.
            classes: outputs of the classifier, 10 for CIFAR-10, 100 for CIFAR-100, 120 for ImageNet16-120.
            image_side: pixels, 32 for CIFAR, 16 for ImageNet16-120.
        """
        ops = graphs.ops.flatten(1).cpu().numpy()
        offset = EDGE_OFFSET if graphs.op_on == "edge" else NODE_OFFSET
        small, large = (
            (ops == OPERATIONS.index(name) + offset).sum(1) for name in ("nor_conv_1x1", "nor_conv_3x3")
        )
        first, last = STAGES[0], STAGES[-1]
        stem, classifier = 9 * 3 * first, (last + 1) * classes
        parameters = np.full(
            len(ops), stem + 2 * first + 2 * last + classifier
        )  # normalised behind the stem and before the mean
        flops = np.full(len(ops), stem * image_side**2 + classifier)
        for stage, channels in enumerate(STAGES):
            weights = CELLS_PER_STAGE * (small + 9 * large) * channels**2
            normalised = CELLS_PER_STAGE * (small + large) * channels
            if stage > 0:
                weights += (9 + 1) * (
                    channels // 2
                ) * channels + 9 * channels**2  # the residual block; its 1x1 is not normalised
                normalised += 2 * channels
            parameters += weights + 2 * normalised
            flops += weights * (image_side >> stage) ** 2
        return {"parameters": parameters, "flops": flops}

    def network(self, graphs: ArchGraphs, skeleton: Skeleton) -> Network:
        """The network of a cell, with the layers of operations that compute nothing for the output too."""
        return four_nodes.nasbench201(graphs, skeleton)

    def is_part(self, item: Any) -> bool:
        return _is_node(item) or super().is_part(item)

    def read_operations(self, item: Any, where: str) -> Sequence[Any]:
        if is_whole(item):
            return self._of_index(int(item), where)
        if is_list(item) and any(map(_is_node, item)):
            return _names_of_nested(item, where)
        return super().read_operations(item, where)

    def read_text(self, text: str, where: str) -> Sequence[Any]:
        return self._of_index(int(text), where) if _INDEX.fullmatch(text) else super().read_text(text, where)

    def _of_index(self, index: int, where: str) -> list[int]:
        if not 0 <= index < NUM_CELLS:
            raise InvalidArchitecture(
                f"{where}: {shown(index)} is no index of NAS-Bench-201; give a number from 0 to "
                f"{NUM_CELLS - 1:,}"
            )
        return _digits(_official_order()[index : index + 1])[0].tolist()  # type: ignore[no-any-return]

    def from_index(self, indices: Any) -> ArchGraphs:
        """Architectures by their official indices, the rows of the official table and of
        ``load_dataset("nasbench201")``.

        The official order is the counting order of :meth:`enumerate`, shuffled once by Python's ``random``
        with the seed 88 (D-X-Y, AutoDL-Projects, ``generate_meta_info``); it equals the order of the table
        for all 15,625 cells.

        Args:
            indices: whole numbers (N,) from 0 to 15,624.

        Raises:
            InvalidArchitecture: one that is no index.
        """
        return self.parse(as_sequence([indices] if is_whole(indices) else indices), notation="index")

    def to_index(self, graphs: ArchGraphs) -> np.ndarray:
        """(N,) int64: the official index of each architecture."""
        counting = self.to_ops(graphs) @ len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1)
        indices: np.ndarray = np.argsort(_official_order())[counting]
        return indices

    def format(self, graphs: ArchGraphs) -> list[str]:
        """The official string of each architecture."""
        return ["|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*row) for row in self._names(graphs)]

    def to_tuples(self, graphs: ArchGraphs) -> list[tuple[tuple[tuple[str, int], ...], ...]]:
        """The official nested tuple of each architecture."""
        pieces = [
            [(op, source) for op, (source, _) in zip(row, EDGES, strict=True)] for row in self._names(graphs)
        ]
        return [(tuple(row[:1]), tuple(row[1:3]), tuple(row[3:])) for row in pieces]

    def _names(self, graphs: ArchGraphs) -> list[list[str]]:
        return [[OPERATIONS[k] for k in row] for row in self.to_ops(graphs).tolist()]

    def from_naslib(self, tuples: Iterable[Sequence[int]] | np.ndarray) -> ArchGraphs:
        """Architectures from NASLib's six numbers.

        NASLib's operations are 0 skip_connect, 1 none, 2 nor_conv_3x3, 3 nor_conv_1x1, 4 avg_pool_3x3, and
        its edges come in the order 0->1, 0->2, 0->3, 1->2, 1->3, 2->3.

        Raises:
            InvalidArchitecture: not six numbers from 0 to 4.
        """
        table = as_array(tuples if isinstance(tuples, np.ndarray) else as_sequence(tuples))
        if table.shape == (0,):
            table = np.zeros((0, 6), dtype=np.int64)
        if (
            table.ndim != 2
            or table.shape[1] != 6
            or table.dtype.kind not in "iu"
            or table.min(initial=0) < 0
            or table.max(initial=0) > 4
        ):
            raise InvalidArchitecture(
                "NASLib's form of a NAS-Bench-201 cell is six numbers from 0 to 4; give one such tuple an "
                "architecture"
            )
        return self.from_ops(_FROM_NASLIB_OP[table[:, _FROM_NASLIB_EDGE]])

    def to_naslib(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 6) int64: NASLib's numbers, see :meth:`from_naslib`."""
        numbers: np.ndarray = _TO_NASLIB_OP[self.to_ops(graphs)][:, _TO_NASLIB_EDGE]
        return numbers


@cache
def _official_order() -> np.ndarray:
    """(15625,) int64: the place in counting order of each official index; see
    :meth:`NASBench201.from_index`.
    """
    places = list(range(NUM_CELLS))
    random.Random(88).shuffle(places)
    return np.array(places)


def _digits(places: np.ndarray) -> np.ndarray:
    """(N, 6): the operations of the cells at these places of the counting order."""
    return places[:, None] // len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1) % len(OPERATIONS)


def _official_number(operation: Any) -> Any:
    return (
        int(_FROM_NASLIB_OP[operation])
        if is_whole(operation) and 0 <= operation < len(OPERATIONS)
        else operation
    )


def _check_digits(numbers: Sequence[int]) -> None:
    """Raise :class:`InvalidArchitecture` for six numbers that are indices rather than operations."""
    for place, number in enumerate(numbers):
        if number >= len(OPERATIONS):
            raise InvalidArchitecture(
                f"architecture 0, place {place}: {number} is no operation of nasbench201; give six numbers "
                "from 0 to "
                f"{len(OPERATIONS) - 1}, or notation='index' if these are official indices",
                position=0,
            )


def _is_node(item: Any) -> bool:
    """Whether ``item`` is a node of the official nested form: a sequence of (operation, source) pairs."""
    return is_list(item) and any(map(_is_pair, item))


def _is_pair(item: Any) -> bool:
    return is_list(item) and len(item) == 2 and isinstance(item[0], str)


def _names_of_nested(item: Any, where: str) -> list[Any]:
    names: list[Any] = []
    for target, node in enumerate(item, start=1):
        pairs = node if is_list(node) and all(map(_is_pair, node)) else []
        if [source for _, source in pairs] != list(range(target)):
            remedy = "give it one (operation, source) pair for every earlier node, in order"
            raise InvalidArchitecture(
                f"{where}, node {target}: its sources are not 0 to {target - 1}; {remedy}"
            )
        names += [name for name, _ in pairs]
    return names
