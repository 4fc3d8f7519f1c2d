"""What can be known of a network without training it: zero-cost proxies, computed here."""

from archenc.proxies.operations import OPERATION_SCORES, operation_scores
from archenc.proxies.run import COMBINATION, ProxyScores, Setting, compute, read
from archenc.proxies.scores import PROXIES

__all__ = [
    "COMBINATION",
    "OPERATION_SCORES",
    "PROXIES",
    "ProxyScores",
    "Setting",
    "compute",
    "operation_scores",
    "read",
]
