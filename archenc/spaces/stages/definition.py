"""The definition of a space of choices: stages of layers with named attributes, global choices, and what goes
together.

Everything may come from a file that somebody sent, so that it is checked and bounded before anything is built
from it.
"""

from __future__ import annotations

import graphlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archenc.errors import InvalidParameter
from archenc.files.text import listed, shown
from archenc.spaces.parameters import MAX_NAME, MAX_NODES, members, whole_number, whole_numbers

MAX_CHOICES = 240
"""Most choices of one attribute."""
MAX_COLUMNS = 10_000
"""Most choices of an architecture, those of all layers together."""
DEPTH = "layers"
"""How the depth of a stage is called among its attributes."""

Value = str | bool | int | float
Table = np.ndarray
"""int16 (N, C): the number of the choice in each column, -1 where the column does not count."""


@dataclass(frozen=True)
class Attribute:
    """A named choice: numbers in an order, or categories.

    Attributes:
        name: its full name, ``"embed_dim"`` or ``"blocks.heads"``.
        choices: its values.
        when: the full names of the attributes that it depends on, each with the numbers of the choices at
            which it counts.
    """

    name: str
    choices: tuple[Value, ...]
    when: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def label(self) -> str:
        """The name without that of the stage."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def ordered(self) -> bool:
        """Whether the choices are numbers."""
        return is_number(self.choices[0])

    def scaled(self) -> np.ndarray:
        """float64 (choices,): numbers from 0 to 1, on a logarithmic scale where all are positive; else 0 and
        1 for the second of two categories.
        """
        if not self.ordered:
            return np.arange(len(self.choices)) / max(len(self.choices) - 1, 1)
        numbers = np.array(self.choices, dtype=np.float64)
        numbers = np.log2(numbers) if numbers.min() > 0 else numbers
        scaled: np.ndarray = (numbers - numbers.min()) / (float(np.ptp(numbers)) or 1.0)
        return scaled


@dataclass(frozen=True)
class Stage:
    """Layers in a row that have the same attributes.

    Attributes:
        name: what it is called.
        depths: how many layers it may have.
        attributes: of each layer, in the order in which they are given.
        order: positions of the attributes, each behind those that it depends on.
    """

    name: str
    depths: tuple[int, ...]
    attributes: tuple[Attribute, ...]
    order: tuple[int, ...]

    @property
    def most(self) -> int:
        """Layers of its deepest form."""
        return max(self.depths)


@dataclass(frozen=True)
class Forbidden:
    """Choices that do not go together, in an architecture and one of its layers: full names, each with
    numbers of choices.
    """

    clauses: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Total:
    """Bounds of the sum of an attribute's numbers over the layers that exist."""

    name: str
    least: float
    most: float


