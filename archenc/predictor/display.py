"""What a predictor shows of itself in a notebook."""

from __future__ import annotations

from typing import Any

from archenc.files.reports import fragment, number, svg

PARTS = ("encoder", "head", "loss")


def predictor_html(predictor: Any) -> str:
    """Parts and parameters of a :class:`~archenc.Predictor`; of a fitted one what it learnt from, the members
    of ``auto`` with their weights, and the loss by epoch of a network.
    """
    given = {name: value for name, value in predictor.get_params(deep=False).items() if value is not None}
    defaults = type(predictor)().get_params(deep=False)
    names = [str(given[part]) for part in PARTS if part in given]
    facts = [("parts", "auto" if given.get("encoder") == "auto" else " + ".join(names))]
    facts += [
        (name, f"{value!r:.200}")
        for name, value in given.items()
        if name not in PARTS and value != defaults.get(name)
    ]
    if not hasattr(predictor, "head_"):
        return fragment("Predictor", [*facts, ("state", "not fitted")])
    facts.append(("state", f"fitted on {predictor.space_.name}"))
    report = predictor.report_
    if given.get("encoder") == "auto":
        facts.append(("chosen", " + ".join(str(report[part]) for part in PARTS)))
    facts += [(f"member {name}", _member(one)) for name, one in report.get("members", {}).items()]
    beside = report["companions"].items()
    facts += [(f"companion {name}", f"weight {number(one, 2)}") for name, one in beside]
    if "out_of_fold_tau" in report:
        facts.append(("tau, left out in turn", number(float(report["out_of_fold_tau"]), 2)))
    losses = getattr(predictor, "losses_", [])
    pictures = [("loss by epoch", curve(losses))] if len(losses) > 1 else []
    return fragment("Predictor", facts, pictures)


def _member(said: dict[str, Any]) -> str:
    tau = number(float(said["out_of_fold_tau"]), 2)
    return f"weight {number(float(said['weight']), 2)}, tau {tau} left out in turn"


def curve(losses: list[float]) -> str:
    """SVG of the mean loss of each epoch."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.plot(range(1, len(losses) + 1), losses, color="#2e86de")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", ylabel="training loss")

    return svg(5, 2.2, draw, on_any_ground=True)
