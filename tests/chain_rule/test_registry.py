"""Every row is proved by its own case, to second order; and the proof itself is put to the proof."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import check
from tinygrad_rnn.backends import Backend
from tinygrad_rnn.chain_rule import choices, formula, rows
from tinygrad_rnn.selfcheck.operands import SAMPLES
from tinygrad_rnn.selfcheck.rules import on_device
from tinygrad_rnn.tape import apply


def test_every_row_has_a_proof_and_every_proof_a_row():
    assert not set(rows) - set(SAMPLES), "add a sample to tinygrad_rnn/selfcheck/operands.py"
    assert not set(SAMPLES) - set(rows), "a sample of no row stands in tinygrad_rnn/selfcheck/operands.py"
    assert {row.case for row in rows.values()} == {"composition", "addition", "weighting"}


@pytest.mark.measured
@pytest.mark.both_backends
@pytest.mark.parametrize("name", rows)
def test_each_row_is_proved_by_its_case(name):
    for sample in SAMPLES[name]:
        operands, moved = on_device(sample, "float64")
        check.prove(rows[name], *operands, params=moved)


@pytest.mark.parametrize("name", rows)
def test_a_row_says_whether_several_arrays_come_out_of_it(name):
    for sample in SAMPLES[name]:
        operands, moved = on_device(sample, "float64")
        assert isinstance(apply(rows[name], operands, moved), tuple) == rows[name].several


# -- the tester tested ---------------------------------------------------------------------------------------


def _scaled(result, by=1.001):
    """Off by 0.1 %."""
    if isinstance(result, (tuple, list)):
        return tuple(None if part is None else _scaled(part, by) for part in result)
    return result * by


def _late(result):
    """Right in value, its derivative off by 0.1 %."""
    if isinstance(result, (tuple, list)):
        return tuple(None if part is None else _late(part) for part in result)
    return result * 1.001 - result.detach() * 0.001


def _wrong_pull(row):
    return dataclasses.replace(row, pull=lambda np, g, *rest: _scaled(row.pull(np, g, *rest)), into=None)


def _wrong_push(row):
    return dataclasses.replace(row, push=lambda *args: _scaled(row.push(*args)))


def _wrong_second(row):
    def pull(np, *rest):
        parts = row.pull(np, *rest)
        return parts if isinstance(np, Backend) else _late(parts)

    return dataclasses.replace(row, pull=pull)


PLANTS = {
    "reverse": (_wrong_pull, "first", "reverse"),
    "forward": (_wrong_push, "first", "forward"),
    "second": (_wrong_second, "second", ""),
}


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", rows)
def test_a_rule_that_is_off_by_a_thousandth_is_caught(name, plant):
    spoil, order, mode = PLANTS[plant]
    operands, moved = on_device(SAMPLES[name][0], "float64")
    with pytest.raises(
        tg.GradientCheckError,
        match=rf"^{name}: the {order} derivative with respect to arguments? [\d, ]+ is wrong in {mode}",
    ):
        check.prove(spoil(rows[name]), *operands, params=moved)


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["tanh", "reciprocal", "cumsum", "maximum", "multiply", "einsum", "solve"])
def test_check_gradients_names_the_rule_at_fault(name, plant):
    spoil, order, _mode = PLANTS[plant]
    operands, moved = on_device(SAMPLES[name][0], "float64")
    wrong = spoil(rows[name])

    def model(*values):
        y = apply(wrong, [tg.sin(x) * 0.1 + x for x in values], moved)
        return tg.exp(y * 0.1).sum()

    message = (
        rf"^model: the {order} derivative with respect to argument \d is wrong in \w+ mode: "
        r"computed (\S+), differences give (\S+);"
    )
    with pytest.raises(tg.GradientCheckError, match=message) as caught:
        tg.check_gradients(model, *operands)
    assert f"the rule at fault is that of {name!r}" in str(caught.value)
    computed, expected = (float(number) for number in re.match(message, str(caught.value)).groups())
    assert 1e-6 < abs(computed - expected) / max(abs(computed), abs(expected)) < 0.5


def test_an_addition_that_is_not_linear_is_caught():
    squared = dataclasses.replace(
        rows["negative"],
        named=False,
        forward=lambda np, x: x * x,
        pull=lambda np, g, y, xs, p, n: (2 * xs[0] * g,),
    )
    with pytest.raises(
        tg.GradientCheckError, match=r"negative: the first derivative .* the operation itself gives"
    ):
        check.prove(squared, np.array([1.0, 2.0]))


def test_an_addition_whose_residual_looks_at_its_operand_is_caught():
    def pull(np, g, y, xs, params, needs):
        return (-g if isinstance(np, Backend) else -g * (1 + 1e-3 * (xs[0] - xs[0].detach())),)

    wrong = dataclasses.replace(rows["negative"], pull=pull)
    with pytest.raises(tg.GradientCheckError, match="negative: the second derivative"):
        check.prove(wrong, np.array([1.0, 2.0]))


def test_what_cannot_be_proved_is_refused():
    with pytest.raises(tg.DtypeError, match="float64"):
        check.prove(rows["exp"], np.ones(2, np.float32))
    with pytest.raises(tg.DtypeError, match="no case"):
        check.prove(choices["sign"], np.ones(2))


def test_the_table_prints_each_rule():
    text = repr(rows)
    for row in rows.values():
        assert re.search(rf"^{row.case} +{row.name} ", text, re.MULTILINE)
    assert "dx = dy · (1 − y²)" in text
    assert [row.name for row in rows.of("weighting")] == ["multiply", "matmul", "einsum"]


def test_a_slope_with_a_parameter_prints_its_name():
    row = dataclasses.replace(
        rows["tanh"], name="softcap", parts=(lambda np, y, x, cap: 1 - (y / cap) * (y / cap),)
    )
    assert formula.formulas(row) == ["dx = dy · (1 − (y / cap)²)"]


def test_one_rule_is_one_row():
    with pytest.raises(ValueError, match="already is a row 'exp'"):
        rows.add(rows["exp"])


# -- what a choice left out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, row in rows.items() if row.spared is not None])
def test_what_is_spared_would_have_added_nothing(name):
    """Zeros in place of what only a residual of 0 meets: the same residuals; and those of a spoilt operand if
    it is spoilt only there."""
    row, random = rows[name], np.random.default_rng(0)
    for sample in SAMPLES[name]:
        operands, moved = on_device(sample, "float64")
        space, arrays = operands[0]._backend, [x._data for x in operands]
        y = row.forward(space, arrays, moved) if row.variadic else row.forward(space, *arrays, *moved)
        for share in (0.0, 0.5, 0.9, 1.0):
            asked = random.random(y.shape) >= share
            if asked.ndim > 1:
                asked &= random.random((*y.shape[:-1], 1)) >= share
            g = space.from_host(np.where(asked, random.normal(size=y.shape), 0.0))
            spared = row.spared(space, g, arrays, moved)
            for i in range(len(arrays)):
                needs = [i == j for j in range(len(arrays))]
                expected = space.to_host(row.pull(space, g, y, arrays, moved, needs)[i])
                np.testing.assert_array_equal(
                    space.to_host(row.pull(space, g, y, spared, moved, needs)[i]), expected
                )
            if share == 1.0:
                assert not any(space.to_host(x).any() for x in spared)
