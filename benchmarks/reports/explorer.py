"""The page of all results: one HTML file that needs nothing else, to be filtered, sorted and linked to.

It is drawn by its own script from the CSV files that lie beside it, which it holds and offers, so that no
table and no curve can say something else than they do. Plots are Vega-Lite's, whose script is inside.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any

from archenc.benchmarks.methods import AUTO, Content
from archenc.benchmarks.reports.estimates import metric_name
from archenc.benchmarks.reports.overview import BUDGETS, overview_csv
from archenc.benchmarks.reports.rows import KINDS, SPACES, board_names, learning, results_csv
from archenc.benchmarks.reports.searches import search_tables, searches_csv
from archenc.benchmarks.reports.statements import notes, split_audit
from archenc.benchmarks.runs import Leaderboard
from archenc.benchmarks.searches import SearchRun
from archenc.errors import ArchencError
from archenc.files.documents import canonical_json, plain_values
from archenc.files.reports import bare_page
from archenc.files.text import visible
from archenc.metrics import smaller_is_better
from archenc.registry import ENCODERS, HEADS, LOSSES, create_space

Facts = Callable[[Leaderboard], list[tuple[str, str]]]
TEMPLATES = "archenc.benchmarks.reports"
SCRIPTS = ("data.js", "table.js", "charts.js", "views.js", "app.js")
FAMILIES = {
    "auto": (AUTO,),
    "GATES": ("gates", "ta-gates"),
    "graph convolutions": ("gcn", "linegraph-gcn", "brp-nas", "neural-predictor"),
    "transformers": ("flowerformer", "nn-former", "cate"),
    "sequences": ("lstm", "mlp", "seminas"),
    "graph features": ("graf", "graf-plus", "wl", "path-profile", "combined"),
    "encodings": ("adjacency", "path", "op-count", "op-onehot"),
    "autoencoders": ("arch2vec", "vgae", "gae", "dvae"),
}
"""Encoders that are drawn in one colour with one symbol; others are the family "other"."""
PARTS: dict[str, Any] = {"encoder": ENCODERS, "head": HEADS, "loss": LOSSES}


def explorer_page(
    boards: Sequence[Leaderboard],
    facts: Facts,
    yours: Iterable[str] = (),
    searches: Sequence[SearchRun] = (),
) -> str:
    """The page.

    Args:
        boards: leaderboards.
        facts: what gives, of a leaderboard, name and text of what its numbers refer to.
        yours: names of runs of the user's own.
        searches: runs of searches.
    """
    content = {
        "results": results_csv(boards, yours),
        "overview": overview_csv(boards),
        "boards": _shown(
            {name: _board(board, facts) for name, board in zip(board_names(boards), boards, strict=True)}
        ),
        "methods": _shown(cards(boards)),
        "families": [*FAMILIES, "other"],
        "kinds": {"all": "all spaces", **KINDS},
        "budgets": list(BUDGETS),
        "metrics": _shown(_metrics(boards)),
        "searches": searches_csv(searches),
        "search_tables": _shown(search_tables(searches)),
    }
    folder = files(TEMPLATES) / "templates"
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return bare_page(
        TEMPLATES,
        "explorer.html",
        title="archenc: which method, how sure",
        style=(folder / "explorer.css").read_text(encoding="utf-8"),
        scripts=[plot_library(), script],
        data=_embedded(content),
    )


@functools.cache
def plot_library() -> str:
    """The script of Vega, Vega-Lite and Vega-Embed, which leaves the function ``vegaEmbed`` and no other
    name.
    """
    import vl_convert

    return f"(() => {{{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;')}}})();"


def _board(board: Leaderboard, facts: Facts) -> dict[str, Any]:
    audit = split_audit(board)
    return {
        "facts": [[name, text] for name, text in facts(board)],
        "notes": [[heading, sentences] for heading, sentences in notes(board).items()],
        "metrics": list(board.setting.metrics),
        "floor": None if audit is None else audit.floor,
        "ceiling": None if audit is None else audit.ceiling,
    }


def _metrics(boards: Sequence[Leaderboard]) -> dict[str, dict[str, Any]]:
    """What each metric is called, and which way is better."""
    found = dict.fromkeys(metric for board in boards for metric in board.setting.metrics)
    return {
        metric: {"name": metric_name(metric), "smaller_is_better": smaller_is_better(metric)}
        for metric in found
    }


def _shown(value: Any) -> Any:
    """A value with all its text made :func:`visible`."""
    if isinstance(value, dict):
        return {visible(name): _shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return visible(value) if isinstance(value, str) else value


def _embedded(content: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


# -- what is said of a method beside its numbers -------------------------------------------------------------


def family(encoder: str) -> str:
    """The family of an encoder."""
    return next((name for name, members in FAMILIES.items() if encoder in members), "other")


def cards(boards: Iterable[Leaderboard]) -> dict[str, dict[str, Any]]:
    """A card for each method of some leaderboards, by its name: of two of one name, the later one's."""
    methods = {row.method.name: row.method for board in boards for row in board.rows}
    spaces = {name: create_space(name) for name in dict.fromkeys(SPACES.values())}
    return {name: _card(method, spaces) for name, method in sorted(methods.items())}


def _card(method: Content, spaces: dict[str, Any]) -> dict[str, Any]:
    settings = {
        name: value
        for name, value in plain_values(method).items()
        if name not in ("name", *PARTS, "simplify") and value is not None
    }
    return {
        "family": family(method.encoder),
        "learning": learning(method),
        "simplify": method.simplify,
        "parts": [_part(kind, getattr(method, kind)) for kind in PARTS if getattr(method, kind) is not None],
        "settings": {name: canonical_json(value) for name, value in settings.items()},
        "spaces": _works_on(method.encoder, spaces),
    }


def _part(kind: str, name: str) -> dict[str, str]:
    """A part's name, its first sentence and its paper; of one that is not installed, the name."""
    if name == AUTO:
        return {
            "kind": "predictor",
            "name": AUTO,
            "says": "Chooses encoder, head and loss itself, by predictions of architectures left out.",
            "paper": "no paper: this package's own",
        }
    try:
        part = PARTS[kind].get(name)
    except ArchencError:
        return {"kind": kind, "name": name, "says": "not installed here", "paper": ""}
    first = inspect.cleandoc(part.__doc__ or "").split("\n\n")[0]
    return {"kind": kind, "name": name, "says": " ".join(first.split()), "paper": part.paper}


def _works_on(encoder: str, spaces: dict[str, Any]) -> list[str]:
    """Names of the spaces that an encoder can encode; nothing for one that is not installed."""
    try:
        kind = None if encoder == AUTO else ENCODERS.get(encoder)
    except ArchencError:
        return []
    return [name for name, space in spaces.items() if kind is None or kind.unsupported(space) is None]
