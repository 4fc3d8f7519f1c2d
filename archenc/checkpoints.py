"""The folder of a pretraining: checkpoints while it runs, then weights, embeddings and a card.

A checkpoint is a safetensors file and ``checkpoint.json``, which is written last and holds the other's name and checksum: the moment
it appears under its name, the new checkpoint takes the place of the one before, whose tensors are removed only then. The card
``pretraining.json`` does the same for the finished weights and embeddings. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from archenc.documents import read_json
from archenc.errors import ArchencError, CannotWrite, CorruptFile, DataNotFound, InvalidParameter
from archenc.files import atomic_write, inside, read_bytes, sha256, write_json

FORMAT = 1
CARD, WEIGHTS, EMBEDDINGS, CHECKPOINT = "pretraining.json", "weights.safetensors", "embeddings.safetensors", "checkpoint.json"
MAX_TENSOR_BYTES = 2**34
_LEFT_OVER = re.compile(r"\.(checkpoint(-\d+)?|weights|embeddings|pretraining)\.[0-9a-f]{8}\.(safetensors|json)")
_TRACKS = {"tracking.jsonl", "wandb"}


@dataclass(frozen=True)
class State:
    """What a pretraining depends on after ``epoch`` epochs: named tensors, and the measured values of each epoch."""

    epoch: int
    tensors: Mapping[str, Tensor]
    history: list[dict[str, float]]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors called ``prefix.name``, by ``name``."""
        return {name.removeprefix(f"{prefix}."): tensor for name, tensor in self.tensors.items() if name.startswith(f"{prefix}.")}


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
            raise InvalidParameter(f"{folder} holds {sorted(others)[0]!r} and no pretraining; choose a new or an empty folder")
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
                f"{self.folder} holds a pretraining with {name} = {was} instead of {wanted}{more}; "
                "choose another folder, delete this one, or give the settings it has to go on with it"
            )

    def card(self) -> dict[str, Any] | None:
        """The card of a finished pretraining, whose files are checked, or None."""
        if not (self.folder / CARD).is_file():
            return None
        card = read_description(self.folder / CARD)
        for name in (WEIGHTS, EMBEDDINGS):
            check_sum(self.folder / name, card)
        with self._writing():
            self._remove_checkpoints()
        return card

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def read(self) -> State | None:
        """The last checkpoint, or None; raises :class:`CorruptFile` if it is not whole."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return None
        description = read_description(path)
        with self.rebuilding():
            name, epoch, history = description["tensors"], description["epoch"], description["history"]
            if re.fullmatch(r"checkpoint-\d+\.safetensors", name) is None or not len(history) == epoch:
                raise ValueError("its parts do not belong together")
        tensors = inside(self.folder, name)
        check_sum(tensors, description)
        return State(epoch, read_tensors(tensors), history)

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

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, weights: Mapping[str, Tensor], embeddings: Mapping[str, Tensor], card: dict[str, Any]) -> dict[str, Any]:
        """Write weights, embeddings and the card, remove the checkpoint, and give the card."""
        with self._writing():
            digests = {
                WEIGHTS: _write_tensors(self.folder / WEIGHTS, weights),
                EMBEDDINGS: _write_tensors(self.folder / EMBEDDINGS, embeddings),
            }
            write_json(self.folder / CARD, {"format": FORMAT, "settings": self.settings, **card, "sha256": digests})
            self._remove_checkpoints()
        return read_description(self.folder / CARD)

    # -- errors ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, ArchencError):
                raise
            raise CannotWrite(
                f"{error.filename or self.folder} cannot be written ({error.strerror or error}); make room or choose another folder, "
                "and give the same command again: it goes on after the last whole epoch"
            ) from error

    @contextlib.contextmanager
    def rebuilding(self) -> Iterator[None]:
        """What goes wrong inside means that the checkpoint is not what it should be."""
        try:
            yield
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError, IndexError) as error:
            if isinstance(error, ArchencError):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CorruptFile(
                f"the checkpoint in {self.folder} cannot be used ({reason:.120}); restore it, or delete the folder to start again"
            ) from error


def _is_ours(path: Path) -> bool:
    return path.name in _TRACKS or _LEFT_OVER.fullmatch(path.name) is not None or path.match("checkpoint-*.safetensors")


def _differences(held: Any, wanted: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Name and both values of each setting that differs."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        for key in sorted({*held, *wanted}):
            yield from _differences(held.get(key), wanted.get(key), f"{name}.{key}" if name else str(key))
    elif held != (list(wanted) if isinstance(wanted, tuple) else wanted):
        yield name, f"{held!r:.60}", f"{wanted!r:.60}"


# -- files ---------------------------------------------------------------------------------------------------------------


def read_description(path: Path) -> dict[str, Any]:
    """A card or ``checkpoint.json``; raises :class:`CorruptFile` if it is not one of this format."""
    description: Any = read_json(path)
    fits = isinstance(description, dict) and description.get("format") == FORMAT
    if not fits or not all(isinstance(description.get(part), dict) for part in ("settings", "sha256")):
        raise CorruptFile(f"{path} is not of a pretraining of format {FORMAT}; restore it, or pretrain again in another folder")
    found: dict[str, Any] = description
    return found


def check_sum(path: Path, description: Mapping[str, Any]) -> None:
    """Raise :class:`DataNotFound` or :class:`CorruptFile` unless the file has the checksum that its description states."""
    if not path.is_file():
        raise DataNotFound(f"{path} is missing; restore the whole folder, or pretrain again in another one")
    if sha256(path) != description["sha256"].get(path.name):
        raise CorruptFile(f"{path} does not have the checksum that was written with it; restore it, or pretrain again in another folder")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; raises :class:`CorruptFile` if it is not whole."""
    try:
        tensors: dict[str, Tensor] = load_tensors(read_bytes(path, MAX_TENSOR_BYTES))
    except SafetensorError as error:
        reason = (str(error).splitlines() or ["no detail"])[0]
        raise CorruptFile(f"{path} is not a whole safetensors file ({reason:.120}); restore it, or pretrain again") from error
    return tensors


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file, whole or not at all, and give its SHA-256."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(dump_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
        return sha256(temporary)
