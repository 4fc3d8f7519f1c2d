"""The facts about a machine that files of results keep: their names are part of files that were written long
ago.
"""

import os

import pytest
import torch

import archenc
from archenc.files.machine import machine, pretraining_machine, versions


def test_run_files_and_cards_say_what_computed_them() -> None:
    cores, threads = os.cpu_count(), torch.get_num_threads()
    assert machine() == {"cpu": machine()["cpu"], "cores": cores, "threads": threads}
    assert machine()["cpu"]
    card = pretraining_machine("cpu")
    known = {"cpus": cores, "threads": threads, "device": "cpu", "torch": torch.__version__}
    assert card == {"processor": card["processor"], **known}


@pytest.mark.parametrize("package", ["numpy", "scipy", "torch", "scikit-learn", "lightgbm", "xgboost"])
def test_versions_of_what_computes_are_known(package: str) -> None:
    assert versions()["archenc"] == archenc.__version__
    assert versions()[package][0].isdigit()
