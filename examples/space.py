"""A space of one's own, with its own notation, rule, sampling, mutation and costs.

Run it by ``python examples/space.py``; it checks the contract and prints some architectures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture
from archenc.graphs import ArchGraphs
from archenc.registry import SPACES, create_space
from archenc.spaces.cell import CellSpace
from archenc.testing import check_space

LETTERS = {"idle": "i", "dense": "d", "sparse": "s", "mix": "m"}


class LadderSpace(CellSpace):
    """Two strands of three layers each, of which at least one layer is dense; written as ``"dsidmi"``."""

    parametric_ops = ("dense", "sparse")

    def __init__(self) -> None:
        strands = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 7)]
        super().__init__("ladder", list(LETTERS), max_nodes=8, topology=strands, skip_op="idle")

    def config(self) -> dict[str, Any]:
        return {"name": "ladder", "parameters": {}}

    def read_one(self, item: Any, where: str) -> list[list[int]]:
        letters = "".join(LETTERS.values())
        if not isinstance(item, str) or len(item) != self.places or not set(item) <= set(letters):
            raise InvalidArchitecture(f"{where}: {item!r} is no ladder; write it as dsidmi")
        return [[letters.index(letter) for letter in item]]

    def format(self, graphs: ArchGraphs) -> list[str]:
        letters = list(LETTERS.values())
        return ["".join(letters[k] for k in row) for row in self.to_ops(graphs).tolist()]

    def choice_faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        none_dense = (self.ops_of_cells(graphs) != 1).all(1)
        return [*super().choice_faults(graphs), (none_dense, "no layer is dense; make one dense")]

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        """Half of the layers are idle."""
        numbers = rng.choice(len(LETTERS), size=(rows, self.places), p=[0.5, 0.2, 0.2, 0.1])
        return self.cells_from_ops(torch.from_numpy(numbers))

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        """One layer becomes another one."""
        numbers = self.ops_of_cells(parents).clone()
        row, at = torch.arange(len(numbers)), torch.from_numpy(rng.integers(self.places, size=len(numbers)))
        step = torch.from_numpy(rng.integers(1, len(LETTERS), size=len(numbers)))
        numbers[row, at] = (numbers[row, at] + step) % len(LETTERS)
        return self.cells_from_ops(numbers)

    def costs(self, graphs: ArchGraphs) -> dict[str, np.ndarray]:
        parameters = np.array([0, 100, 10, 0])[self.to_ops(graphs)].sum(1)
        return {"parameters": parameters, "flops": 2 * parameters}


def check() -> None:
    """Raise :class:`AssertionError` with a sentence if the contract is broken."""
    SPACES.register("ladder", LadderSpace)
    try:
        check_space(create_space("ladder"))
    finally:
        SPACES.unregister("ladder")


if __name__ == "__main__":
    check()
    space = LadderSpace()
    print(*space.format(space.sample(5, seed=0)))
