"""What ``tinygrad-rnn train`` shows while it runs: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

from .bar import Bar
from .config import Config
from .steps import Step

LINES = 15
"""About how many lines a whole run prints where there is no terminal."""


class Progress:
    """Plain lines; as a block.

    Args:
        config: the settings of the run.
        done: how many steps were done before.
        stream: where to write.
    """

    def __init__(self, config: Config, done: int, stream: TextIO) -> None:
        self.config = config
        self.first = done
        self.stream = stream
        self.begin: float = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, step: Step) -> None:
        """Tell about a step."""
        if step.held_out is not None or step.number % max(1, self.config.steps // LINES) == 0:
            print(
                f"step {step.number}/{self.config.steps}  {self._losses(step)}  gradient {step.norm:.2f}  "
                f"{self._pace(step)}",
                file=self.stream,
                flush=True,
            )

    def _losses(self, step: Step) -> str:
        held_out = "" if step.held_out is None else f"  held out {step.held_out:.3f}"
        return f"{step.bits:.3f} bits/{self.config.unit}{held_out}"

    def _pace(self, step: Step) -> str:
        """How it goes: how far back residuals reach, the speed since this process began, and the time that
        the rest takes."""
        steps, seconds = step.number - self.first, time.monotonic() - self.begin
        speed = steps * self.config.batch * self.config.length / seconds
        left = _clock((self.config.steps - step.number) * seconds / steps)
        return f"{self._horizon(step)}{speed:,.0f} tokens/s  {left} left"

    def _horizon(self, step: Step) -> str:
        if step.horizon is None:
            return ""
        further = "≥ " if step.horizon == self.config.length - 1 else ""
        return f"horizon {further}{step.horizon} step{'s' * (step.horizon != 1)}  "


class ProgressBar(Progress):
    """A bar, and a lasting line above it for each evaluation."""

    def __init__(self, config: Config, done: int, stream: TextIO) -> None:
        super().__init__(config, done, stream)
        self.bar: Bar = Bar(stream, config.steps, done)

    def __enter__(self) -> ProgressBar:
        self.bar.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.__exit__(*exception)

    def show(self, step: Step) -> None:
        if step.held_out is not None:
            self.bar.print(f"step {step.number}/{self.config.steps}  {self._losses(step)}")
        self.bar.show(step.number, f"{step.bits:.3f} bits/{self.config.unit}  {self._pace(step)}")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def progress(config: Config, done: int, stream: TextIO) -> Progress:
    """A bar if the stream is a terminal and the package rich is there, else lines."""
    if stream.isatty():
        try:
            return ProgressBar(config, done, stream)
        except ImportError:
            pass
    return Progress(config, done, stream)
