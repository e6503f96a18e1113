"""Text, names and tables in LaTeX. Documents need amsmath, and for long tables longtable; names in scripts of
which the document's font has no letters need XeLaTeX or LuaLaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .text import printable

_COMMANDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", _COMMANDS.split(), strict=True))
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
}
_IN_TEXT = {
    **_ESCAPED, " ": " ", "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "∛": r"$\sqrt[3]{\cdot}$", "√": r"$\sqrt{\cdot}$",
    "×": r"$\times$", "·": r"$\cdot$", "½": r"$\frac{1}{2}$", "→": r"$\to$", "ᵀ": r"$^{\top}$",
    "Σ": r"$\Sigma$", "σ": r"$\sigma$",
}  # fmt: skip

_PARTS = re.compile(r"([^\W\d_]+)(?:_([^\W_]+)|(\d+))?(?:\[(.+)\])?(['′]*)")
"""A letter or word, what stands below it, and its time."""

_LONG = 40
"""More lines than this do not fit a page."""


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
    """Rows of cells, LaTeX already, under a head in words. ``columns`` is as LaTeX wants it. A table that is
    longer than a page repeats its head on each."""
    title = " & ".join(map(words, head)) + r" \\"
    body = [" & ".join(row) + r" \\" for row in rows]
    if len(rows) > _LONG:
        top = [rf"\begin{{longtable}}{{{columns}}}", r"\hline", title, r"\hline", r"\endhead"]
        return "\n".join([*top, *body, r"\hline", r"\end{longtable}"])
    top = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", title, r"\hline"]
    return "\n".join([*top, *body, r"\hline", r"\end{tabular}"])


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
