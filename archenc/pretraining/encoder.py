"""The contract of an encoder that learns from architectures alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from archenc.encoder import Encoder
from archenc.graphs import ArchGraphs
from archenc.training import PretrainingSchedule


class Examples(Protocol):
    """What is learnt from: ``examples[index]`` is a batch, whatever the encoder's loss takes; graphs
    themselves are examples.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Any:
        """The batch of the examples at ``index``, int64 (B,)."""


class PretrainableEncoder(Encoder):
    """An encoder that can learn without accuracies.

    A subclass gives :meth:`pretraining_loss` and :meth:`pretraining_metrics`, and
    :meth:`pretraining_examples` where one example is not one architecture. All chance must come from the
    generators it is handed, from :class:`torch.nn.Dropout` or from :func:`archenc.torch_state.own_generator`:
    their states are in every checkpoint, so that an interrupted pretraining ends with the weights of an
    uninterrupted one.

    Attributes:
        default_schedule: how long and how fast on spaces without a schedule of their own.
        published_schedules: those of the paper, by the name of the space.
        draws: how many random points of the latent space :meth:`pretraining_figures` decodes, if it does.

    Examples:
        >>> import archenc
        >>> space = archenc.create_space("nasbench201")
        >>> encoder = archenc.create_encoder("arch2vec", space)
        >>> isinstance(encoder, archenc.PretrainableEncoder), encoder.pretraining_schedule().epochs
        (True, 10)
    """

    draws: int = 10_000
    default_schedule: ClassVar[PretrainingSchedule] = PretrainingSchedule()
    published_schedules: ClassVar[Mapping[str, PretrainingSchedule]] = {}

    def pretraining_schedule(self) -> PretrainingSchedule:
        """The schedule on this space, where none is given."""
        return self.published_schedules.get(self.space.name, self.default_schedule)

    def pretraining_examples(self, graphs: ArchGraphs) -> Examples:
        """What is learnt from architectures in the space's own form; called once for those trained on and
        once for those held out.

        For example pairs of similar architectures. By default, the architectures prepared for this encoder.
        """
        return self.prepare(graphs)

    @abstractmethod
    def pretraining_loss(self, batch: Any, generator: torch.Generator) -> Tensor:
        """The loss of a batch of examples, a scalar, in training mode.

        Args:
            batch: what ``examples[index]`` gave.
            generator: on the batch's device, for what is drawn.
        """

    @abstractmethod
    def pretraining_metrics(self, examples: Any, generator: torch.Generator) -> dict[str, float]:
        """Measures on held-out examples, in evaluation mode, without gradients; shares in percent.

        Args:
            examples: all of them: take them in batches.
            generator: in the same state each time, so that epochs can be compared.
        """

    def pretraining_figures(self, graphs: ArchGraphs, generator: torch.Generator) -> dict[str, float]:
        """Further measures of the finished encoder for its card, given the architectures it was trained
        on.
        """
        return {}
