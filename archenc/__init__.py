"""archenc turns an architecture into a vector and a vector into a rank."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from archenc.files.version import __version__ as __version__
from archenc.registry import (
    DATASETS,
    ENCODERS,
    HEADS,
    LOSSES,
    SPACES,
    STRATEGIES,
    create_encoder,
    create_space,
)

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset
    from archenc.dataset.loading import load_dataset
    from archenc.encoder import Encoder
    from archenc.graphs import ArchGraphs
    from archenc.heads.base import Head
    from archenc.losses import Loss
    from archenc.predictor import Predictor
    from archenc.predictor.automatic import recommend
    from archenc.pretraining import PretrainableEncoder, pretrain
    from archenc.pretraining.embeddings import Embeddings, load_embeddings
    from archenc.pretraining.weights import load_pretrained
    from archenc.search.explain import explain
    from archenc.search.search import Search, create_search, load_search
    from archenc.search.suggest import suggest
    from archenc.spaces.base import Space
    from archenc.spaces.cell import CellSpace

_LAZY = {  # heavy names are imported when first asked for, so that `import archenc` stays fast
    "ArchDataset": "archenc.dataset",
    "ArchGraphs": "archenc.graphs",
    "CellSpace": "archenc.spaces.cell",
    "Embeddings": "archenc.pretraining.embeddings",
    "Encoder": "archenc.encoder",
    "Head": "archenc.heads.base",
    "Loss": "archenc.losses",
    "Predictor": "archenc.predictor",
    "PretrainableEncoder": "archenc.pretraining",
    "Search": "archenc.search.search",
    "Space": "archenc.spaces.base",
    "create_search": "archenc.search.search",
    "explain": "archenc.search.explain",
    "load_dataset": "archenc.dataset.loading",
    "load_embeddings": "archenc.pretraining.embeddings",
    "load_pretrained": "archenc.pretraining.weights",
    "load_search": "archenc.search.search",
    "pretrain": "archenc.pretraining",
    "recommend": "archenc.predictor.automatic",
    "suggest": "archenc.search.suggest",
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


def list_strategies() -> list[str]:
    """Names of all search strategies."""
    return STRATEGIES.names()


def list_pretrained() -> list[str]:
    """Names of all pretrained weights."""
    from archenc.pretraining.weights import pretrained_folders

    return list(pretrained_folders())


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
    "Search",
    "Space",
    "__version__",
    "create_encoder",
    "create_search",
    "create_space",
    "explain",
    "list_datasets",
    "list_encoders",
    "list_heads",
    "list_losses",
    "list_pretrained",
    "list_spaces",
    "list_strategies",
    "load_dataset",
    "load_embeddings",
    "load_pretrained",
    "load_search",
    "pretrain",
    "recommend",
    "suggest",
]
