"""``archenc bench speed``: how many architectures a second, beside plain code that takes them one by one.

The plain code is what one would write first: lists and loops, networkx, hashlib, one ``Data`` after the
other. It is run in turn with what it is compared with, in one thread, on cells of NAS-Bench-101 with seven
nodes, as have six of seven of all cells; its results are compared, and what counts is the time of the
processor.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import networkx
import numpy as np
import torch
from torch_geometric.data import Data

import archenc
from archenc.benchmarks import speed_training
from archenc.errors import InvalidParameter
from archenc.files.machine import machine
from archenc.files.reports import text_table
from archenc.graphs import NODE_OFFSET, ArchGraphs
from archenc.graphs.store import concatenate
from archenc.spaces.cell import CellSpace
from archenc.spaces.nasbench101 import OPERATIONS, NASBench101

MOST_PLAIN = 300  # cells that the plain code takes
_LABELS = {"input": -1, "output": -2} | {name: number for number, name in enumerate(OPERATIONS)}
_SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(OPERATIONS, size)]


class Cell(NamedTuple):
    """One cell as plain code has it: n nodes in topological order."""

    text: str
    edges: list[list[int]]
    """(n, n)."""
    ops: list[str]


class Task(NamedTuple):
    """Something that is computed of every cell."""

    name: str
    fast: Callable[[ArchGraphs, list[str]], Any]
    """Of many cells, as graphs and as texts: an item for each."""
    plain: Callable[[Cell], Any] | None = None
    """Of one cell: what is equal to the item."""
    item: Callable[[Any], Any] = lambda item: item
    """What of the item it is."""


class Row(NamedTuple):
    """What was measured: rates are in cells a second, and the plain one and whether the results were the same
    are None where there is no plain code.
    """

    name: str
    cells: int
    rate: float
    plain_rate: float | None
    same: bool | None

    @property
    def ratio(self) -> float | None:
        return None if self.plain_rate is None else self.rate / self.plain_rate


# -- plain code ----------------------------------------------------------------------------------------------


def plain_hash(cell: Cell) -> str:
    """The official module hash."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    nodes = range(len(cell.ops))
    sources = [[u for u in nodes if cell.edges[u][v]] for v in nodes]
    targets = [[u for u in nodes if cell.edges[v][u]] for v in nodes]
    digests = [md5(str((len(targets[v]), len(sources[v]), _LABELS[cell.ops[v]]))) for v in nodes]
    for _ in nodes:
        digests = [
            md5(
                "|".join(
                    (
                        "".join(sorted(digests[u] for u in sources[v])),
                        "".join(sorted(digests[u] for u in targets[v])),
                        digests[v],
                    )
                )
            )
            for v in nodes
        ]
    return md5(str(sorted(digests)))


def plain_read(cell: Cell) -> tuple[list[list[int]], list[str]]:
    """The nodes on paths in topological order: edges and operations."""
    content = json.loads(cell.text)
    graph, names = networkx.DiGraph(), content["ops"]
    graph.add_nodes_from(range(len(names)))
    for source, row in enumerate(content["adjacency"]):
        graph.add_edges_from((source, target) for target, edge in enumerate(row) if edge)
    first, last = names.index("input"), names.index("output")
    used = (networkx.descendants(graph, first) | {first}) & (networkx.ancestors(graph, last) | {last})
    order = [node for node in networkx.lexicographical_topological_sort(graph) if node in used]
    return [[int(graph.has_edge(u, v)) for v in order] for u in order], [names[node] for node in order]


def plain_text(cell: Cell) -> str:
    """As JSON."""
    return json.dumps({"adjacency": cell.edges, "ops": cell.ops}, separators=(",", ":"))


def plain_data(cell: Cell) -> tuple[list[int], list[list[int]]]:
    """Operations and edges of a graph of PyTorch Geometric."""
    numbers = {"input": 1, "output": 2} | {name: k + NODE_OFFSET for k, name in enumerate(OPERATIONS)}
    ends = [(u, v) for u, row in enumerate(cell.edges) for v, edge in enumerate(row) if edge]
    data = Data(
        x=torch.tensor([[numbers[name]] for name in cell.ops]),
        edge_index=torch.tensor(ends, dtype=torch.int64).T.contiguous(),
    )
    return data.x.flatten().tolist(), data.edge_index.tolist()


def _paths(cell: Cell) -> Iterator[list[int]]:
    """The paths from input to output."""
    open_paths = [[0]]
    while open_paths:
        path = open_paths.pop()
        if path[-1] == len(cell.ops) - 1:
            yield path
        open_paths += [[*path, v] for v, edge in enumerate(cell.edges[path[-1]]) if edge]


