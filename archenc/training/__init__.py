"""Training a network (encoder and head) by gradient descent."""

from archenc.training.loop import AveragedWeights, Descent, Task, Trainable, fit_network
from archenc.training.network import Network, Standardise, embed_all, score_all
from archenc.training.schedule import LRSchedule, Optimizer, PretrainingSchedule, Schedule

__all__ = [
    "AveragedWeights",
    "Descent",
    "LRSchedule",
    "Network",
    "Optimizer",
    "PretrainingSchedule",
    "Schedule",
    "Standardise",
    "Task",
    "Trainable",
    "embed_all",
    "fit_network",
    "score_all",
]
