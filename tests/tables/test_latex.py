"""Names and words in LaTeX."""

from __future__ import annotations

import re

import pytest

from tests.tables.typeset import check_formula, check_structure
from tinygrad_rnn.tables import latex

HOSTILE = [
    "\\input{/etc/passwd}", "}$$ \\end{align}", "a&b", "#1", "100%", "x^2", "~", "_", "__init__", "", "a\nb",
    "\u202eabc", "{", "}", "\\", "\\\\", "$", "<b>&amp;", "权重", "h̃", "a" * 60, "x_", "x[", "x[}]", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("h", "h"),
        ("a_f", "a_{f}"),
        ("h[−1]", "h_{-1}"),
        ("a_f[12]", "a_{f,12}"),
        ("h0", "h_{0}"),
        ("sigma", r"\sigma"),
        ("δ_x", r"\delta_{x}"),
        ("loss", r"\mathit{loss}"),
        ("weight_ih", r"\mathit{weight}_{\mathit{ih}}"),
        ("h′", "h'"),
        ("weight_ih_l0", r"\mathit{weight\_ih\_l0}"),
        ("权重", r"\mathit{\text{权重}}"),
    ],
)
def test_a_name(name: str, written: str) -> None:
    assert latex.name(name) == written


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_read_as_latex(name: str) -> None:
    check_structure(latex.words(name))
    check_structure(latex.name(name))
    if name.isascii():
        check_formula(rf"\delta_{{{latex.name(name)}}} = {latex.name(name)}")


def test_a_table_that_is_long_goes_over_pages() -> None:
    for count, environment in ((40, "tabular"), (41, "longtable")):
        text = latex.tabular(("a_1", "b"), [["1", latex.number("−2e-07")]] * count, "lr")
        check_structure(text)
        assert text.startswith(rf"\begin{{{environment}}}{{lr}}")
        assert text.count(r"1 & $-2 \cdot 10^{-7}$ \\") == count
        assert r"a\_1 & b \\" in text


def test_a_table_that_is_broad_is_set_small_and_its_long_cells_in_lines() -> None:
    formula = "$" + ", ".join(["a" * 9] * 9) + "$"
    text = latex.tabular(("name", "made"), [["b" * 12, formula]], "ll")
    check_structure(text)
    lines = text.splitlines()
    assert lines[0] == r"\begingroup\footnotesize"
    assert lines[-1] == r"\endgroup"
    assert re.search(r"\\begin\{tabular\}\{lp\{0\.\d\d\\linewidth\}\}", text)
    assert text.count(r",\allowbreak ") == 8
    assert r"\flushed" not in latex.tabular(("name", "made"), [["b" * 30, "c" * 28]], "ll")
