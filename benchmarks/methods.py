"""Methods: named combinations of an encoder, a head, a loss and their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archenc.errors import InvalidParameter, UnknownName, hint
from archenc.files.documents import Digest, Name, Record, Text, read_yaml, record
from archenc.registry.rules import Number, Whole

if TYPE_CHECKING:
    from archenc.predictor import Predictor

PACKAGED = Path(str(files("archenc.benchmarks"))) / "methods.yaml"

AUTO = "auto"
"""The encoder that stands for a predictor which chooses its parts itself."""
PARTS = ("encoder", "head", "loss")
Parameters = dict[Name, Any]


class Entry(Record, kw_only=True, omit_defaults=True):
    """One entry of a methods file: the parts, and the parameters of :class:`archenc.Predictor` that differ
    from its defaults.
    """

    encoder: Name
    head: Name | None = None
    loss: Name | None = None
    simplify: bool = False
    encoder_params: Parameters | None = None
    head_params: Parameters | None = None
    loss_params: Parameters | None = None
    pretrained: Text | None = None
    fine_tune: bool | None = None
    epochs: Whole | None = None
    batch_size: Whole | None = None
    lr: Number | None = None
    weight_decay: Number | None = None
    lr_schedule: Name | None = None
    optimizer: Name | None = None
    warmup_epochs: Whole | None = None
    gradient_clip: Number | None = None
    ema: Number | None = None
    label_transform: Name | None = None


class Content(Entry, kw_only=True):
    """A method in the key of a run (:attr:`Method.content`)."""

    name: Name
    simplify: bool
    weights_sha256: Digest | None = None


@dataclass(frozen=True)
class Method:
    """What is compared in a benchmark; ``parameters`` are keyword parameters of :class:`archenc.Predictor`
    beyond its parts.

    Attributes:
        name: what the rows of the leaderboard are called.
        encoder, head, loss: registered names; no head and no loss where the encoder is ``"auto"``, which
            chooses all three.
        simplify: whether the encoder sees simplified graphs.
        parameters: ``encoder_params``, ``head_params``, ``loss_params``, pretrained weights and training
            parameters, where they differ from the defaults.
    """

    name: str
    encoder: str
    head: str | None = None
    loss: str | None = None
    simplify: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """The method as JSON values, with the checksum of its pretrained weights if it has some."""
        from archenc.pretraining.weights import weights_checksum

        weights = (
            {"weights_sha256": weights_checksum(self.parameters["pretrained"])}
            if "pretrained" in self.parameters
            else {}
        )
        return {"name": self.name, **self._parts, "simplify": self.simplify, **self.parameters, **weights}

    @property
    def _parts(self) -> dict[str, Any]:
        return {part: name for part in PARTS if (name := getattr(self, part)) is not None}

    def predictor(self, seed: int) -> Predictor:
        """A predictor that is not yet fitted."""
        from archenc.predictor import Predictor

        return Predictor(**self._parts, simplify=self.simplify, random_state=seed, **self.parameters)


def parse_method(name: str, content: Any, where: str) -> Method:
    """The method in one entry of a methods file; raises :class:`InvalidParameter` that says ``where``."""
    where = f"{where}, method {name!r:.80}"
    record(name, Name, where, "give it another name", InvalidParameter)
    entry = record(content, Entry, where, "correct it", InvalidParameter)
    missing = [part for part in PARTS if getattr(entry, part) is None]
    if missing and entry.encoder != AUTO:
        raise InvalidParameter(f"{where}: the key {missing[0]!r} is missing; correct it")
    parameters = {
        key: value for key, value in content.items() if value is not None and key not in (*PARTS, "simplify")
    }
    return Method(name, entry.encoder, entry.head, entry.loss, entry.simplify, parameters)


def load_methods(path: Path | None = None) -> dict[str, Method]:
    """The methods of the packaged file, and those of the file at ``path``, which win where names are
    equal.
    """
    sources = [PACKAGED] if path is None else [PACKAGED, path]
    return {
        name: parse_method(name, content, source.name)
        for source in sources
        for name, content in read_yaml(source).items()
    }


def find_method(name: str, known: Mapping[str, Method]) -> Method:
    """The method called ``name``, or the one that ``ENCODER+HEAD+LOSS`` or ``ENCODER+HEAD+LOSS:simplify``
    spells out.

    Raises:
        UnknownName: neither is the case, or an encoder, a head or a loss of that name does not exist.
    """
    from archenc.registry import ENCODERS, HEADS, LOSSES, normalise

    method = known.get(name)
    if method is None:
        combination, _, suffix = name.partition(":")
        parts = [normalise(part) for part in combination.split("+")]
        if len(parts) != len(PARTS) or suffix not in ("", "simplify"):
            remedy = hint(name, known, "'archenc bench list' lists them")
            raise UnknownName(
                f"there is no method called {name!r}; {remedy}, or write ENCODER+HEAD+LOSS, with :simplify "
                "behind it if wanted"
            )
        encoder, head, loss = parts
        method = Method(
            "+".join(parts) + (f":{suffix}" if suffix else ""),
            encoder,
            head,
            loss,
            simplify=suffix == "simplify",
        )
    if (method.encoder, method.head, method.loss) == (AUTO, None, None):
        return method
    for registry, part in ((ENCODERS, method.encoder), (HEADS, method.head), (LOSSES, method.loss)):
        registry.get(str(part))
    return method
