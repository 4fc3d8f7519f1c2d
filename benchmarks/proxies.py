"""What zero-cost proxies are worth: ``python -m archenc.benchmarks.proxies --out FILE.md``.

How each ranks alone, beside the published values of the same proxy where a table has them; what a combination
ranks without any label; and what they add to ``auto`` as side information.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import archenc
from archenc.benchmarks.reports.estimates import Estimate, signed
from archenc.dataset import ArchDataset
from archenc.dataset.splits import halves
from archenc.errors import CorruptFile
from archenc.files.documents import read_json
from archenc.files.machine import machine
from archenc.files.reports import markdown_table, number
from archenc.files.trusted import atomic_write
from archenc.metrics import kendall_tau
from archenc.proxies import COMBINATION, ProxyScores, compute

OUT = Path("benchmarks") / "results" / "proxies.md"
PUBLISHED = {
    "grad-norm": "grad_norm",
    "snip": "snip",
    "synflow": "synflow",
    "fisher": "fisher",
    "jacov": "jacov",
    "naswot": "nwot",
    "zen": "zen",
    "multiply-adds": "flops",
}
"""Our names of proxies, and those of NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022)."""
NASLIB_OPERATIONS = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")
RESAMPLES = 200
SIZES = (39, 78, 390)
PAGE = """# Zero-cost proxies

