"""The parts of a predictor, built from its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archenc.encoder import Encoder
from archenc.errors import InvalidParameter
from archenc.heads.base import Head, NeuralHead
from archenc.losses import Loss
from archenc.pretraining.weights import FrozenEncoder, load_pretrained, read_card
from archenc.registry import ENCODERS, HEADS, LOSSES, normalise
from archenc.spaces.base import Space

Parameters = Mapping[str, Any]
"""The checked parameters of a predictor, as in ``fitted_params_``."""


def build_encoder(used: Parameters, space: Space) -> Encoder:
    """A new encoder, whose weights do not change where the predictor's pretrained ones are frozen."""
    encoder = ENCODERS.create(
        used["encoder"], space, simplify=used["simplify"], **(used["encoder_params"] or {})
    )
    return encoder if used["pretrained"] is None or used["fine_tune"] else FrozenEncoder(encoder)


def pretrained_encoder(used: dict[str, Any], space: Space) -> Encoder:
    """The pretrained encoder; parameters of it that are not given become known.

    Raises:
        InvalidParameter: it was pretrained as something else than the predictor asks for.
    """
    settings = read_card(used["pretrained"])["settings"]
    used["encoder_params"] = used["encoder_params"] or settings["encoder_params"]
    wanted = {"encoder": normalise(used["encoder"]), "space": space.config()}
    wanted |= {name: used[name] for name in ("simplify", "encoder_params")}
    for name, value in wanted.items():
        if value != (normalise(settings[name]) if name == "encoder" else settings[name]):
            raise InvalidParameter(
                f"the weights {used['pretrained']!r} were pretrained with {name} = {settings[name]!r:.120} "
                "and the "
                f"predictor has {value!r:.120}; give it the same, or other weights"
            )
    encoder = load_pretrained(used["pretrained"])
    return encoder if used["fine_tune"] else FrozenEncoder(encoder)


def build_loss(used: Parameters) -> Loss:
    """The loss; raises :class:`InvalidParameter` if it makes no sense with the predictor's targets."""
    loss = LOSSES.create(used["loss"], **(used["loss_params"] or {}))
    loss.check_targets(used["label_transform"])
    return loss


def head_is_neural(used: Parameters) -> bool:
    """Whether the head is trained by gradient descent."""
    return issubclass(HEADS.get(used["head"]), NeuralHead)


def build_head(used: Parameters, loss: Loss, *dim: int, **fixed: Any) -> Head:
    """The head, of encodings of length ``dim`` if it is neural; raises :class:`InvalidParameter` if it
    rejects the loss.
    """
    name = used["head"]
    reason = HEADS.get(name).rejects(loss)
    if reason is not None:
        raise InvalidParameter(
            f"the head {name!r} cannot be trained with the loss {used['loss']!r}: {reason}"
        )
    return HEADS.create(name, *dim, **{**fixed, **(used["head_params"] or {})})
