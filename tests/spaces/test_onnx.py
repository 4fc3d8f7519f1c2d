"""ONNX files as graphs of operations."""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import pytest
import torch
from torch import nn

from archenc.errors import ArchencError, CorruptFile, DataNotFound, InvalidArchitecture
from archenc.graphs import NODE_OFFSET
from archenc.spaces import OperationSpace, from_module, from_onnx
from archenc.spaces.traced.vocabulary import ONNX
from tests.spaces.networks import IMAGE, NETWORKS, SEQUENCE, Net, conv

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
    onnx.save(
        helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)],
            ir_version=9,
        ),
        path,
    )
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
@pytest.mark.parametrize(
    "name", ["residual", "branching", "depthwise", "dilated", "concatenation", "squeeze and excite"]
)
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
    graphs = from_onnx(
        write(tmp_path / "a.onnx", nodes, [("w", [5, 8])], inputs=[("x", ["batch", 3, 8])], rank=3)
    )
    assert operations(graphs) == ["relu6", "linear"]
    features = np.expm1(graphs.features[0, :3].double().numpy())
    assert features == pytest.approx(
        np.array([[0, 0, 24, 3, 8], [0, 0, 24, 3, 8], [40, 120, 15, 3, 5]]), abs=1e-4
    )


def test_recurrent_and_embedding(tmp_path):
    nodes = [
        helper.make_node("Gather", ["table", "indices"], ["e"]),
        helper.make_node("Add", ["e", "x"], ["s"]),
        helper.make_node("LSTM", ["s", "w", "r", "b"], ["y"], hidden_size=6),
    ]
    weights = [
        ("w", [1, 24, 8]),
        ("r", [1, 24, 6]),
        ("b", [1, 48]),
        ("table", [10, 8]),
        ("indices", np.zeros((5, 1), dtype=np.int64)),
    ]
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
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["z"])],
        "b",
        [],
        [helper.make_tensor_value_info("z", FLOAT, [1, 4, 8, 8])],
    )
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


# -- what exporters write ------------------------------------------------------------------------------------


def totals(graphs):
    """Parameters and multiply-adds of the network."""
    return np.expm1(graphs.features[0, :, :2].double().numpy()).sum(axis=0)


def export(model, example, path, **options):
    torch.onnx.export(model.eval(), (example,), str(path), dynamo=False, **options)
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "name",
    ["plain", "residual", "branching", "depthwise", "concatenation", "nested", "transformer block", "lstm"],
)
def test_what_torch_writes_by_default(name, tmp_path, monkeypatch, capfd):
    """With weights in a file of their own, read from another folder than the current one."""
    pytest.importorskip("onnxscript")
    model, example, _ = NETWORKS[name]
    torch.onnx.export(model.eval(), (example,), str(tmp_path / "model.onnx"))
    monkeypatch.chdir("/")
    graphs, module = from_onnx(tmp_path / "model.onnx"), from_module(model, example)
    if name in (
        "transformer block",
        "lstm",
        "plain",
    ):  # written with other operations, and a normalisation folded into its convolution
        assert totals(graphs)[1] == pytest.approx(totals(module)[1], rel=1e-5)
    else:
        assert (graphs.hash() == module.hash()).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("opset", [11, 12, 13, 17])
@pytest.mark.parametrize(
    "options", [{"do_constant_folding": False}, {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}]
)
def test_sizes_that_the_file_computes_itself(opset, options, tmp_path):
    net = Net(
        lambda net, x: (lambda y: net.b(y.view(y.size(0), -1)))(net.a(x)), a=conv(), b=nn.Linear(256, 3)
    )
    graphs = from_onnx(export(net, IMAGE, tmp_path / "a.onnx", opset_version=opset, **options))
    assert (graphs.hash() == from_module(net, IMAGE).hash()).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::UserWarning")
def test_a_transformer_of_the_classic_exporter(tmp_path):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    for parameter in net.parameters():  # equal ones are written once
        nn.init.normal_(parameter)
    graphs = from_onnx(export(net, SEQUENCE, tmp_path / "a.onnx", opset_version=17))
    parameters, flops = totals(graphs)
    assert parameters == pytest.approx(sum(parameter.numel() for parameter in net.parameters()), rel=1e-5)
    assert flops == pytest.approx(totals(from_module(net, SEQUENCE))[1], rel=1e-5)


def test_limits_of_shape_one(tmp_path):
    nodes = [helper.make_node("Clip", ["x", "low", "high"], ["y"])]
    weights = [("low", np.zeros(1, dtype=np.float32)), ("high", np.full(1, 6, dtype=np.float32))]
    assert operations(from_onnx(write(tmp_path / "a.onnx", nodes, weights, rank=4))) == ["relu6"]


