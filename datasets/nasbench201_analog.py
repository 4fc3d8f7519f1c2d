"""NAS-Bench-201 cells on CIFAR-10 on simulated analogue hardware, as the PyPI package ``analog-nasbench``
ships them.

The package itself is never imported: its table is a pickle, which is read with stand-ins for its two classes.
"""

from __future__ import annotations

import numpy as np

from archenc.dataset import ArchDataset
from archenc.datasets.sources.tables import labelled, package_file, provenance
from archenc.datasets.sources.unpickle import load_pickle
from archenc.spaces.nasbench201 import NASBench201

REQUIREMENT = "analog-nasbench==0.1.3"
SHA256 = "85f3435b877aa2d36268d55ce07f6ff6d73643d17a840f1941745da5eb80db32"
MAX_BYTES = 16 * 2**20

ACCURACIES = ("baseline", "ptq", "qat", "noisy", "analog")
DRIFTED = ("baseline", "analog")
SECONDS = (60, 3600, 86400, 2592000)


def load() -> ArchDataset:
    """All 15,625 cells; the default label is ``cifar10/baseline_accuracy``.

    Raises:
        DataNotFound: the package is not installed.
        CorruptFile: its table is not the published one.
    """
    path = package_file("analognasbench", "data.anb", REQUIREMENT)
    stand_ins = {
        f"analognasbench.data.{name}": type(name, (), {}) for name in ("Architecture", "DriftMeasurement")
    }
    records = load_pickle(path, stand_ins, sha256=SHA256, max_bytes=MAX_BYTES)

    labels: dict[str, np.ndarray] = {}
    for kind in ACCURACIES:
        values = [getattr(record, f"{kind}_accuracy") for record in records.values()]
        labels[f"cifar10/{kind}_accuracy"] = np.array(values)
    for kind in DRIFTED:
        for seconds in SECONDS:
            drifts = [getattr(record, f"{kind}_drift_{seconds}") for record in records.values()]
            for name, part in (("accuracy", "value"), ("uncertainty", "uncertainty")):
                values = [getattr(drift, part) for drift in drifts]
                labels[f"cifar10/{kind}_drift_{name}@{seconds}s"] = np.array(values)

    return ArchDataset(
        name="nasbench201-analog",
        graphs=NASBench201().from_naslib(list(records)),
        label="cifar10/baseline_accuracy",
        **labelled("nasbench201-analog", labels),
        duplicates="kept",
        provenance=provenance("nasbench201-analog", {str(path): SHA256}),
    )
