"""What a pretraining left behind: encoders with their weights, and embeddings of whole spaces.

Weights have a place, the folder of their pretraining, or a name: the entry points of the group
``archenc.pretrained`` are packages whose folders, each with ``pretraining.json`` and ``weights.safetensors``,
are the names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from archenc.encoder import Encoder
from archenc.errors import DataNotFound, UnknownName, hint
from archenc.files.sealed import as_large_as, load_state, rebuilding
from archenc.graphs import ArchGraphs
from archenc.pretraining.folder import CARD, REMEDY, WEIGHTS, read_described, read_description
from archenc.registry import create_encoder, declared, normalise
from archenc.spaces import from_config
from archenc.torch_state import own_state

# -- where ---------------------------------------------------------------------------------------------------


def pretrained_folders() -> dict[str, Path]:
    """The folder of every name, sorted."""
    folders: dict[str, Path] = {}
    for point in declared("archenc.pretrained"):
        package = Path(point.load().__file__).parent
        folders |= {path.parent.name: path.parent for path in package.glob(f"*/{CARD}")}
    return dict(sorted(folders.items()))


def pretrained_folder(folder_or_name: str | Path) -> Path:
    """The folder of pretrained weights; raises :class:`UnknownName` if it is neither a name nor a folder that
    holds some.
    """
    names = pretrained_folders()
    if isinstance(folder_or_name, str) and normalise(folder_or_name) in names:
        return names[normalise(folder_or_name)]
    folder = Path(folder_or_name)
    if (folder / CARD).is_file():
        return folder
    if folder.is_dir():
        raise DataNotFound(
            f"there is no finished pretraining in {folder} ({CARD} is missing); give the folder of 'archenc "
            "pretrain --out'"
        )
    otherwise = "give a folder of 'archenc pretrain --out', or a name of 'archenc list pretrained'"
    remedy = hint(folder_or_name, names, otherwise)
    raise UnknownName(f"there are no pretrained weights {str(folder_or_name)!r}; {remedy}")


def read_card(folder_or_name: str | Path) -> dict[str, Any]:
    """What is known of pretrained weights: settings, figures, history, seconds, machine."""
    return read_description(pretrained_folder(folder_or_name) / CARD)


def weights_checksum(folder_or_name: str | Path) -> str:
    """Hexadecimal SHA-256 of the weights, by which results made with them are told apart."""
    checksum: str = read_card(folder_or_name)["sha256"][WEIGHTS]
    return checksum


# -- encoders ------------------------------------------------------------------------------------------------


def load_pretrained(folder_or_name: str | Path) -> Encoder:
    """The encoder that was pretrained, on the CPU and in evaluation mode.

    Args:
        folder_or_name: the folder of a finished pretraining, or one of :func:`archenc.list_pretrained`.

    Raises:
        UnknownName, DataNotFound: there are no such weights.
        CorruptFile: they are damaged, or not those of the encoder that the card names.
    """
    folder = pretrained_folder(folder_or_name)
    card = read_description(folder / CARD)
    arrays = read_described(folder / WEIGHTS, card)
    settings = card["settings"]
    with rebuilding(folder / CARD, REMEDY), own_state(seed=0), as_large_as(arrays.values()):
        space = from_config(settings["space"])
        encoder = create_encoder(
            settings["encoder"], space, simplify=settings["simplify"], **settings["encoder_params"]
        )
        load_state(encoder, arrays)
    return encoder.eval()


class FrozenEncoder(Encoder):
    """An encoder whose weights no longer change, as a fixed encoding: the same architectures always get the
    same vectors.
    """

    fixed = True

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.space, simplify=encoder.simplify)
        self.form, self.cell_dim, self.parts = encoder.form, encoder.cell_dim, encoder.parts
        self.encoder = encoder.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stays in evaluation mode: no dropout, and no change of running statistics."""
        super().train(False)
        return self

    def prepare(self, graphs: ArchGraphs) -> ArchGraphs:
        return self.encoder.prepare(graphs)

    def encode_cells(self, graphs: ArchGraphs) -> Tensor:
        return self.encoder.encode_cells(graphs)
