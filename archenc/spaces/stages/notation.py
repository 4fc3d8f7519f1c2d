"""How architectures of choices are read and written: dicts, JSON text, and tables with a column for each
choice.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture, InvalidParameter, hint
from archenc.files.text import listed, shown
from archenc.spaces.base import is_list
from archenc.spaces.parameters import is_whole
from archenc.spaces.stages.definition import (
    DEPTH,
    MAX_COLUMNS,
    Attribute,
    Stage,
    Table,
    plain,
    position,
    texts,
)
from archenc.spaces.stages.layout import Layout

# -- reading -------------------------------------------------------------------------------------------------


def read_dict(layout: Layout, item: Mapping[Any, Any], where: str) -> list[int]:
    """The numbers of the choices of one architecture, a column each; -1 where nothing is said, or where a
    layer does not exist.

    Global choices stand under their names, stages under theirs as a list of dicts, one a layer, or as a dict
    of lists, with the number of ``layers`` where the lists are longer. All of it may also stand under the
    names of the columns.

    Raises:
        InvalidArchitecture: what is wrong, and where.
    """
    if any(isinstance(key, str) and "." in key for key in item):
        return _read_columns(layout, item, where)
    known = [*(one.name for one in layout.globals), *(stage.name for stage in layout.stages)]
    unknown = next((key for key in item if key not in known), None)
    if unknown is not None:
        remedy = hint(unknown, known, f"choose among {listed(known)}")
        raise InvalidArchitecture(f"{where}: nothing is called {shown(unknown)} here; {remedy}")
    row = [-1] * len(layout.columns)
    for at, one in enumerate(layout.globals):
        row[at] = _number(one, item.get(one.name), one.name, where)
    for stage in layout.stages:
        layers = _layers(stage, item.get(stage.name), where)
        start, width = layout.start[stage.name], len(stage.attributes)
        if len(stage.depths) > 1:
            row[start - 1] = stage.depths.index(len(layers))
        for number, layer in enumerate(layers):
            for at, one in enumerate(stage.attributes):
                place = f"layer {number} of {stage.name}: {one.label}"
                row[start + number * width + at] = _number(one, layer.get(one.label), place, where)
    return row


def _number(one: Attribute, value: Any, place: str, where: str) -> int:
    """The number of a choice; -1 where there is none, which may be because it does not count."""
    if _is_missing(value):
        return -1
    found = position(one.choices, value)
    if found is None:
        raise InvalidArchitecture(f"{where}: {place} is {shown(value)}; choose one of {texts(one.choices)}")
    return found


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value) or value == ""


def _layers(stage: Stage, given: Any, where: str) -> list[Mapping[str, Any]]:
    """The layers of a stage that exist, each as a dict."""
    labels = [one.label for one in stage.attributes]
    if given is None and stage.depths == (1,) and not labels:
        return [{}]
    if isinstance(given, Mapping):
        unknown = next((key for key in given if key not in (*labels, DEPTH)), None)
        if unknown is not None:
            remedy = hint(unknown, labels, f"choose among {listed([*labels, DEPTH])}")
            raise InvalidArchitecture(f"{where}: {stage.name} has no attribute {shown(unknown)}; {remedy}")
        layers = _of_columns(stage, given, where)
    elif is_list(given) and all(
        isinstance(layer, Mapping) and layer.keys() <= set(labels) for layer in given
    ):
        layers = list(given)
    else:
        remedy = "give a list of layers, each a dict of its attributes, or a dict of lists"
        fault = f"{stage.name} is missing" if given is None else f"{stage.name} is {shown(given)}"
        raise InvalidArchitecture(f"{where}: {fault}; {remedy}")
    if len(layers) not in stage.depths:
        raise InvalidArchitecture(
            f"{where}: {stage.name} has {len(layers)} layers; give {_lengths(stage)} of them"
        )
    return layers


def _lengths(stage: Stage) -> str:
    return " or ".join(map(str, stage.depths)) if len(stage.depths) < 6 else listed(map(str, stage.depths))


def _of_columns(stage: Stage, given: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The layers of a dict of lists, of which no more than ``layers`` count."""
    columns = {label: plain_list(values) for label, values in given.items() if label != DEPTH}
    if stage.depths == (1,):
        columns = {label: values if is_list(values) else [values] for label, values in columns.items()}
    wrong = next((label for label, values in columns.items() if not is_list(values)), None)
    if wrong is not None:
        raise InvalidArchitecture(
            f"{where}: {wrong} of {stage.name} is {shown(given[wrong])}; give a list, a value for each layer"
        )
    lengths = {label: len(values) for label, values in columns.items()}
    depth = given.get(DEPTH, max(lengths.values(), default=stage.most))
    if not is_whole(depth) or depth not in stage.depths:
        raise InvalidArchitecture(
            f"{where}: {stage.name} has {shown(depth)} layers; give {_lengths(stage)} of them"
        )
    short = next((label for label, length in lengths.items() if length < depth), None)
    if short is not None:
        raise InvalidArchitecture(
            f"{where}: {short} of {stage.name} has {lengths[short]} values for {depth} layers; give one for "
            "each layer"
        )
    return [{label: values[layer] for label, values in columns.items()} for layer in range(int(depth))]


