"""A folder of ONNX files as a space whose architectures are written as the names of its files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from archenc.errors import CorruptFile, InvalidArchitecture, InvalidParameter, read_each
from archenc.files.trusted import inside
from archenc.graphs import ArchGraphs
from archenc.spaces.base import as_sequence
from archenc.spaces.traced.network import Drawing
from archenc.spaces.traced.onnx_file import read_drawing
from archenc.spaces.traced.pytorch import fitting_space
from archenc.spaces.traced.space import OperationSpace


class ModelFiles(OperationSpace):
    """The space of operations, which here reads names of files.

    Args:
        folder: where they are.
        chosen: the space of the graphs; None for one that is just large enough for those that are read at
            once.

    Attributes:
        drawings: what was read, by name.
    """

    def __init__(self, folder: Path, chosen: OperationSpace | None) -> None:
        super().__init__()
        self.folder = folder
        self.chosen = chosen
        self.drawings: dict[str, Drawing] = {}

    def names(self) -> list[str]:
        """Of all ONNX files in the folder and its folders, sorted; raises :class:`InvalidParameter` for a
        folder without any.
        """
        found = sorted(
            path for path in self.folder.rglob("*") if path.suffix.lower() == ".onnx" and path.is_file()
        )
        if not found:
            raise InvalidParameter(
                f"there is no ONNX file in {self.folder}; export the models into that folder"
            )
        return [path.relative_to(self.folder).as_posix() for path in found]

    def parse(self, architectures: Any) -> ArchGraphs:
        drawings = read_each(as_sequence(architectures), self._drawing)
        return (self.chosen or fitting_space(drawings)).place(drawings)

    def _drawing(self, name: Any, where: str) -> Drawing:
        if not isinstance(name, str):
            raise InvalidArchitecture(
                f"{where}: {name!r:.60} is no name of a file; give that of an ONNX file"
            )
        if name not in self.drawings:
            self.drawings[name] = self._read(name, where)
        return self.drawings[name]

    def _read(self, name: str, where: str) -> Drawing:
        try:
            path = inside(self.folder, name)
        except InvalidParameter:
            path = None
        if path is None or path.suffix.lower() != ".onnx":
            reason = (
                f"{name!r:.60} is no ONNX file inside {self.folder}; export the model as ONNX into that "
                "folder"
            )
            raise InvalidArchitecture(f"{where}: {reason}")
        if not os.path.isfile(path):  # unlike Path.is_file, for names of any length
            raise InvalidArchitecture(
                f"{where}: there is no file {str(path)!r:.160}; put it there or drop the row"
            )
        try:
            return read_drawing(path)
        except (CorruptFile, InvalidArchitecture) as error:
            raise InvalidArchitecture(f"{where}: {error}") from None
