"""What one operation on a tape does, as a formula: forwards, and to the residual of each operand."""

from __future__ import annotations

from dataclasses import dataclass

from ..chain_rule import Row
from ..chain_rule.formula import letters_of, residuals
from ..chain_rule.notation import as_latex, as_text, letters_in
from ..reading.matrices import swaps_matrices
from ..reading.words import formula_of
from ..tape import Entry, Node
from .symbols import Symbol, Symbols


@dataclass(frozen=True)
class Rule:
    """A formula in the letters of the rule table, and what they stand for."""

    formula: str
    meaning: dict[str, Symbol]

    def text(self) -> str:
        return as_text(self.formula, {letter: symbol.text for letter, symbol in self.meaning.items()})

    def latex(self) -> str:
        return as_latex(self.formula, {letter: symbol.latex for letter, symbol in self.meaning.items()})


def forward(entry: Entry, symbols: Symbols) -> Rule:
    """What comes out of an entry by its operands."""
    if swaps_matrices(entry):
        return Rule("xᵀ", {"x": symbols.of(entry.inputs[0])})
    formula = formula_of(entry).removeprefix("y = ")
    if "ⁿ" in formula:  # no whole number, which stands there already
        formula = formula.replace("ⁿ", f"^({symbols.of(entry.params[0]).text})")
    return Rule(formula, dict(zip(_letters(entry, formula), map(symbols.of, entry.inputs), strict=False)))


def backward(entry: Entry, operand: int, symbols: Symbols) -> tuple[Rule, str]:
    """What an entry sends on to an operand, and a remark in words, or "".

    An operation that the rule table has only words for, such as a routing, is written ``splitᵀ(δ)``: its
    linear map the other way round.
    """
    row = entry.row
    assert isinstance(row, Row)  # replays are opened
    ys = [symbols.of(y) for y in entry.results()]
    arrived = [y.residual for y in ys]
    sides, remark = residuals(row, entry.params), row.verb
    if swaps_matrices(entry):
        return Rule("dyᵀ", {"dy": arrived[0]}), remark
    if len(sides) <= operand:
        back = ", ".join(f"dy{i}" for i in range(len(ys)))
        return Rule(f"{row.name}ᵀ({back})", {f"dy{i}": one for i, one in enumerate(arrived)}), remark
    letters = letters_of(len(sides)) if row.parts else _letters(entry, formula_of(entry)[4:])
    meaning = {"y": ys[0], "dy": arrived[0]}
    for letter, x in zip(letters, entry.inputs, strict=False):
        meaning |= {letter: symbols.of(x), f"d{letter}": symbols.of(x).residual}
    if row.elementwise and _grew(entry, operand):
        remark = "added up over the copies"
    return Rule(sides[operand], meaning), remark


def _letters(entry: Entry, formula: str) -> list[str]:
    """The operands' letters in a formula, by their order."""
    return letters_in(formula) if entry.row.formula else letters_of(len(entry.inputs))


def _grew(entry: Entry, operand: int) -> bool:
    """Whether an operand was repeated to fit the result."""
    x = entry.inputs[operand]
    return isinstance(x, Node) and tuple(x._data.shape) != tuple(entry.ys[0].shape)
