"""Parameters and FLOPs of the networks of NAS-Bench-101, as exact counts.

A network is a 3x3 convolution to 128 channels, three stacks of three cells with 128, 256 and 512 channels,
and a linear classifier of ten classes on the mean over the pixels; a 2x2 max-pooling halves the image before
the second and the third stack (Ying et al., ICML 2019, section 2.1). In a cell of ``outputs`` channels (the
paper's supplement and the official model builder):

* the nodes that feed the output share its channels evenly; what the division leaves over gives one more
    channel to each of the first;
* any other interior node has as many channels as the widest node that it feeds, and is cut to fit the
    narrower ones;
* an edge from the input is a 1x1 convolution to the channels of its target.

Every convolution has no bias and is followed by a batch normalisation with a scale and a shift for each
channel.
"""

from __future__ import annotations

import numpy as np

from archenc.graphs import NODE_OFFSET, ArchGraphs

STEM_CHANNELS, CELLS_PER_STACK, CLASSES = 128, 3, 10
STACKS = ((128, 32), (256, 16), (512, 8))
"""Channels of each stack and the side of its image in pixels."""
KERNEL_AREAS = np.array([9, 1, 0])
"""Weights of an operation for each pair of channels: conv3x3-bn-relu, conv1x1-bn-relu, maxpool3x3."""


def network_costs(graphs: ArchGraphs) -> dict[str, np.ndarray]:
    """``"parameters"`` and ``"flops"``, int64 (N,), of cells whose every node lies on a path from the input
    to the output.
    """
    adjacency = graphs.adjacency.cpu().numpy().astype(bool)
    areas = np.concatenate([np.zeros(NODE_OFFSET, dtype=np.int64), KERNEL_AREAS])[graphs.ops.cpu().numpy()]
    stem, classifier = 9 * 3 * STEM_CHANNELS, (STACKS[-1][0] + 1) * CLASSES
    parameters = np.full(len(adjacency), stem + 2 * STEM_CHANNELS + classifier)
    flops = np.full(len(adjacency), stem * STACKS[0][1] ** 2 + classifier)
    inputs = STEM_CHANNELS
    for outputs, side in STACKS:
        channels = node_channels(adjacency, outputs)
        for cell_inputs, cells in ((inputs, 1), (outputs, CELLS_PER_STACK - 1)):
            weights, normalised = _cell_sizes(adjacency, areas, channels, cell_inputs)
            parameters += cells * (weights + 2 * normalised)
            flops += cells * weights * side**2
        inputs = outputs
    return {"parameters": parameters, "flops": flops}


def node_channels(adjacency: np.ndarray, outputs: int) -> np.ndarray:
    """int64 (N, V): channels of every node but the input (0) in cells of ``outputs`` channels; adjacency is
    (N, V, V) bool.
    """
    last = adjacency.shape[1] - 1
    feeds_output = adjacency[:, :, last].copy()
    feeds_output[:, 0] = False  # the input's projection is added to the joined nodes
    share, left_over = np.divmod(outputs, np.maximum(feeds_output.sum(1, keepdims=True), 1))
    place = feeds_output.cumsum(1) - 1
    channels = np.where(feeds_output, share + (place < left_over), 0)
    for node in range(last - 2, 0, -1):
        widest = np.where(adjacency[:, node, :last], channels[:, :last], 0).max(1)
        channels[:, node] = np.where(feeds_output[:, node], channels[:, node], widest)
    channels[:, last] = outputs
    return channels


def _cell_sizes(
    adjacency: np.ndarray, areas: np.ndarray, channels: np.ndarray, inputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) weights of the convolutions of a cell with ``inputs`` channels at its input, and (N,) channels
    that they normalise.
    """
    projected = adjacency[:, 0]
    weights = areas * channels**2 + inputs * channels * projected
    normalised = channels * ((areas > 0).astype(np.int64) + projected)
    return weights.sum(1), normalised.sum(1)
