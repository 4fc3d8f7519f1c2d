"""NSGA-Net: the stages of Genetic CNN with one bit more each (macro), and two cells of pairs (micro)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.graphs import ArchGraphs
from archenc.spaces.base import as_array
from archenc.spaces.genetic_cnn import WiredStageSpace
from archenc.spaces.genotype import INPUTS, GenotypeSpace

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "sep_conv_7x7",
    "conv_7x1_1x7",
)
_PAPER = (
    "Lu, Whalen, Boddeti, Dhebar, Deb, Goodman, Banzhaf: NSGA-Net: Neural Architecture Search using "
    "Multi-Objective Genetic Algorithm"
)


class NSGANetMacro(WiredStageSpace):
    """The macro space of NSGA-Net: stages as in Genetic CNN, with one more bit for the edge from input to
    output.

    By default there are three stages of 6 nodes, of 15 + 1 bits each: 2^48 writings.
    A stage without any connection between its nodes is passed over, whatever that bit is.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nsga-net-macro")
        >>> space.format(space.sample(1, seed=0))[0]
        '1-11-000-0001-11111-1|1-11-101-1001-10111-0|0-10-100-0000-00011-1'
    """

    paper = f"{_PAPER}, GECCO 2019, section 3.1, arXiv:1810.03522"

    def __init__(self, stages: Sequence[int] = (6, 6, 6)) -> None:
        super().__init__("nsga-net-macro", stages, skip_bits=True)

    def config(self) -> dict[str, Any]:
        return {"name": "nsga-net-macro", "parameters": {"stages": list(self.stages)}}


class NSGANetMicro(GenotypeSpace):
    """The micro space of NSGA-Net: two cells of 5 nodes with two of 9 operations each; nodes that nothing
    uses make the output.

    A genome is 40 whole numbers: for the normal and then the reduction cell, for each node in turn, twice
    (input node, operation). The official code writes each pair the other way round, (operation, input node).
    The two pairs of a node may change places without a change of the network, and :meth:`to_genomes` gives
    them in the order of :meth:`to_genotypes`.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nsga-net-micro")
        >>> space.sample(3, seed=0)
        ArchGraphs(nsga-net-micro: 3 architectures, 2 cells each, 8 nodes, ops on edges)
    """

    paper = f"{_PAPER}, GECCO 2019, section 3.1, arXiv:1810.03522"

    def __init__(self) -> None:
        super().__init__("nsga-net-micro", OPERATIONS, nodes=5, output="loose")

    def config(self) -> dict[str, Any]:
        return {"name": "nsga-net-micro", "parameters": {}}

    @property
    def stage_lengths(self) -> tuple[int, ...]:
        """Numbers of each cell in a genome."""
        return (4 * self.nodes,) * self.cells

    @property
    def genome_choices(self) -> np.ndarray:
        """(40,): how many numbers may stand at each place of a genome."""
        pairs = [[node + INPUTS, len(OPERATIONS)] for node in range(self.nodes) for _ in range(2)]
        return np.tile(np.ravel(pairs), self.cells)

    def from_genomes(self, genomes: Any) -> ArchGraphs:
        """Architectures from whole numbers (N, 40); raises :class:`archenc.errors.InvalidArchitecture` for
        what is no genome.
        """
        table = as_array(genomes)
        if table.ndim != 2 or table.shape[1] != sum(self.stage_lengths):
            raise InvalidArchitecture(
                f"genomes of {self.name} have {sum(self.stage_lengths)} numbers each, and this array is "
                f"{table.shape}; reshape it"
            )
        return self.from_genotypes(table.reshape(len(table), self.cells, -1, 2))

    def to_genomes(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 40) int64: what :meth:`from_genomes` takes."""
        return self.to_genotypes(graphs).reshape(len(graphs), -1).astype(np.int64)