Computed by `python -m archenc.benchmarks.proxies` from small untrained networks (`archenc.proxies`; seeds
{seeds}; images: crops of scikit-learn's two photos). Kendall's tau, with 95 percent intervals; an
architecture without a number is the last. Labels were used for this alone: the kind of images and the signs
of our own proxies were chosen after a look at 300 cells of NAS-Bench-201, and the proxies of the combination
by 300 cells each of NAS-Bench-201, NAS-Bench-101 and NAS-Bench-Macro.

Machine: {cpu}, {cores} cores, one thread.
"""
ALONE = """
## Each proxy alone

`ours`: on {cells} random architectures of each data set. `published` and `ours beside it`: on those of
them of which a published table has the proxy (NAS-Bench-Suite-Zero, whose networks are of full size and see
CIFAR-10).{speed}

{table}
"""
COMBINED = """
## Without a label

The mean of the normal scores of the ranks of {combination}. Published for other
combinations: .712 / .696 / .673 on all of NAS-Bench-201 with CIFAR-10, CIFAR-100 and ImageNet16-120 (AZ-NAS,
second-hand), .56 on NAS-Bench-101.

{table}
"""
ADDED = """
## As side information of auto

Halves of NAS-Bench-201, {seed_count} training sets of each size, label cifar10/val_accuracy@200/mean; all
proxies above, or the score without labels as the only column, by `with_architecture_features`. Differences
are paired by training set.

{table}
"""
PARTS = ("alone", "combined", "added")


def tau(y: np.ndarray, values: np.ndarray) -> float:
    """Kendall's tau; what is no number is the last."""
    ranked = np.where(np.isfinite(values), values, -np.finfo(np.float64).max)
    return float(kendall_tau(y, ranked))


def interval(y: np.ndarray, values: np.ndarray, seed: int = 0) -> str:
    """The percentile interval of tau over resampled architectures."""
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        at = rng.integers(len(y), size=len(y))
        draws.append(tau(y[at], values[at]))
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{number(low)} to {number(high)}"


def published_of_table(data: ArchDataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Published proxies of a data set that has them as labels, by our names."""
    labels = {name: f"cifar10/zc-nbsz/{published}" for name, published in PUBLISHED.items()}
    return {name: data.labels[label][rows] for name, label in labels.items() if label in data.labels}


def alone(
    title: str, y: np.ndarray, scores: ProxyScores, published: Mapping[str, np.ndarray]
) -> list[list[str]]:
    """A row for each proxy on one data set."""
    rows = []
    for name in scores.names:
        mine = scores[name]
        known = np.isfinite(published[name]) if name in published else np.zeros(len(y), dtype=bool)
        both = (
            [
                number(tau(y[known], published[name][known])),
                number(tau(y[known], mine[known])),
                str(known.sum()),
            ]
            if known.sum() > 1
            else ["", "", ""]
        )
        rows.append([title, name, number(tau(y, mine)), interval(y, mine), str(np.isnan(mine).sum()), *both])
    return rows


ALONE_COLUMNS = (
    "data set",
    "proxy",
    "ours",
    "interval",
    "no number",
    "published, same cells",
    "ours, same cells",
    "cells",
)


def read_nasbench101(path: Path) -> tuple[list[Any], np.ndarray, dict[str, np.ndarray]]:
    """The cells, accuracies and proxies of NASLib's ``zc_nasbench101.json``.

    Raises:
        CorruptFile: it is something else.
    """
    try:
        entries = read_json(path)["nasbench101"]["cifar10"]
        cells, y = [], []
        columns: dict[str, list[float]] = {name: [] for name in PUBLISHED}
        for key, entry in entries.items():
            numbers = [int(part) for part in key.strip("()").split(",")]
            matrix = np.array(numbers[:49]).reshape(7, 7).tolist()
            cells.append((matrix, [NASLIB_OPERATIONS[k] for k in numbers[49:]]))
            y.append(float(entry["val_accuracy"]))
            for name, published in PUBLISHED.items():
                columns[name].append(float(entry.get(published, np.nan)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise CorruptFile(
            f"{path} is not NASLib's zc_nasbench101.json; get it from automl/NASLib, naslib/data"
        ) from None
    return cells, np.array(y), {name: np.array(values) for name, values in columns.items()}


def combined(title: str, labels: Mapping[str, np.ndarray], scores: ProxyScores) -> list[list[str]]:
    """A row for each label: the best single proxy, and the combination."""
    rows = []
    together = scores.combined(COMBINATION)
    for label, y in labels.items():
        best = max(scores.names, key=lambda name: tau(y, scores[name]))
        rows.append(
            [
                title,
                label,
                str(len(y)),
                number(tau(y, together)),
                interval(y, together),
                best,
                number(tau(y, scores[best])),
            ]
        )
    return rows


COMBINED_COLUMNS = (
    "data set",
    "label",
    "cells",
    "combination",
    "interval",
    "best single, after the fact",
    "its tau",
)


def added(data: ArchDataset, scores: ProxyScores, seeds: Sequence[int]) -> list[list[str]]:
    """A row for each size: ``auto`` without proxies, with all of them, and with their combination alone."""
    split = halves(data.labelled_rows(), seed=0)
    variants = [
        data.graphs,
        data.graphs.with_architecture_features(scores.values),
        data.graphs.with_architecture_features(scores.combined()),
    ]
    rows = []
    for size in SIZES:
        taus: list[list[float]] = [[] for _ in variants]
        for seed in seeds:
            at = split.training_subset(size, seed)
            for found, graphs in zip(taus, variants, strict=True):
                predictor = archenc.Predictor("auto", random_state=seed).fit(graphs[at], data.y[at])
                found.append(tau(data.y[split.test], predictor.predict(graphs[split.test])))
        row = [str(size), number(Estimate.of(taus[0]).mean)]
        for found in taus[1:]:
            gain = Estimate.of([a - b for a, b in zip(found, taus[0], strict=True)])
            row += [number(Estimate.of(found).mean), f"{signed(gain.mean)} ± {number(gain.margin)}"]
        rows.append([*row, str(len(seeds))])
    return rows


ADDED_COLUMNS = (
    "labels",
    "auto",
    "with all proxies",
    "difference",
    "with the combination alone",
    "difference",
    "training sets",
)


def section_alone(given: argparse.Namespace) -> str:
    """The section on single proxies."""
    lines: list[list[str]] = []
    speeds = []
    for name in ("nasbench201", "nasbench101"):
        data, rows = random_rows(name, given.cells)
        start = time.process_time()
        scores = compute(data.graphs[rows], seeds=given.seeds, progress=True)
        if scores.computed:
            speeds.append(f"{1000 * (time.process_time() - start) / scores.computed:.0f} of {name}")
        lines += alone(f"{name}, {data.label}", data.y[rows], scores, published_of_table(data, rows))
    if given.nasbench101_proxies is not None:
        cells, y, published = read_nasbench101(given.nasbench101_proxies)
        scores = compute(archenc.create_space("nasbench101").parse(cells), seeds=given.seeds, progress=True)
        lines += alone("nasbench101, cells of NASLib", y, scores, published)
    speed = f" CPU ms for all proxies of a network and a seed: {', '.join(speeds)}." if speeds else ""
    return ALONE.format(
        cells=f"{given.cells:,}", speed=speed, table=markdown_table(list(ALONE_COLUMNS), lines)
    )


def random_rows(name: str, count: int) -> tuple[ArchDataset, np.ndarray]:
    """A data set, and so many of its labelled rows."""
    data = archenc.load_dataset(name)
    known = data.labelled_rows()
    return data, np.random.default_rng(0).choice(known, min(count, len(known)), replace=False)


def section_combined(given: argparse.Namespace) -> str:
    """The section on ranking without labels."""
    lines: list[list[str]] = []
    for name in ("nasbench201", "nasbench101"):
        data, rows = random_rows(name, given.cells)
        scores = compute(data.graphs[rows], seeds=given.seeds, progress=True)
        lines += combined(f"{name}, random", {data.label: data.y[rows]}, scores)
    data = archenc.load_dataset("nasbench201")
    tests = [f"{images}/test_accuracy@200/mean" for images in ("cifar10", "cifar100", "imagenet16-120")]
    scores = compute(data.graphs, seeds=given.seeds, progress=True)
    lines += combined("nasbench201, all", {label: data.labels[label] for label in tests}, scores)
    table = markdown_table(list(COMBINED_COLUMNS), lines)
    return COMBINED.format(combination=", ".join(COMBINATION), table=table)


def section_added(given: argparse.Namespace) -> str:
    """The section on side information."""
    data = archenc.load_dataset("nasbench201")
    scores = compute(data.graphs, seeds=given.seeds, progress=True)
    lines = added(data, scores, range(given.training_sets))
    return ADDED.format(seed_count=given.training_sets, table=markdown_table(list(ADDED_COLUMNS), lines))


def main(words: Sequence[str] | None = None) -> None:
    """Compute everything that the page shows, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--cells", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--training-sets", type=int, default=5)
    parser.add_argument("--nasbench101-proxies", type=Path, help="NASLib's zc_nasbench101.json")
    given = parser.parse_args(words)
    sections = {"alone": section_alone, "combined": section_combined, "added": section_added}
    known = machine()
    page = PAGE.format(seeds=", ".join(map(str, given.seeds)), cpu=known["cpu"], cores=known["cores"])
    page += "".join(sections[part](given) for part in PARTS if part in given.parts)
    with atomic_write(given.out) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
