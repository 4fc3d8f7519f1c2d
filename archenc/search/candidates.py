"""What a search chooses among: architectures by number, so that strategies compare numbers and not graphs.

Isomorphic architectures share a number. Those of a list are numbered by it; those of a space that is too
large to list get a number when they are first met.
"""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

import numpy as np

from archenc.encoder import Encoder
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs import ArchGraphs, as_graphs, concatenate
from archenc.graphs.hashing import HashIndex, sortable_keys, wl_hash
from archenc.spaces.base import Space, checked_graphs

MOST_LISTED = 50_000
"""Architectures of a space up to which all of them are the candidates, unless a longer list is given."""
MUTANTS = 128
"""Mutants of an architecture among which its neighbours are found."""
ATTEMPTS = 20
"""How often random architectures are drawn before a space counts as exhausted."""
NEAREST = 20
"""Neighbours of an architecture in an encoding."""


class Candidates(ABC):
    """Architectures of a space, by number.

    Attributes:
        space: the search space.
        listed: whether all of them are known from the start.
    """

    space: Space
    listed: bool

    def __init__(self) -> None:
        self._neighbours: dict[int, np.ndarray] = {}

    @abstractmethod
    def graphs(self, numbers: np.ndarray) -> ArchGraphs:
        """The architectures of these numbers."""

    @abstractmethod
    def find(self, graphs: ArchGraphs) -> np.ndarray:
        """int64 (N,): the number of each architecture, -1 for one that is no candidate."""

    def meet(self, graphs: ArchGraphs) -> np.ndarray:
        """int64 (N,): the number of each architecture; one that is no candidate gets one, too, and is never
        drawn.
        """
        return self.find(graphs)

    @abstractmethod
    def draw(self, count: int, rng: np.random.Generator, taken: Collection[int]) -> np.ndarray:
        """int64: ``count`` different random ones that are not ``taken``; fewer where no more are found."""

    def neighbours(self, number: int) -> np.ndarray:
        """int64: the different candidates that are one change away from one
        (:meth:`archenc.spaces.base.Space.mutate`); of a large neighbourhood a random part, always the same.
        """
        if number not in self._neighbours:
            parent = bare(self.graphs(np.array([number])))
            seed = int.from_bytes(isomorphism_keys(parent).tobytes()[:8], "little")
            mutants = self.space.mutate(
                parent[np.zeros(MUTANTS, dtype=np.int64)], np.random.default_rng(seed)
            )
            found = dict.fromkeys(self.find(mutants).tolist())
            self._neighbours[number] = np.array(
                [at for at in found if at not in (-1, number)], dtype=np.int64
            )
        return self._neighbours[number]

    def forget_all_but(self, numbers: Collection[int]) -> None:  # noqa: B027 - a list forgets nothing
        """Numbers of a space that is not listed count until here, except these."""


class Listed(Candidates):
    """A list of architectures.

    Args:
        graphs: the architectures.
        twins: whether isomorphic architectures are different candidates, told apart by how they are written;
            otherwise the first of them stands for all.
        whole: whether these are all architectures of the space.

    Examples:
        >>> import archenc
        >>> from archenc.search.candidates import Listed
        >>> space = archenc.create_space("nasbench201")
        >>> cells = Listed(space.enumerate())
        >>> len(cells.neighbours(0))  # 24 changes of an operation, but for isomorphic results
        13
    """

    listed = True

    def __init__(self, graphs: ArchGraphs, *, twins: bool = False, whole: bool = False) -> None:
        super().__init__()
        self.space, self.twins, self.whole, self.all = graphs.space, twins, whole, graphs
        keys = self._keys(graphs)
        self.numbers = np.sort(np.unique(keys, return_index=True)[1])
        self._index = HashIndex(keys)
        self._others: dict[bytes, int] = {}
        self._beside: list[ArchGraphs] = []

    def _keys(self, graphs: ArchGraphs) -> np.ndarray:
        return written(graphs) if self.twins else isomorphism_keys(graphs)

    def graphs(self, numbers: np.ndarray) -> ArchGraphs:
        if not self._others or not len(numbers) or numbers.max() < len(self.all):
            return self.all[numbers]
        inside = numbers < len(self.all)
        parts = [
            bare(self.all[numbers[inside]]),
            *(self._beside[at - len(self.all)] for at in numbers[~inside]),
        ]
        order = np.concatenate([np.flatnonzero(inside), np.flatnonzero(~inside)])
        return concatenate(parts)[np.argsort(order)]

    def meet(self, graphs: ArchGraphs) -> np.ndarray:
        numbers = self.find(graphs).copy()
        for at in np.flatnonzero(numbers < 0):
            key = bytes(self._keys(graphs[at : at + 1])[0])
            if key not in self._others:
                self._others[key] = len(self.all) + len(self._others)
                self._beside.append(bare(graphs[at : at + 1]))
            numbers[at] = self._others[key]
        return numbers

    def find(self, graphs: ArchGraphs) -> np.ndarray:
        found: np.ndarray = self._index.find(self._keys(checked_graphs(self.space, graphs)))
        return found

    def draw(self, count: int, rng: np.random.Generator, taken: Collection[int]) -> np.ndarray:
        if 2 * (len(taken) + count) < len(self.numbers):
            drawn: dict[int, None] = {}
            while len(drawn) < count:
                number = int(self.numbers[rng.integers(len(self.numbers))])
                if number not in taken:
                    drawn[number] = None
            return np.array(list(drawn), dtype=np.int64)
        return rng.permutation(self.untaken(taken))[:count]

    def untaken(self, taken: Collection[int]) -> np.ndarray:
        """int64, ascending: all that are not ``taken``."""
        left: np.ndarray = np.setdiff1d(self.numbers, np.fromiter(taken, np.int64, len(taken)))
        return left


