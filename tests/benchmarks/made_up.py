"""Runs that nobody computed."""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import force_setattr

from archenc.benchmarks.runs import Run, run_id
from archenc.files.documents import Record, record

R = TypeVar("R", bound=Record)


def made_up_run(key: Mapping[str, Any], metrics: Mapping[str, float | None], **changes: Any) -> Run:
    """What the file of a run would hold, with some of it changed."""
    content = {
        "run": run_id(key),
        "key": json.loads(json.dumps(key)),
        "metrics": dict.fromkeys(metrics),
        "epochs_averaged": 5,
        "dataset": {"architectures": 60, "digest": "d" * 64, "duplicates": "none"},
        "split": {"name": "ta7290", "pool": 30, "test": 30, "digest": "5" * 64},
        "seconds": {"fit": 1.0, "predict": 0.25},
        "versions": {"python": "3.11.7"},
        "machine": {"cpu": "abacus", "cores": 1, "threads": 1},
        "command": "make",
    }
    return forced(record(content | changes, Run, "the run"), {"metrics": dict(metrics)})


def forced(good: R, values: Mapping[str, Any]) -> R:
    """A record with other values, of which none is checked."""
    changed = copy.copy(good)
    for name, value in values.items():
        old = getattr(good, name)
        if isinstance(old, Record):
            value = forced(old, value)
        elif isinstance(old, tuple) and old and isinstance(old[0], Record):
            value = tuple(forced(*pair) for pair in zip(old, value, strict=True))
        force_setattr(changed, name, value)
    return changed


def shown_on_page(path: Path) -> Any:
    """What the page of all results holds."""
    (content,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8")
    )
    return json.loads(content)
