"""``explain`` begins with the truth about the last run, and a warning comes where something better can be
written."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import sys
import time
import types
import warnings

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import NATIVE
from tinygrad_rnn import nn
from tinygrad_rnn.backends.native import compiler
from tinygrad_rnn.sequence import plans
from tinygrad_rnn.sequence.interpreter import InterpretedRun

X, H = (5, 2, 4), (2, 4)


def data(dtype="float64"):
    return tg.ones(X, dtype), tg.zeros(H, dtype)


def said(cell):
    return tg.explain(cell).splitlines()[0]


def warned(cell, x, h, **options):
    """The texts of all warnings of a scan."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tg.scan(cell, x, h, **options)
    assert all(warning.category is tg.CompileWarning for warning in told)
    return [str(warning.message) for warning in told]


def halves():
    """A cell in a dtype that no kernel has."""

    def cell(x, h):
        h = tg.tanh(x + h)
        return h, h

    return cell


@pytest.mark.both_backends
@pytest.mark.parametrize("differentiated", [False, True])
def test_machine_code_is_called_so(backend, differentiated):
    if backend == "numpy" and not NATIVE:
        pytest.skip("there is no code generator here")
    cell = nn.GRUCell(4, 4, dtype="float64")
    x, h = data()
    with tg.no_grad() if not differentiated else warnings.catch_warnings():
        assert warned(cell, x, h) == []
    assert said(cell) == f"GRUCell: {'machine code' if backend == 'numpy' else 'CUDA kernels'}"


@pytest.mark.machine_code
def test_what_is_said_is_what_ran(monkeypatch):
    """The loop of calls is entered where calls are told of, and only there."""
    entered = []
    forward = InterpretedRun.forward
    monkeypatch.setattr(
        InterpretedRun, "forward", lambda run, *arguments: entered.append(run) or forward(run, *arguments)
    )
    fast, slow = halves(), halves()
    tg.scan(fast, *data())
    assert not entered
    assert said(fast) == "cell: machine code"
    tg.scan(slow, *data("float16"))
    assert len(entered) == 1
    assert (
        said(slow)
        == "cell: NumPy calls: no kernel holds values of float16; have the cell compute in float32 or float64"
    )
    assert "each step  2 calls forward" in tg.explain(slow)
    tg.scan(slow, *data())
    assert len(entered) == 1
    assert said(slow) == "cell: machine code"


@pytest.mark.machine_code
def test_a_cell_of_calls_warns_once_at_the_users_line():
    cell, (x, h) = halves(), data("float16")
    with pytest.warns(tg.CompileWarning, match=r"^cell runs as NumPy calls: .*float32") as told:
        tg.scan(cell, x, h)
    (warning,) = told
    assert warning.filename == __file__
    assert (
        "tg.scan(cell, x, h)"
        in pathlib.Path(__file__).read_text(encoding="utf-8").splitlines()[warning.lineno - 1]
    )
    assert warned(cell, x, h) == []
    # another plan, the same reason
    assert warned(cell, tg.ones((5, 3, 4), "float16"), tg.zeros((3, 4), "float16")) == []
    assert len(warned(halves(), x, h)) == 1


@pytest.mark.machine_code
def test_a_layer_warns_at_the_users_line_too():
    layer = nn.GRU(4, 4, dtype="float16")
    with pytest.warns(tg.CompileWarning) as told:
        layer(tg.ones(X, "float16"))
    assert [warning.filename for warning in told] == [__file__]
    assert layer.explain().startswith("GRUCell: NumPy calls: ")


def anew(function):
    """What makes another function of the same code: of each the warnings are counted anew."""
    return lambda: types.FunctionType(function.__code__, globals(), "copy")


def _looks(x, h):
    return (h, h * 2) if float(tg.sum(h).item()) > 100 else (h, x + h)


def _prints(x, h):
    sys.stdout.write("")
    return h, x + h


def _draws(x, h):
    return h, x + h * random.random()


def _draws_from_numpy(x, h):
    return h, x + h * np.random.random()


def _draws_ours(x, h):
    return h, x + h * tg.random.generator().normal()


def _tells_the_time(x, h):
    return h, x + h * (time.time() > 0)


class _Counts:
    count = 0

    def __call__(self, x, h):
        self.count += 1
        return h, x + h


class _Keeps:
    def __init__(self):
        self.all = []

    def step(self, x, h):
        self.all.append(1)
        return h, x + h