def plain_paths(cell: Cell) -> list[float]:
    """The path encoding."""
    base, features = len(OPERATIONS), [0.0] * 364
    for path in _paths(cell):
        numbers = [OPERATIONS.index(cell.ops[node]) for node in path[1:-1]]
        first = sum(base**length for length in range(len(numbers)))
        features[first + sum(base**place * number for place, number in enumerate(numbers))] = 1.0
    return features


def plain_graf(cell: Cell) -> list[float]:
    """GRAF."""
    nodes, columns = range(len(cell.ops)), list(zip(*cell.edges, strict=True))
    paths = [[cell.ops[node] for node in path[1:-1]] for path in _paths(cell)]
    lengths = [[len(path) for path in paths if {*path} <= {*subset}] for subset in _SUBSETS]

    def total(counts: Callable[[int], int]) -> list[int]:
        """Of the nodes with an operation of each subset."""
        return [sum(counts(v) for v in nodes if cell.ops[v] in subset) for subset in _SUBSETS]

    return [
        *(float(cell.ops.count(name)) for name in (*OPERATIONS, "input", "output")),
        *(min(found) + 1 if found else 8 for found in lengths),
        *(max(found) if found else -1 for found in lengths),
        *total(lambda v: cell.edges[0][v]),
        *total(lambda v: cell.edges[v][-1]),
        *(count / len(nodes) for count in total(lambda v: sum(cell.edges[v]))),
        *(count / len(nodes) for count in total(lambda v: sum(columns[v]))),
    ]


def plain_wl(cell: Cell) -> list[int]:
    """How often the operations occur, the first part of the Weisfeiler-Lehman histogram; the labels of two
    rounds are counted, too.
    """
    labels: list[Any] = list(cell.ops)
    counts = Counter(labels)
    for _ in range(2):
        labels = [
            (label, tuple(sorted(str(labels[u]) for u in range(len(labels)) if cell.edges[u][v])))
            for v, label in enumerate(labels)
        ]
        counts.update(labels)
    return [counts[name] for name in ("input", "output", *OPERATIONS)]


# -- measuring -----------------------------------------------------------------------------------------------


def tasks(space: NASBench101) -> list[Task]:
    """What is measured, with the plain code that does the same."""
    encoders = {
        name: archenc.create_encoder(name, space) for name in ("path", "graf", "wl", "graf-plus", "adjacency")
    }

    def cells_of(graphs: ArchGraphs) -> list[tuple[list[list[int]], list[str]]]:
        return [(cell.edges, cell.ops) for cell in cells(graphs)]

    def encode(name: str) -> Callable[[ArchGraphs, list[str]], Any]:
        return lambda graphs, _: encoders[name].encode(graphs)

    return [
        Task("hash", lambda graphs, _: graphs.hash(), plain_hash, lambda digest: digest.tobytes().hex()),
        Task("read", lambda _, texts: space.parse(texts), plain_read, lambda graphs: cells_of(graphs)[0]),
        Task("write", lambda graphs, _: space.format(graphs), plain_text),
        Task(
            "to_pyg",
            lambda graphs, _: graphs.to_pyg(),
            plain_data,
            lambda data: (data.x.flatten().tolist(), data.edge_index.tolist()),
        ),
        Task("path", encode("path"), plain_paths, lambda row: row.tolist()),
        Task("graf", encode("graf"), plain_graf, lambda row: row.tolist()),
        Task("wl", encode("wl"), plain_wl, lambda row: row[:5].tolist()),
        Task("graf-plus", encode("graf-plus")),
        Task("adjacency", encode("adjacency")),
    ]


def full_cells(space: NASBench101, n: int) -> ArchGraphs:
    """Random cells of seven nodes."""
    drawn, seed = space.sample(0), 0
    while len(drawn) < n:
        more = space.sample(2 * n, seed)
        drawn, seed = concatenate([drawn, more[more.mask.all(1)]]), seed + 1
    return drawn[:n]


def cells(graphs: ArchGraphs) -> list[Cell]:
    """Cells as plain code has them."""
    found = []
    for row, text in enumerate(graphs.space.format(graphs)):
        nodes = graphs.mask[row].nonzero()[:, 0]
        names = [graphs.space.node_vocabulary[number] for number in graphs.ops[row, nodes].tolist()]
        found.append(Cell(text, graphs.adjacency[row][nodes][:, nodes].tolist(), names))
    return found


