"""What each update of a run told, and the table of it that ``log.csv`` holds."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import CheckpointError
from .folder import LOG

HEADER = "step,bits_per_character,gradient_norm,learning_rate,held_out_bits_per_character,horizon,seconds"
SATURATED = "saturated "
"""How the columns of gates begin: there is one for each gate that a look at the residuals found."""


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
        saturated: for each gate the share of slopes below 0.01, in the updates where it was looked at.
    """

    number: int
    bits: float
    norm: float
    rate: float
    held_out: float | None = None
    horizon: int | None = None
    seconds: float | None = None
    saturated: Mapping[str, float] = dataclasses.field(default_factory=dict)


def best_of(steps: Iterable[Step]) -> Step | None:
    """The step whose model knew the held-out text best; None where it was not measured."""
    measured = [(step.held_out, i, step) for i, step in enumerate(steps) if step.held_out is not None]
    return min(measured)[-1] if measured else None


def table(steps: Sequence[Step], unit: str) -> str:
    """A head and a line for each step."""
    gates = gates_of(steps)
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow([*_names(unit), *(SATURATED + gate for gate in gates)])
    return head.getvalue() + "".join(f"{_row(step, gates)}\n" for step in steps)


def gates_of(steps: Iterable[Step]) -> list[str]:
    """The gates that were looked at, as they came up."""
    return list(dict.fromkeys(gate for step in steps for gate in step.saturated))


def rows(steps: Iterable[Step], unit: str) -> list[dict[str, float]]:
    """The same as dicts, without what was not measured."""
    names = _names(unit)
    told = []
    for step in steps:
        *values, saturated = vars(step).values()
        row = {name: float(v) for name, v in zip(names, values, strict=True) if v is not None}
        told.append({**row, **{SATURATED + gate: share for gate, share in saturated.items()}})
    return told


def _names(unit: str) -> list[str]:
    return HEADER.replace("character", unit).split(",")


def read_log(run: Path) -> list[Step]:
    """What every update of a run told.

    Raises:
        CheckpointError: there is no log, or it is damaged.
    """
    try:
        head, *lines = csv.reader(io.StringIO((run / LOG).read_text(encoding="utf-8")))
        gates = [name.removeprefix(SATURATED) for name in head[len(_names("")) :]]
        return [_step(line, gates) for line in lines]
    except (OSError, ValueError, csv.Error) as error:
        raise CheckpointError(f"cannot read the log of the run {run}: {error}") from error


def _row(step: Step, gates: Sequence[str]) -> str:
    held_out = "" if step.held_out is None else repr(step.held_out)  # all digits: it decides what is best
    horizon = "" if step.horizon is None else step.horizon
    seconds = "" if step.seconds is None else f"{step.seconds:.3f}"
    row = f"{step.number},{step.bits:.6g},{step.norm:.6g},{step.rate:.6g},{held_out},{horizon},{seconds}"
    if not step.saturated:
        return row + "," * len(gates)
    shares = (f"{step.saturated[gate]:.6g}" if gate in step.saturated else "" for gate in gates)
    return ",".join([row, *shares])


def _step(line: Sequence[str], gates: Sequence[str]) -> Step:
    number, bits, norm, rate, held_out, horizon, seconds, *shares = line
    return Step(
        int(number),
        float(bits),
        float(norm),
        float(rate),
        float(held_out) if held_out else None,
        int(horizon) if horizon else None,
        float(seconds) if seconds else None,
        {gate: float(share) for gate, share in zip(gates, shares, strict=True) if share},
    )
