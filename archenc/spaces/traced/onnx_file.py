"""ONNX files to graphs of operations."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from archenc.errors import CorruptFile, DataNotFound, InvalidArchitecture
from archenc.files import read_bytes
from archenc.graphs import ArchGraphs
from archenc.spaces.traced import vocabulary
from archenc.spaces.traced.network import Drawing, Network, Operation, Shape, draw
from archenc.spaces.traced.space import OperationSpace
from archenc.spaces.traced.vocabulary import CONSTANT, ONNX, OTHER

MAX_BYTES = 2**31 - 1  # no ONNX file is larger: weights beyond lie in files of their own
_BRANCHES = {"If", "Loop", "Scan"}
_STATISTICS = {"BatchNormalization": slice(3, 5)}  # inputs that are measured, not learnt
_SMALL = 64


def from_onnx(path: str | os.PathLike[str], *, space: OperationSpace | None = None) -> ArchGraphs:
    """An ONNX file as a graph of its operations, with the vocabulary and features of :func:`archenc.spaces.from_module`.

    The file is untrusted input: it is parsed as a protocol buffer, never run, and weights in other files are not opened. Floating-point
    initialisers count as parameters, except scalars and a batch normalisation's running mean and variance; dimensions without a size are
    taken as 1. A file holds what its exporter left: batch normalisations, for example, are often folded into convolutions.

    Args:
        path: the file.
        space: the space of the graph; None for the default ``OperationSpace()``.

    Raises:
        DataNotFound: the file cannot be read, or the package ``onnx`` is not installed.
        CorruptFile: it is no ONNX file.
        InvalidArchitecture: branches, shapes that cannot be inferred, or more nodes than the space allows.
    """
    space = OperationSpace() if space is None else space
    return space.place([read_drawing(path)])


def read_drawing(path: str | os.PathLike[str]) -> Drawing:
    """The graph of an ONNX file, not yet in a space; raises what :func:`from_onnx` raises."""
    onnx = _onnx()
    content = read_bytes(path, MAX_BYTES)
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model, full_check=False)
    except Exception as error:  # of protobuf and of the checker, which have no common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CorruptFile(f"the file {path} is no valid ONNX file ({reason:.200}); export the network again") from None
    try:
        return draw(_read_model(onnx, model))
    except InvalidArchitecture as error:
        raise InvalidArchitecture(f"{Path(path).name}: {error}") from None


def _onnx() -> ModuleType:
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError:
        raise DataNotFound("ONNX files need the package onnx, which is not installed; run: pip install 'archenc[onnx]'") from None
    module: ModuleType = onnx
    return module


def _read_model(onnx: ModuleType, model: Any) -> Network:
    for value in model.graph.input:
        for size in value.type.tensor_type.shape.dim:
            if not size.dim_value:
                size.dim_value = 1
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidArchitecture(f"its shapes cannot be inferred ({reason:.200}); export it with fixed sizes") from None
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes: dict[str, Shape] = dict(weights)
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            shapes[value.name] = tuple(size.dim_value or 1 for size in kind.shape.dim)
    constants = dict(_small_constants(onnx, graph))

    network = Network(outputs=[value.name for value in graph.output])
    network.inputs = {value.name: shapes.get(value.name, ()) for value in graph.input if value.name not in weights}
    floating = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    network.parameters = {
        tensor.name: math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type in floating and len(tensor.dims)
    }
    for node in graph.node:
        if node.op_type in _BRANCHES:
            raise InvalidArchitecture(f"the operation {node.op_type} makes it no single graph; export the network without control flow")
        network.operations.append(_operation(onnx, node, shapes, weights, constants))
    return network


def _small_constants(onnx: ModuleType, graph: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The values of axes, limits and the like, which are inputs in ONNX."""
    for tensor in graph.initializer:
        if math.prod(tensor.dims) <= _SMALL and not tensor.external_data:
            yield tensor.name, onnx.numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value" and math.prod(attribute.t.dims) <= _SMALL and not attribute.t.external_data:
                    yield node.output[0], onnx.numpy_helper.to_array(attribute.t)


def _operation(
    onnx: ModuleType, node: Any, shapes: dict[str, Shape], weights: dict[str, Shape], constants: dict[str, np.ndarray]
) -> Operation:
    given = list(node.input)
    for place in range(*_STATISTICS.get(node.op_type, slice(0)).indices(len(given))):
        given[place] = ""
    inputs = tuple(name for name in given if name)
    outputs = tuple(name for name in node.output if name)
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    shape = shapes.get(outputs[0]) if outputs else ()
    read = [shapes.get(name, ()) for name in given]
    kind = _kind(node, attributes, read, shape or (), weights, constants)
    if shape is None:
        if kind != CONSTANT and any(name not in weights for name in inputs):
            raise InvalidArchitecture(f"the shape of {outputs[0]!r}, from {node.op_type}, cannot be inferred; export it with fixed sizes")
        shape = ()
    return Operation(kind, inputs, outputs, shape, _multiply_adds(kind, attributes, read, shape))


def _multiply_adds(kind: str, attributes: dict[str, Any], read: Sequence[Shape], shape: Shape) -> int:
    if kind == "linear" and attributes.get("transA"):
        read = [read[0][::-1], *read[1:]]
    if kind in ("lstm", "gru", "rnn"):
        return vocabulary.multiply_adds(kind, read[:3], shape)
    return vocabulary.multiply_adds(kind, read, shape)


def _kind(
    node: Any, attributes: dict[str, Any], read: Sequence[Shape], shape: Shape, weights: dict[str, Shape], constants: dict[str, np.ndarray]
) -> str:
    name = node.op_type
    if node.domain not in ("", "ai.onnx"):
        return OTHER
    if name == "Conv":
        return vocabulary.convolution(read[1], attributes.get("group", 1), attributes.get("dilations", [1]))
    if name == "ConvTranspose":
        return "conv_transpose"
    if name == "Gather" and node.input[0] in weights:
        return "embedding"
    kind = ONNX.get(name, OTHER)
    if kind in ("avg_pool", "max_pool"):
        return vocabulary.pool(kind, read[0][2:], attributes["kernel_shape"], shape[2:])
    if kind in ("mean", "max") and name.startswith("Reduce"):
        axes = attributes.get("axes", constants.get(node.input[1]) if len(node.input) > 1 else None)
        return kind if axes is None else vocabulary.reduction(kind, len(read[0]), [int(axis) for axis in axes])
    if kind == "clamp":
        low, high = (_limit(node, attributes, constants, place) for place in (1, 2))
        return {None: "relu", 6.0: "relu6"}.get(high, kind) if low == 0 else kind
    return kind


def _limit(node: Any, attributes: dict[str, Any], constants: dict[str, np.ndarray], place: int) -> float | None:
    """A limit of Clip: an attribute up to version 6 of the operation, an input since version 11."""
    old = attributes.get(("", "min", "max")[place])
    name = node.input[place] if len(node.input) > place else ""
    if old is not None or not name:
        return old
    return float(constants[name]) if name in constants else math.nan
