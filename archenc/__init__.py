"""archenc turns an architecture into a vector and a vector into a rank."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from archenc.registry import DATASETS, ENCODERS, HEADS, LOSSES, SPACES

if TYPE_CHECKING:
    from archenc.automatic import recommend
    from archenc.dataset import ArchDataset, Dedup
    from archenc.encoder import Encoder
    from archenc.graphs import ArchGraphs
    from archenc.heads.base import Head
    from archenc.losses import Loss
    from archenc.predictor import Predictor
    from archenc.pretrained import Embeddings, load_embeddings, load_pretrained
    from archenc.pretraining import PretrainableEncoder, pretrain
    from archenc.spaces.base import Space
    from archenc.spaces.cell import CellSpace

__version__ = "0.1.0"

_LAZY = {  # heavy names are imported when first asked for, so that `import archenc` stays fast
    "ArchDataset": "archenc.dataset",
    "ArchGraphs": "archenc.graphs",
    "CellSpace": "archenc.spaces.cell",
    "Embeddings": "archenc.pretrained",
    "Encoder": "archenc.encoder",
    "Head": "archenc.heads.base",
    "Loss": "archenc.losses",
    "Predictor": "archenc.predictor",
    "PretrainableEncoder": "archenc.pretraining",
    "Space": "archenc.spaces.base",
    "load_embeddings": "archenc.pretrained",
    "load_pretrained": "archenc.pretrained",
    "pretrain": "archenc.pretraining",
    "recommend": "archenc.automatic",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'archenc' has no attribute {name!r}")


def list_encoders() -> list[str]:
    """Names of all encoders, built-in and installed by others."""
    return ENCODERS.names()


def list_heads() -> list[str]:
    """Names of all heads."""
    return HEADS.names()


def list_losses() -> list[str]:
    """Names of all losses."""
    return LOSSES.names()


def list_spaces() -> list[str]:
    """Names of all search spaces."""
    return SPACES.names()


def list_datasets() -> list[str]:
    """Names of all data sets."""
    return DATASETS.names()


def list_pretrained() -> list[str]:
    """Names of all pretrained weights."""
    from archenc.pretrained import pretrained_folders

    return list(pretrained_folders())


def create_space(name: str, **parameters: Any) -> Space:
    """Build a search space by name; raises :class:`archenc.errors.InvalidParameter` for parameters that describe none."""
    from archenc.parameters import build

    space: Space = build("space", name, SPACES.get(name), **parameters)
    return space


def create_encoder(name: str, space: Space, **hyperparameters: Any) -> Encoder:
    """Build an encoder by name for a space; raises :class:`archenc.errors.InvalidParameter` for a hyper-parameter it does not have."""
    from archenc.parameters import build

    encoder: Encoder = build("encoder", name, ENCODERS.get(name), space, **hyperparameters)
    return encoder


def load_dataset(name: str, label: str | None = None, *, dedup: Dedup = "keep", **options: Any) -> ArchDataset:
    """Load a data set by name, with ``label`` selected instead of its default one.

    Isomorphic architectures stay rows of their own (``dedup="keep"``), or become one row with the labels of the ``"first"`` of them or
    the ``"mean"`` of all; see :meth:`archenc.dataset.ArchDataset.deduplicated`.

    The first time, a terminal is told what to cite (:func:`archenc.citations.remind`).
    """
    from archenc.citations import remind
    from archenc.parameters import build

    dataset: ArchDataset = build("data set", name, DATASETS.get(name), **options)
    remind(dataset)
    dataset = dataset.deduplicated(dedup)
    return dataset if label is None else dataset.with_label(label)


__all__ = [
    "ArchDataset",
    "ArchGraphs",
    "CellSpace",
    "Embeddings",
    "Encoder",
    "Head",
    "Loss",
    "Predictor",
    "PretrainableEncoder",
    "Space",
    "__version__",
    "create_encoder",
    "create_space",
    "list_datasets",
    "list_encoders",
    "list_heads",
    "list_losses",
    "list_pretrained",
    "list_spaces",
    "load_dataset",
    "load_embeddings",
    "load_pretrained",
    "pretrain",
    "recommend",
]
