"""The folder of a pretraining: checkpoints while it runs, then weights, embeddings and a card.

A checkpoint is a safetensors file and ``checkpoint.json``, which is written last and holds the other's name
and checksum: the moment it appears under its name, the new checkpoint takes the place of the one before,
whose tensors are removed only then. The card ``pretraining.json`` does the same for the finished weights and
embeddings. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor

from archenc.errors import ArchencError, CannotWrite, CorruptFile, InvalidParameter
from archenc.files.documents import Count, Digest, Name, Record, Seconds, Text, read_json, record
from archenc.files.sealed import read_arrays, rebuilding, under, write_arrays
from archenc.files.text import visible
from archenc.files.trusted import inside, write_json

FORMAT = 1
CARD, WEIGHTS, EMBEDDINGS, CHECKPOINT = (
    "pretraining.json",
    "weights.safetensors",
    "embeddings.safetensors",
    "checkpoint.json",
)
REMEDY = "restore it, or pretrain again in another folder"
_LEFT_OVER = re.compile(
    r"\.(checkpoint(-\d+)?|weights|embeddings|pretraining)\.[0-9a-f]{8}\.(safetensors|json)"
)
_TRACKS = {"tracking.jsonl", "wandb"}


@dataclass(frozen=True)
class State:
    """What a pretraining depends on after ``epoch`` epochs: named tensors, and the measured values of each
    epoch.
    """

    epoch: int
    tensors: Mapping[str, Tensor]
    history: list[dict[str, float]]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors called ``prefix.name``, by ``name``."""
        return under(prefix, self.tensors)


class PretrainingFolder:
    """Reads and writes the folder of the pretraining with these ``settings``.

    Raises:
        InvalidParameter: the folder holds a pretraining with other settings, or something else.
        CannotWrite: it cannot be made or written.
        CorruptFile: what says which pretraining it holds is damaged.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        if folder.exists() and not folder.is_dir():
            raise InvalidParameter(f"{folder} is a file; give the name of a folder for the pretraining")
        found = next((name for name in (CARD, CHECKPOINT) if (folder / name).is_file()), None)
        if found is not None:
            self._check_settings(folder / found)
        elif folder.is_dir() and (others := [path.name for path in folder.iterdir() if not _is_ours(path)]):
            raise InvalidParameter(
                f"{folder} holds {sorted(others)[0]!r} and no pretraining; choose a new or an empty folder"
            )
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if _LEFT_OVER.fullmatch(path.name):  # a process that was killed while it wrote
                    path.unlink()

    def _check_settings(self, path: Path) -> None:
        held = read_description(path)["settings"]
        differences = sorted(_differences(held, self.settings))
        if differences:
            name, was, wanted = differences[0]
            more = f" and {len(differences) - 1} more settings" if len(differences) > 1 else ""
            raise InvalidParameter(
                f"{self.folder} holds a pretraining with {visible(name[:80])} = {was} instead of "
                f"{wanted}{more}; "
                "choose another folder, delete this one, or give the settings it has to go on with it"
            )

    def card(self) -> dict[str, Any] | None:
        """The card of a finished pretraining, whose files are checked, or None."""
        if not (self.folder / CARD).is_file():
            return None
        card = read_description(self.folder / CARD)
        for name in (WEIGHTS, EMBEDDINGS):
            read_described(self.folder / name, card)
        with self._writing():
            self._remove_checkpoints()
        return card

    # -- checkpoints -----------------------------------------------------------------------------------------

    def read(self) -> State | None:
        """The last checkpoint, or None; raises :class:`CorruptFile` if it is not whole."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return None
        description = read_description(path)
        name, epoch, history = description["tensors"], description["epoch"], description["history"]
        if len(history) != epoch:
            raise CorruptFile(f"{path}: 'history' has {len(history)} epochs and 'epoch' is {epoch}; {REMEDY}")
        arrays = read_described(inside(self.folder, name), description)
        return State(epoch, {tensor: torch.from_numpy(array) for tensor, array in arrays.items()}, history)

    def write(self, state: State) -> None:
        """Replace the checkpoint by ``state``; when that fails, the one before is still there."""
        name = f"checkpoint-{state.epoch}.safetensors"
        with self._writing():
            digest = _write_tensors(self.folder / name, state.tensors)
            write_json(
                self.folder / CHECKPOINT,
                {
                    "format": FORMAT,
                    "settings": self.settings,
                    "epoch": state.epoch,
                    "history": state.history,
                    "tensors": name,
                    "sha256": {name: digest},
                },
            )
            self._remove_checkpoints(but=name)

    def _remove_checkpoints(self, but: str | None = None) -> None:
        if but is None:
            (self.folder / CHECKPOINT).unlink(missing_ok=True)
        for path in self.folder.glob("checkpoint-*.safetensors"):
            if path.name != but:
                path.unlink()

    # -- the end ---------------------------------------------------------------------------------------------

    def finish(
        self, weights: Mapping[str, Tensor], embeddings: Mapping[str, Tensor], card: dict[str, Any]
    ) -> dict[str, Any]:
        """Write weights, embeddings and the card, remove the checkpoint, and give the card."""
        with self._writing():
            digests = {
                WEIGHTS: _write_tensors(self.folder / WEIGHTS, weights),
                EMBEDDINGS: _write_tensors(self.folder / EMBEDDINGS, embeddings),
            }
            write_json(
                self.folder / CARD, {"format": FORMAT, "settings": self.settings, **card, "sha256": digests}
            )
            self._remove_checkpoints()
        return read_description(self.folder / CARD)

    # -- errors ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, ArchencError):
                raise
            raise CannotWrite(
                f"{error.filename or self.folder} cannot be written ({error.strerror or error}); make room "
                "or choose another folder, "
                "and give the same command again: it goes on after the last whole epoch"
            ) from error

    def rebuilding(self) -> contextlib.AbstractContextManager[None]:
        """What goes wrong inside means that the checkpoint is not what it should be."""
        return rebuilding(self.folder / CHECKPOINT, "restore it, or delete the folder to start again")


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    return write_arrays(path, {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()})


