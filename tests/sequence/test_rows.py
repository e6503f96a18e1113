"""Functions of rows as kernels: values and residuals against closed forms, bad input, and looking inside."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.backends.native import threads, thresholds
from tinygrad_rnn.derived import losses
from tinygrad_rnn.sequence import rows

pytestmark = pytest.mark.machine_code


@pytest.fixture(autouse=True)
def _always(monkeypatch):
    """However little there is to do."""
    monkeypatch.setattr(losses, "KERNEL_MIN_ELEMENTS", 1)


def closed_form(z, classes, smoothing):
    """The losses and their residuals, in extended precision."""
    z = z.astype(np.longdouble)
    wanted = (
        np.eye(z.shape[-1], dtype=np.longdouble)[classes] * (1 - smoothing)
        + np.longdouble(smoothing) / z.shape[-1]
    )
    top = z.max(-1, keepdims=True)
    logs = z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))
    return -(wanted * logs).sum(-1), np.exp(logs) - wanted


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 2), (5, 1), (3, 4, 7), (2, 16), (9, 33), (4, 1000)], ids=str)
def test_cross_entropy(shape, dtype, smoothing, count, rng, monkeypatch):
    monkeypatch.setattr(thresholds, "PARALLEL_MIN_ELEMENTS", 0)
    monkeypatch.setattr(threads, "threads", lambda: count)
    z, classes = (4 * rng.normal(size=shape)).astype(dtype), rng.integers(0, shape[-1], shape[:-1])
    weights = rng.normal(size=shape[:-1]).astype(dtype)
    logits = tg.tensor(z, requires_grad=True)
    losses = tg.cross_entropy(logits, classes, reduction="none", label_smoothing=smoothing)
    assert "cross_entropy" in {entry.row.name for entry in tg.Tape.of(losses)}
    tg.sum(losses * weights).backward()
    expected, residuals = closed_form(z, classes, smoothing)
    tolerance = 3e-6 if dtype == "float32" else 1e-14
    assert losses.dtype == logits.grad.dtype == dtype
    np.testing.assert_allclose(losses.numpy(), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        logits.grad.numpy(), residuals * weights[..., None], rtol=0, atol=tolerance * abs(weights).max()
    )
    with tg.no_grad():
        np.testing.assert_array_equal(
            tg.cross_entropy(logits, classes, reduction="none", label_smoothing=smoothing).numpy(),
            losses.numpy(),
        )


def test_columns_of_a_transpose_and_narrow_class_numbers(rng):
    z, classes = rng.normal(size=(6, 5)), rng.integers(0, 6, 5).astype(np.int16)
    x = tg.tensor(z, requires_grad=True)
    loss = tg.cross_entropy(x.T, classes, reduction="sum")
    loss.backward()
    expected, residuals = closed_form(z.T, classes, 0.0)
    np.testing.assert_allclose(loss.item(), expected.sum(), rtol=1e-14)
    np.testing.assert_allclose(x.grad.numpy(), residuals.T, rtol=0, atol=1e-15)
    first, x.grad = x.grad.numpy(), None
    loss.backward()  # nothing was overwritten
    np.testing.assert_array_equal(x.grad.numpy(), first)


def test_numbers_at_the_end_of_the_range():
    """A class that is ruled out gets nothing, one that is certain costs nothing, and what is not a number
    stays visible."""
    inf, nan = np.inf, np.nan
    z = tg.tensor(
        [[0.0, -inf, 0.0], [1000.0, 0.0, -1000.0], [0.0, nan, 0.0], [-3e38, -3e38, -3e38]],
        "float32",
        requires_grad=True,
    )
    losses = tg.cross_entropy(z, [0, 0, 0, 2], reduction="none")
    tg.sum(losses).backward()
    third = np.log(3)
    np.testing.assert_allclose(losses.numpy(), [np.log(2), 0, nan, third], rtol=1e-6)
    np.testing.assert_allclose(
        z.grad.numpy(), [[-0.5, 0, 0.5], [0, 0, 0], [nan] * 3, [1 / 3, 1 / 3, -2 / 3]], rtol=1e-6
    )
    assert z.grad.numpy()[0, 1] == 0


def test_second_order_and_tangents_are_those_of_the_operations(rng, monkeypatch):
    x, v, classes = (
        tg.tensor(rng.normal(size=(4, 6))),
        tg.tensor(rng.normal(size=(4, 6))),
        rng.integers(0, 6, 4),
    )

    def loss(x):
        return tg.cross_entropy(x * x, classes)

    found = tg.hvp(loss, x, v).numpy(), tg.jvp(loss, x, v)[1].item()
    monkeypatch.setattr(losses, "KERNEL_MIN_ELEMENTS", 1 << 60)
    np.testing.assert_allclose(found[0], tg.hvp(loss, x, v).numpy(), rtol=0, atol=1e-15)
    np.testing.assert_allclose(found[1], tg.jvp(loss, x, v)[1].item(), rtol=1e-14)


def test_pictures_see_inside(rng):
    x = tg.tensor(rng.normal(size=(4, 6)), requires_grad=True)
    dot = tg.draw(tg.cross_entropy(x * 2, [0, 1, 2, 3]), view="ops").dot
    assert "exp" in dot
    assert "log" in dot


def test_a_class_that_is_not_there():
    with pytest.raises(
        tg.IndexRangeError, match=r"cross_entropy: the class number 3 at \[1\] lies outside of 0 … 2"
    ):
        tg.cross_entropy(tg.zeros((2, 3)), [0, 3])
    many = np.zeros(5000, int)
    many[17] = -1
    with pytest.raises(tg.IndexRangeError, match=r"-1 at \[17\] .*ignore_index="):
        tg.cross_entropy(tg.zeros((5000, 3)), many)


def test_what_is_no_loop_over_rows_is_called(rng):
    """A product between the rows' elements has no kernel here."""
    x, w = tg.tensor(rng.normal(size=(4, 3)), requires_grad=True), rng.normal(size=(3, 3))
    y = rows.by_rows("turned", lambda x: x @ tg.tensor(w), (x,), ())
    np.testing.assert_allclose(y.numpy(), x.numpy() @ w, rtol=1e-14)
    assert "turned" not in {entry.row.name for entry in tg.Tape.of(y)}


def test_a_loss_inside_of_a_cell(rng):
    """What is traced is the loss's operations: cells with a largest element and a logarithm are machine code
    too."""
    w = tg.tensor(rng.normal(size=(3, 6)), requires_grad=True)

    def cell(x, h):
        z = x @ w + h
        z = z - tg.max(z, axis=1, keepdims=True)
        h = z - tg.log(tg.sum(tg.exp(z), axis=1, keepdims=True))
        return h, h

    xs, h = tg.tensor(rng.normal(size=(5, 4, 3)), requires_grad=True), tg.zeros((4, 6), "float64")
    found = []
    for compiled, how in ((True, "machine code\n"), (False, "step by step")):
        xs.grad = w.grad = None
        ys, _ = tg.scan(cell, xs, h, compiled=compiled)
        assert tg.explain(cell).startswith(f"cell: {how}")
        tg.sum(ys * ys).backward()
        found.append([ys.numpy(), xs.grad.numpy(), w.grad.numpy()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
