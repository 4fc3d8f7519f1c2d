"""PyTorch modules to graphs of operations, by symbolic tracing and by ``torch.export``."""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg
from torch.utils._pytree import tree_any, tree_leaves

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.files.text import visible
from archenc.graphs import ArchGraphs
from archenc.spaces.traced import vocabulary
from archenc.spaces.traced.counting import aten_name, count, is_known
from archenc.spaces.traced.network import Drawing, Network, Operation, Shape, draw, unknown
from archenc.spaces.traced.space import OperationSpace
from archenc.spaces.traced.untouched import untouched
from archenc.spaces.traced.vocabulary import ADDENDS, ATEN, CONSTANT, OTHER, PASS

Example = Tensor | tuple[Any, ...]
_POOLING = re.compile(r"_?(?P<adaptive>adaptive_)?(?P<kind>avg_pool|max_pool)(?P<axes>[123])d")
_COMPOSED = frozenset(("einsum", "tensordot", "inner", "linalg_multi_dot", "chain_matmul"))
"""Products of matrices whose costs are those of the products that torch makes of them."""


def from_module(
    model: nn.Module, example_input: Example, *, space: OperationSpace | None = None
) -> ArchGraphs:
    """A PyTorch module as a graph of its operations, with features; see :class:`OperationSpace` for what
    becomes a node.

    The module is traced in evaluation mode, symbolically or else by ``torch.export``, which run it on tensors
    without data: no computation, any device, and the module is left as it was. Sizes are those for
    ``example_input``; give a batch of one. Control flow that depends on shapes or attributes is followed,
    loops are unrolled. Einsum, tensordot and the like cost what the products cost that torch makes of them.

    Args:
        model: the module.
        example_input: its input, or a tuple of its positional inputs.
        space: the space of the graph; None for the default ``OperationSpace()``, so that graphs of several
            calls can be concatenated.

    Returns:
        One architecture; its features are log parameters, log multiply-adds, log output elements, log
        channels, log spatial size.

    Raises:
        InvalidParameter: no module, or an input that does not suit it.
        InvalidArchitecture: control flow that depends on data, more nodes than the space allows, or a module
            that cannot be traced.
    """
    space = OperationSpace() if space is None else space
    return space.place([_drawing(model, example_input)])


def from_modules(
    models: Iterable[nn.Module], example_input: Example, *, space: OperationSpace | None = None
) -> ArchGraphs:
    """Several modules as one batch; see :func:`from_module`.

    Args:
        models: the modules.
        example_input: an input that suits all of them, or a tuple of positional inputs.
        space: the space of the graphs, for example ``graphs.space`` of earlier ones; None for one that is
            just large enough.

    Raises:
        InvalidParameter: no module, or an input that does not suit it.
        InvalidArchitecture: what cannot be traced, and which module it is.
    """
    if not isinstance(models, Iterable) or (
        isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList)
    ):
        raise InvalidParameter(
            f"{_article(models)} is no list of modules; give a list, or one module to from_module"
        )
    drawings = []
    for number, model in enumerate(models):
        try:
            drawings.append(_drawing(model, example_input))
        except (InvalidArchitecture, InvalidParameter) as error:
            raise type(error)(f"model {number}: {error}") from None
    if not drawings:
        raise InvalidParameter("there are no models; give at least one")
    return (fitting_space(drawings) if space is None else space).place(drawings)


def fitting_space(drawings: Sequence[Drawing]) -> OperationSpace:
    """The space with the whole vocabulary that is just large enough."""
    return OperationSpace(max_nodes=max(len(drawing.features) for drawing in drawings))


