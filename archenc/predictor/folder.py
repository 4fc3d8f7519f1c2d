"""A fitted predictor as a folder: ``predictor.json`` (what it is) and ``weights.safetensors`` (what it
learnt).

Nothing is pickled. The JSON holds the checksum of the weights, and a folder that holds an older predictor is,
at every moment, that of the older or of the new one: the new weights first lie beside the old ones, under a
name with their checksum, and the moment the new JSON appears, they are the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import torch

from archenc.errors import CorruptFile, DataNotFound, InvalidParameter
from archenc.files.documents import Digest, Record, Text, read_json, record
from archenc.files.sealed import as_large_as, load_state, pack, read_arrays, rebuilding, state_arrays, under
from archenc.files.trusted import atomic_write, write_json, writing
from archenc.files.version import __version__
from archenc.heads.base import NeuralHead
from archenc.predictor.companions import Companion, Scale
from archenc.predictor.fitted import FittedPredictor
from archenc.predictor.parts import build_encoder, build_head, build_loss, head_is_neural
from archenc.pretraining.folder import SpaceConfig
from archenc.pretraining.weights import FrozenEncoder
from archenc.spaces import from_config
from archenc.torch_state import own_state
from archenc.training import Network, Standardise
from archenc.training import targets as labels
from archenc.training.side_information import SideInformation
from archenc.training.targets import ColumnTransforms

P = TypeVar("P", bound=FittedPredictor)

FORMAT = 1
DESCRIPTION, WEIGHTS = "predictor.json", "weights.safetensors"
MAX_DESCRIPTION = 2**20
"""Bytes of ``predictor.json``."""
REMEDY = "train and save the predictor again"


class SavedCompanion(Record):
    """A companion in ``predictor.json``, of the space of its predictor."""

    parameters: dict[str, Any]
    head: dict[str, Any]
    scale: Scale


class Description(Record):
    """``predictor.json``; the parameters are checked by the rules of the parts whose they are."""

    format: Literal[1]
    archenc: Text
    parameters: dict[str, Any]
    space: SpaceConfig
    head: dict[str, Any]
    weights_sha256: Digest
    simplified: bool = False
    companions: tuple[SavedCompanion, ...] = ()


# -- saving --------------------------------------------------------------------------------------------------


def save_predictor(predictor: FittedPredictor, folder: str | Path) -> Path:
    """Write a fitted predictor; see the module's docstring.

    Raises:
        InvalidParameter: what is given is not the name of a folder.
        CannotWrite: the folder cannot be made or written; an older predictor in it is as it was.
    """
    place = _as_path(folder)
    arrays, values = _learnt(predictor)
    beside = []
    for at, companion in enumerate(predictor.companions_):
        learnt, head = _learnt(companion.predictor)
        arrays |= {f"companion-{at}.{name}": array for name, array in learnt.items()}
        parameters = companion.predictor.fitted_params_
        beside.append({"parameters": parameters, "head": head, "scale": msgspec.to_builtins(companion.scale)})
    content, digest = pack(arrays)
    with writing(place):
        if place.exists() and not place.is_dir():
            raise InvalidParameter(f"{place} is a file; give the name of a folder for the predictor")
        place.mkdir(parents=True, exist_ok=True)
        with atomic_write(place / _staged(digest)) as temporary:
            temporary.write_bytes(content)
        description = _description(predictor, values, digest) | {"companions": beside}
        write_json(place / DESCRIPTION, description, sort_keys=False)  # parts and members are in an order
        (place / _staged(digest)).replace(place / WEIGHTS)
        for left_over in place.glob(_staged("?" * 64)):  # of a save that was killed
            left_over.unlink()
    return place


def _as_path(folder: str | Path) -> Path:
    if not isinstance(folder, str | Path) or "\0" in str(folder):
        raise InvalidParameter(f"{folder!r:.80} is not the name of a folder; give its path")
    return Path(folder)


def _staged(digest: str) -> str:
    """The name of new weights as long as older ones have theirs."""
    return f"weights-{digest}.safetensors"


def _learnt(predictor: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON values."""
    arrays = {f"labels.{name}": array for name, array in predictor.labels_.arrays.items()}
    arrays |= {f"side.{name}": array for name, array in predictor.side_.arrays.items()}
    if isinstance(predictor.head_, NeuralHead):
        frozen = (
            state_arrays(predictor.encoder_, "encoder")
            if isinstance(predictor.encoder_, FrozenEncoder)
            else {}
        )
        return {**state_arrays(predictor.network_, "network"), **frozen, **arrays}, {}
    learnt, values = predictor.head_.state()
    arrays |= {f"head.{name}": array for name, array in learnt.items()}
    return {**state_arrays(predictor.encoder_, "encoder"), **arrays}, values


def _description(predictor: FittedPredictor, values: dict[str, Any], digest: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "archenc": __version__,
        "parameters": predictor.fitted_params_,
        "space": predictor.space_.config(),
        "simplified": predictor.simplified_,
        "head": values,
        "weights_sha256": digest,
    }


