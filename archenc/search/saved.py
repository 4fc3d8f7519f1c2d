"""A search as a JSON file: its strategy, what was asked and what was told; nothing is pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from archenc.errors import CorruptFile, InvalidParameter
from archenc.files.documents import Digest, Name, Record, Text, read_json, record
from archenc.files.sealed import rebuilding
from archenc.files.trusted import write_json
from archenc.files.version import __version__
from archenc.graphs import as_graphs
from archenc.pretraining.folder import SpaceConfig
from archenc.registry import STRATEGIES
from archenc.registry.rules import Number, Seed, Whole
from archenc.search.base import Strategy, Told
from archenc.search.candidates import Candidates, Listed, candidates_of, digest_of
from archenc.spaces import from_config

if TYPE_CHECKING:
    from archenc.graphs import ArchGraphs
    from archenc.spaces.base import Space

FORMAT = 1
MAX_BYTES = 2**28
REMEDY = "restore the file, or make the search again from its table of results"


class Asked(Record):
    """An architecture that was asked for, and for how many epochs."""

    arch: Text
    epochs: Whole


class Trained(Record):
    """A training that was told; null for an objective of one that failed."""

    arch: Text
    y: Annotated[tuple[Number | None, ...], Meta(min_length=1, max_length=100)]
    epochs: Whole
    asked: bool


class Content(Record):
    """The file; ``candidates`` is the checksum of a list that was given."""

    format: Literal[1]
    archenc: Text
    strategy: Name
    parameters: dict[str, Any]
    space: SpaceConfig
    candidates: Digest | None
    twins: bool
    random_state: Seed
    start: tuple[Text, ...]
    asked: tuple[Asked, ...]
    told: tuple[Trained, ...]


@dataclass(frozen=True)
class Saved:
    """What makes up a search (:class:`archenc.search.search.Search`)."""

    strategy: Strategy
    candidates: Candidates
    random_state: int
    start: list[int]
    asked: list[tuple[int, int]]
    told: list[Told]


def save_search(search: Saved, path: str | Path) -> Path:
    """Write a search.

    Raises:
        InvalidParameter: a strategy that is not registered, so that no name stands for it.
        CannotWrite: the file cannot be written; an older one is as it was.
    """
    candidates, space = search.candidates, search.candidates.space
    texts = _Texts(
        candidates, [*search.start, *(n for n, _ in search.asked), *(t.number for t in search.told)]
    )
    content = {
        "format": FORMAT,
        "archenc": __version__,
        "strategy": _name(search.strategy),
        "parameters": search.strategy.parameters(),
        "space": space.config(),
        "candidates": digest_of(candidates),
        "twins": isinstance(candidates, Listed) and candidates.twins,
        "random_state": search.random_state,
        "start": [texts[number] for number in search.start],
        "asked": [{"arch": texts[number], "epochs": epochs} for number, epochs in search.asked],
        "told": [
            {
                "arch": texts[each.number],
                "y": [None if np.isnan(value) else value for value in each.y],
                "epochs": each.epochs,
                "asked": each.asked,
            }
            for each in search.told
        ],
    }
    target = Path(path)
    write_json(target, msgspec.to_builtins(content), sort_keys=False)
    return target


def read_search(path: str | Path, candidates: Any = None) -> Saved:
    """Read what :func:`save_search` wrote; raises as :func:`archenc.search.search.load_search` does."""
    file = Path(path)
    content = record(read_json(file, MAX_BYTES), Content, str(file), f"{REMEDY} with archenc {__version__}")
    with rebuilding(file, REMEDY):
        space = from_config({"name": content.space.name, "parameters": content.space.parameters})
        strategy = STRATEGIES.create(content.strategy, **content.parameters)
    if (candidates is None) != (content.candidates is None):
        remedy = "leave them out" if content.candidates is None else "give candidates=... again"
        raise InvalidParameter(f"the search in {file} was made {_with(content)} list of candidates; {remedy}")
    pool = candidates_of(space, candidates, content.twins)
    if digest_of(pool) != content.candidates:
        raise InvalidParameter(
            f"the candidates are not those of the search in {file}; give the same in their order"
        )
    with rebuilding(file, REMEDY):
        if len({len(each.y) for each in content.told}) > 1:
            raise CorruptFile(f"'told' has rows of different numbers of objectives; {REMEDY}")
        start = _numbers(pool, space, content.start)
        asked = _numbers(pool, space, [each.arch for each in content.asked])
        told = _met(pool, space, [each.arch for each in content.told])
        trainings = [
            Told(
                number, tuple(np.nan if value is None else value for value in each.y), each.epochs, each.asked
            )
            for number, each in zip(told, content.told, strict=True)
        ]
        lengths = [each.epochs for each in content.asked]
        return Saved(
            strategy, pool, content.random_state, start, list(zip(asked, lengths, strict=True)), trainings
        )


def _with(content: Content) -> str:
    return "without a" if content.candidates is None else "with a"


def _name(strategy: Strategy) -> str:
    for name in STRATEGIES.names():
        if STRATEGIES.get(name) is type(strategy):
            return name
    raise InvalidParameter(
        f"the strategy {type(strategy).__name__} has no name, by which a file could call it; declare "
        "it as an entry point of the group 'archenc.strategies'"
    )


class _Texts(dict[int, str]):
    """The texts of architectures by number."""

    def __init__(self, candidates: Candidates, numbers: list[int]) -> None:
        different = sorted(set(numbers))
        graphs: ArchGraphs = candidates.graphs(np.array(different, dtype=np.int64))
        super().__init__(zip(different, candidates.space.format(graphs) if different else [], strict=True))


def _met(candidates: Candidates, space: Space, texts: list[str]) -> list[int]:
    return candidates.meet(as_graphs(texts, space)).tolist() if texts else []


def _numbers(candidates: Candidates, space: Space, texts: Any) -> list[int]:
    if texts and (candidates.find(as_graphs(list(texts), space)) < 0).any():
        raise CorruptFile(f"it names an architecture that is none of the candidates; {REMEDY}")
    return _met(candidates, space, list(texts))
