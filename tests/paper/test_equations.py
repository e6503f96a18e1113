"""A tape as equations: read back and computed by NumPy, they give the numbers of the library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tests.tables.typeset import check_compiles, check_formula, check_structure, formulas_in

NAMESPACE = {
    "tanh": np.tanh,
    "sigma": lambda x: 1 / (1 + np.exp(-x)),
    "sqrt": np.sqrt,
    "exp": np.exp,
    "total": np.sum,
}


def _recorded() -> tuple[Any, dict[str, Any]]:
    rng = np.random.default_rng(2)
    x, w, u, b = (
        tg.tensor(rng.normal(size=shape), requires_grad=True, name=name)
        for name, shape in {"x": (2, 2), "w": (2, 3), "u": (2, 3), "b": (3,)}.items()
    )
    a = x @ w + b
    f = tg.sigmoid(a)
    h = f * tg.tanh(u) - f**3
    loss = tg.sum(tg.exp(h) * 0.5)
    loss.name = "loss"
    return loss, {"x": x, "w": w, "u": u, "b": b}


def _python(latex: str) -> str:
    """A formula of these equations in Python."""
    text = latex.replace(r"\odot", "*").replace(r"\cdot", "*").replace(r"\,", "@")
    text = re.sub(r"\{?(\w+(?:\^\{\(\d+\)\})?|\\delta_\{[^ ]*\})\}?\^\{\\top\}", r"\1.T", text)
    text = re.sub(r"z\^\{\((\d+)\)\}", r"z\1", text)
    text = re.sub(r"\\delta_\{(?:\\mathit\{(\w+)\}|(\w+))\}", r"d_\1\2", text)
    text = re.sub(r"\{?(\w+)\}?\^\{(\d+)\}", r"\1**\2", text)
    text = re.sub(r"\\mathit\{(\w+)\}", r"\1", text)
    return text.replace(r"\sum", "total").replace("\\", "")


def test_the_equations_are_true() -> None:
    loss, leaves = _recorded()
    values: dict[str, Any] = {**NAMESPACE, **{name: x.numpy() for name, x in leaves.items()}}
    there, back = tg.table(loss).equations().split(r"\end{align}")[:2]
    for line in there.strip().splitlines()[1:]:
        left, right = line.split(" && ")[0].split(" &= ")
        values[_python(left).strip()] = eval(_python(right), values)
    assert abs(values["loss"] - loss.item()) <= 1e-12
    for line in back.strip().splitlines()[1:]:
        formula, remark = line.split(" && ")
        left, sign, right = re.fullmatch(r"(.*) &(=|\\mathrel\{\+\}=) (.*)", formula).groups()  # type: ignore[union-attr]
        name, found = _python(left).strip(), eval(_python(right), values)
        if "added up" in remark:
            found = found.sum(axis=0)
        values[name] = found if sign == "=" else values[name] + found
    for name, gradient in zip(leaves, tg.gradients(loss, list(leaves.values())), strict=True):
        np.testing.assert_allclose(
            np.broadcast_to(values[f"d_{name}"], gradient.shape), gradient.numpy(), atol=1e-12
        )


def _sequence() -> Any:
    layer = tg.nn.LSTM(2, 3, dtype="float64")
    ys, _ = layer(np.random.default_rng(3).normal(size=(2, 2, 2)))
    return tg.cross_entropy(ys[-1], tg.tensor([0, 2]))


def test_each_equation_is_latex_and_says_its_case() -> None:
    table = tg.table(_sequence())
    for text in (table.equations(), table.latex(), table.equations(shapes=True)):
        check_structure(text)
    for formula in formulas_in(table.equations()):
        check_formula(formula)
    equations = table.equations().splitlines()
    assert r"  f_{1} &= \sigma(a_{f,1}) && \text{composition} \\" in equations
    assert (
        r"  \delta_{a_{f,1}} &= \delta_{f_{1}} \odot f_{1} \odot (1 - f_{1}) && \text{composition} \\"
        in equations
    )
    assert all(
        re.search(r"\\text\{(composition|addition|weighting|the result)", line)
        for line in equations
        if line[0] == " "
    )
    assert any(
        line.endswith(r"\text{addition (2, 3)} \\") for line in table.equations(shapes=True).splitlines()
    )


def test_what_comes_by_several_ways_is_added() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    y = x * x
    back = tg.table(y).equations().splitlines()[3:]
    assert [line.split(" && ")[0].strip() for line in back[1:-1]] == [
        r"\delta_{y} &= 1",
        r"\delta_{x} &= \delta_{y} \odot x",
        r"\delta_{x} &\mathrel{+}= \delta_{y} \odot x",
    ]


def test_latex_takes_them(tmp_path: Path) -> None:
    table = tg.table(_sequence())
    check_compiles(f"\\allowdisplaybreaks\n{table.equations()}\n\n\\scriptsize\n{table.latex()}", tmp_path)


def test_long_equations_go_over_lines() -> None:
    """Cut after commas and before signs, never inside of braces."""
    parts = [tg.tensor([1.0], requires_grad=True, name=f"part_of_the_whole_{i}") for i in range(9)]
    there = tg.table(tg.concatenate(parts)).equations().split(r"\end{align}")[0]
    check_structure(there + r"\end{align}")
    lines = there.splitlines()[1:]
    assert len(lines) > 4
    assert all(line.startswith(r"  &\quad ") for line in lines[1:])
    assert sum(line.count("part") for line in lines) == 9
    assert [line.count("&&") for line in lines] == [1] + [0] * (len(lines) - 1)


def test_what_is_longer_than_a_page_may_break() -> None:
    text = tg.table(_sequence()).equations()
    assert text.count(r"\begingroup\allowdisplaybreaks") == text.count(r"\endgroup") > 0
    check_structure(text)