# -- loading -------------------------------------------------------------------------------------------------


def load_predictor(kind: type[P], folder: str | Path, device: str | None = None) -> P:
    """Read what :func:`save_predictor` wrote, whoever sent it.

    Args:
        kind: the class of the predictor.
        folder: where it lies.
        device: where it predicts, if not where it was trained.

    Raises:
        DataNotFound: no predictor lies there.
        CorruptFile: files that are damaged, from another version of the format, or do not belong together;
            parameters that :meth:`archenc.Predictor.fit` would refuse; a device that is not here.
    """
    place = _as_path(folder)
    path = place / DESCRIPTION
    if not path.is_file():
        raise DataNotFound(
            f"there is no predictor in {place} ({DESCRIPTION} is missing); give the folder that 'archenc "
            "train --out' wrote"
        )
    description = record(
        read_json(path, MAX_DESCRIPTION), Description, str(path), f"{REMEDY} with archenc {__version__}"
    )
    staged = place / _staged(description.weights_sha256)
    arrays = read_arrays(staged if staged.is_file() else place / WEIGHTS, description.weights_sha256, REMEDY)
    with rebuilding(path, REMEDY):
        predictor = _rebuild(kind, description, description, arrays, device)
        for at, saved in enumerate(description.companions):
            companion = _rebuild(kind, description, saved, under(f"companion-{at}", arrays), device)
            predictor.companions_.append(Companion(companion, saved.scale))
        return predictor


def _rebuild(
    kind: type[P],
    description: Description,
    saved: Description | SavedCompanion,
    arrays: dict[str, np.ndarray],
    device: str | None,
) -> P:
    """The predictor of a description, without companions, or one of its companions."""
    predictor = _blank(kind, description, saved.parameters, device)
    predictor.labels_ = labels.restore(under("labels", arrays))
    predictor.side_ = SideInformation.restore(under("side", arrays))
    with own_state(seed=0), as_large_as(arrays.values()):
        used = predictor.fitted_params_
        predictor.encoder_ = build_encoder(used, predictor.space_).eval()
        if head_is_neural(used):
            _restore_network(predictor, arrays)
        else:
            load_state(predictor.encoder_, under("encoder", arrays))
            head: Any = build_head(used, predictor.loss_, random_state=0)
            predictor.head_ = head.restore(under("head", arrays), saved.head)
    predictor.encoder_.to(predictor.fitted_params_["device"])
    _check_sizes(predictor)
    return predictor


def _blank(kind: type[P], description: Description, parameters: dict[str, Any], device: str | None) -> P:
    """The predictor before it learnt anything; its parameters are fine."""
    parameters = parameters | ({} if device is None else {"device": device})
    unknown = sorted(parameters.keys() - kind._get_param_names())
    if unknown:
        raise CorruptFile(f"'parameters': unknown key {unknown[0][:60]!r}; {REMEDY}")
    space = from_config({"name": description.space.name, "parameters": description.space.parameters})
    if parameters.get("space") is not None:
        if parameters["space"] != space.config():
            raise CorruptFile(f"'parameters': 'space' is not the space of the predictor; {REMEDY}")
        parameters["space"] = space
    predictor = kind(**parameters)
    predictor.fitted_params_ = predictor.checked_parameters()
    predictor.space_ = space
    predictor.simplified_ = description.simplified
    predictor.loss_ = build_loss(predictor.fitted_params_)
    predictor.companions_ = []
    return predictor


def _restore_network(predictor: FittedPredictor, arrays: dict[str, np.ndarray]) -> None:
    if isinstance(predictor.encoder_, FrozenEncoder):
        load_state(predictor.encoder_, under("encoder", arrays))
    dim = predictor.encoder_.dim + predictor.side_.dim
    predictor.head_ = build_head(predictor.fitted_params_, predictor.loss_, dim)
    first = Standardise(torch.zeros(1, dim)) if predictor.encoder_.fixed else predictor.encoder_
    predictor.network_ = Network(first, predictor.head_)
    load_state(predictor.network_, under("network", arrays))
    predictor.network_.to(predictor.fitted_params_["device"]).eval()


def _check_sizes(predictor: FittedPredictor) -> None:
    """Raise :class:`CorruptFile` unless labels, head and encoder go together."""
    outputs, dim = predictor.head_.outputs, predictor.encoder_.dim + predictor.side_.dim
    columns = len(predictor.labels_.columns) if isinstance(predictor.labels_, ColumnTransforms) else 1
    if columns != outputs or outputs not in (1, predictor.encoder_.parts):
        raise CorruptFile(f"the labels have {columns} columns and the head {outputs} outputs; {REMEDY}")
    if not isinstance(predictor.head_, NeuralHead) and not predictor.head_.takes(dim):
        raise CorruptFile(
            f"the head was not fitted on encodings of {dim} numbers, which the encoder gives; {REMEDY}"
        )
    if predictor.side_.dim and not predictor.encoder_.fixed:
        raise CorruptFile(f"a learned encoder has no place for side information; {REMEDY}")
