"""ONNX files to graphs of operations."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from archenc.errors import CorruptFile, DataNotFound, InvalidArchitecture
from archenc.files.text import visible
from archenc.files.trusted import read_bytes
from archenc.graphs import ArchGraphs
from archenc.spaces.traced import vocabulary
from archenc.spaces.traced.counting import count_einsum
from archenc.spaces.traced.network import Drawing, Network, Operation, Shape, draw, unknown
from archenc.spaces.traced.onnx_values import Values
from archenc.spaces.traced.onnx_weights import detach_weights
from archenc.spaces.traced.space import OperationSpace
from archenc.spaces.traced.vocabulary import CONSTANT, ONNX, OTHER

MAX_BYTES = 2**31 - 1  # no ONNX file is larger: weights beyond lie in files of their own
MAX_OPERATIONS = 20_000
_CONVOLUTIONS = {"Conv", "ConvTranspose"}  # whose kinds depend on their weights
_STATISTICS = {"BatchNormalization": slice(3, 5)}  # inputs that are measured, not learnt


def from_onnx(path: str | os.PathLike[str], *, space: OperationSpace | None = None) -> ArchGraphs:
    """An ONNX file as a graph of its operations, with the vocabulary and features of
    :func:`archenc.spaces.from_module`.

    The file is untrusted input: it is parsed as a protocol buffer and never run. Of weights that it keeps in
    files beside it only tensors of a few elements are read, which may be shapes; a location outside the
    file's folder, by an absolute path, ``..`` or a symbolic link, is refused. Floating-point initialisers
    count as parameters, except scalars and a batch normalisation's running mean and variance; dimensions of
    an input without a size are taken as 1. A file holds what its exporter left: batch normalisations, for
    example, are often folded into convolutions.

    Args:
        path: the file.
        space: the space of the graph; None for the default ``OperationSpace()``.

    Raises:
        DataNotFound: the file cannot be read, or the package ``onnx`` is not installed.
        CorruptFile: it is no ONNX file, or one whose weights lie elsewhere than beside it.
        InvalidArchitecture: branches, operations that have no name here, shapes that cannot be inferred, or
            more nodes than the space allows.
    """
    space = OperationSpace() if space is None else space
    return space.place([read_drawing(path)])


def read_drawing(path: str | os.PathLike[str]) -> Drawing:
    """The graph of an ONNX file, not yet in a space; raises what :func:`from_onnx` raises."""
    onnx = _onnx()
    content = read_bytes(path, MAX_BYTES)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # of protobuf, which has no class of its own for it
        raise _no_onnx_file(path, error) from None
    try:
        _check_extent(onnx, model)
        weights = _weights(onnx, model)
        detached = detach_weights(onnx, model, Path(path))
        try:
            onnx.checker.check_model(model, full_check=False)
        except Exception as error:  # of the checker and of protobuf, which have no common base
            raise _no_onnx_file(path, error) from None
        return draw(_read_model(onnx, model, weights, detached))
    except InvalidArchitecture as error:
        raise InvalidArchitecture(f"{visible(Path(path).name)}: {visible(str(error))}") from None


def _no_onnx_file(path: str | os.PathLike[str], error: Exception) -> CorruptFile:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return CorruptFile(
        f"the file {path} is no valid ONNX file ({visible(reason):.200}); export the network again"
    )


def _onnx() -> ModuleType:
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
        import onnx.reference
        import onnx.shape_inference
    except ImportError:
        raise DataNotFound(
            "ONNX files need the package onnx, which is not installed; run: pip install 'archenc[onnx]'"
        ) from None
    module: ModuleType = onnx
    return module


def _check_extent(onnx: ModuleType, model: Any) -> None:
    """Refuse what is no single graph of a moderate size before anything is made of it."""
    graph = model.graph
    if len(graph.node) > MAX_OPERATIONS:
        raise InvalidArchitecture(
            f"it has {len(graph.node):,} operations, more than the {MAX_OPERATIONS:,} that are read; export "
            "a part"
        )
    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise InvalidArchitecture(
                f"the operation {node.op_type} makes it no single graph; export the network without control "
                "flow"
            )
    if graph.sparse_initializer:
        raise InvalidArchitecture(
            f"the weights {graph.sparse_initializer[0].values.name!r:.80} are sparse; export them as a dense "
            "tensor"
        )
    for value in graph.input:
        if not value.type.HasField("tensor_type"):
            raise InvalidArchitecture(
                f"the input {value.name!r:.80} is no tensor; export the network with tensors as inputs"
            )
        for size in value.type.tensor_type.shape.dim:
            if size.dim_value < 0:
                raise InvalidArchitecture(
                    f"the input {value.name!r:.80} has a size of {size.dim_value}; export it with fixed sizes"
                )
            size.dim_value = size.dim_value or 1


def _weights(onnx: ModuleType, model: Any) -> dict[str, int]:
    """The number of elements of the floating-point initialisers but scalars, wherever their data lies."""
    floating = {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
    }
    tensors = [
        tensor for tensor in model.graph.initializer if tensor.data_type in floating and len(tensor.dims)
    ]
    return {tensor.name: math.prod(tensor.dims) for tensor in tensors}


def _read_model(
    onnx: ModuleType, model: Any, parameters: dict[str, int], detached: Collection[str]
) -> Network:
    graph = model.graph
    values = Values(onnx, model)
    weights = {tensor.name for tensor in graph.initializer} | set(detached)
    network = Network(outputs=[value.name for value in graph.output], parameters=parameters)
    network.inputs = {
        value.name: values.shape(value.name) or () for value in graph.input if value.name not in weights
    }
    for node in graph.node:
        values.follow(node)
        network.operations.append(_operation(onnx, node, values, weights))
    return network


def _operation(onnx: ModuleType, node: Any, values: Values, weights: Collection[str]) -> Operation:
    given = list(node.input)
    for place in range(*_STATISTICS.get(node.op_type, slice(0)).indices(len(given))):
        given[place] = ""
    plain = Operation(
        OTHER, tuple(name for name in given if name), tuple(name for name in node.output if name), (), 0
    )
    if node.domain not in ("", "ai.onnx") or node.op_type not in ONNX.keys() | _CONVOLUTIONS:
        return plain._replace(fault=unknown(f"{node.domain}::{node.op_type}".removeprefix("::")))
    if ONNX.get(node.op_type) == CONSTANT:
        return plain._replace(kind=CONSTANT)
    for name in (*given, *plain.outputs[:1]):
        if values.shape(name) is None:
            what = f"the shape of {name!r:.80} at the operation {node.op_type}"
            return plain._replace(
                fault=f"{what} depends on data or cannot be inferred; export it with fixed sizes"
            )
    read = [values.shape(name) or () for name in given]
    shape = values.shape(plain.outputs[0]) or () if plain.outputs else ()
    try:
        attributes = {
            attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
        }
        kind = _kind(node, attributes, read, shape, weights, values)
        return plain._replace(kind=kind, shape=shape, flops=_multiply_adds(kind, attributes, read, shape))
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
        raise InvalidArchitecture(
            f"the inputs and attributes of the operation {node.op_type} {node.name!r:.80} do not fit "
            "together; export the network again"
        ) from None


def _multiply_adds(kind: str, attributes: dict[str, Any], read: Sequence[Shape], shape: Shape) -> int:
    if "equation" in attributes:
        return count_einsum(attributes["equation"].decode(), read)
    if kind == "linear" and attributes.get("transA"):
        read = [read[0][::-1], *read[1:]]
    if kind in ("lstm", "gru", "rnn"):
        return vocabulary.multiply_adds(kind, read[:3], shape)
    return vocabulary.multiply_adds(kind, read, shape)


def _kind(
    node: Any,
    attributes: dict[str, Any],
    read: Sequence[Shape],
    shape: Shape,
    weights: Collection[str],
    values: Values,
) -> str:
    name = node.op_type
    if name == "Conv":
        return vocabulary.convolution(read[1], attributes.get("group", 1), attributes.get("dilations", [1]))
    if name == "ConvTranspose":
        return "conv_transpose"
    kind = ONNX[name]
    if name == "Gather" and node.input[0] in weights:
        return "embedding"
    if kind in ("avg_pool", "max_pool"):
        return vocabulary.pool(kind, read[0][2:], attributes["kernel_shape"], shape[2:])
    if kind in ("mean", "max") and name.startswith("Reduce"):
        axes = attributes.get("axes", values.constant(node.input[1]) if len(node.input) > 1 else None)
        return kind if axes is None else vocabulary.reduction(kind, len(read[0]), np.ravel(axes).tolist())
    if kind == "clamp":
        low, high = (_limit(node, attributes, values, place) for place in (1, 2))
        return {None: "relu", 6.0: "relu6"}.get(high, kind) if low == 0 else kind
    return kind


def _limit(node: Any, attributes: dict[str, Any], values: Values, place: int) -> float | None:
    """A limit of Clip: an attribute up to version 6 of the operation, an input of one element since version
    11.
    """
    old = attributes.get(("", "min", "max")[place])
    name = node.input[place] if len(node.input) > place else ""
    if old is not None or not name:
        return old
    value = values.constant(name)
    return math.nan if value is None else float(value.item())
