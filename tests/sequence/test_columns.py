"""Threads that share the columns of a step: no two of them meet in memory, and what they make does not depend
on how many there are."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import some
from tinygrad_rnn.backends.native import thresholds
from tinygrad_rnn.selfcheck.cells import Maker
from tinygrad_rnn.selfcheck.cells.published import PUBLISHED
from tinygrad_rnn.sequence import bound_step, nested
from tinygrad_rnn.sequence.columns import Columns
from tinygrad_rnn.sequence.contractions import Contraction
from tinygrad_rnn.sequence.nests import SLOTS, Group

pytestmark = pytest.mark.machine_code

SPELLINGS = [(name, spelling) for name, cell in PUBLISHED.items() for spelling in cell.spellings]
SOME = some(SPELLINGS, 24)


@pytest.fixture
def sharing(monkeypatch):
    """Columns are shared wherever they can be, by as many threads as the second value says; the first are all
    splits."""
    noted, count = [], [2]

    class Noted(Columns):
        def __init__(self, nests, width):
            super().__init__(nests, min(width, 64))  # as of a processor with short vectors, so that all share
            noted.append(self)

    monkeypatch.setattr(nested, "Columns", Noted)
    monkeypatch.setattr(nested, "_reads_much", lambda plan: True)
    monkeypatch.setattr(nested, "threads", lambda: count[0])
    for name in ("PARALLEL_FORWARD_MIN_WORK", "PARALLEL_BACKWARD_MIN_WORK"):
        monkeypatch.setattr(thresholds, name, 0)
    tg.clear_caches()
    yield noted, count
    tg.clear_caches()


def passed(name, spelling, compiled="auto", width=70):
    """Results, and gradients of a sum of them all."""
    cell = PUBLISHED[name]
    xs, state, weights = cell.draw(Maker("float64", 3, width))
    ys = tg.tree.leaves(
        cell.spellings[spelling](lambda *a, **k: tg.scan(*a, compiled=compiled, **k), xs, state, **weights)
    )
    loss = sum(tg.sum(tg.sin(y + i)) for i, y in enumerate(y for y in ys if y.dtype.kind == "f"))
    leaves = [x for x in tg.tree.leaves((xs, state, weights)) if x.requires_grad]
    loss.backward()
    return [y.numpy() for y in ys] + [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]


def touched(columns, nest, thread, many):
    """The elements of buffers that a thread reads and writes in a nest: (buffer, slot, is it written,
    elements or None for all)."""
    split = columns.splits.get(id(nest))
    if split is None and thread:
        return
    for place, index, writes in columns.touched(nest):
        if index is None:
            yield place, writes, None
            continue
        at = np.array([index.const])
        for axis, stride in index.terms.items():
            first, last = 0, axis.length
            if split is not None and axis is split.axis:
                first, last = (
                    min(split.together * (split.parts * i // many), axis.length) for i in (thread, thread + 1)
                )
            at = (at[:, None] + stride * np.arange(first, last)).reshape(-1)
        yield place, writes, at


def meetings(columns, many, direction, rounds=3):
    """Pairs of accesses by two threads to one element, of which one is a write, with nothing between them
    that both wait for."""
    nests = columns._nests
    timeline = [(nest, 0) for nest in nests.prologue] + [(None, 0)]
    timeline += [(nest, n) for n in range(rounds) for nest in nests.stages]
    since: dict = {}
    for nest, n in timeline:
        if nest is None or id(nest) in columns.waits:
            since = {}
        if nest is None:
            continue
        new: dict = {}
        for thread in range(many):
            for place, writes, at in touched(columns, nest, thread, many):
                slot = 0
                if place.slot != "fixed":
                    _, further, turns = SLOTS[place.slot]
                    slot = direction * n + further
                    slot = slot % 2 if turns else slot
                new.setdefault((place.buffer.number, slot), []).append((thread, writes, at))
        for key, accesses in new.items():
            for (a, a_writes, ours), (b, b_writes, theirs) in itertools.product(
                accesses, accesses + since.get(key, [])
            ):
                if (
                    a != b
                    and (a_writes or b_writes)
                    and (ours is None or theirs is None or np.intersect1d(ours, theirs).size)
                ):
                    yield nest, key
        for key, accesses in new.items():
            since.setdefault(key, []).extend(accesses)


@pytest.mark.parametrize(("name", "spelling"), SOME)
def test_no_two_threads_meet(name, spelling, sharing):
    """Counted element by element, for two steps after the first."""
    noted, _ = sharing
    passed(name, spelling)
    for columns, many, direction in itertools.product(noted, (2, 3), (1, -1)):
        if columns.most >= many:
            assert not list(meetings(columns, many, direction))


@pytest.mark.parametrize(("name", "spelling"), SOME)
def test_the_same_for_any_number_of_threads(name, spelling, sharing):
    _, count = sharing
    expected = passed(name, spelling, False)
    found = []
    for count[0] in (1, 2, 3):
        found.append(passed(name, spelling))
        for y, z in zip(found[-1], expected, strict=True):
            np.testing.assert_allclose(y, z, rtol=1e-8, atol=1e-9 * max(1, np.abs(z).max(initial=0)))
    for others in found[1:]:
        for y, z in zip(others, found[0], strict=True):
            np.testing.assert_allclose(y, z, rtol=1e-11, atol=1e-12 * max(1, np.abs(z).max(initial=0)))


def flipped(x, h):
    """Writes groups of four side by side, and reads them from other places, backwards."""
    f = h.reshape(512)[2:258].reshape(64, 4)[:, ::-1]
    return tg.tanh(f * 0.9 + x), tg.concatenate([tg.tanh(f * 0.9 + x), tg.sin(f * 0.7 - x)], axis=0)


def turned_round(x, h):
    """Reads the other end of what it writes."""
    return h, 0.5 * tg.sin(h[::-1] * 0.9 + x[:, ::-1]) + 0.3 * tg.roll(h, 1, 0)


@pytest.mark.parametrize(
    ("cell", "shape"), [(flipped, (128, 4)), (turned_round, (128, 4)), (turned_round, (4, 128))]
)
def test_places_that_are_counted_backwards(cell, shape, sharing, rng):
    noted, _ = sharing
    x = tg.tensor(
        rng.standard_normal((300, 64 if cell is flipped else shape[0], shape[1])), requires_grad=True
    )
    h, found = tg.tensor(rng.standard_normal(shape), requires_grad=True), []
    for compiled in (True, False):
        x.grad = h.grad = None
        ys, last = tg.scan(cell, x, h, compiled=compiled)
        (tg.sum(ys[-3:] * ys[-3:]) + tg.sum(last)).backward()
        found.append([ys.numpy(), last.numpy(), x.grad.numpy(), h.grad.numpy()])
    for y, z in zip(*found, strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-6, atol=1e-8 * max(1, np.abs(z).max()))
    for columns, direction in itertools.product(noted, (1, -1)):
        assert not list(meetings(columns, 2, direction))


def test_the_check_finds_a_wait_that_is_left_out(sharing):
    noted, _ = sharing
    passed("lstm", next(iter(PUBLISHED["lstm"].spellings)))
    assert noted
    for columns in noted:
        assert columns.waits
        for wait in list(columns.waits):
            columns.waits.remove(wait)
            assert list(meetings(columns, 2, 1))
            columns.waits.add(wait)


@pytest.mark.parametrize(("layer", "waits"), [("RNN", (1, 1)), ("LSTM", (2, 1)), ("GRU", (2, 1))])
def test_how_often_a_step_of_a_layer_waits(layer, waits, sharing):
    """Before a product of the state, or of residuals, and before what is made of all gates; all nests are
    shared."""
    noted, _ = sharing
    x = tg.tensor(np.ones((4, 2, 16), np.float32), requires_grad=True)
    y, _ = getattr(tg.nn, layer)(16, 128)(x)
    tg.sum(y * y).backward()
    assert (
        tuple(len([nest for nest in columns._nests.stages if id(nest) in columns.waits]) for columns in noted)
        == waits
    )
    for columns in noted:
        heavy = [nest for nest in columns._nests.stages if isinstance(nest, (Group, Contraction))]
        assert all(id(nest) in columns.splits for nest in heavy)


@pytest.mark.parametrize("layer", ["RNN", "LSTM", "GRU", "PeepholeLSTM"])
def test_no_bit_of_a_layer_depends_on_how_many_there_are(layer, sharing, rng):
    _, count = sharing
    module = getattr(tg.nn, layer)(40, 130)
    data, found = rng.standard_normal((6, 3, 40)).astype(np.float32), []
    for count[0] in (1, 2, 3):
        x = tg.tensor(data, requires_grad=True)
        module.zero_grad()
        y, _ = module(x)
        tg.sum(y * y).backward()
        found.append([y.numpy(), x.grad.numpy(), *(p.grad.numpy() for p in module.parameters())])
    for others in found[1:]:
        for y, z in zip(others, found[0], strict=True):
            np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("layer", ["RNN", "LSTM", "GRU"])
def test_a_stepper_shares_columns(layer, monkeypatch, rng):
    """Step by step it goes the way of the whole sequence, also from an earlier state on."""
    monkeypatch.setattr(thresholds, "PARALLEL_STEP_MIN_WORK", 0)
    module = getattr(tg.nn, layer)(40, 130)
    data = rng.standard_normal((9, 1, 40)).astype(np.float32)
    with tg.no_grad():
        ys, last = module(tg.tensor(data))
    for count in (1, 2, 3):
        monkeypatch.setattr(bound_step, "threads", lambda count=count: count)
        stepper, kept = module.stepper(), None
        for t, x in [*enumerate(data), *enumerate(data[3:], 3)]:
            if t == 3:
                stepper, kept = (stepper, stepper.state) if kept is None else (module.stepper(kept), kept)
            np.testing.assert_allclose(stepper(tg.tensor(x)).numpy(), ys.numpy()[t], rtol=1e-5, atol=1e-6)
        for a, b in zip(tg.tree.leaves(stepper.state), tg.tree.leaves(last), strict=True):
            np.testing.assert_allclose(a.numpy().reshape(-1), b.numpy().reshape(-1), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_stepper_goes_on_in_a_forked_process(monkeypatch, rng, tmp_path):
    """Alone: its threads stay behind."""
    monkeypatch.setattr(thresholds, "PARALLEL_STEP_MIN_WORK", 0)
    monkeypatch.setattr(bound_step, "threads", lambda: 2)
    stepper, data = tg.nn.GRU(40, 130).stepper(), rng.standard_normal((6, 1, 40)).astype(np.float32)
    for x in data[:3]:
        stepper(tg.tensor(x))
    child = os.fork()
    found = [stepper(tg.tensor(x)).numpy().tobytes() for x in data[3:]]
    if child == 0:
        (tmp_path / "child").write_bytes(b"".join(found))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "child").read_bytes() == b"".join(found)


@pytest.mark.parametrize(
    ("layer", "rows", "width", "shared"),
    [
        ("LSTM", 1, 256, "columns"),
        ("LSTM", 8, 256, "columns"),
        ("LSTM", 32, 64, "samples"),
        ("LSTM", 64, 256, "samples"),
    ],
)
def test_columns_are_shared_where_rows_are_few(layer, rows, width, shared):
    module = getattr(tg.nn, layer)(16, width)
    tg.sum(module(tg.tensor(np.ones((3, rows, 16), np.float32), requires_grad=True))[0]).backward()
    assert f"threads share the {shared}" in module.explain()


def test_a_table_that_is_looked_up_in_is_not_read(rng):
    table = tg.tensor(rng.standard_normal((50_000, 8)).astype(np.float32))

    def cell(token, h):
        h = tg.tanh(table[token] + h)
        return h, h

    tg.scan(cell, tg.tensor(np.ones((3, 8), np.int64)), tg.zeros((8, 8)))
    assert "threads share the samples" in tg.explain(cell)
