"""The rule table as text, as HTML and in LaTeX. Rules are run on symbols and say what they do; where that
would say little, as of a routing, the row has words (``says``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..tables import html

if TYPE_CHECKING:
    from .row import Row

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


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
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return _Symbol(text.replace("-", "−"), 2) if text.startswith("-") else _Symbol(text)


class _Names:
    """The namespace that writes each call down."""

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> _Symbol:
            return _Symbol(f"{name}({', '.join(_symbol(a).text for a in args)})")

        return call

    def matmul(self, a: Any, b: Any) -> _Symbol:
        return _symbol(a)._join("@", b, 3)

    def swapaxes(self, x: Any, one: int, other: int) -> _Symbol:
        return _Symbol(f"{_symbol(x)._inside(8)}ᵀ", 8)

    def raise_to(self, x: Any, exponent: Any) -> _Symbol:
        base = _symbol(x)._inside(8)
        if not isinstance(exponent, int):
            return _Symbol(f"{base}^({_symbol(exponent).text})", 5)
        return _Symbol(base if exponent == 1 else f"{base}{str(exponent).translate(_RAISED)}", 5)

    def reciprocal(self, x: Any) -> _Symbol:
        return _Symbol(f"1 / {_symbol(x)._inside(4)}", 3)

    def astype(self, x: Any, dtype: Any) -> _Symbol:
        return _Symbol(f"[{_symbol(x).text}]")


def letters_of(count: int) -> list[str]:
    """What rules call so many operands."""
    return ["x"] if count == 1 else ["a", "b"] if count == 2 else [f"x{i + 1}" for i in range(count)]


def result(name: str, formula: str, count: int) -> str:
    """What comes out of a row or a replay with so many operands: "a + b", "tanh(x)"."""
    return formula or f"{name}({', '.join(letters_of(count))})"


def residuals(row: Row, params: Sequence[Any] = ()) -> list[str]:
    """What goes on to each operand, "dy · (1 − y²)"; none where the row has only words for it. With a row's
    parameters, for these."""
    if row.says and not (row.parts and params):
        by_letter = re.findall(r"d\w = ([^;,]+)", row.says)
        named = re.findall(r"d(\w) = ", row.says)
        return [side for _, side in sorted(zip(map(str.lower, named), by_letter, strict=True))]
    operands = [_Symbol(letter) for letter in letters_of(len(row.parts))]
    residual, y = _Symbol("dy"), _Symbol("y")
    if row.case != "composition":
        return [side(_Names(), residual, y, *operands).text for side in row.parts]
    return [
        (residual * slope(_Names(), y, *operands, *(params or _parameters(slope, operands)))).text
        for slope in row.parts
    ]


def formulas(row: Row) -> list[str]:
    """The rule in symbols, a line for each operand: "dx = dy · (1 − y²)"."""
    if row.says:
        return [row.says]
    letters = letters_of(len(row.parts))
    return [f"d{letter} = {side}" for letter, side in zip(letters, residuals(row), strict=True)]


def _parameters(slope: Any, operands: list[_Symbol]) -> list[_Symbol]:
    """What a slope takes beside np, y and the operands, by the names that it gives them."""
    code = slope.__code__
    return [_Symbol(name) for name in code.co_varnames[2 + len(operands) : code.co_argcount]]


def _shown(row: Row) -> str:
    """The result as the table has it: an operation of any number of operands has some."""
    return f"{row.name}(x1, x2, …)" if row.variadic else result(row.name, row.formula, max(len(row.parts), 1))


def _error(row: Row) -> str:
    return f"{row.lowering.ulp:g} ulp".replace("0.5", "½") if row.lowering else ""


def table(rows: Iterable[Row]) -> str:
    """The rows as a text table, by case; what is elementwise with the largest error that it has in code."""
    lines = [("case", "operation", "in pictures", "error", "residual")]
    for row in rows:
        lines.append((row.case, row.name, row.symbol, _error(row), "; ".join(formulas(row))))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    padded = [[part.ljust(width) for part, width in zip(line, widths, strict=False)] for line in lines]
    return "\n".join("  ".join([*parts, line[4]]) for parts, line in zip(padded, lines, strict=True))


def html_table(rows: Iterable[Row]) -> str:
    """The same for notebooks, with what comes out of each operation."""
    head = ("operation", "case", "result y", "residual", "in pictures", "error")
    cells = [
        (row.name, html.chip(row.case), _shown(row), html.lines(formulas(row)), row.symbol, _error(row))
        for row in rows
    ]
    return html.block(html.table(head, cells, "<<<<<<", whole=True))


def latex_table(rows: Iterable[Row]) -> str:
    """The same in LaTeX, a line for each residual."""
    from ..tables import latex  # with the notation: few need them
    from .notation import as_latex

    cells = []
    for row in rows:
        first = [latex.words(row.name), row.case, f"$y = {as_latex(_shown(row))}$"]
        lines = [line for formula in formulas(row) for line in re.split(r"[;,] (?=d\w = )", formula)]
        for i, formula in enumerate(lines):
            residual = f"${as_latex(formula)}$" if "=" in formula else latex.words(formula)
            cells.append([*(first if i == 0 else ["", "", ""]), residual])
    return latex.tabular(("operation", "case", "result", "residual"), cells, "llll")
