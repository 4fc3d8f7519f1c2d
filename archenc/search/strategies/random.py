"""Random search."""

from __future__ import annotations

from typing import ClassVar

from archenc.search.base import State, Strategy


class RandomSearch(Strategy):
    """Architectures drawn at random, none twice (Li, Talwalkar: Random Search and Reproducibility for Neural
    Architecture Search, UAI 2019).

    Of a list each is as likely as the others; of a space that is not listed, as its ``sample`` says.
    """

    paper: ClassVar[str] = "Li, Talwalkar: Random Search and Reproducibility for NAS, UAI 2019"
    objectives: ClassVar[str] = "any"

    def propose(self, state: State, count: int) -> list[int]:
        return state.draw(count)
