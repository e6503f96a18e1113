"""What a training run shows while it runs: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any, TextIO

from .config import Config
from .loop import Step

LINES = 20
"""About how many lines a whole run prints where there is no terminal."""


class Progress:
    """Plain lines; as a block.

    Args:
        config: the settings of the run.
        done: how many steps were done before.
        stream: where to write.
    """

    def __init__(self, config: Config, done: int, stream: TextIO) -> None:
        self.config, self.first, self.stream = config, done, stream
        self.begin = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def show(self, step: Step) -> None:
        """Tell about a step."""
        if step.held_out is not None or step.number % max(1, self.config.steps // LINES) == 0:
            print(f"step {step.number}/{self.config.steps}  {self.numbers(step, step.held_out)}", file=self.stream, flush=True)

    def numbers(self, step: Step, held_out: float | None) -> str:
        measured = "" if held_out is None else f"held out {held_out:.3f}  "
        return f"{step.bits:.3f} bits/char  {measured}gradient {step.norm:.2f}  {self.speed(step):,.0f} tokens/s  {self.time_left(step)}"

    def speed(self, step: Step) -> float:
        """Characters read per second since the start of this process."""
        return (step.number - self.first) * self.config.batch * self.config.length / (time.monotonic() - self.begin)

    def time_left(self, step: Step) -> str:
        seconds = (self.config.steps - step.number) * (time.monotonic() - self.begin) / (step.number - self.first)
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"


class Bar(Progress):
    """One line that is drawn again and again."""

    def __init__(self, config: Config, done: int, stream: TextIO) -> None:
        super().__init__(config, done, stream)
        self.held_out: float | None = None
        progress = importlib.import_module("rich.progress")
        console = importlib.import_module("rich.console").Console(file=stream)
        columns = (progress.BarColumn(None), progress.TextColumn("{task.completed}/{task.total}  {task.description}", markup=False))
        self.bar = progress.Progress(*columns, console=console, expand=True, refresh_per_second=4)
        self.task = self.bar.add_task("", total=config.steps, completed=done)

    def __enter__(self) -> Bar:
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def show(self, step: Step) -> None:
        self.held_out = self.held_out if step.held_out is None else step.held_out
        self.bar.update(self.task, completed=step.number, description=self.numbers(step, self.held_out))


def progress(config: Config, done: int, stream: Any = None) -> Progress:
    """A bar if the stream is a terminal and the package rich is there, else lines."""
    stream = stream or sys.stdout
    if stream.isatty():
        try:
            return Bar(config, done, stream)
        except ImportError:
            pass
    return Progress(config, done, stream)
