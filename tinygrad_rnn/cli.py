"""The command line: ``tinygrad-rnn`` and its commands."""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from . import __version__
from .commands import ALL
from .errors import TinygradRNNError
from .train.output import lose


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0 done, 1 a check that found something wrong, 2 an error that was told on stderr, 128
            + N stopped by signal N.
    """
    # a terminal that lacks a character of the text shows ? for it
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status: int = arguments.command(arguments)
    except TinygradRNNError as error:
        return _refuse(str(error))
    except MemoryError as error:
        return _refuse(f"not enough memory ({error}): choose smaller sizes")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError as error:
        lose(error)
        return 0
    try:
        sys.stdout.flush()
    except OSError as error:
        lose(error)
        return status if isinstance(error, BrokenPipeError) else 2
    return status


def _warn(message: Warning | str, *_where: Any, **_line: Any) -> None:
    print(f"tinygrad-rnn: {message}", file=sys.stderr)


def _refuse(message: str) -> int:
    print(f"tinygrad-rnn: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinygrad-rnn", description="Recurrent networks with every gradient in sight."
    )
    parser.add_argument("--version", action="version", version=f"tinygrad-rnn {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    for add in ALL:
        add(commands)
    return parser
