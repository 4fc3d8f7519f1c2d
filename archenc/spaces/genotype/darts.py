"""The two-cell spaces of the literature: DARTS, and NASNet, AmoebaNet, PNAS, ENAS and DARTS as "On Network
Design Spaces" defines them.
"""

from __future__ import annotations

from typing import Any

from archenc.spaces.genotype.space import GenotypeSpace

_NDS = (
    "Radosavovic, Johnson, Xie, Lo, Dollar: On Network Design Spaces for Visual Recognition, ICCV 2019, "
    "section 5, arXiv:1905.13214"
)


class _Published(GenotypeSpace):
    """A genotype space that its name says all about."""

    def config(self) -> dict[str, Any]:
        return {"name": self.name, "parameters": {}}


class DARTS(_Published):
    """The space of DARTS without its "none", as NAS-Bench-301 has it: 4 nodes of two different inputs, 7
    operations, all nodes joined.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("darts")
        >>> space.sample(3, seed=0)
        ArchGraphs(darts: 3 architectures, 2 cells each, 7 nodes, ops on edges)
    """

    paper = (
        "Liu, Simonyan, Yang: DARTS, ICLR 2019, arXiv:1806.09055; Zela, Siems et al.: Surrogate NAS "
        "Benchmarks, ICLR 2022, arXiv:2008.09777"
    )

    def __init__(self) -> None:
        operations = (
            "max_pool_3x3",
            "avg_pool_3x3",
            "skip_connect",
            "sep_conv_3x3",
            "sep_conv_5x5",
            "dil_conv_3x3",
            "dil_conv_5x5",
        )
        super().__init__("darts", operations, nodes=4, distinct_inputs=True)


class NDSDARTS(_Published):
    """DARTS as NDS samples it: 8 operations with "none", 4 nodes whose two inputs may be the same, all nodes
    joined.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nds-darts")
        >>> space.sample(3, seed=0)
        ArchGraphs(nds-darts: 3 architectures, 2 cells each, 7 nodes, ops on edges)
    """

    paper = f"Liu, Simonyan, Yang: DARTS, ICLR 2019, arXiv:1806.09055; {_NDS}"

    def __init__(self) -> None:
        super().__init__("nds-darts", ("none", *DARTS().choices), nodes=4, none_op="none")


class NASNet(_Published):
    """NASNet: 13 operations, 5 nodes whose two inputs may be the same, the loose ends joined.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasnet")
        >>> space.sample(3, seed=0)
        ArchGraphs(nasnet: 3 architectures, 2 cells each, 8 nodes, ops on edges)
    """

    paper = (
        "Zoph, Vasudevan, Shlens, Le: Learning Transferable Architectures, CVPR 2018, arXiv:1707.07012; "
        f"{_NDS}"
    )

    def __init__(self) -> None:
        operations = (
            "skip_connect",
            "conv_3x1_1x3",
            "conv_7x1_1x7",
            "dil_conv_3x3",
            "avg_pool_3x3",
            "max_pool_3x3",
            "max_pool_5x5",
            "max_pool_7x7",
            "conv_1x1",
            "conv_3x3",
            "sep_conv_3x3",
            "sep_conv_5x5",
            "sep_conv_7x7",
        )
        super().__init__("nasnet", operations, nodes=5, output="loose")


class Amoeba(_Published):
    """AmoebaNet: 8 operations, 5 nodes whose two inputs may be the same, the loose ends joined.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("amoeba")
        >>> space.sample(3, seed=0)
        ArchGraphs(amoeba: 3 architectures, 2 cells each, 8 nodes, ops on edges)
    """

    paper = f"Real, Aggarwal, Huang, Le: Regularized Evolution, AAAI 2019, arXiv:1802.01548; {_NDS}"

    def __init__(self) -> None:
        operations = (
            "skip_connect",
            "sep_conv_3x3",
            "sep_conv_5x5",
            "sep_conv_7x7",
            "avg_pool_3x3",
            "max_pool_3x3",
            "dil_sep_conv_3x3",
            "conv_7x1_1x7",
        )
        super().__init__("amoeba", operations, nodes=5, output="loose")


class PNAS(_Published):
    """PNAS: 8 operations, 5 nodes whose two inputs may be the same, all nodes joined.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("pnas")
        >>> space.sample(3, seed=0)
        ArchGraphs(pnas: 3 architectures, 2 cells each, 8 nodes, ops on edges)
    """

    paper = f"Liu et al.: Progressive Neural Architecture Search, ECCV 2018, arXiv:1712.00559; {_NDS}"

    def __init__(self) -> None:
        operations = (
            "sep_conv_3x3",
            "sep_conv_5x5",
            "sep_conv_7x7",
            "conv_7x1_1x7",
            "skip_connect",
            "avg_pool_3x3",
            "max_pool_3x3",
            "dil_conv_3x3",
        )
        super().__init__("pnas", operations, nodes=5)


class ENAS(_Published):
    """ENAS (micro): 5 operations, 5 nodes whose two inputs may be the same, the loose ends joined.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("enas")
        >>> space.sample(3, seed=0)
        ArchGraphs(enas: 3 architectures, 2 cells each, 8 nodes, ops on edges)
    """

    paper = (
        "Pham, Guan, Zoph, Le, Dean: Efficient Neural Architecture Search via Parameter Sharing, ICML "
        f"2018, arXiv:1802.03268; {_NDS}"
    )

    def __init__(self) -> None:
        operations = ("skip_connect", "sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3")
        super().__init__("enas", operations, nodes=5, output="loose")