@dataclasses.dataclass
class _Unhashable:
    """Two that are equal are one, to Python: it has no hash."""

    count: int = 0

    def __call__(self, x, h):
        self.count += 1
        return h, x + h


SLOW = {
    "values": (anew(_looks), "tg.where"),
    "print": (anew(_prints), "before or after the scan"),
    "random": (anew(_draws), "with xs"),
    "NumPy's random": (anew(_draws_from_numpy), "with xs"),
    "our random": (anew(_draws_ours), "with xs"),
    "time": (anew(_tells_the_time), "before or after the scan"),
    "a counter": (_Counts, "in the state"),
    "a list": (lambda: _Keeps().step, "in the state"),
}


@pytest.mark.machine_code
@pytest.mark.parametrize(("make", "advice"), SLOW.values(), ids=[name.replace(" ", "-") for name in SLOW])
def test_a_cell_that_runs_step_by_step_warns_once_with_what_to_write(backend, make, advice):
    cell = make()
    x, h = data()
    (text,) = warned(cell, x, h)
    assert " runs step by step: " in text
    assert advice in text
    assert warned(cell, x, h) == []
    assert said(cell) == text.replace(" runs step by step", ": step by step", 1)


@pytest.mark.machine_code
def test_a_cell_without_a_hash_warns_once_too():
    cell, (x, h) = _Unhashable(), data()
    assert len(warned(cell, x, h)) == 1
    assert warned(cell, x, h) == []


def test_no_warning_where_the_loop_is_asked_for_or_nothing_better_can_be_written():
    x, h = data()
    assert warned(anew(_looks)(), x, h, compiled=False) == []
    assert warned(halves(), x[:0], h) == []

    def asks(x, h):
        return h, x + h * bool(h.requires_grad)

    assert warned(asks, x, h) == []
    assert said(asks).startswith("asks: step by step: the cell asks for requires_grad")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with tg.detect_anomaly():
            tg.scan(anew(_looks)(), x, h)


@pytest.mark.numpy_only
def test_without_a_code_generator_it_is_said_first_and_nothing_warns(monkeypatch):
    tg.clear_caches()
    monkeypatch.setattr(compiler, "available", lambda: False)
    cell, (x, h) = halves(), data()
    assert warned(cell, x, h) == []
    assert (
        said(cell) == "cell: NumPy calls: llvmlite 0.45 or newer is missing: pip install 'tinygrad_rnn[fast]'"
    )
    assert warned(halves(), *data("float16")) == []
    assert warned(anew(_looks)(), x, h) == []
    tg.clear_caches()


@pytest.mark.machine_code
def test_calls_inside_of_machine_code_are_told_one_by_one(monkeypatch):
    """What an engine still calls it lists: names, reasons, and what to write instead."""
    built = plans._built

    def with_calls(plan, backend):
        engine = built(plan, backend)
        engine.calls = [
            ("inv", "LAPACK inverts it", "write solve(a, b)"),
            ("sort", "its order is found by comparing", ""),
        ]
        return engine

    monkeypatch.setattr(plans, "_built", with_calls)
    tg.clear_caches()
    cell, (x, h) = halves(), data()
    assert warned(cell, x, h) == ["cell runs with calls of inv: LAPACK inverts it; write solve(a, b)"]
    assert tg.explain(cell).splitlines()[:3] == [
        "cell: machine code with 2 calls",
        "  call       inv: LAPACK inverts it; write solve(a, b)",
        "  call       sort: its order is found by comparing",
    ]
    tg.clear_caches()


def test_a_warning_that_is_an_error_leaves_the_cell_as_it_was():
    cell, (x, h) = anew(_looks)(), data()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if NATIVE:
            with pytest.raises(tg.CompileWarning):
                tg.scan(cell, x, h)
        ys, _ = tg.scan(cell, x, h)
    np.testing.assert_array_equal(ys.numpy(), tg.scan(cell, x, h, compiled=False)[0].numpy())


