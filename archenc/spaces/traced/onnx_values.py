"""What is known of the values of an ONNX graph without running it: shapes, and the small values that shapes
are made of.
"""

from __future__ import annotations

import math
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from archenc.errors import InvalidArchitecture
from archenc.spaces.traced.network import Shape

SMALL = 64
"""Most elements of a value that is looked into: a shape, axes, limits."""

# Only cheap operations on small values: what a hostile file makes them compute is as small.
_CHEAP = (
    "Abs Add And Cast Ceil Concat Constant ConstantOfShape Div Equal Expand Flatten Floor Gather Greater "
    "GreaterOrEqual Identity Less "
    "LessOrEqual Max Min Mod Mul Neg Not Or Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round "
    "Slice Split Sqrt Squeeze Sub "
    "Tile Transpose Unsqueeze Where"
)
_EVALUATED = frozenset(_CHEAP.split())


class Values:
    """Shapes of the values of a graph, and the small ones that follow from shapes and constants alone.

    Exporters leave sizes to be computed by the graph itself (Shape, Gather, Concat, then Reshape), which the
    shape inference of ONNX follows only in part and not before opset 14. Here it sees one operation at a
    time, beside the values that the earlier ones gave.

    Args:
        onnx: the package.
        model: a checked model without branches, whose inputs have sizes; its weights of other files are among
            the inputs.
    """

    def __init__(self, onnx: ModuleType, model: Any) -> None:
        self.onnx, self.model = onnx, model
        self.types: dict[str, Any] = {value.name: value.type for value in model.graph.input}
        self.declared: dict[str, Any] = {
            value.name: value.type for value in (*model.graph.value_info, *model.graph.output)
        }
        self.small: dict[str, Any] = {}
        for tensor in model.graph.initializer:
            self.types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if math.prod(tensor.dims) <= SMALL:
                self.small[tensor.name] = tensor

    def shape(self, name: str) -> Shape | None:
        """The shape of a value, () for an input that is left out (""), None where it cannot be told before
        the network runs.
        """
        kind = self.types[name].tensor_type if name in self.types else None
        if kind is None or not kind.HasField("shape"):
            return None if name else ()
        sizes = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
        return None if any(size < 0 for size in sizes) else sizes

    def constant(self, name: str) -> np.ndarray | None:
        """A small value, or None where it is large or depends on the network's input."""
        if name not in self.small:
            return None
        value: np.ndarray = self.onnx.numpy_helper.to_array(self.small[name])
        return value

    def follow(self, node: Any) -> None:
        """Learn the shapes, and if possible the values, of what an operation gives.

        Raises:
            InvalidArchitecture: its inputs do not fit together.
        """
        counts = [attribute.i for attribute in node.attribute if attribute.name == "num_outputs"]
        if any(
            count != len(node.output) for count in counts
        ):  # which ends the process in the shape inference of ONNX
            raise InvalidArchitecture(
                f"the operation {node.op_type} has {len(node.output)} outputs and says {counts[0]}; export "
                "it again"
            )
        alone = self._alone(node)
        try:
            # Without data propagation, which counts up to whatever number a file writes; _evaluate does what
            # is needed of it.
            inferred = self.onnx.shape_inference.infer_shapes(alone, strict_mode=True, data_prop=False).graph
        except Exception as error:  # of the inference and of protobuf, which have no common base
            if all(self.shape(name) is not None for name in node.input):
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise InvalidArchitecture(
                    f"its shapes cannot be inferred at the operation {node.op_type} ({reason:.200}); export "
                    "it with fixed sizes"
                ) from None
            return
        self.types.update((value.name, value.type) for value in inferred.value_info)
        for name in node.output:
            if self.shape(name) is None and name in self.declared:
                self.types[name] = self.declared[name]
        self._evaluate(node, alone)

    def _alone(self, node: Any) -> Any:
        """A model of nothing but this operation."""
        alone = self.onnx.ModelProto(ir_version=self.model.ir_version, opset_import=self.model.opset_import)
        alone.graph.name = "alone"
        alone.graph.node.append(node)
        for name in dict.fromkeys(node.input):
            if name in self.small:
                alone.graph.initializer.append(self.small[name])
            elif name in self.types:
                alone.graph.input.add(name=name, type=self.types[name])
        return alone

    def _evaluate(self, node: Any, alone: Any) -> None:
        outputs = [name for name in node.output if name]
        shapes = [self.shape(name) for name in outputs]
        if any(shape is None or math.prod(shape) > SMALL for shape in shapes):
            return
        try:
            if node.op_type in ("Shape", "Size"):
                results = [self._sizes(node)]
            elif node.op_type in _EVALUATED and all(name in self.small for name in node.input if name):
                alone.graph.output.extend(self.onnx.ValueInfoProto(name=name) for name in outputs)
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    results = self.onnx.reference.ReferenceEvaluator(alone).run(None, {})
            else:
                return
            tensors = [
                self.onnx.numpy_helper.from_array(np.asarray(value), name)
                for name, value in zip(outputs, results, strict=True)
            ]
            self.small.update(zip(outputs, tensors, strict=True))
        except Exception:  # a value that cannot be computed is one that is not known
            return

    def _sizes(self, node: Any) -> np.ndarray:
        """What Shape and Size give."""
        shape = self.shape(node.input[0]) or ()
        if node.op_type == "Size":
            return np.array(math.prod(shape))
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        return np.array(shape[bounds.get("start", 0) : bounds.get("end")], dtype=np.int64)
