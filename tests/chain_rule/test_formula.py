"""The formulas of the rule table are true, and are written in LaTeX without a change of meaning."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.tables.typeset import check_compiles, check_formula, check_structure, formulas_in
from tinygrad_rnn.chain_rule import formula, rows
from tinygrad_rnn.chain_rule.notation import as_latex, as_text
from tinygrad_rnn.selfcheck.operands import SAMPLES

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿᵇ", "0123456789-nb")
_FUNCTIONS = {
    **{
        name: getattr(np, name)
        for name in ("exp", "log", "sin", "cos", "sinh", "cosh", "sqrt", "sign", "trunc", "where")
    },
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "raise_to": np.power,
    "det": np.linalg.det,
}
FORMULAS = [name for name, row in rows.items() if formula.residuals(row)]


def _evaluated(text: str, values: dict[str, object]) -> object:
    """A formula of the table by NumPy."""
    text = re.sub(r"(\w+|\([^()]*\))⁻ᵀ", r"np.linalg.inv(\1).swapaxes(-1, -2)", text)
    text = re.sub(r"(\w)ᵀ", r"\1.swapaxes(-1, -2)", text)
    text = re.sub(r"([⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿᵇ]+)", lambda found: f"**({found[0].translate(_RAISED)})", text)
    text = re.sub(r"⌊(.*?)⌋", r"np.floor(\1)", text).replace("[", "(").replace("]", ")")
    for sign, python in (("^", "**"), ("·", "*"), ("−", "-"), (" = ", " == ")):
        text = text.replace(sign, python)
    return eval(text, {"np": np, **_FUNCTIONS}, values)


@pytest.mark.parametrize("name", [name for name in FORMULAS if name not in ("solve", "det")])
def test_a_formula_says_what_the_row_does(name: str) -> None:
    row = rows[name]
    for operands, params in SAMPLES[name]:
        xs = [np.asarray(x) for x in operands]
        with np.errstate(all="ignore"):
            y = row.forward(tg.backends.current(), *xs, *params)
        g = np.random.default_rng(0).normal(size=np.shape(y))
        pulled = row.pull(tg.backends.current(), g, y, xs, params, [True] * len(xs))
        for sides in (formula.residuals(row), formula.residuals(row, params)):
            letters = dict(zip(formula.letters_of(len(sides)), xs, strict=True))
            for side, expected in zip(sides, pulled, strict=True):
                if name in ("sum", "broadcast_to"):  # what is copied and added up is said in words
                    assert side == "dy"
                    continue
                values = {**letters, "y": y, "dy": g, "n": params[0] if params else None}
                found = np.broadcast_to(_evaluated(side, values), np.shape(expected))
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-12)  # numbers have four digits


def test_the_table_in_latex() -> None:
    text = tg.rows.latex()
    check_structure(text)
    assert len(formulas_in(text)) > 2 * len([row for row in rows.values() if row.parts])
    for written in formulas_in(text):
        check_formula(written)
    for name in rows:
        assert f"\n{name} & ".replace("_", r"\_") in text
    formulas = [r"$y = \tanh(x)$", r"$\mathrm{d}x = \mathrm{d}y \odot (1 - y^{2})$"]
    assert rf"tanh & composition & \flushed {formulas[0]} & \flushed {formulas[1]} \\" in text
    assert tg.rows.latex("weighting").count("weighting") == len(rows.of("weighting"))
    for case in ("choice", "", 1, ["addition"]):
        with pytest.raises(tg.ArgumentError, match=r"rows\.latex: case"):
            tg.rows.latex(case)  # type: ignore[arg-type]


def test_latex_takes_the_table(tmp_path: Path) -> None:
    check_compiles(f"{tg.rows.latex()}\n{tg.rows.latex('weighting')}", tmp_path)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("dy · 1 / (2 · y)", r"\mathrm{d}y \odot \frac{1}{2 \cdot y}"),
        ("dy · b · aᵇ⁻¹", r"\mathrm{d}y \odot b \odot a^{b-1}"),
        ("dy @ bᵀ", r"\mathrm{d}y \, b^{\top}"),
        ("−(y²)", r"- (y^{2})"),
        ("splitᵀ(dy0, dy1)", r"\operatorname{split}^{\top}(\mathrm{d}y_{0}, \mathrm{d}y_{1})"),
        ("take_along_axis(x, i)", r"\operatorname{take\_along\_axis}(x, i)"),
        ("1 / sqrt(1 + x²)", r"\frac{1}{\sqrt{1 + x^{2}}}"),
        ("⌊a / b⌋", r"\lfloor \frac{a}{b} \rfloor"),
        ("x^(−0.5) · y", r"x^{- 0.5} \odot y"),
        ("1e-05 · x", r"1e-05 \cdot x"),
    ],
)
def test_a_formula_in_latex(text: str, latex: str) -> None:
    assert as_latex(text) == latex
    check_formula(latex)


def test_names_are_put_in_and_not_read_again() -> None:
    names = {"x": "y", "y": "x · dy", "dy": "exp(x)"}
    assert as_text("dy · (1 − y²) + sigmoid(x)", names) == "exp(x) · (1 − x · dy²) + σ(y)"
    assert as_latex("dy · x", {"dy": r"\delta_{a & b}", "x": "z^{(3)}"}) == r"\delta_{a & b} \odot z^{(3)}"
    assert as_latex("x²", {"x": "z^{(3)}"}) == "{z^{(3)}}^{2}"