def plain_list(values: Any) -> Any:
    """The values of an array as a list; others as they are."""
    return values.tolist() if isinstance(values, np.ndarray | np.generic) else values


def _read_columns(layout: Layout, item: Mapping[Any, Any], where: str) -> list[int]:
    unknown = next((key for key in item if key not in layout.names), None)
    if unknown is not None:
        remedy = hint(unknown, layout.names, f"choose among {listed(layout.names)}")
        raise InvalidArchitecture(f"{where}: there is no column {shown(unknown)}; {remedy}")
    return [
        _number(one, item.get(name), name, where)
        for name, one in zip(layout.names, layout.columns, strict=True)
    ]


def missing_choice(layout: Layout, table: Table) -> tuple[int, str] | None:
    """The first row that lacks a choice that counts, and its sentence; of a table that is not resolved."""
    lacks = (layout.resolved(np.maximum(table, 0)) >= 0) & (table < 0)
    rows = np.flatnonzero(lacks.any(1))
    if not len(rows):
        return None
    column = int(np.argmax(lacks[rows[0]]))
    remedy = f"choose one of {texts(layout.columns[column].choices)}"
    return int(rows[0]), f"{layout.names[column]} is missing; {remedy}"


# -- writing -------------------------------------------------------------------------------------------------


def to_dicts(layout: Layout, table: Table) -> list[dict[str, Any]]:
    """Each row of a resolved table as a dict: choices under their names, stages as dicts of lists."""
    values = [[*one.choices, None] for one in layout.columns]  # -1 is the last
    depths = {stage.name: layout.depths(stage, table).tolist() for stage in layout.stages}
    found = []
    for number, row in enumerate(table.tolist()):
        written: dict[str, Any] = {
            one.name: values[at][row[at]] for at, one in enumerate(layout.globals) if row[at] >= 0
        }
        for stage in layout.stages:
            start, width, depth = layout.start[stage.name], len(stage.attributes), depths[stage.name][number]
            written[stage.name] = {
                one.label: [values[start + at][row[start + layer * width + at]] for layer in range(depth)]
                for at, one in enumerate(stage.attributes)
            } or {DEPTH: depth}
        found.append(written)
    return found


def to_text(written: Mapping[str, Any]) -> str:
    """Compact JSON."""
    return json.dumps(written, separators=(",", ":"), ensure_ascii=False)


# -- spaces of tables ----------------------------------------------------------------------------------------


def as_columns(table: Any) -> dict[str, list[Any]]:
    """A table as lists by name: a pandas DataFrame, a dict of columns, or a list of dicts.

    Raises:
        InvalidParameter: none of these, or columns of unlike lengths.
    """
    if (
        isinstance(table, Sequence)
        and not isinstance(table, str)
        and all(isinstance(r, Mapping) for r in table)
    ):
        names = list(dict.fromkeys(name for row in table for name in row))
        return {name: [plain(row.get(name)) for row in table] for name in names}
    try:
        columns = {name: [plain(value) for value in table[name]] for name in table}
    except (TypeError, KeyError, IndexError):
        raise InvalidParameter(
            f"{shown(table)} is no table; give a dict of columns, a list of dicts or a DataFrame"
        ) from None
    if len({len(values) for values in columns.values()}) > 1 or not columns:
        raise InvalidParameter(
            "the columns of the table have unlike lengths; give a value for each architecture"
        )
    return columns


def definition_of(table: Any) -> dict[str, Any]:
    """The parameters of the smallest space that holds all architectures of a table.

    Columns are called as those of :meth:`archenc.spaces.stages.StageSpace.to_table`: ``"embed_dim"``, or
    ``"blocks.0.heads"`` for an attribute of a layer, numbered from 0; a layer exists where it has a value.

    Raises:
        InvalidParameter: no table, or a column of another name.
    """
    columns = as_columns(table)
    globals_: dict[str, list[Any]] = {}
    stages: dict[str, dict[str, Any]] = {}
    exists: dict[str, dict[int, np.ndarray]] = {}
    for name, values in columns.items():
        parts = str(name).split(".")
        present = np.array([not _is_missing(value) for value in values])
        known = [value for value, there in zip(values, present, strict=True) if there]
        if len(parts) == 1:
            _gather(globals_, parts[0], known)
        elif len(parts) == 3 and parts[1].isdigit():
            stage = stages.setdefault(parts[0], {DEPTH: [], "attributes": {}})
            _gather(stage["attributes"], parts[2], known)
            layers = exists.setdefault(parts[0], {})
            layers[int(parts[1])] = layers.get(int(parts[1]), False) | present
        elif not (len(parts) == 2 and parts[1] == DEPTH):
            raise InvalidParameter(
                f"the column {shown(name)} is no choice; call it by a name, or as 'stage.0.attribute'"
            )
    for name, layers in exists.items():
        stages[name][DEPTH] = sorted({int(n) for n in np.sum(list(layers.values()), axis=0)} - {0})
    for held in [globals_, *(stage["attributes"] for stage in stages.values())]:
        held |= {name: _sorted(values) for name, values in held.items()}
    return {"globals": globals_, "stages": stages}


