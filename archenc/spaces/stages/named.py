"""Published spaces of choices, as their papers describe them."""

from __future__ import annotations

from typing import Any, Literal

from archenc.spaces.stages.space import StageSpace


class HWGPT(StageSpace):
    """The language models of HW-GPT-Bench, which are like GPT-2: blocks of attention and a perceptron.

    Each block chooses its heads and the ratio of its perceptron's width to the embedding; the network chooses
    the embedding, the number of blocks, and whether linear layers have a bias.

    | scale | embedding | blocks | heads | ratio |
    |---|---|---|---|---|
    | s | 192, 384, 768 | 10 to 12 | 4, 8, 12 | 2, 3, 4 |
    | l | 320, 640, 1280 | 34 to 36 | 8, 16, 20 | 2, 3, 4 |

    ``create_space("hw-gpt").joined(create_space("hw-gpt", scale="l"), "both")`` has the networks of both.

    Args:
        scale: ``"s"`` or ``"l"``.

    Examples:
        >>> import archenc
        >>> archenc.create_space("hw-gpt", scale="l").stages[0].depths
        (34, 35, 36)
    """

    paper = (
        "Sukthanker et al.: HW-GPT-Bench: Hardware-Aware Architecture Benchmark for Language Models, NeurIPS "
        "2024, arXiv:2405.10299"
    )

    def __init__(self, *, scale: Literal["s", "l"] = "s") -> None:
        embedding, layers, heads = {
            "s": ([192, 384, 768], [10, 11, 12], [4, 8, 12]),
            "l": ([320, 640, 1280], [34, 35, 36], [8, 16, 20]),
        }[scale]
        self.scale = scale
        blocks = {"layers": layers, "attributes": {"heads": heads, "mlp_ratio": [2, 3, 4]}}
        super().__init__(
            f"hw-gpt-{scale}",
            stages={"blocks": blocks},
            globals={"embed_dim": embedding, "bias": [False, True]},
        )

    def config(self) -> dict[str, Any]:
        return {"name": "hw-gpt", "parameters": {"scale": self.scale}}


class AutoFormer(StageSpace):
    """The vision transformers of AutoFormer-T: 12 to 14 blocks, each with 3 or 4 heads and a perceptron of
    3.5 or 4 times the width of the embedding, which is 192, 216 or 240 for all of them.

    The width of queries, keys and values is no choice of its own in the released code: 64 for each head.

    Examples:
        >>> import archenc
        >>> archenc.create_space("autoformer").globals[0].choices
        (192, 216, 240)
    """

    paper = (
        "Chen, Peng, Fu, Ling: AutoFormer: Searching Transformers for Visual Recognition, ICCV 2021, table "
        "1, arXiv:2107.00651"
    )

    def __init__(self) -> None:
        attributes = {"num_heads": [3, 4], "mlp_ratio": [3.5, 4.0]}
        super().__init__(
            "autoformer",
            stages={"blocks": {"layers": [12, 13, 14], "attributes": attributes}},
            globals={"embed_dim": [192, 216, 240]},
        )

    def config(self) -> dict[str, Any]:
        return {"name": "autoformer", "parameters": {}}


class OFAMobileNetV3(StageSpace):
    """The networks of Once-for-all on MobileNetV3: five units of 2, 3 or 4 layers, each layer with a kernel
    of 3, 5 or 7 and an expansion of 3, 4 or 6; images of 128 to 224 pixels, in steps of 4.

    At one resolution these are (9^2 + 9^3 + 9^4)^5, about 2 * 10^19, networks.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("ofa-mobilenetv3")
        >>> len(space.stages), space.max_nodes
        (5, 23)
    """

    paper = (
        "Cai, Gan, Wang, Zhang, Han: Once-for-All: Train One Network and Specialize it for Efficient "
        "Deployment, ICLR 2020, section 3.2, arXiv:1908.09791"
    )

    def __init__(self) -> None:
        unit = {"layers": [2, 3, 4], "attributes": {"kernel": [3, 5, 7], "expansion": [3, 4, 6]}}
        super().__init__(
            "ofa-mobilenetv3",
            stages={f"unit{number}": unit for number in range(1, 6)},
            globals={"resolution": list(range(128, 225, 4))},
        )

    def config(self) -> dict[str, Any]:
        return {"name": "ofa-mobilenetv3", "parameters": {}}


class MnasNet(StageSpace):
    """The factorised hierarchical space of MnasNet: seven blocks, whose layers are all alike.

    Each block chooses the convolution (regular, depthwise, or mobile inverted bottleneck), the kernel (3, 5),
    the ratio of squeeze-and-excitation (0, 0.25), the skip operation (pooling, identity, none), the filters
    (0.75, 1 or 1.25 times those of MobileNetV2) and the layers (one less, as many, or one more than
    MobileNetV2).

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("mnasnet")
        >>> [one.label for one in space.stages[0].attributes]
        ['conv', 'kernel', 'se_ratio', 'skip', 'filters', 'depth']
    """

    paper = (
        "Tan et al.: MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019, section 4.1, "
        "arXiv:1807.11626"
    )

    def __init__(self) -> None:
        attributes = {
            "conv": ["regular", "depthwise", "mbconv"],
            "kernel": [3, 5],
            "se_ratio": [0, 0.25],
            "skip": ["pooling", "identity", "none"],
            "filters": [0.75, 1.0, 1.25],
            "depth": [-1, 0, 1],
        }
        stages = {f"block{number}": {"attributes": attributes} for number in range(1, 8)}
        super().__init__("mnasnet", stages=stages)

    def config(self) -> dict[str, Any]:
        return {"name": "mnasnet", "parameters": {}}
