"""REINFORCE: a recurrent policy of decisions, or of points among embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.pretraining.weights import load_pretrained
from archenc.registry.rules import Name, Positive, Probability, Size
from archenc.search.base import State, Strategy, listed_only
from archenc.search.candidates import Candidates
from archenc.search.operators import from_vectors, to_vectors, vector_choices
from archenc.torch_state import building, own_state

ATTEMPTS = 50
"""Samples of the policy for each architecture that is wanted, before a random one takes its place."""


class Reinforce(Strategy):
    """Policy gradients (Williams: Simple Statistical Gradient-Following Algorithms for Connectionist
    Reinforcement Learning, Machine Learning 1992).

    After each training, in the order in which they were told, the policy's log-probability of the
    architecture rises by ``lr`` times its reward's advantage over a moving average of rewards; rewards are
    standardised by all that came before.

    Deviations from the papers: the policy learns from what others told, too, as if it had drawn it; what may
    not be asked for again is drawn anew.
    """

    paper: ClassVar[str] = "Williams, Machine Learning 1992"

    def __init__(self, hidden: Size = 64, lr: Positive = 0.01, decay: Probability = 0.9) -> None:
        self.hidden = hidden
        self.lr = lr
        self.decay = decay
        self._learnt: tuple[tuple[Any, ...], nn.Module, torch.optim.Optimizer, float] | None = None

    @abstractmethod
    def policy(self, state: State) -> nn.Module:
        """A new policy, which gives the log-probabilities of architectures by number: (n,)."""

    @abstractmethod
    def drawn(self, state: State, policy: Any, generator: torch.Generator) -> Iterator[int]:
        """Architectures that the policy draws, by number, -1 for one that is no candidate."""

    def propose(self, state: State, count: int) -> list[int]:
        with own_state(state.seed, "cpu"):
            policy = self._trained(state)
            generator = torch.Generator().manual_seed(int(state.rng.integers(2**31)))
            found: dict[int, None] = {}
            draws = self.drawn(state, policy, generator)
            for _ in range(ATTEMPTS * count):
                if len(found) >= count:
                    break
                found |= dict.fromkeys(state.fresh([next(draws)]))
            return list(found)

    def _trained(self, state: State) -> nn.Module:
        """The policy after all trainings; it goes on from the last call where these are among them."""
        good = np.isfinite(state.y[:, 0])
        told = tuple(zip(state.numbers[good].tolist(), state.y[good, 0].tolist(), strict=True))
        known, policy, optimizer, baseline = self._begun(state, told)
        for step in range(len(known), len(told)):
            number, reward = told[step]
            before = [y for _, y in told[: step + 1]]
            scaled = (reward - float(np.mean(before))) / (float(np.std(before)) or 1.0)
            loss = -(scaled - baseline) * policy(torch.tensor([number])).sum()
            baseline = self.decay * baseline + (1 - self.decay) * scaled
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self._learnt = (told, policy, optimizer, baseline)
        return policy

    def _begun(
        self, state: State, told: tuple[Any, ...]
    ) -> tuple[tuple[Any, ...], nn.Module, torch.optim.Optimizer, float]:
        if self._learnt is not None and told[: len(self._learnt[0])] == self._learnt[0]:
            return self._learnt
        with building():
            policy = self.policy(state)
        return (), policy, torch.optim.Adam(policy.parameters(), lr=self.lr), 0.0


class ReinforceDecisions(Reinforce):
    """REINFORCE over decisions: an LSTM says the number of each place of an architecture's vector, given
    those before (Zoph, Le: Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 3.1).

    Only spaces whose architectures are vectors (:mod:`archenc.search.operators`) can be decided so.

    Args:
        hidden: units of the LSTM.
        lr: of Adam.
        decay: of the moving average of rewards.
    """

    paper: ClassVar[str] = "Zoph, Le: NAS with Reinforcement Learning, ICLR 2017"

    def check(self, candidates: Candidates) -> None:
        if vector_choices(candidates.space) is None:
            raise InvalidParameter(
                f"the strategy 'reinforce' needs architectures that are vectors of choices, and those of "
                f"{candidates.space.name!r} are none; use 'arch2vec-rl'"
            )

    def policy(self, state: State) -> nn.Module:
        choices = vector_choices(state.candidates.space)
        assert choices is not None
        return DecisionPolicy(state.candidates, choices, self.hidden)

    def drawn(self, state: State, policy: Any, generator: torch.Generator) -> Iterator[int]:
        space = state.candidates.space
        while True:
            with torch.no_grad():
                vectors = policy.draw(32, generator)
            for vector in vectors:
                try:
                    graphs = space.validate(from_vectors(space, vector[None]))
                    yield int(state.candidates.find(graphs)[0])
                except InvalidArchitecture:
                    yield -1


class DecisionPolicy(nn.Module):
    """An LSTM over the places of a vector."""

    def __init__(self, candidates: Candidates, choices: np.ndarray, hidden: int) -> None:
        super().__init__()
        self.candidates, self.choices = candidates, choices
        self.embedding = nn.Embedding(int(choices.max()) + 1, hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.heads = nn.ModuleList([nn.Linear(hidden, int(count)) for count in choices])

    def forward(self, numbers: Tensor) -> Tensor:
        graphs = self.candidates.graphs(numbers.numpy())
        vectors = to_vectors(graphs.space, graphs)
        assert vectors is not None
        return self._follow(torch.from_numpy(vectors.astype(np.int64)), None)[1]

    def draw(self, count: int, generator: torch.Generator) -> np.ndarray:
        """(count, L) vectors."""
        start = torch.zeros(count, len(self.choices), dtype=torch.int64)
        return np.asarray(self._follow(start, generator)[0].numpy())

    def _follow(self, vectors: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The vectors, drawn where there is a generator, and their log-probabilities."""
        symbol, memory = torch.zeros(len(vectors), dtype=torch.int64), None  # 0 begins
        total, chosen = torch.zeros(len(vectors)), []
        for place, head in enumerate(self.heads):
            memory = self.cell(self.embedding(symbol), memory)
            logarithms = head(memory[0]).log_softmax(-1)
            number = (
                vectors[:, place]
                if generator is None
                else torch.multinomial(logarithms.exp(), 1, generator=generator)[:, 0]
            )
            total = total + logarithms.gather(1, number[:, None])[:, 0]
            chosen.append(number)
            symbol = number + 1
        return torch.stack(chosen, 1), total


