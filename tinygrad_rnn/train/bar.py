"""A bar in the terminal, of the package rich."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, TextIO


class Bar(contextlib.AbstractContextManager["Bar"]):
    """One line that is drawn again and again, and lasting ones above it; as a block.

    Args:
        stream: where to.
        total: how many updates there will be; None where nobody knows.
        done: how many there were.

    Raises:
        ImportError: rich is missing.
    """

    def __init__(self, stream: TextIO, total: int | None, done: int = 0) -> None:
        rich = importlib.import_module("rich.progress")
        console = importlib.import_module("rich.console").Console(file=stream, highlight=False, markup=False)
        columns = (
            rich.BarColumn(None),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.description}", markup=False),
        )
        self._bar: Any = rich.Progress(*columns, console=console, expand=True, refresh_per_second=4)
        self._task: Any = self._bar.add_task("", total=total, completed=done)

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def show(self, done: int, text: str) -> None:
        """Draw it as far, with a text behind it."""
        self._bar.update(self._task, completed=done, description=text)

    def print(self, line: str) -> None:
        """A line that stays."""
        self._bar.console.print(line)
