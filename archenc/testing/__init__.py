"""Contract checks for those who write an encoder, head, loss, space or data set."""

from archenc.testing.checks import (
    check_dataset,
    check_encoder,
    check_head,
    check_loss,
    check_space,
    example_spaces,
    registered_spaces,
)

__all__ = [
    "check_dataset",
    "check_encoder",
    "check_head",
    "check_loss",
    "check_space",
    "example_spaces",
    "registered_spaces",
]