def measure(task: Task, graphs: ArchGraphs, rounds: int) -> Row:
    """Run a task and its plain code in turn, and keep the best time of each."""
    texts, few = graphs.space.format(graphs), cells(graphs[:MOST_PLAIN])
    times, plain_times, same = [], [], None
    for _ in range(rounds):
        start = time.process_time()
        results = task.fast(graphs, texts)
        times.append(time.process_time() - start)
        if task.plain is not None:
            start = time.process_time()
            expected = [task.plain(cell) for cell in few]
            plain_times.append(time.process_time() - start)
            same = all(_equal(task.item(results[at]), one) for at, one in enumerate(expected))
    plain_rate = len(few) / max(min(plain_times), 1e-9) if plain_times else None
    return Row(task.name, len(graphs), len(graphs) / max(min(times), 1e-9), plain_rate, same)


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(expected, list) and not isinstance(expected[0], list | str):
        return bool(np.allclose(found, expected, rtol=1e-6, atol=0))
    return bool(found == expected)


def by_nodes(sizes: Sequence[int], graphs: int = 8) -> dict[str, list[float | None]]:
    """Milliseconds in which each encoder encodes a graph, by nodes of the graphs; None where it cannot."""
    found: dict[str, list[float | None]] = {name: [] for name in archenc.list_encoders()}
    for nodes in sizes:
        batch = large_graphs(nodes, graphs)
        for name, row in found.items():
            try:
                encoder = archenc.create_encoder(name, batch.space)
                encoder.encode(batch[:1])
            except InvalidParameter:
                row.append(None)
                continue
            start = time.process_time()
            encoder.encode(batch)
            row.append((time.process_time() - start) / graphs * 1e3)
    return found


def large_graphs(nodes: int, n: int, seed: int = 0) -> ArchGraphs:
    """Random chains with as many edges again, of four operations."""
    rng = np.random.default_rng(seed)
    space = CellSpace(f"chains-{nodes}", ["a", "b", "c", "d"], max_nodes=nodes)
    adjacency = np.zeros((n, nodes, nodes), dtype=np.uint8)
    adjacency[:, np.arange(nodes - 1), np.arange(1, nodes)] = 1
    for target in range(2, nodes):
        adjacency[np.arange(n), rng.integers(target, size=n), target] = 1
    ops = rng.integers(NODE_OFFSET, NODE_OFFSET + 4, size=(n, nodes))
    ops[:, 0], ops[:, -1] = 1, 2
    return space.validate(space.graphs(adjacency, ops))


def start_up() -> dict[str, float]:
    """Seconds of processor time of processes that start, do something and end; nothing where the system does
    not tell.
    """
    commands = {
        "python": ["-c", "pass"],
        "import torch": ["-c", "import torch"],
        "import archenc": ["-c", "import archenc"],
        "archenc --help": ["-m", "archenc.commands.app", "--help"],
        "archenc list encoders": ["-m", "archenc.commands.app", "list", "encoders"],
    }
    found = {}
    for name, command in commands.items():
        before = os.times()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = os.times()
        found[name] = (
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return found if any(found.values()) else {}


def peak_memory() -> str:
    """The most memory that this process has had, where the system tells."""
    try:
        import resource
    except ImportError:
        return "not known"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{peak // (2**20 if sys.platform == 'darwin' else 2**10):,} MiB"


def report(sizes: Sequence[int], nodes: Sequence[int], rounds: int) -> Iterator[str]:
    """The lines of the whole report, each table as soon as it is known.

    Args:
        sizes: how many cells are taken.
        nodes: of larger graphs; none for no table of these.
        rounds: times that each thing is done.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield f"machine: {machine()}"
        yield from _table_of_tasks(sizes, rounds)
        yield ""
        yield from speed_training.table(rounds)
        if nodes:
            yield ""
            yield from _table_of_nodes(nodes)
        yield ""
        for name, seconds in start_up().items():
            yield f"{name}: {seconds:.2f} CPU s"
        yield f"peak memory: {peak_memory()}"
    finally:
        torch.set_num_threads(threads)


def _table_of_tasks(sizes: Sequence[int], rounds: int) -> list[str]:
    space, lines = NASBench101(), []
    for size in sizes:
        graphs = full_cells(space, size)
        for row in (measure(task, graphs, rounds) for task in tasks(space)):
            plain = ["", ""] if row.plain_rate is None else [f"{row.plain_rate:,.0f}", f"{row.ratio:,.1f}"]
            same = "" if row.same is None else "yes" if row.same else "NO"
            lines.append([row.name, f"{row.cells:,}", f"{row.rate:,.0f}", *plain, same])
    return text_table(["of cells", "how many", "a second", "plain code", "ratio", "same"], lines).split("\n")


def _table_of_nodes(sizes: Sequence[int]) -> list[str]:
    lines = [
        [name, *("" if milliseconds is None else f"{milliseconds:.2f}" for milliseconds in row)]
        for name, row in by_nodes(sizes).items()
    ]
    return text_table(["ms to encode a graph", *(f"{size} nodes" for size in sizes)], lines).split("\n")