class Arch2vecRL(Reinforce):
    """arch2vec-RL (Yan et al., Does Unsupervised Architecture Representation Learning Help Neural
    Architecture Search?, NeurIPS 2020, section 3.3): an LSTM moves through the embeddings of a pretrained
    encoder.

    From the embedding of the last training the policy says the mean of a normal distribution of deviation
    ``sigma`` times that of the embeddings; the architecture nearest to a draw is asked for.

    Deviations from the paper: one step of the LSTM a training; ``sigma`` is fixed.

    Args:
        pretrained: the weights: a name (``archenc.list_pretrained()``) or a folder.
        sigma: see above.
        hidden: units of the LSTM.
        lr: of Adam.
        decay: of the moving average of rewards.
    """

    paper: ClassVar[str] = "Yan et al., arch2vec, NeurIPS 2020, section 3.3"

    def __init__(
        self,
        pretrained: Name = "arch2vec-nasbench201",
        sigma: Positive = 0.8,
        hidden: Size = 128,
        lr: Positive = 0.003,
        decay: Probability = 0.9,
    ) -> None:
        super().__init__(hidden, lr, decay)
        self.pretrained = pretrained
        self.sigma = sigma
        self._embeddings: tuple[Candidates, Tensor] | None = None

    def check(self, candidates: Candidates) -> None:
        listed_only("arch2vec-rl", candidates)
        if load_pretrained(self.pretrained).space != candidates.space:
            raise InvalidParameter(
                f"the weights {self.pretrained!r} are not of the space {candidates.space.name!r}; give "
                "pretrained=... of it"
            )

    def embeddings(self, candidates: Candidates) -> Tensor:
        """(N, dim) of all candidates, each column standardised."""
        if self._embeddings is None or self._embeddings[0] is not candidates:
            rows = load_pretrained(self.pretrained).encode(candidates.all)  # type: ignore[attr-defined]
            table = torch.from_numpy((rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-6))
            self._embeddings = candidates, table
        return self._embeddings[1]

    def policy(self, state: State) -> nn.Module:
        return LatentPolicy(self.embeddings(state.candidates), self.hidden, self.sigma)

    def drawn(self, state: State, policy: Any, generator: torch.Generator) -> Iterator[int]:
        table = policy.table
        allowed = torch.ones(len(table), dtype=torch.bool)
        allowed[[number for number in state.taken if number < len(table)]] = False
        with torch.no_grad():
            mean = policy.mean()
        while True:
            point = mean + self.sigma * torch.randn(mean.shape, generator=generator)
            distance = ((table - point) ** 2).sum(1).masked_fill(~allowed, torch.inf)
            number = int(distance.argmin())
            allowed[number] = False
            yield number


class LatentPolicy(nn.Module):
    """An LSTM over the embeddings of the trainings so far."""

    def __init__(self, table: Tensor, hidden: int, sigma: float) -> None:
        super().__init__()
        self.table, self.sigma = table, sigma
        self.cell = nn.LSTMCell(table.shape[1], hidden)
        self.head = nn.Linear(hidden, table.shape[1])
        self.memory: tuple[Tensor, Tensor] | None = None
        self.last = torch.zeros(1, table.shape[1])

    def mean(self) -> Tensor:
        """(1, dim): where the policy looks next."""
        mean: Tensor = self.last + self.head(self.cell(self.last, self.memory)[0])
        return mean

    def forward(self, numbers: Tensor) -> Tensor:
        """The log-density of one architecture's embedding, up to a constant; then the policy is there."""
        if int(numbers[0]) >= len(self.table):  # told, and none of the candidates
            return 0.0 * self.mean().sum(1)
        memory = self.cell(self.last, self.memory)
        mean = self.last + self.head(memory[0])
        target = self.table[numbers]
        self.memory, self.last = (memory[0].detach(), memory[1].detach()), target
        density: Tensor = -((target - mean) ** 2).sum(1) / (2 * self.sigma**2) / target.shape[1]
        return density