def _article(value: object) -> str:
    """What something is, for a sentence."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _drawing(model: nn.Module, example_input: Example) -> Drawing:
    if not isinstance(model, nn.Module):
        raise InvalidParameter(f"{_article(model)} is no torch.nn.Module; give a module")
    if any(isinstance(part, torch.jit.ScriptModule) for part in model.modules()):
        raise InvalidParameter(
            f"the module {type(model).__name__} holds TorchScript, which cannot be traced; give it as it was "
            "before"
        )
    given = example_input if isinstance(example_input, tuple) else (example_input,)
    if not tree_any(lambda value: isinstance(value, Tensor), given):
        raise InvalidParameter(
            f"the example input, {_article(example_input)}, holds no tensor; give a tensor, or a tuple of "
            "the module's inputs"
        )
    arguments = tuple(
        value.clone() if isinstance(value, Tensor) else value for value in given
    )  # one tensor given twice is two inputs
    network = _traced(model, arguments)
    return draw(read_program(_export(model, arguments)) if network is None else network)


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, without the fused kernels that hide what attention is made of, and
    without what torch prints.
    """
    fused, silenced = torch.backends.mha.get_fastpath_enabled(), logging.root.manager.disable
    torch.backends.mha.set_fastpath_enabled(False)
    logging.disable(
        logging.ERROR
    )  # what torch says about a module that it cannot trace is in the error that is raised
    try:
        with (
            untouched(model),
            torch.no_grad(),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of torch about itself
            model.eval()
            yield
    finally:
        logging.disable(silenced)
        torch.backends.mha.set_fastpath_enabled(fused)


_LEFT_TO_EXPORT = frozenset(
    ("detach", "detach_", "lift_fresh", "lift_fresh_copy", "alias", "index", "index_put_")
)
"""Operations that ``torch.export`` may show in another way."""


def _traced(model: nn.Module, arguments: tuple[Any, ...]) -> Network | None:
    """The operations of a module by symbolic tracing, which gives those that ``torch.export`` gives in a
    third of the time; None where it might not, or fails, so that it is left to ``torch.export``.
    """
    if not all(isinstance(value, Tensor) for value in arguments):
        return None
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}

    def call(tensors: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Any:
        return torch.func.functional_call(model, tensors, inputs)

    try:
        with _evaluating(model), _compiling():
            graph = make_fx(call, tracing_mode="fake", pre_dispatch=True)(state, arguments).graph
    except Exception:  # whatever the module's own code and torch raise; the export says what it is
        return None
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    if not all(map(_is_plain, graph.nodes)) or len(placeholders) != len(state) + len(arguments):
        return None
    network = Network()
    for node, (_, tensor) in zip(placeholders, state.items(), strict=False):
        if isinstance(tensor, nn.Parameter):
            network.aliases[node.name] = node.name
            network.parameters[node.name] = tensor.numel()
    for node in placeholders[len(state) :]:
        network.inputs[node.name] = _shape(node)
    network.operations = [_operation(node) for node in graph.nodes if node.op == "call_function"]
    network.outputs = [
        node.name for node in tree_leaves(graph.output_node().args[0]) if isinstance(node, Node)
    ]
    return network


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """Modules that ask whether they are exported are told what ``torch.export`` tells them."""
    flags = ("_is_compiling_flag", "_is_exporting_flag")
    before = {name: getattr(torch.compiler, name) for name in flags}
    try:
        for name in flags:
            setattr(torch.compiler, name, True)
        yield
    finally:
        for name, flag in before.items():
            setattr(torch.compiler, name, flag)


def _is_plain(node: Node) -> bool:
    """Whether a node of a graph is one that an export has, too."""
    if node.op != "call_function" or node.target is operator.getitem:
        return node.op in ("placeholder", "output", "call_function")
    if not isinstance(node.target, OpOverload) or aten_name(node.target) in _LEFT_TO_EXPORT:
        return False
    written = node.args[0] if node.target._schema.is_mutable and node.args else None
    return not (isinstance(written, Node) and written.op == "placeholder") and not _writes_into_view(node)


def _export(model: nn.Module, arguments: tuple[Any, ...]) -> ExportedProgram:
    what = f"the module {type(model).__name__}"
    try:
        with _evaluating(model):
            program = torch.export.export(model, arguments, strict=False)
            return (
                program.run_decompositions({})
                if any(map(_writes_into_view, program.graph.nodes))
                else program
            )
    except Exception as error:  # whatever the module's own code and torch raise
        if "datadependent" in type(error).__name__.lower() or "data-dependent" in str(error).lower():
            remedy = "use torch.where, or trace its branches one by one"
            raise InvalidArchitecture(
                f"{what} has control flow that depends on its data, so that it is no single graph; {remedy}"
            ) from None
        reason = visible((str(error).strip().splitlines() or [""])[0])
        raise InvalidArchitecture(
            f"{what} cannot be traced by torch.export ({type(error).__name__}: {reason:.200}); check that it "
            "runs on the example input"
        ) from None


def _writes_into_view(node: Node) -> bool:
    """Whether an in-place operation changes a value through a view of it, which the trace shows only once it
    is made functional.
    """
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return False
    written = node.args[0] if node.args else None
    if not isinstance(written, Node) or written.op != "call_function":
        return False
    target = written.target
    if isinstance(target, OpOverload):
        return not target._schema.is_mutable and any(
            value.alias_info is not None for value in target._schema.returns
        )
    return target is operator.getitem


def read_program(program: ExportedProgram) -> Network:
    """The operations of an exported program.

    Raises:
        InvalidArchitecture: it holds graphs of its own, such as the branches of ``torch.cond``.
    """
    network = Network()
    signature = program.graph_signature
    seen: dict[int, str] = {}
    for name, path in signature.inputs_to_parameters.items():
        parameter = program.state_dict[path]
        network.aliases[name] = seen.setdefault(id(parameter), name)
        network.parameters[name] = parameter.numel()
    for node in program.graph.nodes:
        if (
            node.op == "placeholder"
            and node.name in signature.user_inputs
            and isinstance(node.meta.get("val"), Tensor)
        ):
            network.inputs[node.name] = _shape(node)
        elif node.op == "call_function":
            if isinstance(node.target, HigherOrderOperator):
                raise InvalidArchitecture(
                    f"the module branches by {node.target}, so that it is no single graph; trace its "
                    "branches one by one"
                )
            network.operations.append(_operation(node))
    network.outputs = [str(name) for name in signature.user_outputs if name is not None]
    if not network.inputs:
        raise InvalidParameter(
            "the module was given no tensor as input; give an example input that holds one"
        )
    return network


def _operation(node: Node) -> Operation:
    inputs = tuple(value.name for value in node.all_input_nodes)
    if not isinstance(node.target, OpOverload):
        return Operation(PASS if node.target is operator.getitem else CONSTANT, inputs, (node.name,), (), 0)
    name = aten_name(node.target)
    arguments = _arguments(node)
    if name == "copy":  # what was there before is overwritten
        inputs = (arguments["src"].name,)
    read = _tensors(
        {key: value for key, value in arguments.items() if key != ("self" if name in ADDENDS else "hx")}
    )
    plain = Operation(OTHER, inputs, (node.name,), (), 0)
    if not all(_has_fixed_size(value) for value in (node, *read)):
        remedy = "use operations whose results have a fixed size, such as torch.where"
        return plain._replace(fault=f"the size of what the operation {name} gives depends on data; {remedy}")
    plain = plain._replace(shape=_shape(node))
    kind = _kind(name, arguments, _shape(node)) if node.target.namespace == "aten" else None
    if name in _COMPOSED or (kind is None and not is_known(node.target)):
        flops, strange = _count(node)
        return plain._replace(kind=kind or OTHER, flops=flops, fault=unknown(strange[0]) if strange else "")
    if kind is None:
        return plain
    return plain._replace(
        kind=kind, flops=vocabulary.multiply_adds(kind, [_shape(value) for value in read], _shape(node))
    )


def _count(node: Node) -> tuple[int, list[str]]:
    """What an operation costs that has no formula of its own, and the operations in it of which nobody
    knows.
    """
    values = [map_arg(given, lambda value: value.meta["val"]) for given in (node.args, node.kwargs)]
    try:
        return count(node.target, *values[0], **values[1])  # type: ignore[arg-type]
    except Exception:  # what runs in the trace and not on its own
        return 0, [str(node.target)]


def _arguments(node: Node) -> dict[str, Any]:
    """The arguments of a call by name, defaults included."""
    parameters = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip((parameter.name for parameter in parameters), node.args, strict=False)) | node.kwargs
    return {parameter.name: given.get(parameter.name, parameter.default_value) for parameter in parameters}


