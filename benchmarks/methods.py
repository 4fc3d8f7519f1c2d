"""Methods: named combinations of an encoder, a head, a loss and their parameters."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archenc.benchmarks.protocol import canonical_json, check_keys
from archenc.documents import read_yaml
from archenc.errors import InvalidParameter, UnknownName

if TYPE_CHECKING:
    from archenc.predictor import Predictor

PACKAGED = Path(str(files("archenc.benchmarks"))) / "methods.yaml"

PARTS = ("encoder", "head", "loss")
PART_PARAMETERS = tuple(f"{part}_params" for part in PARTS)
WEIGHTS = ("pretrained", "fine_tune")
TRAINING = (
    *("epochs", "batch_size", "lr", "weight_decay", "lr_schedule", "optimizer", "warmup_epochs", "gradient_clip", "ema"),
    "label_transform",
)
KINDS: dict[str, tuple[type, ...]] = {  # an int will do for a float
    **dict.fromkeys(PARTS, (str,)),
    **dict.fromkeys(PART_PARAMETERS, (dict,)),
    "simplify": (bool,),
    "pretrained": (str,),
    "fine_tune": (bool,),
    "epochs": (int,),
    "batch_size": (int,),
    "lr": (int, float),
    "weight_decay": (int, float),
    "lr_schedule": (str,),
    "optimizer": (str,),
    "warmup_epochs": (int,),
    "gradient_clip": (int, float),
    "ema": (float,),
    "label_transform": (str,),
}


@dataclass(frozen=True)
class Method:
    """What is compared in a benchmark; ``parameters`` are keyword parameters of :class:`archenc.Predictor` beyond its parts.

    Attributes:
        name: what the rows of the leaderboard are called.
        encoder, head, loss: registered names.
        simplify: whether the encoder sees simplified graphs.
        parameters: ``encoder_params``, ``head_params``, ``loss_params``, pretrained weights and training parameters, where they differ from
            the defaults.
    """

    name: str
    encoder: str
    head: str
    loss: str
    simplify: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """The method as JSON values, with the checksum of its pretrained weights if it has some."""
        from archenc.pretrained import weights_checksum

        parts = {"encoder": self.encoder, "head": self.head, "loss": self.loss, "simplify": self.simplify}
        weights = {"weights_sha256": weights_checksum(self.parameters["pretrained"])} if "pretrained" in self.parameters else {}
        return {"name": self.name, **parts, **self.parameters, **weights}

    def predictor(self, seed: int) -> Predictor:
        """A predictor that is not yet fitted."""
        from archenc.predictor import Predictor

        return Predictor(self.encoder, self.head, self.loss, simplify=self.simplify, random_state=seed, **self.parameters)


def parse_method(name: str, content: Any, where: str) -> Method:
    """Validate one entry of a methods file; raises :class:`InvalidParameter` that says ``where``."""
    where = f"{where}, method {name!r}"
    if not isinstance(content, dict):
        raise InvalidParameter(f"{where}: this is {reprlib.repr(content)}; give encoder, head and loss")
    check_keys(content, PARTS, ["simplify", *PART_PARAMETERS, *WEIGHTS, *TRAINING], where)
    for key, value in content.items():
        if type(value) not in KINDS[key]:
            raise InvalidParameter(f"{where}: {key!r} is {reprlib.repr(value)} but should be a {KINDS[key][-1].__name__}; correct it")
    try:
        canonical_json(content)
    except (TypeError, ValueError):
        raise InvalidParameter(f"{where}: a parameter is not a number, text, true, false, null or a list of those; correct it") from None
    parameters = {key: content[key] for key in (*PART_PARAMETERS, *WEIGHTS, *TRAINING) if key in content}
    return Method(name, content["encoder"], content["head"], content["loss"], content.get("simplify", False), parameters)


def load_methods(path: Path | None = None) -> dict[str, Method]:
    """The methods of the packaged file, and those of the file at ``path``, which win where names are equal."""
    sources = [PACKAGED] if path is None else [PACKAGED, path]
    return {name: parse_method(name, content, source.name) for source in sources for name, content in read_yaml(source).items()}


def find_method(name: str, known: Mapping[str, Method]) -> Method:
    """The method called ``name``, or the one that ``ENCODER+HEAD+LOSS`` or ``ENCODER+HEAD+LOSS:simplify`` spells out.

    Raises:
        UnknownName: neither is the case, or an encoder, a head or a loss of that name does not exist.
    """
    from archenc.registry import ENCODERS, HEADS, LOSSES, normalise

    method = known.get(name)
    if method is None:
        combination, _, suffix = name.partition(":")
        parts = [normalise(part) for part in combination.split("+")]
        if len(parts) != len(PARTS) or suffix not in ("", "simplify"):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "'archenc bench list' lists them"
            raise UnknownName(f"there is no method called {name!r}; {hint}, or write ENCODER+HEAD+LOSS, with :simplify behind it if wanted")
        encoder, head, loss = parts
        method = Method("+".join(parts) + (f":{suffix}" if suffix else ""), encoder, head, loss, simplify=suffix == "simplify")
    for registry, part in ((ENCODERS, method.encoder), (HEADS, method.head), (LOSSES, method.loss)):
        registry.get(part)
    return method
