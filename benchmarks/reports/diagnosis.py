"""The diagnosis of estimators as CSV, Markdown, plots and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archenc.benchmarks.diagnosis import COUNT, LEAST, SHARE, Diagnosis, Verdict
from archenc.files.reports import figure_label, markdown_table, number, page, svg
from archenc.files.text import csv_text, markdown
from archenc.files.trusted import safe_name, write_texts

HEADER = (
    "estimator",
    "kind",
    "architectures",
    "tau",
    "tau, shared",
    "Spearman's rho",
    f"P@top {SHARE:.0%}",
    f"P@bottom {SHARE:.0%}",
    f"best rank@{COUNT}",
    f"worst rank@{COUNT}",
    "seeds",
    "tau between seeds",
    "rank std over seeds, %",
)
INTRODUCTION = (
    "Scores that stand for the accuracy of a training, judged after Ning et al., Evaluating Efficient "
    "Performance Estimators of Neural Architectures (NeurIPS 2021). Higher scores are better, as they are "
    "stored; an estimator is judged on the architectures that it knows. Where there are several seeds, "
    "numbers are means over them."
)
NOTES = (
    f"Shared: on the architectures that every estimator of the table knows, if they are {LEAST} or more. "
    f"P@top and P@bottom: share of the best and worst {SHARE:.0%} by estimate that are so by label. Ranks: "
    f"the best and the worst true rank, from 1, among the {COUNT} with the highest estimates; among equal "
    "estimates those with the lower label are taken first. Kind size: what is known without any network; "
    "repeats: one training of the label against the mean of the others, which no estimator passes by much."
)
BIAS = (
    "Spearman's rho of a property with estimated minus true rank: above 0, architectures with more of it are "
    "overestimated. An estimator that ignores what helps has a negative one. Tau within five groups of equal "
    "size of each property is in bias.csv."
)
WITHIN = "tau within groups of parameters"


def write_diagnosis(diagnoses: Sequence[Diagnosis], folder: Path) -> list[Path]:
    """Write ``diagnosis.csv``, ``bias.csv``, ``diagnosis.md``, two plots for each data set and
    ``index.html``; gives their paths.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written; then nothing is.
    """
    plots = [(_ranking_plot(one), _bias_plot(one)) for one in diagnoses]
    named = {
        f"{safe_name(f'{one.dataset}-{one.label}')}-{what}.svg": image
        for one, images in zip(diagnoses, plots, strict=True)
        for what, image in zip(("ranking", "bias"), images, strict=True)
    }
    texts = {
        "diagnosis.csv": diagnosis_csv(diagnoses),
        "bias.csv": bias_csv(diagnoses),
        "diagnosis.md": diagnosis_markdown(diagnoses),
        **named,
        "index.html": _page(diagnoses, plots),
    }
    return write_texts(folder, texts)


# -- tables --------------------------------------------------------------------------------------------------


def _record(one: Diagnosis, verdict: Verdict) -> dict[str, Any]:
    return {"dataset": one.dataset, "label": one.label, "estimator": verdict.estimator.name}


def diagnosis_csv(diagnoses: Sequence[Diagnosis]) -> str:
    """A row for each estimator of each data set, with all digits."""
    return csv_text(
        [
            {
                **_record(one, each),
                "kind": each.estimator.kind,
                "architectures": each.count,
                "kendall_tau": each.tau,
                "kendall_tau_shared": each.shared_tau,
                "spearman": each.spearman,
                "precision_top": each.top,
                "precision_bottom": each.bottom,
                "best_rank": each.best_rank,
                "worst_rank": each.worst_rank,
                "seeds": len(each.estimator.values),
                "kendall_tau_std": each.tau_std,
                "kendall_tau_between_seeds": each.agreement,
                "rank_std_percent": each.rank_std,
            }
            for one in diagnoses
            for each in one.verdicts
        ]
    )


def bias_csv(diagnoses: Sequence[Diagnosis]) -> str:
    """A row for each group of each property and estimator."""
    return csv_text(
        [
            {
                **_record(one, each),
                "property": name,
                "rho_shift": bias.shift,
                "rho_estimate": bias.score,
                "rho_label": bias.label,
                "low": group.low,
                "high": group.high,
                "architectures": group.count,
                "shift_percent": group.shift,
                "kendall_tau": group.tau,
            }
            for one in diagnoses
            for each in one.verdicts
            for name, bias in each.biases.items()
            for group in bias.groups
        ]
    )


def ranking_lines(one: Diagnosis) -> list[list[str]]:
    """The lines below :data:`HEADER`."""
    return [
        [
            each.estimator.name,
            each.estimator.kind,
            f"{each.count:,}",
            number(each.tau) + (f" ± {number(each.tau_std)}" if np.isfinite(each.tau_std) else ""),
            number(each.shared_tau),
            number(each.spearman),
            number(each.top),
            number(each.bottom),
            f"{each.best_rank:,.0f}",
            f"{each.worst_rank:,.0f}",
            str(len(each.estimator.values)),
            number(each.agreement),
            number(each.rank_std, 1),
        ]
        for each in one.verdicts
    ]


def bias_table(one: Diagnosis) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the biases, with the mean tau among architectures of about as many parameters."""
    names = _properties(one)
    lines = []
    for each in one.verdicts:
        shifts = [f"{each.biases[name].shift:+.2f}" if name in each.biases else "" for name in names]
        sized = each.biases.get("parameters")
        taus = [] if sized is None else [group.tau for group in sized.groups if np.isfinite(group.tau)]
        lines.append([each.estimator.name, *shifts, number(float(np.mean(taus))) if taus else ""])
    return ["estimator", *names, WITHIN], lines


