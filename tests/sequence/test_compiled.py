"""Compiled equals eager: values, gradients, second order, masks, directions, sizes, threads."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compare, compiled_scan, eager, kinds, machine_code, results, running, same
from tinygrad_rnn import nn, tree
from tinygrad_rnn.selfcheck.cells import (
    ALL,
    BUILT_IN,
    CALLED,
    WRITTEN,
    Maker,
    T,
    choices,
    layer_norm,
    made_outside,
    minimal_gated,
    residual,
    separate_matrices,
    several_inputs,
)


def every_cell(test):
    return pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)(test)


def made(make, dtype="float64", batch=3, width=5):
    """A cell, the leaves whose gradients count, its inputs and states."""
    cell, parameters, xs, state = make(Maker(dtype, batch, width))
    leaves = [x for x in (*tree.leaves(xs), *tree.leaves(state)) if x.requires_grad and x.is_leaf]
    return cell, [*(p for p in parameters if p.requires_grad), *leaves], xs, state


def ragged(batch, steps=T):
    """Which steps count: lengths that differ, and a gap."""
    live = np.arange(steps)[:, None] < np.arange(batch) % steps + 1
    live[min(1, steps - 1), -1] = False
    return live


@every_cell
def test_values_and_gradients(backend, make):
    cell, wanted, xs, state = made(make)
    expected = compare(backend, cell, wanted, xs, state, make not in CALLED)
    assert any(g is not None and np.any(g) for g in expected[1])
    compare(backend, cell, wanted, xs, state, make not in CALLED, reverse=True)


@pytest.mark.one_backend  # on a device test_zero_comes_out_where_masked has masks, of fewer cells
@every_cell
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


@pytest.mark.one_backend
@every_cell
def test_float32(backend, make):
    cell, wanted, xs, state = made(make, "float32")
    compare(backend, cell, wanted, xs, state, make not in CALLED)


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


@pytest.mark.one_backend
@every_cell
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


def no_bit_differs(scan, wanted, segments):
    """Whether a scan and its gradients come out the same however many steps are kept at a time."""
    values, gradients, *_ = results(lambda: scan(None), wanted)
    for every in segments:
        with_checkpoints = results(lambda k=every: scan(k), wanted)
        for a, b in zip([*values, *gradients], [*with_checkpoints[0], *with_checkpoints[1]], strict=True):
            np.testing.assert_array_equal(*((x[0] if isinstance(x, tuple) else x) for x in (a, b)))


@pytest.mark.one_backend
@machine_code
@pytest.mark.each_value
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [*BUILT_IN, *WRITTEN], ids=lambda make: make.__name__)
def test_checkpoints_change_no_bit_of_machine_code(make, dtype):
    cell, wanted, xs, state = made(make, dtype, batch=5)
    for reverse in (False, True):
        no_bit_differs(
            lambda k, r=reverse: tg.scan(cell, xs, state, reverse=r, checkpoint=k), wanted, (1, 2, 3)
        )


@pytest.mark.one_backend
@machine_code
def test_checkpoints_change_no_bit_where_threads_share_the_work():
    layer, x = (
        nn.LSTM(24, 40),
        tg.tensor(np.random.default_rng(0).normal(size=(33, 18, 24)), "float32", requires_grad=True),
    )

    def run(k):
        for direction in layer.layers[0]:
            direction.options["checkpoint"] = k
        return layer(x, lengths=np.arange(16, 34))

    no_bit_differs(run, [*layer.parameters(), x], (1, 5, 8, 32))


def test_what_is_hoisted_may_name_the_number_of_rows(backend):
    """The residual of a column that is broadcast is summed to (T · B, 1): other steps, another derivative."""
    random = np.random.default_rng(0)
    weight, recurrent = (
        tg.tensor(random.normal(size=shape), requires_grad=True) for shape in ((4, 5), (5, 5))
    )

    def cell(x, h):
        a, column = x
        h = tg.tanh((a * column) @ weight + h @ recurrent)
        return h, h

    for steps in (1, 3, 2, 3):
        xs = [tg.tensor(random.normal(size=(steps, 3, n)), requires_grad=True) for n in (4, 1)]
        compare(backend, cell, [*xs, weight, recurrent], tuple(xs), tg.zeros((3, 5), "float64"))


@pytest.mark.parametrize("where", ["in the loop", "before the loop"])
def test_what_is_fine_where_it_runs_gives_no_warning_where_it_is_compiled(backend, where):
    weight = tg.tensor(np.ones((3, 3)))

    def cell(x, h):
        h = tg.tanh(h + tg.sqrt(x - 5) @ weight) if where == "before the loop" else tg.sqrt(h - 5) + x
        return h, h

    x, h = (tg.tensor(np.full(shape, 10.0), requires_grad=True) for shape in ((4, 2, 3), (2, 3)))
    y, _ = tg.scan(cell, x, h, compiled=True)
    assert np.isfinite(tg.gradients(tg.sum(y), x).numpy()).all()


@pytest.mark.one_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_units_pass_nothing(dtype):
    """tanh is exactly 1 there, so its slope is exactly 0, and no weight moves."""
    w = tg.tensor(np.ones((1, 1)), dtype, requires_grad=True)
    x = tg.tensor(np.array([1e6, -1e6, 20.0, -20.0]).reshape(1, 4, 1), dtype)

    def cell(x, h):
        h = tg.tanh(x @ w + h)
        return h, h

    reasons = []
    with running("native", reasons):
        ys, _ = compiled_scan(cell, x, tg.zeros((4, 1), dtype))
    assert not reasons
    tg.sum(ys).backward()
    np.testing.assert_array_equal(ys.numpy().ravel(), [1, -1, 1, -1])
    np.testing.assert_array_equal(w.grad.numpy(), [[0]])


@pytest.mark.one_backend
@pytest.mark.parametrize("p", [0, 1, 2, 3, 4, -1, -2, -3, 0.5, -0.5, 1.5, -1.5, 2.5, 1 / 3, -7, 11.3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_of_numbers_at_the_ends_are_numpys(p, dtype):
    """Of ±0, ±1, ±∞, NaN and numbers below 0."""
    base = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -2.0], dtype)

    def cell(x, h):
        return x**p, h + x

    with running("native", reasons := []), tg.no_grad():
        ys, _ = compiled_scan(cell, tg.tensor(base.reshape(1, 2, 4)), tg.zeros((2, 4), dtype))
    assert not reasons
    with np.errstate(all="ignore"):
        expected = base**p
    found = ys.numpy().ravel()
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


@pytest.mark.one_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arithmetic_is_numpys_to_the_last_bit(dtype):
    """No product is joined to a sum, so a residual passes where a kept value equals one that is computed
    again."""
    random = np.random.default_rng(0)
    f, i, g = (tg.tensor(random.normal(size=(6, 4, 9)), dtype, requires_grad=True) for _ in range(3))
    state = tg.tensor(random.normal(size=(4, 9)), dtype, requires_grad=True)

    def cell(x, c):
        f, i, g = x
        c = tg.clip(f * c + i * g, -0.9, 0.9)
        return tg.maximum(c * f - i * g, i * f + g * c), c

    wanted = [f, i, g, state]
    expected = results(lambda: eager(cell, (f, i, g), state), wanted)
    with running("native", reasons := []):
        found = results(lambda: compiled_scan(cell, (f, i, g), state), wanted)
    assert not reasons
    for (a, *_), (b, *_) in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=16 * np.finfo(dtype).eps * np.abs(b).max())