def _tensors(arguments: dict[str, Any]) -> list[Node]:
    values = [
        value
        for argument in arguments.values()
        for value in (argument if isinstance(argument, list | tuple) else [argument])
    ]
    return [value for value in values if isinstance(value, Node)]


def _shape(node: Node) -> Shape:
    """Shape of a node's first tensor, () where it has none."""
    value = node.meta.get("val")
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return tuple(int(size) for size in value.shape) if isinstance(value, Tensor) else ()


def _has_fixed_size(node: Node) -> bool:
    value = node.meta.get("val")
    tensors = [
        item for item in (value if isinstance(value, list | tuple) else [value]) if isinstance(item, Tensor)
    ]
    return all(isinstance(size, int) for tensor in tensors for size in tensor.shape)


def _kind(name: str, arguments: dict[str, Any], output: Shape) -> str | None:
    if name.startswith("conv_transpose") or (name == "convolution" and arguments["transposed"]):
        return "conv_transpose"
    if name in ("conv1d", "conv2d", "conv3d", "convolution"):
        return vocabulary.convolution(_shape(arguments["weight"]), arguments["groups"], arguments["dilation"])
    rank = len(_shape(arguments["self"])) if isinstance(arguments.get("self"), Node) else 0
    if pooling := _POOLING.match(name):
        axes = int(pooling["axes"])
        kernel = None if pooling["adaptive"] else list(arguments["kernel_size"])
        if kernel and len(kernel) < axes:
            kernel *= axes
        return vocabulary.pool(pooling["kind"], _shape(arguments["self"])[-axes:], kernel, output[-axes:])
    kind = ATEN.get(name)
    if kind in ("mean", "max") and isinstance(arguments.get("dim"), list | tuple):
        return vocabulary.reduction(kind, rank, arguments["dim"])
    if kind == "clamp":
        return _clamp(arguments)
    return kind


def _clamp(arguments: dict[str, Any]) -> str:
    low = arguments.get("min", arguments.get("min_val"))
    high = arguments.get("max", arguments.get("max_val"))
    if low == 0:
        return {None: "relu", 6: "relu6"}.get(high if not isinstance(high, Node) else -1, "clamp")
    return "clamp"
