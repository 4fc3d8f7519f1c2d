"""Writes what the split of each protocol tests: ``python -m archenc.benchmarks.audits`` in the repository's root, with all data at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import archenc
from archenc.benchmarks.protocol import Protocol, list_protocols, load_protocol
from archenc.benchmarks.text import markdown_table
from archenc.datasets.audit import Audit, audit, share
from archenc.files import atomic_write

PAGE = Path("benchmarks") / "results" / "audits.md"
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

For each protocol: test architectures with an isomorphic twin in the pool, as they are and once what computes nothing is cut; those
whose wiring (the graph without its operations) occurs in the pool; and Kendall's tau on the test set of the best predictor without ideas
that saw the whole pool (parameter count, ridge on operation counts, nearest neighbour). `archenc data audit DATASET --split NAME` prints
more."""


def audit_protocol(protocol: Protocol) -> Audit:
    """The audit of a protocol's split; raises :class:`archenc.errors.DataNotFound` without its data."""
    dataset = archenc.load_dataset(protocol.dataset, label=protocol.label)
    return audit(dataset, protocol.split.apply(dataset, protocol.test_label), protocol.test_label)


def line(name: str, found: Audit) -> list[str]:
    """A protocol's line of the table."""
    best = max(found.baselines, key=lambda baseline: found.baselines[baseline])
    pool, test = found.shift["label, median"]
    return [
        name,
        f"{found.pool:,}",
        f"{found.test:,}",
        share(found.twins, found.test),
        share(found.simplified_twins, found.test),
        share(found.wirings.known, found.test),
        f"{pool:.2f} / {test:.2f}",
        f"{found.baselines[best]:.3f} ({best})",
        "" if found.noise is None else f"{found.noise.against_rest:.3f} (on {found.noise.architectures:,})",
    ]


def audits_markdown(protocols: Sequence[Protocol]) -> str:
    """The page, with a table and each protocol's verdict."""
    found = {protocol.name: audit_protocol(protocol) for protocol in protocols}
    table = markdown_table(HEADER, [line(name, result) for name, result in found.items()])
    verdicts = [f"- **{name}**: {result.verdict}." for name, result in found.items()]
    return "\n".join([INTRODUCTION, "", table, "", *verdicts, ""])


def main() -> None:
    """Write the page."""
    with atomic_write(PAGE) as temporary:
        temporary.write_text(audits_markdown([load_protocol(name) for name in list_protocols()]), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
