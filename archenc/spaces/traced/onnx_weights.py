"""Weights that an ONNX file keeps in files beside it: only what shapes are made of is opened, and nothing
outside its folder.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

from archenc.errors import CorruptFile, InvalidParameter
from archenc.files.trusted import inside
from archenc.spaces.traced.onnx_values import SMALL

_REMEDY = "export the network again, with its weights beside it or inside it"


def detach_weights(onnx: ModuleType, model: Any, path: Path) -> dict[str, Any]:
    """Make a model one that needs no other file, and give the weights that were left out of it by name.

    Small tensors, which may be shapes or axes, are read into the model. Of a larger weight only the header is
    used: it becomes an input of the same type and shape, and its data is not opened and need not be there.

    Args:
        onnx: the package.
        model: what the file holds; it is changed.
        path: the file; others are named relative to its folder.

    Raises:
        CorruptFile: data outside the folder of the file, of another size than the model says, or not there
            though it is needed.
    """
    graph, external = model.graph, onnx.TensorProto.EXTERNAL
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.t.data_location == external:
                _read(onnx, attribute.t, path)
    detached = {}
    for tensor in [tensor for tensor in graph.initializer if tensor.data_location == external]:
        if math.prod(tensor.dims) <= SMALL:
            _read(onnx, tensor, path)
        else:
            _place(tensor, path)
            detached[tensor.name] = tensor
    inputs = {value.name for value in graph.input}
    graph.input.extend(
        onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
        for name, tensor in detached.items()
        if name not in inputs
    )
    inline = [tensor for tensor in graph.initializer if tensor.name not in detached]
    del graph.initializer[:]
    graph.initializer.extend(inline)
    return detached


def _place(tensor: Any, path: Path) -> tuple[Path, int]:
    """The file of a tensor's data, which must lie in the folder of the model, and where in it the data
    begins.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        return inside(path.parent, entries.get("location", "")), int(entries.get("offset") or 0)
    except (
        InvalidParameter,
        OSError,
        TypeError,
        ValueError,
    ):  # of links in a circle, too, and of text that is no UTF-8
        where = f"{entries.get('location', '')!r:.120} at {entries.get('offset', '0')!r:.20}"
        raise CorruptFile(
            f"the file {path} looks for the weights {tensor.name!r:.80} in {where}, which is no place in its "
            f"own folder; {_REMEDY}"
        ) from None


def _read(onnx: ModuleType, tensor: Any, path: Path) -> None:
    """Take the data of a small tensor into the model."""
    place, offset = _place(tensor, path)
    what = f"the tensor {tensor.name!r:.80} of the file {path}"
    count = math.prod(tensor.dims)
    if count > SMALL or any(size < 0 for size in tensor.dims):
        raise CorruptFile(
            f"{what} is in another file, and with the shape {tuple(tensor.dims)} it is no small constant; "
            f"{_REMEDY}"
        )
    try:
        size = count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
        if not place.is_file():  # a pipe or a device would never end
            raise FileNotFoundError
        with open(place, "rb") as stream:
            stream.seek(offset)
            data = stream.read(size)
    except (KeyError, OSError, OverflowError, TypeError, ValueError):
        raise CorruptFile(f"{what} cannot be read from {place}; {_REMEDY}") from None
    if len(data) != size:
        raise CorruptFile(
            f"{what} should have {size} bytes at {offset} of {place}, which has {len(data)}; {_REMEDY}"
        )
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT
    tensor.raw_data = data
