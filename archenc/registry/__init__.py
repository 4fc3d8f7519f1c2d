"""Names to objects, and objects built from named parameters."""

from archenc.registry.names import (
    DATASETS,
    ENCODERS,
    HEADS,
    LOSSES,
    SPACES,
    STRATEGIES,
    Registry,
    as_space,
    create_encoder,
    create_space,
    declared,
    normalise,
)

__all__ = [
    "DATASETS",
    "ENCODERS",
    "HEADS",
    "LOSSES",
    "SPACES",
    "STRATEGIES",
    "Registry",
    "as_space",
    "create_encoder",
    "create_space",
    "declared",
    "normalise",
]
