"""NAS-Bench-NLP: from the training logs of the release to one table.

A log is a JSON object with, among others, ``recepie_id``, ``recepie`` (the JSON text of a recipe),
``recepies_list_path``, ``num_params``, ``status``, and a number for each epoch in ``wall_times``,
``train_losses``, ``val_losses`` and ``test_losses``. Diverged losses are NaN.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from archenc.datasets.recipes.raw import corrupt, json_object, read_files
from archenc.errors import InvalidArchitecture
from archenc.spaces.recurrent import ARITY, INPUTS, read_recipe

RUNS = 14_322
EPOCHS = 50
STATUS = ("OK", "loss is nan!", "Exception: math range error")
LISTS = ("data/models_recepies.json", "data/new_recepies_fix.json")
CURVES = ("train", "val", "test")
MAX_LOG_BYTES = 2**16
MAX_LOGS = 20_000
MAX_NAME = 13  # bytes of an operation's name in the table

_LOG = re.compile(r"(?:.*/)?log_stats_model_[^/]*\.json")


def build(file: Path) -> dict[str, dict[str, np.ndarray]]:
    """The table of all runs, from ``train_logs_single_run/logs.zip`` of the release, or from a folder of the
    same JSON files.

    Raises:
        CorruptFile: which log is not what it should be, and why; or that some are missing.
    """
    table = read_logs(file)
    if len(table["recipe_id"]) != RUNS:
        raise corrupt(file, f"it holds {len(table['recipe_id']):,} logs instead of {RUNS:,}")
    return {"nasbench_nlp/cells.npz": table}


class Run(NamedTuple):
    """What a log says, checked."""

    number: int
    status: int
    recipe_list: int
    parameters: int
    seconds: float
    curves: np.ndarray
    recipe: dict[str, dict[str, Any]]


def read_logs(file: Path) -> dict[str, np.ndarray]:
    """The columns of the table, sorted by ``recipe_id``, for the logs in an archive or a folder.

    Raises:
        CorruptFile: which log is not what it should be, and why.
    """
    runs: dict[int, Run] = {}
    for name, content in read_files(
        file, _LOG, max_bytes=MAX_LOG_BYTES, max_files=MAX_LOGS, max_total=MAX_LOGS * MAX_LOG_BYTES
    ):
        run = _run(file, name, content)
        if run.number in runs:
            raise corrupt(file, f"the recipe {run.number} has two logs")
        runs[run.number] = run
    if not runs:
        raise corrupt(file, "it holds no file log_stats_model_*.json")
    ordered = [runs[number] for number in sorted(runs)]
    losses = np.full((len(ordered), len(CURVES), EPOCHS), np.nan, dtype=np.float32)
    for row, run in enumerate(ordered):
        losses[row, :, : run.curves.shape[1]] = run.curves
    return {
        "recipe_id": np.array([run.number for run in ordered], dtype=np.int32),
        "status": np.array([run.status for run in ordered], dtype=np.uint8),
        "status_names": np.array(STATUS),
        "recipe_list": np.array([run.recipe_list for run in ordered], dtype=np.uint8),
        "recipe_list_names": np.array(LISTS),
        "num_params": np.array([run.parameters for run in ordered], dtype=np.int32),
        "epochs_recorded": np.array([run.curves.shape[1] for run in ordered], dtype=np.uint8),
        "wall_time_s": np.array([run.seconds for run in ordered], dtype=np.float32),
        **{f"{curve}_loss": losses[:, at] for at, curve in enumerate(CURVES)},
        **_best(losses),
        **_graphs([run.recipe for run in ordered]),
    }


def _best(losses: np.ndarray) -> dict[str, np.ndarray]:
    """Epoch of the lowest validation loss, that loss, and the test loss at that epoch."""
    val, test = losses[:, 1], losses[:, 2]
    epoch = np.where(np.isnan(val), np.inf, val).argmin(1)
    row, none = np.arange(len(val)), np.isnan(val).all(1)
    return {
        "best_epoch": np.where(none, -1, epoch).astype(np.int16),
        "best_val_loss": val[row, epoch],
        "test_loss_at_best_val": np.where(none, np.float32(np.nan), test[row, epoch]),
    }


def _graphs(recipes: list[dict[str, dict[str, Any]]]) -> dict[str, np.ndarray]:
    """Operations and edges of all recipes, one after another, in the order of the recipes."""
    ops = list(ARITY)
    node_op, node_name, edges, node_ptr, edge_ptr = [], [], [], [0], [0]
    for recipe in recipes:
        number = {name: at for at, name in enumerate(recipe)} | {
            name: -1 - at for at, name in enumerate(INPUTS)
        }
        node_op += [ops.index(entry["op"]) for entry in recipe.values()]
        node_name += list(recipe)
        for at, entry in enumerate(recipe.values()):
            edges += [(number[source], at, slot) for slot, source in enumerate(entry["input"])]
        node_ptr.append(len(node_op))
        edge_ptr.append(len(edges))
    source, target, slot = np.array(edges, dtype=np.int64).reshape(-1, 3).T
    return {
        "node_ptr": np.array(node_ptr, dtype=np.int32),
        "node_op": np.array(node_op, dtype=np.uint8),
        "node_name": np.array(node_name, dtype=f"S{MAX_NAME}"),
        "op_names": np.array(ops),
        "edge_ptr": np.array(edge_ptr, dtype=np.int32),
        "edge_src": source.astype(np.int8),
        "edge_dst": target.astype(np.int8),
        "edge_slot": slot.astype(np.uint8),
        "input_names": np.array(INPUTS),
    }


# -- one log -------------------------------------------------------------------------------------------------


def _run(file: Path, name: str, content: bytes) -> Run:
    where = f"the log {Path(name).name:.80}"
    try:
        value = json.loads(content.decode("utf-8"))  # which reads NaN, the loss of a run that diverged
    except (ValueError, RecursionError) as error:
        raise corrupt(file, f"{where} is not JSON ({str(error).splitlines()[0]:.80})") from None
    log = json_object(file, value, where)
    try:
        recipe = json.loads(log["recepie"])
        read_recipe(recipe, where)
        if any(len(name.encode("ascii")) > MAX_NAME for name in recipe):
            raise ValueError(f"an operation's name is longer than {MAX_NAME} letters")
        curves = [[float(loss) for loss in log[f"{curve}_losses"]] for curve in CURVES]
        seconds = [float(second) for second in log["wall_times"]]
        if len({len(seconds), *map(len, curves)}) > 1 or len(seconds) > EPOCHS:
            raise ValueError(f"losses and times are not of the same epochs, at most {EPOCHS}")
        if not all(isfinite(second) and second >= 0 for second in seconds):
            raise ValueError("a time is no number of seconds")
        return Run(
            number=_whole(log["recepie_id"]),
            status=STATUS.index(log["status"]),
            recipe_list=LISTS.index(log["recepies_list_path"]),
            parameters=_whole(log["num_params"]),
            seconds=sum(seconds),
            curves=np.array(curves, dtype=np.float32).reshape(len(CURVES), -1),
            recipe=recipe,
        )
    except KeyError as error:
        raise corrupt(file, f"{where} has no {error}") from None
    except (ValueError, TypeError, OverflowError, RecursionError, InvalidArchitecture) as error:
        reason = str(error).splitlines()[0].replace("; ", ", ")
        raise corrupt(file, f"{where} is not that of a run ({reason:.120})") from None


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**31:
        raise ValueError(f"{value!r:.20} is not a whole number above 0")
    return value
