"""NAS-Bench-Graph: graph neural networks on nine node-classification data sets, as the PyPI package
``nas-bench-graph`` ships them.

Qin, Zhang, Wang, Zhang, Zhu: "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", NeurIPS 2022,
    data sets and benchmarks.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from archenc.dataset import ArchDataset
from archenc.datasets.sources.tables import labelled, package_file, provenance
from archenc.datasets.sources.unpickle import load_pickle
from archenc.errors import UnsafePickle
from archenc.files.progress import nothing_collected
from archenc.spaces.nasbench_graph import NASBenchGraph

REQUIREMENT = "nas-bench-graph==1.4.0"
MAX_BYTES = 8 * 2**20
SHA256 = {
    "cora": "5e69b2f9bb08d8927d9ffd4921f8494a3cea349c9c3a461334cb9dc9e11701a8",
    "citeseer": "99c7f79b73372636305bf73fb32a58b63c57bd1871a152dd62ec72d984c8c50f",
    "pubmed": "10b4dcf6cfd3a24f6059f7d541a4a872960b4adac0b3dba26abed1bb9a3d904d",
    "cs": "71ae8469930517160b024f52db6000a4897f1aff5d765beb27bb60952ed5bd31",
    "physics": "1e309bafee0b832c8b84fa3c039c36992bc0a910238b128f26b7e9190d7f2aea",
    "photo": "5511b4dc3f63fa988792177227db7901290fb9b27fc6c02e3036b29e134ed6df",
    "computers": "fdb3dc0cf405d62322f0ab9614b2083c2a5e6576c2f43e4f2214be64bc62b1b3",
    "arxiv": "7ee21a7653297a806c0ed1be3efe6ecc06acc84e48e942da0bfde0e5d287debe",
    "proteins": "b9e7fb0902bda44fec32c948e5fde822fb22d38d674c52e43ace5197378f2d21",
}


class _DType:
    """Stands in for ``numpy.dtype`` and accepts nothing but the little-endian double."""

    def __init__(self, *arguments: Any) -> None:
        if arguments != ("f8", False, True):
            raise UnsafePickle(
                f"a table of nas-bench-graph asks for the dtype {arguments!r:.50}; install {REQUIREMENT} "
                "again"
            )

    def __setstate__(self, state: Any) -> None:
        if state != (3, "<", None, None, None, -1, -1, 0):
            raise UnsafePickle(
                f"a table of nas-bench-graph gives a dtype the state {state!r:.80}; install {REQUIREMENT} "
                "again"
            )


def _scalar(dtype: Any, content: Any) -> float:
    """Stands in for ``numpy.core.multiarray.scalar``."""
    if not (isinstance(dtype, _DType) and isinstance(content, bytes) and len(content) == 8):
        raise UnsafePickle(
            f"a table of nas-bench-graph holds something other than a double; install {REQUIREMENT} again"
        )
    value: float = struct.unpack("<d", content)[0]
    return value


def read_table(path: Path, sha256: str) -> tuple[np.ndarray, np.ndarray]:
    """Hashes int64 (R,) and values float64 (R, 4) of one file: validation and test fractions, latency,
    parameters in millions.
    """
    stand_ins = {"numpy.dtype": _DType, "numpy.core.multiarray.scalar": _scalar}
    with nothing_collected():
        records = load_pickle(path, stand_ins, sha256=sha256, max_bytes=MAX_BYTES)
        rows = [
            (record["valid_perf"], record["perf"], record["latency"], record["para"])
            for record in records.values()
        ]
    return np.array(list(records), dtype=np.int64), np.array(rows, dtype=np.float64)


def load() -> ArchDataset:
    """All 26,206 architectures with the labels of all nine data sets; the default label is
    ``cora/val_accuracy/mean``.

    The rows are sorted by the benchmark's hash. A label is NaN where a data set has no such architecture
    (``proteins``).

    Raises:
        DataNotFound: the package is not installed.
        CorruptFile: one of its tables is not the published one.
    """
    paths = {name: package_file("nas_bench_graph", f"light/{name}.bench", REQUIREMENT) for name in SHA256}
    tables = {name: read_table(path, SHA256[name]) for name, path in paths.items()}
    hashes = np.unique(tables["cora"][0])

    labels: dict[str, np.ndarray] = {}
    for name, (keys, values) in tables.items():
        table = np.full((len(hashes), 4), np.nan)
        table[np.searchsorted(hashes, keys)] = values
        validation, test, latency, millions = table.T
        metric = "roc_auc" if name == "proteins" else "accuracy"
        labels |= {
            f"{name}/val_{metric}/mean": 100 * validation,
            f"{name}/test_{metric}/mean": 100 * test,
            f"{name}/latency": latency,
            # a mean of three on physics, whose counts differ between seeds; thirds undo the rounding of the
            # published millions
            f"{name}/parameters": np.round(3e6 * millions) / 3,
        }

    return ArchDataset(
        name="nasbench-graph",
        graphs=NASBenchGraph().from_hashes(hashes),
        label="cora/val_accuracy/mean",
        **labelled("nasbench-graph", labels),
        duplicates="none",
        provenance=provenance("nasbench-graph", {str(path): SHA256[name] for name, path in paths.items()}),
    )
