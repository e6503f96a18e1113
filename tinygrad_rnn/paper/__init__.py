"""A tape as it is worked out on paper: ``tg.table(loss)``.

``symbols`` is what everything is called, ``rules`` what an operation does in these names, ``walk`` the
residuals of chosen units; ``tape_table`` is the table of it, ``equations`` its formulas.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from .. import arguments, tree
from ..cleanup import no_collection
from ..errors import ArgumentError, IndexRangeError, TapeError
from ..ops import Nest
from ..reading.recording import Recording
from ..tape import Key, Node
from .symbols import Symbols
from .tape_table import Line, TapeTable
from .walk import Unit, fitted

Units = Mapping[str, "int | tuple[int, ...]"] | int | tuple[int, ...]

_ALL = 17
"""No float has more significant digits."""

_NAMED = 12
"""So many names an error tells."""


def table(out: Nest, units: Units = (), digits: int = 4) -> TapeTable:
    """Every tensor that led to a result, with the value and the residual of one element of each: to compare
    with what was worked out by hand.

    Tensors are called as in :func:`tinygrad_rnn.draw`, in a time step with its label: ``c[1]``. The state
    before the first step is ``c[−1]``; what has no name is called by its place on the tape; and where the
    code calls a gate ``f`` both before and after its function, it is ``a_f`` before. Residuals come from a
    backward pass of its own, from 1 for every element of ``out``; no ``.grad`` is touched. Scans that ran
    compiled are shown operation by operation, as they ran.

    >>> w = tg.tensor([3.0, -1.0], requires_grad=True)
    >>> x = tg.tensor([2.0, 4.0])
    >>> loss = tg.sum((w * x) ** 2)
    >>> print(tg.table(loss, units=1))
    #  tensor  how it is made  value  residual  unit  shape  case
       w       leaf               −1       −32  [1]   (2,)
       x       constant            4            [1]   (2,)
    0  #0      w × x              −4        −8  [1]   (2,)   weighting
    1  #1      #0²                16         1  [1]   (2,)   composition
    2  loss    sum(#1)            52         1  []    ()     addition

    Args:
        out: a tensor, or several nested in any way.
        units: which element of each tensor: an index, as ``(sample, unit)``, of which tensors with fewer axes
            take the last ones; or a dictionary of indices by name, of a tensor or of one at all its steps.
            By default, and of what is not named, the first element.
        digits: how many significant digits text, notebook and LaTeX show.

    Raises:
        ArgumentError: no tensors, or a name that nothing on the tape has.
        IndexRangeError: a tensor that was named has no such element.
        TapeError: nothing was recorded, it was released, or a checkpoint cannot be run again as it ran: what
            it reads has changed.
    """
    outputs = tree.leaves(out)
    if not outputs or not all(isinstance(y, Node) for y in outputs):
        raise arguments.refused("table: out", "a tensor or several tensors", out)
    if isinstance(units, Mapping):
        by_name = {
            arguments.text("table: units", name): arguments.wholes("table: units", unit)
            for name, unit in units.items()
        }
        everywhere: Unit = ()
    else:
        by_name, everywhere = {}, arguments.wholes("table: units", units)
    digits = min(arguments.whole("table: digits", digits, 1), _ALL)
    if all(y.entry is None for y in outputs):
        raise TapeError(
            "table: nothing was recorded that leads here: use a tensor with requires_grad=True, and no "
            "no_grad around it"
        )
    with no_collection(), outputs[0]._backend.quiet():
        recording = Recording(outputs, [], sys._getframe(1))
        symbols = Symbols(recording)
        return TapeTable(recording, symbols, _chosen(symbols, everywhere, by_name), digits)


def _chosen(symbols: Symbols, everywhere: Unit, by_name: dict[str, Unit]) -> dict[Key, Unit | None]:
    """For each tensor the element to show."""
    shapes = symbols.shapes()
    chosen = {key: fitted(everywhere, shape) for key, shape in shapes.items()}
    for name, unit in by_name.items():
        keys = symbols.keys_of(name)
        if not keys:
            there = ", ".join(symbols.names()[:_NAMED])
            raise ArgumentError(
                f"table: units: no tensor on the tape is called {arguments.shown(name)}; there are {there}"
            )
        for key in keys:
            chosen[key] = fitted(unit, shapes[key])
            if chosen[key] is None:
                raise IndexRangeError(
                    f"table: units: {symbols.by_key(key).text} of shape {shapes[key]} has no element {unit}"
                )
    return chosen


__all__ = ["Line", "TapeTable", "table"]
