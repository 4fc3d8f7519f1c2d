"""Tracking of training: nothing by default, a JSON Lines file, or Weights & Biases (offline unless WANDB_MODE
says otherwise).
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from archenc.errors import DataNotFound, InvalidParameter
from archenc.files.trusted import inside, writing


class Tracker(Protocol):
    """Where measured values go; ``log`` may be called any number of times, ``finish`` once."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record ``values`` of one step (an epoch, a run)."""

    def finish(self) -> None:
        """Close what is open."""


class NullTracker:
    """Keeps nothing."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        pass

    def finish(self) -> None:
        pass


class JSONLTracker:
    """Appends one JSON object a line to ``folder/tracking.jsonl``; the first of a session holds the
    configuration.

    Nothing is written before the first value is logged.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._path = inside(folder, "tracking.jsonl")  # not where a link in somebody else's folder leads
        self._waiting: list[Mapping[str, Any]] = [{"config": dict(config)}]

    def log(self, values: Mapping[str, float], step: int) -> None:
        finite = {
            name: value if math.isfinite(value) else None for name, value in values.items()
        }  # JSON has no NaN
        records = [*self._waiting, {"step": step, **finite}]
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(record, sort_keys=True) + "\n" for record in records)
        self._waiting = []

    def finish(self) -> None:
        pass


class WandbTracker:
    """A Weights & Biases run under ``folder``, begun with the first logged value; never asks for a login."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise DataNotFound("the tracker 'wandb' needs the package wandb; install it or choose 'jsonl'")
        inside(folder, "wandb")
        self._folder = folder
        self._config = config
        self._run: Any = None

    def log(self, values: Mapping[str, float], step: int) -> None:
        if self._run is None:
            import wandb

            with writing(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            mode: Any = os.environ.get("WANDB_MODE", "offline")
            settings = wandb.Settings(silent=True, console="off")
            self._run = wandb.init(
                project="archenc",
                dir=str(self._folder),
                config=dict(self._config),
                mode=mode,
                settings=settings,
            )
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        if self._run is not None:
            self._run.finish()


def create_tracker(name: str | None, folder: str | Path, config: Mapping[str, Any]) -> Tracker:
    """Build the tracker called ``name`` (``"jsonl"``, ``"wandb"`` or None for none); ``config`` holds JSON
    values.
    """
    if name is None:
        return NullTracker()
    if name == "jsonl":
        return JSONLTracker(Path(folder), config)
    if name == "wandb":
        return WandbTracker(Path(folder), config)
    raise InvalidParameter(f"there is no tracker called {name!r}; choose jsonl or wandb")
