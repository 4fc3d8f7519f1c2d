"""Real networks as graphs of operations: PyTorch modules and ONNX files.

A network is traced into a :class:`~archenc.spaces.traced.network.Network`, a list of operations between named
values, and that into a graph of :class:`~archenc.spaces.traced.space.OperationSpace`, whose operations are a
fixed vocabulary.
"""
