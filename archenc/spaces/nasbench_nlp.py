"""NAS-Bench-NLP: recurrent cells as graphs of operations."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture, InvalidParameter, read_each
from archenc.graphs import PAD, ArchGraphs
from archenc.graphs.hashing import sweep_hash
from archenc.spaces import recurrent
from archenc.spaces.base import as_sequence, checked_count, generator
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.notation import Cell, load_json, stack
from archenc.spaces.recurrent import INPUTS, OPERATIONS, Recipe

MAX_NODES = 34  # the most that a cell of the release takes
_EXAMPLE = '{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}'


class NASBenchNLP(CellSpace):
    """The recurrent cells of NAS-Bench-NLP.

    A cell computes up to three new hidden states ``h_new_0`` to ``h_new_2`` from its input ``x`` and the
    hidden states ``h_prev_0`` to ``h_prev_2`` of the step before, of which ``h_new_0`` is also its output. An
    architecture is written as its recipe, a dict or its JSON
    text, in any order of the names::

        {"node_0": {"op": "linear", "input": ["x", "h_prev_0"]},
         "h_new_0": {"op": "activation_tanh", "input": ["node_0"]}}

    ``linear`` reads two or three values, ``elementwise_prod`` and ``elementwise_sum`` two, an activation one,
    and ``blend`` three in order: ``blend(g, a, b) = g a + (1 - g) b``. A hidden state is read only if it is
    written. Operations on which no hidden state depends are cut.

    In the graph, the four input nodes are ``x`` and ``h_prev_0`` to ``h_prev_2``, read or not, and each
    operation is a node. Two kinds of nodes mark what edges cannot say:

    * ``h_new_k`` stands between the operation that gives the k-th new hidden state and the output node;
    * ``blend_gate`` and ``blend_rest`` stand between a blend and its first and third value.

    Nothing of a recipe is lost but the names of its operations, and the order of the values that ``linear``,
    products and sums read. Nodes are in topological order, the marks of a blend just before it, the hidden
    states last. No value is read twice, but by a blend.

    Args:
        max_nodes: most nodes of a cell, all marks, inputs and the output included, 8 to 10,000; the cells of
            the release take up to 34.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench-nlp")
        >>> space.sample(3, seed=0)
        ArchGraphs(nasbench-nlp: 3 architectures, 34 nodes, ops on nodes)
    """

    paper = (
        "Klyuchnikov, Trofimov, Artemova, Salnikov, Fedorov, Filippov, Burnaev: NAS-Bench-NLP, IEEE Access "
        "2022, section III, arXiv:2006.07116"
    )
    input_names = INPUTS

    def __init__(self, *, max_nodes: int = MAX_NODES) -> None:
        super().__init__("nasbench-nlp", OPERATIONS, max_nodes=max_nodes, num_inputs=len(INPUTS))
        if max_nodes < 8:
            raise InvalidParameter(
                f"max_nodes is {max_nodes}; the smallest cells with two operations take 8 nodes, give at "
                "least that"
            )

    def config(self) -> dict[str, Any]:
        return {"name": "nasbench-nlp", "parameters": {"max_nodes": int(self.max_nodes)}}

    # -- reading and writing ---------------------------------------------------------------------------------

    def parse(self, architectures: Any) -> ArchGraphs:
        return self.place(read_each(as_sequence(architectures), self._recipe))

    def _recipe(self, item: Any, where: str) -> Recipe:
        value = load_json(item, where, self.name, _EXAMPLE) if isinstance(item, str | bytes) else item
        return recurrent.read_recipe(value, where)

    def place(self, recipes: list[Recipe]) -> ArchGraphs:
        """Recipes as a batch; raises :class:`InvalidArchitecture` for one that takes more nodes than the
        space allows.
        """
        for number, recipe in enumerate(recipes):
            if recipe.num_nodes > self.max_nodes:
                remedy = f"use NASBenchNLP(max_nodes={recipe.num_nodes})"
                fault = f"{recipe.num_nodes} nodes, and the space allows {self.max_nodes}"
                raise InvalidArchitecture(f"architecture {number}: {fault}; {remedy}", number)
        return ArchGraphs(self, *stack(self.definition, [recurrent.to_cell(recipe) for recipe in recipes]))

    def recipes(self, graphs: ArchGraphs) -> list[Recipe]:
        """The recipe of each architecture; raises :class:`InvalidArchitecture` for what is none."""
        self.check_form(graphs)
        adjacency, ops = graphs.adjacency.numpy(), graphs.ops.numpy()
        found = []
        for row in range(len(ops)):
            nodes = np.flatnonzero(ops[row] != PAD)
            try:
                found.append(recurrent.from_cell(Cell(adjacency[row][np.ix_(nodes, nodes)], ops[row, nodes])))
            except ValueError as error:
                remedy = "write it as a recipe and parse that"
                raise InvalidArchitecture(f"architecture {row}: {error}; {remedy}", row) from None
        return found

    def format(self, graphs: ArchGraphs) -> list[str]:
        """Compact JSON of each recipe; operations that give no hidden state are called ``node_0``,
        ``node_1``, ...
        """
        return [
            json.dumps(recurrent.write_recipe(recipe), separators=(",", ":"))
            for recipe in self.recipes(graphs)
        ]

    def validate(self, graphs: ArchGraphs) -> ArchGraphs:
        super().validate(graphs)
        self.recipes(graphs)
        return graphs

    # -- drawing, changing, comparing ------------------------------------------------------------------------

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """Draw ``n`` recipes with replacement.

        One to three hidden states and up to 21 operations, in about the frequencies of the release, each
        reading inputs and earlier operations at random; hidden states are given by operations that nothing
        else reads, as far as there are any. What no hidden state depends on is cut, and the recipe drawn
        again if it then leaves ``x`` or a hidden state unread.
        """
        count, rng = checked_count(self, n), generator(seed)
        return self.place([recurrent.random_recipe(rng, self.max_nodes) for _ in range(count)])

    def mutate(self, graphs: ArchGraphs, seed: int | np.random.Generator = 0) -> ArchGraphs:
        """An operation or one of the values it reads changes, or an activation comes or goes; then what is
        not needed is cut.
        """
        rng = generator(seed)
        return self.place([recurrent.mutated(recipe, rng, self.max_nodes) for recipe in self.recipes(graphs)])

    def hash(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 16) uint8, equal for recipes that differ only in names and order
        (:func:`archenc.graphs.hashing.sweep_hash`).
        """
        return sweep_hash(graphs)