class Embedded(Listed):
    """A list of architectures in which an encoding says what is near.

    The neighbours of one are the ``nearest`` others by the Euclidean distance of standardised encodings, in
    place of those one change away, and a random one is the nearest to a random point, normally distributed as
    the encodings are: how local search, evolution and random search depend on an encoding (White et al.,
    A Study on Encodings for Neural Architecture Search, NeurIPS 2020, section 4; Yan et al., CATE, ICML 2021,
    section 4.2). Encodings that are equal cannot be told apart, and the first of them is drawn first.

    Deviation from the papers: categorical encodings are drawn from and changed in the same way as learnt
    ones, not entry by entry.

    Args:
        graphs: the architectures.
        encoder: what encodes them; fixed or pretrained.
        twins: as of :class:`Listed`.
        nearest: how many neighbours each has.

    Examples:
        >>> import archenc
        >>> from archenc.search.candidates import Embedded
        >>> cells = archenc.create_space("nasbench201").enumerate()
        >>> by_paths = Embedded(cells, archenc.create_encoder("path", space="nasbench201"))
        >>> search = archenc.create_search("local-search", "nasbench201", candidates=by_paths)
        >>> len(by_paths.neighbours(0))
        20
    """

    def __init__(
        self, graphs: ArchGraphs, encoder: Encoder, *, twins: bool = False, nearest: int = NEAREST
    ) -> None:
        super().__init__(graphs, twins=twins)
        rows = encoder.encode(graphs[self.numbers])
        self.nearest = nearest
        self.encodings = ((rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-6)).astype(np.float32)
        self._squares = (self.encodings**2).sum(1)

    def neighbours(self, number: int) -> np.ndarray:
        if number >= len(self.all):  # told, and none of the candidates
            return super().neighbours(number)
        if number not in self._neighbours:
            own = int(
                np.searchsorted(self.numbers, number)
            )  # a twin is looked at as the one that stands for it
            far = self._distances(self.encodings[min(own, len(self.numbers) - 1)])
            order = np.argsort(far, kind="stable")[: self.nearest + 1]
            near = self.numbers[order]
            self._neighbours[number] = near[near != number][: self.nearest]
        return self._neighbours[number]

    def draw(self, count: int, rng: np.random.Generator, taken: Collection[int]) -> np.ndarray:
        if 2 * (len(taken) + count) >= len(self.numbers):
            return super().draw(count, rng, taken)
        gone = np.isin(self.numbers, np.fromiter(taken, np.int64, len(taken)))
        drawn: list[int] = []
        for _ in range(count):
            far = self._distances(rng.standard_normal(self.encodings.shape[1], dtype=np.float32))
            at = int(np.argmin(np.where(gone, np.inf, far)))
            gone[at] = True
            drawn.append(int(self.numbers[at]))
        return np.array(drawn, dtype=np.int64)

    def _distances(self, point: np.ndarray) -> np.ndarray:
        """(N,) squared, but for a constant."""
        far: np.ndarray = self._squares - 2 * (self.encodings @ point)
        return far


