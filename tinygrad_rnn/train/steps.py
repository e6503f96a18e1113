"""What each update of a run told, and the table of it that ``log.csv`` holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from ..errors import CheckpointError
from .folder import LOG

HEADER = "step,bits_per_character,gradient_norm,learning_rate,held_out_bits_per_character,horizon,seconds"


@dataclasses.dataclass(frozen=True)
class Step:
    """What one update tells.

    Attributes:
        number: how many updates were made, with this one.
        bits: the loss in bits per character, or per word, before the update.
        norm: the norm of the gradient, before clipping.
        rate: the learning rate.
        held_out: the loss on the held-out text after the update, where it was measured.
        horizon: how many steps back 1 % of the residual reaches, as it was looked at last.
        seconds: how long the run took so far.
    """

    number: int
    bits: float
    norm: float
    rate: float
    held_out: float | None = None
    horizon: int | None = None
    seconds: float | None = None


def best_of(steps: Iterable[Step]) -> Step | None:
    """The step whose model knew the held-out text best; None where it was not measured."""
    measured = [(step.held_out, i, step) for i, step in enumerate(steps) if step.held_out is not None]
    return min(measured)[-1] if measured else None


def table(steps: Iterable[Step], unit: str) -> str:
    """A head and a line for each step."""
    return "\n".join([_head(unit), *map(_row, steps)]) + "\n"


def rows(steps: Iterable[Step], unit: str) -> list[dict[str, float]]:
    """The same as dicts, without what was not measured."""
    names = _head(unit).split(",")
    return [
        {
            name: float(value)
            for name, value in zip(names, vars(step).values(), strict=True)
            if value is not None
        }
        for step in steps
    ]


def _head(unit: str) -> str:
    return HEADER.replace("character", unit)


def read_log(run: Path) -> list[Step]:
    """What every update of a run told.

    Raises:
        CheckpointError: there is no log, or it is damaged.
    """
    try:
        return [_step(row) for row in (run / LOG).read_text(encoding="utf-8").splitlines()[1:]]
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the log of the run {run}: {error}") from error


def _row(step: Step) -> str:
    held_out = "" if step.held_out is None else repr(step.held_out)  # all digits: it decides what is best
    horizon = "" if step.horizon is None else step.horizon
    seconds = "" if step.seconds is None else f"{step.seconds:.3f}"
    return f"{step.number},{step.bits:.6g},{step.norm:.6g},{step.rate:.6g},{held_out},{horizon},{seconds}"


def _step(row: str) -> Step:
    number, bits, norm, rate, held_out, horizon, seconds = row.split(",")
    return Step(
        int(number),
        float(bits),
        float(norm),
        float(rate),
        float(held_out) if held_out else None,
        int(horizon) if horizon else None,
        float(seconds) if seconds else None,
    )
