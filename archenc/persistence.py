"""A fitted predictor as a folder: ``predictor.json`` (what it is) and ``weights.safetensors`` (what it learnt).

Nothing is pickled. Each file appears under its name only when it is whole, and the JSON, written last, holds the checksum of the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as dump_arrays

import archenc
from archenc import labels
from archenc.documents import read_json
from archenc.errors import CorruptFile, DataNotFound
from archenc.files import atomic_write, sha256, write_json
from archenc.heads.base import NeuralHead
from archenc.pretrained import FrozenEncoder
from archenc.spaces import from_config

if TYPE_CHECKING:
    from archenc.predictor import Predictor

FORMAT = 1
DESCRIPTION, WEIGHTS = "predictor.json", "weights.safetensors"


def save_predictor(predictor: Predictor, folder: Path) -> Path:
    """Write a fitted predictor; see the module's docstring."""
    arrays, values = _learnt(predictor)
    arrays |= {f"labels.{name}": array for name, array in predictor.labels_.arrays.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / WEIGHTS) as path:
        path.write_bytes(dump_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    write_json(
        folder / DESCRIPTION,
        {
            "format": FORMAT,
            "archenc": archenc.__version__,
            "parameters": predictor.fitted_params_,
            "space": predictor.space_.config(),
            "simplified": predictor.simplified_,
            "head": values,
            "weights_sha256": sha256(folder / WEIGHTS),
        },
    )
    return folder


def _learnt(predictor: Predictor) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    if isinstance(predictor.head_, NeuralHead):
        frozen = _tensors("encoder", predictor.encoder_) if isinstance(predictor.encoder_, FrozenEncoder) else {}
        return {**_tensors("network", predictor.network_), **frozen}, {}
    arrays, values = predictor.head_.state()
    return {**_tensors("encoder", predictor.encoder_), **{f"head.{name}": array for name, array in arrays.items()}}, values


def _tensors(prefix: str, module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def load_predictor(folder: Path) -> Predictor:
    """Read what :func:`save_predictor` wrote.

    Raises:
        DataNotFound: no predictor lies there.
        CorruptFile: files that are damaged, from another version of the format, or do not belong together.
    """
    description = _read_description(folder)
    try:
        return _rebuild(description, _read_weights(folder, description))
    except (KeyError, TypeError, RuntimeError) as error:
        if isinstance(error, archenc.errors.ArchencError):
            raise
        raise CorruptFile(
            f"{folder}: the predictor cannot be rebuilt ({type(error).__name__}: {_first_line(error)}); train and save it again"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else "no detail"


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataNotFound(
            f"there is no predictor in {folder} ({DESCRIPTION} is missing); give the folder that 'archenc train --out' wrote"
        )
    description = read_json(path)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise CorruptFile(f"{path} is not a predictor of format {FORMAT}; train and save it again with archenc {archenc.__version__}")
    return description


def _read_weights(folder: Path, description: dict[str, Any]) -> dict[str, np.ndarray]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise DataNotFound(f"{path} is missing; copy the whole folder that 'archenc train --out' wrote")
    if sha256(path) != description.get("weights_sha256"):
        raise CorruptFile(f"{path} does not have the checksum that {DESCRIPTION} states; train and save the predictor again")
    try:
        arrays: dict[str, np.ndarray] = load_arrays(path.read_bytes())
    except SafetensorError as error:
        raise CorruptFile(f"{path} is not a whole safetensors file ({_first_line(error)}); train and save the predictor again") from error
    return arrays


def _rebuild(description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Predictor:
    from archenc.predictor import Predictor
    from archenc.training import Network, Standardise

    predictor = Predictor(**description["parameters"])
    predictor.fitted_params_ = predictor._checked_parameters()
    predictor.space_ = from_config(description["space"])
    predictor.simplified_ = description.get("simplified", False)
    predictor.loss_ = predictor._build_loss()
    predictor.labels_ = labels.restore(_under("labels", arrays))
    predictor.encoder_ = predictor._build_encoder().eval()
    if isinstance(predictor.encoder_, FrozenEncoder):
        _restore(predictor.encoder_, "encoder", arrays)
    if predictor._head_is_neural():
        predictor.head_ = predictor._build_head(dim=predictor.encoder_.dim)
        first = Standardise(torch.zeros(1, predictor.encoder_.dim)) if predictor.encoder_.fixed else predictor.encoder_
        predictor.network_ = Network(first, predictor.head_)
        _restore(predictor.network_, "network", arrays)
        predictor.network_.eval()
    else:
        _restore(predictor.encoder_, "encoder", arrays)
        predictor.head_ = predictor._build_head(random_state=0).restore(_under("head", arrays), description["head"])
    return predictor


def _restore(module: torch.nn.Module, prefix: str, arrays: dict[str, np.ndarray]) -> None:
    module.load_state_dict({name: torch.as_tensor(array) for name, array in _under(prefix, arrays).items()})


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays called ``prefix.name``, by ``name``."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
