"""What is known of a predictor's preferences, as text, as pictures and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from archenc.files.reports import fragment, markdown_table, text_table
from archenc.files.text import markdown
from archenc.graphs import ArchGraphs
from archenc.graphs.drawing import TERMINAL, Diagram, Picture, colour, picture, picture_of
from archenc.search.choices import Kind, Tree
from archenc.search.rules import Rule
from archenc.search.suggest import untrained
from archenc.spaces.base import Space

MOST_TOLD, DRAWN = 10, 6
"""Parts of a kind in a text, and architectures and motifs in a picture."""


@dataclass(frozen=True)
class Importance:
    """How much a predictor's order depends on a part of the architectures.

    Attributes:
        kind: ``"operation"``, ``"place"``, ``"link"``, ``"motif"`` or ``"number"``.
        name: in the words of the space.
        value: loss of Kendall's tau, or for what is compared the magnitude of tau; see
            :func:`archenc.search.explain.explain`.
        deviation: standard deviation of that loss over the repeats; 0 for what is compared.
        how: whether it was ``"exchanged"`` among architectures or ``"compared"`` with their scores.
        prefers: what gets high scores: the operation at a place, else ``"more"`` or ``"fewer"``.
        share: of the architectures, those that have it; of a place, those that have there what it prefers.
        tree: of a motif, as it can be drawn.
    """

    kind: Kind
    name: str
    value: float
    deviation: float
    how: Literal["exchanged", "compared"]
    prefers: str
    share: float
    tree: Tree | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Explanation:
    """What :func:`archenc.search.explain.explain` found; as a string a text, in a notebook with pictures.

    Attributes:
        graphs: N architectures on which the predictor is explained.
        scores: float64 (N,), what it predicts.
        share: the share of them that counts as the best.
        best: int64, their positions, best first; those tied with the last of them are there, too.
        agreement: Kendall's tau of the scores with the labels; None where there are none.
        importances: by kind, and in each the most important first.
        rules: what holds of the best, the most telling first.
    """

    graphs: ArchGraphs
    scores: np.ndarray
    share: float
    best: np.ndarray
    agreement: float | None
    importances: tuple[Importance, ...]
    rules: tuple[Rule, ...]

    # -- text ------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        tables = [f"{title}\n{text_table(header, lines)}" for title, header, lines in self.sections()]
        return "\n\n".join(tables)

    def markdown(self) -> str:
        """The text as a page of Markdown."""
        tables = [
            f"## {markdown(title)}\n\n{markdown_table(header, lines)}"
            for title, header, lines in self.sections()
        ]
        return "\n\n".join(["# Why this one?", *tables]) + "\n"

    def sections(self) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        """Title, header and lines of each table."""
        size = f"{len(self.best):,} of {len(self.graphs):,} architectures of {self.graphs.space.name}"
        lines = [
            [percent(rule.best), percent(rule.all), f"{rule.lift:.1f}", rule.text] for rule in self.rules
        ]
        title = f"What the best {100 * self.share:.3g} % share ({size})"
        yield title, ["best", "all", "lift", "rule"], lines or [["-", "-", "-", "nothing beyond chance"]]
        for kind, how in dict.fromkeys((each.kind, each.how) for each in self.importances):
            found = [each for each in self.importances if (each.kind, each.how) == (kind, how)]
            what = found[0].name.split()[0] if kind == "place" else kind
            measure = "tau lost by exchange" if how == "exchanged" else "tau with the scores"
            lines = [_line(each) for each in found[:MOST_TOLD]]
            yield f"What {self._whose(how)} on: {what}s", [measure, "prefers", "in", what], lines

    def _whose(self, how: str) -> str:
        if self.agreement is None or how == "compared":
            return "its scores depend"
        return f"its agreement with the labels, tau {self.agreement:.2f}, depends"

    def to_dict(self) -> dict[str, Any]:
        """All but the arrays, as JSON values."""
        first = self.graphs[self.best[:DRAWN]]
        importances = [
            {name: value for name, value in vars(each).items() if name != "tree"} for each in self.importances
        ]
        return {
            "space": self.graphs.space.name,
            "architectures": len(self.graphs),
            "share": self.share,
            "best": len(self.best),
            "best_first": [] if first.simplified else self.graphs.space.format(first),
            "agreement": self.agreement,
            "rules": [vars(rule) | {"lift": rule.lift} for rule in self.rules],
            "importances": importances,
        }

    # -- pictures --------------------------------------------------------------------------------------------

    def plot(self, count: int = DRAWN) -> Picture:
        """A picture of the best architectures with their scores, each different from those before it when
        both are simplified.
        """
        first = self.best[untrained(self.graphs[self.best], self.graphs[:0])[:count]]
        return picture(self.graphs[first], [f"score {self.scores[at]:.4g}" for at in first])

    def plot_motifs(self, count: int = DRAWN) -> Picture:
        """A picture of the most important motifs."""
        found = [(each, each.tree) for each in self.importances if each.tree is not None][:count]
        titles = [f"{each.prefers} of it: tau {each.value:.2f}" for each, _ in found]
        return picture_of([_diagram(tree, self.graphs.space) for _, tree in found], titles)

    def _repr_html_(self) -> str:
        facts = [(f"{percent(rule.best)} / {percent(rule.all)}", rule.text) for rule in self.rules]
        pictures = [("the best architectures", self.plot().svg)]
        if any(each.tree for each in self.importances):
            pictures.append(("the most important motifs", self.plot_motifs().svg))
        return fragment(f"What the best {100 * self.share:.3g} % share (and all)", facts, pictures)


def percent(share: float) -> str:
    """A share in percent, of a small one the first two digits."""
    return f"{100 * share:.0f} %" if share >= 0.1 or not share else f"{100 * share:.2g} %"


def _line(each: Importance) -> list[str]:
    spread = f" +- {each.deviation:.3f}" if each.how == "exchanged" else ""
    return [f"{each.value:.3f}{spread}", each.prefers, percent(each.share), each.name]


def _diagram(tree: Tree, space: Space) -> Diagram:
    """The boxes of a motif, sources first."""
    found = Diagram()

    def add(part: Tree) -> int:
        sources = [add(source) for source in part.sources]
        terminal = part.name not in space.operations
        box = found.add(part.name, TERMINAL if terminal else colour(part.name, space.operations))
        found.edges += [(source, box) for source in sources]
        return box

    found.last = add(tree)
    return found
