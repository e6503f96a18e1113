"""Text, names and tables in LaTeX. Documents need amsmath, and for long tables longtable; names in scripts of
which the document's font has no letters need XeLaTeX or LuaLaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .text import printable

__COMMANDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", __COMMANDS.split(), strict=True))
"""Letters that have a command."""

_ESCAPED = {**{c: f"\\{c}" for c in "{}$&#%_"}, " ": r"\ "}
_IN_MATH = {
    **_ESCAPED,
    "\\": r"\backslash ",
    "^": r"\wedge ",
    "~": r"\sim ",
    "−": "-",
    "′": "'",
    "·": r"\cdot ",
    "…": r"\dots ",
}
_IN_TEXT = {
    **_ESCAPED, " ": " ", "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "∛": r"$\sqrt[3]{\cdot}$", "√": r"$\sqrt{\cdot}$",
    "×": r"$\times$", "·": r"$\cdot$", "½": r"$\frac{1}{2}$", "→": r"$\to$", "ᵀ": r"$^{\top}$",
    "Σ": r"$\Sigma$", "σ": r"$\sigma$", "…": r"\dots{}",
}  # fmt: skip

_PARTS = re.compile(r"([^\W\d_]+)(?:_([^\W_]+)|(\d+))?(?:\[(.+)\])?(['′]*)")
"""A letter or word, what stands below it, and its time."""

_LONG = 40
"""More lines than this do not fit a page."""

_BREADTH, _LETTER = 345, 5.2
"""Points of a line of LaTeX's ``article``, and of a letter."""

_SHORT, _WIDEST = 14, 30
"""Cells of up to so many characters stand in one line; and those of more than so many get no more room."""

_SMALLER = {"footnotesize": 4.1, "scriptsize": 3.6}
"""Sizes of type, and points of a letter in it."""

_CLOSE = "\n".join(
    [
        r"\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{1.25}",
        r"\def\flushed{\raggedright\let\\\tabularnewline}",
    ]
)
"""Also with room for fractions, and cells of several lines."""


def words(text: str) -> str:
    """The text outside of formulas."""
    return "".join(_IN_TEXT.get(c, c) for c in printable(text))


def name(text: str) -> str:
    """A user's name inside of a formula: ``a_f`` with an index below, ``sigma`` as the letter."""
    text = printable(text)
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return rf"\mathit{{{_in_math(text)}}}" if text else r"\cdot"
    stem, word, number, time, primes = parts.groups()
    below = [_word(part) for part in (word, number) if part] + ([_in_math(time)] if time else [])
    return _word(stem) + (f"_{{{','.join(below)}}}" if below else "") + "'" * len(primes)


def number(text: str) -> str:
    """A number as Python writes it."""
    mantissa, _, exponent = text.replace("−", "-").partition("e")
    return f"${mantissa} \\cdot 10^{{{int(exponent)}}}$" if exponent else f"${mantissa}$"


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]], columns: str) -> str:
    """Rows of cells, LaTeX already, under a head in words. ``columns`` has a letter for each, as LaTeX wants
    it. A table that is longer than a page repeats its head on each; one that is broader is set small, and
    its long cells in lines."""
    title = " & ".join(map(words, head)) + r" \\"
    sizes = [max(map(characters, column)) for column in zip(head, *rows, strict=True)]
    small = _LETTER * sum(sizes) + 12 * len(sizes) > _BREADTH
    command, kinds = _kinds(columns, sizes) if small else ("", list(columns))
    body = [
        " & ".join(_flushed(cell) if kind[0] == "p" else cell for cell, kind in zip(row, kinds, strict=True))
        + r" \\"
        for row in rows
    ]
    environment, ends = ("longtable", [r"\endhead"]) if len(rows) > _LONG else ("tabular", [])
    top = [rf"\begin{{{environment}}}{{{''.join(kinds)}}}", r"\hline", title, r"\hline", *ends]
    written = [*top, *body, r"\hline", rf"\end{{{environment}}}"]
    return "\n".join([rf"\begingroup\{command}", _CLOSE, *written, r"\endgroup"] if small else written)


def _kinds(columns: str, sizes: Sequence[int]) -> tuple[str, list[str]]:
    """How small a broad table is set, and its columns then: where it is too broad all the same, the long ones
    share what the others leave."""
    long = [size > _SHORT for size in sizes]
    wanted = [min(size, _WIDEST) for size in sizes]
    whole = sum(size for size, one in zip(wanted, long, strict=True) if one)
    narrow = sum(size for size in sizes if size <= _SHORT)
    for command, letter in _SMALLER.items():
        free = _BREADTH - 6 * len(sizes) - letter * narrow
        if letter * (sum(sizes) - narrow) <= free:
            return command, list(columns)
        if free >= 0.3 * _BREADTH:
            break
    share = max(free, 0.2 * _BREADTH) / _BREADTH / max(1, whole)
    return command, [
        rf"p{{{share * size:.2f}\linewidth}}" if one else kind
        for kind, size, one in zip(columns, wanted, long, strict=True)
    ]


def _flushed(cell: str) -> str:
    """A cell of several lines, which may end after a comma in a formula too."""
    return r"\flushed " + (cell.replace(", ", r",\allowbreak ") if "$" in cell else cell)


def characters(cell: str) -> int:
    """About how many are seen of a cell: signs between terms stand apart from these."""
    shown = re.sub(r"\\(?:text|math\w+|operatorname|frac)\b|[${}^_]", "", cell)
    shown = re.sub(r"\\(?:odot|cdot|to)\b|[+=]", "···", shown) if "$" in cell else shown
    return len(re.sub(r"(?<=\\)[a-zA-Z]+" + (r"|\s" if "$" in cell else ""), "", shown))


def _word(text: str) -> str:
    """A letter as it is, a Greek one by its command, a word in italics."""
    if text in GREEK or text in GREEK.values():
        return f"\\{GREEK.get(text, text)}"
    if text.isdigit() or (len(text) == 1 and text.isascii()):
        return text
    return rf"\mathit{{{_in_math(text)}}}"


def _in_math(text: str) -> str:
    letters = [f"\\{GREEK[c]} " if c in GREEK else _IN_MATH.get(c, c) for c in text]
    return re.sub(r"[^\x00-\x7f]+", lambda found: rf"\text{{{found[0]}}}", "".join(letters))
