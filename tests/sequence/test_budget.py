"""``checkpoint="auto"`` and what ``explain`` tells of memory: what is kept is as many bytes as are said, and
no more than there may be."""

from __future__ import annotations

import gc
import math
import tracemalloc

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import backends, tree
from tinygrad_rnn.sequence import budget
from tinygrad_rnn.sequence.bound_step import BoundStep
from tinygrad_rnn.sequence.run import CompiledScan

STEPS, BATCH, INPUTS, UNITS = 200, 8, 16, 32
KINDS = ("RNN", "LSTM", "GRU", "PeepholeLSTM")


@pytest.fixture(autouse=True)
def _budget():
    yield
    tg.set_memory_budget(None)
    gc.collect()
    assert not budget._claims


def data(seed=0, shape=(STEPS, BATCH, INPUTS)):
    return tg.tensor(np.random.default_rng(seed).standard_normal(shape), "float32", requires_grad=True)


def gradients(layer, x, **options):
    tg.random.seed(0)
    loss = tg.sum(tg.sin(layer(x, **options)[0]))
    return [g.numpy() for g in tg.gradients(loss, [x, *layer.parameters()])]


def layers(kind, **options):
    """The same layer with all kept, and with as much as there may be."""
    made = []
    for checkpoint in (None, "auto"):
        tg.random.seed(1)
        made.append(getattr(tg.nn, kind)(INPUTS, UNITS, checkpoint=checkpoint, **options))
    return made


def told(layer, *inputs, **options):
    """(bytes a step, bytes of how many steps, how many steps) that are kept."""
    line = next(
        line for line in tg.explain(layer, *inputs, **options).splitlines() if line.startswith("  kept")
    )
    each, some = line.partition("values, " if "values" in line else "value, ")[2].split(" bytes a step, ")
    return int(each.replace(",", "")), int(some.split()[0].replace(",", "")), int(some.split()[2])


# -- what is said --------------------------------------------------------------------------------------------


@pytest.mark.numpy_only  # tracemalloc does not see a device's memory
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_as_much_as_is_told(kind):
    layer, x = layers(kind)[0], data()
    each, some, count = told(layer, x)
    gradients(layer, x)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        _result = layer(x)
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert (some, count) == (each * STEPS, STEPS)
    assert some <= kept < some + 100_000


@pytest.mark.both_backends
def test_what_would_be_kept_is_told_before_anything_is_run(backend, monkeypatch):
    def cell(x, h):
        h = tg.tanh(x + h)
        return h, h

    xs, h = tg.zeros((1_000_000, 1), "float32"), tg.tensor(np.zeros(1, "float32"), requires_grad=True)
    with monkeypatch.context() as patch:
        patch.setattr(CompiledScan, "forward", None)
        assert "4,000,000 of 1000000 steps" in tg.explain(cell, xs, h)
    tg.scan(cell, xs[:3], h)
    assert "12 of 3 steps" in tg.explain(cell)


def test_a_stack_tells_of_all_its_layers_before_it_is_run(backend):
    layer, x = tg.nn.LSTM(INPUTS, UNITS, num_layers=2, bidirectional=True, dropout=0.5), data()
    before = tg.explain(layer, x, lengths=[STEPS, *[3] * (BATCH - 1)])
    assert before.count("kept") == 4
    layer(x, lengths=[STEPS, *[3] * (BATCH - 1)])
    assert tg.explain(layer) == before


def test_a_scan_in_a_cell_is_traced_as_ever(backend):
    """What is planned for the outer one stays, so nothing that stands for a result may be in it."""
    steps = tg.ones((4, 2, 3), "float64")

    def outer(x, h):
        last = tg.scan(lambda a, b: (b + a, b + a), steps, h)[1]
        return last, last * 0.1 + x

    xs, h = tg.ones((3, 2, 3), "float64"), tg.zeros((2, 3), "float64")
    tg.explain(outer, xs, h)
    np.testing.assert_allclose(tg.scan(outer, xs, h)[0].numpy()[:, 0, 0], [4, 5.4, 5.54])


def test_nothing_is_drawn_run_or_changed(backend, monkeypatch):
    layer, x = tg.nn.LSTM(INPUTS, UNITS, num_layers=2, dropout=0.5), data()
    before = tg.random.get_state()
    monkeypatch.setattr(CompiledScan, "forward", None)
    monkeypatch.setattr(BoundStep, "outputs", None)
    tg.explain(layer, x)
    with tg.no_grad():
        tg.explain(layer, x[:1])
    assert tg.random.get_state() == before
    assert all(p.grad is None for p in [x, *layer.parameters()])


