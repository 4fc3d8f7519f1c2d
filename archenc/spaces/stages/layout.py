"""Where the choices of a space stand: as columns of a table, and as operations on the nodes of a chain."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from archenc.errors import InvalidParameter
from archenc.spaces.parameters import MAX_OPERATIONS
from archenc.spaces.stages.definition import (
    DEPTH,
    Attribute,
    Forbidden,
    Stage,
    Table,
    Total,
    check_size,
    in_order,
    read_conditions,
    read_constraints,
    read_globals,
    read_stages,
    text,
)
from archenc.spaces.stages.parts import Part, held_together, is_of, made_part, places_in, state_of

ABSENT_LAYER = "no layer"
"""The operation of a layer that does not exist."""
MAX_STATES = (96, 48, 24, 12, 6, 1)
"""Most combinations of choices that are one operation; the first for which all operations are numbers of a
byte.
"""

Rows = tuple[np.ndarray, str]
"""Bool (N,) where a rule is broken, and a sentence."""


class Layout:
    """The columns and nodes of a space of choices.

    Args:
        where: what the space is called in messages.
        stages, globals_, conditions, constraints: as in :class:`archenc.spaces.stages.StageSpace`.

    Attributes:
        globals: the global choices.
        stages: the stages.
        columns: an attribute for each column of the tables: the global choices; then for each stage its
            depth, where it varies, and the attributes of each layer.
        names: the name of each column: ``"embed_dim"``, ``"blocks.layers"``, ``"blocks.0.heads"``.
    """

    def __init__(self, where: str, stages: Any, globals_: Any, conditions: Any, constraints: Any) -> None:
        plain_globals, plain_stages = read_globals(where, globals_), read_stages(where, stages)
        both = {one.name for one in plain_globals} & {stage.name for stage in plain_stages}
        if both:
            raise InvalidParameter(
                f"{where} calls a stage and a global choice {min(both)!r}; give each a name of its own"
            )
        known = {one.name: one for one in plain_globals}
        known |= {one.name: one for stage in plain_stages for one in (*stage.attributes, _depth(stage))}
        known = read_conditions(where, conditions, known)
        order = in_order(where, known)
        self.globals = tuple(known[one.name] for one in plain_globals)
        self.stages = tuple(
            replace(
                stage,
                attributes=tuple(known[one.name] for one in stage.attributes),
                order=tuple(
                    sorted(
                        range(len(stage.attributes)),
                        key=lambda at, stage=stage: order.index(stage.attributes[at].name),  # type: ignore[misc]
                    )
                ),
            )
            for stage in plain_stages
        )
        self._order = [name for name in order if name in {one.name for one in self.globals}]
        self.forbidden, self.totals = read_constraints(where, constraints, known)
        self.known: Mapping[str, Attribute] = known
        self.names, self.columns = [], []
        self.start: dict[str, int] = {}  # the first column of each stage's layers
        for name, attribute in self._columns():
            self.names.append(name)
            self.columns.append(attribute)
        check_size(where, len(self.columns) + sum(stage.most for stage in self.stages))
        self.parts, self.global_parts, self.operations = self._operations(where)

    def _columns(self) -> Iterator[tuple[str, Attribute]]:
        at = len(self.globals)
        yield from ((one.name, one) for one in self.globals)
        for stage in self.stages:
            if len(stage.depths) > 1:
                yield f"{stage.name}.{DEPTH}", _depth(stage)
                at += 1
            self.start[stage.name] = at
            for layer in range(stage.most):
                yield from ((f"{stage.name}.{layer}.{one.label}", one) for one in stage.attributes)
            at += stage.most * len(stage.attributes)

    @property
    def family(self) -> tuple[Any, ...]:
        """What spaces of one family share: the names of all attributes, and the rules."""
        stages = tuple((stage.name, tuple(one.label for one in stage.attributes)) for stage in self.stages)
        rules = [(one.name, one.when) for one in self.known.values() if one.when]
        return tuple(one.name for one in self.globals), stages, rules, self.forbidden, self.totals

    # -- tables ----------------------------------------------------------------------------------------------

    def layers(self, stage: Stage, table: Table) -> np.ndarray:
        """The attributes of the layers of a stage, a view (N, layers, attributes)."""
        start, width = self.start[stage.name], len(stage.attributes)
        return table[:, start : start + stage.most * width].reshape(len(table), stage.most, width)

    def depths(self, stage: Stage, table: Table) -> np.ndarray:
        """int64 (N,): how many layers of a stage exist."""
        if len(stage.depths) == 1:
            return np.full(len(table), stage.depths[0])
        at = self.start[stage.name] - 1
        found: np.ndarray = np.asarray(stage.depths)[table[:, at]]
        return found

    def global_column(self, name: str) -> int:
        return self.names.index(name)

    def resolved(self, table: Table) -> Table:
        """The table with -1 where a column does not count: layers that do not exist, conditions that are not
        met.
        """
        table = table.astype(np.int16)
        for name in self._order:
            column = self.global_column(name)
            table[~self._met(table, self.known[name]), column] = -1
        for stage in self.stages:
            exists = np.arange(stage.most) < self.depths(stage, table)[:, None]
            values = self.layers(stage, table)
            for at in stage.order:
                met = self._met(table, stage.attributes[at], values, stage)
                values[..., at] = np.where(exists & met, values[..., at], -1)
        return table

    def _met(
        self, table: Table, attribute: Attribute, values: np.ndarray | None = None, stage: Stage | None = None
    ) -> np.ndarray:
        """Whether the conditions of an attribute are met: bool (N,) of a global one, else broadcastable to
        (N, layers).
        """
        met: np.ndarray = np.ones(len(table) if values is None else (len(table), 1), dtype=bool)
        for name, allowed in attribute.when:
            holds = self._holds(table, name, allowed, values, stage)
            met = np.asarray(met & holds)
        return met

    def _holds(
        self,
        table: Table,
        name: str,
        allowed: tuple[int, ...],
        values: np.ndarray | None,
        stage: Stage | None,
    ) -> np.ndarray:
        if "." not in name:
            holds = np.asarray(np.isin(table[:, self.global_column(name)], allowed))
            return holds if values is None else np.expand_dims(holds, 1)
        assert stage is not None
        assert values is not None
        if name == f"{stage.name}.{DEPTH}":
            wanted = [stage.depths[number] for number in allowed]
            return np.expand_dims(np.isin(self.depths(stage, table), wanted), 1)
        at = [one.name for one in stage.attributes].index(name)
        return np.asarray(np.isin(values[..., at], allowed))

    def faults(self, table: Table) -> list[Rows]:
        """Where resolved tables break a constraint."""
        return [
            *((self._is_forbidden(table, one), self._sentence(one)) for one in self.forbidden),
            *(self._off_total(table, one) for one in self.totals),
        ]

    def _is_forbidden(self, table: Table, forbidden: Forbidden) -> np.ndarray:
        stages = {name.rpartition(".")[0] for name, _ in forbidden.clauses} - {""}
        stage = next((one for one in self.stages if one.name in stages), None)
        values = None if stage is None else self.layers(stage, table)
        broken = np.ones(len(table) if stage is None else (len(table), stage.most), dtype=bool)
        if stage is not None:
            broken &= np.arange(stage.most) < self.depths(stage, table)[:, None]
        for name, allowed in forbidden.clauses:
            broken = broken & self._holds(table, name, allowed, values, stage)
        return np.asarray(broken.any(1) if broken.ndim == 2 else broken)

    def _sentence(self, forbidden: Forbidden) -> str:
        clauses = [
            f"{name} = {' or '.join(text(self.known[name].choices[number]) for number in numbers)}"
            for name, numbers in forbidden.clauses
        ]
        return f"{' and '.join(clauses)} is forbidden; change one of them"

    def _off_total(self, table: Table, total: Total) -> Rows:
        attribute = self.known[total.name]
        numbers = np.append(np.asarray(attribute.choices, dtype=np.float64), 0.0)  # -1 is the last
        stage = next((one for one in self.stages if one.name == total.name.rpartition(".")[0]), None)
        if stage is None:
            sums = numbers[table[:, self.global_column(total.name)]]
        elif total.name == f"{stage.name}.{DEPTH}":
            sums = self.depths(stage, table).astype(np.float64)
        else:
            at = [one.name for one in stage.attributes].index(total.name)
            sums = numbers[self.layers(stage, table)[..., at]].sum(1)
        broken = (sums < total.least) | (sums > total.most)
        return broken, f"the total of {total.name} is not from {total.least:g} to {total.most:g}; change it"

    # -- operations on the nodes of a chain ------------------------------------------------------------------

    def _operations(self, where: str) -> tuple[dict[str, list[Part]], list[Part], list[str]]:
        """Parts of the layers of each stage, parts of the global choices, names of the operations."""
        varies = any(len(stage.depths) > 1 for stage in self.stages)
        for most in MAX_STATES:
            names = [ABSENT_LAYER] if varies else []
            parts: dict[str, list[Part]] = {}
            whole = [made_part((one,), "", names) for one in self.globals]
            for stage in self.stages:
                parts[stage.name] = [
                    made_part(held, stage.name, names) for held in held_together(stage, most)
                ]
            if len(names) <= MAX_OPERATIONS:
                return parts, whole, names
        raise InvalidParameter(
            f"{where} has {len(names)} choices of different attributes, and {MAX_OPERATIONS} are possible; "
            "give layers with the same choices as one stage"
        )

    @property
    def places(self) -> int:
        """Operations of an architecture."""
        return len(self.globals) + sum(stage.most * len(self.parts[stage.name]) for stage in self.stages)

    @property
    def place_names(self) -> list[str]:
        """What each place of an operation is called."""
        names = [one.name for one in self.globals]
        for stage in self.stages:
            single = len(self.parts[stage.name]) == 1
            for layer, part in itertools.product(range(stage.most), self.parts[stage.name]):
                held = "" if single else f" ({', '.join(one.label for one in part.attributes)})"
                names.append(f"{stage.name} {layer}{held}")
        return names

    def to_operations(self, table: Table) -> np.ndarray:
        """int64 (N, places): the numbers k of the operations of resolved tables."""
        columns = [part.operations(table[:, [at]])[:, None] for at, part in enumerate(self.global_parts)]
        for stage in self.stages:
            values, exists = self.layers(stage, table), self._exists(stage, table)
            for_parts = [
                np.where(exists, part.operations(values[..., places_in(stage, part)]), 0)
                for part in self.parts[stage.name]
            ]
            columns.append(np.stack(for_parts, axis=2).reshape(len(table), stage.most * len(for_parts)))
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(table), 0), dtype=np.int64)

    def _exists(self, stage: Stage, table: Table) -> np.ndarray:
        exists: np.ndarray = np.arange(stage.most) < self.depths(stage, table)[:, None]
        return exists

    def from_operations(self, numbers: np.ndarray) -> tuple[Table, list[Rows]]:
        """A resolved table, whatever the numbers k (N, places) are, and where these are none of an
        architecture.
        """
        table = np.full((len(numbers), len(self.columns)), -1, dtype=np.int16)
        faults: list[Rows] = []
        for at, part in enumerate(self.global_parts):
            sentence = f"the operation of {self.names[at]!r} is none of its choices; take one of them"
            faults.append((~is_of(numbers[:, at], part), sentence))
            table[:, at] = part.states[state_of(numbers[:, at], part), 0]
        start = len(self.globals)
        for stage in self.stages:
            parts = self.parts[stage.name]
            places = numbers[:, start : start + stage.most * len(parts)]
            start += places.shape[1]
            faults += self._read_stage(stage, places.reshape(len(numbers), stage.most, len(parts)), table)
        resolved = self.resolved(table)
        counts = self.resolved(np.maximum(table, 0)) >= 0
        sentence = "a choice is made where its condition is not met, or missing where it is; change it"
        faults.append((((table >= 0) != counts).any(1), sentence))
        return resolved, faults

    def _read_stage(self, stage: Stage, numbers: np.ndarray, table: Table) -> list[Rows]:
        """Put the layers of a stage, operations (N, layers, parts), into the table."""
        absent: np.ndarray = np.asarray(numbers == 0) & (len(stage.depths) > 1)
        exists: np.ndarray = np.asarray(~absent.any(2))
        depth = exists.sum(1)
        torn = (absent.any(2) != absent.all(2)).any(1) | (exists[:, 1:] & ~exists[:, :-1]).any(1)
        known = np.isin(depth, stage.depths)
        lengths = ", ".join(map(str, stage.depths))
        faults = [
            (torn, f"a layer of {stage.name} is missing before others; put the existing ones first"),
            (~known, f"{stage.name} has another number of layers than {lengths}; give one of them"),
        ]
        if len(stage.depths) > 1:
            order = np.argsort(stage.depths)
            place = np.searchsorted(np.asarray(stage.depths)[order], depth).clip(max=len(order) - 1)
            table[:, self.start[stage.name] - 1] = order[place]
        values = self.layers(stage, table)
        for at, part in enumerate(self.parts[stage.name]):
            wrong = exists & ~is_of(numbers[..., at], part)
            faults.append((wrong.any(1), f"a layer of {stage.name} has an operation of elsewhere; change it"))
            values[..., places_in(stage, part)] = np.where(
                exists[..., None], part.states[state_of(numbers[..., at], part)], -1
            )
        return faults


def _depth(stage: Stage) -> Attribute:
    return Attribute(f"{stage.name}.{DEPTH}", stage.depths)


# -- spaces of one family ------------------------------------------------------------------------------------


def translated(source: Layout, table: Table, target: Layout) -> Table:
    """The choices of one space as those of another one of the same attributes, by their places among the
    choices: the lowest becomes the lowest, the highest the highest.

    Where depths differ, a stage is stretched or squeezed: each layer gets the mean level of those that it
    stands for, and what rounding leaves over goes to the next layer, so that the means of all stay.
    """
    found = np.zeros((len(table), len(target.columns)), dtype=np.int16)
    for at, (one, other) in enumerate(zip(source.globals, target.globals, strict=True)):
        found[:, at] = _levels(table[:, at], len(one.choices), len(other.choices))
    for stage, like in zip(source.stages, target.stages, strict=True):
        if len(like.depths) > 1:
            order, ranks = np.argsort(like.depths), np.argsort(np.argsort(stage.depths))
            depth = source.depths(stage, table)
            rank = ranks[np.argmax(depth[:, None] == np.asarray(stage.depths), axis=1)]
            at = target.start[like.name] - 1
            found[:, at] = order[_levels(rank, len(stage.depths), len(like.depths))]
        _translate_layers(
            source.layers(stage, table),
            stage,
            target.layers(like, found),
            like,
            [source.depths(stage, table), target.depths(like, found)],
        )
    return target.resolved(found)


def _translate_layers(
    values: np.ndarray, stage: Stage, into: np.ndarray, like: Stage, depths: list[np.ndarray]
) -> None:
    """Put the levels of layers (N, layers, attributes) into those of another space."""
    for depth, wanted in np.unique(np.stack(depths, axis=1), axis=0).tolist():
        rows = (depths[0] == depth) & (depths[1] == wanted)
        ends = np.arange(wanted + 1)[:, None] * depth / wanted  # of the new layers, counted in old ones
        covered = np.clip(ends - np.arange(depth), 0, 1) * wanted / depth
        for at, (one, other) in enumerate(zip(stage.attributes, like.attributes, strict=True)):
            scale = (len(other.choices) - 1) / max(len(one.choices) - 1, 1)
            levels = np.maximum(values[rows, :depth, at], 0) * scale
            steps = np.diff(np.round(levels @ covered.T + 1e-9), axis=1)
            into[rows, :wanted, at] = np.clip(steps, 0, len(other.choices) - 1)


def _levels(numbers: np.ndarray, of: int, wanted: int) -> np.ndarray:
    levels: np.ndarray = np.round(numbers * ((wanted - 1) / max(of - 1, 1))).astype(np.int16)
    return levels.clip(min=-1)
