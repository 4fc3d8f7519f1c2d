"""Tables of choices: HW-GPT-Bench, language models like GPT-2 of two scales, with one-shot perplexities; and
cells and chains as what they look like to someone who knows nothing of their graphs, a flat table.

Sukthanker, Zela, Staffler, Klein, Purucker, Franke, Hutter: "HW-GPT-Bench: Hardware-Aware Architecture
    Benchmark for Language Models", NeurIPS 2024 (datasets and benchmarks).
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import archenc
from archenc.dataset import ArchDataset
from archenc.datasets.recipes.raw import MAX_BYTES, corrupt
from archenc.datasets.sources.tables import MAX_TABLE_BYTES, Table, labelled, provenance
from archenc.datasets.sources.unpickle import load_values
from archenc.errors import CorruptFile
from archenc.files.trusted import content_digest, data_root, read_bytes, sha256
from archenc.spaces.cell import CellSpace
from archenc.spaces.stages import StageSpace
from archenc.spaces.stages.named import HWGPT

Scale = Literal["s", "l"]
ROWS: Mapping[str, int] = {"s": 10_000, "l": 429}
MOST_LAYERS: Mapping[str, int] = {"s": 12, "l": 36}
LABEL = "openwebtext/val_negative_perplexity/oneshot"


def _table(scale: str, digest: str) -> Table:
    rows, layers = ROWS[scale], MOST_LAYERS[scale]
    return Table(
        f"hwgpt/gpt_{scale}.npz",
        {
            "embed_dim": ((rows,), "i"),
            "layers": ((rows,), "u"),
            "heads": ((rows, layers), "u"),
            "mlp_ratio": ((rows, layers), "u"),
            "bias": ((rows,), "b"),
            "next_token_accuracy": ((rows,), "f"),
            "perplexity": ((rows,), "f"),
        },
        digest,
    )


TABLES: Mapping[str, Table] = {
    "s": _table("s", "7425eefc788ebac2b1d869386acbca99484f563187adaa3dd3732198a0af799f"),
    "l": _table("l", "ff415f6bf2882357f79e28b4de104e5dd4a5d8cb100ae2d6e861cd67d5b2b330"),
}


def arrays(rows: Sequence[Mapping[str, Any]], most_layers: int) -> dict[str, np.ndarray]:
    """The table of networks given as ``embed_dim``, ``layers``, ``heads`` and ``mlp_ratio`` of each layer,
    ``bias``, ``next_token_accuracy`` (percent) and ``perplexity``; 0 behind the last layer.
    """
    layers = np.array([row["layers"] for row in rows], dtype=np.uint8)
    exists = np.arange(most_layers) < layers[:, None]
    by_layer = {}
    for name in ("heads", "mlp_ratio"):
        by_layer[name] = np.zeros(exists.shape, dtype=np.uint8)
        by_layer[name][exists] = [value for row in rows for value in row[name][: row["layers"]]]
    return {
        "embed_dim": np.array([row["embed_dim"] for row in rows], dtype=np.int16),
        "layers": layers,
        **by_layer,
        "bias": np.array([row["bias"] for row in rows], dtype=bool),
        "next_token_accuracy": np.array([row["next_token_accuracy"] for row in rows], dtype=np.float64),
        "perplexity": np.array([row["perplexity"] for row in rows], dtype=np.float64),
    }


def _read(scale: Scale) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The table, or the same networks as one JSON object a line, where only these are there."""
    table = TABLES[scale]
    lines = data_root() / f"hwgpt/gpt_{scale}.jsonl.gz"
    if table.exists() or not lines.is_file():
        return table.read()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(read_bytes(lines, MAX_TABLE_BYTES))) as file:
            content = file.read(MAX_TABLE_BYTES)
        found = arrays([json.loads(line) for line in content.splitlines()], MOST_LAYERS[scale])
    except (OSError, EOFError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise CorruptFile(
            f"the file {lines} does not hold networks, one JSON object a line ({error!s:.60}); get it again"
        ) from None
    if content_digest(found) != table.digest:
        raise CorruptFile(f"the values in {lines} are not the published ones; get the file again")
    return found, {str(lines): sha256(lines)}


def load_hwgpt_s() -> ArchDataset:
    """The 10,000 networks of scale s; see :func:`load_hwgpt_l`."""
    return _load("s")


def load_hwgpt_l() -> ArchDataset:
    """The 429 networks of scale l; the default label is ``openwebtext/val_negative_perplexity/oneshot``.

    Perplexity is better the lower it is, and labels are ranked from high to low: the label is its negative.
    All are one-shot: parts of one trained supernet, without a training of their own.

    Raises:
        DataNotFound: the table is not under the data root.
        CorruptFile: the table is damaged or does not hold the published values.
    """
    return _load("l")


def _load(scale: Scale) -> ArchDataset:
    table, files = _read(scale)
    space = HWGPT(scale=scale)
    columns = [table[name].tolist() for name in ("embed_dim", "bias", "layers", "heads", "mlp_ratio")]
    networks = [
        {
            "embed_dim": embedding,
            "bias": bias,
            "blocks": {"layers": layers, "heads": heads, "mlp_ratio": ratios},
        }
        for embedding, bias, layers, heads, ratios in zip(*columns, strict=True)
    ]
    name = f"hwgpt-{scale}"
    labels = {
        LABEL: -table["perplexity"],
        "openwebtext/val_next_token_accuracy/oneshot": table["next_token_accuracy"],
    }
    return ArchDataset(
        name=name,
        graphs=space.parse(networks),
        label=LABEL,
        **labelled(name, labels),
        duplicates="none",
        provenance=provenance(name, files),
    )


# -- from the lists of networks in its repository ------------------------------------------------------------

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


# -- cells and chains as flat tables -------------------------------------------------------------------------


def _flat(name: str) -> ArchDataset:
    """A data set whose architectures are choices of one operation at each of a number of places.

    Labels, groups and provenance are those of the data set.
    """
    dataset = archenc.load_dataset(name)
    space = dataset.space
    assert isinstance(space, CellSpace)
    numbers = space.to_ops(dataset.graphs)
    places = {"layers": numbers.shape[1], "attributes": {"op": list(space.operations)}}
    choices = StageSpace(f"{space.name}-choices", stages={"places": places})
    return replace(dataset, name=f"{name}-choices", graphs=choices.from_choices(numbers))


def load_nasbench201() -> ArchDataset:
    """``nasbench201`` as one choice of an operation for each of 6 places; its wiring is not to be seen."""
    return _flat("nasbench201")


def load_nasbench_macro() -> ArchDataset:
    """``nasbench-macro`` as one choice of a block for each of 8 places."""
    return _flat("nasbench-macro")


def load_transnas101() -> ArchDataset:
    """``transnas101-micro`` as one choice of an operation for each of 6 places."""
    return _flat("transnas101-micro")
