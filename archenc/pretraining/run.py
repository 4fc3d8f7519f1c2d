"""Pretraining: an encoder learns from architectures alone, in a folder from which it goes on after an
interruption.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archenc.dataset.splits import holdout
from archenc.errors import InvalidParameter, InvalidTable
from archenc.files.machine import pretraining_machine
from archenc.files.progress import annotate, progress
from archenc.files.trusted import content_digest
from archenc.files.version import __version__
from archenc.graphs import ArchGraphs, ordinary
from archenc.pretraining.embeddings import index_hashes
from archenc.pretraining.encoder import Examples, PretrainableEncoder
from archenc.pretraining.folder import PretrainingFolder, State
from archenc.registry import ENCODERS, create_encoder
from archenc.torch_state import Generators, own_state
from archenc.training import Descent, PretrainingSchedule
from archenc.training.tracking import NullTracker, Tracker

LATER_OPTIONS = ("warmup_epochs", "ema")
"""Of a schedule, which folders of earlier versions do not name: written only if set, so that those can be
gone on with.
"""


def pretrain(
    encoder: str,
    graphs: ArchGraphs,
    folder: str | Path,
    *,
    encoder_params: dict[str, Any] | None = None,
    simplify: bool = False,
    dataset: str | None = None,
    command: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    tracker: Tracker | None = None,
    show_progress: bool = False,
    **schedule: Any,
) -> dict[str, Any]:
    """Pretrain an encoder in ``folder``, or go on where an earlier call with the same arguments was
    interrupted.

    After every epoch the folder holds a checkpoint of everything that the rest depends on; on a CPU, and with
    the same number of threads, the weights in the end are those of an uninterrupted run bit for bit. In the
    end it holds ``weights.safetensors``, ``embeddings.safetensors`` of all architectures
    (:func:`archenc.load_embeddings`) and the card ``pretraining.json``. A call for what is finished already
    gives back its card.

    Args:
        encoder: name of a :class:`PretrainableEncoder`.
        graphs: architectures of one space; the share ``held_out`` is measured on, the rest trained on.
        folder: a new or empty folder, or that of the same pretraining.
        encoder_params: keyword parameters of the encoder.
        simplify: whether the encoder sees simplified graphs.
        dataset: where the graphs come from, for the card.
        command: what makes the same again, for the card.
        seed: of the initial weights, the split, the order of the examples, and noise.
        device: where it runs.
        tracker: gets loss and metrics of every epoch; the caller finishes it.
        show_progress: a progress bar with loss and metrics, if standard error is a terminal.
        schedule: fields of :class:`PretrainingSchedule`, instead of the encoder's own.

    Returns:
        The card: encoder, space, settings, loss and metrics of each epoch, final figures, seconds, machine,
        checksums.

    Raises:
        InvalidParameter: an encoder that cannot be pretrained, settings that make no sense, or a folder that
            holds something else.
        InvalidTable: fewer than two architectures.
        CannotWrite: the folder cannot be written; what was finished is kept.
        CorruptFile: the checkpoint in the folder is damaged.
    """
    check_device(device)
    with own_state(seed, device) as generators:
        graphs = ordinary(graphs)
        model = create_encoder(encoder, graphs.space, simplify=simplify, **(encoder_params or {}))
        if not isinstance(model, PretrainableEncoder):
            raise InvalidParameter(
                f"the encoder {encoder!r} cannot be pretrained; choose one of "
                f"{', '.join(pretrainable_encoders())}"
            )
        plan = chosen_schedule(model, schedule)
        settings = {
            "encoder": encoder,
            "encoder_params": encoder_params or {},
            "simplify": simplify,
            "space": graphs.space.config(),
            "data_sha256": content_digest(
                {"adjacency": graphs.adjacency.cpu().numpy(), "ops": graphs.ops.cpu().numpy()}
            ),
            "schedule": {
                name: value for name, value in asdict(plan).items() if value or name not in LATER_OPTIONS
            },
            "seed": seed,
            "device": device,
            "archenc": __version__,
        }
        place = PretrainingFolder(Path(folder), settings)
        if (card := place.card()) is not None:
            return card
        run = _Run(model.to(device), graphs.to(device), plan, generators)
        run.fit(place, tracker or NullTracker(), show_progress)
        known = {"dataset": dataset, "command": command, "architectures": len(graphs)}
        return run.finish(place, {**known, "machine": pretraining_machine(device)})


def check_device(device: str) -> None:
    """Raise :class:`InvalidParameter` if torch cannot use the device here."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InvalidParameter(
            f"the device {device!r} cannot be used here; choose 'cpu', or 'cuda' on a machine with a GPU"
        ) from error


def pretrainable_encoders() -> list[str]:
    """Names of the encoders that can be pretrained; imports all encoders."""
    return [name for name in ENCODERS.names() if issubclass(ENCODERS.get(name), PretrainableEncoder)]


def chosen_schedule(encoder: PretrainableEncoder, changes: dict[str, Any]) -> PretrainingSchedule:
    """The encoder's own schedule with ``changes``; raises :class:`InvalidParameter` for a field that does not
    exist.
    """
    known = [field.name for field in fields(PretrainingSchedule)]
    for name in changes:
        if name not in known:
            raise InvalidParameter(f"a pretraining has no setting {name!r}; it has {', '.join(known)}")
    return replace(encoder.pretraining_schedule(), **changes)


@dataclass(frozen=True)
class _Task:
    """What is trained: an encoder, on its examples."""

    module: PretrainableEncoder
    examples: Examples
    generator: torch.Generator
    smallest_batch: int = 1

    def __len__(self) -> int:
        return len(self.examples)

    def batch_loss(self, index: Tensor) -> Tensor:
        return self.module.pretraining_loss(self.examples[index], self.generator)


