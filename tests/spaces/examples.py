"""Spaces that between them use everything a space can have."""

from archenc.spaces.cell import CellSpace
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.genotype.darts import DARTS, NASNet
from archenc.spaces.nasbench101 import NASBench101
from archenc.spaces.nasbench201 import NASBench201
from archenc.spaces.nasbench_graph import NASBenchGraph
from archenc.spaces.transnas101 import TransNAS101Micro

CHAIN = [(0, 1), (1, 2), (2, 3), (3, 4)]
DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3)]
SPACES = {
    "nasbench101": NASBench101(),
    "nasbench201": NASBench201(),
    "transnas101-micro": TransNAS101Micro(),
    "nasbench-graph": NASBenchGraph(),
    "chain": CellSpace("chain", ["id", "k3", "k5"], max_nodes=5, topology=CHAIN, skip_op="id"),
    "diamond": CellSpace(
        "diamond", ["a", "b", "zero"], max_nodes=4, topology=DIAMOND, none_op="zero", cells=2
    ),
    "nodes": CellSpace(
        "nodes", ["zero", "a", "b", "id"], max_nodes=6, max_edges=9, none_op="zero", skip_op="id"
    ),
    "two inputs": CellSpace("two inputs", ["a", "b", "id"], max_nodes=6, num_inputs=2, skip_op="id", cells=2),
    "edges": CellSpace(
        "edges", ["zero", "a", "id"], op_on="edge", max_nodes=5, max_edges=7, none_op="zero", skip_op="id"
    ),
    "parallel": CellSpace(
        "parallel", ["a", "b"], op_on="edge", max_nodes=5, num_inputs=2, edges_per_pair=2, cells=2
    ),
    "fixed parallel": CellSpace(
        "fixed parallel",
        ["a", "b", "c"],
        op_on="edge",
        max_nodes=3,
        topology=[(0, 1), (1, 2)],
        edges_per_pair=2,
    ),
    "darts": DARTS(),
    "nasnet": NASNet(),
    "genotype": GenotypeSpace(
        "genotype", ["zero", "a", "b", "id"], nodes=3, none_op="zero", skip_op="id", output="loose"
    ),
}
