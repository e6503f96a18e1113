"""What cannot be compiled: a TraceError with the reason, or the right result; never a wrong number."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compiled_scan, eager, kinds, running
from tests.sequence.refused import data, refused
from tinygrad_rnn import nn, tree


def _structure(x, h):
    return h, (h, h)


def _shape(x, h):
    return h, tg.concatenate([h, x], axis=1)


def _dtype(x, h):
    return h, h.astype("float32")


def _no_pair(x, h):
    return h


def _three(x, h):
    return h, h, h


def _no_tensor(x, h):
    return 1.0, h


def _list_of_numbers(x, h):
    return [h, 2], h


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        (_structure, "nesting"),
        (_shape, "shape"),
        (_dtype, "dtype"),
        (_no_pair, "pair"),
        (_three, "pair"),
        (_no_tensor, "not a tensor"),
        (_list_of_numbers, "not a tensor"),
    ],
)
def test_what_is_no_cell(cell, match):
    refused(cell, match)


LOOKS = {
    "bool": lambda h: 1.0 if tg.sum(h) > 0 else 2.0,
    "item": lambda h: tg.sum(h).item(),
    "float": lambda h: float(h[0, 0]),
    "int": lambda h: int(h[0, 0]),
    "numpy": lambda h: h.numpy().max(),
    "data": lambda h: h.data.max(),
    "tolist": lambda h: h.tolist()[0][0],
    "asarray": lambda h: np.asarray(h).max(),
    "index": lambda h: [1.0, 2.0][tg.argmax(h[0]) % 2],
}


@pytest.mark.both_backends
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_looking_at_a_value_names_the_line(look):
    def cell(x, h):
        h = tg.tanh(h) * look(h)
        return h, h

    refused(cell, r"\(test_refusals\.py, line \d+: .*h")


def test_a_look_at_the_input(backend):
    def cell(x, h):
        if x[0, 0] > 0:
            h = h + x
        return h, h

    refused(cell, r"line \d+: if x\[0, 0\] > 0")
    x, h = data(5, 2, 4), data(2, 4)
    found, expected = (tg.scan(cell, x, h, compiled=how)[0].numpy() for how in ("auto", False))
    assert np.array_equal(found, expected)
    with pytest.raises(tg.TraceError):
        tg.scan(cell, x, h, compiled=True)


def test_what_the_cell_raises_is_the_reason():
    def cell(x, h):
        if h.shape[1] == 4:
            raise RuntimeError("not this width")
        return h, h

    refused(cell, r"not this width \(test_refusals\.py, line \d+: raise RuntimeError")
    with pytest.raises(RuntimeError, match="not this width"):
        tg.scan(cell, data(3, 2, 4), data(2, 4))


def test_raising_at_a_later_step():
    calls = []

    def cell(x, h):
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError("the fourth step")
        return h, tg.tanh(x + h)

    refused(cell, r"changes what it reads: the list calls \(.*, line \d+: calls.append", x=data(5, 2, 4))
    with pytest.raises(RuntimeError, match="the fourth step"):
        tg.scan(cell, data(5, 2, 4), data(2, 4))
    assert len(calls) == 4


def test_operands_that_do_not_fit():
    weight = data(3, 4)
    refused(lambda x, h: (h, h @ weight), "line")


def test_writing_into_an_array():
    array = np.ones((2, 4))

    def cell(x, h):
        array[...] *= 2
        return h, h + tg.tensor(array)

    refused(
        cell, r"changes what it reads: the array array \(test_refusals.py, line \d+: array\[...\] \*= 2\)"
    )


def test_a_program_run_again_in_the_backward_pass():
    weight = data(4, 4, grad=True)
    refused(lambda x, h: (h, tg.checkpoint(lambda h: tg.tanh(h @ weight))(h)), "again|constant")


def test_a_gradient_inside_the_cell():
    """Values of the placeholders must not become constants."""
    x, h = data(3, 2, 4), data(2, 4, seed=1)

    def cell(x, h):
        return h, h - 0.1 * tg.grad(lambda h: tg.sum(tg.tanh(h) * x))(h)

    try:
        found = compiled_scan(cell, x, h)[0].numpy()
    except tg.TraceError:
        found = tg.scan(cell, x, h)[0].numpy()
    assert np.allclose(found, eager(cell, x, h)[0].numpy())


def test_a_scan_inside_the_cell(backend):
    weight = data(4, 4, grad=True)

    def inner(x, h):
        h = tg.tanh(x + h @ weight)
        return h, h

    def cell(x, h):
        ys, h = tg.scan(inner, tg.stack([x, x * 2]), h)
        return ys[0], h

    x, h = data(3, 2, 4), data(2, 4, seed=1)
    results = []
    for how in ("auto", False):
        weight.grad = None
        ys, _ = tg.scan(cell, x, h, compiled=how)
        tg.sum(ys * ys).backward()
        results.append((ys.numpy(), weight.grad.numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_an_output_without_a_batch(backend):
    def cell(x, h):
        h = tg.tanh(x + h)
        return {"h": h, "size": tg.sum(h * h)}, h

    x, h = data(3, 2, 4), data(2, 4)
    for kind in kinds(backend):
        with running(kind):
            found, expected = (scan(cell, x, h)[0]["size"].numpy() for scan in (compiled_scan, eager))
            np.testing.assert_allclose(found, expected, rtol=1e-12)
            with pytest.raises(tg.TraceError, match="batch"):
                compiled_scan(cell, x, h, live=np.array([[True, False]] * 3))


@pytest.mark.parametrize("kind", ["number", "vector", "whole numbers", "booleans", "several batches", "cube"])
def test_states_and_inputs_of_other_shapes(backend, kind):
    x, h = data(3, 2, 4), data(2, 4, seed=1)
    cell, xs, state = {
        "number": (lambda x, s: (x * s, tg.tanh(s + tg.sum(x))), x, tg.tensor(np.array(0.5))),
        "vector": (lambda x, s: (x * s, tg.tanh(s + x)), data(3, 4), data(4)),
        "whole numbers": (
            lambda x, s: (x + s[0], (tg.tanh(x + s[0]), s[1] + 1)),
            x,
            (h, tg.tensor(np.arange(2).reshape(2, 1))),
        ),
        "booleans": (
            lambda x, s: (tg.where(s[1], x, s[0]), (x, x > s[0])),
            x,
            (h, tg.tensor(np.ones((2, 4), bool))),
        ),
        "several batches": (
            lambda x, s: ((x[0] * x[1]) @ x[0].T, tg.tanh(s + x[0] * x[1])),
            (x, data(3, 1, 4)),
            h,
        ),
        "cube": (lambda x, s: (tg.sum(x, axis=2), tg.tanh(s + x)), data(3, 2, 4, 5), data(2, 4, 5)),
    }[kind]
    for run in kinds(backend):
        with running(run):
            found, expected = (list(tree.leaves(scan(cell, xs, state))) for scan in (compiled_scan, eager))
        for a, b in zip(found, expected, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-11)


def test_an_input_of_one_sample_beside_a_batch(backend):
    """What depends on x alone may leave the loop only if its rows are the batch's."""
    weight = data(4, 4, grad=True)
    xs, h = (data(3, 2, 4, grad=True), data(3, 1, 4, grad=True)), data(2, 4)

    def cell(x, h):
        h = tg.tanh((x[0] * x[1]) @ weight + h)
        return h, h

    results = []
    for scan in (compiled_scan, eager):
        weight.grad = xs[0].grad = xs[1].grad = None
        ys, _ = scan(cell, xs, h)
        tg.sum(ys * ys).backward()
        results.append([ys.numpy(), *(leaf.grad.numpy() for leaf in (weight, *xs))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_no_steps_and_no_samples(backend):
    cell = nn.GRUCell(4, 4, dtype="float64")
    for shape in [(0, 2, 4), (3, 0, 4)]:
        x, h = tg.zeros(shape, "float64"), tg.zeros((shape[1], 4), "float64")
        found, expected = (tg.scan(cell, x, h, compiled=how) for how in ("auto", False))
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape


def test_nothing_stays_switched_after_a_refusal():
    def cell(x, h):
        if h[0, 0] > 0:
            return h, h
        return x, h

    refused(cell, "values")
    assert isinstance(data(1, 1).item(), float)
    assert tg.tanh(data(2, 2, grad=True)).requires_grad


def test_explain_says_why_the_loop_was_asked_for():
    def cell(x, h):
        return h, x + h

    x, h = tg.ones((3, 2, 4)), tg.zeros((2, 4))
    assert tg.explain(cell) == "cell: not run yet"
    for reason, call in {
        "compiled=False": {"compiled": False},
        "output goes from segment to segment": {
            "checkpoint": 2,
            "lengths": [3, 1],
            "masked_output": "previous",
        },
    }.items():
        tg.scan(cell, x, h, **call)
        assert reason in tg.explain(cell)
        assert tg.explain(cell).startswith("cell: step by step: ")
    tg.scan(cell, x[:0], h)
    assert "no steps" in tg.explain(cell)
    tg.scan(cell, x, h)
    assert "step by step" not in tg.explain(cell)
