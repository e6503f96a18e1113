"""Units that no residual gets through: saturated gates, dead units, and where the first value that is not
finite was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ..errors import FlowError
from ..reading.chain import Chain
from ..reading.measured import Pass
from ..reading.words import percent, symbol_of
from ..tape import Entry, Node, Tape
from ..user_code import Line
from .anomaly import made_here, message

FLAT = 0.01
"""A slope below this counts as saturated."""

_BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@dataclass(frozen=True)
class Activation:
    """The slopes of one activation over all steps and samples.

    Attributes:
        chain: the name of its chain; None outside of time steps.
        name: the user's name for its result, or its symbol.
        operation: the row's name.
        labels: the steps.
        flat: for each step the share of slopes below 0.01.
        dead: the units, along the last axis, whose slope is 0 at every step in every sample.
        units: how many there are.
        entries: its operations, one for each step.
    """

    chain: str | None
    name: str
    operation: str
    labels: list[Any]
    flat: numpy.ndarray
    dead: list[int]
    units: int
    entries: list[Entry]

    @property
    def full_name(self) -> str:
        """Its name with that of its chain: "layer 2 f"."""
        return f"{self.chain or ''} {self.name}".strip()

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Between what its values lie: 0 and 1 for a gate; None where they have no bounds."""
        return _BOUNDS.get(self.operation)

    def histogram(self, bins: int) -> numpy.ndarray:
        """Which share of its values, over all steps, samples and units, lies in each of so many equal parts
        between its bounds.

        Raises:
            FlowError: it has none.
        """
        if self.bounds is None:
            raise FlowError(
                f"flow: the values of {self.operation} have no bounds between which to count them"
            )
        counts, values = numpy.zeros(bins), 0
        for entry in self.entries:
            y = entry.backend.to_host(entry.backend.asarray(entry.y))
            counts += numpy.histogram(y, bins, self.bounds)[0]
            values += y.size
        return counts / max(1, values)

    @property
    def saturated(self) -> float:
        """The share of slopes below 0.01 over all steps."""
        return float(self.flat.mean()) if self.flat.size else 0.0

    def __str__(self) -> str:
        text = f"{self.full_name}: {percent(self.saturated)} saturated"
        if self.flat.size > 1 and self.saturated:
            worst = int(self.flat.argmax())
            text += f", most at step {self.labels[worst]} ({percent(float(self.flat[worst]))})"
        return text + (f"; {len(self.dead)} of {self.units} units dead" if self.dead else "")


def activations(tape: Tape, chains: Sequence[Chain], name_of: Callable[[Node], str]) -> Iterator[Activation]:
    """Every bounded or kinked elementwise function, one for all steps of a chain."""
    inside: set[int] = set()
    for chain in chains:
        groups: dict[tuple[int, str], list[tuple[Any, Entry]]] = {}
        for label, entries in zip(chain.labels, chain.entries, strict=True):
            inside.update(entry.index for entry in entries)
            for offset, entry in enumerate(entry for entry in entries if entry.row.flattens):
                groups.setdefault((offset, entry.row.name), []).append((label, entry))
        for members in groups.values():
            yield _activation(
                chain.name, [label for label, _ in members], [entry for _, entry in members], name_of
            )
    for entry in tape:
        if entry.index not in inside and entry.row.flattens:
            yield _activation(None, [None], [entry], name_of)


def _activation(
    chain: str | None, labels: list[Any], entries: list[Entry], name_of: Callable[[Node], str]
) -> Activation:
    flat = numpy.zeros(len(entries))
    alive: Any = None
    for i, entry in enumerate(entries):
        slopes = numpy.atleast_1d(entry.backend.to_host(entry.backend.asarray(_slopes(entry))))
        flat[i] = numpy.mean(numpy.abs(slopes) < FLAT) if slopes.size else 0.0
        units = numpy.any(slopes != 0, axis=tuple(range(slopes.ndim - 1)))
        alive = units if alive is None or alive.shape != units.shape else alive | units
    operand = next(name_of(x) for x in entries[0].inputs if isinstance(x, Node))
    name = name_of(entries[0].results()[0]) or symbol_of(entries[0]) + (f"({operand})" if operand else "")
    return Activation(
        chain,
        name,
        entries[0].row.name,
        labels,
        flat,
        numpy.flatnonzero(~alive).tolist(),
        len(alive),
        entries,
    )


def _slopes(entry: Entry) -> Any:
    """The slopes: what a residual of ones becomes on its way to the first operand that needs one."""
    first = list(entry.needs).index(True)
    needs = [i == first for i in range(len(entry.needs))]
    with entry.backend.quiet():
        return entry.row.pull(
            entry.backend, entry.backend.ones_like(entry.y), entry.y, entry.xs, entry.params, needs
        )[first]


def first_not_finite(tape: Tape, runs: Sequence[Pass], line_of: Callable[[Entry], Line | None]) -> str | None:
    """Which operation made the first value that is not finite, forward or else in one of the backward passes;
    None if all are finite.

    Args:
        line_of: the line of the user's code that recorded an entry, if it is known.
    """
    for entry in tape:
        if made_here(entry.backend, [*entry.xs, *entry.params], entry.ys):
            return message("forward", entry, line_of(entry))
    for run in runs:
        broken = ~numpy.isfinite(run.sent)
        if broken.any():
            entry = run.entries[run.operands[int(broken.argmax()), 0]]
            return message("backward", entry, line_of(entry))
    return None
