"""Which choices the best architectures share, and others do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from archenc.search.choices import Kind, Part

HOLDS = 0.5
"""Share of the best of which a rule holds, at least."""
CHANCE = 0.05
"""Probability that any rule is told where the best are like all others."""
TOLD = 0.9
"""A rule is told already if those to whom an earlier one applies have this share of its hold on the best."""
MOST_RULES, MOST_LEVELS = 20, 32


@dataclass(frozen=True)
class Rule:
    """A statement that holds of more of the best architectures than of all.

    Attributes:
        kind: of what.
        text: the statement, such as ``"nor_conv_3x3 on edge 0->3"``.
        best: share of the best of which it holds.
        all: share of all of which it holds.
        g: the G statistic.
    """

    kind: Kind
    text: str
    best: float
    all: float
    g: float

    @property
    def lift(self) -> float:
        """How many times as often it holds of the best."""
        return self.best / self.all

    def __str__(self) -> str:
        return f"{self.text}: in {100 * self.best:.0f} % of the best, {100 * self.all:.0f} % of all"


def choice_rules(parts: Sequence[Part], best: np.ndarray) -> tuple[Rule, ...]:
    """The rules that hold of at least half of the best architectures, and of so many of them not by chance.

    Of each part the statement counts that has the highest G statistic, 2 sum O ln(O / E) over the four cells
    of the table of (holds or not, best or not), with observed O and expected E (Sokal and Rohlf, Biometry,
    chapter 17; the log-likelihood ratio of independence). A rule is beyond chance by Fisher's exact test: as
    many of n architectures drawn at random would follow it with a probability of at most 5 % over the number
    of statements (Bonferroni). They come in the order of G. One that follows from an earlier one is left
    out: that holds almost as often of all to which the earlier applies as of the best among them.

    Args:
        parts: what is known of N architectures.
        best: int64 (n,), the best of them.
    """
    found, tried = [], 0
    for part in parts:
        texts, holds = zip(*statements(part), strict=True)
        tried += len(texts)
        rule, which = _strongest(part.kind, texts, np.stack(holds), best)
        if rule.best > rule.all and rule.best >= HOLDS:
            found.append((rule, holds[which]))
    return _told(sorted(found, key=lambda pair: -pair[0].g), best, CHANCE / max(tried, 1))


def statements(part: Part) -> Iterator[tuple[str, np.ndarray]]:
    """What can be said of a part that varies, in words, and bool (N,) of which architectures it holds."""
    values, levels = part.values, np.unique(part.values)
    if part.kind == "place":
        where = f"{'in' if part.name.startswith('layer') else 'on'} {part.name}"
        for k in levels.tolist():
            yes, no = (part.options[k], f"not {part.options[k]}") if k >= 0 else ("nothing", "an operation")
            yield f"{yes} {where}", values == k
            yield f"{no} {where}", values != k
        return
    if len(levels) > MOST_LEVELS:
        levels = np.unique(np.quantile(values, np.linspace(0, 1, MOST_LEVELS), method="nearest"))
    for low, high in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        yield _counted(part, "least", high), values >= high
        yield _counted(part, "most", low), values <= low


def _counted(part: Part, end: str, level: float) -> str:
    if part.name.startswith("depth"):
        return f"{part.name} at {end} {level:,}"
    if (end, level) in (("least", 1), ("most", 0)):
        return f"{'with' if level else 'without'} {part.name}"
    return f"at {end} {level:,} {part.name}"


def _strongest(kind: Kind, texts: Sequence[str], holds: np.ndarray, best: np.ndarray) -> tuple[Rule, int]:
    """Of statements (C, N) that hold of some and not of others, the one of the highest G among those that
    hold of more of the best, and its number.
    """
    count, rare = holds.shape[1], len(best)
    of_all, of_best = holds.sum(1), holds[:, best].sum(1)
    observed = np.stack([of_best, of_all - of_best, rare - of_best, count - rare - (of_all - of_best)])
    rows, columns = np.stack([of_all, count - of_all]), np.array([rare, count - rare])
    expected = (rows[:, None] * columns[:, None] / count).reshape(observed.shape)
    g, _ = stats.power_divergence(observed, expected, ddof=2, lambda_="log-likelihood")
    signed = np.where(of_best / rare > of_all / count, g, -1.0)
    which = int(signed.argmax())
    shares = float(of_best[which] / rare), float(of_all[which] / count)
    return Rule(kind, texts[which], *shares, float(g[which])), which


def _told(found: Sequence[tuple[Rule, np.ndarray]], best: np.ndarray, level: float) -> tuple[Rule, ...]:
    told: list[tuple[Rule, np.ndarray]] = []
    for rule, holds in found:
        of_best, of_all = int(holds[best].sum()), int(holds.sum())
        chance = stats.hypergeom.sf(of_best - 1, len(holds), of_all, len(best))
        if chance <= level and not any(_follows(holds, other, best) for _, other in told):
            told.append((rule, holds))
        if len(told) == MOST_RULES:
            break
    return tuple(rule for rule, _ in told)


def _follows(holds: np.ndarray, earlier: np.ndarray, best: np.ndarray) -> bool:
    return bool(holds[earlier].mean() >= TOLD * holds[best][earlier[best]].mean())
