"""What several commands take: options, and how they are read and checked."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from archenc.errors import CorruptFile, InvalidParameter

MAX_SEED = 2**32 - 1

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter; repeat the option for more."),
]
Notation = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How numbers in --input are read, where the space has several ways: naslib, index.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is already there.")]
Simplify = Annotated[bool, typer.Option("--simplify", help="Cut what computes nothing before encoding.")]


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """``["cutoff=30", "encoder.kind=onehot"]`` as a dictionary; values are read as YAML scalars or lists."""
    from archenc.files.documents import parse_yaml

    parsed: dict[str, Any] = {}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise InvalidParameter(
                f"--set {setting!r} is not of the form NAME=VALUE; write for example --set cutoff=30"
            )
        if name in parsed:
            raise InvalidParameter(f"--set gives {name!r} twice; give it once")
        try:
            parsed[name] = parse_yaml(text, f"--set {name}")
        except CorruptFile:
            raise InvalidParameter(
                f"--set {setting!r} has a value that cannot be read; write a number, true, false or a word"
            ) from None
    return parsed


def check_types(kind: str, factory: Any, parameters: dict[str, Any]) -> None:
    """Raise :class:`InvalidParameter` for a value of another type than the parameter's default.

    An int will do for a float.
    """
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.name not in parameters or not isinstance(parameter.default, bool | int | float | str):
            continue
        value, wanted = parameters[parameter.name], type(parameter.default)
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            name = parameter.name if kind == "predictor" else f"{kind}.{parameter.name}"
            remedy = f"give it a value of type {wanted.__name__}, as {parameter.default!r}"
            raise InvalidParameter(f"the parameter {name} is {value!r}; {remedy}")


def check_output(path: Path, force: bool, suffixes: tuple[str, ...] = ()) -> None:
    """Before any work: refuse a ``path`` of another suffix, or one that exists, unless ``force`` is given.

    Raises:
        InvalidParameter: what is wrong with ``--out``.
    """
    if suffixes and path.suffix not in suffixes:
        raise InvalidParameter(f"--out {path} should end in {' or '.join(suffixes)}; choose another name")
    if suffixes and path.is_dir():
        raise InvalidParameter(f"--out {path} is a folder; give the name of a file")
    if not suffixes and path.exists() and not path.is_dir():
        raise InvalidParameter(f"--out {path} is a file; give the name of a folder")
    taken = path.exists() if suffixes else path.is_dir() and any(path.iterdir())
    if taken and not force:
        raise InvalidParameter(f"--out {path} already exists; choose another name or add --force")
