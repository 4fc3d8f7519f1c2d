"""Chains of layers: one choice of a few blocks for each layer of a network, as in NAS-Bench-Macro, MacroNAS
and ProxylessNAS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.files.text import listed, shown
from archenc.graphs import NODE_OFFSET, ArchGraphs
from archenc.graphs.hashing import wl_hash
from archenc.spaces.base import is_list
from archenc.spaces.cell import CellSpace, notation
from archenc.spaces.cell.enumeration import refuse_above
from archenc.spaces.cell.notation import Cell
from archenc.spaces.networks import Network, Skeleton
from archenc.spaces.networks import chain as networks
from archenc.spaces.parameters import MAX_NODES, MAX_OPERATIONS, members, operation, space_name, whole_numbers


class ChainSpace(CellSpace):
    """Networks of L layers, one behind the other, with one operation on each.

    An architecture is written as its code, one symbol a layer (``"22212202"``), or as the list of its
    operations (names or numbers k).

    Layers that work at the same width and resolution form a run. An identity may move within its run without
    a change of the network, so :meth:`hash` is equal for all its places, and :meth:`simplify` moves it to the
    end of the run. It is not cut: in a shorter chain nothing would tell in which run a block stands.

    Args:
        name: what the space is called.
        operations: names of the operations; the position is the operation's number k.
        choices: for each layer the numbers k that it may take; at most 9,998 layers.
        runs: lengths of the runs, L in total.
        identity: the operation that computes the identity, or None.
        symbols: one visible character for each operation; None for 0 to 9, then a to z.

    Raises:
        InvalidParameter: parameters that describe no space.

    Examples:
        >>> from archenc.spaces.chain import ChainSpace
        >>> space = ChainSpace("mine", ["conv", "skip"], choices=[[0, 1], [0, 1]])
        >>> len(space.enumerate())
        4
    """

    def __init__(
        self,
        name: str,
        operations: Sequence[str],
        choices: Sequence[Sequence[int]],
        *,
        runs: Sequence[int] | None = None,
        identity: str | None = None,
        symbols: str | None = None,
    ) -> None:
        where = f"the space {space_name(name)!r}"
        layers = members(where, "choices", choices, MAX_NODES - 2)
        topology = [(node, node + 1) for node in range(len(layers) + 1)]
        super().__init__(name, operations, max_nodes=len(layers) + 2, topology=topology)
        highest = len(self.operations) - 1
        self.choices = tuple(
            whole_numbers(where, f"choices of layer {number}", layer, 0, highest, MAX_OPERATIONS)
            for number, layer in enumerate(layers)
        )
        self.runs = (
            (1,) * len(layers)
            if runs is None
            else whole_numbers(where, "runs", runs, 1, MAX_NODES, MAX_NODES)
        )
        self.identity = operation(where, "identity", identity, self.operations)
        self.symbols = (
            "0123456789abcdefghijklmnopqrstuvwxyz"[: len(self.operations)] if symbols is None else symbols
        )
        self._check(where)

    def _check(self, where: str) -> None:
        known = len(self.operations)
        if not self.choices:
            raise InvalidParameter(f"{where} has no layers; give at least one")
        for layer, choices in enumerate(self.choices):
            if not choices or len(set(choices)) < len(choices):
                raise InvalidParameter(
                    f"{where}: the choices of layer {layer} are {shown(choices)}; give distinct numbers from "
                    f"0 to {known - 1}"
                )
        if sum(self.runs) != len(self.choices):
            raise InvalidParameter(
                f"{where}: runs of {shown(self.runs)} layers do not make up {len(self.choices)}; let them "
                "add up to it"
            )
        visible = isinstance(self.symbols, str) and self.symbols.isprintable() and " " not in self.symbols
        if not visible or not len(self.symbols) == len(set(self.symbols)) == known:
            raise InvalidParameter(
                f"{where}: the symbols are {shown(self.symbols)}; give {known} different visible characters"
            )
        if code := next((name for name in self.operations if self._is_code(name)), None):
            raise InvalidParameter(
                f"{where}: the operation {code!r} is also the code of a network; choose another name or "
                "other symbols"
            )

    def config(self) -> dict[str, Any]:
        return {
            "name": "chain",
            "parameters": {
                "name": self.name,
                "operations": list(self.operations),
                "choices": [list(layer) for layer in self.choices],
                "runs": list(self.runs),
                "identity": self.identity,
                "symbols": self.symbols,
            },
        }

    @property
    def num_codes(self) -> int:
        """How many codes there are, different writings of one network counted each."""
        return math.prod(map(len, self.choices))

    # -- reading and writing ---------------------------------------------------------------------------------

    def _is_code(self, text: str) -> bool:
        return len(text) == self.places and set(text) <= set(self.symbols)

    def read_one(self, item: Any, where: str) -> list[Cell | list[int]]:
        if isinstance(item, str):
            code = item.strip()
            if self._is_code(code):
                return [[self.symbols.index(symbol) for symbol in code]]
        elif is_list(item):
            return [notation.read_ops(self.definition, item, where)]
        remedy = f"write {self.places} of the symbols {listed(self.symbols)}"
        raise InvalidArchitecture(f"{where}: {shown(item)} is no code of {self.name}; {remedy}")

    def format(self, graphs: ArchGraphs) -> list[str]:
        """The code of each architecture."""
        return ["".join(self.symbols[k] for k in row) for row in self.to_ops(graphs).tolist()]

    def from_ops(self, numbers: Any) -> ArchGraphs:
        return self.validate(super().from_ops(numbers))

    # -- what belongs to the space, and drawing from it ------------------------------------------------------

    def choice_faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        faults = super().choice_faults(graphs)
        ids = graphs.ops[:, 1:-1].long() - NODE_OFFSET
        for layer, choices in enumerate(self.choices):
            if len(choices) < len(self.operations):
                allowed = ", ".join(self.operations[k] for k in choices)
                wrong = ~torch.isin(ids[:, layer], torch.tensor(choices))
                faults.append(
                    (wrong, f"the operation of layer {layer} is not among its choices; take one of {allowed}")
                )
        return faults

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        numbers = np.stack([rng.choice(choices, size=rows) for choices in self.choices], axis=1)
        return self.cells_from_ops(torch.from_numpy(numbers))

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        """Draw one layer anew; whoever stays as it is, or gets what its layer may not take, is asked
        again.
        """
        numbers = self.ops_of_cells(parents).clone()
        rows = torch.arange(len(numbers))
        layer = torch.from_numpy(rng.integers(self.places, size=len(rows)))
        numbers[rows, layer] = torch.from_numpy(rng.integers(len(self.operations), size=len(rows)))
        return self.cells_from_ops(numbers)

    def enumerate(self) -> ArchGraphs:
        """Every code once, the last layer changing fastest, up to 2 million of them."""
        refuse_above(self.name, self.num_codes)
        grid = np.meshgrid(*self.choices, indexing="ij")
        return self.cells_from_ops(
            torch.from_numpy(np.stack([axis.ravel() for axis in grid], axis=1).astype(np.int64))
        )

    # -- networks that have several codes --------------------------------------------------------------------

    def canonical(self, graphs: ArchGraphs) -> ArchGraphs:
        """The same networks with every identity moved to the end of its run."""
        if self.identity is None:
            return graphs
        run = np.repeat(np.arange(len(self.runs)), self.runs)
        key = (
            torch.from_numpy(2 * np.concatenate([[-1], run, [len(run)]]))
            + (graphs.ops == self._identity_id).long()
        )
        order = key.argsort(dim=1, stable=True)
        features = graphs.features
        if features is not None:
            features = features.gather(1, order.unsqueeze(-1).expand(features.shape))
        return replace(graphs, ops=graphs.ops.gather(1, order), features=features)

    @property
    def _identity_id(self) -> int:
        return self.operations.index(str(self.identity)) + NODE_OFFSET

    def hash(self, graphs: ArchGraphs) -> np.ndarray:
        """(N, 16) uint8, equal for the codes of one network."""
        return wl_hash(self.canonical(graphs))

    def simplify(self, graphs: ArchGraphs) -> ArchGraphs:
        """The same networks with every identity moved to the end of its run (see the class)."""
        return replace(self.canonical(graphs), simplified=True)


class NASBenchMacro(ChainSpace):
    """The space of NAS-Bench-Macro: 8 layers of 3 blocks, 3^8 = 6,561 codes such as ``"22212202"``.

    The blocks are 0 ``Identity``, 1 ``MB3_K3`` and 2 ``MB6_K5`` (MobileNetV2 blocks of expansion 3 and 6,
    kernel 3 and 5). There are stages of 2, 3 and 3 layers; the first layer of each halves the resolution, and
    0 is a strided 1x1 convolution there, no identity. The others compute nothing, so that the 6,561 codes are
    9 * 21 * 21 = 3,969 networks, and just these were trained: codes with equal :meth:`hash` share their
    accuracies.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench-macro")
        >>> space.format(space.sample(1, seed=0))[0]
        '21100000'
    """

    paper = (
        "Su et al.: Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021, "
        "arXiv:2103.11922"
    )

    skeletons = networks.SKELETONS

    def __init__(self) -> None:
        super().__init__(
            "nasbench-macro",
            ("Identity", "MB3_K3", "MB6_K5"),
            [range(3)] * 8,
            runs=(1, 1, 1, 2, 1, 2),
            identity="Identity",
        )

    def config(self) -> dict[str, Any]:
        return {"name": "nasbench-macro", "parameters": {}}

    def network(self, graphs: ArchGraphs, skeleton: Skeleton) -> Network:
        """The network of a code."""
        return networks.network(graphs, skeleton)


class MacroNAS(ChainSpace):
    """The space of the benchmarks MacroNAS-C10 and MacroNAS-C100: 14 layers of 3 blocks, 3^14 = 4,782,969
    codes.

    A code is written as ``"I12I12I12I12I1"``: ``I`` Identity, ``1`` MBConv of expansion 3 and kernel 3, ``2``
    MBConv of expansion 6 and kernel 5. Fixed blocks in front of the layers 4, 8 and 12 (counted from 0) halve
    the resolution, so that the codes are 31 * 31 * 31 * 7 = 208,537 networks (the paper speaks of 200K).

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("macronas")
        >>> space.format(space.sample(1, seed=0))[0]
        '211IIIIII21211'
    """

    paper = (
        "Den Ottelander, Dushatskiy, Virgolin, Bosman: Local Search is a Remarkably Strong Baseline for "
        "NAS, EMO 2021, arXiv:2004.08996"
    )

    def __init__(self) -> None:
        super().__init__(
            "macronas",
            ("Identity", "MBConv3_3x3", "MBConv6_5x5"),
            [range(3)] * 14,
            runs=(4, 4, 4, 2),
            identity="Identity",
            symbols="I12",
        )

    def config(self) -> dict[str, Any]:
        return {"name": "macronas", "parameters": {}}


class ProxylessNAS(ChainSpace):
    """The ImageNet space of ProxylessNAS: 21 layers of MBConv blocks with kernel 3, 5 or 7 and expansion 3 or
    6.

    There are stages of 4, 4, 4, 4, 4 and 1 layers, of 24, 40, 80, 96, 192 and 320 channels and first strides
    2, 2, 2, 1, 2, 1. Layers that keep their input's shape (all but the first of each stage) have a seventh
    choice, ``Zero``: only their shortcut is left, which is the identity and makes the network shallower. So
    there are 6^6 * 7^15, about 2.2 * 10^17, codes: one digit a layer, in the order of ``operations``.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("proxylessnas")
        >>> space.sample(3, seed=0)
        ArchGraphs(proxylessnas: 3 architectures, 23 nodes, ops on nodes)
    """

    paper = (
        "Cai, Zhu, Han: ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, ICLR "
        "2019, section 4.2, arXiv:1812.00332"
    )

    def __init__(self) -> None:
        operations = [f"{kernel}x{kernel}_MBConv{expansion}" for kernel in (3, 5, 7) for expansion in (3, 6)]
        stages = (4, 4, 4, 4, 4, 1)
        choices = [range(6 if layer == 0 else 7) for stage in stages for layer in range(stage)]
        super().__init__("proxylessnas", (*operations, "Zero"), choices, runs=stages, identity="Zero")

    def config(self) -> dict[str, Any]:
        return {"name": "proxylessnas", "parameters": {}}
