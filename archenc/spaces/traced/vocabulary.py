"""The fixed vocabulary of operations, and what PyTorch (ATen) and ONNX call them.

Names say what is computed and not how it was written: a module, a function, a method and an in-place method
give the same name. Sizes (channels, strides, strings of axes) are left to the features of the operations.
Convolutions are told apart by kernel, groups and dilation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

PASS = "<pass>"
"""What only hands its input on and is contracted: dropout in evaluation, reshaping without reordering,
copies, casts.
"""
CONSTANT = "<constant>"
"""What knows only the shape of its input, such as ``zeros_like``."""
ARGUMENT = "argument"
OTHER = "other"
"""What has no name of its own but is known to multiply no matrices; what is not known at all is refused."""

_KERNELS = ("1x1", "3x3", "5x5", "7x7", "1xn", "nxn")
_CONVOLUTIONS = tuple(
    f"conv{kernel}{groups}{dilated}"
    for kernel in _KERNELS
    for groups in ("", "/depthwise", "/grouped")
    for dilated in ("", "/dilated")
    if not (kernel == "1x1" and dilated)
)

# kind: names in ATen (without namespace, overload and the underscore of in-place operations), names in ONNX
_NAMES: dict[str, tuple[str, str]] = {
    "linear": ("linear", "Gemm"),
    "bilinear": ("bilinear", ""),
    "matmul": (
        "matmul mm bmm addmm baddbmm mv addmv dot vdot einsum tensordot inner linalg_multi_dot chain_matmul",
        "MatMul Einsum",
    ),
    "attention": ("scaled_dot_product_attention", "Attention"),
    "embedding": ("embedding embedding_bag", ""),
    "lstm": ("lstm lstm_cell", "LSTM"),
    "gru": ("gru gru_cell", "GRU"),
    "rnn": ("rnn_tanh rnn_relu rnn_tanh_cell rnn_relu_cell", "RNN"),
    "max_pool": (
        "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices",
        "MaxPool",
    ),
    "avg_pool": ("avg_pool1d avg_pool2d avg_pool3d", "AveragePool"),
    "global_avg_pool": ("", "GlobalAveragePool"),
    "global_max_pool": ("", "GlobalMaxPool"),
    "lp_pool": ("", "LpPool GlobalLpPool"),
    "batch_norm": (
        "batch_norm _native_batch_norm_legit_no_training _native_batch_norm_legit native_batch_norm",
        "BatchNormalization",
    ),
    "layer_norm": ("layer_norm native_layer_norm", "LayerNormalization"),
    "group_norm": ("group_norm native_group_norm", "GroupNormalization"),
    "instance_norm": ("instance_norm", "InstanceNormalization"),
    "rms_norm": ("rms_norm", "RMSNormalization"),
    "local_response_norm": ("", "LRN"),
    "norm": ("linalg_vector_norm norm", "LpNormalization ReduceL1 ReduceL2"),
    "relu": ("relu", "Relu"),
    "relu6": ("relu6", ""),
    "leaky_relu": ("leaky_relu rrelu", "LeakyRelu"),
    "prelu": ("prelu", "PRelu"),
    "elu": ("elu", "Elu"),
    "celu": ("celu", "Celu"),
    "selu": ("selu", "Selu"),
    "gelu": ("gelu", "Gelu"),
    "silu": ("silu", "Swish"),
    "mish": ("mish", "Mish"),
    "hardswish": ("hardswish", "HardSwish"),
    "hardsigmoid": ("hardsigmoid", "HardSigmoid"),
    "sigmoid": ("sigmoid", "Sigmoid"),
    "tanh": ("tanh", "Tanh"),
    "softplus": ("softplus", "Softplus"),
    "logsigmoid": ("log_sigmoid", ""),
    "glu": ("glu", ""),
    "softmax": ("softmax _softmax", "Softmax"),
    "log_softmax": ("log_softmax _log_softmax", "LogSoftmax"),
    "clamp": ("clamp clamp_min clamp_max hardtanh", "Clip"),
    "add": ("add", "Add Sum"),
    "sub": ("sub rsub subtract", "Sub"),
    "mul": ("mul multiply", "Mul"),
    "div": ("div divide true_divide floor_divide reciprocal", "Div Reciprocal"),
    "pow": ("pow square sqrt rsqrt", "Pow Sqrt"),
    "exp": ("exp expm1", "Exp"),
    "log": ("log log1p log2", "Log"),
    "abs": ("abs sign neg", "Abs Sign Neg"),
    "trigonometric": ("sin cos tan atan erf", "Sin Cos Tan Atan Erf"),
    "maximum": ("maximum", "Max"),
    "minimum": ("minimum", "Min"),
    "where": ("where masked_fill", "Where"),
    "compare": (
        "eq ne gt ge lt le logical_and logical_or logical_not isnan",
        "Equal Greater GreaterOrEqual Less LessOrEqual And Or Not IsNaN",
    ),
    "mean": ("mean", "ReduceMean"),
    "sum": ("sum", "ReduceSum"),
    "max": ("max amax", "ReduceMax"),
    "min": ("min amin", "ReduceMin"),
    "prod": ("prod", "ReduceProd"),
    "var": ("var std var_mean std_mean", ""),
    "argmax": ("argmax argmin", "ArgMax ArgMin"),
    "cumsum": ("cumsum", "CumSum"),
    "sort": ("sort topk", "TopK"),
    "cat": ("cat concat concatenate stack hstack vstack", "Concat"),
    "slice": (
        "slice select narrow split split_with_sizes chunk unbind unsafe_split unsafe_chunk tensor_split",
        "Slice Split",
    ),
    "gather": ("index index_select gather take", "Gather GatherElements GatherND"),
    "scatter": (
        "select_scatter slice_scatter index_put scatter scatter_add index_add",
        "ScatterElements ScatterND",
    ),
    "transpose": ("transpose permute t movedim swapaxes numpy_T", "Transpose"),
    "repeat": ("repeat repeat_interleave tile", "Tile"),
    "flip": ("flip roll", ""),
    "pad": ("pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad2d", "Pad"),
    "upsample": (
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d "
        "upsample_bicubic2d "
        "upsample_trilinear3d _upsample_nearest_exact2d grid_sampler",
        "Resize Upsample GridSample",
    ),
    "pixel_shuffle": ("pixel_shuffle pixel_unshuffle", "DepthToSpace SpaceToDepth"),
    "unfold": ("im2col col2im unfold", "Col2Im"),
    PASS: (
        "dropout alpha_dropout feature_dropout feature_alpha_dropout view reshape _unsafe_view view_as "
        "flatten unflatten squeeze unsqueeze "
        "expand expand_as broadcast_to contiguous clone copy detach alias lift_fresh_copy to _to_copy "
        "type_as float",
        "Identity Dropout Reshape Flatten Squeeze Unsqueeze Expand Cast CastLike",
    ),
    CONSTANT: (
        "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full "
        "new_empty sym_size",
        "Shape Size",
    ),
    # What has no kind of its own and multiplies no matrices. In ATen these are only those that do not compute
    # element by element.
    OTHER: (
        "all any argsort as_strided_scatter bernoulli bincount broadcast_tensors bucketize cummax cummin "
        "cumprod diag "
        "diag_embed diagonal_scatter exponential fill geometric histc item kthvalue linalg_cross "
        "logcumsumexp logsumexp "
        "masked_scatter masked_select max_unpool2d max_unpool3d median mode multinomial nanmedian nansum "
        "native_channel_shuffle "
        "native_dropout nonzero norm_except_dim normal one_hot poisson put random reflection_pad3d renorm "
        "replication_pad1d "
        "replication_pad3d rot90 searchsorted scatter_reduce trace trapezoid tril triu unique_consecutive "
        "unique_dim uniform "
        "zero _fft_c2c _fft_c2r _fft_r2c _local_scalar_dense _pack_padded_sequence _pad_packed_sequence "
        "_unique2 "
        "_weight_norm_interface",
        "Acos Acosh Asin Asinh Atanh Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor "
        "BlackmanWindow Ceil "
        "CenterCropPad Compress Constant ConstantOfShape Cosh CumProd DFT DequantizeLinear "
        "DynamicQuantizeLinear EyeLike Floor "
        "HammingWindow HannWindow Hardmax IsInf MaxRoiPool MaxUnpool Mean MeanVarianceNormalization Mod "
        "Multinomial "
        "NegativeLogLikelihoodLoss NonMaxSuppression NonZero OneHot QuantizeLinear RandomNormal "
        "RandomNormalLike RandomUniform "
        "RandomUniformLike Range ReduceLogSum ReduceLogSumExp ReduceSumSquare ReverseSequence RoiAlign Round "
        "Shrink Sinh "
        "Softsign ThresholdedRelu Trilu Unique Xor",
    ),
}

OPERATIONS: tuple[str, ...] = (
    *_CONVOLUTIONS,
    "conv_transpose",
    *(kind for kind in _NAMES if kind not in (PASS, CONSTANT, OTHER)),
    ARGUMENT,
    OTHER,
)
"""All operations. ``"argument"`` marks the inputs of a network of several; ``"other"`` is what is known and
has no name here.
"""

ADDENDS = frozenset(("addmm", "addmv", "baddbmm"))
"""Those whose first argument is added to a product."""

ATEN: dict[str, str] = {name: kind for kind, (names, _) in _NAMES.items() for name in names.split()}
ONNX: dict[str, str] = {name: kind for kind, (_, names) in _NAMES.items() for name in names.split()}


def convolution(weight: Sequence[int], groups: int, dilation: Sequence[int]) -> str:
    """Name of a convolution with a weight (out, in / groups, *kernel)."""
    kernel = tuple(weight[2:])
    long = [size for size in kernel if size > 1]
    if not long:
        name = "conv1x1"
    elif len(long) == 1:
        name = "conv1xn"
    else:
        name = f"conv{kernel[0]}x{kernel[0]}" if set(kernel) in ({3}, {5}, {7}) else "convnxn"
    if groups > 1:
        name += "/depthwise" if weight[1] == 1 else "/grouped"
    return name + ("/dilated" if long and max(dilation) > 1 else "")


def pool(kind: str, size: Sequence[int], kernel: Sequence[int] | None, pooled: Sequence[int]) -> str:
    """``"avg_pool"`` or ``"max_pool"``, with ``"global_"`` before it where it sees the whole of each channel.

    Args:
        kind: one of the two.
        size: spatial shape before.
        kernel: spatial shape of the window, None for adaptive pooling.
        pooled: spatial shape after.
    """
    whole = math.prod(pooled) == 1 and (kernel is None or tuple(kernel) == tuple(size))
    return f"global_{kind}" if whole else kind


def reduction(kind: str, rank: int, axes: Sequence[int]) -> str:
    """The mean or maximum over all spatial axes is a global pooling; other reductions keep their name."""
    spatial = rank > 2 and {axis % rank for axis in axes} == set(range(2, rank))
    return {"mean": "global_avg_pool", "max": "global_max_pool"}.get(kind, kind) if spatial else kind


def multiply_adds(kind: str, inputs: Sequence[Sequence[int]], output: Sequence[int]) -> int:
    """Multiply-adds of an operation from the shapes of its inputs, weights among them, and of its (first)
    output.

    Biases, normalisations, activations, poolings and sums count nothing, as in
    :meth:`archenc.spaces.base.Space.costs`.
    """
    first = inputs[0] if inputs else ()
    if kind == "conv_transpose":
        return math.prod(first) * math.prod(inputs[1][1:])
    if kind.startswith("conv"):
        return math.prod(output) * math.prod(inputs[1][1:])
    if kind in ("linear", "matmul"):
        return math.prod(output) * first[-1]
    if kind == "attention":
        queries, (keys, values) = first, inputs[1:3]
        return math.prod(queries[:-1]) * keys[-2] * (queries[-1] + values[-1])
    if kind in (
        "lstm",
        "gru",
        "rnn",
        "bilinear",
    ):  # every weight matrix is applied at each step of each sequence
        matrices = inputs[2:3] if kind == "bilinear" else [shape for shape in inputs[1:] if len(shape) >= 2]
        return math.prod(first[:-1]) * sum(math.prod(shape) for shape in matrices)
    return 0
