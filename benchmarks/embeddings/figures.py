"""The report on embeddings as text, figures and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archenc.benchmarks.embeddings import walks
from archenc.benchmarks.embeddings.analyses import Analyses
from archenc.benchmarks.reports.published import published_embeddings
from archenc.files.reports import figure_label, page, svg, text_table
from archenc.files.trusted import json_text, write_texts

PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
COLOURS = {"pretrained": "C0", "supervised": "C1", "edit": "C2"}
HEADER = ("", "pretrained", "supervised", "published: pretrained", "supervised")


def write_report(analyses: Analyses, card: dict[str, Any], setting: dict[str, Any], folder: Path) -> str:
    """Write ``report.json``, a figure for each analysis and ``index.html`` into ``folder``; gives the table
    of the main numbers.

    Args:
        analyses: what is reported.
        card: that of the pretraining.
        setting: what the numbers refer to: ``pretrained``, ``dataset``, ``label``, ``command``, ``archenc``
            and so on.
        folder: made where it is missing.
    """
    label = figure_label(setting["label"])
    figures = {
        "regression.svg": svg(8, 4, lambda figure: _draw_regression(figure, analyses, label)),
        "distances.svg": svg(8, 3.4, lambda figure: _draw_distances(figure, analyses)),
        "map.svg": svg(8, 3.8, lambda figure: _draw_map(figure, analyses, label)),
        "autocorrelation.svg": svg(8, 3.4, lambda figure: _draw_autocorrelation(figure, analyses)),
    }
    lines = summary(analyses, card)
    numbers = {**setting, "pretraining_figures": card["figures"], **analyses.numbers()}
    write_texts(
        folder,
        {
            "report.json": json_text(numbers),
            **figures,
            "index.html": _page(analyses, setting, lines, figures),
        },
    )
    return text_table(HEADER, lines)


# -- tables --------------------------------------------------------------------------------------------------


def summary(analyses: Analyses, card: dict[str, Any]) -> list[list[str]]:
    """The lines of the table of the main numbers, below :data:`HEADER`."""
    encoder, space = card["settings"]["encoder"], card["settings"]["space"].get("name", "")
    known = published_embeddings()
    published = known.figures(encoder, space)
    lines = [
        [
            _words(name) + ("" if name == "loss" else ", %"),
            f"{value:.2f}",
            "",
            f"{published[name]:.2f}" if name in published else "",
            "",
        ]
        for name, value in card["figures"].items()
    ]
    printed = known.regression(encoder, space, analyses.plan.training_size, analyses.plan.above)
    task = f"Gaussian process, {analyses.plan.training_size} labels"
    for name, title in (("rmse", "RMSE"), ("pearson", "Pearson's r")):
        found = [_mean_and_std(getattr(one, name)) for one in analyses.regressions.values()]
        lines.append([f"{task}: {title}", *found, *(("", "") if printed is None else getattr(printed, name))])
    lines.append(
        [
            "L2 distance grows with every edit",
            *("yes" if one.monotone else "no" for one in analyses.distances.values()),
            "",
            "",
        ]
    )
    lines.append(
        [
            "... Spearman's rho of all pairs",
            *(f"{one.spearman_of_pairs:.3f}" for one in analyses.distances.values()),
            "",
            "",
        ]
    )
    for steps in (1, walks.SPAN):
        values = {name: f"{one.values[steps - 1]:.3f}" for name, one in analyses.autocorrelations.items()}
        name = f"autocorrelation, {steps} step{'s'[: steps > 1]} (edits: {values['edit']})"
        lines.append([name, values["pretrained"], values["supervised"], "", ""])
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


def _mean_and_std(values: np.ndarray) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def _page(
    analyses: Analyses, setting: dict[str, Any], lines: Sequence[Sequence[str]], figures: dict[str, str]
) -> str:
    plan = analyses.plan
    texts = {
        "regression.svg": (
            "Gaussian process",
            f"Predictions from {plan.training_size} random labels, on the {analyses.evaluated:,} other "
            "architectures with a label above "
            f"{plan.above:g}; the table has mean and standard deviation over {plan.repeats} repeats, the "
            "figure the first. RMSE is in "
            "units of the label. The supervised embeddings are learnt from the same labels by an encoder of "
            "the same kind and size.",
        ),
        "distances.svg": (
            "L2 distance against edit distance",
            f"Mean and standard deviation over pairs of cells at most {walks.SPAN} steps apart on "
            f"{walks.WALKS} random walks of "
            f"{walks.LENGTH} cells. An edit changes an operation, an edge or a node"
            + (
                "."
                if analyses.exact_edits
                else "; here the steps of the walk stand for it, as the cells are too large."
            ),
        ),
        "map.svg": (
            "The latent space in two dimensions",
            f"{PROJECTIONS[plan.projection]} of {len(analyses.maps['pretrained'].labels):,} random "
            "architectures; the colour is the label.",
        ),
        "autocorrelation.svg": (
            "Random-walk autocorrelation",
            "Correlation of the labels of two architectures on a random walk among labelled ones, by the "
            "steps between them: a step is an "
            f"edit, or leads to one of the {walks.NEIGHBOURS} nearest embeddings in L2. Number of walks: "
            + ", ".join(f"{one.walks} ({name})" for name, one in analyses.autocorrelations.items())
            + ". Walks to near embeddings can stay in a part of the space whose cells are nearest to each "
            "other; then their curve ends "
            "above zero.",
        ),
    }
    return page(
        "archenc.benchmarks.reports",
        "figures.html",
        title="archenc embeddings",
        introduction="Pretrained embeddings beside supervised ones.",
        setting=[(_words(name), value) for name, value in setting.items()],
        header=HEADER,
        lines=lines,
        figures=[
            {"title": title, "text": text, "svg": figures[name]} for name, (title, text) in texts.items()
        ],
    )


# -- figures -------------------------------------------------------------------------------------------------


def _panels(figure: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    return list(zip(names, figure.subplots(1, len(names)), strict=True))


def _draw_regression(figure: Any, analyses: Analyses, label: str) -> None:
    figure.set_dpi(150)  # of the points, which are an image: there are many
    every = np.concatenate([one.labels for one in analyses.regressions.values()])
    low, high = every.min(), every.max()
    margin = 0.05 * (high - low) or 1.0
    for name, axes in _panels(figure, list(analyses.regressions)):
        one = analyses.regressions[name]
        axes.plot([low, high], [low, high], color="0.6", linewidth=0.8)
        axes.scatter(
            one.labels, one.predictions, s=3, alpha=0.3, linewidth=0, color=COLOURS[name], rasterized=True
        )
        limits = (low - margin, high + margin)
        axes.set(title=name, xlabel=label, ylabel="predicted", xlim=limits, ylim=limits)


def _draw_distances(figure: Any, analyses: Analyses) -> None:
    for name, axes in _panels(figure, list(analyses.distances)):
        one = analyses.distances[name]
        axes.errorbar(
            one.edits, one.mean, yerr=one.std, marker="o", markersize=4, capsize=3, color=COLOURS[name]
        )
        axes.set(title=name, xlabel="edit distance", ylabel="L2 distance", ylim=(0, None))
        axes.grid(alpha=0.25)


def _draw_map(figure: Any, analyses: Analyses, label: str) -> None:
    figure.set_dpi(150)
    low, high = np.percentile(
        analyses.maps["pretrained"].labels, [5, 100]
    )  # the few worst would take most of the colours
    panels = _panels(figure, list(analyses.maps))
    for name, axes in panels:
        one = analyses.maps[name]
        order = np.argsort(one.labels, kind="stable")
        points = axes.scatter(
            *one.points[order].T, c=one.labels[order], vmin=low, vmax=high, s=4, linewidth=0, rasterized=True
        )
        axes.set(title=name, xticks=[], yticks=[])
    figure.colorbar(points, ax=[axes for _, axes in panels], extend="min", label=label)


def _draw_autocorrelation(figure: Any, analyses: Analyses) -> None:
    axes = figure.add_subplot()
    names = {
        "edit": "one edit",
        "pretrained": "a near pretrained embedding",
        "supervised": "a near supervised embedding",
    }
    for name, one in analyses.autocorrelations.items():
        axes.plot(
            np.arange(1, walks.LAGS + 1),
            one.values,
            marker="o",
            markersize=3.5,
            color=COLOURS[name],
            label=names[name],
        )
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="steps", ylabel="correlation of labels")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, title="a step leads to")
