"""PyTorch modules as graphs of operations."""

from __future__ import annotations

import copy
import json
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import archenc
from archenc import Predictor
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs import NODE_OFFSET, concatenate, transforms
from archenc.spaces import OperationSpace, from_config, from_module, from_modules
from archenc.spaces.traced.network import draw
from archenc.spaces.traced.pytorch import _export, _traced, read_program
from archenc.spaces.traced.vocabulary import OPERATIONS
from archenc.testing import check_space
from tests.spaces.networks import DYNAMIC, IMAGE, NETWORKS, SEQUENCE, Net, conv

SMALL = OperationSpace(max_nodes=32)


def operations(graphs, row=0):
    return [graphs.space.operations[k - NODE_OFFSET] for k in graphs.ops[row].tolist() if k >= NODE_OFFSET]


def totals(graphs):
    """Parameters and multiply-adds of each network."""
    return np.expm1(graphs.features[..., :2].double().numpy()).sum(axis=1)


@pytest.fixture(scope="module")
def traced():
    return {name: from_module(model, example, space=SMALL) for name, (model, example, _) in NETWORKS.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_operations_of_each_kind_of_network(traced, name):
    expected, found = NETWORKS[name][2], operations(traced[name])
    SMALL.validate(traced[name])
    if isinstance(expected, list):
        assert sorted(found) == sorted(expected)
    else:
        assert {kind: Counter(found)[kind] for kind in expected} == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_flops_add_up_to_those_of_the_module(traced, name):
    model, example, _ = NETWORKS[name]
    parameters, flops = totals(traced[name])[0]
    assert parameters == pytest.approx(sum(parameter.numel() for parameter in model.parameters()), rel=1e-5)
    if name == "lstm":  # which torch does not count: each weight matrix once at each of 5 steps
        expected = 5 * sum(weight.numel() for weight in model.parameters() if weight.dim() == 2)
    else:
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model.eval()(*(example if isinstance(example, tuple) else (example,)))
        torch.backends.mha.set_fastpath_enabled(fused)
        expected = counter.get_total_flops() / 2  # torch counts multiplications and additions
    assert flops == pytest.approx(expected, rel=1e-5)


def test_networks_of_different_kinds_have_different_hashes(traced):
    assert len({graphs.hash().tobytes() for graphs in traced.values()}) == len(traced)


def test_features_by_hand(traced):
    graphs = traced["plain"]
    features = np.expm1(graphs.features[0].double().numpy())
    #          parameters, multiply-adds, elements, channels, spatial size
    expected = [
        [0, 0, 256, 4, 64],  # input
        [4 * 4 * 9 + 4, 4 * 4 * 9 * 64, 256, 4, 64],
        [8, 0, 256, 4, 64],
        [0, 0, 256, 4, 64],
        [0, 0, 64, 4, 16],
        [0, 0, 4, 4, 1],
        [15, 12, 3, 3, 1],
    ]
    assert features[:7] == pytest.approx(np.array(expected, dtype=float), rel=1e-5, abs=1e-5)
    assert not features[7:].any()  # padding and output


def test_edges(traced):
    graphs = traced["branching"]
    names = ["input", *operations(graphs), "output"]
    place = [*range(len(names) - 1), SMALL.max_nodes - 1]
    edges = {
        (names[i], names[j])
        for i, a in enumerate(place)
        for j, b in enumerate(place)
        if graphs.adjacency[0, a, b]
    }
    sums = {("conv3x3", "add"), ("conv1x1", "add"), ("avg_pool", "add"), ("add", "add"), ("add", "output")}
    assert edges == {("input", "conv3x3"), ("input", "conv1x1"), ("input", "avg_pool")} | sums


# -- the same computation written in another way -------------------------------------------------------------


class Subclass(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)  # defined in another order
        self.norm = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = functional.max_pool2d(self.norm(self.conv(x)).relu_(), 2)
        x = functional.dropout(x.mean(dim=(-2, -1)), training=self.training)
        return self.head(x)


SAME = {
    "a subclass": (NETWORKS["plain"][0], Subclass(), IMAGE),
    "branches in another order": (
        Net(lambda net, x: net.a(x).relu() + net.b(x), a=conv(), b=conv(kernel=1)),
        Net(lambda net, x: net.a(x) + functional.relu(net.b(x)), a=conv(kernel=1), b=conv()),
        IMAGE,
    ),
    "reshapes": (
        nn.Linear(8, 3),
        Net(lambda net, x: net.a(x.flatten(1).view(1, 5, 8)).contiguous(), a=nn.Linear(8, 3)),
        SEQUENCE,
    ),
    "pooling over everything": (nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(8), IMAGE),
    "a matrix product with a weight": (
        nn.Linear(8, 3, bias=False),
        Net(lambda net, x: torch.matmul(x, net.w), w=nn.Parameter(torch.ones(8, 3))),
        SEQUENCE,
    ),
    "a clamp": (nn.ReLU6(), Net(lambda net, x: x.clamp(0, 6)), IMAGE),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_computation_has_the_same_hash(case):
    one, other, example = SAME[case]
    one, other = (
        from_module(one, example, space=SMALL),
        from_module(other, example, space=OperationSpace(max_nodes=40)),
    )
    assert (one.hash() == other.hash()).all()


def test_another_size_or_wiring_has_another_hash():
    models = [
        nn.Sequential(conv(4, 4), conv(4, 4)),
        nn.Sequential(conv(4, 5), conv(5, 4)),
        nn.Sequential(conv(4, 4), conv(4, 4, stride=2, padding=1)),
        nn.Sequential(conv(4, 4, bias=False), conv(4, 4)),
        nn.Sequential(conv(4, 4), conv(4, 4, bias=False)),
        Net(lambda net, x: net.a(x) + net.b(x), a=conv(), b=conv()),
    ]
    graphs = from_modules(models, IMAGE)
    assert len(np.unique(graphs.hash(), axis=0)) == len(models)
    assert len(np.unique(graphs.with_features(None).hash(), axis=0)) == 2  # operations and wiring alone


def test_relabelled_networks_have_the_same_hash(traced):
    graphs = concatenate(list(traced.values()))
    twins = transforms.isomorphic_twin(graphs, seed=0)
    assert (twins.ops != graphs.ops).any()
    assert (twins.hash() == graphs.hash()).all()


# -- what is refused, and what is left alone -----------------------------------------------------------------


@pytest.mark.parametrize("name", DYNAMIC)
def test_control_flow_that_depends_on_data_is_refused(name, capfd):
    with pytest.raises(InvalidArchitecture, match="no single graph"):
        from_module(DYNAMIC[name], SEQUENCE)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_traced_is_refused(capfd):
    with pytest.raises(
        InvalidArchitecture, match=r"model 1: .*Linear.* check that it runs on the example input"
    ):
        from_modules([nn.Linear(8, 2), nn.Linear(7, 2)], SEQUENCE)
    with pytest.raises(InvalidArchitecture, match="no output of the network depends on its input"):
        from_module(Net(lambda net, x: torch.ones(3)), SEQUENCE)
    with pytest.raises(
        InvalidArchitecture,
        match=r"4 nodes, and the space allows 3; pass space=OperationSpace\(max_nodes=4\)",
    ):
        from_module(nn.Sequential(nn.ReLU(), nn.ReLU()), SEQUENCE, space=OperationSpace(max_nodes=3))
    with pytest.raises(InvalidParameter, match=r"a function is no torch\.nn\.Module"):
        from_module(lambda x: x, SEQUENCE)
    with pytest.raises(InvalidParameter, match="there are no models"):
        from_modules([], SEQUENCE)
    assert capfd.readouterr() == ("", "")


def test_the_module_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.LSTM(8, 4))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fused = torch.backends.mha.get_fastpath_enabled()
    from_module(model, SEQUENCE)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert torch.backends.mha.get_fastpath_enabled() == fused
    assert all((value == before[name]).all() for name, value in model.state_dict().items())
    model(SEQUENCE)[0].sum().backward()


def test_an_operation_without_a_name_is_other():
    graphs = from_module(Net(lambda net, x: torch.fft.rfft(x).real), SEQUENCE)
    assert "other" in operations(graphs)
    with pytest.raises(InvalidArchitecture, match="network 0: unknown operation 'relu'"):
        from_module(nn.ReLU(), SEQUENCE, space=OperationSpace(operations=["linear"]))


# -- products, and what is not known -------------------------------------------------------------------------

PRODUCTS = {
    "einsum": (lambda net, x: torch.einsum("bchw,dc->bdhw", x, net.w), 3 * 4 * 64),
    "einsum of three": (
        lambda net, x: torch.einsum("bchw,dc,de->behw", x, net.w, net.w[:, :2]),
        3 * 4 * 64 + 2 * 3 * 64,
    ),
    "tensordot": (lambda net, x: torch.tensordot(x, net.w, dims=([1], [1])), 3 * 4 * 64),
    "inner": (lambda net, x: torch.inner(x.permute(0, 2, 3, 1), net.w), 3 * 4 * 64),
    "multi_dot": (lambda net, x: torch.linalg.multi_dot([net.w, x[0, :, 0], x[0, 0]]), 3 * 4 * 8 + 3 * 8 * 8),
    "matrix_power": (lambda net, x: torch.linalg.matrix_power(x, 3), 2 * 4 * 8 * 8 * 8),
    "addmv": (lambda net, x: torch.addmv(x[0, 0, 0], x[0, 0], x[0, 0, 1]), 8 * 8),
    "vdot": (lambda net, x: torch.vdot(x[0, 0, 0], x[0, 0, 1]), 8),
    "kron, which sums nothing": (lambda net, x: torch.kron(x[0, 0], x[0, 1]), 0),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_cost_what_their_parts_cost(name):
    compute, expected = PRODUCTS[name]
    graphs = from_module(Net(compute, w=nn.Parameter(torch.ones(3, 4))), torch.ones(1, 4, 8, 8))
    assert totals(graphs)[0, 1] == pytest.approx(expected, rel=1e-5)


@torch.library.custom_op("archenc_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


UNKNOWN = {
    "archenc_tests::twice": lambda net, x: twice(x),
    "aten::linalg_inv_ex": lambda net, x: torch.linalg.inv(x),
    "aten::_cdist_forward": lambda net, x: torch.cdist(x, x + 1),
    "aten::addbmm": lambda net, x: torch.addbmm(x[0], x, x),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_operations_that_are_not_known_are_refused_by_name(name):
    with pytest.raises(
        InvalidArchitecture, match=f"the operation {name} is not one of those that are known here; "
    ):
        from_module(Net(UNKNOWN[name]), torch.ones(1, 8, 8))
    constant = Net(lambda net, x: x + UNKNOWN[name](net, net.w), w=nn.Parameter(torch.ones(1, 8, 8)))
    assert operations(from_module(constant, torch.ones(1, 8, 8))) == [
        "add"
    ]  # computed from weights alone, it is no node


SIZED_BY_DATA = {
    "a mask": lambda net, x: x[x > 0],
    "nonzero": lambda net, x: x.nonzero(),
    "unique": lambda net, x: x.unique(),
    "masked_select": lambda net, x: x.masked_select(x > 0).sum(),
}


@pytest.mark.parametrize("name", SIZED_BY_DATA)
def test_sizes_that_depend_on_data_are_refused(name, capfd):
    with pytest.raises(
        InvalidArchitecture,
        match=r"^model 1: the size of what the operation \w+ gives depends on data; use .*where$",
    ):
        from_modules([nn.ReLU(), Net(SIZED_BY_DATA[name])], SEQUENCE)
    assert capfd.readouterr() == ("", "")


# -- wrong calls ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "a NoneType is no"),
        (nn.Linear, "the class Linear is no"),
        ("resnet18", "a str is no"),
        (torch.ones(3), "a Tensor is no"),
    ],
)
def test_what_is_no_module_is_refused(model, message):
    with pytest.raises(InvalidParameter, match=rf"^{message} torch\.nn\.Module; give a module$"):
        from_module(model, SEQUENCE)
    with pytest.raises(InvalidParameter, match=rf"^model 1: {message} torch\.nn\.Module; give a module$"):
        from_modules([nn.ReLU(), model], SEQUENCE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_script_is_refused_before_anything_changes():
    for model in (torch.jit.script(nn.Dropout()), nn.Sequential(torch.jit.script(nn.Dropout()))):
        with pytest.raises(
            InvalidParameter, match="holds TorchScript, which cannot be traced; give it as it was before"
        ):
            from_module(model, SEQUENCE)
        assert all(module.training for module in model.modules())


@pytest.mark.parametrize("models", [None, 5, nn.Linear, nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.ReLU())])
def test_what_is_no_list_of_modules_is_refused(models):
    with pytest.raises(
        InvalidParameter, match="is no list of modules; give a list, or one module to from_module"
    ):
        from_modules(models, SEQUENCE)


@pytest.mark.parametrize("example", [None, 5, "x", np.ones((1, 5, 8)), [], {}, (), (None, 2.0), nn.ReLU()])
def test_an_input_without_a_tensor_is_refused(example):
    with pytest.raises(
        InvalidParameter,
        match=r"^model 0: the example input, a \w+, holds no tensor; give a tensor, or a tuple",
    ):
        from_modules([nn.ReLU()], example)


def raising(error):
    def compute(net, x):
        raise error

    return Net(compute)


@pytest.mark.parametrize(
    "error", [KeyError("a\nb"), RecursionError(), ValueError("a\x1b[31m\nsecond line"), StopIteration()]
)
def test_a_module_that_raises_is_named_in_one_sentence(error):
    with pytest.raises(
        InvalidArchitecture,
        match=rf"^model 1: the module Net cannot be traced .*{type(error).__name__}.*; check",
    ) as caught:
        from_modules([nn.ReLU(), raising(error)], SEQUENCE)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


# -- the module stays as it was ------------------------------------------------------------------------------


class Cache:
    def __init__(self):
        self.values = []


class Changing(nn.Module):
    """Changes whatever a module's own code can change while it runs."""

    def __init__(self, fails=False):
        super().__init__()
        self.inner = nn.ModuleDict({"linear": nn.Linear(8, 8)})
        self.register_buffer("seen", torch.zeros(8))
        self.fails, self.calls, self.kept, self.by_shape, self.helper = (
            fails,
            0,
            [torch.zeros(2)],
            {"a": {1: None}},
            Cache(),
        )

    def forward(self, x):
        if not hasattr(self, "pe"):
            self.pe = torch.ones_like(x)
            self.register_buffer("mask", x > 0)
            self.inner["linear"].register_forward_hook(lambda module, inputs, output: output * 2)
            self.inner["later"] = nn.ReLU()
        self.calls += 1
        self.seen = self.seen + x[0, 0]
        self.kept.append(x)
        self.by_shape["a"][2] = x
        self.helper.values.append(x)
        self.inner["linear"].train()
        if self.fails:
            raise ValueError("not today")
        return self.inner["linear"](x) + self.pe


def state(model):
    """All that a module holds: what is at the ends of its attributes by identity, tensors also by value."""
    flat = {}

    def visit(value, name):
        if isinstance(value, nn.Module | Cache):
            value = vars(value)
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                visit(item, (*name, key))
        flat[name] = (
            id(value) if not isinstance(value, int) else value,
            value.tolist() if isinstance(value, torch.Tensor) else None,
        )

    visit(model, ())
    return flat


@pytest.mark.parametrize("fails", [False, True])
def test_a_module_that_changes_itself_is_left_as_it_was(fails):
    model = Changing(fails)
    before = state(model)
    if fails:
        with pytest.raises(InvalidArchitecture, match="not today"):
            from_module(model, SEQUENCE)
    else:
        from_module(model, SEQUENCE)
    assert state(model) == before
    copy.deepcopy(model)
    if not fails:
        assert type(model(SEQUENCE)) is torch.Tensor
        assert not isinstance(model.pe, FakeTensor)


# -- the space -----------------------------------------------------------------------------------------------


def test_space_round_trips(traced):
    assert from_config(json.loads(json.dumps(SMALL.config()))) == SMALL
    assert archenc.create_space("operations", max_nodes=32) == SMALL
    graphs = concatenate(list(traced.values()))
    again = SMALL.parse(SMALL.format(graphs))
    assert (again.hash() == graphs.with_features(None).hash()).all()
    assert len(OPERATIONS) == len(set(OPERATIONS)) < 200
    check_space(OperationSpace(max_nodes=12))


def test_several_modules_share_the_smallest_space():
    graphs = from_modules([nn.Linear(8, 2), nn.Sequential(nn.Linear(8, 2), nn.ReLU())], SEQUENCE)
    assert graphs.space == OperationSpace(max_nodes=4)
    assert [operations(graphs, row) for row in (0, 1)] == [["linear"], ["linear", "relu"]]
    later = from_modules([nn.ReLU()], SEQUENCE, space=graphs.space)
    assert len(concatenate([graphs, later])) == 3


def deep(layers):
    return nn.Sequential(*[layer for _ in range(layers) for layer in (conv(), nn.BatchNorm2d(4), nn.ReLU())])


def test_encoders_take_networks_of_hundreds_of_nodes(tmp_path):
    graphs = from_modules([deep(20), deep(80), NETWORKS["branching"][0], NETWORKS["dilated"][0]], IMAGE)
    assert graphs.num_nodes == 242
    labels = np.array([1.0, 2.0, 3.0, 4.0])
    for encoder in ("gates", "gcn", "op-count", "wl"):
        fixed = encoder in ("op-count", "wl")
        predictor = Predictor(
            encoder,
            "ridge" if fixed else "mlp",
            "mse" if fixed else "hinge",
            **({} if fixed else {"epochs": 1}),
        )
        assert np.isfinite(predictor.fit(graphs, labels).predict(graphs)).all()
    predictor.save(tmp_path / "predictor")
    assert (Predictor.load(tmp_path / "predictor").predict(graphs) == predictor.predict(graphs)).all()
    with pytest.raises(InvalidParameter, match="give a smaller cutoff"):
        archenc.create_encoder("path", space=graphs.space)
    assert archenc.create_encoder("path", space=graphs.space, cutoff=50).encode(graphs).shape == (4, 50)


def test_ta_gates_reads_the_features():
    graphs = from_modules([nn.Linear(8, 2), nn.Linear(8, 64)], SEQUENCE)
    sizes = {"symmetry_breaking": "scores-concat", "score_dim": graphs.num_features}
    predictor = Predictor("ta-gates", "mlp", "hinge", encoder_params=sizes, epochs=1, random_state=0).fit(
        graphs, np.array([1.0, 2.0])
    )
    low, high = predictor.predict(graphs)
    assert low != high  # which the operations alone do not tell apart


class Asking(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = conv(), conv()

    def forward(self, x):
        return self.a(x) if torch.compiler.is_exporting() else self.b(self.a(x))


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = conv()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.a(x) * self.calls


TIED = nn.Linear(8, 8)
SYMBOLIC = {
    "in place": (nn.Sequential(conv(), nn.Dropout(), nn.ReLU(inplace=True), nn.BatchNorm2d(4)), IMAGE),
    "added in place": (Net(lambda net, x: net.a(x).add_(x), a=conv()), IMAGE),
    "tied": (Net(lambda net, x: net.b(net.a(x)), a=TIED, b=TIED), SEQUENCE),
    "slices": (Net(lambda net, x: torch.cat([net.a(x)[:, :2], x[:, 2:].chunk(2, 1)[0]], 1), a=conv()), IMAGE),
    "made inside": (Net(lambda net, x: net.a(x) * torch.arange(8.0) + torch.rand(8), a=conv()), IMAGE),
    "einsum": (Net(lambda net, x: torch.einsum("bchw,bdhw->bcd", net.a(x), x), a=conv()), IMAGE),
    "dead": (Net(lambda net, x: (net.b(x), net.a(x))[1], a=conv(), b=conv()), IMAGE),
    "several": (Net(lambda net, x: {"y": net.a(x), "x": x, "k": 3}, a=conv(), unused=conv()), IMAGE),
    "encoder": (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), SEQUENCE),
    "gru": (Net(lambda net, x: net.a(x)[0], a=nn.GRU(8, 8, batch_first=True)), SEQUENCE),
    "asking": (Asking(), IMAGE),
}
EXPORTED = {
    "list of places": (Net(lambda net, x: net.a(x)[:, [0, 2]], a=conv()), IMAGE),
    "literal": (Net(lambda net, x: net.a(x) * torch.tensor(2.0), a=conv()), IMAGE),
    "detached": (Net(lambda net, x: net.a(x).detach() + 1, a=conv()), IMAGE),
    "writes into its input": (Net(lambda net, x: net.a(x.mul_(2)), a=conv()), IMAGE),
    "counting": (Counting(), IMAGE),
}


@pytest.mark.parametrize("name", [*SYMBOLIC, *EXPORTED, *NETWORKS])
def test_both_ways_of_tracing_give_one_graph(name):
    model, inputs = (SYMBOLIC | EXPORTED | NETWORKS)[name][:2]
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    traced = _traced(model, tuple(value.clone() for value in inputs))
    assert (traced is None) == (name in (*EXPORTED, "in place on a view", "frozen part"))
    assert model.training
    assert not torch.compiler.is_exporting()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    if traced is not None:
        exported = draw(read_program(_export(model, tuple(value.clone() for value in inputs))))
        drawing = draw(traced)
        assert (drawing.names, drawing.edges) == (exported.names, exported.edges)
        np.testing.assert_array_equal(drawing.features, exported.features)
