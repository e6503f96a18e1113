"""The formulas of the rule table with other names put in for their letters: as text, or as LaTeX.

    dx = dy · (1 − y²)     {"x": "a_f", "y": "f", "dy": "δ_f"}     δ_f · (1 − f²)
                                                                   \\delta_{f} \\odot (1 - f^{2})

A formula is the library's own text; names may be anybody's. So names are put in token by token, and never
read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..tables import latex

_TOKEN = re.compile(
    r"(?P<letter>d?[A-Za-z]\d*(?![A-Za-z_\d]))|(?P<word>[A-Za-zσ][A-Za-z_0-9]*)|(?P<number>\d[\d.]*(?:e-?\d+)?)"
    r"|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿᵀᵇʸ]+)|(?P<space>\s+)|(?P<sign>.)"
)
_LOWERED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿᵀᵇʸ", [*"0123456789-n", r"\top", "b", "y"], strict=True))
_FUNCTIONS = {
    "sigmoid": r"\sigma", "sum": r"\sum",
    **{
        name: f"\\{name}"
        for name in (
            "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "det",
            "max", "min",
        )
    },
}  # fmt: skip
_TIMES = r"\odot"
_SIGNS = {
    "−": "-", "·": _TIMES, "×": _TIMES, "@": r"\,", "⌊": r"\lfloor", "⌋": r"\rfloor", "→": r"\to",
    "…": r"\dots", "%": r"\%", "#": r"\#",
}  # fmt: skip

Names = Mapping[str, str]
"""For letters of a formula, what stands there instead."""


def as_text(formula: str, names: Names) -> str:
    """The formula with names for letters."""
    return "".join(
        names.get(token[0], token[0]) if token.lastgroup == "letter" else token[0]
        for token in _TOKEN.finditer(formula.replace("sigmoid(", "σ("))
    )


def letters_in(formula: str) -> list[str]:
    """The letters of a formula, each once, by their order."""
    return list(dict.fromkeys(token[0] for token in _TOKEN.finditer(formula) if token.lastgroup == "letter"))


def as_latex(formula: str, names: Names | None = None) -> str:
    """The formula in LaTeX's mathematics, with names, which are LaTeX already, for letters; ``dy`` without a
    name is written upright. Words are words."""
    tokens = [(token.lastgroup or "", token[0]) for token in _TOKEN.finditer(formula)]
    return _joined(_pieces(tokens, names or {}, ""))


def _pieces(tokens: list[tuple[str, str]], names: Names, end: str) -> list[str]:
    """What stands up to a closing bracket, taken off the list; fractions and powers are put together."""
    pieces: list[str] = []
    over: str | None = None  # what a stroke waits below
    while tokens:
        kind, text = tokens.pop(0)
        if kind == "space":
            continue
        if text == end:
            break
        if kind == "raised":
            pieces[-1] = f"{_grouped(pieces[-1])}^{{{_raised(text, names)}}}"
            continue
        if text == "^":
            tokens.pop(0)  # a bracket
            pieces[-1] = f"{_grouped(pieces[-1])}^{{{_joined(_pieces(tokens, names, ')'))}}}"
            continue
        if text == "/":
            over = pieces.pop()
            continue
        piece = _piece(kind, text, tokens, names)
        while tokens and tokens[0][0] == "raised":
            piece = f"{_grouped(piece)}^{{{_raised(tokens.pop(0)[1], names)}}}"
        pieces.append(piece if over is None else rf"\frac{{{over}}}{{{_bare(piece)}}}")
        over = None
    return [_times(pieces, i) if piece == _TIMES else piece for i, piece in enumerate(pieces)]


def _joined(pieces: list[str]) -> str:
    """Pieces in a row; a comma stands at what it ends, and words keep their distance."""
    text = ""
    for piece in pieces:
        words = piece.startswith(r"\text{")
        text += piece if not text or piece in (",", ";", ":") else rf"\ {piece}" if words else f" {piece}"
    return text


def _times(pieces: list[str], i: int) -> str:
    """The sign of a product: a number needs no circle."""
    beside = [pieces[j] for j in (i - 1, i + 1) if 0 <= j < len(pieces)]
    return r"\cdot" if any(piece[0].isdigit() for piece in beside) else _TIMES


def _piece(kind: str, text: str, tokens: list[tuple[str, str]], names: Names) -> str:
    if kind == "letter":
        if text in names:
            return names[text]
        letter, index = (text[1], text[2:]) if text[0] == "d" and len(text) > 1 else (text[0], text[1:])
        own = f"{letter}_{{{index}}}" if index else letter
        return rf"\mathrm{{d}}{own}" if letter is not text[0] else own
    if kind == "word":
        raised = tokens.pop(0)[1] if [kind for kind, _ in tokens[:2]] == ["raised", "sign"] else ""
        if tokens and tokens[0][1] == "(":
            tokens.pop(0)
            function = _FUNCTIONS.get(text, rf"\operatorname{{{latex.words(text)}}}")
            function += f"^{{{_raised(raised, names)}}}" if raised else ""
            inside = _joined(_pieces(tokens, names, ")"))
            return rf"\sqrt{{{inside}}}" if text == "sqrt" else f"{function}({inside})"
        sentence = [text]
        while len(tokens) > 1 and tokens[0][0] == "space" and tokens[1][0] == "word":
            sentence += [" ", tokens[1][1]]
            del tokens[:2]
        return rf"\text{{{''.join(sentence)}}}"
    if text == "(":
        return f"({_joined(_pieces(tokens, names, ')'))})"
    return _SIGNS.get(text, text)


def _raised(text: str, names: Names) -> str:
    return "".join(names.get(part, part) for part in map(_LOWERED.__getitem__, text))


def _grouped(piece: str) -> str:
    """A base in braces where it is raised already."""
    return f"{{{piece}}}" if "^" in piece or piece.startswith("-") else piece


def _bare(piece: str) -> str:
    """Below a stroke no brackets are needed."""
    return piece[1:-1] if piece.startswith("(") and piece.endswith(")") else piece
