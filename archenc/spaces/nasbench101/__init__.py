"""NAS-Bench-101: its cells, their published hashes and their costs."""

from archenc.spaces.nasbench101.space import MAX_EDGES, MAX_NODES, OPERATIONS, NASBench101

__all__ = ["MAX_EDGES", "MAX_NODES", "OPERATIONS", "NASBench101"]
