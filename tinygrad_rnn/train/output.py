"""A standard output that may close or be full: a run goes on without it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def say(text: str) -> int:
    """Print a text at once, as long as somebody takes it.

    Returns:
        The exit status of a command that says this alone: 2 if the output failed.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        lose(error)
        return 0 if isinstance(error, BrokenPipeError) else 2
    return 0


def told(tell: Callable[..., Any]) -> Callable[..., None]:
    """A function that tells something on the standard output, as long as somebody takes it."""

    def tries(*what: Any) -> None:
        try:
            tell(*what)
        except OSError as error:
            lose(error)

    return tries


def lose(error: OSError) -> None:
    """Let everything that is printed from now on go nowhere: the interpreter, too, would try to write what is
    left. A reader that has had enough is no trouble; any other reason is told."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        print(f"tinygrad-rnn: cannot write to the output: {error.strerror}", file=sys.stderr)
