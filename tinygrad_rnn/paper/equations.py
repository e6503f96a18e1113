"""A tape as equations in LaTeX: forwards, then back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..reading.recording import Recording
from ..tables import latex
from ..tape import Entry, Key, Node, key_of
from .rules import backward, forward
from .symbols import Symbols

_BROAD = 30
"""Characters of a line, beside which its case stands."""

_PAGE = 20
"""Lines that can be kept together."""


def equations_of(recording: Recording, symbols: Symbols, reached: Mapping[Key, Any], shapes: bool) -> str:
    """Both ``align`` environments.

    Args:
        reached: the keys of tensors that a residual arrives at.
        shapes: with the shapes of results.
    """
    there = [_forward(entry, symbols, shapes) for entry in recording.tape]
    seen: set[Key] = set()
    back = []
    for y in recording.results:
        if y.entry is not None and key_of(y) not in seen:
            seen.add(key_of(y))
            back.append(_equation(symbols.of(y).residual.latex, "=", "1", "the result"))
    for entry in recording.tape.backwards():
        if any((entry.index, position) in reached for position in range(len(entry.ys))):
            back += _backward(entry, symbols, reached, seen)
    return "\n".join([_align(there), _align(back)])


def _forward(entry: Entry, symbols: Symbols, shapes: bool) -> str:
    names = ", ".join(symbols.of(y).latex for y in entry.results())
    remark: str = entry.row.case
    if shapes:
        remark += f" {', '.join(dict.fromkeys(str(tuple(y.shape)) for y in entry.ys))}"
    return _equation(names, "=", forward(entry, symbols).latex(), remark)


def _backward(entry: Entry, symbols: Symbols, reached: Mapping[Key, Any], seen: set[Key]) -> list[str]:
    lines = []
    for operand, (x, needed) in enumerate(zip(entry.inputs, entry.needs, strict=True)):
        if not needed or not isinstance(x, Node) or key_of(x) not in reached:
            continue
        rule, remark = backward(entry, operand, symbols)
        sign = r"\mathrel{+}=" if key_of(x) in seen else "="
        seen.add(key_of(x))
        words = f"{entry.row.case}: {remark}" if remark else entry.row.case
        lines.append(_equation(symbols.of(x).residual.latex, sign, rule.latex(), words))
    return lines


def _equation(left: str, sign: str, right: str, remark: str) -> str:
    first, *others = _lines(right)
    told = rf"&& \text{{{latex.words(remark)}}}"
    return " \\\\\n".join([rf"  {left} &{sign} {first} {told}", *(rf"  &\quad {line}" for line in others)])


def _lines(formula: str) -> list[str]:
    """A formula in lines that fit a page: cut after commas, and before signs, outside of all braces."""
    lines: list[str] = []
    line, depth = "", 0
    for part in re.split(r"(?<=, )|(?= (?:[+-]|\\odot|\\cdot) )", formula):
        if line and depth == 0 and latex.characters(line + part) > _BROAD:
            lines, line = [*lines, line.strip()], ""
        line += part
        bare = re.sub(r"\\[{}]", "", part)
        depth += bare.count("{") - bare.count("}")
    return [*lines, line.strip()]


def _align(lines: list[str]) -> str:
    """What is longer than a page goes on on the next one."""
    rows = "\n".join([r"\begin{align}", " \\\\\n".join(lines), r"\end{align}"])
    if rows.count("\n") <= _PAGE:
        return rows
    return "\n".join([r"\begingroup\allowdisplaybreaks", rows, r"\endgroup"])