def _is_ours(path: Path) -> bool:
    return (
        path.name in _TRACKS
        or _LEFT_OVER.fullmatch(path.name) is not None
        or path.match("checkpoint-*.safetensors")
    )


def _differences(held: Any, wanted: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Name and both values of each setting that differs."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        for key in sorted({*held, *wanted}):
            yield from _differences(held.get(key), wanted.get(key), f"{name}.{key}" if name else str(key))
    elif held != (list(wanted) if isinstance(wanted, tuple) else wanted):
        yield name, f"{held!r:.60}", f"{wanted!r:.60}"


# -- descriptions --------------------------------------------------------------------------------------------


class SpaceConfig(Record):
    """What :func:`archenc.spaces.from_config` takes."""

    name: Name
    parameters: dict[str, Any]


class Settings(Record):
    """What a pretraining depends on; the parameters of encoder and space are checked by their own rules."""

    encoder: Name
    encoder_params: dict[str, Any]
    simplify: bool
    space: SpaceConfig
    data_sha256: Digest
    schedule: dict[str, Any]
    seed: int
    device: Text
    archenc: Text


class Card(Record):
    """``pretraining.json``."""

    format: Literal[1]
    settings: Settings
    sha256: dict[str, Digest]
    form: Literal["node", "edge"] | None
    history: list[dict[str, float]]
    figures: dict[str, float]
    seconds: dict[str, Seconds]
    dataset: Text | None
    command: Text | None
    architectures: Count
    machine: dict[str, Text | int | None]


class Checkpoint(Record):
    """``checkpoint.json``."""

    format: Literal[1]
    settings: Settings
    sha256: dict[str, Digest]
    epoch: Count
    history: list[dict[str, float]]
    tensors: Annotated[str, Meta(pattern=r"\Acheckpoint-\d{1,18}\.safetensors\Z")]


def read_description(path: Path) -> dict[str, Any]:
    """A card or ``checkpoint.json``, by its name; raises :class:`CorruptFile` if it is not one of this
    format.
    """
    description: dict[str, Any] = read_json(path)
    record(description, Card if path.name == CARD else Checkpoint, str(path), REMEDY)
    return description


def read_described(path: Path, description: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a file with the checksum that its description states; raises like
    :func:`archenc.files.sealed.read_arrays`.
    """
    return read_arrays(path, description["sha256"].get(path.name), REMEDY)