def is_number(value: Any) -> bool:
    """Whether this is a number, Python's or numpy's."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


# -- reading -------------------------------------------------------------------------------------------------


def read_globals(where: str, given: Any) -> tuple[Attribute, ...]:
    """The global choices of ``{name: choices}``, without conditions."""
    return tuple(
        Attribute(name, choices(where, name, values)) for name, values in named(where, "globals", given)
    )


def read_stages(where: str, given: Any) -> tuple[Stage, ...]:
    """The stages of ``{name: {"layers": depths, "attributes": {name: choices}}}``, without conditions."""
    stages = []
    for name, stage in named(where, "stages", given):
        if not isinstance(stage, Mapping) or not stage.keys() <= {DEPTH, "attributes"}:
            raise InvalidParameter(
                f"{where}: the stage {name!r} is {shown(stage)}; give a dict of its 'layers' and 'attributes'"
            )
        depths = stage.get(DEPTH, 1)
        depths = [depths] if not isinstance(depths, list | tuple | range) else depths
        numbers = whole_numbers(where, f"layers of {name}", depths, 1, MAX_NODES, MAX_CHOICES)
        if not numbers or len(set(numbers)) < len(numbers):
            raise InvalidParameter(
                f"{where}: the stage {name!r} has {shown(depths)} layers; give one or several different "
                "numbers"
            )
        attributes = tuple(
            Attribute(f"{name}.{label}", choices(where, f"{name}.{label}", values))
            for label, values in named(where, f"attributes of {name}", stage.get("attributes", {}))
        )
        stages.append(Stage(name, numbers, attributes, tuple(range(len(attributes)))))
    return tuple(stages)


def named(where: str, what: str, given: Any) -> list[tuple[str, Any]]:
    """The items of a dict whose keys are names; raises :class:`InvalidParameter` for anything else."""
    if given is None:
        return []
    if not isinstance(given, Mapping):
        raise InvalidParameter(f"{where}: {what} are {shown(given)}; give a dict of them by name")
    for name in given:
        usable = isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()
        if not usable or "." in name or name == DEPTH or name.isdigit():
            raise InvalidParameter(
                f"{where}: {shown(name)} cannot be a name among the {what}; give text without a dot that is "
                f"neither a number nor {DEPTH!r}"
            )
    return list(given.items())


def choices(where: str, name: str, values: Any) -> tuple[Value, ...]:
    """The choices of an attribute; raises :class:`InvalidParameter` unless they are different numbers, or
    different texts and truth values.
    """
    found = tuple(plain(value) for value in members(where, f"choices of {name}", values, MAX_CHOICES))
    numbers = all(is_number(value) and math.isfinite(value) and abs(value) < 1e15 for value in found)
    texts = all(isinstance(value, str | bool) and len(str(value)) <= MAX_NAME for value in found)
    if not found or len(set(found)) < len(found) or not (numbers or texts):
        raise InvalidParameter(
            f"{where}: the choices of {name!r} are {shown(values)}; give different numbers, or different "
            "texts, or true and false"
        )
    return found


def plain(value: Any) -> Any:
    """The value as Python's own, where it is one of numpy."""
    return value.item() if isinstance(value, np.generic) else value


def numbers_of(where: str, attribute: Attribute, values: Any) -> tuple[int, ...]:
    """The numbers of the given choices of an attribute, which may be a single one."""
    wanted = list(values) if isinstance(values, list | tuple | range) else [values]
    found = [position(attribute.choices, value) for value in wanted]
    if not wanted or None in found:
        raise InvalidParameter(
            f"{where}: {shown(values)} are no choices of {attribute.name!r}; take some of "
            f"{texts(attribute.choices)}"
        )
    return tuple(number for number in found if number is not None)


def position(known: Sequence[Value], value: Any) -> int | None:
    """The number of a value among choices, in the ways in which tables write it; None where it is none of
    them.
    """
    value = plain(value)
    if isinstance(value, bool) or not is_number(value):
        if isinstance(value, str) and is_number(known[0]):
            try:
                return position(known, float(value))
            except ValueError:
                return None
        if isinstance(value, str) and value not in known and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        same = [number for number, one in enumerate(known) if type(one) is type(value) and bool(one == value)]
        return same[0] if same else None
    same = [number for number, one in enumerate(known) if is_number(one) and one == value]
    return same[0] if same else None


def text(value: Value) -> str:
    """A choice as text."""
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def texts(values: Sequence[Value]) -> str:
    """Choices as messages list them."""
    return listed(map(text, values))


# -- what goes together --------------------------------------------------------------------------------------


