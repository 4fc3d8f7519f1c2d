"""Recipes of recurrent cells: read, checked, drawn and changed one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.files.text import shown
from archenc.graphs import INPUT, NODE_OFFSET, OUTPUT
from archenc.spaces.cell.notation import Cell

INPUTS = ("x", "h_prev_0", "h_prev_1", "h_prev_2")
STATES = ("h_new_0", "h_new_1", "h_new_2")
ACTIVATIONS = ("activation_tanh", "activation_sigm", "activation_leaky_relu")
ARITY = {"linear": (2, 3), "blend": (3,), "elementwise_prod": (2,), "elementwise_sum": (2,)} | dict.fromkeys(
    ACTIVATIONS, (1,)
)
GATE, REST = "blend_gate", "blend_rest"
OPERATIONS = (*ARITY, GATE, REST, *STATES)
MAX_OPERATIONS = 21

_IDS = {name: k + NODE_OFFSET for k, name in enumerate(OPERATIONS)}
_FREQUENCY = {
    "linear": 0.4,
    "blend": 0.06,
    "elementwise_prod": 0.07,
    "elementwise_sum": 0.07,
} | dict.fromkeys(ACTIVATIONS, 0.4 / 3)


class Recipe(NamedTuple):
    """A recurrent cell.

    Attributes:
        operations: name and sources of each operation, in topological order. Sources 0 to 3 are
            :data:`INPUTS`, 4 + i is operation i; those of a blend are in its order, the others ascend.
        states: the operation that gives each new hidden state.
    """

    operations: tuple[tuple[str, tuple[int, ...]], ...]
    states: tuple[int, ...]

    @property
    def num_nodes(self) -> int:
        """Nodes of its graph: inputs, operations, two more for each blend, hidden states, output."""
        blends = sum(name == "blend" for name, _ in self.operations)
        return len(INPUTS) + len(self.operations) + 2 * blends + len(self.states) + 1


def checked(operations: Sequence[tuple[str, Sequence[int]]], states: Sequence[int]) -> Recipe:
    """The recipe without operations on which no hidden state depends.

    Raises:
        ValueError: it breaks a rule; the sentence says which.
    """
    first = len(INPUTS)
    needed = set(states)
    for at in range(len(operations) - 1, -1, -1):
        if at in needed:
            needed.update(source - first for source in operations[at][1] if source >= first)
    place = {source: source for source in range(first)} | {
        old + first: new + first for new, old in enumerate(sorted(needed))
    }
    kept = []
    for at in sorted(needed):
        name, sources = operations[at]
        moved = tuple(place[source] for source in sources)
        if len(moved) not in ARITY[name]:
            raise ValueError(
                f"{name} reads {len(moved)} values instead of {' or '.join(map(str, ARITY[name]))}"
            )
        if name != "blend":
            if len(set(moved)) < len(moved):
                raise ValueError(f"{name} reads a value twice, which only a blend may")
            moved = tuple(sorted(moved))
        kept.append((name, moved))
    if not 1 <= len(states) <= len(STATES) or len(set(states)) < len(states):
        raise ValueError(f"the hidden states are not given by one to {len(STATES)} different operations")
    read = {source for _, sources in kept for source in sources if source < first}
    if not read:
        raise ValueError("no operation reads x or a hidden state")
    if max(read) > len(states):
        raise ValueError(f"{INPUTS[max(read)]} is read, but there is no {STATES[max(read) - 1]}")
    return Recipe(tuple(kept), tuple(place[state + first] - first for state in states))


# -- text ----------------------------------------------------------------------------------------------------


def read_recipe(recipe: Any, where: str) -> Recipe:
    """From ``{name: {"op": ..., "input": [...]}}``, in any order of the names.

    Raises:
        InvalidArchitecture: what is wrong ``where``.
    """
    if not isinstance(recipe, Mapping) or not recipe:
        raise InvalidArchitecture(
            f"{where}: a {type(recipe).__name__} is no recurrent cell; give a dict of operations by name"
        )
    for name, entry in recipe.items():
        if fault := _fault(recipe, name, entry):
            raise InvalidArchitecture(f"{where}, {shown(name)}: {fault}")
    order = _topological(recipe, where)
    place = {name: at for at, name in enumerate((*INPUTS, *order))}
    states = [name for name in STATES if name in recipe]
    try:
        if tuple(states) != STATES[: len(states)]:
            raise ValueError(f"there is no {STATES[len(states) - 1]}, but a later state")
        sources = [
            (recipe[name]["op"], [place[source] for source in recipe[name]["input"]]) for name in order
        ]
        return checked(sources, [place[name] - len(INPUTS) for name in states])
    except ValueError as error:
        raise InvalidArchitecture(f"{where}: {error}; change the recipe") from None


def _fault(recipe: Mapping[Any, Any], name: Any, entry: Any) -> str:
    """What is wrong with one entry of a recipe, and the remedy; empty if nothing is."""
    if not isinstance(name, str) or name in INPUTS:
        return f"an operation cannot be called so; use a name other than {', '.join(INPUTS)}"
    if not isinstance(entry, Mapping) or not {"op", "input"} <= entry.keys():
        return "this is no operation; give it an 'op' and its 'input'"
    op, sources = entry["op"], entry["input"]
    if not isinstance(op, str) or op not in ARITY:
        return f"unknown operation {shown(op)}; choose one of {', '.join(ARITY)}"
    if not isinstance(sources, list | tuple) or not all(isinstance(source, str) for source in sources):
        return "the input is no list of names; give the names of what it reads"
    unknown = next((source for source in sources if source not in recipe and source not in INPUTS), None)
    return (
        ""
        if unknown is None
        else f"it reads {shown(unknown)}, which is nowhere; use {', '.join(INPUTS)} or an operation"
    )


def _topological(recipe: Mapping[str, Any], where: str) -> list[str]:
    """The names in topological order, of those that could come next always the first."""
    names = list(recipe)
    if _in_order(recipe):
        return names
    rank = {name: at for at, name in enumerate(names)}
    waiting = {name: sum(source in recipe for source in set(recipe[name]["input"])) for name in names}
    readers: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        for source in set(recipe[name]["input"]) & recipe.keys():
            readers[source].append(name)
    ready = [rank[name] for name in names if waiting[name] == 0]
    order = []
    while ready:
        order.append(names[heappop(ready)])
        for reader in readers[order[-1]]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heappush(ready, rank[reader])
    if len(order) < len(names):
        stuck = next(name for name in names if waiting[name])
        raise InvalidArchitecture(f"{where}: the recipe has a cycle at {shown(stuck)}; remove an edge of it")
    return order


def _in_order(recipe: Mapping[str, Any]) -> bool:
    """Whether every operation reads inputs and earlier ones only."""
    readable = set(INPUTS)
    for name, entry in recipe.items():
        if not readable.issuperset(entry["input"]):
            return False
        readable.add(name)
    return True


def write_recipe(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """As ``{name: {"op": ..., "input": [...]}}``."""
    names = [f"node_{at}" for at in range(len(recipe.operations))]
    for state, at in zip(STATES, recipe.states, strict=False):
        names[at] = state
    values = (*INPUTS, *names)
    return {
        name: {"op": op, "input": [values[source] for source in sources]}
        for name, (op, sources) in zip(names, recipe.operations, strict=True)
    }


# -- graphs --------------------------------------------------------------------------------------------------


def to_cell(recipe: Recipe) -> Cell:
    """Its graph (:class:`archenc.spaces.nasbench_nlp.NASBenchNLP`), the output node last."""
    nodes = recipe.num_nodes
    edges = bytearray(nodes * nodes)  # which takes single numbers sooner than an array does
    ops = [INPUT] * len(INPUTS)
    place = list(range(len(INPUTS)))  # of each source
    for name, sources in recipe.operations:
        if name == "blend":
            for slot, source in ((GATE, sources[0]), (REST, sources[2])):
                edges[nodes * place[source] + len(ops)] = 1
                ops.append(_IDS[slot])
            at = len(ops)
            read = [at - 2, at - 1, place[sources[1]]]
        else:
            at = len(ops)
            read = [place[source] for source in sources]
        for node in read:
            edges[nodes * node + at] = 1
        ops.append(_IDS[name])
        place.append(at)
    for state, operation in zip(STATES, recipe.states, strict=False):
        edges[nodes * place[len(INPUTS) + operation] + len(ops)] = 1
        edges[nodes * len(ops) + nodes - 1] = 1
        ops.append(_IDS[state])
    adjacency = np.frombuffer(edges, dtype=np.uint8).reshape(nodes, nodes)
    return Cell(adjacency, np.array([*ops, OUTPUT], dtype=np.uint8))


def from_cell(cell: Cell) -> Recipe:
    """The recipe of a graph that :func:`to_cell` could have given.

    Raises:
        ValueError: it could not; the sentence says why.
    """
    names = ["", *[""] * (NODE_OFFSET - 1), *OPERATIONS]
    number = {at: at for at in range(len(INPUTS))}  # of the source at each place
    operations: list[tuple[str, tuple[int, ...]]] = []
    states: list[int] = []
    for at in range(len(INPUTS), len(cell.ops) - 1):
        name, read = names[cell.ops[at]], np.flatnonzero(cell.adjacency[:, at]).tolist()
        if name in (GATE, REST):
            continue
        if name == "blend":
            slots = [names[op] for op in cell.ops[at - 2 : at]]
            if slots != [GATE, REST] or len(read) != 3 or read[1:] != [at - 2, at - 1]:
                raise ValueError(f"a blend does not read one value and the nodes {GATE} and {REST} before it")
            gate, rest = (np.flatnonzero(cell.adjacency[:, slot]).tolist() for slot in (at - 2, at - 1))
            read = [*gate, read[0], *rest]
        if not set(read) <= number.keys():
            raise ValueError("a node reads something other than an input or an operation")
        if name in STATES:
            if len(read) != 1 or read[0] < len(INPUTS):
                raise ValueError(f"{name} is not given by one operation")
            states.append(number[read[0]] - len(INPUTS))
        else:
            number[at] = len(INPUTS) + len(operations)
            operations.append((name, tuple(number[source] for source in read)))
    recipe = checked(operations, states)
    drawn = to_cell(recipe)
    if not (np.array_equal(drawn.ops, cell.ops) and np.array_equal(drawn.adjacency, cell.adjacency)):
        raise ValueError("its nodes or edges are not those of a recipe")
    return recipe


# -- drawing and changing ------------------------------------------------------------------------------------


def random_recipe(rng: np.random.Generator, max_nodes: int) -> Recipe:
    """A recipe that reads x and every hidden state."""
    ops, weights = list(_FREQUENCY), np.array(list(_FREQUENCY.values()))
    while True:
        states = int(rng.integers(1, len(STATES) + 1))
        sources = list(range(states + 1))
        operations: list[tuple[str, tuple[int, ...]]] = [("linear", (0, 1))]
        sources.append(len(INPUTS))
        for name in rng.choice(
            ops, size=int(rng.integers(states, MAX_OPERATIONS)), p=weights / weights.sum()
        ):
            arity = int(rng.choice([n for n in ARITY[str(name)] if n <= len(sources)] or [0]))
            if arity:
                operations.append((str(name), tuple(rng.choice(sources, size=arity, replace=False).tolist())))
                sources.append(len(INPUTS) + len(operations) - 1)
        if len(operations) < states:
            continue
        read = {source for _, read in operations for source in read}
        ends = [at for at in range(len(operations)) if at + len(INPUTS) not in read]
        rest = [at for at in range(len(operations)) if at not in ends]
        candidates = [*rng.permutation(ends).tolist(), *rng.permutation(rest).tolist()]
        recipe = checked(operations, candidates[:states])
        if recipe.num_nodes <= max_nodes and {
            source for _, read in recipe.operations for source in read
        } >= set(range(states + 1)):
            return recipe


def mutated(recipe: Recipe, rng: np.random.Generator, max_nodes: int) -> Recipe:
    """Another recipe: an operation or one of its sources changes, or an activation comes or goes."""
    changes = (_other_operation, _other_source, _with_activation, _without_activation)
    while True:
        try:
            child = checked(*changes[rng.integers(len(changes))](recipe, rng))
        except ValueError:
            continue
        if (
            child != recipe
            and child.num_nodes <= max_nodes
            and len(child.operations) <= max(MAX_OPERATIONS, len(recipe.operations))
        ):
            return child


_Draft = tuple[list[tuple[str, tuple[int, ...]]], list[int]]


def _other_operation(recipe: Recipe, rng: np.random.Generator) -> _Draft:
    operations, at = list(recipe.operations), int(rng.integers(len(recipe.operations)))
    name, sources = operations[at]
    others = [other for other, arity in ARITY.items() if other != name and len(sources) in arity]
    operations[at] = (str(rng.choice(others)), sources)
    return operations, list(recipe.states)


def _other_source(recipe: Recipe, rng: np.random.Generator) -> _Draft:
    operations, at = list(recipe.operations), int(rng.integers(len(recipe.operations)))
    name, sources = operations[at]
    slot = int(rng.integers(len(sources)))
    known = [*range(len(recipe.states) + 1), *range(len(INPUTS), len(INPUTS) + at)]
    operations[at] = (name, (*sources[:slot], int(rng.choice(known)), *sources[slot + 1 :]))
    return operations, list(recipe.states)


def _with_activation(recipe: Recipe, rng: np.random.Generator) -> _Draft:
    """A new activation between an operation and one of its sources."""
    at = int(rng.integers(len(recipe.operations)))
    new = len(INPUTS) + at  # the new one takes its place
    moved = [
        (name, tuple(source + (source >= new) for source in sources)) for name, sources in recipe.operations
    ]
    name, sources = moved[at]
    slot = int(rng.integers(len(sources)))
    activation = (str(rng.choice(ACTIVATIONS)), (sources[slot],))
    behind = (name, (*sources[:slot], new, *sources[slot + 1 :]))
    return [*moved[:at], activation, behind, *moved[at + 1 :]], [
        state + (state >= at) for state in recipe.states
    ]


def _without_activation(recipe: Recipe, rng: np.random.Generator) -> _Draft:
    """What reads an activation reads its source instead."""
    found = [at for at, (name, _) in enumerate(recipe.operations) if name in ACTIVATIONS]
    if not found:
        raise ValueError("there is no activation")
    at = int(rng.choice(found))
    (source,) = recipe.operations[at][1]
    if at in recipe.states and source < len(INPUTS):
        raise ValueError("a hidden state would be an input")
    old = len(INPUTS) + at
    operations = [
        (name, tuple(source if each == old else each for each in sources))
        for name, sources in recipe.operations
    ]
    return operations, [source - len(INPUTS) if state == at else state for state in recipe.states]
