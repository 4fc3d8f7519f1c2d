"""The attributes that one node of a chain holds together, and its operations: their combinations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from archenc.spaces.stages.definition import Attribute, Stage, text


@dataclass(frozen=True)
class Part:
    """Attributes of a layer, or a global choice, that one node holds together.

    Attributes:
        attributes: they.
        first: the number k of its first operation.
        states: (S, attributes) the numbers of the choices that each of its S operations stands for, -1 where
            an attribute does not count.
    """

    attributes: tuple[Attribute, ...]
    first: int
    states: np.ndarray

    @cached_property
    def code_of_state(self) -> np.ndarray:
        """(codes,): the place among the states, by :meth:`codes`."""
        places = np.zeros(int(np.prod(self._sizes, initial=1)), dtype=np.int64)
        places[self.codes(self.states)] = np.arange(len(self.states))
        return places

    @property
    def _sizes(self) -> list[int]:
        return [len(attribute.choices) + 1 for attribute in self.attributes]

    def codes(self, numbers: np.ndarray) -> np.ndarray:
        """A whole number for each combination (..., attributes)."""
        codes = np.zeros(numbers.shape[:-1], dtype=np.int64)
        for at, size in enumerate(self._sizes):
            codes = codes * size + numbers[..., at] + 1
        return codes

    def operations(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers k of the operations that stand for combinations (..., attributes)."""
        found: np.ndarray = self.first + self.code_of_state[self.codes(numbers)]
        return found


def held_together(stage: Stage, most: int) -> list[tuple[Attribute, ...]]:
    """The attributes of a layer, those together that one operation stands for: as many as have at most
    ``most`` combinations.
    """
    groups: list[tuple[Attribute, ...]] = [()]
    states = 1
    for attribute in stage.attributes:
        size = len(attribute.choices) + bool(attribute.when)
        if groups[-1] and states * size > most:
            groups.append(())
            states = 1
        groups[-1] += (attribute,)
        states *= size
    return groups


def made_part(attributes: tuple[Attribute, ...], stage: str, names: list[str]) -> Part:
    """The part of these attributes, whose operations are added to the ``names``."""
    sizes = [range(-1 if one.when else 0, len(one.choices)) for one in attributes]
    combinations = [state for state in itertools.product(*sizes) if _is_possible(state, attributes)]
    states = np.array(combinations, dtype=np.int16).reshape(len(combinations), len(attributes))
    part = Part(attributes, len(names), states)
    for state in states.tolist():
        held = [
            f"{one.label}={text(one.choices[number])}"
            for one, number in zip(attributes, state, strict=True)
            if number >= 0
        ]
        if stage:
            names.append(f"{stage}: {', '.join(held) or '-'}")
        else:
            names.append(held[0] if held else f"no {attributes[0].name}")
    return part


def _is_possible(state: tuple[int, ...], attributes: tuple[Attribute, ...]) -> bool:
    """Whether the attributes of a part count just where their conditions on each other are met."""
    number = dict(zip((one.name for one in attributes), state, strict=True))
    for one in attributes:
        inside = [number[name] in allowed for name, allowed in one.when if name in number]
        met, all_known = all(inside), len(inside) == len(one.when)
        if (number[one.name] >= 0 and not met) or (number[one.name] < 0 and met and all_known):
            return False
    return True


def places_in(stage: Stage, part: Part) -> list[int]:
    """Where a part's attributes stand among those of its stage."""
    return [stage.attributes.index(one) for one in part.attributes]


def is_of(numbers: np.ndarray, part: Part) -> np.ndarray:
    """Whether numbers k are operations of a part."""
    return (numbers >= part.first) & (numbers < part.first + len(part.states))


def state_of(numbers: np.ndarray, part: Part) -> np.ndarray:
    """The states of a part for numbers k, some state for those of elsewhere."""
    clipped: np.ndarray = np.clip(numbers - part.first, 0, len(part.states) - 1)
    return clipped


def attribute_features(
    known: Sequence[Attribute], parts: Iterable[tuple[str, Part]], stages: Sequence[str], operations: int
) -> np.ndarray:
    """float32 (K, k): of each operation which attributes it stands for.

    Args:
        known: all attributes; those of the same name share their columns.
        parts: each with its stage.
        stages: names of the stages that have columns, the first ones.
        operations: K.
    """
    values: dict[str, dict[Any, None]] = {}
    for one in known:
        values.setdefault(one.label, {}).update(dict.fromkeys(map(_key, one.choices)))
    columns = {name: at for at, name in enumerate(stages)}
    first: dict[str, int] = {}
    width = len(columns)
    for label, held in values.items():
        first[label] = width
        width += len(held) + 1
    features = np.zeros((operations, width), dtype=np.float32)
    for stage, part in parts:
        rows = np.arange(part.first, part.first + len(part.states))
        if stage in columns:
            features[rows, columns[stage]] = 1
        for at, one in enumerate(part.attributes):
            counts = part.states[:, at] >= 0
            keys = list(values[one.label])
            place = np.array([keys.index(_key(value)) for value in one.choices])[part.states[:, at]]
            features[rows[counts], first[one.label] + place[counts]] = 1
            if one.ordered:
                scaled = Attribute(one.label, tuple(value for _, value in keys)).scaled()
                features[rows[counts], first[one.label] + len(keys)] = scaled[place[counts]]
    return features


def _key(value: Any) -> tuple[bool, Any]:
    """What tells True from 1."""
    return isinstance(value, bool), value
