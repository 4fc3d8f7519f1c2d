"""The flat table of a space of choices, with the summaries that a person would look at first."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.graphs import NODE_OFFSET, ArchGraphs
from archenc.spaces.base import Space
from archenc.spaces.stages import StageSpace
from archenc.spaces.stages.definition import Attribute, Stage, Table

MOST_OWN = 8
"""Global choices up to which each is a group of its own."""
LONG = 4
"""Layers from which a stage has a beginning, a middle and an end."""

Group = tuple[list[str], list[np.ndarray]]
"""Names of columns, and the columns, (N,) each."""


class ChoicesEncoder(Encoder):
    """The choices of an architecture in a row: numbers as numbers from 0 to 1, categories one-hot.

    ``kind="onehot"`` is the flat table alone: a column for each value of each choice, all zeros where the
    choice does not count.

    ``kind="features"`` has, in groups for a kernel with a length scale for each
    (:class:`archenc.heads.grouped_gp.GroupedGaussianProcessHead`):

    * each global choice: its number, or one-hot (together in one group, if there are more than 8);
    * depth: the layers of each stage, where they vary, and of all stages;
    * for each attribute of layers that is a number its mean over all layers that exist, a group each;
    * for each value of each attribute, the share of the layers that have it;
    * for each attribute that is a number, in each stage of 4 layers or more, whether it rises along the
      layers and whether it is higher at both ends: the mean of its numbers times the first and the second
      Legendre polynomial of the layer's place;
    * the same means and shares within each stage of several layers, where there are several such stages;
    * the attributes of each layer, as numbers around the middle of the scale, and one-hot; 0 where the layer
      does not exist or the attribute does not count.

    Attributes of the same name are one, whatever their stages are.

    Args:
        space: a :class:`archenc.spaces.stages.StageSpace`.
        kind: see above.
        simplify: makes no difference here.

    Attributes:
        groups: length of each group.
        feature_names: what each number is, for example ``"mean(heads)"``.

    Examples:
        >>> import archenc
        >>> from archenc.spaces import StageSpace
        >>> blocks = {"layers": [1, 2], "attributes": {"heads": [4, 8]}}
        >>> space = StageSpace("mine", stages={"blocks": blocks}, globals={"bias": [False, True]})
        >>> encoder = archenc.create_encoder("choices", space)
        >>> encoder.feature_names[:5]
        ['bias=true', 'layers', 'mean(heads)', 'share(heads=4)', 'share(heads=8)']
    """

    form = "node"
    fixed = True
    paper = "no paper: this package's own"

    def __init__(
        self, space: Space, *, kind: Literal["features", "onehot"] = "features", simplify: bool = False
    ) -> None:
        super().__init__(space, simplify=simplify)
        assert isinstance(space, StageSpace)
        self.choices = space
        self.kind = kind
        empty = np.full((0, len(space.layout.columns)), -1, dtype=np.int16)
        groups = self._groups(empty)
        self.groups = tuple(len(names) for names, _ in groups)
        self.feature_names = [name for names, _ in groups for name in names]
        self.cell_dim = len(self.feature_names)

    @classmethod
    def unsupported(cls, space: Space) -> str | None:
        if not isinstance(space, StageSpace):
            return "its architectures are no lists of choices; use 'op-onehot' or 'adjacency'"
        return super().unsupported(space)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        numbers = graphs.ops[:, 1:-1].cpu().long() - NODE_OFFSET
        table, _ = self.choices.layout.from_operations(numbers.numpy())
        columns = [column for _, group in self._groups(table) for column in group]
        values = np.stack(columns, axis=1) if columns else np.zeros((len(table), 0))
        return torch.from_numpy(values.astype(np.float32)).to(graphs.device)

    def _groups(self, table: Table) -> list[Group]:
        layout = self.choices.layout
        if self.kind == "onehot":
            found: Group = ([], [])
            for at, (name, one) in enumerate(zip(layout.names, layout.columns, strict=True)):
                _add(found, _one_hot(name, one, table[:, at]))
            return [found]
        chosen = [_chosen(one, table[:, at]) for at, one in enumerate(layout.globals)]
        if len(chosen) > MOST_OWN:
            chosen = [_all(chosen)]
        stages = [stage for stage in layout.stages if stage.most > 1]
        exists = [np.arange(s.most) < layout.depths(s, table)[:, None] for s in layout.stages]
        groups = [*chosen, self._depth(exists), *self._summaries(list(layout.stages), table, whole=True)]
        groups.append(_all([self._profile(stage, table) for stage in layout.stages if stage.most >= LONG]))
        if len(stages) > 1:
            groups += [_all([_all(self._summaries([stage], table, whole=False)) for stage in stages])]
        groups.append(self._places(table))
        return [group for group in groups if group[0]]

    def _depth(self, exists: list[np.ndarray]) -> Group:
        """Layers of each stage whose depth varies, and of all."""
        varying = [
            (stage, there.sum(1))
            for stage, there in zip(self.choices.stages, exists, strict=True)
            if len(stage.depths) > 1
        ]
        found: Group = ([], [])
        if varying:
            _add(found, (["layers"], [np.sum([there.sum(1) for there in exists], axis=0)]))
        if len(varying) > 1:
            _add(found, ([f"layers({stage.name})" for stage, _ in varying], [depth for _, depth in varying]))
        return found

    def _summaries(self, stages: list[Stage], table: Table, *, whole: bool) -> list[Group]:
        """Means, a group each, and shares of the attributes over the layers of some stages.

        Args:
            stages: they.
            table: the choices.
            whole: whether they are all stages, which names then leave out.
        """
        of = "" if whole else f" in {stages[0].name}"
        numbers: dict[str, list[np.ndarray]] = {}
        shares: dict[str, list[np.ndarray]] = {}
        known = {}
        for stage in stages:
            values = self.choices.layout.layers(stage, table)
            for at, one in enumerate(stage.attributes):
                known[one.label] = one
                scale = self._scale(one)
                shares.setdefault(one.label, []).append(scale.codes(values[..., at]))
                if one.ordered:
                    numbers.setdefault(one.label, []).append(scale.numbers(values[..., at]))
        means: list[Group] = [
            ([f"mean({label}{of})"], [_mean(np.concatenate(held, axis=1))]) for label, held in numbers.items()
        ]
        counted: Group = ([], [])
        for label, held in shares.items():
            codes = np.concatenate(held, axis=1)
            layers = np.maximum((codes >= 0).sum(1), 1)
            names, columns = [], []
            for code, value in enumerate(self._scale(known[label]).values):
                names.append(f"share({label}={_text(value)}{of})")
                columns.append((codes == code).sum(1) / layers)
            _add(counted, (names, columns))
        return [*means, counted]

    def _profile(self, stage: Stage, table: Table) -> Group:
        """Where along a stage the high numbers are."""
        depth = self.choices.layout.depths(stage, table)[:, None]
        values = self.choices.layout.layers(stage, table)
        place = (2 * np.arange(stage.most) + 1) / depth - 1  # from -1 to 1
        found: Group = ([], [])
        for at, one in enumerate(stage.attributes):
            if one.ordered:
                numbers = np.where(values[..., at] >= 0, one.scaled()[values[..., at]] - 0.5, 0.0)
                moments = [
                    (numbers * weights).sum(1) / depth[:, 0] for weights in (place, 1.5 * place**2 - 0.5)
                ]
                _add(found, ([f"slope({one.name})", f"bend({one.name})"], moments))
        return found

    def _places(self, table: Table) -> Group:
        found: Group = ([], [])
        layout = self.choices.layout
        for stage in layout.stages:
            values = layout.layers(stage, table)
            for layer in range(stage.most):
                for at, one in enumerate(stage.attributes):
                    name, numbers = f"{stage.name}.{layer}.{one.label}", values[:, layer, at]
                    if one.ordered:
                        centred = np.where(numbers >= 0, one.scaled()[numbers] - 0.5, 0.0)
                        _add(found, ([name], [centred]))
                    _add(found, _one_hot(name, one, numbers))
        return found

    def _scale(self, one: Attribute) -> _Scale:
        """The scale that attributes of one name share."""
        same = [other for other in self.choices.layout.known.values() if other.label == one.label]
        return _Scale(
            one, Attribute(one.label, tuple(dict.fromkeys(v for each in same for v in each.choices)))
        )


class _Scale:
    """Numbers of an attribute's choices as numbers and codes that all attributes of its name share."""

    def __init__(self, one: Attribute, whole: Attribute) -> None:
        self.values = whole.choices
        self._codes = np.array([*(whole.choices.index(value) for value in one.choices), -1])
        self._numbers = np.append(whole.scaled()[self._codes[:-1]], np.nan)

    def codes(self, numbers: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._codes[numbers]
        return found

    def numbers(self, numbers: np.ndarray) -> np.ndarray:
        """NaN where there is none."""
        found: np.ndarray = self._numbers[numbers]
        return found


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean of each row's numbers, the middle of the scale where there is none."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0.0).sum(1)
    mean: np.ndarray = np.where(there.any(1), total / np.maximum(there.sum(1), 1), 0.5)
    return mean


def _chosen(one: Attribute, numbers: np.ndarray) -> Group:
    """A global choice: a number, or one-hot; of two categories the second alone."""
    if one.ordered:
        held = np.where(numbers >= 0, one.scaled()[numbers], 0.5)
        group: Group = ([one.name], [held])
        return _all([group, ([f"{one.name}?"], [numbers >= 0])]) if one.when else group
    names, columns = _one_hot(one.name, one, numbers)
    return (names[1:], columns[1:]) if len(names) == 2 and not one.when else (names, columns)


def _one_hot(name: str, one: Attribute, numbers: np.ndarray) -> Group:
    names = [f"{name}={_text(value)}" for value in one.choices]
    return names, [numbers == number for number in range(len(one.choices))]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _add(group: Group, more: Group) -> None:
    group[0].extend(more[0])
    group[1].extend(more[1])


def _all(groups: list[Group]) -> Group:
    whole: Group = ([], [])
    for group in groups:
        _add(whole, group)
    return whole