def _properties(one: Diagnosis) -> list[str]:
    return list(dict.fromkeys(name for each in one.verdicts for name in each.biases))


def _title(one: Diagnosis) -> str:
    return f"{one.dataset}: {one.label}"


def _counted(one: Diagnosis) -> str:
    return (
        f"{one.architectures:,} architectures have the label; every estimator knows {one.shared:,} of them."
    )


def diagnosis_markdown(diagnoses: Sequence[Diagnosis]) -> str:
    """The page, with two tables for each data set."""
    parts = ["# What estimators of accuracy are worth", "", INTRODUCTION, "", NOTES]
    for one in diagnoses:
        parts += ["", f"## {markdown(_title(one))}", "", _counted(one), ""]
        parts += [markdown_table(HEADER, ranking_lines(one)), "", BIAS, "", markdown_table(*bias_table(one))]
    return "\n".join([*parts, ""])


def _page(diagnoses: Sequence[Diagnosis], plots: Sequence[tuple[str, str]]) -> str:
    sections = []
    for one, (ranking, bias) in zip(diagnoses, plots, strict=True):
        header, lines = bias_table(one)
        sections += [
            {
                "title": _title(one),
                "text": _counted(one),
                "header": HEADER,
                "lines": ranking_lines(one),
                "svg": ranking,
            },
            {"title": f"Bias: {_title(one)}", "text": BIAS, "header": header, "lines": lines, "svg": bias},
        ]
    return page(
        "archenc.benchmarks.reports",
        "figures.html",
        title="archenc: what estimators of accuracy are worth",
        introduction=f"{INTRODUCTION} {NOTES}",
        setting=[("data sets", ", ".join(dict.fromkeys(one.dataset for one in diagnoses)))],
        header=(),
        lines=(),
        figures=sections,
    )


# -- plots ---------------------------------------------------------------------------------------------------


def _names(one: Diagnosis) -> list[str]:
    return [figure_label(each.estimator.name) for each in one.verdicts]


def _ranking_plot(one: Diagnosis) -> str:
    """Tau, with its deviation over seeds, and both precisions of each estimator."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        at = np.arange(len(one.verdicts))
        deviations = [each.tau_std if np.isfinite(each.tau_std) else 0.0 for each in one.verdicts]
        kinds = list(dict.fromkeys(each.estimator.kind for each in one.verdicts))
        colours = [f"C{kinds.index(each.estimator.kind)}" for each in one.verdicts]
        taus = [each.tau for each in one.verdicts]
        axes.barh(at, taus, xerr=deviations, color=colours, alpha=0.6, height=0.7, label="Kendall's tau")
        for mark, name, values in (
            ("^", f"P@top {SHARE:.0%}", [each.top for each in one.verdicts]),
            ("v", f"P@bottom {SHARE:.0%}", [each.bottom for each in one.verdicts]),
        ):
            axes.plot(values, at, mark, color="0.2", markersize=4, label=name)
        axes.set_yticks(at, _names(one))
        axes.invert_yaxis()
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.grid(axis="x", alpha=0.25)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)

    return svg(8, 1.2 + 0.24 * len(one.verdicts), draw)


def _bias_plot(one: Diagnosis) -> str:
    """What each estimator over- and underestimates, as a map of colours."""
    names = _properties(one)
    shifts = np.array(
        [
            [each.biases[name].shift if name in each.biases else np.nan for name in names]
            for each in one.verdicts
        ]
    ).reshape(len(one.verdicts), len(names))

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        if not names:
            axes.set_axis_off()
            return
        colours = axes.pcolormesh(shifts, cmap="RdBu_r", vmin=-0.8, vmax=0.8, edgecolors="white")
        axes.set_yticks(np.arange(len(one.verdicts)) + 0.5, _names(one))
        axes.set_xticks(
            np.arange(len(names)) + 0.5, [figure_label(name) for name in names], rotation=30, ha="right"
        )
        axes.invert_yaxis()
        figure.colorbar(colours, ax=axes, label="underestimated ... overestimated")

    return svg(8, 1.8 + 0.24 * len(one.verdicts), draw)
