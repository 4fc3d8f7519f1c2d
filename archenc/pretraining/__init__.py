"""An encoder learns from architectures alone, and what that leaves behind."""

from archenc.pretraining.encoder import Examples, PretrainableEncoder
from archenc.pretraining.run import (
    LATER_OPTIONS,
    check_device,
    chosen_schedule,
    pretrain,
    pretrainable_encoders,
)
from archenc.training import PretrainingSchedule

__all__ = [
    "LATER_OPTIONS",
    "Examples",
    "PretrainableEncoder",
    "PretrainingSchedule",
    "check_device",
    "chosen_schedule",
    "pretrain",
    "pretrainable_encoders",
]
