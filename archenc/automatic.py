"""Which predictor to use for a space and a number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archenc.heads.mixture import DEFAULT_MEMBERS
from archenc.parameters import build
from archenc.registry import ENCODERS
from archenc.spaces.base import Space

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset

FEW = 100
"""Labels below which the places of operations, beside what the operations do, cost more than they tell in a single small cell."""


def recommend(space: Space | ArchDataset, n: int | None = None) -> dict[str, Any]:
    """The parameters of :class:`archenc.Predictor` that ``Predictor("auto")`` takes for ``n`` labels.

    Features of the graph (GRAF-plus, path profile) and, from 100 labels on or where an architecture is more than one small cell with
    operations on its edges, one-hot places; a Gaussian process with a length scale for each of them; boosted trees; and the mean of both.

    Args:
        space: the search space, or a data set.
        n: number of labels; all labels of the data set by default, else many.
    """
    if not isinstance(space, Space):
        n = len(space.labelled_rows()) if n is None else n
        space = space.space
    simplify = space.op_on == "edge" or space.none_op is not None or space.skip_op is not None
    parts: dict[str, dict[str, Any]] = {"graf-plus": {"simplify": simplify}, "path-profile": {"simplify": simplify}}
    small_cell = space.op_on == "edge" and space.cells == 1
    if not small_cell or n is None or n >= FEW:
        parts["adjacency"] = {"kind": "onehot"}
    members = {name: dict(parameters) for name, parameters in DEFAULT_MEMBERS.items()}
    members["grouped-gp"]["groups"] = list(build("encoder", "combined", ENCODERS.get("combined"), space, parts=parts).groups)
    return {
        "encoder": "combined",
        "head": "mixture",
        "loss": "mse",
        "simplify": False,
        "encoder_params": {"parts": parts},
        "head_params": {"members": members},
    }