class _Run:
    """The state of a pretraining: encoder, optimiser, generators, history."""

    def __init__(
        self,
        encoder: PretrainableEncoder,
        graphs: ArchGraphs,
        schedule: PretrainingSchedule,
        generators: Generators,
    ) -> None:
        if len(graphs) < 2:
            raise InvalidTable(
                f"{len(graphs)} architectures are too few to train on some and measure on others; give at "
                "least 2"
            )
        self.encoder, self.graphs, self.schedule, self.own = encoder, graphs, schedule, generators
        at_most = len(graphs) - 1
        split = holdout(
            len(graphs), min(at_most, max(1, round(len(graphs) * schedule.held_out))), generators.seed
        )
        self.pool = graphs[split.pool]
        examples = encoder.pretraining_examples(self.pool)
        self.held_out = encoder.pretraining_examples(graphs[split.test])
        for some, which in ((examples, "trained on"), (self.held_out, "held out")):
            if len(some) == 0:
                kind = type(encoder).__name__
                raise InvalidTable(f"the architectures {which} give no example to {kind}; give more of them")
        self.generator = self._fresh_generator()
        self.descent = Descent(_Task(encoder, examples, self.generator), schedule, self.generator.device)
        self.history: list[dict[str, float]] = []

    # -- learning --------------------------------------------------------------------------------------------

    def fit(self, place: PretrainingFolder, tracker: Tracker, show_progress: bool) -> None:
        state = place.read()
        if state is None:
            place.write(self._state(0))
        else:
            self._restore(state, place)
        bar = progress(
            range(len(self.history) + 1, self.schedule.epochs + 1), "pretraining", show=show_progress
        )
        for epoch in bar:
            start = time.perf_counter()
            values = {"loss": self._epoch(epoch, bar), **self._measure()}
            annotate(bar, values)
            self.history.append({**values, "seconds": time.perf_counter() - start})
            place.write(self._state(epoch))
            tracker.log(self.history[-1], step=epoch)

    def _epoch(self, epoch: int, bar: Any) -> float:
        """Train on every example once; gives the mean loss."""

        def show(step: int, loss: Tensor) -> None:
            if step % 200 == 0:
                annotate(bar, {**(self.history[-1] if self.history else {}), "loss": loss.item()})

        mean = self.descent.epoch(show).item()
        if not math.isfinite(mean):
            raise InvalidParameter(
                f"the loss is {mean} in epoch {epoch}; choose a smaller lr than {self.schedule.lr}"
            )
        return mean

    @torch.no_grad()
    def _measure(self) -> dict[str, float]:
        self.encoder.eval()
        return self.encoder.pretraining_metrics(self.held_out, self._fresh_generator())

    def _fresh_generator(self) -> torch.Generator:
        return torch.Generator(self.graphs.device).manual_seed(self.own.seed)

    def _generators(self) -> dict[str, torch.Generator]:
        """All that is drawn from, by the names that they have in a checkpoint."""
        on_cuda = {"cuda": self.own.on(self.graphs.device)} if self.graphs.device.type == "cuda" else {}
        return {"torch": self.own.on("cpu"), "generator": self.generator, **on_cuda}

    # -- there and back --------------------------------------------------------------------------------------

    def _state(self, epoch: int) -> State:
        tensors = {f"weights.{name}": tensor for name, tensor in self.encoder.state_dict().items()}
        for number, moments in self.descent.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
        tensors |= {f"rng.{name}": generator.get_state() for name, generator in self._generators().items()}
        return State(epoch, tensors, self.history)

    def _restore(self, state: State, place: PretrainingFolder) -> None:
        with place.rebuilding():
            self.encoder.load_state_dict(state.under("weights"))
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in state.under("optimizer").items():
                number, key = name.split(".", 1)
                moments.setdefault(int(number), {})[key] = tensor
            groups = self.descent.optimizer.state_dict()["param_groups"]
            self.descent.optimizer.load_state_dict({"state": moments, "param_groups": groups})
            self._check_moments()
            rng = state.under("rng")
            for name, generator in self._generators().items():
                generator.set_state(rng[name])
        self.history = list(state.history)
        self.descent.steps_done = len(self.history) * self.descent.steps_per_epoch

    def _check_moments(self) -> None:
        """Raise :class:`ValueError` unless the optimiser's state is that of these weights, which torch looks
        at only in its next step.
        """
        for weight, moments in self.descent.optimizer.state.items():
            wanted = {"step": (), "exp_avg": tuple(weight.shape), "exp_avg_sq": tuple(weight.shape)}
            if {name: tuple(moment.shape) for name, moment in moments.items()} != wanted:
                raise ValueError("the optimiser's moments are of other shapes than the weights")

    # -- the end ---------------------------------------------------------------------------------------------

    def finish(self, place: PretrainingFolder, more: dict[str, Any]) -> dict[str, Any]:
        self.encoder.eval()
        figures = {name: value for name, value in self.history[-1].items() if name != "seconds"}
        with torch.no_grad():
            figures |= self.encoder.pretraining_figures(self.pool, self._fresh_generator())
        start = time.perf_counter()
        embeddings = torch.from_numpy(self.encoder.encode(self.graphs))
        hashes = torch.from_numpy(index_hashes(self.graphs, self.encoder.form, self.encoder.simplify))
        seconds = {
            "training": sum(epoch["seconds"] for epoch in self.history),
            "embedding": time.perf_counter() - start,
        }
        return place.finish(
            weights=self.encoder.state_dict(),
            embeddings={"embeddings": embeddings, "hashes": hashes},
            card={
                "figures": figures,
                "history": self.history,
                "seconds": seconds,
                "form": self.encoder.form,
                **more,
            },
        )
