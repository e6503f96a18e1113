"""Compiled equals eager: values, gradients, second order, masks, directions, sizes, threads."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compare, compiled_scan, eager, kinds, results, running, same
from tests.sequence.made import every_cell, made, ragged, some_cells
from tinygrad_rnn import nn, tree
from tinygrad_rnn.backends.native import products
from tinygrad_rnn.selfcheck.cells import (
    ALL,
    CALLED,
    Maker,
    choices,
    layer_norm,
    made_outside,
    minimal_gated,
    residual,
    separate_matrices,
    several_inputs,
)


@pytest.mark.measured
@every_cell
def test_values_and_gradients(backend, make):
    cell, wanted, xs, state = made(make)
    expected = compare(backend, cell, wanted, xs, state, make not in CALLED)
    assert any(g is not None and np.any(g) for g in expected[1])
    compare(backend, cell, wanted, xs, state, make not in CALLED, reverse=True)


@some_cells(3)
def test_lengths_masks_and_what_comes_out_there(backend, make):
    cell, wanted, xs, state = made(make)
    compare(
        backend,
        cell,
        wanted,
        xs,
        state,
        make not in CALLED,
        live=ragged(3),
        masked_output="previous",
        reverse=True,
    )


@some_cells(3, 1)
def test_float32(backend, make):
    cell, wanted, xs, state = made(make, "float32")
    compare(backend, cell, wanted, xs, state, make not in CALLED)


@pytest.mark.both_backends
@pytest.mark.parametrize("make", [minimal_gated, separate_matrices, choices], ids=lambda make: make.__name__)
def test_zero_comes_out_where_masked(backend, make):
    cell, wanted, xs, state = made(make)
    compare(backend, cell, wanted, xs, state, live=ragged(3), masked_output="zero")
    compare(backend, cell, wanted, xs, state, live=ragged(3), masked_output="zero", reverse=True)
    compare(backend, cell, wanted, xs, state, live=ragged(3), masked_output="previous")


@pytest.mark.parametrize("which", ["ys", "last"])
@pytest.mark.parametrize(
    "make", [separate_matrices, residual, several_inputs], ids=lambda make: make.__name__
)
def test_a_loss_of_the_outputs_or_of_the_last_state_alone(backend, make, which):
    cell, wanted, xs, state = made(make)
    compare(backend, cell, wanted, xs, state, which=which)


@some_cells(3, 2)
def test_second_order(backend, make):
    cell, wanted, xs, state = made(make)
    random = np.random.default_rng(2)
    vs = [tg.tensor(random.normal(size=leaf.shape), leaf.dtype) for leaf in wanted]

    def products(scan):
        ys, last = scan(cell, xs, state)
        loss = sum(
            tg.sum(leaf * leaf) for leaf in (*tree.leaves(ys), *tree.leaves(last)) if leaf.requires_grad
        )
        first = tg.gradients(loss, wanted, create_graph=True)
        return tg.gradients(sum(tg.sum(g * v) for g, v in zip(first, vs, strict=True)), wanted)

    for found, expected in zip(products(compiled_scan), products(eager), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.both_backends
def test_forward_mode_and_products_with_the_hessian(backend):
    cell, _, xs, state = made(separate_matrices)
    v = tg.tensor(np.random.default_rng(3).normal(size=xs.shape))

    def loss(scan):
        return lambda x: tg.sum(scan(cell, x, state)[0] ** 2)

    for kind in kinds(backend):
        with running(kind):
            for transform in (tg.jvp, tg.hvp):
                found, expected = (
                    list(tree.leaves(transform(loss(scan), xs, v))) for scan in (compiled_scan, eager)
                )
                for a, b in zip(found, expected, strict=True):
                    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-11)


def test_against_central_differences(backend):
    w, u = (tg.tensor(np.random.default_rng(4).normal(size=(2, 2)) * 0.5) for _ in range(2))
    x, h = tg.tensor(np.random.default_rng(5).normal(size=(3, 2, 2))), tg.zeros((2, 2), "float64")

    def loss(x, h, w, u):
        def cell(x, h):
            h = tg.tanh(x @ w + h @ u)
            return h, h

        ys, last = compiled_scan(cell, x, h)
        return tg.sum(ys * ys) + tg.sum(last)

    tg.check_gradients(loss, x, h, w, u)


@pytest.mark.both_backends
@pytest.mark.each_value
@pytest.mark.parametrize(
    ("batch", "width"), [(1, 5), (1, 1), (3, 1), (2, 2), (5, 5), (2, 17), (4, 33), (7, 8)]
)
@pytest.mark.parametrize("make", [separate_matrices, layer_norm, choices], ids=lambda make: make.__name__)
def test_sizes(backend, make, batch, width):
    cell, wanted, xs, state = made(make, batch=batch, width=width)
    compare(backend, cell, wanted, xs, state, must_be_native=False)
    compare(
        backend, cell, wanted, xs, state, must_be_native=False, live=ragged(batch), masked_output="previous"
    )


@pytest.mark.parametrize("width", [1, 8, 17])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_built_in_layer_at_sizes_that_fill_vectors_and_that_do_not(backend, width, dtype):
    for build in (nn.LSTMCell, nn.GRUCell, nn.PeepholeLSTMCell, nn.RNNCell):
        cell = build(3, width, dtype=dtype)
        m = Maker(dtype, 2, width)
        state = (m.h(), m.h()) if isinstance(cell.state_size, tuple) else m.h()
        compare(backend, cell, cell.parameters(), m.x(), state, must_be_native=False)


@pytest.mark.both_backends
def test_one_step(backend):
    cell, wanted, xs, state = made(separate_matrices)
    compare(backend, cell, wanted, xs[:1], state)
    compare(
        backend,
        cell,
        wanted,
        xs[:1],
        state,
        live=np.array([[True, False, True]]),
        masked_output="previous",
        reverse=True,
    )


@pytest.mark.both_backends
def test_arrays_that_are_not_contiguous(backend):
    cell, wanted, xs, state = made(separate_matrices)
    turned = tg.tensor(np.ascontiguousarray(xs.numpy().transpose(2, 1, 0)), requires_grad=True)
    states = [tg.tensor(np.ascontiguousarray(s.numpy().T), requires_grad=True) for s in state]
    leaves = [*wanted[:12], turned, *states]
    compare(backend, cell, leaves, tg.transpose(turned, (2, 1, 0)), tuple(s.T for s in states))
    compare(backend, cell, leaves, tg.transpose(turned, (2, 1, 0))[::-1], tuple(s.T for s in states))


def test_gradient_of_a_view_of_the_outputs(backend):
    cell, wanted, xs, state = made(separate_matrices)
    tg.sum(eager(cell, xs, state)[0][1:3, :, ::2] ** 2).backward()
    expected = [leaf.grad.numpy().copy() for leaf in wanted]
    for kind in kinds(backend):
        with running(kind):
            for leaf in wanted:
                leaf.grad = None
            tg.sum(compiled_scan(cell, xs, state)[0][1:3, :, ::2] ** 2).backward()
            for leaf, gradient in zip(wanted, expected, strict=True):
                np.testing.assert_allclose(leaf.grad.numpy(), gradient, rtol=1e-12, atol=1e-11)


def test_several_backward_passes(backend):
    """The first pass may overwrite what was kept: the others come out the same."""
    cell, wanted, xs, state = made(separate_matrices)
    ys, _ = eager(cell, xs, state)
    losses = tg.sum(ys), tg.sum(ys * ys)
    expected = [tg.gradients(loss, wanted) for loss in losses]
    for kind in kinds(backend):
        with running(kind):
            ys, _ = compiled_scan(cell, xs, state)
            kept = ys.numpy().copy()
            losses = tg.sum(ys), tg.sum(ys * ys)
            for _ in range(2):
                for loss, gradients in zip(losses, expected, strict=True):
                    for found, gradient in zip(tg.gradients(loss, wanted), gradients, strict=True):
                        np.testing.assert_allclose(found.numpy(), gradient.numpy(), rtol=1e-12, atol=1e-11)
            assert np.array_equal(ys.numpy(), kept)


@pytest.mark.both_backends
@pytest.mark.parametrize("make", [*ALL[2:8:2], *ALL[8::4]], ids=lambda make: make.__name__)
def test_without_recording(backend, make):
    cell, _, xs, state = made(make)
    with tg.no_grad():
        expected = results(lambda: eager(cell, xs, state, live=ragged(3)), [])
        for kind in kinds(backend):
            with running(kind):
                found = results(lambda: compiled_scan(cell, xs, state, live=ragged(3)), [])
                assert not any(leaf.requires_grad for leaf in tree.leaves(compiled_scan(cell, xs, state)))
            same(found, expected, 1e-12)


def test_parameters_that_an_optimiser_moves(backend):
    """Three steps of training: the same numbers as with the eager loop."""
    histories = []
    for kind in (None, *kinds(backend)):
        cell, wanted, xs, state = made(separate_matrices)
        optimiser = tg.optim.Adam(wanted[:12], 0.1)
        losses = []
        for _ in range(4):
            with running(kind):
                ys, _ = (compiled_scan if kind else eager)(cell, xs, state)
                loss = tg.sum(ys * ys)
                for leaf in wanted:
                    leaf.grad = None
                loss.backward()
            optimiser.step()
            losses.append(loss.item())
        histories.append(losses)
    assert len(set(histories[0])) == 4
    for losses in histories[1:]:
        np.testing.assert_allclose(losses, histories[0], rtol=1e-12)


@pytest.mark.both_backends
def test_parameters_moved_between_forward_and_backward_are_never_mixed(backend):
    cell, wanted, xs, state = made(separate_matrices)
    expected = tg.gradients(tg.sum(eager(cell, xs, state)[0]), wanted)
    for kind in kinds(backend):
        with running(kind):
            loss = tg.sum(compiled_scan(cell, xs, state)[0])
            before = [leaf._data for leaf in wanted]
            for leaf in wanted[:12]:
                leaf.data = leaf.numpy() * 2
            found = None
            # "got another array": no gradient rather than a mixed one
            with contextlib.suppress(tg.TapeError):
                found = tg.gradients(loss, wanted)
            for a, b in zip(found or expected, expected, strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-11)
            for leaf, array in zip(wanted, before, strict=True):
                leaf._data = array


def test_writing_into_an_array_on_the_tape_is_seen():
    cell, wanted, xs, state = made(residual)
    array = xs.data
    array *= 2
    loss = tg.sum(compiled_scan(cell, xs, state)[0])
    expected = tg.gradients(tg.sum(eager(cell, xs, state)[0]), wanted)
    for a, b in zip(tg.gradients(loss, wanted), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-11)
    array *= 2
    with pytest.raises(tg.TapeError, match="in place"):
        loss.backward()


def test_shapes_and_dtypes_that_change_from_call_to_call(backend):
    rng = np.random.default_rng(6)
    w = {d: tg.tensor(rng.normal(size=(3, 3)), d, requires_grad=True) for d in ("float32", "float64")}

    def cell(x, h):
        h = tg.tanh(x + h @ w[h.dtype.name])
        return h, h

    sizes = [
        (4, 3, "float64"),
        (2, 3, "float64"),
        (4, 1, "float32"),
        (4, 3, "float32"),
        (5, 2, "float64"),
        (4, 3, "float64"),
    ]
    for steps, batch, dtype in sizes:
        x, h = (
            tg.tensor(rng.normal(size=(steps, batch, 3)), dtype, requires_grad=True),
            tg.tensor(rng.normal(size=(batch, 3)), dtype),
        )
        compare(backend, cell, [w[dtype], x], x, h)


def test_what_was_made_outside_gets_its_gradient_through_the_scan(backend):
    cell, wanted, xs, state = made(made_outside)
    compare(backend, cell, wanted, xs, state)


def test_two_scans_on_one_tape(backend):
    """The second layer goes on from the first; both directions share a cell."""
    cell, wanted, xs, state = made(residual)
    for kind in kinds(backend):

        def layers(scan):
            ys, last = scan(cell, xs, state)
            back, _ = scan(cell, ys, last, reverse=True)
            return ys + back, last

        expected = results(lambda layers=layers: layers(eager), wanted)
        with running(kind):
            same(results(lambda layers=layers: layers(compiled_scan), wanted), expected, 1e-12)


def test_threads_at_once(backend):
    cells = [made(make) for make in (separate_matrices, residual, minimal_gated, choices)]
    expected = [results(lambda c=c: eager(c[0], c[2], c[3]), c[1]) for c in cells]
    wrong = []

    def work(cell, wanted, xs, state, gradients):
        try:
            for _ in range(5):
                with tg.use_backend(backend), np.errstate(under="ignore"):
                    ys, _ = compiled_scan(cell, xs, state)
                    np.testing.assert_allclose(
                        tree.leaves(ys)[0].numpy(), gradients[0][0][0], rtol=1e-12, atol=1e-11
                    )
                    tg.gradients(tg.sum(tree.leaves(ys)[0]), wanted)
        except BaseException as error:
            wrong.append(error)

    threads = [
        threading.Thread(target=work, args=(*c, e)) for c, e in zip(cells * 2, expected * 2, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.machine_code
@pytest.mark.parametrize("units", [16, 17, 24])
def test_a_product_before_the_loop_is_read_when_it_is_done(units, rng, monkeypatch):
    """Where nothing goes back, less of its panels is empty if it is computed as Bᵀ Aᵀ: it lies by columns,
    and the loop reads a copy by rows. Workers begin as late as they may: when somebody waits for them."""
    layer, loop = nn.GRU(5, units), nn.GRU(5, units, compiled=False)
    loop.load_state_dict(layer.state_dict())
    x = rng.normal(size=(1600, 1, 5)).astype("float32")
    monkeypatch.setattr(products.GatheredProducts, "start", lambda self: None)
    with tg.no_grad():
        found = [layer(x + i)[0].numpy() for i in range(3)]
        expected = [loop(x + i)[0].numpy() for i in range(3)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
