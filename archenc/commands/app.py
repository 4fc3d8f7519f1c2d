"""The ``archenc`` command: assembles the subcommands that the rooms and other packages declare, and turns
errors into one line.

A package adds a subcommand by an entry point of the group ``archenc.commands`` that names a function or a
Typer application. Such a module must be cheap to import, as it is loaded for ``archenc --help``: import torch
inside the functions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from archenc.errors import ArchencError, UnknownName
from archenc.files.text import say
from archenc.files.version import __version__
from archenc.registry import DATASETS, ENCODERS, HEADS, LOSSES, SPACES, STRATEGIES

_ClickException: Any = typer.BadParameter.__mro__[
    2
]  # click's own, or that of the copy that newer Typers bring


def _pretrained() -> list[str]:
    from archenc.pretraining.weights import pretrained_folders

    return list(pretrained_folders())


_LISTS: dict[str, Callable[[], list[str]]] = {
    "encoders": ENCODERS.names,
    "heads": HEADS.names,
    "losses": LOSSES.names,
    "strategies": STRATEGIES.names,
    "spaces": SPACES.names,
    "datasets": DATASETS.names,
    "pretrained": _pretrained,
}


_ORDER = (
    "suggest",
    "rank",
    "train",
    "predict",
    "explain",
    "data",
    "list",
    "encode",
    "proxies",
    "pretrain",
    "embed-report",
    "bench",
)
"""In which ``archenc --help`` shows the commands: the question that most come with first; those of other
packages follow by name.
"""


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        place = {name: at for at, name in enumerate(_ORDER)}
        return sorted(self.commands, key=lambda name: (place.get(name, len(place)), name))


def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="encoders|heads|losses|strategies|spaces|datasets|pretrained", help="What to list."
        ),
    ],
) -> None:
    """List the names that can be used, one a line."""
    if kind not in _LISTS:
        raise UnknownName(f"there is nothing called {kind!r} to list; choose one of {', '.join(_LISTS)}")
    say(*_LISTS[kind]())


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"archenc {__version__}")
        raise typer.Exit


def _callback(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """What should I train next? 'archenc suggest' answers from a file of what was trained.

    Behind it are predictors of neural architectures: encodings, heads and losses, on real benchmark tables.
    """


def _unavailable(point: EntryPoint, reason: Exception) -> Callable[[], None]:
    """Stands in for a subcommand whose module does not load, so that the others still work."""

    def command() -> None:
        raise ArchencError(
            f"the command {point.name!r} cannot be loaded ({type(reason).__name__}: {reason}); repair or "
            "remove its package"
        )

    command.__doc__ = f"(cannot be loaded: {type(reason).__name__})"
    return command


def create_app() -> typer.Typer:
    """The application with every declared subcommand; imports the modules that declare them and nothing
    heavier.
    """
    app = typer.Typer(
        name="archenc",
        cls=_Commands,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_callback)
    app.command("list")(list_names)
    for point in entry_points(group="archenc.commands"):
        try:
            command: Any = point.load()
        except Exception as reason:
            command = _unavailable(point, reason)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=point.name)
        else:
            app.command(point.name)(command)
    return app


def _complain(message: str) -> None:
    say(f"archenc: error: {' '.join(message.split())}", file=sys.stderr)


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror or error}; make room or choose another path"


def _replace_closed_streams() -> None:
    """Let what is written to a closed standard stream vanish, so that no file that is opened later takes its
    place.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _run(argv: Sequence[str] | None) -> int:
    try:
        code = create_app()(args=argv, prog_name="archenc", standalone_mode=False)
        sys.stdout.flush()
    except ArchencError as error:
        _complain(str(error))
        return 2
    except _ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see '{context.command_path} --help')" if context is not None else ""
        _complain(error.format_message().rstrip(".") + hint)
        return 2
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _complain(_describe(error))
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except SystemExit as stop:  # Typer's own answer to a closed pipe
        code = stop.code
    return code if isinstance(code, int) else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code: 0 done, 1 some part failed, 2 bad input, 130
    interrupted.
    """
    _replace_closed_streams()
    code = _run(argv)
    if code == 130:
        say("archenc: interrupted; what was finished is kept", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
