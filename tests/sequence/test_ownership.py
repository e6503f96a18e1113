"""One graph and many threads: what a scan keeps for its backward pass has one owner at a time."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn


def at_once(jobs):
    """The results of functions that run at the same time."""
    results, failures = [None] * len(jobs), []
    gate = threading.Barrier(len(jobs))

    def run(i, job):
        try:
            gate.wait()
            results[i] = job()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    return results


LAYERS = {
    "lstm": lambda: nn.LSTM(5, 32),
    "stack in two directions": lambda: nn.GRU(5, 12, num_layers=2, bidirectional=True),
    "checkpointed": lambda: nn.LSTM(5, 16, checkpoint=4),
    "step by step": lambda: nn.RNN(5, 16, compiled=False),
    "masked": lambda: nn.LSTM(5, 16, masked_output="previous"),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("count", [2, 4])
def test_losses_of_one_forward_pass_are_differentiated_in_several_threads(make, count, rng):
    layer = make()
    x = tg.tensor(rng.normal(size=(20, 6, 5)).astype("float32"), requires_grad=True)
    lengths = [20, 3, 7, 20, 1, 12] if layer.layers[0][0].options["masked_output"] == "previous" else None
    wanted = [*layer.parameters(), x]

    def losses():
        ys, _ = layer(x, lengths=lengths)
        return [tg.sum(ys**2), tg.sum(tg.tanh(ys)), tg.sum(ys[-1]), tg.mean(tg.exp(ys))][:count]

    expected = [[g.numpy() for g in tg.gradients(loss, wanted)] for loss in losses()]
    for _ in range(25):
        jobs = [lambda loss=loss: [g.numpy() for g in tg.gradients(loss, wanted)] for loss in losses()]
        for ours, theirs in zip(at_once(jobs), expected, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_backward_passes_in_several_threads_add_up(make, rng):
    """No residual that one of them adds to a leaf is lost."""
    layer = make()
    x = tg.tensor(rng.normal(size=(8, 6, 5)).astype("float32"))
    ys, _ = layer(x)
    parts = [tg.sum(ys[i] ** 2) for i in range(4)]
    (expected,) = [
        [g.numpy() for g in tg.gradients(parts[0] + parts[1] + parts[2] + parts[3], layer.parameters())]
    ]
    for _ in range(20):
        for parameter in layer.parameters():
            parameter.grad = None
        ys, _ = layer(x)
        at_once([tg.sum(ys[i] ** 2).backward for i in range(4)])
        for parameter, g in zip(layer.parameters(), expected, strict=True):
            np.testing.assert_allclose(parameter.grad.numpy(), g, rtol=1e-4, atol=1e-5)


def test_a_second_backward_pass_runs_the_forward_pass_again(rng):
    layer = nn.LSTM(3, 4, dtype="float64")
    ys, _ = layer(tg.tensor(rng.normal(size=(5, 2, 3))))
    loss = tg.sum(ys**2)
    first, second = ([g.numpy() for g in tg.gradients(loss, layer.parameters())] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.numpy_only  # its products' bits
@pytest.mark.parametrize("size", [4, 100, 300, 600])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_bit_of_a_program_depends_on_which_layer_ran_first(size, dtype, rng):
    a, b = (tg.tensor(rng.normal(size=(size, size)).astype(dtype)) for _ in range(2))
    products = [
        lambda: (a @ b).numpy(),
        lambda: (a.T @ b).numpy(),
        lambda: tg.einsum("ij,kj->ik", a, b).numpy(),
    ]
    before = [product() for product in products]
    ys, _ = nn.LSTM(3, 4)(tg.ones((3, 2, 3)))
    assert ys.shape == (3, 2, 4)
    for found, product in zip(before, products, strict=True):
        np.testing.assert_array_equal(found, product())
    np.testing.assert_array_equal(before[0], a.numpy() @ b.numpy())


OF_A_REDUCTION = {
    "all": lambda x, h, w, v: x + h * w.sum() + v.sum(),
    "rows": lambda x, h, w, v: x + h + w.mean(axis=0) + v,
    "columns": lambda x, h, w, v: x + v + h * 0.5 + w.sum(axis=1),
    "of a transpose": lambda x, h, w, v: x + h @ w + v + w.T.sum(axis=0),
    "the same": lambda x, h, w, v: x + h + (v + w[0]),
}


@pytest.mark.numpy_only
@pytest.mark.parametrize("name", OF_A_REDUCTION)
def test_residuals_of_a_scan_are_arrays_of_their_own(name, rng):
    """Also where the residual is one number for many elements, or the same for two operands: what is added to
    one leaves all others."""
    data, start = rng.standard_normal((3, 2, 5)), [rng.standard_normal((5, 5)), rng.standard_normal(5)]
    found = []
    for compiled in ("auto", False):
        w, v = (tg.tensor(a, requires_grad=True) for a in start)
        x = tg.tensor(data, requires_grad=True)

        def cell(x, h, w=w, v=v):
            h = tg.tanh(OF_A_REDUCTION[name](x, h, w, v))
            return h, h

        before = (w * w).sum() + (v * v).sum() + (x * x).sum()
        ys, last = tg.scan(cell, x, tg.zeros((2, 5), dtype="float64"), compiled=compiled)
        (tg.sum(ys * ys) + tg.sum(last) + before).backward()
        grads = [leaf.grad._data for leaf in (w, v, x)]
        for i, grad in enumerate(grads):
            assert grad.flags.writeable
            assert not any(np.shares_memory(grad, other) for other in grads[:i])
        found.append([grad.copy() for grad in grads])
        tg.sum(w).backward()  # adds to what is there
        np.testing.assert_allclose(w.grad.numpy(), found[-1][0] + 1, rtol=1e-12)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
