"""ONNX files as graphs of operations."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from archenc.errors import CorruptFile, DataNotFound, InvalidArchitecture
from archenc.graphs import NODE_OFFSET
from archenc.spaces import OperationSpace, from_module, from_onnx
from tests.spaces.networks import NETWORKS

onnx = pytest.importorskip("onnx")
helper, FLOAT, INT64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def write(path, nodes, weights=(), inputs=(("x", [1, 4, 8, 8]),), rank=2):
    """A file of nodes with weights, given as (name, shape) or (name, values)."""
    initializers = [
        helper.make_tensor(name, FLOAT, value, np.zeros(value).ravel())
        if isinstance(value, list)
        else onnx.numpy_helper.from_array(value, name)
        for name, value in weights
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info("y", FLOAT, [None] * rank)],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def operations(graphs):
    return [graphs.space.operations[k - NODE_OFFSET] for k in graphs.ops[0].tolist() if k >= NODE_OFFSET]


NORM = [(name, [4]) for name in ("scale", "shift", "mean", "variance")]
NODES = [
    helper.make_node("Conv", ["x", "w", "b"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["n"]),
    helper.make_node("Relu", ["n"], ["r"]),
    helper.make_node("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
    helper.make_node("ReduceMean", ["m", "axes"], ["g"], keepdims=0),
    helper.make_node("Gemm", ["g", "v", "c"], ["y"], transB=1),
]
WEIGHTS = [("w", [4, 4, 3, 3]), ("b", [4]), *NORM, ("axes", np.array([2, 3])), ("v", [3, 4]), ("c", [3])]


def test_the_same_network_in_both_formats_has_the_same_hash(tmp_path):
    graphs = from_onnx(write(tmp_path / "plain.onnx", NODES, WEIGHTS))
    assert operations(graphs) == ["conv3x3", "batch_norm", "relu", "max_pool", "global_avg_pool", "linear"]
    model, example, _ = NETWORKS["plain"]
    assert (graphs.hash() == from_module(model, example).hash()).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["residual", "branching", "depthwise", "dilated", "concatenation", "squeeze and excite"])
def test_exported_networks_have_the_hash_of_their_modules(name, tmp_path):
    model, example, _ = NETWORKS[name]
    torch.onnx.export(model.eval(), (example,), str(tmp_path / "model.onnx"), dynamo=False)
    assert (from_onnx(tmp_path / "model.onnx").hash() == from_module(model, example).hash()).all()


def test_shapes_constants_and_sizes(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["x", "shape"], ["same"]),
        helper.make_node("Constant", [], ["low"], value=onnx.numpy_helper.from_array(np.float32(0))),
        helper.make_node("Constant", [], ["high"], value=onnx.numpy_helper.from_array(np.float32(6))),
        helper.make_node("Clip", ["same", "low", "high"], ["c"]),
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["c", "t"], ["y"]),
        helper.make_node("Exp", ["x"], ["unused"]),
    ]
    graphs = from_onnx(write(tmp_path / "a.onnx", nodes, [("w", [5, 8])], inputs=[("x", ["batch", 3, 8])], rank=3))
    assert operations(graphs) == ["relu6", "linear"]
    features = np.expm1(graphs.features[0, :3].double().numpy())
    assert features == pytest.approx(np.array([[0, 0, 24, 3, 8], [0, 0, 24, 3, 8], [40, 120, 15, 3, 5]]), abs=1e-4)


def test_recurrent_and_embedding(tmp_path):
    nodes = [
        helper.make_node("Gather", ["table", "indices"], ["e"]),
        helper.make_node("Add", ["e", "x"], ["s"]),
        helper.make_node("LSTM", ["s", "w", "r", "b"], ["y"], hidden_size=6),
    ]
    weights = [("w", [1, 24, 8]), ("r", [1, 24, 6]), ("b", [1, 48]), ("table", [10, 8]), ("indices", np.zeros((5, 1), dtype=np.int64))]
    graphs = from_onnx(write(tmp_path / "a.onnx", nodes, weights, inputs=[("x", [5, 1, 8])], rank=4))
    assert operations(graphs) == ["add", "lstm"]  # what is looked up here is constant
    features = np.expm1(graphs.features[0, :3, :2].double().numpy())
    assert features == pytest.approx(np.array([[0, 0], [80, 0], [24 * 14 + 48, 5 * 24 * 14]]), abs=1e-2)


def test_what_is_refused(tmp_path):
    with pytest.raises(DataNotFound, match="cannot be read"):
        from_onnx(tmp_path / "absent.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a protocol buffer at all")
    with pytest.raises(CorruptFile, match=r"bad\.onnx is no valid ONNX file"):
        from_onnx(tmp_path / "bad.onnx")
    whole = write(tmp_path / "whole.onnx", NODES, WEIGHTS).read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFile, match=r"half\.onnx is no valid ONNX file"):
        from_onnx(tmp_path / "half.onnx")
    wrong = [helper.make_node("Add", ["x", "w"], ["y"])]
    with pytest.raises(InvalidArchitecture, match=r"wrong\.onnx: its shapes cannot be inferred"):
        from_onnx(write(tmp_path / "wrong.onnx", wrong, [("w", [3])], rank=4))
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", FLOAT, [1, 4, 8, 8])])
    nodes = [helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch)]
    with pytest.raises(InvalidArchitecture, match=r"branch\.onnx: the operation If makes it no single graph"):
        from_onnx(write(tmp_path / "branch.onnx", nodes, [("condition", np.array(True))], rank=4))
    with pytest.raises(InvalidArchitecture, match="8 nodes, and the space allows 5"):
        from_onnx(tmp_path / "whole.onnx", space=OperationSpace(max_nodes=5))


def test_without_the_package(tmp_path, monkeypatch):
    path = write(tmp_path / "plain.onnx", NODES, WEIGHTS)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DataNotFound, match=r"pip install 'archenc\[onnx\]'"):
        from_onnx(path)