def read_conditions(where: str, given: Any, known: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """All attributes by their full names, with the conditions
    ``[{"attribute": name, "when": {name: choices}}]``.

    Raises:
        InvalidParameter: an attribute that does not exist or that another stage's depends on, or conditions
            that go round in a circle.
    """
    found = dict(known)
    for condition in members(where, "conditions", given or (), MAX_COLUMNS):
        if not isinstance(condition, Mapping) or condition.keys() != {"attribute", "when"}:
            raise InvalidParameter(
                f"{where}: {shown(condition)} is no condition; give a dict of 'attribute' and 'when'"
            )
        attribute = find(where, found, condition["attribute"])
        clauses = read_clauses(where, found, condition["when"])
        stage = stage_of(attribute.name)
        for name, _ in clauses:
            if stage_of(name) not in ("", stage) or name.endswith(f".{DEPTH}"):
                raise InvalidParameter(
                    f"{where}: {attribute.name!r} cannot depend on {name!r}; let it depend on global choices "
                    "and on attributes of its own layer"
                )
        found[attribute.name] = Attribute(attribute.name, attribute.choices, (*attribute.when, *clauses))
    in_order(where, found)
    return found


def in_order(where: str, attributes: Mapping[str, Attribute]) -> list[str]:
    """The full names, each behind those that it depends on; raises :class:`InvalidParameter` where there is
    no such order.
    """
    sorter = graphlib.TopologicalSorter(
        {name: [parent for parent, _ in attribute.when] for name, attribute in attributes.items()}
    )
    try:
        return list(sorter.static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise InvalidParameter(
            f"{where}: the conditions go round in a circle ({circle}); leave one of them out"
        ) from None


def read_constraints(
    where: str, given: Any, known: Mapping[str, Attribute]
) -> tuple[tuple[Forbidden, ...], tuple[Total, ...]]:
    """The constraints ``{"forbid": {name: choices}}`` and
    ``{"total": name, "at_least": number, "at_most": number}``.
    """
    forbidden, totals = [], []
    for constraint in members(where, "constraints", given or (), MAX_COLUMNS):
        keys = constraint.keys() if isinstance(constraint, Mapping) else set()
        if keys == {"forbid"}:
            clauses = read_clauses(where, known, constraint["forbid"])
            if len({stage_of(name) for name, _ in clauses} - {""}) > 1:
                raise InvalidParameter(
                    f"{where}: {shown(constraint)} speaks of two stages; forbid choices of one stage, with "
                    "global ones if need be"
                )
            forbidden.append(Forbidden(clauses))
        elif "total" in keys and keys <= {"total", "at_least", "at_most"} and len(keys) > 1:
            totals.append(_total(where, known, constraint))
        else:
            raise InvalidParameter(
                f"{where}: {shown(constraint)} is no constraint; give a dict of 'forbid', or of 'total' with "
                "'at_least' or 'at_most'"
            )
    return tuple(forbidden), tuple(totals)


def _total(where: str, known: Mapping[str, Attribute], constraint: Mapping[str, Any]) -> Total:
    attribute = find(where, known, constraint["total"])
    bounds = [constraint.get("at_least", -math.inf), constraint.get("at_most", math.inf)]
    if not attribute.ordered or not all(is_number(bound) and not math.isnan(bound) for bound in bounds):
        raise InvalidParameter(
            f"{where}: {shown(constraint)} does not bound the total of numbers; name an attribute of "
            "numbers, and give numbers"
        )
    return Total(attribute.name, float(bounds[0]), float(bounds[1]))


def read_clauses(
    where: str, known: Mapping[str, Attribute], given: Any
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Full names with numbers of choices, of ``{name: choices}``."""
    if not isinstance(given, Mapping) or not given:
        raise InvalidParameter(f"{where}: {shown(given)} names no choices; give a dict of them by attribute")
    attributes = [find(where, known, name) for name in given]
    return tuple(
        (attribute.name, numbers_of(where, attribute, values))
        for attribute, values in zip(attributes, given.values(), strict=True)
    )


def find(where: str, known: Mapping[str, Attribute], name: Any) -> Attribute:
    """The attribute of this full name."""
    if not isinstance(name, str) or name not in known:
        raise InvalidParameter(f"{where} has no attribute {shown(name)}; choose one of {listed(known)}")
    return known[name]


def stage_of(name: str) -> str:
    """The stage of a full name, empty for a global choice."""
    return name.rpartition(".")[0]


def check_size(where: str, columns: int) -> None:
    """Raise :class:`InvalidParameter` for an architecture of no choices, or of too many."""
    whole_number(where, "the number of choices of an architecture", columns, 1, MAX_COLUMNS)


def both(mine: list[Any], others: list[Any]) -> list[Any]:
    """The values of both, numbers in ascending order."""
    values = list(dict.fromkeys([*mine, *others]))
    return values if any(isinstance(value, str | bool) for value in values) else sorted(values)


def as_values(item: Mapping[str, Any]) -> dict[str, Any]:
    """A condition or constraint with lists for tuples."""
    return {
        key: as_values(value)
        if isinstance(value, Mapping)
        else list(value)
        if isinstance(value, tuple | range)
        else value
        for key, value in item.items()
    }
