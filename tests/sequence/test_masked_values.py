"""What lengths and masks cut off changes nothing, whatever it holds: each sample gives what it gives alone,
without its padding."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import seeds
from tests.sequence.masked import (
    BAD,
    FUNCTIONS,
    LENGTHS,
    B,
    Cell,
    H,
    I,
    T,
    alone,
    check,
    gradients,
    holes,
    lengths_mask,
    run,
    spoil,
    ways,
)
from tinygrad_rnn import nn, tree


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_padding(backend, rng, f, bad):
    x, live = rng.uniform(0.3, 1.5, (T, B, I)), lengths_mask()
    with np.errstate(all="ignore"):
        cell, state = Cell(f), tg.zeros((B, H), "float64")
        check(
            backend,
            cell,
            tg.tensor(x),
            state,
            live,
            cell.parameters(),
            tg.tensor(spoil(x, live, bad)),
            lengths=LENGTHS,
        )


@pytest.mark.parametrize("reverse", [False, True])
def test_a_mask_with_gaps_and_both_directions(backend, rng, reverse):
    x, live = rng.uniform(0.3, 1.5, (T, B, I)), holes(rng)
    with np.errstate(all="ignore"):
        cell, state = Cell(tg.log), tg.zeros((B, H), "float64")
        spoilt = tg.tensor(spoil(x, live, np.nan))
        check(backend, cell, tg.tensor(x), state, live, cell.parameters(), spoilt, mask=live, reverse=reverse)


@pytest.mark.both_backends
def test_inputs_and_states_that_want_a_gradient(backend, rng):
    """The residual of what is cut off is 0, and goes nowhere: not into what the inputs are made of either."""
    z, live = rng.uniform(0.3, 1.5, (T, B, I)), lengths_mask()
    cell = Cell(tg.sqrt)
    A, h = (
        tg.tensor(np.eye(I) + 0.1, requires_grad=True),
        tg.tensor(rng.normal(size=(B, H)), requires_grad=True),
    )
    wanted = [*cell.parameters(), A, h]
    with np.errstate(all="ignore"):
        for bad in (np.nan, np.inf):
            expected = alone(cell, tg.tensor(z) @ A, h, live, wanted)[2]
            for way in ways(backend):
                found = gradients(
                    wanted, *run(way, cell, tg.tensor(spoil(z, live, bad)) @ A, h, lengths=LENGTHS)
                )
                # a product outside of the scan: not looked into where that would have to wait
                if backend == "cupy":
                    found, expected = found[:3] + found[4:], expected[:3] + expected[4:]
                for a, e in zip(found, expected, strict=True):
                    np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12)
                expected = alone(cell, tg.tensor(z) @ A, h, live, wanted)[2]
    x = tg.tensor(spoil(z, live, np.nan), requires_grad=True)
    ys, _ = tg.scan(cell, x, h, LENGTHS)
    tg.sum(ys).backward()
    assert not x.grad.numpy()[~live].any()


def test_a_sample_of_which_nothing_counts_may_begin_anywhere(backend, rng):
    x, live, h = rng.uniform(0.3, 1.5, (T, B, I)), lengths_mask(), rng.normal(size=(B, H))
    cell, spoilt = Cell(tg.log), tg.tensor(spoil(x, live, np.nan))
    with np.errstate(all="ignore"):
        expected = None
        for start in (h[2], np.full(H, np.nan), np.full(H, 1e300)):
            state = tg.tensor(np.where(np.arange(B)[:, None] == 2, start, h))
            for way in ways(backend):
                ys, last = run(way, cell, spoilt, state, lengths=LENGTHS)
                np.testing.assert_array_equal(last.numpy()[2], start)
                cell.zero_grad()
                (tg.sum(ys * ys) + tg.sum(tg.take(last, [0, 1, 3], 0))).backward()
                found = [p.grad.numpy() for p in cell.parameters()]
                expected = expected or found
                for a, e in zip(found, expected, strict=True):
                    np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_a_batch_of_which_nothing_counts(backend, bad):
    cell = Cell(tg.log)
    with np.errstate(all="ignore"):
        for way in ways(backend):
            ys, last = run(
                way,
                cell,
                tg.tensor(np.full((T, B, I), bad)),
                tg.ones((B, H), dtype="float64"),
                lengths=[0] * B,
            )
            assert not ys.numpy().any()
            assert (last.numpy() == 1).all()
            for gradient in gradients(cell.parameters(), ys, last):
                assert not gradient.any()


@pytest.mark.parametrize("bad", [-100, 10**6])
def test_words_that_there_are_not(backend, rng, bad):
    """Class numbers beyond the length need not name anything."""
    words, live = rng.integers(0, 7, (T, B)), lengths_mask()
    table = tg.tensor(rng.normal(size=(7, I)), requires_grad=True)
    inner = Cell(lambda x: x)

    def cell(word, h):
        return inner(tg.take(table, word, 0), h)

    wanted, state = [table, *inner.parameters()], tg.zeros((B, H), "float64")
    check(
        backend,
        cell,
        tg.tensor(words),
        state,
        live,
        wanted,
        tg.tensor(spoil(words, live, bad)),
        lengths=LENGTHS,
    )


def test_nested_inputs(backend, rng):
    a, b, live = rng.uniform(0.3, 1.5, (T, B, I)), rng.uniform(0.3, 1.5, (T, B, 1)), lengths_mask()
    inner = Cell(lambda x: x)

    def cell(x, h):
        y, h = inner(tg.log(x["a"]) / x["b"][0], h)
        return [y, h * 2], h

    xs = {"a": tg.tensor(a), "b": (tg.tensor(b),)}
    spoilt = {"a": tg.tensor(spoil(a, live, np.nan)), "b": (tg.tensor(spoil(b, live, 0.0)),)}
    with np.errstate(all="ignore"):
        check(
            backend, cell, xs, tg.zeros((B, H), "float64"), live, inner.parameters(), spoilt, lengths=LENGTHS
        )


@pytest.mark.both_backends
def test_float16(backend, rng):
    x, live = rng.uniform(0.3, 1.5, (T, B, I)).astype(np.float16), lengths_mask()
    cell, state = Cell(tg.log, "float16"), tg.zeros((B, H), "float16")
    with np.errstate(all="ignore"):
        spoilt = tg.tensor(spoil(x, live, np.nan))
        check(backend, cell, tg.tensor(x), state, live, cell.parameters(), spoilt, 2e-2, lengths=LENGTHS)


LAYERS = {
    "LSTM": lambda: nn.LSTM(I, H, dtype="float64"),
    "stack": lambda: nn.LSTM(I, H, num_layers=2, bidirectional=True, dtype="float64"),
    "GRU": lambda: nn.GRU(I, H, reset="before", dtype="float64"),
    "relu": lambda: nn.RNN(I, H, nonlinearity="relu", bidirectional=True, dtype="float64"),
    "peephole": lambda: nn.PeepholeLSTM(I, H, num_layers=2, dtype="float64"),
    "previous": lambda: nn.LSTM(I, H, masked_output="previous", dtype="float64"),
    "checkpointed": lambda: nn.LSTM(I, H, num_layers=2, checkpoint=2, dtype="float64"),
    "loop": lambda: nn.GRU(I, H, num_layers=2, compiled=False, dtype="float64"),
}


@pytest.mark.both_backends
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layers(make, rng):
    """No bit changes with the padding."""
    x, live = rng.normal(size=(T, B, I)), lengths_mask()
    found = []
    for bad in (0.0, np.nan, -np.inf, 1e30):
        tg.random.seed(0)
        layer = make()
        ys, state = layer(tg.tensor(spoil(x, live, bad)), lengths=LENGTHS)
        found.append([ys.numpy(), *gradients(layer.parameters(), ys, state)])
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_array_equal(a, b)


KINDS = {
    "rnn": lambda **options: nn.RNN(I, H, dtype="float64", **options),
    "relu": lambda **options: nn.RNN(I, H, nonlinearity="relu", dtype="float64", **options),
    "lstm": lambda **options: nn.LSTM(I, H, dtype="float64", **options),
    "projected": lambda **options: nn.LSTM(I, H, proj_size=2, dtype="float64", **options),
    "peephole": lambda **options: nn.PeepholeLSTM(I, H, dtype="float64", **options),
    "gru": lambda **options: nn.GRU(I, H, dtype="float64", **options),
    "user's": lambda **options: nn.Recurrent(Cell(lambda x: x), **options),
}


@pytest.mark.parametrize("trial", seeds(6, daily=2))
@pytest.mark.parametrize("kind", KINDS)
def test_layers_with_any_options(kind, trial):
    """Whatever the padding of inputs and targets holds: the loss and the gradients of the samples one by one,
    each without its padding."""
    random = np.random.default_rng([trial, len(kind)])
    shared = {
        "batch_first": bool(random.integers(2)),
        "masked_output": str(random.choice(["zero", "previous"])),
        "compiled": [True, False, "auto"][random.integers(3)],
        "checkpoint": [None, 2][random.integers(2)],
    }
    if shared["checkpoint"] and shared["masked_output"] == "previous" and shared["compiled"] is True:
        shared["compiled"] = "auto"  # which cannot be compiled
    own = {"reverse": bool(random.integers(2))} if kind == "user's" else {
        "num_layers": int(random.integers(1, 3)), "bidirectional": bool(random.integers(2))
    }  # fmt: skip
    tg.random.seed(trial)
    layer = KINDS[kind](**own, **shared)
    live = lengths_mask() if random.integers(2) else holes(random)
    x, b_first = random.normal(size=(T, B, I)), shared["batch_first"]
    target = random.normal(size=layer(tg.tensor(x.swapaxes(0, 1) if b_first else x))[0].shape)
    target = target.swapaxes(0, 1) if b_first else target

    def run_on(x, target, live, **masks):
        """The loss of what counts, and its gradients."""
        layer.zero_grad()
        laid = (lambda z: z.swapaxes(0, 1)) if b_first else (lambda z: z)
        ys, state = layer(
            tg.tensor(laid(x)),
            **{name: laid(mask) if name == "mask" else mask for name, mask in masks.items()},
        )
        loss = tg.sum(tg.mse_loss(ys, tg.tensor(laid(target)), reduction="none")[tg.tensor(laid(live))])
        loss = loss + sum(tg.sum(leaf * leaf) for leaf in tree.leaves(state))
        loss.backward()
        return [loss.numpy(), *(p.grad.numpy() for p in layer.parameters())]

    expected = 0
    for b in range(B):
        steps = np.flatnonzero(live[:, b])
        if len(steps):
            expected = expected + np.array(
                run_on(x[steps, b : b + 1], target[steps, b : b + 1], live[steps, b : b + 1]), object
            )
    masks = {"lengths": LENGTHS} if (live == lengths_mask()).all() and random.integers(2) else {"mask": live}
    for bad in (np.nan, np.inf, -np.inf, 1e30):
        with np.errstate(all="ignore"):
            found = run_on(spoil(x, live, bad), spoil(target, live, bad), live, **masks)
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-11)


@pytest.mark.numpy_only
@pytest.mark.parametrize("compiled", [True, False])
def test_views_show_the_residuals_that_the_gradients_are_made_of(compiled, rng):
    """Which tables and pictures follow is what a backward pass carries, also where something was left out."""
    x, live = rng.normal(size=(T, B, I)), lengths_mask()
    layer = nn.LSTM(I, H, compiled=compiled, dtype="float64")
    tables = []
    for bad in (0.0, np.nan, np.inf):
        target = np.where(live[..., None], np.ones(H), bad)
        with np.errstate(all="ignore"):
            ys, _ = layer(tg.tensor(np.where(live[..., None], x, bad)), lengths=LENGTHS)
            loss = tg.sum(tg.mse_loss(ys, target, reduction="none")[live])
            tables.append((tg.flow(loss).table(), tg.draw(loss, view="steps").dot))
    assert "NaN" not in "".join(tables[0])
    assert tables[1:] == tables[:1] * 2


@pytest.mark.numpy_only
def test_a_cell_that_breaks_at_a_step_that_does_not_count(rng):
    """A countdown: log(0) / 0 as soon as it is called once more. On a device it would have to be waited
    for."""
    x, live, steps = rng.normal(size=(T, B, I)), lengths_mask(), np.maximum(LENGTHS, 1.0)
    inner = Cell(lambda x: x)

    def cell(x, state):
        h, left = state
        y, h = inner(x * tg.log(left) / left, h)
        return y, (h, left - 1)

    state = (tg.zeros((B, H), "float64"), tg.tensor(steps[:, None]))
    with np.errstate(all="ignore"):
        check(
            "numpy",
            cell,
            tg.tensor(x),
            state,
            live,
            inner.parameters(),
            tg.tensor(spoil(x, live, np.nan)),
            lengths=LENGTHS,
        )


def test_a_learned_state_is_not_changed_by_a_cell_that_writes_in_place(rng):
    h0 = tg.tensor(rng.normal(size=(B, H)), requires_grad=True)
    before = h0.numpy().copy()

    def cell(x, h):
        h += tg.tanh(x)
        return h, h

    x = tg.tensor(rng.normal(size=(T, B, H)))
    for compiled in (True, False):
        with tg.no_grad():
            ys, _ = tg.scan(cell, x, h0, compiled=compiled)
        np.testing.assert_allclose(ys.numpy()[-1], before + np.tanh(x.numpy()).sum(0))
        np.testing.assert_array_equal(h0.numpy(), before)
