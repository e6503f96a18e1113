"""What a diagnosis says of one operation, and of one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..reading.words import percent, symbol_of
from ..tape import Entry
from .paths import Path, StepPaths
from .track import Track


@dataclass(frozen=True)
class Operation:
    """One operation that a residual reached.

    Attributes:
        entry: its place on the tape.
        chain, step: where in time it is: the name of its chain and the step's label; None outside of time
            steps.
        name: the user's name for its result, or "".
        received: the norm of the residual that arrived.
        sent: for each operand that a residual goes on to, the norm of that.
    """

    entry: Entry
    chain: str | None
    step: Any
    name: str
    received: float
    sent: dict[int, float]

    @property
    def case(self) -> str:
        return self.entry.row.case

    @property
    def symbol(self) -> str:
        return symbol_of(self.entry)

    @property
    def gains(self) -> dict[int, float]:
        """For each operand what goes on to it over what arrived."""
        return {i: norm / self.received if self.received else 0.0 for i, norm in self.sent.items()}


@dataclass(frozen=True)
class Statement:
    """What becomes of the residual from one step to the one before; ``str`` says it.

    Attributes:
        track: the chain.
        step: the step, in recorded order.
        path: the way by which most gets through: what is lost on it is lost on all. None if there is no way.
        paths: all ways.
    """

    track: Track
    step: int
    path: Path | None
    paths: StepPaths

    @property
    def gain(self) -> float:
        """What the whole step passes back over what it received."""
        return float(self.track.gains[self.step])

    def __str__(self) -> str:
        labels = self.track.chain.labels
        before = labels[self.step - 1] if self.step else "start"
        where = f"{self.track.name}, " if self.track.name else ""
        text = f"{where}step {labels[self.step]} → {before}"
        if self.path is None:
            return f"{text}: ×0, since no operation leads from it to the step before"
        share = percent(self.path.share)
        return f"{text}, {self.path.name}: {self.path.product}; carries {share} of the residual"
