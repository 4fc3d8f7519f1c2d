"""NAS-Bench-NLP: 14,322 recurrent cells trained on Penn Treebank.

Klyuchnikov, Trofimov, Artemova, Salnikov, Fedorov, Filippov, Burnaev: "NAS-Bench-NLP: Neural Architecture
    Search Benchmark for Natural
Language Processing", IEEE Access 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archenc.dataset import ArchDataset
from archenc.datasets.sources.tables import Table, labelled, provenance
from archenc.errors import CorruptFile, InvalidArchitecture
from archenc.files.progress import nothing_collected
from archenc.graphs import ArchGraphs
from archenc.graphs.hashing import class_numbers
from archenc.spaces.nasbench_nlp import NASBenchNLP
from archenc.spaces.recurrent import ARITY, INPUTS

NAME = "nasbench-nlp"
RUNS, NODES, EDGES, EPOCHS = 14_322, 110_288, 189_770, 50
SECOND_MODE = 6.0  # nats; runs that end above it form a mode of their own

TABLE = Table(
    "nasbench_nlp/cells.npz",
    {
        "status": ((RUNS,), "u"),
        "num_params": ((RUNS,), "i"),
        "wall_time_s": ((RUNS,), "f"),
        **{f"{part}_loss": ((RUNS, EPOCHS), "f") for part in ("train", "val", "test")},
        "best_val_loss": ((RUNS,), "f"),
        "test_loss_at_best_val": ((RUNS,), "f"),
        "node_ptr": ((RUNS + 1,), "i"),
        "node_op": ((NODES,), "u"),
        "node_name": ((NODES,), "S"),
        "edge_ptr": ((RUNS + 1,), "i"),
        "edge_src": ((EDGES,), "i"),
        "edge_dst": ((EDGES,), "i"),
    },
    "49cc2b50f55a56c5f3764a13daa960f2405e868186f7676f5797a5b68d72ca34",
)


def load() -> ArchDataset:
    """All cells; the default label is ``ptb/val_negative_loss@50/best``.

    Losses are mean cross-entropies per token in nats, times -1, so that higher is better; the perplexity is
    exp of the loss. Those of runs that failed are NaN. Subsets: ``ok`` (runs that ended well), ``ok-below-6``
    (of these, the ones with a loss of at most 6 nats) and ``failed``. ``groups`` are the cells that differ
    only in names and order.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: the table is damaged or does not hold the published values.
    """
    table, files = TABLE.read()
    ((path, content),) = files.items()
    if content not in _READ:
        cells = _cells(table, path)
        _READ.clear()
        _READ[content] = cells
    graphs, groups = _READ[content]
    ok = table["status"] == 0
    below = ok & (table["best_val_loss"] <= SECOND_MODE)
    return ArchDataset(
        name=NAME,
        graphs=graphs,
        label="ptb/val_negative_loss@50/best",
        **labelled(NAME, _labels(table)),
        subsets={
            "ok": np.flatnonzero(ok),
            "ok-below-6": np.flatnonzero(below),
            "failed": np.flatnonzero(~ok),
        },
        groups=groups.copy(),
        duplicates="kept",
        provenance=provenance(NAME, files),
    )


_READ: dict[str, tuple[ArchGraphs, np.ndarray]] = {}
"""Cells and groups of the table that was read last, by its checksum: to read them takes seconds."""


def _cells(table: dict[str, np.ndarray], path: str) -> tuple[ArchGraphs, np.ndarray]:
    """The cells in the table at ``path``, and which are the same."""
    try:
        with nothing_collected():
            graphs = NASBenchNLP().parse(recipes(table))
    except InvalidArchitecture as error:
        raise CorruptFile(
            f"the cells in {path} are not those of the space ({error!s:.80}); get the table again"
        ) from None
    return graphs, class_numbers(graphs.hash())


def recipes(table: dict[str, np.ndarray]) -> list[dict[str, dict[str, Any]]]:
    """The recipes in a table, as they were written."""
    ops, named = list(ARITY), [name.decode("ascii") for name in table["node_name"]]
    nodes, edges = table["node_ptr"].tolist(), table["edge_ptr"].tolist()
    node_op, source, target = (
        table["node_op"].tolist(),
        table["edge_src"].tolist(),
        table["edge_dst"].tolist(),
    )
    found = []
    for row in range(len(nodes) - 1):
        names = named[nodes[row] : nodes[row + 1]]
        entries = [{"op": ops[op], "input": []} for op in node_op[nodes[row] : nodes[row + 1]]]
        for edge in range(edges[row], edges[row + 1]):
            read = source[edge]
            entries[target[edge]]["input"].append(names[read] if read >= 0 else INPUTS[-1 - read])
        found.append(dict(zip(names, entries, strict=True)))
    return found


def _labels(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    losses = {
        "val_negative_loss@50/best": table["best_val_loss"],
        "test_negative_loss@50/best": table["test_loss_at_best_val"],
    }
    for part in ("train", "val", "test"):
        for epochs in (10, 50):
            losses[f"{part}_negative_loss@{epochs}/last"] = table[f"{part}_loss"][:, epochs - 1]
    failed = table["status"] != 0
    labels = {
        f"ptb/{name}": np.where(failed, np.nan, -values.astype(np.float64)) for name, values in losses.items()
    }
    return labels | {"ptb/parameters": table["num_params"], "ptb/train_seconds": table["wall_time_s"]}
