"""How a training went, as figures show it: a series of numbers for each thing that its history tells."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from .. import arguments
from ..errors import CheckpointError, DataError
from ..interop import safetensors
from . import snapshot
from .config import Config
from .folder import LAST
from .history import History
from .steps import SATURATED, best_of, read_log, rows

PER = "bits per "

_COLUMNS = {
    "loss": ("loss", "bits_per_character", "bits_per_word"),
    "held out": ("validation_loss", "held_out_bits_per_character", "held_out_bits_per_word"),
    "norm": ("norm", "gradient_norm"),
    "rate": ("rate", "learning_rate"),
    "horizon": ("horizon",),
}
"""Where a history of :func:`fit`, or that of a run, has what a figure shows."""

_ELSEWHERE = {"step", "epoch", "seconds"}


@dataclasses.dataclass(frozen=True)
class Series:
    """Numbers over steps.

    Attributes:
        steps, values: (N,) each; a value may be NaN or infinite.
    """

    steps: numpy.ndarray
    values: numpy.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def finite(self) -> Series:
        """Without what is no number."""
        kept = numpy.isfinite(self.values)
        return Series(self.steps[kept], self.values[kept])

    def thinned(self, most: int = 2000) -> Series:
        """About so many of them: of each stretch the first of the least and of the largest, and, if there is
        one, the first that is no number."""
        count = len(self)
        if count <= most:
            return self
        ends = numpy.linspace(0, count, most // 2 + 1).astype(int)
        kept = {0, count - 1}
        for first, end in itertools.pairwise(ends):
            stretch = self.values[first:end]
            finite = numpy.isfinite(stretch)
            if not finite.all():
                kept.add(first + int(numpy.argmin(finite)))
            if finite.any():
                kept.add(first + int(numpy.argmin(numpy.where(finite, stretch, numpy.inf))))
                kept.add(first + int(numpy.argmax(numpy.where(finite, stretch, -numpy.inf))))
        places = sorted(kept)
        return Series(self.steps[places], self.values[places])

    def smoothed(self, width: int) -> Series:
        """For each the mean of so many around it, at the ends of fewer; of those that are numbers."""
        finite = numpy.isfinite(self.values)
        sums, counts = (
            numpy.concatenate([[0.0], numpy.cumsum(values)])
            for values in (numpy.where(finite, self.values, 0.0), finite)
        )
        middle = numpy.arange(len(self))
        first, end = numpy.maximum(middle - width // 2, 0), numpy.minimum(middle + width // 2 + 1, len(self))
        with numpy.errstate(invalid="ignore"):
            means = (sums[end] - sums[first]) / (counts[end] - counts[first])
        return Series(self.steps, numpy.where(finite, means, numpy.nan))


@dataclasses.dataclass(frozen=True)
class Course:
    """How one training went.

    Attributes:
        name: what it is called.
        unit: of the loss: "loss", "bits per character" or "bits per word".
        series: by what they tell: "loss", "held out", "norm", "rate", "horizon".
        gates: the share of saturated slopes, by gate.
        metrics: other columns, by name.
        best: the step of the model that was kept, and its loss on what was held out; None where there is
            none.
        clip: the largest norm that a gradient kept.
        blind: the loss of who knows only how often each token stands in the text.
        looked: how many steps back a look at the horizon goes.
        characters: how many a token has in the mean.
        text: a word that another text would not have.
        model: what was trained, in a few words.
    """

    name: str
    unit: str
    series: Mapping[str, Series]
    gates: Mapping[str, Series]
    metrics: Mapping[str, Series]
    best: tuple[int, float] | None = None
    clip: float | None = None
    blind: float | None = None
    looked: int | None = None
    characters: float = 1.0
    text: str | None = None
    model: str = ""

    @property
    def last(self) -> int:
        """The step it came to."""
        return int(max(series.steps[-1] for series in self.series.values()))

    def by_character(self) -> Course:
        """The same in bits per character, where it is told in bits per word."""
        if self.unit != f"{PER}word":
            return self
        size = self.characters
        told = {
            name: Series(one.steps, one.values / size) if name in ("loss", "held out") else one
            for name, one in self.series.items()
        }
        return dataclasses.replace(
            self,
            unit=f"{PER}character",
            series=told,
            best=None if self.best is None else (self.best[0], self.best[1] / size),
            blind=None if self.blind is None else self.blind / size,
        )


def course_of(training: History | str | os.PathLike[str], name: str | None = None) -> Course:
    """A training by its history, or by its folder.

    Args:
        training: what :func:`fit` returned; or the folder of it, or of ``tinygrad-rnn train``.
        name: what it is called; by default as its folder.

    Raises:
        CheckpointError: the folder holds no training.
        DataError: it has told nothing yet.
    """
    if isinstance(training, History):
        return _of_history(training, "training" if name is None else name)
    path = Path(arguments.path("dashboard: training", training))
    name = path.resolve().name if name is None else name
    saved = safetensors.load(path / LAST)
    if saved.metadata.get("kind") != snapshot.KIND:
        history = History()
        try:
            history.load_state_dict(saved.part("fit")["history"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{path / LAST} is no whole checkpoint of a training: {error!r}") from error
        return _of_history(history, name)
    config, steps = Config.from_json(saved.metadata.get("config", "")), read_log(path)
    best = best_of(steps)
    history = History(rows(steps, config.unit), None if best is None else steps.index(best))
    layers = f" in {config.layers} layers" if config.layers > 1 else ""
    return dataclasses.replace(
        _of_history(history, name),
        clip=config.clip,
        blind=snapshot.blind_of(saved),
        model=f"{config.cell} with {config.hidden} units{layers}",
        looked=config.length - 1,
        characters=snapshot.characters_of(saved),
        text=f"{saved.metadata.get('text')}, {config.held_out}",
    )


def _of_history(history: History, name: str) -> Course:
    if not history.rows:
        raise DataError(f"dashboard: {name} has told nothing yet: train it up to its first evaluation")
    columns = list(dict.fromkeys(key for row in history.rows for key in row))
    found = {what: next((c for c in names if c in columns), None) for what, names in _COLUMNS.items()}
    series = {what: _series(history, column) for what, column in found.items() if column is not None}
    series = {what: one for what, one in series.items() if len(one)}
    if "loss" not in series and "held out" not in series:
        raise DataError(f"dashboard: {name} tells of no loss: its columns are {', '.join(columns)}")
    gates = [column for column in columns if column.startswith(SATURATED)]
    others = [
        c for c in columns if c not in _ELSEWHERE and c not in found.values() and not c.startswith(SATURATED)
    ]
    metrics = {column: one for column in others if len(one := _series(history, column))}
    unit = (
        (found["loss"] or found["held out"] or "loss").removeprefix("held_out_").removeprefix("validation_")
    )
    return Course(
        name,
        unit.replace("_", " "),
        series,
        {gate.removeprefix(SATURATED): _series(history, gate) for gate in gates},
        metrics,
        _best(history, found["held out"]),
        history.clip,
    )


def _best(history: History, column: str | None) -> tuple[int, float] | None:
    """The step of the model that was kept, and its loss on what was held out."""
    if column is None or not history.has_best:
        return None
    row = history.best
    return int(row.get("step", history.rows.index(row) + 1)), float(row.get(column, numpy.nan))


def _series(history: History, column: str) -> Series:
    """A column where it is told, and is a number, at steps that are finite."""
    told = [
        (_float(row.get("step", i)), _float(row[column]))
        for i, row in enumerate(history.rows, 1)
        if isinstance(row.get(column), (int, float, numpy.number))
    ]
    told = [(step, value) for step, value in told if numpy.isfinite(step)]
    steps, values = zip(*told, strict=True) if told else ((), ())
    return Series(numpy.array(steps, float), numpy.array(values, float))


def _float(x: Any) -> float:
    """A number; infinity for a whole number that no float reaches."""
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf
