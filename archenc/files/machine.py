"""What computed a number: the machine and the versions, as files of results keep them."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from archenc.files.version import __version__

PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "lightgbm", "xgboost")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, archenc and what computes."""
    packages = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version(), "archenc": __version__, **packages}


def machine() -> dict[str, Any]:
    """Processor, logical cores, and threads of this process, as run files have them."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}


def pretraining_machine(device: str) -> dict[str, Any]:
    """Kind of processor, logical cores, threads, device and torch, as cards of pretrainings have them."""
    kind = torch.device(device).type
    return {
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if kind == "cuda" else kind,
        "torch": torch.__version__,
    }


@functools.cache
def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
