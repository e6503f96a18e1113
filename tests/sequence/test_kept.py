"""What the compiler keeps is bounded, goes when it was not used for long, and is freed; results are the same
before and after."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import eager
from tinygrad_rnn.backends.native import code_cache, compiler, products, threads
from tinygrad_rnn.sequence import numbers, plans, traces


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """Empty caches."""
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path / "cache"))
    tg.clear_caches()


@pytest.fixture
def few(monkeypatch):
    """Caches that hold next to nothing."""
    held = (traces._traces, traces._shared, plans._plans, compiler._codes, numbers._kinds)
    for cache in held:
        monkeypatch.setattr(cache, "most", 3)
    return held


@pytest.fixture
def engines(monkeypatch):
    """The owners of cells' machine code that are alive."""
    products._code("double"), threads._team()  # these are no cell's, and stay
    alive, addresses = weakref.WeakSet(), compiler._addresses

    def watched(code, names):
        found = addresses(code, names)
        alive.update(address.engine for address in found.values())
        return found

    monkeypatch.setattr(compiler, "_addresses", watched)
    return alive


ROWS = [tg.tanh, tg.sigmoid, tg.sin, tg.cos, tg.softplus, tg.arctan]


def cell_of(number):
    """One of 36 cells that have different machine code."""
    first, second = ROWS[number % 6], ROWS[number // 6]

    def cell(x, h):
        h = first(x + second(h))
        return h, h

    return cell


def data():
    random = np.random.default_rng(0)
    return tg.tensor(random.normal(size=(3, 2, 4)), requires_grad=True), tg.tensor(random.normal(size=(2, 4)))


def outcome(scan, cell, x, h):
    ys, _ = scan(cell, x, h)
    return ys.numpy(), tg.gradients(tg.sum(ys * ys), [x])[0].numpy()


def is_as_the_loop(cell, x, h):
    for found, expected in zip(outcome(tg.scan, cell, x, h), outcome(eager, cell, x, h), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_all_caches_hold_no_more_than_their_bounds(few):
    cells, (x, h) = [cell_of(number) for number in range(18)], data()
    for cell in (*cells, *cells[::-1]):
        is_as_the_loop(cell, x, h)
        assert all(len(cache) <= 3 for cache in few)
    gc.collect()
    assert "dropped" in tg.explain(cells[-1])
    assert "dropped" not in tg.explain(cells[0])


@pytest.mark.machine_code
def test_machine_code_is_freed_once_nothing_runs_it(few, engines):
    x, h = data()
    for number in range(12):
        is_as_the_loop(cell_of(number), x, h)
    gc.collect()
    assert 1 <= len(engines) <= 3
    ys = tg.scan(cell_of(0), x, h)[0]
    expected = tg.gradients(tg.sum(ys * ys), [x])[0].numpy()
    tg.clear_caches()
    gc.collect()
    assert len(engines) == 1  # the tape will run it
    np.testing.assert_array_equal(tg.gradients(tg.sum(ys * ys), [x])[0].numpy(), expected)
    del ys
    gc.collect()
    assert len(engines) == 0


@pytest.mark.machine_code
def test_code_outlives_its_owner_while_a_worker_runs_it(engines):
    """Whatever is forgotten between the call and its end."""
    cell, expected = cell_of(3), None
    random = np.random.default_rng(0)
    x, h = tg.tensor(random.normal(size=(50, 1, 64)), requires_grad=True), tg.zeros((1, 64), "float64")
    for _ in range(30):
        ys, _ = tg.scan(cell, x, h)
        loss = tg.sum(ys * ys)
        tg.clear_caches()
        (g,) = tg.gradients(loss, [x])
        del ys, loss
        expected = g.numpy() if expected is None else expected
        np.testing.assert_array_equal(g.numpy(), expected)


@pytest.mark.machine_code
def test_clear_caches_forgets_all_and_changes_no_result(tmp_path):
    x, h = data()
    cells = [cell_of(number) for number in range(4)]
    before = [outcome(tg.scan, cell, x, h) for cell in cells]
    files = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert len(files) == len(cells)
    for disk in (False, True, True):
        tg.clear_caches(disk=disk)
        assert not any(
            len(cache)
            for cache in (
                traces._traces,
                traces._shared,
                plans._plans,
                compiler._codes,
                numbers._kinds,
            )
        )
        assert [path.name for path in sorted((tmp_path / "cache").iterdir())] == ([] if disk else files)
        if not disk:
            again = [outcome(tg.scan, cell, x, h) for cell in cells]
            np.testing.assert_equal(again, before)
    np.testing.assert_equal([outcome(tg.scan, cell, x, h) for cell in cells], before)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == files


def test_clear_caches_wants_a_flag():
    with pytest.raises(tg.ArgumentError, match="disk"):
        tg.clear_caches(disk="yes")


def test_the_disk_is_cleared_of_our_files_alone(tmp_path):
    tg.clear_caches(disk=True)  # nothing is there yet
    assert not (tmp_path / "cache").exists()
    code_cache.keep("ab" * 32, b"code")
    (tmp_path / "cache" / "letter.txt").write_text("mine")
    (tmp_path / "cache" / f".{'ab' * 32}.o.{'0' * 8}").write_bytes(b"half")
    tg.clear_caches(disk=True)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["letter.txt"]


def test_a_cell_that_is_gone_leaves_no_trace_of_its_own(few):
    x, h = data()
    cell = cell_of(0)
    tg.scan(cell, x, h)
    assert len(traces._traces) == 1
    gone = weakref.ref(cell)
    del cell
    gc.collect()
    assert gone() is None
    other = cell_of(1)
    tg.scan(other, x, h)
    assert len(traces._traces) == 1


def test_a_refused_cell_is_freed_with_what_it_holds():
    """What is remembered of it is the reason alone, not the error, which holds all that was running."""
    x, h = data()
    weight = tg.tensor(np.ones(4), requires_grad=True)

    def cell(x, h):
        return (h, h) if float(tg.sum(h).item()) > 100 else (h, x + h * weight)

    tg.scan(cell, x.detach(), h)
    assert "step by step" in tg.explain(cell)
    gone = weakref.ref(cell), weakref.ref(weight)
    cell = weight = None
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_cell_that_meets_many_kinds_of_operands_keeps_the_last(monkeypatch):
    monkeypatch.setattr(traces, "_KINDS_OF_OPERANDS", 6)
    cell = cell_of(0)
    for batch in range(1, 2 * traces._KINDS_OF_OPERANDS):
        tg.scan(cell, tg.ones((1, batch, 1)), tg.ones((batch, 1)))
    (known,) = traces._traces.values()
    assert len(known) == traces._KINDS_OF_OPERANDS


def test_threads_may_come_while_others_send_things_away(few):
    """Each of them runs all cells, in an order of its own, with caches that hold three; one of them forgets
    everything now and then."""
    x, h = data()
    expected = [outcome(eager, cell_of(number), x, h) for number in range(12)]
    wrong = []

    def work(seed):
        try:
            for round_ in range(2):
                for number in np.random.default_rng(seed + round_).permutation(12):
                    found = outcome(tg.scan, cell_of(number), x, h)
                    np.testing.assert_allclose(found, expected[number], rtol=1e-12, atol=1e-12)
                    if seed == 0 and number == 5:
                        tg.clear_caches()
        except BaseException as error:
            wrong.append(error)

    workers = [threading.Thread(target=work, args=(100 * seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert all(len(cache) <= 3 for cache in few)
