"""StageSpace: architectures that are lists of choices, not wirings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter, read_each
from archenc.files.text import shown
from archenc.graphs import ArchGraphs
from archenc.spaces.base import as_array, as_sequence, generator
from archenc.spaces.cell import CellSpace, notation
from archenc.spaces.cell.enumeration import refuse_above
from archenc.spaces.parameters import space_name
from archenc.spaces.stages import notation as choices_notation
from archenc.spaces.stages.definition import Attribute, Stage, Table, as_values, both
from archenc.spaces.stages.layout import ABSENT_LAYER, Layout, translated
from archenc.spaces.stages.parts import attribute_features


class StageSpace(CellSpace):
    """Stages of layers in a row, each layer with named attributes, and global choices.

    So are the spaces of MnasNet, Once-for-all and of transformers described: "10 to 12 blocks, each with 4, 8
    or 12 heads and a ratio of 2, 3 or 4; an embedding of 192, 384 or 768". Choices that are numbers have an
    order; texts, true and false are categories.

    An architecture is a chain: a node for each global choice, then one for each layer of each stage, also for
    those that do not exist. A layer whose attributes have very many combinations is several nodes in a row.
    :attr:`operation_features` says which attributes the operation of a node stands for; what does not exist
    or does not count is no part of an architecture.

    It is written as a dict or its JSON text, in any of these ways:

    * ``{"embed_dim": 384, "blocks": [{"heads": 4, "ratio": 2}, ...]}``, a dict for each layer;
    * ``{"embed_dim": 384, "blocks": {"heads": [4, ...], "ratio": [2, ...]}}``, as :meth:`format` gives it;
      where the lists are longer than ``"layers"``, the rest does not count;
    * a row of a table, ``{"embed_dim": 384, "blocks.layers": 10, "blocks.0.heads": 4, ...}``.

    Args:
        name: what the space is called.
        stages: for each stage by name ``{"layers": numbers of layers that it may have, "attributes":
            {name: choices}}``.
        globals: the choices of each global attribute.
        conditions: attributes that count only at some choices of others of their layer, or of global ones:
            ``[{"attribute": "blocks.kernel", "when": {"blocks.op": ["conv"]}}]``.
        constraints: ``{"forbid": {"embed_dim": 192, "blocks.heads": 12}}`` forbids a layer with these
            choices; ``{"total": "blocks.heads", "at_least": 40, "at_most": 100}`` bounds a sum over the
            layers, or with ``"blocks.layers"`` their number.

    Raises:
        InvalidParameter: parameters that describe no space.

    Examples:
        >>> from archenc.spaces import StageSpace
        >>> blocks = {"layers": [2, 3], "attributes": {"heads": [4, 8], "ratio": [2, 3, 4]}}
        >>> space = StageSpace("mine", stages={"blocks": blocks}, globals={"embed_dim": [192, 384]})
        >>> graphs = space.parse({"embed_dim": 384, "blocks": {"heads": [4, 8], "ratio": [2, 2]}})
        >>> space.format(graphs)[0]
        '{"embed_dim":384,"blocks":{"heads":[4,8],"ratio":[2,2]}}'
        >>> len(space.enumerate()), space.to_table(graphs)["blocks.1.heads"]
        (504, [8])
    """

    def __init__(
        self,
        name: str,
        *,
        stages: Mapping[str, Any] | None = None,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  # what papers call them
        conditions: Sequence[Mapping[str, Any]] = (),
        constraints: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        where = f"the space {space_name(name)!r}"
        self.layout = Layout(where, stages, globals, conditions, constraints)
        self._given = {"conditions": conditions, "constraints": constraints}
        operations, places = self.layout.operations, self.layout.places
        super().__init__(
            name,
            operations,
            max_nodes=places + 2,
            topology=[(node, node + 1) for node in range(places + 1)],
            skip_op=ABSENT_LAYER if ABSENT_LAYER in operations else None,
        )

    # -- the definition --------------------------------------------------------------------------------------

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages."""
        return self.layout.stages

    @property
    def globals(self) -> tuple[Attribute, ...]:
        """The global choices."""
        return self.layout.globals

    @property
    def attributes(self) -> list[Attribute]:
        """All attributes, without depths: the global ones, then those of each stage."""
        return [*self.globals, *(one for stage in self.stages for one in stage.attributes)]

    @property
    def place_names(self) -> list[str]:
        """What each place of an operation is called: ``"embed_dim"``, ``"blocks 0"``."""
        return self.layout.place_names

    def config(self) -> dict[str, Any]:
        return {"name": "stages", "parameters": {"name": self.name, **self.definition_as_values()}}

    def definition_as_values(self) -> dict[str, Any]:
        """The parameters, as JSON values, without the name."""
        return {
            "stages": {
                stage.name: {
                    "layers": list(stage.depths),
                    "attributes": {one.label: list(one.choices) for one in stage.attributes},
                }
                for stage in self.stages
            },
            "globals": {one.name: list(one.choices) for one in self.globals},
            **{name: [as_values(item) for item in given] for name, given in self._given.items()},
        }

    @classmethod
    def of_table(cls, name: str, table: Any) -> StageSpace:
        """The smallest space that holds all architectures of a table, a dict of columns, a list of dicts or a
        pandas DataFrame with the columns of :meth:`to_table`; a layer exists where it has a value. Raises
        :class:`InvalidParameter` for no table, or a column of another name.
        """
        return cls(name, **choices_notation.definition_of(table))

    @classmethod
    def of_configspace(cls, name: str, space: Any) -> StageSpace:
        """The space of a ``ConfigurationSpace`` of the package ConfigSpace, whose hyperparameters are called
        as the columns of :meth:`to_table`; raises :class:`InvalidParameter` for what has no choices here.
        """
        return cls(name, **choices_notation.definition_of_configspace(space))

    def joined(self, other: StageSpace, name: str) -> StageSpace:
        """The space of the choices of both, for what is learnt from one and used on the other
        (:meth:`adopt`).

        Raises:
            InvalidParameter: spaces of unlike attributes, or with unlike conditions or constraints.
        """
        self._check_family(other)
        one, two = self.definition_as_values(), other.definition_as_values()
        for label, values in two["globals"].items():
            one["globals"][label] = both(one["globals"][label], values)
        for label, stage in two["stages"].items():
            mine = one["stages"][label]
            mine["layers"] = both(mine["layers"], stage["layers"])
            for key, values in stage["attributes"].items():
                mine["attributes"][key] = both(mine["attributes"][key], values)
        return StageSpace(name, **one)

    def adopt(self, graphs: ArchGraphs) -> ArchGraphs:
        """Architectures of another space of choices, all of which are choices of this one too; what is known
        of them stays.

        Raises:
            InvalidArchitecture: a choice that this space does not have.
        """
        if not isinstance(graphs.space, StageSpace):
            raise InvalidArchitecture(f"{graphs.space.name!r} is no space of choices; parse its texts")
        own = self.parse(graphs.space.to_dicts(graphs))
        return own.with_architecture_features(graphs.architecture_features)

    def translate(self, graphs: ArchGraphs) -> ArchGraphs:
        """The nearest architectures of this space to those of another one of its family: the lowest choice
        becomes the lowest one, the highest the highest, and deeper stages are squeezed
        (:func:`archenc.spaces.stages.layout.translated`). So a predictor of small networks ranks large ones.

        Raises:
            InvalidParameter: a space of other attributes.
        """
        self._check_family(graphs.space)
        table = graphs.space.to_choices(graphs)
        own = self.from_choices(translated(graphs.space.layout, table, self.layout))
        return own.with_architecture_features(graphs.architecture_features)

    def _check_family(self, other: Any) -> None:
        """Raise :class:`InvalidParameter` unless the other space has the same attributes and rules."""
        if not isinstance(other, StageSpace) or other.layout.family != self.layout.family:
            raise InvalidParameter(
                f"the spaces {self.name!r} and {other.name!r} differ in attributes, conditions or "
                "constraints; take spaces of one family"
            )

    @property
    def operation_features(self) -> Tensor:
        """float32 (K, k): of each operation which attributes it stands for: its stage, a column for each
        choice of each attribute, and the choices that are numbers as numbers from 0 to 1.

        Attributes of the same name share their columns, whatever their stages are.
        """
        stages = [stage.name for stage in self.stages] if len(self.stages) > 1 else []
        parts = [(name, part) for name, held in self.layout.parts.items() for part in held]
        parts += [("", part) for part in self.layout.global_parts]
        return torch.from_numpy(attribute_features(self.attributes, parts, stages, len(self.operations)))

    # -- tables ----------------------------------------------------------------------------------------------

    def to_choices(self, graphs: ArchGraphs) -> Table:
        """int16 (N, C): the number of the choice in each column of :meth:`to_table`, -1 where it does not
        count.
        """
        return self.layout.from_operations(self.to_ops(graphs))[0]

    def from_choices(self, numbers: Any) -> ArchGraphs:
        """Architectures from the numbers (N, C) that :meth:`to_choices` gives; those that do not count may be
        anything.

        Raises:
            InvalidArchitecture: another width, a number that is no choice, or one that is missing.
        """
        table = as_array(numbers)
        width = len(self.layout.columns)
        if table.ndim != 2 or table.shape[1] != width or table.dtype.kind not in "iu":
            raise InvalidArchitecture(
                f"{self.name} takes {width} whole numbers an architecture, not {table.dtype} {table.shape}; "
                f"give (N, {width})"
            )
        sizes = np.array([len(one.choices) for one in self.layout.columns])
        outside = np.argwhere((table < -1) | (table >= sizes))
        if len(outside):
            row, column = map(int, outside[0])
            raise InvalidArchitecture(
                f"architecture {row}: {table[row, column]} is no number of a choice of "
                f"{self.layout.names[column]!r}; give 0 to {sizes[column] - 1}",
                row,
            )
        return self.validate(self._of_table(table.astype(np.int16)))

    def _of_table(self, table: Table) -> ArchGraphs:
        missing = choices_notation.missing_choice(self.layout, table)
        if missing is not None:
            row, sentence = missing
            raise InvalidArchitecture(f"architecture {row}: {sentence}", row)
        return self._of_resolved(self.layout.resolved(table))

    def _of_resolved(self, table: Table) -> ArchGraphs:
        return self.cells_from_ops(torch.from_numpy(self.layout.to_operations(table)))

    def to_table(self, graphs: ArchGraphs) -> dict[str, list[Any]]:
        """A column of values for each choice: ``"embed_dim"``, ``"blocks.layers"`` where the depth varies,
        ``"blocks.0.heads"`` and so on; None where it does not count. ``pandas.DataFrame`` takes it, and
        :meth:`parse_table` reads it.
        """
        numbers = self.to_choices(graphs)
        return {
            name: [None if number < 0 else one.choices[number] for number in numbers[:, at].tolist()]
            for at, (name, one) in enumerate(zip(self.layout.names, self.layout.columns, strict=True))
        }

    def parse_table(self, table: Any) -> ArchGraphs:
        """Architectures from a table with the columns of :meth:`to_table`: a dict of columns, a list of dicts
        or a pandas DataFrame. Depths may be left out, and layers then exist where they have a value.
        """
        columns = choices_notation.as_columns(table)
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return self.parse(rows)

    def to_dicts(self, graphs: ArchGraphs) -> list[dict[str, Any]]:
        """Each architecture as the dict whose JSON text :meth:`format` gives."""
        return choices_notation.to_dicts(self.layout, self.to_choices(graphs))

    # -- reading and writing ---------------------------------------------------------------------------------

    def parse(self, architectures: Any) -> ArchGraphs:
        items = as_sequence(architectures, self.is_part)
        rows = read_each(items, self._read_row)
        tables = np.array(rows, dtype=np.int16).reshape(len(rows), len(self.layout.columns))
        return self.validate(self._of_table(tables))

    def _read_row(self, item: Any, where: str) -> list[int]:
        """The choices of one architecture, a column each."""
        if isinstance(item, str | bytes):
            item = notation.load_json(item, where, self.name, self._example())
        if isinstance(item, Mapping):
            return choices_notation.read_dict(self.layout, item, where)
        if isinstance(item, list | tuple) and len(item) == self.places and item:
            numbers = np.array([notation.read_ops(self.definition, item, where)])
            row: list[int] = self.layout.from_operations(numbers)[0][0].tolist()
            return row
        raise InvalidArchitecture(
            f"{where}: {shown(item)} is no architecture of {self.name}; write it as {self._example()}"
        )

    def _example(self) -> str:
        """The beginning of an architecture, for messages."""
        first = self.layout.resolved(np.zeros((1, len(self.layout.columns)), dtype=np.int16))
        text = choices_notation.to_text(choices_notation.to_dicts(self.layout, first)[0])
        return text if len(text) < 160 else f"{text[:157]}..."

    def format(self, graphs: ArchGraphs) -> list[str]:
        """Compact JSON: choices under their names, stages as dicts of lists."""
        return [choices_notation.to_text(written) for written in self.to_dicts(graphs)]

    def from_ops(self, numbers: Any) -> ArchGraphs:
        return self.validate(super().from_ops(numbers))

    # -- what belongs to the space, drawing, changing --------------------------------------------------------

    def choice_faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        numbers = self.definition.fixed_numbers(graphs).clamp(min=0, max=len(self.operations) - 1)
        table, faults = self.layout.from_operations(numbers.numpy())
        found = [*faults, *self.layout.faults(table)]
        return super().choice_faults(graphs) + [
            (torch.from_numpy(rows), sentence) for rows, sentence in found
        ]

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        """Every choice is uniform, then those that do not count are left out."""
        return self._of_resolved(self.layout.resolved(self._drawn(rows, rng)))

    def _drawn(self, rows: int, rng: np.random.Generator) -> Table:
        sizes = np.array([len(one.choices) for one in self.layout.columns])
        return rng.integers(sizes, size=(rows, len(sizes))).astype(np.int16)

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        """One choice that counts changes; what newly counts is drawn."""
        table = self.layout.from_operations(self.ops_of_cells(parents).numpy())[0]
        fresh = self._drawn(len(table), rng)
        sizes = np.array([len(one.choices) for one in self.layout.columns])
        column = (rng.random(table.shape) * ((table >= 0) & (sizes > 1))).argmax(1)
        row = np.arange(len(table))
        step = rng.integers(1, np.maximum(sizes[column], 2))
        changed = np.where(table < 0, fresh, table)
        changed[row, column] = (changed[row, column] + step) % sizes[column]
        return self._of_resolved(self.layout.resolved(changed))

    def cross(self, first: ArchGraphs, second: ArchGraphs, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """A child of each couple: each choice comes from either parent, and from the one that has it where
        only one does. Where that breaks a constraint, the child is the first parent.

        Raises:
            InvalidArchitecture: graphs of another space, or not equally many.
        """
        rng, one, two = generator(seed), self.to_choices(first), self.to_choices(second)
        if one.shape != two.shape:
            raise InvalidArchitecture(
                f"{len(one)} architectures cannot be crossed with {len(two)}; give couples"
            )
        mixed = np.where(rng.random(one.shape) < 0.5, one, two)
        mixed = np.where(mixed < 0, np.maximum(one, two), mixed)
        fresh = np.where(mixed < 0, self._drawn(len(mixed), rng), mixed)
        children = self._of_resolved(self.layout.resolved(fresh))
        valid = self.is_valid(children).numpy()
        return self.cells_from_ops(
            torch.where(
                torch.from_numpy(valid)[:, None], self.ops_of_cells(children), self.ops_of_cells(first)
            )
        )

    def enumerate(self) -> ArchGraphs:
        """Every architecture once, the last choice changing fastest, up to 2 million combinations of
        choices.
        """
        sizes = [len(one.choices) for one in self.layout.columns]
        refuse_above(self.name, math.prod(sizes))
        grid = np.indices(sizes, dtype=np.int16).reshape(len(sizes), -1).T
        table = self.layout.resolved(grid)
        first = np.sort(np.unique(table, axis=0, return_index=True)[1])
        graphs = self._of_resolved(table[first])
        return graphs[self.is_valid(graphs)]

    def simplify(self, graphs: ArchGraphs) -> ArchGraphs:
        """The architectures as they are: layers that do not exist compute nothing, and stay in their places,
        without which nothing would tell the stages of the others.
        """
        return replace(graphs, simplified=True)

    # -- costs -----------------------------------------------------------------------------------------------

    def cost(self, graphs: ArchGraphs, function: Callable[[dict[str, Any]], float]) -> np.ndarray:
        """float64 (N,): what a function of one's own says of each architecture, given as the dict of
        :meth:`to_dicts`; each distinct one is asked for once.

        Raises:
            InvalidParameter: an answer that is no finite number.
        """
        numbers = self.to_choices(graphs)
        _, first, inverse = np.unique(numbers, axis=0, return_index=True, return_inverse=True)
        written = choices_notation.to_dicts(self.layout, numbers[first])
        values = np.array(
            [choices_notation.checked_cost(function(one), one) for one in written], dtype=np.float64
        )
        return values[inverse.ravel()]