@pytest.mark.both_backends
@pytest.mark.machine_code
def test_compiled_true_is_machine_code_or_kernels_or_an_error(backend, monkeypatch):
    cell, (x, h) = halves(), data()
    tg.scan(cell, x, h, compiled=True)
    assert said(cell) == f"cell: {'machine code' if backend == 'numpy' else 'CUDA kernels'}"
    with pytest.raises(
        tg.TraceError,
        match=r"the cell runs as .*Py calls: no kernel holds values of float16; have the cell compute in",
    ):
        tg.scan(cell, *data("float16"), compiled=True)
    assert said(cell).endswith(("machine code", "CUDA kernels"))  # nothing ran
    ys, _ = tg.scan(cell, *data("float16"))
    assert ys.dtype == np.float16
    with pytest.raises(tg.TraceError, match="cannot look at its values"):
        tg.scan(anew(_looks)(), x, h, compiled=True)
    monkeypatch.setattr(
        plans,
        "_built",
        lambda plan, backend: types.SimpleNamespace(calls=[("inv", "LAPACK inverts it", "write solve")]),
    )
    tg.clear_caches()
    with pytest.raises(
        tg.TraceError, match="the cell runs with calls of inv: LAPACK inverts it; write solve"
    ):
        tg.scan(cell, x, h, compiled=True)
    tg.clear_caches()


def test_compiled_true_in_anomaly_mode_is_the_loop():
    with tg.detect_anomaly():
        tg.scan(halves(), *data(), compiled=True)


@pytest.mark.numpy_only
def test_compiled_true_without_a_code_generator_says_how_to_get_it(monkeypatch):
    tg.clear_caches()
    monkeypatch.setattr(compiler, "available", lambda: False)
    with pytest.raises(tg.TraceError, match=r"llvmlite 0\.45 or newer is missing: pip install"):
        tg.scan(halves(), *data(), compiled=True)
    tg.clear_caches()


def test_a_layer_tells_of_its_cells():
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    layer(tg.zeros((5, 2, 3)))
    assert tg.explain(layer) == layer.explain()
    names = [line.split(":")[0] for line in layer.explain().splitlines() if not line.startswith(" ")]
    assert names == [f"{name}, LSTMCell" for name in ("l0", "l0_reverse", "l1", "l1_reverse")]
    single = nn.GRU(3, 4)
    single(tg.zeros((5, 2, 3)))
    assert tg.explain(single).startswith("GRUCell: ")


@pytest.mark.parametrize("name", ["compiled", "checkpoint", "masked_output", "reverse"])
def test_options_are_settled_when_a_layer_is_made(name):
    for layer in (nn.LSTM(3, 4), nn.Recurrent(nn.GRUCell(3, 4))):
        with pytest.raises(tg.ArgumentError, match=f"{name} is settled when a layer is made"):
            setattr(layer, name, None)


@pytest.mark.numpy_only
def test_why_one_thread_does_it_all():
    def sorting(x, h):
        h = tg.sort(tg.tanh(x + h), axis=-1)
        return h, h

    def alone(x, h):
        h = tg.tanh(x + h @ tg.ones((4, 4)))
        return h, h

    tg.scan(sorting, tg.zeros((3, 9, 4)), tg.zeros((9, 4)))
    assert "on one thread, beside calls" in tg.explain(sorting)
    tg.scan(alone, tg.zeros((3, 4)), tg.zeros(4))
    assert "samples see each other" not in tg.explain(alone)


# -- models --------------------------------------------------------------------------------------------------


class _Model(nn.Module):
    def __init__(self):
        self.encoder, self.decoder = nn.GRU(3, 4, num_layers=2), nn.Recurrent(nn.LSTMCell(3, 4))
        self.readout = nn.Linear(4, 2)

    def __call__(self, x):
        return self.readout(self.encoder(x)[0] + self.decoder(x)[0])


def test_a_model_tells_of_the_layers_that_it_holds():
    model, x = _Model(), tg.ones((5, 2, 3))

    def first_words():
        return [line for line in tg.explain(model).splitlines() if not line.startswith(" ")]

    layers = ["encoder, l0, GRUCell", "encoder, l1, GRUCell", "decoder, LSTMCell"]
    assert first_words() == [f"{layer}: not run yet" for layer in layers]
    before = tg.explain(model, x)
    model(x)
    assert tg.explain(model) == before
    assert [line.partition(":")[0] for line in first_words()] == layers


def test_a_layer_tells_how_it_would_run():
    layer, x = nn.LSTM(3, 4), tg.ones((5, 2, 3))
    assert layer.explain(x) == tg.explain(layer, x)
    recurrent = nn.Recurrent(nn.GRUCell(3, 4))
    assert recurrent.explain(x) == tg.explain(recurrent, x)


def test_a_cell_cannot_be_planned_without_a_state():
    with pytest.raises(tg.ArgumentError, match="a cell needs the state before the first step"):
        tg.explain(halves(), tg.ones((5, 2, 3)))
