"""Gains against hand-made ones."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import (
    BATCH,
    HIDDEN,
    exact_cases,
    gru_step,
    leaf,
    lstm_step,
    network,
    rnn_step,
    unrolled,
)
from tinygrad_rnn.errors import DrawError
from tinygrad_rnn.graph import gains, paint
from tinygrad_rnn.reading import norms, words
from tinygrad_rnn.reading.followed import Followed, ones
from tinygrad_rnn.reading.steps import find_chains


@pytest.mark.parametrize(
    ("gain", "label"),
    [
        (0.0, "×0"), (1.0, "×1"), (1 + 1e-7, "×1"), (1 - 1e-7, "×1"), (0.9999, "≈×1"), (0.999, "×0.999"),
        (0.25, "×0.25"),
        (0.50012, "×0.5"), (150.0, "×150"), (999.7, "×1000"), (1234.0, "×1e3"), (0.01, "×0.01"),
        (0.0099, "×1e-2"),
        (3.2e-7, "×3e-7"), (1e-300, "×1e-300"), (float("inf"), "inf"), (float("nan"), "NaN"),
    ],
)  # fmt: skip
def test_gain_label(gain, label):
    assert words.gain_label(gain) == label


def test_only_equal_shapes_pass_unchanged():
    assert words.gain_label(1.0, same_shape=False) == "≈×1"


def test_stroke_thins_in_half_decades():
    strokes = [paint.stroke(10.0**d) for d in (0, -1, -2, -3, -9)]
    assert [round(s.width, 1) for s in strokes] == [5.0, 3.4, 1.8, 0.6, 0.6]
    assert [s.style for s in strokes] == ["solid", "solid", "solid", "dashed", "dashed"]
    assert paint.stroke(0.0).style == "dotted"
    assert paint.stroke(0.999) == paint.stroke(1.0) == paint.stroke(float("nan"))


@pytest.mark.parametrize(
    ("values", "norm"), [([3e200, 4e200], 5e200), ([3e-200, 4e-200], 5e-200), ([], 0.0), ([0.0], 0.0)]
)
def test_size_neither_overflows_nor_vanishes(values, norm):
    x = tg.tensor(np.array(values))
    assert norms.sizes([x._data], x._backend) == [pytest.approx(norm, rel=1e-15)]


def measured(out, *of):
    """(operation, label) of every edge that carries a residual, in the order of the tape."""
    found = gains_of(out, *of)
    parts = [(e, found.part(e, i)) for e in tg.Tape.of(out) for i in range(len(e.inputs))]
    return [(e.row.name, part.label) for e, part in parts if part is not None]


def gains_of(out, *of):
    tape = tg.Tape.of(out)
    return gains.Gains(Followed(tape, find_chains(tape), ones(of or [out])))


def test_gains_are_what_one_can_do_in_the_head():
    assert measured(exact_cases()) == [
        ("multiply", "×2"), ("multiply", "×0.5"), ("add", ""), ("add", ""), ("relu", ""),
    ]  # fmt: skip


def test_residuals_that_are_single_numbers_are_measured():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert measured(tg.sum(tg.exp(tg.sum(x) - 3.0)))[-1] == ("sum", "")


def test_both_sides_of_a_square_are_told_apart():
    x = tg.tensor(np.array([3.0]), requires_grad=True)
    assert measured(x * x) == [("multiply", "×3"), ("multiply", "×3")]


def test_additions_that_change_the_shape_say_a_verb():
    x, b = leaf("x", 3, 2), leaf("b", 2)
    assert measured(tg.sum(x + b)) == [("add", ""), ("add", "added up"), ("sum", "copied")]
    assert measured(tg.concatenate([x, x])) == [("concatenate", "part"), ("concatenate", "part")]
    assert measured(tg.sum(x[0])) == [("getitem", ""), ("sum", "copied")]
    assert measured(tg.where(tg.tensor([True, False]), x, x * 1.0))[1:] == [
        ("where", "part"),
        ("where", "part"),
    ]
    assert measured(tg.cumsum(x, 0)) == [("cumsum", "added up")]


def test_no_addition_of_the_cells_prints_a_number_but_nought():
    for out in (rnn_step(), lstm_step()[0], gru_step(), unrolled()[-1]):
        labels = {label for name, label in measured(out) if tg.rows[name].case == "addition"}
        assert labels <= {"", "×0", "copied", "added up", "part"}


@pytest.mark.both_backends
def test_gains_multiply_to_the_residual_that_backward_brings():
    h = leaf("h[0]", BATCH, HIDDEN)
    loss = tg.sum(rnn_step(h))
    found = gains_of(loss)
    to_h = next(found.part(e, i) for e in tg.Tape.of(loss) for i, x in enumerate(e.inputs) if x is h)
    loss.backward()
    assert to_h.size == pytest.approx(float(np.linalg.norm(h.grad.numpy())), rel=1e-12)


def test_a_parameter_of_one_step_only_is_no_copy():
    losses = unrolled()
    assert not [vertex for vertex in network(losses[:1]).vertices if vertex.copied]
    assert {vertex.name for vertex in network(losses).vertices if vertex.copied} == {"W", "U", "b", "V"}


def test_grad_is_untouched():
    losses = unrolled()
    leaves = [
        x for e in tg.Tape.of(*losses) for x in e.inputs if isinstance(x, tg.Tensor) and x.requires_grad
    ]
    losses[0].backward()
    before = [(x.grad, None if x.grad is None else x.grad.numpy().copy()) for x in leaves]
    tg.draw(losses, gains=True)
    for x, (grad, values) in zip(leaves, before, strict=True):
        assert x.grad is grad
        assert grad is None or np.array_equal(grad.numpy(), values)


def test_the_last_loss_is_followed_unless_another_is_named():
    losses = unrolled()
    last, first = tg.draw(losses, gains=True), tg.draw(losses, gains=True, start=losses[0])
    assert last.dot == tg.draw(losses, gains=True, start=losses[-1]).dot != first.dot
    assert "t = 3   residual left: 1" in last.dot
    assert "residual left" not in first.dot  # nothing arrives at the last state
    with pytest.raises(DrawError, match="start="):
        tg.draw(losses, gains=True, start=tg.tensor(1.0))


def test_residuals_that_are_not_finite_are_marked():
    x = leaf("x", 2)
    with np.errstate(all="ignore"):
        out = tg.sum(tg.log(x * 0.0))
    dot = tg.draw(out, gains=True).dot
    assert 'label="inf"' in dot
    assert "#882255" in dot
