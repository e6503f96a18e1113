"""The table of a tape: what each operation does, and the numbers of chosen units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import arguments
from ..reading.recording import Recording
from ..reading.words import table
from ..tables import html, latex
from ..tables.text import ends
from ..tape import Entry, Key, Node, key_of
from .equations import equations_of
from .rules import forward
from .symbols import Symbols
from .walk import Unit, number, walked

_HEAD = ("#", "tensor", "how it is made", "value", "residual", "unit", "shape", "case")
_SIDES = "><<>><<<"


@dataclass(frozen=True)
class Line:
    """One tensor of a tape.

    Attributes:
        place: which operation made it, counted from 0; None of what the tape begins with.
        name: what formulas call it.
        operation: the name of the row, or "leaf", or "constant" where no residual is asked for.
        case: the chain-rule case of the operation, or "".
        formula: how it is made.
        shape: of the tensor.
        unit: the index of the element whose numbers follow; None where the asked one lies beyond the shape.
        value: the element; None without a unit.
        residual: the derivative of the sum of all results by it; None where no residual arrives.
    """

    place: int | None
    name: str
    operation: str
    case: str
    formula: str
    shape: tuple[int, ...]
    unit: Unit | None
    value: float | None
    residual: float | None


class TapeTable(Sequence[Line]):
    r"""What :func:`tinygrad_rnn.table` returns: a sequence of lines, one for each tensor. ``print`` writes
    it as text, a notebook shows it, :meth:`latex` and :meth:`equations` are for papers. Of a long tape, text
    and notebook show both ends.

    >>> h = tg.tensor([0.5], requires_grad=True, name="h")
    >>> out = tg.tanh(h)
    >>> print(tg.table(out).equations())
    \begin{align}
      \mathit{out} &= \tanh(h) && \text{composition}
    \end{align}
    \begin{align}
      \delta_{\mathit{out}} &= 1 && \text{the result} \\
      \delta_{h} &= \delta_{\mathit{out}} \odot (1 - \mathit{out}^{2}) && \text{composition}
    \end{align}
    """

    def __init__(
        self, recording: Recording, symbols: Symbols, units: dict[Key, Unit | None], digits: int
    ) -> None:
        self._recording, self._symbols, self._digits = recording, symbols, digits
        self._units = units
        leaves = [x for x, _ in symbols.leaves.values()]
        self._residuals = walked(recording.tape, recording.results, leaves, units)
        lines = [self._of_leaf(x, array) for x, array in symbols.leaves.values()]
        for place, entry in enumerate(recording.tape):
            lines += self._of_entry(place, entry)
        self._lines: list[Line] = lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        return self._lines[index]

    def latex(self) -> str:
        """The table in LaTeX, with all lines, for a document that uses amsmath and longtable."""
        rows = []
        for line, key in zip(self, self._keys(), strict=True):
            made = line.operation if line.place is None else f"${self._made(line.place)}$"
            numbers = [latex.number(text) if text else "" for text in self._numbers(line)]
            name = self._symbols.by_key(key).latex
            place = "" if line.place is None else str(line.place)
            placed = map(latex.words, self._placed(line))
            rows.append([place, f"${name}$", made, *numbers, *placed, line.case])
        return latex.tabular(_HEAD, rows, "rllrrlll")

    def equations(self, shapes: bool = False) -> str:
        """Two ``align`` environments of amsmath: how the tensors are made, in order, and how the residuals δ
        go back, in order, each with its chain-rule case. What arrives at a tensor by a second way has a +=.

        Args:
            shapes: write the shape of each tensor beside its case.
        """
        shapes = arguments.flag("equations: shapes", shapes)
        return equations_of(self._recording, self._symbols, self._residuals, shapes)

    def __str__(self) -> str:
        rows = [self._cells(line) for line in self]
        first, last, between = ends(rows, html.LINES)
        lines = table([_HEAD, *first, *last], _SIDES)
        if between:
            lines.insert(1 + len(first), f"  {between}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for line in self:
            cells = self._cells(line)
            rows.append([*cells[:-1], html.chip(line.case)])
        return html.block(html.table(_HEAD, rows, _SIDES))

    # -- lines -----------------------------------------------------------------------------------------------

    def _of_leaf(self, x: Node, array: Any) -> Line:
        kind = "leaf" if x.requires_grad else "constant"
        return self._line(x, array, None, (kind, "", kind))

    def _of_entry(self, place: int, entry: Entry) -> list[Line]:
        made = entry.row.name, entry.row.case, forward(entry, self._symbols).text()
        return [self._line(y, array, place, made) for y, array in zip(entry.results(), entry.ys, strict=True)]

    def _line(self, x: Node, array: Any, place: int | None, made: tuple[str, str, str]) -> Line:
        """``made`` by which operation, of which case, by which formula."""
        key = key_of(x)
        unit = self._units[key]
        value = None if unit is None else number(array, unit, x._backend)
        name, shape = self._symbols.of(x).text, tuple(array.shape)
        residual = self._residuals.get(key)
        return Line(place, name, *made, shape, unit, value, residual)

    # -- cells -----------------------------------------------------------------------------------------------

    def _cells(self, line: Line) -> list[str]:
        place = "" if line.place is None else str(line.place)
        return [place, line.name, line.formula, *self._numbers(line), *self._placed(line), line.case]

    def _placed(self, line: Line) -> list[str]:
        return ["" if line.unit is None else str(list(line.unit)), str(line.shape)]

    def _numbers(self, line: Line) -> list[str]:
        return ["" if x is None else _digits(x, self._digits) for x in (line.value, line.residual)]

    def _keys(self) -> list[Key]:
        made = [key_of(y) for entry in self._recording.tape for y in entry.results()]
        return [*self._symbols.leaves, *made]

    def _made(self, place: int) -> str:
        return forward(self._recording.tape[place], self._symbols).latex()


def _digits(x: float, digits: int) -> str:
    """So many significant digits."""
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else "inf" if x > 0 else "−inf"
    return f"{x:.{digits}g}".replace("-", "−")