class Unlisted(Candidates):
    """The architectures of a space that is too large to list; each gets a number when it is met."""

    listed = False

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self._met = 0
        self._number: dict[bytes, int] = {}
        self._place: dict[int, int] = {}
        self._graphs: list[ArchGraphs] = []

    def graphs(self, numbers: np.ndarray) -> ArchGraphs:
        if not len(self._graphs):
            return self.space.sample(0)
        if len(self._graphs) > 1:
            self._graphs = [concatenate(self._graphs)]
        return self._graphs[0][np.array([self._place[int(number)] for number in numbers], dtype=np.int64)]

    def find(self, graphs: ArchGraphs) -> np.ndarray:
        keys = isomorphism_keys(checked_graphs(self.space, graphs)).tolist()
        numbers, new = [], []
        for at, key in enumerate(keys):
            if key not in self._number:
                self._number[key], self._place[self._met] = self._met, len(self._place)
                self._met += 1
                new.append(at)
            numbers.append(self._number[key])
        if new:
            self._graphs.append(bare(graphs[new]))
        return np.array(numbers, dtype=np.int64)

    def draw(self, count: int, rng: np.random.Generator, taken: Collection[int]) -> np.ndarray:
        drawn: dict[int, None] = {}
        for _ in range(ATTEMPTS):
            if len(drawn) >= count:
                break
            for number in self.find(self.space.sample(max(count, 16), rng)):
                if int(number) not in taken:
                    drawn[int(number)] = None
        return np.array(list(drawn)[:count], dtype=np.int64)

    def forget_all_but(self, numbers: Collection[int]) -> None:
        left = [number for number in self._place if number in numbers]
        graphs = self.graphs(np.array(left, dtype=np.int64))
        self._graphs, self._place = [graphs] if left else [], {number: at for at, number in enumerate(left)}
        self._number = {key: number for key, number in self._number.items() if number in self._place}
        self._neighbours = {}


def bare(graphs: ArchGraphs) -> ArchGraphs:
    """The architectures without what else is known of them."""
    return graphs.with_features(None).with_architecture_features(None)


def isomorphism_keys(graphs: ArchGraphs) -> np.ndarray:
    """(N,) of bytes, equal for isomorphic architectures; not by published hashes, as these take longer."""
    return sortable_keys(wl_hash(graphs) if graphs.space.published_hash else graphs.hash())


def written(graphs: ArchGraphs) -> np.ndarray:
    """(N,) of bytes: equal for architectures that are written in the same way."""
    n = len(graphs)
    parts = [graphs.adjacency.reshape(n, -1), graphs.ops.reshape(n, -1)]
    rows = np.concatenate([part.cpu().numpy() + 1 for part in parts], axis=1)  # numpy drops zeros at the end
    keys: np.ndarray = np.ascontiguousarray(rows).view(f"S{rows.shape[1]}")[:, 0]
    return keys


def candidates_of(space: Space, given: Any, twins: bool) -> Candidates:
    """The ``given`` architectures or candidates, or all of the space where it can be listed, or the space
    itself.

    Raises:
        InvalidArchitecture: candidates of another space, or none.
        InvalidParameter: twins of a space that cannot be listed.
    """
    if isinstance(given, Candidates):
        if given.space != space:
            raise InvalidArchitecture(
                f"the candidates are of the space {given.space.name!r} and not of {space.name!r}; give others"
            )
        return given
    if given is not None:
        graphs = as_graphs(given, space)
        if not len(graphs):
            raise InvalidArchitecture("there is no candidate to choose; give at least one")
        return Listed(checked_graphs(space, graphs), twins=twins)
    listed = whole_space(space, twins)
    if listed is not None:
        return listed
    if twins:
        raise InvalidParameter(
            f"the space {space.name!r} is too large to list, and its twins cannot be told apart; give "
            "candidates, or twins=False"
        )
    return Unlisted(space)


@functools.lru_cache(maxsize=8)
def whole_space(space: Space, twins: bool) -> Listed | None:
    """All architectures of a space, or None where they are too many."""
    if space.size is not None and space.size > MOST_LISTED:
        return None
    try:
        pool = space.enumerate()
    except InvalidParameter:
        return None
    return Listed(pool, twins=twins, whole=True) if len(pool) <= MOST_LISTED else None


def digest_of(candidates: Candidates) -> str | None:
    """Hexadecimal SHA-256 of a list that was given; None for all architectures of a space."""
    if not isinstance(candidates, Listed) or candidates.whole:
        return None
    digest = hashlib.sha256(written(candidates.all).tobytes())
    if isinstance(candidates, Embedded):
        digest.update(f"encoded in {candidates.encodings.shape[1]} numbers".encode())
    return digest.hexdigest()