def test_multiply_adds_of_einsum_are_those_of_the_convolution(tmp_path):
    einsum = helper.make_node("Einsum", ["x", "w"], ["y"], equation="bchw,dc->bdhw")
    convolution = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1])
    first = from_onnx(write(tmp_path / "a.onnx", [einsum], [("w", [3, 4])], rank=4))
    second = from_onnx(write(tmp_path / "b.onnx", [convolution], [("w", [3, 4, 1, 1])], rank=4))
    assert totals(first) == pytest.approx([12, 3 * 4 * 64], rel=1e-5)
    assert totals(first) == pytest.approx(totals(second))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            helper.make_node("NonZero", ["x"], ["y"]),
            "the shape of 'y' at the operation NonZero depends on data",
        ),
        (helper.make_node("Det", ["x"], ["y"]), "the operation Det is not one of those that are known"),
        (
            helper.make_node("FusedConv", ["x", "w"], ["y"], domain="com.microsoft"),
            "the operation com.microsoft::FusedConv is not one",
        ),
        (
            helper.make_node("Einsum", ["x", "w"], ["y"], equation="ab,bc->ac"),
            "cannot be inferred at the operation Einsum|fit together",
        ),
    ],
)
def test_what_is_not_understood_is_refused_by_name(node, message, tmp_path):
    path = write(tmp_path / "a.onnx", [node], [("w", [4, 4, 3, 3])], rank=4)
    with pytest.raises(InvalidArchitecture, match=message):
        from_onnx(path)


# -- weights in other files ----------------------------------------------------------------------------------


def write_external(folder, threshold=0):
    """The network of NODES with a Reshape, whose tensors of ``threshold`` bytes and more lie in the file
    weights.bin.
    """
    nodes = [
        *NODES[:-1],
        helper.make_node("Reshape", ["g", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "c"], ["y"], transB=1),
    ]
    model = onnx.load(write(folder / "inside.onnx", nodes, [*WEIGHTS, ("shape", np.array([1, 4]))]))
    for tensor in model.graph.initializer:  # only raw data can lie elsewhere
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    path = folder / "network.onnx"
    onnx.save(
        model,
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=threshold,
        convert_attribute=True,
    )
    return path


def test_weights_in_another_file_need_not_be_there(tmp_path, monkeypatch):
    path = write_external(tmp_path, threshold=500)
    monkeypatch.chdir("/")
    graphs = from_onnx(path)
    assert (graphs.hash() == from_onnx(tmp_path / "inside.onnx").hash()).all()
    (tmp_path / "weights.bin").unlink()
    assert (from_onnx(path).hash() == graphs.hash()).all()


def test_shapes_in_another_file_are_read(tmp_path, monkeypatch):
    path = write_external(tmp_path)
    monkeypatch.chdir("/")
    assert (from_onnx(path).hash() == from_onnx(tmp_path / "inside.onnx").hash()).all()
    (tmp_path / "weights.bin").write_bytes((tmp_path / "weights.bin").read_bytes()[:30])
    with pytest.raises(CorruptFile, match=r"should have \d+ bytes at \d+ of .*weights\.bin, which has"):
        from_onnx(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(
        CorruptFile, match=r"the tensor '\w+' of the file .*network\.onnx cannot be read from .*weights\.bin"
    ):
        from_onnx(path)


@pytest.mark.parametrize("name", ["w", "axes"])  # a large tensor, which is never read, and a small one
@pytest.mark.parametrize("location", ["/etc/passwd", "../secret", "down/../../secret", "link", "", "a\0b"])
def test_weights_outside_the_folder_are_refused(name, location, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(10_000))
    (folder / "link").symlink_to(tmp_path / "secret")
    path = write_external(folder)
    model = onnx.load(path, load_external_data=False)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    next(entry for entry in tensor.external_data if entry.key == "location").value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CorruptFile, match=rf"network\.onnx.*'{name}'|'{name}'.*network\.onnx"):
        from_onnx(path)


@pytest.mark.parametrize("offset", ["-1", "x", "9" * 30, "9" * 6000, "10000000"])
def test_wrong_places_in_another_file_are_refused(offset, tmp_path):
    path = write_external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "axes")
    next(entry for entry in tensor.external_data if entry.key == "offset").value = offset
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CorruptFile, match="'axes'"):
        from_onnx(path)


# -- hostile files -------------------------------------------------------------------------------------------


def test_immense_sizes_are_refused(tmp_path):
    side = 10**9
    path = write(
        tmp_path / "a.onnx",
        [helper.make_node("Relu", ["x"], ["y"])],
        inputs=[("x", [side, side, side, side])],
        rank=4,
    )
    with pytest.raises(
        InvalidArchitecture, match=r"a\.onnx: .*larger than any that can run|cannot be inferred"
    ):
        from_onnx(path)
    path = write(tmp_path / "b.onnx", [helper.make_node("Relu", ["x"], ["y"])], inputs=[("x", [1, -4])])
    with pytest.raises(InvalidArchitecture, match="'x' has a size of -4"):
        from_onnx(path)
    shape = ("shape", np.full(1, 10**12))
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["z"]),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    from_onnx(
        write(tmp_path / "c.onnx", nodes, [shape], inputs=[("x", [1])], rank=1)
    )  # nothing of that size is made


