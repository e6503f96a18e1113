"""What a training told: a line for each evaluation."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy

from ..errors import ArgumentError
from ..tensor import Tensor


class History(Sequence[Mapping[str, Any]]):
    """What :func:`fit` returns: a line for each evaluation, as a dict; ``history["loss"]`` is a column.

    >>> history = tg.train.History([{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}], best=1)
    >>> history["loss"]
    array([0.5 , 0.25])
    >>> history.best["step"]
    20

    Attributes:
        rows: the lines.
        stopped: why it ended: "epochs", "steps", "patience", or "asked" or "paused" by a callback; "" while
            it goes on.
        clip: the largest norm that gradients kept; None for any.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, Any]] = (), best: int | None = None, stopped: str = ""
    ) -> None:
        self.rows: list[dict[str, Any]] = [dict(row) for row in rows]
        self.stopped: str = stopped
        self.clip: float | None = None
        self._best = best

    @property
    def best(self) -> dict[str, Any]:
        """The line of the model that was kept.

        Raises:
            ArgumentError: nothing was evaluated yet.
        """
        if self._best is None:
            raise ArgumentError(
                "history.best: no model was kept: there was no validation, or what decides was never a number"
            )
        return self.rows[self._best]

    @property
    def has_best(self) -> bool:
        """Whether a model was kept."""
        return self._best is not None

    def add(self, row: Mapping[str, Any], best: bool) -> None:
        """One more line."""
        self.rows.append(dict(row))
        self._best = len(self.rows) - 1 if best else self._best

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, key: Any) -> Any:
        """A line by its number, or a column by its name; NaN where a line lacks it."""
        if not isinstance(key, str):
            return self.rows[key]
        if not any(key in row for row in self.rows):
            names = ", ".join(map(repr, dict.fromkeys(name for row in self.rows for name in row)))
            raise ArgumentError(f"history: there is no column {key!r}: there are {names or 'none yet'}")
        values = [row.get(key, numpy.nan) for row in self.rows]
        if len({numpy.shape(value) for value in values}) > 1:  # tables that grew
            column = numpy.empty(len(values), object)
            column[:] = values
            return column
        return numpy.array(values)

    def to_csv(self) -> str:
        """As text, with a header."""
        names = list(dict.fromkeys(name for row in self.rows for name in row if _is_number(row[name])))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_shown(row.get(name)) for name in names] for row in self.rows)
        return text.getvalue()

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "best": self._best, "stopped": self.stopped, "clip": self.clip}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another history was."""
        self.rows = [{name: _plain(value) for name, value in row.items()} for row in state["rows"]]
        self._best, self.stopped = state["best"], state["stopped"]
        self.clip = state.get("clip")  # which older files do not say

    def __repr__(self) -> str:
        if not self.rows:
            return "<history: nothing evaluated yet>"
        best = "" if self._best is None else f", best {_line(self.best)}"
        return f"<history of {len(self)} evaluations{best}; last {_line(self.rows[-1])}>"


def _plain(value: Any) -> Any:
    """As a metric returned it: files have tensors for arrays."""
    return value.numpy() if isinstance(value, Tensor) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, numpy.number))


def _shown(value: Any) -> str:
    return "" if value is None or not _is_number(value) else f"{value:.9g}"


def _line(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in row.items() if _is_number(value))