def _gather(held: dict[str, list[Any]], name: str, values: list[Any]) -> None:
    held[name] = list(dict.fromkeys([*held.get(name, []), *values]))


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def definition_of_configspace(space: Any) -> dict[str, Any]:
    """The parameters of the space that a ``ConfigurationSpace`` of the package ConfigSpace describes.

    Hyperparameters of layers are called ``"blocks.0.heads"``, their number ``"blocks.layers"``. Conditions on
    that number are left out, as layers beyond it never count.

    Raises:
        InvalidParameter: something else, numbers that are no choices, or a rule for one layer alone.
    """
    try:
        values = {name: _values_of(one) for name, one in dict(space).items()}
        conditions = [_clauses(one) for one in space.conditions]
        forbidden = [_clauses(one) for one in space.forbidden_clauses]
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, InvalidParameter):
            raise
        raise InvalidParameter(f"{shown(space)} is no ConfigurationSpace; give one of ConfigSpace") from None
    longest = max(map(len, values.values()), default=0)
    rows = [{name: held[row % len(held)] for name, held in values.items()} for row in range(longest)]
    definition = definition_of(rows)
    counts = {name: stage[DEPTH][0] for name, stage in definition["stages"].items()}
    for name, stage in definition["stages"].items():
        stage[DEPTH] = values.get(f"{name}.{DEPTH}", stage[DEPTH])
    rules = [_rule(child, clauses) for child, clauses in conditions + forbidden]
    found = Counter(rule for rule in rules if rule is not None)
    for (stage, rule), count in found.items():
        if count != counts.get(stage, count):
            raise InvalidParameter(
                f"the rule {rule:.120} holds for {count} of the {counts[stage]} layers of {stage!r}; give it "
                "to all of them"
            )
    held_rules = [json.loads(rule) for _, rule in found]
    definition["conditions"] = [rule for rule in held_rules if "attribute" in rule]
    definition["constraints"] = [rule for rule in held_rules if "forbid" in rule]
    return definition


def _values_of(one: Any) -> list[Any]:
    """The choices of a hyperparameter."""
    for name in ("choices", "sequence"):
        if hasattr(one, name):
            return [plain(value) for value in getattr(one, name)]
    if hasattr(one, "value"):
        return [plain(one.value)]
    if isinstance(one.lower, int) and one.upper - one.lower < MAX_COLUMNS:
        return list(range(one.lower, one.upper + 1))
    raise InvalidParameter(f"the hyperparameter {shown(one.name)} is a range; give ordinal choices instead")


def _clauses(rule: Any) -> tuple[str, dict[str, list[Any]]]:
    """The child of a condition, else empty, and the values of each other hyperparameter that a rule names."""
    held: dict[str, list[Any]] = {}
    child = ""
    for one in getattr(rule, "components", [rule]):
        kind = type(one).__name__
        if ("Equals" not in kind and "In" not in kind) or kind.startswith(("Not", "Or")):
            raise InvalidParameter(f"the rule {shown(rule)} lists no values; write it with equals or in")
        child = one.child.name if hasattr(one, "child") else ""
        values = getattr(one, "values", None)
        name = one.parent.name if child else one.hyperparameter.name
        held[name] = [plain(value) for value in ([one.value] if values is None else values)]
    return child, held


def _rule(child: str, clauses: dict[str, list[Any]]) -> tuple[str, str] | None:
    """A rule as JSON text without the number of its layer, and the stage of that; None where it says what
    every depth says.
    """
    inside = {tuple(name.split(".")[:2]) for name in (child, *clauses) if name.count(".") == 2}
    if len(inside) > 1:
        raise InvalidParameter(
            f"a rule joins {' and '.join(map('.'.join, sorted(inside)))}; keep to one layer"
        )
    stage, layer = next(iter(inside), ("", ""))

    def general(name: str) -> str:
        return name.replace(f"{stage}.{layer}.", f"{stage}.", 1) if stage else name

    kept = {general(name): held for name, held in clauses.items() if not child or not name.endswith(DEPTH)}
    if child and not kept:
        return None
    rule = {"attribute": general(child), "when": kept} if child else {"forbid": kept}
    return stage, json.dumps(rule)


def checked_cost(value: Any, of: dict[str, Any]) -> float:
    """What a function says that an architecture costs; raises :class:`InvalidParameter` for no finite
    number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidParameter(
            f"the cost of {to_text(of):.120} is {shown(value)}; let the function give a finite number"
        )
    return number