def test_huge_and_cyclic_graphs_are_refused(tmp_path, monkeypatch):
    circle = [
        helper.make_node("Add", ["x", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    with pytest.raises(CorruptFile, match=r"a\.onnx is no valid ONNX file"):
        from_onnx(write(tmp_path / "a.onnx", circle, rank=4))
    chain = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(20_001)]
    with pytest.raises(
        InvalidArchitecture, match=r"b\.onnx: it has 20,001 operations, more than the 20,000 that are read"
    ):
        from_onnx(write(tmp_path / "b.onnx", chain, rank=4))
    monkeypatch.setattr("archenc.spaces.traced.network.MAX_LINKS", 500)
    sums = [
        helper.make_node("Add", [f"w{i}", f"s{i}" if i else "w0"], [f"s{i + 1}"]) for i in range(50)
    ]  # each brings all before it
    with pytest.raises(InvalidArchitecture, match="read more than 500 values of one another"):
        from_onnx(
            write(
                tmp_path / "c.onnx",
                [*sums, helper.make_node("Add", ["x", "s50"], ["y"])],
                [(f"w{i}", [8]) for i in range(50)],
                rank=4,
            )
        )


def test_deep_subgraphs_are_refused(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    for _ in range(30):
        graph = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("y", FLOAT, [1])])
        node = helper.make_node("SequenceMap", ["x"], ["y"], body=graph)
    with pytest.raises(InvalidArchitecture, match="the operation SequenceMap makes it no single graph"):
        from_onnx(write(tmp_path / "a.onnx", [node], rank=4))
    inner = b""
    for _ in range(300):  # graph, node, attribute: the fields that hold one another
        for field in (6, 5, 1):
            length = len(inner)
            varint = bytes([*(length >> 7 * i & 127 | 128 for i in range(3)), length >> 21])
            inner = bytes([field << 3 | 2]) + varint + inner
    (tmp_path / "b.onnx").write_bytes(bytes([7 << 3 | 2]) + varint + inner)
    with pytest.raises(CorruptFile, match=r"b\.onnx is no valid ONNX file"):
        from_onnx(tmp_path / "b.onnx")


def mutants(content, count, seed):
    """Files with a few bytes of the good one changed, cut out, repeated or put in anew."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(content)
        for _ in range(random.integers(1, 4)):
            place, length = int(random.integers(len(data))), int(random.integers(1, 9))
            change = (
                bytes(random.integers(256, size=length, dtype=np.uint8)),
                b"",
                bytes(data[place : place + length]) * 2,
            )
            data[place : place + length] = change[random.integers(3)]
        yield bytes(data)


def distorted(content, count, seed):
    """Files that are well-formed and in which sizes, attributes, operations and wires are others."""
    random = np.random.default_rng(seed)

    def pick(values):
        return values[int(random.integers(len(values)))]

    for _ in range(count):
        model = onnx.load_model_from_string(content)
        node, tensor, size = (
            pick(model.graph.node),
            pick(model.graph.initializer),
            pick([0, -1, 3, 10**9, 2**62, -(2**63)]),
        )
        change = random.integers(5)
        if change == 0:
            tensor.dims[0] = size
        elif change == 1:
            node.op_type = pick(sorted(ONNX))
        elif change == 2 and node.input:
            node.input[int(random.integers(len(node.input)))] = pick(
                ["", "x", tensor.name, pick(model.graph.node).output[0]]
            )
        elif change == 3 and node.attribute:
            attribute = pick(node.attribute)
            attribute.i, attribute.ints[:] = size, [size] * len(attribute.ints)
        elif change == 4 and node.attribute:
            del node.attribute[int(random.integers(len(node.attribute)))]
        yield model.SerializeToString()


def assert_only_typed_errors(path, change, count, seed):
    for mutant in change(path.read_bytes(), count, seed):
        path.write_bytes(mutant)
        with contextlib.suppress(ArchencError):
            assert np.isfinite(from_onnx(path).features.numpy()).all()


def test_damaged_files_end_in_typed_errors(tmp_path):
    assert_only_typed_errors(write_external(tmp_path, threshold=500), mutants, 200, seed=0)
    for content in (b"", bytes(1000), np.random.default_rng(0).bytes(1000)):
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(ArchencError):
            from_onnx(tmp_path / "a.onnx")


def test_distorted_files_end_in_typed_errors(tmp_path):
    assert_only_typed_errors(write_external(tmp_path, threshold=500), distorted, 200, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("change", [mutants, distorted])
def test_many_damaged_files_end_in_typed_errors(change, tmp_path):
    assert_only_typed_errors(write_external(tmp_path), change, 1000, seed=1)


def test_a_split_into_another_number_of_outputs_is_refused(tmp_path):
    """The shape inference of ONNX ends the process on it."""
    split = helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, num_outputs=2)
    with pytest.raises(InvalidArchitecture, match="the operation Split has 3 outputs and says 2"):
        from_onnx(
            write(
                tmp_path / "a.onnx",
                [split, helper.make_node("Concat", ["a", "b", "c"], ["y"], axis=1)],
                rank=4,
            )
        )
