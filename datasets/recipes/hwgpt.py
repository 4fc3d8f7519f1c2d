"""HW-GPT-Bench from the lists of networks and perplexities of its repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from archenc.datasets.hwgpt import MOST_LAYERS, ROWS, Scale, arrays
from archenc.datasets.recipes.raw import MAX_BYTES, corrupt
from archenc.datasets.sources.unpickle import load_values
from archenc.files.trusted import read_bytes

_FIELDS = {
    "sample_embed_dim": int,
    "sample_n_layer": int,
    "sample_n_head": list,
    "sample_mlp_ratio": list,
    "sample_bias": bool,
}


def build_s(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The table of scale s; see :func:`build_l`."""
    return _build(files, "s")


def build_l(files: Mapping[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The table of scale l, in the order of the files.

    Args:
        files: the sources of the manifest, called by the number of their first network.

    Raises:
        CorruptFile: a file is not what it should be, and why.
    """
    return _build(files, "l")


def _build(files: Mapping[str, Path], scale: Scale) -> dict[str, dict[str, np.ndarray]]:
    names = sorted(files, key=int)
    rows = [row for name in names for row in _rows(files[name], MOST_LAYERS[scale])]
    if len(rows) != ROWS[scale]:
        raise corrupt(files[names[-1]], f"all files hold {len(rows):,} networks instead of {ROWS[scale]:,}")
    return {f"hwgpt/gpt_{scale}.npz": arrays(rows, MOST_LAYERS[scale])}


def _rows(path: Path, most_layers: int) -> list[dict[str, Any]]:
    records = load_values(read_bytes(path, MAX_BYTES), path)
    if not isinstance(records, list):
        raise corrupt(path, "it holds no list of networks")
    return [_row(path, record, most_layers) for record in records]


def _row(path: Path, record: Any, most_layers: int) -> dict[str, Any]:
    """A network; of its lists as many items count as it has layers."""
    arch = record.get("arch") if isinstance(record, dict) else None
    if not isinstance(arch, dict) or any(type(arch.get(name)) is not kind for name, kind in _FIELDS.items()):
        raise corrupt(path, f"{record!r:.60} is no network")
    values = [record.get("accuracy"), record.get("perplexity")]
    layers, lists = arch["sample_n_layer"], (arch["sample_n_head"], arch["sample_mlp_ratio"])
    fits = 0 < layers <= most_layers and all(
        len(held) >= layers and all(type(one) is int and 0 < one < 256 for one in held) for held in lists
    )
    if (
        not fits
        or not 0 < arch["sample_embed_dim"] < 2**15
        or any(type(value) is not float for value in values)
    ):
        raise corrupt(path, f"{record!r:.60} has numbers that are none of a network")
    return {
        "embed_dim": arch["sample_embed_dim"],
        "layers": layers,
        "heads": lists[0],
        "mlp_ratio": lists[1],
        "bias": arch["sample_bias"],
        "next_token_accuracy": round(values[0] * 100, 6),
        "perplexity": values[1],
    }
