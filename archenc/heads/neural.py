"""Heads that are trained by gradient descent: a multi-layer perceptron, one for each part of an encoding, a
comparator of two encodings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from archenc.errors import InvalidParameter, NotFitted
from archenc.heads.base import NeuralHead
from archenc.losses import ComparatorLoss, Loss
from archenc.registry.rules import Few, Probability, Sizes

PAIRS_PER_BLOCK = 16_384
"""Pairs that :meth:`ComparatorHead.forward` compares at once: some 13 MB an activation for 200 hidden
units.
"""


def _after_first(hidden: Sequence[int], dropout: float) -> nn.Sequential:
    """What follows the first Linear: ReLU, Dropout and the next Linear for each hidden size, the last Linear
    giving the score.
    """
    layers: list[nn.Module] = []
    for size, following in pairwise([*hidden, 1]):
        layers += [nn.ReLU(), nn.Dropout(dropout), nn.Linear(size, following)]
    return nn.Sequential(*layers)


class MLPHead(NeuralHead):
    """A multi-layer perceptron: Linear, ReLU and Dropout for each hidden size, then Linear to the score.

    Args:
        dim: length of an encoding.
        hidden: hidden sizes; none at all makes the head linear.
        dropout: probability of dropping a hidden unit.

    Examples:
        >>> import torch
        >>> from archenc.heads.neural import MLPHead
        >>> MLPHead(16, hidden=(8,))(torch.zeros(5, 16)).shape
        torch.Size([5])
    """

    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3, arXiv:2004.01899"
    )

    def __init__(self, dim: int, *, hidden: Sizes = (200,), dropout: Probability = 0.1) -> None:
        super().__init__()
        self.first = nn.Linear(dim, hidden[0] if hidden else 1)
        self.rest = _after_first(hidden, dropout)

    def forward(self, encodings: Tensor) -> Tensor:
        scores: Tensor = self.rest(self.first(encodings)).squeeze(-1)
        return scores


class AnytimeHead(NeuralHead):
    """A multi-layer perceptron of its own for each part of an encoding: accuracies at several times of the
    training, the final one last.

    It goes with encoders whose encodings have as many parts, such as ``"ta-gates"`` with ``anytime=True``,
    where the parts are the readouts of its steps. The losses of the outputs are added.

    Args:
        dim: length of an encoding.
        outputs: T, the number of parts and of labels.
        hidden, dropout: of each perceptron (:class:`MLPHead`).

    Raises:
        InvalidParameter: fewer than two outputs, or encodings that cannot be cut into so many equal parts.

    Examples:
        >>> import torch
        >>> from archenc.heads.neural import AnytimeHead
        >>> AnytimeHead(16, outputs=2)(torch.zeros(5, 16)).shape
        torch.Size([5, 2])
    """

    paper = (
        "Ning et al., TA-GATES: An Encoding Scheme for Neural Network Architectures, NeurIPS 2022, "
        "https://proceedings.neurips.cc/paper_files/paper/2022/file/d0ac28b79816b51124fcc804b2496a36-Paper-Conference.pdf"
    )

    def __init__(
        self, dim: int, *, outputs: Few = 2, hidden: Sizes = (200,), dropout: Probability = 0.1
    ) -> None:
        super().__init__()
        if outputs < 2 or dim % outputs:
            raise InvalidParameter(
                f"the head 'anytime' cannot read {outputs} outputs from encodings of length {dim}; "
                "give at least 2 outputs, and an encoder whose encodings have as many parts"
            )
        self.outputs = outputs
        self.heads = nn.ModuleList(
            MLPHead(dim // outputs, hidden=hidden, dropout=dropout) for _ in range(outputs)
        )

    def forward(self, encodings: Tensor) -> Tensor:
        """(B, dim) to scores (B, outputs)."""
        parts = encodings.chunk(self.outputs, dim=1)
        return torch.stack([head(part) for head, part in zip(self.heads, parts, strict=True)], dim=1)


class ComparatorHead(NeuralHead):
    """Tells from two encodings which architecture is better: P(a beats b) = (sigmoid(f(a, b)) + 1 -
    sigmoid(f(b, a))) / 2.

    f is a multi-layer perceptron on the two encodings. Its first layer is linear, so it is applied to each
    encoding and the results are added for each pair.

    The score of one architecture is its mean probability of beating the reference architectures, those it was
    trained on. Deviation from the paper: there test architectures are ranked by a randomised quicksort, whose
    result depends on which others are in the set.

    Args:
        dim: length of an encoding.
        hidden: hidden sizes of f.
        dropout: probability of dropping a hidden unit.
        pairing: f sees both encodings in a row (``"concat"``) or their difference (``"difference"``).

    Examples:
        >>> import torch
        >>> from archenc.heads.neural import ComparatorHead
        >>> head = ComparatorHead(16).eval()
        >>> a, b = torch.ones(1, 16), torch.zeros(1, 16)
        >>> bool(torch.isclose(head.compare(a, b), -head.compare(b, a), atol=1e-6))
        True
    """

    paper = (
        "Ning et al., A Generic Graph-based Neural Architecture Encoding Scheme for Predictor-based NAS, "
        "ECCV 2020, section 3.3, arXiv:2004.01899"
    )
    accepts = (ComparatorLoss,)

    reference: Tensor

    def __init__(
        self,
        dim: int,
        *,
        hidden: Sizes = (200,),
        dropout: Probability = 0.1,
        pairing: Literal["concat", "difference"] = "concat",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.pairing = pairing
        self.first = nn.Linear(2 * dim if pairing == "concat" else dim, hidden[0] if hidden else 1)
        self.rest = _after_first(hidden, dropout)
        self.register_buffer("reference", torch.empty(0, dim))

    @classmethod
    def rejects(cls, loss: Loss) -> str | None:
        if isinstance(loss, cls.accepts):
            return None
        return (
            f"it judges pairs of encodings; use the loss 'comparator', or the head 'mlp' with {loss.name!r}"
        )

    def loss(
        self, encodings: Tensor, targets: Tensor, loss: ComparatorLoss, generator: torch.Generator
    ) -> Tensor:
        worse, better = loss.pairs(targets, generator)
        return loss.from_logits(self.compare(encodings[better], encodings[worse]))

    def after_epoch(self, encode: Callable[[], Tensor]) -> None:
        self.set_reference(encode())

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logit of "a beats b", for encodings (..., dim) that broadcast against each other; antisymmetric
        when not dropping units.
        """
        weight = self.first.weight
        first, second = (
            (weight[:, : self.dim], weight[:, self.dim :]) if self.pairing == "concat" else (weight, -weight)
        )
        ab = self.rest(functional.linear(a, first, self.first.bias) + functional.linear(b, second)).squeeze(
            -1
        )
        ba = self.rest(functional.linear(b, first, self.first.bias) + functional.linear(a, second)).squeeze(
            -1
        )
        wins = torch.logaddexp(functional.logsigmoid(ab), functional.logsigmoid(-ba))
        losses = torch.logaddexp(functional.logsigmoid(-ab), functional.logsigmoid(ba))
        return wins - losses

    def set_reference(self, encodings: Tensor) -> None:
        """Keep the encodings (R, dim) of the architectures that :meth:`forward` compares with."""
        self.reference = encodings.detach().clone()

    def forward(self, encodings: Tensor) -> Tensor:
        """(B, dim) to the mean probabilities (B,) of beating a reference architecture; raises
        :class:`NotFitted` without a reference.
        """
        if not len(self.reference):
            raise NotFitted(
                "the head 'comparator' has nothing to compare with; call set_reference with the training "
                "encodings first"
            )
        blocks = torch.split(encodings, max(1, PAIRS_PER_BLOCK // len(self.reference)))
        return torch.cat(
            [torch.sigmoid(self.compare(block[:, None], self.reference)).mean(1) for block in blocks]
        )

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        stored = state_dict.get(prefix + "reference")
        if (
            stored is not None and stored.shape[1:] == self.reference.shape[1:]
        ):  # its length is that of the training set
            self.reference = self.reference.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *arguments)
