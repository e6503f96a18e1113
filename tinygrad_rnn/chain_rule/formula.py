"""The rule table as text. Rules are run on symbols and say what they do; where that would say little, as of a
routing, the row has words (``says``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .row import Row


class _Symbol:
    """A formula; arithmetic on it writes a longer one."""

    dtype = "dtype"

    def __init__(self, text: str, binds: int = 9) -> None:
        self.text, self.binds = text, binds

    def _join(self, symbol: str, other: Any, binds: int, swapped: bool = False) -> _Symbol:
        left, right = (_symbol(other), self) if swapped else (self, _symbol(other))
        return _Symbol(f"{left._inside(binds)} {symbol} {right._inside(binds + (symbol in '−/'))}", binds)

    def _inside(self, binds: int) -> str:
        return f"({self.text})" if self.binds < binds else self.text

    def __add__(self, other: Any) -> _Symbol:
        return self._join("+", other, 1)

    def __radd__(self, other: Any) -> _Symbol:
        return self._join("+", other, 1, swapped=True)

    def __sub__(self, other: Any) -> _Symbol:
        return self._join("−", other, 1)

    def __rsub__(self, other: Any) -> _Symbol:
        return self._join("−", other, 1, swapped=True)

    def __mul__(self, other: Any) -> _Symbol:
        other = _symbol(other)
        if self.text == other.text:
            return _Symbol(f"{self._inside(5)}²", 5)
        return self._join("·", other, 3)

    def __rmul__(self, other: Any) -> _Symbol:
        return self._join("·", other, 3, swapped=True)

    def __truediv__(self, other: Any) -> _Symbol:
        return self._join("/", other, 3)

    def __neg__(self) -> _Symbol:
        return _Symbol(f"−{self._inside(3)}", 2)

    def __gt__(self, other: Any) -> _Symbol:
        return _Symbol(f"{self.text} > {_symbol(other).text}", 0)

    def __eq__(self, other: object) -> Any:
        return _Symbol(f"{self.text} = {_symbol(other).text}", 0)

    __hash__ = None  # type: ignore[assignment]


def _symbol(value: Any) -> _Symbol:
    if isinstance(value, _Symbol):
        return value
    return _Symbol(f"{value:.4g}" if isinstance(value, float) else str(value))


class _Names:
    """The namespace that writes each call down."""

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> _Symbol:
            return _Symbol(f"{name}({', '.join(_symbol(a).text for a in args)})")

        return call

    def reciprocal(self, x: Any) -> _Symbol:
        return _Symbol(f"1 / {_symbol(x)._inside(4)}", 3)

    def astype(self, x: Any, dtype: Any) -> _Symbol:
        return _Symbol(f"[{_symbol(x).text}]")


def formulas(row: Row) -> list[str]:
    """The rule in symbols, a line for each operand: "dx = dy · (1 − y²)"."""
    if row.says:
        return [row.says]
    letters = "x" if len(row.parts) == 1 else "ab"
    operands = [_Symbol(letter) for letter in letters]
    residual, y = _Symbol("dy"), _Symbol("y")
    if row.case == "composition":
        sides = [
            residual * slope(_Names(), y, *operands, *_parameters(slope, operands)) for slope in row.parts
        ]
    else:
        sides = [side(_Names(), residual, y, *operands) for side in row.parts]
    return [f"d{letter} = {side.text}" for letter, side in zip(letters, sides, strict=True)]


def _parameters(slope: Any, operands: list[_Symbol]) -> list[_Symbol]:
    """What a slope takes beside np, y and the operands, by the names that it gives them."""
    code = slope.__code__
    return [_Symbol(name) for name in code.co_varnames[2 + len(operands) : code.co_argcount]]


def table(rows: Iterable[Row]) -> str:
    """The rows as a text table, by case; what is elementwise with the largest error that it has in code."""
    lines = [("case", "operation", "in pictures", "error", "residual")]
    for row in rows:
        error = f"{row.lowering.ulp:g} ulp" if row.lowering else ""
        lines.append((row.case, row.name, row.symbol, error.replace("0.5", "½"), "; ".join(formulas(row))))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    padded = [[part.ljust(width) for part, width in zip(line, widths, strict=False)] for line in lines]
    return "\n".join("  ".join([*parts, line[4]]) for parts, line in zip(padded, lines, strict=True))