# -- how many steps ------------------------------------------------------------------------------------------


def test_as_many_steps_are_kept_at_a_time_as_fit():
    random, numpy = np.random.default_rng(0), backends.get("numpy")
    for _ in range(300):
        steps, each, between = (int(random.integers(1, most)) for most in (500, 1000, 300))
        most = int(random.integers(0, steps * each * 3 // 2))
        tg.set_memory_budget(most)
        found = budget.steps_at_a_time(numpy, steps, each, between)

        def needed(some, steps=steps, each=each, between=between):
            return some * each + steps / some * between

        if steps * each <= most:
            assert found is None
        elif min(map(needed, range(1, steps + 1))) <= most:
            assert needed(found) <= most
            assert found == steps or needed(found + 1) > most
        else:
            assert needed(found) <= min(map(needed, range(1, steps + 1))) + each + between * steps / found


@pytest.mark.numpy_only
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [1, 3, 40, 10_000])
def test_a_small_budget_changes_memory_and_no_bit(kind, part):
    whole, auto = layers(kind)
    x = data()
    expected, (_, some, _) = gradients(whole, x), told(whole, x)
    tg.set_memory_budget(some // part)
    for found, wanted in zip(gradients(auto, x), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert told(auto)[2] < STEPS
    gc.collect()
    tracemalloc.start()
    try:
        gradients(auto, x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        gradients(whole, x)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # of the input; outputs, what is made of them, and theirs
    results = 4 * x.size + 12 * STEPS * BATCH * UNITS
    assert peak < results + max(some // part, 3 * some // math.isqrt(STEPS)) * 2 + 200_000
    assert peak < most or part == 1


@pytest.mark.both_backends
def test_all_is_kept_where_there_is_room(backend):
    whole, auto = layers("GRU")
    x = data()
    tg.set_memory_budget(1 << 30)
    for found, wanted in zip(gradients(auto, x), gradients(whole, x), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert tg.explain(auto) == tg.explain(whole)


def test_scans_share_the_budget_until_their_backward_passes():
    layer, x = layers("LSTM")[1], data()
    _, some, _ = told(layer, x)
    tg.set_memory_budget(4 * some)
    losses = [tg.sum(layer(x)[0])]
    assert sum(budget._claims.values()) == some
    assert told(layer)[2] == STEPS
    while told(layer)[2] == STEPS:
        losses.append(tg.sum(layer(x)[0]))
    assert len(losses) in (3, 4)
    for loss in losses:
        loss.backward()
    assert not budget._claims
    layer(x)
    assert told(layer)[2] == STEPS


@pytest.mark.both_backends
@pytest.mark.parametrize("masked_output", ["zero", "previous"])
def test_masked_steps(backend, masked_output):
    whole, auto = layers("LSTM", masked_output=masked_output)
    lengths = np.random.default_rng(2).integers(1, STEPS, BATCH)
    tg.set_memory_budget(20_000)
    x = data()
    for found, wanted in zip(
        gradients(auto, x, lengths=lengths), gradients(whole, x, lengths=lengths), strict=True
    ):
        if backend == "numpy":
            np.testing.assert_array_equal(found, wanted)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert "at a time" in tg.explain(auto) or masked_output == "previous"
    assert "step by step" not in tg.explain(auto)


# -- step by step --------------------------------------------------------------------------------------------


def test_by_the_loop_the_first_step_tells_how_much_one_keeps(backend):
    weight = tg.tensor(
        np.random.default_rng(3).normal(size=(UNITS, UNITS)) / 6, "float32", requires_grad=True
    )

    def cell(x, h):
        h = tg.tanh(x @ weight[:INPUTS] + h @ weight)
        return h, h

    def run(checkpoint):
        x, h = data(shape=(30, BATCH, INPUTS)), tg.zeros((BATCH, UNITS), "float32")
        loss = tg.sum(tg.sin(tg.scan(cell, x, h, compiled=False, checkpoint=checkpoint)[0]))
        again = sum(entry.row.case == "replay" for entry in tg.Tape.of(loss))
        return [g.numpy() for g in tg.gradients(loss, [x, weight])], again

    expected, _ = run(None)
    counts = []
    for most in (1 << 30, 60_000, 30_000, 0):
        tg.set_memory_budget(most)
        found, again = run("auto")
        counts.append(again)
        for ours, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert len(set(counts)) > 2


CELLS = {
    "no residual goes back": (lambda x, n: (x > 0, n + 1), "int64"),
    "a state that is dropped": (lambda x, h: (x, tg.zeros((INPUTS,)) + 1.0), "float32"),
    "a number comes out": (lambda x, h: (1.0, h + x), "float32"),
    "nothing is kept": (lambda x, h: (h, h), "float32"),
}


@pytest.mark.parametrize("compiled", ["auto", False])
@pytest.mark.parametrize("most", [None, 0])
@pytest.mark.parametrize("name", CELLS)
def test_cells_of_which_little_is_kept(backend, name, most, compiled):
    cell, dtype = CELLS[name]
    x = data(shape=(6, INPUTS))
    h = tg.tensor(np.ones(INPUTS), dtype, requires_grad=dtype == "float32")
    tg.set_memory_budget(most)
    found, expected = (
        tree.leaves(tg.scan(cell, x, h, compiled=compiled, checkpoint=c)) for c in ("auto", None)
    )
    for y, z in zip(found, expected, strict=True):
        np.testing.assert_array_equal(tg.asarray(y).numpy(), tg.asarray(z).numpy())


def test_without_residuals_nothing_is_kept(backend):
    tg.set_memory_budget(0)
    whole, auto = layers("LSTM")
    with tg.no_grad():
        np.testing.assert_array_equal(auto(data())[0].numpy(), whole(data())[0].numpy())
    assert "kept" not in tg.explain(auto)


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["all", "Auto", "", "32", 0, -1, 1.0, 1.5, True, [2]])
def test_what_is_no_checkpoint(backend, given):
    with pytest.raises(tg.ArgumentError, match="checkpoint"):
        tg.nn.LSTM(2, 3, checkpoint=given)


@pytest.mark.parametrize("given", [-1, 1.5, 1e9, "1 GiB", math.inf, math.nan, [1]])
def test_what_is_no_budget(backend, given):
    tg.set_memory_budget(5)
    with pytest.raises(tg.ArgumentError, match="set_memory_budget: most"):
        tg.set_memory_budget(given)
    assert tg.memory_budget() == 5


@pytest.mark.both_backends
def test_a_quarter_of_what_there_is(backend):
    assert tg.memory_budget() == backends.current().memory() // 4 > 1 << 24


def test_a_budget_is_not_set_in_a_cell(backend):
    def cell(x, h):
        tg.set_memory_budget(10)
        return h, h + x

    tg.scan(cell, tg.ones((3, 2)), tg.zeros(2))
    assert "sets the memory budget" in tg.explain(cell)


# -- derivatives of derivatives ------------------------------------------------------------------------------


def _second_order(layer, x):
    """hvp, jvp and the residuals of a penalty, of one loss."""

    def loss(x):
        return tg.sum(tg.sin(layer(x)[0]))

    (g,) = tg.gradients(loss(x), [x], create_graph=True)
    penalty = tg.gradients(tg.sum(g**2), [x, *layer.parameters()])
    v = tg.ones(x.shape)
    return [r.numpy() for r in (*penalty, tg.hvp(loss, x.detach(), v), *tg.jvp(loss, x.detach(), v))]


@pytest.mark.machine_code
@pytest.mark.each_value
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checkpoint", [7, "auto"])
def test_a_derivative_keeps_as_many_steps_as_its_scan(kind, checkpoint):
    """The same bits, in less memory."""
    found, peaks = [], []
    for kept in (None, checkpoint):
        tg.set_memory_budget(1 << 16)
        tg.random.seed(1)
        layer, x = getattr(tg.nn, kind)(INPUTS, UNITS, checkpoint=kept), data()
        _second_order(layer, x)
        gc.collect()
        tracemalloc.start()
        found.append(_second_order(layer, x))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert peaks[1] < (0.95 if kind == "RNN" else 0.8) * peaks[0]  # what an RNN keeps is its outputs


@pytest.mark.machine_code
def test_a_budget_that_is_too_small_is_told():
    layer, x = tg.nn.LSTM(INPUTS, UNITS, checkpoint="auto"), data()
    tg.set_memory_budget(1000)
    (line,) = [line for line in tg.explain(layer, x).splitlines() if line.startswith("  budget")]
    least = int(line.split()[-4].replace(",", ""))
    assert line == f"  budget     too small: a backward pass takes {least:,} bytes at least"
    tg.set_memory_budget(least)
    assert "budget" not in tg.explain(layer, x)
