"""Writes what the split of each protocol tests: ``python -m archenc.benchmarks.reports.audits`` in the
repository's root, with all data at hand.

A page of it, and ``audits.yaml``, from which every report of runs on one of these splits takes a sentence
without any data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

import archenc
from archenc.benchmarks.protocol import Protocol, list_protocols, load_protocol
from archenc.dataset.splits import Split
from archenc.datasets.audit import Audit, audit, share_text
from archenc.files.reports import markdown_table
from archenc.files.trusted import atomic_write

PAGE = Path("benchmarks") / "results" / "audits.md"
SENTENCES = Path("benchmarks") / "audits.yaml"
HEADER = [
    "protocol",
    "pool",
    "test set",
    "isomorphic twin in the pool",
    "once simplified",
    "wiring in the pool",
    "label median, pool / test set",
    "best trivial predictor, tau",
    "one repeat against the others, tau",
]
INTRODUCTION = """# What the splits test

For each protocol: test architectures with an isomorphic twin in the pool, as they are and once what computes
nothing is cut; those whose wiring (the graph without its operations) occurs in the pool; and Kendall's tau on
the test set of the best predictor without ideas that saw the whole pool (parameter count, ridge on operation
counts, nearest neighbour). `archenc data audit DATASET --split NAME` prints
more."""


def audit_protocol(protocol: Protocol) -> tuple[Split, Audit]:
    """A protocol's split and its audit; raises :class:`archenc.errors.DataNotFound` without its data."""
    dataset = archenc.load_dataset(protocol.dataset, label=protocol.label)
    split = protocol.split.apply(dataset, protocol.test_label)
    return split, audit(dataset, split, protocol.test_label)


def line(name: str, found: Audit) -> list[str]:
    """A protocol's line of the table."""
    best = max(found.baselines, key=lambda baseline: found.baselines[baseline])
    pool, test = found.shift["label, median"]
    return [
        name,
        f"{found.pool:,}",
        f"{found.test:,}",
        share_text(found.twins, found.test),
        share_text(found.simplified_twins, found.test),
        share_text(found.wirings.known, found.test),
        f"{pool:.2f} / {test:.2f}",
        f"{found.baselines[best]:.3f} ({best})",
        "" if found.noise is None else f"{found.noise.against_rest:.3f} (on {found.noise.architectures:,})",
    ]


def sentence(found: Audit) -> str:
    """What the split tests, and how well the label's own repeats agree."""
    noise = found.noise
    ceiling = (
        ""
        if noise is None
        else f"; one repeat of the label against the mean of the others: tau {noise.against_rest:.3f}"
    )
    return f"{found.verdict}{ceiling}"


def audits_markdown(found: Mapping[str, Audit]) -> str:
    """The page, with a table and each protocol's verdict."""
    table = markdown_table(HEADER, [line(name, result) for name, result in found.items()])
    verdicts = [f"- **{name}**: {sentence(result)}." for name, result in found.items()]
    return "\n".join([INTRODUCTION, "", table, "", *verdicts, ""])


def audits_yaml(found: Mapping[str, tuple[Split, Audit]]) -> str:
    """The sentences by protocol, each with the digest of the split that it is about, and the two lines
    between which a ranking is of use: what a predictor without ideas reaches, and how well repeats of the
    label agree.
    """
    content = {
        name: {
            "split": split.digest,
            "sentence": sentence(result),
            "floor": round(max(result.baselines.values()), 3),
            "ceiling": None if result.noise is None else round(result.noise.against_rest, 3),
        }
        for name, (split, result) in found.items()
    }
    return "# Written by archenc.benchmarks.reports.audits.\n" + yaml.safe_dump(
        content, width=130, sort_keys=False
    )


def main() -> None:
    """Write both files."""
    found = {name: audit_protocol(load_protocol(name)) for name in list_protocols()}
    texts = {
        PAGE: audits_markdown({name: result for name, (_, result) in found.items()}),
        SENTENCES: audits_yaml(found),
    }
    for path, text in texts.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
