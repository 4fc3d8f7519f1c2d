"""Which predictor to use for a space and a number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from archenc.heads.mixture import DEFAULT_MEMBERS
from archenc.registry import create_encoder
from archenc.spaces.base import Space
from archenc.spaces.stages import StageSpace

if TYPE_CHECKING:
    from archenc.dataset import ArchDataset

Budget = Literal["fast", "normal", "thorough"]
FEW = 100
"""Labels below which the places of operations, beside what the operations do, cost more than they tell in a
single small cell.
"""
VERY_FEW, SHALLOW = 20, 300
"""Labels below which trees have nothing to split, and those below which they are stumps of two splits."""
SMALL, LARGE = 12, 40
"""Nodes up to which a transformer's step over every node in turn is cheap, and those from which one-hot
places are too many columns.
"""


def recommend(space: Space | ArchDataset, n: int | None = None, budget: Budget = "normal") -> dict[str, Any]:
    """The parameters of :class:`archenc.Predictor` that ``Predictor("auto")`` takes for ``n`` labels.

    The head is a mean of two unlike estimators on features of the graph (GRAF-plus, path profile) and, from
    100 labels on or where an architecture is more than one small cell with operations on its edges, one-hot
    places: a Gaussian process with a length scale for each group of features, and boosted trees.

    Where operations sit on the nodes of wirings that differ, such features do not tell which operation sits
    where in a wiring that no label has, and trees do not extrapolate. There graph networks go with the
    Gaussian process, counting three times as much with fewer than 100 labels, and trees only take its place
    where they are clearly better on architectures left out. Lists of choices
    (:class:`archenc.spaces.stages.StageSpace`) have the choices and their summaries as features; where any
    choice is among numbers, a graph network goes along and trees again only take the process's place. With
    fewer than 20 labels there are no trees, and
    in a small cell, counts of operations and of their neighbours (WL) go with the Gaussian process.

    Args:
        space: the search space, or a data set.
        n: number of labels; all labels of the data set by default, else many.
        budget: ``"fast"`` is without networks; ``"thorough"`` trains three instead of one.
    """
    if not isinstance(space, Space):
        n = len(space.labelled_rows()) if n is None else n
        space = space.space
    n = FEW if n is None else n
    simplify = space.op_on == "edge" or space.none_op is not None or space.skip_op is not None
    parts: dict[str, dict[str, Any]] = {
        "graf-plus": {"simplify": simplify},
        "path-profile": {"simplify": simplify},
    }
    small_cell = space.op_on == "edge" and space.cells == 1
    if isinstance(space, StageSpace):
        parts = {"choices": {}}
    elif space.max_nodes < LARGE and (not small_cell or n >= FEW):
        parts["adjacency"] = {"kind": "onehot"}
    members = {name: dict(parameters) for name, parameters in DEFAULT_MEMBERS.items()}
    combined: Any = create_encoder("combined", space, parts=parts)
    members["grouped-gp"]["groups"] = list(combined.groups)
    if n < SHALLOW:
        members["xgboost"] |= {"max_depth": 2}
    repeats = {"fast": 0, "normal": 1, "thorough": 3}[budget]
    networks = _networks(space, n)
    companions = [
        network | {"weight": network.get("weight", 1.0) / repeats} for network in networks * repeats
    ]
    if small_cell and n < VERY_FEW:
        companions.append(NEIGHBOUR_COUNTS)
    best = _has_numbers(space) if isinstance(space, StageSpace) else bool(companions)
    return {
        "encoder": "combined",
        "head": "mixture",
        "loss": "mse",
        "simplify": False,
        "encoder_params": {"parts": parts},
        "head_params": {"members": members, "combine": "best" if best or n < VERY_FEW else "mean"},
        "companions": companions or None,
    }


def _has_numbers(space: StageSpace) -> bool:
    """Whether some choice is among numbers, whose distances a Gaussian process sees and trees do not."""
    return any(one.ordered for one in space.attributes)


NEIGHBOUR_COUNTS: dict[str, Any] = {
    "encoder": "wl",
    "head": "gp",
    "loss": "mse",
    "simplify": True,
    "encoder_params": {"iterations": 1},
    "head_params": {"kernel": "linear"},
}
"""NASBOWL with subtrees of depth one."""


def _networks(space: Space, n: int) -> list[dict[str, Any]]:
    """The parameters of graph networks where these rank better than features of the graph do."""
    gates = {"encoder": "gates", "head": "mlp", "loss": "hinge"}
    if isinstance(space, StageSpace):
        return [gates] if _has_numbers(space) else []
    if space.op_on != "node" or space.max_nodes >= LARGE or not _wirings_differ(space):
        return []
    if space.max_nodes > SMALL:
        return [gates] * 2
    few = [gates | {"epochs": 400, "weight": 1.0}] if n < FEW else []
    epochs = max(8, round(60 * min(1.5, (72 / n) ** 0.5)))  # steps grow by the root of the number of labels
    flowerformer = {
        "encoder": "flowerformer",
        "head": "mlp",
        "loss": "hinge",
        "encoder_params": {"layers": 4},
        "head_params": {"hidden": []},
        "loss_params": {"margin": 0.5, "pair_ratio": 8},
        "epochs": epochs,
        "warmup_epochs": max(1, epochs // 4),
        "batch_size": 24,
        "lr": 8e-4,
        "weight_decay": 3e-5,
        "optimizer": "adamw",
        "lr_schedule": "cosine",
        "gradient_clip": 1.0,
        "weight": 2.0 if n < FEW else 1.0,
    }
    return [flowerformer, *few]


def _wirings_differ(space: Space) -> bool:
    few = space.sample(16, 0).adjacency
    return bool((few != few[:1]).any())
