"""How pictures, tables and sentences say things: numbers, gains, operations, the user's text, lines of a
table."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from ..chain_rule.formula import result
from ..tables.text import printable as printable
from ..tape import Entry

_SUPERSCRIPTS = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def gain_label(gain: float, same_shape: bool = True) -> str:
    """A gain as an edge shows it; only what is 1 in truth is written ``×1``."""
    if not math.isfinite(gain):
        return "NaN" if math.isnan(gain) else "inf"
    if same_shape and abs(gain - 1) < 5e-7:
        return "×1"
    text = formatted(gain, 3)
    return "≈×1" if text == "1" else f"×{text}"


def formatted(value: float, digits: int) -> str:
    """A size with so many significant digits, or as a power of ten where it would be long."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf"
    if value == 0 or 0.01 <= value < 1000:
        return f"{float(f'{value:.{digits}g}'):g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def percent(share: float) -> str:
    """``91 %``; "<1 %" and ">99 %" for what is not quite 0 or 100. Of something infinite no share is
    known."""
    if not math.isfinite(share):
        return "an unknown part"
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1 - 1e-9:
        return ">99 %"
    return f"{100 * share:.0f} %"


def symbol_of(entry: Entry) -> str:
    """The row's symbol."""
    return _with_exponent(entry.row.symbol, entry)


def title_of(entry: Entry) -> str:
    """The row's symbol and its name: ``σ (sigmoid)``, or ``tanh`` where they are the same."""
    return _with_exponent(entry.row.title, entry)


def formula_of(entry: Entry) -> str:
    """The result y by its operands, in the letters that the rule uses."""
    formula = result(entry.row.name, entry.row.formula, len(entry.inputs))
    return f"y = {_with_exponent(formula, entry)}"


def _with_exponent(text: str, entry: Entry) -> str:
    """Where the text has an n, an integer in its place."""
    if "ⁿ" in text and isinstance(entry.params[0], int):
        return text.replace("ⁿ", str(entry.params[0]).replace("-", "−").translate(_SUPERSCRIPTS))
    return text


def plain(text: str, limit: int = 28) -> str:
    """The user's text as any label shows it, before it is written down in some language."""
    return short(printable(text), limit)


def short(text: str, limit: int) -> str:
    """At most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def table(lines: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Lines of columns, each flush to its side: ``<`` or ``>``."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def distinct(names: Sequence[str], between: str = " ") -> list[str]:
    """The same names, numbered where one occurs more than once."""
    counts, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name}{between}{seen[name]}" if counts[name] > 1 else name)
    return numbered


def stem(name: str) -> str:
    """A name without its time."""
    return re.sub(r"[\[(].*$|[′']+$", "", name).strip()
