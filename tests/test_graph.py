"""Pictures: their text to the byte, what engines make of it, gains against hand-made ones, and users' text that tries to break out.

After a wanted change of the look, ``python tests/test_graph.py`` writes the golden files anew; look at them before they are committed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tree
from tinygrad_rnn.errors import DrawError, DrawWarning, TapeError
from tinygrad_rnn.graph import gains, picture, text
from tinygrad_rnn.graph.modules import Modules
from tinygrad_rnn.graph.network import Network
from tinygrad_rnn.graph.ops_view import PAINTS
from tinygrad_rnn.graph.steps_view import Residuals
from tinygrad_rnn.reading import followed, words
from tinygrad_rnn.reading.names import Names
from tinygrad_rnn.reading.steps import find_chains
from tinygrad_rnn.tape import scope, unfolded

GOLDEN = Path(__file__).parent / "golden"
BATCH, INPUT, HIDDEN = 2, 3, 4
HOSTILE = [
    'a"b', "back\\slash", "\\N \\G \\L \\E \\T \\H", "a\\nb\\lc\\rd", "x<y>&amp;z", "<b>bold</b>", "权重 矩阵", "ünï¢ødé 🚀",
    "a;b}c]d", "--> {", "o'neil", "label\\", "\\\\", "\\\\N", "\\", "𝔘", "<", '"', '\\"', "&#92;N", "&lt;", "a  b", "%d%s", "$x$",
    "/*c*/ //d", "#e", "<!-- -->", "]]>", "&", "\\&#78;", "\\\\\\N", '\\"];evil[label="',
]  # fmt: skip


# -- cells written from primitives ----------------------------------------------------------------------------------------------------


def leaf(name, *shape, grad=True):
    """Halves and quarters, so that every product and sum below is exact."""
    values = (np.arange(np.prod(shape, dtype=int)) % 5 - 2) / 4
    return tg.tensor(values.reshape(shape), requires_grad=grad, name=name)


def named(tensor, name):
    tensor.name = name
    return tensor


def rnn_step(h=None, t="t", before="t−1", weights=None, f=tg.tanh):
    h = leaf(f"h[{before}]", BATCH, HIDDEN) if h is None else h
    W, U, b = weights or (leaf("W", INPUT, HIDDEN), leaf("U", HIDDEN, HIDDEN), leaf("b", HIDDEN))
    return named(f(leaf(f"x[{t}]", BATCH, INPUT, grad=False) @ W + h @ U + b), f"h[{t}]")


def lstm_step(peephole=False):
    x, h, c = leaf("x[t]", BATCH, INPUT, grad=False), leaf("h[t−1]", BATCH, HIDDEN), leaf("c[t−1]", BATCH, HIDDEN)
    a = x @ leaf("W", INPUT, 4 * HIDDEN) + h @ leaf("U", HIDDEN, 4 * HIDDEN) + leaf("b", 4 * HIDDEN)
    i, f, g, o = tg.split(a, 4, axis=-1)
    if peephole:
        i, f = i + leaf("p_i", HIDDEN) * c, f + leaf("p_f", HIDDEN) * c
    i, f, g = named(tg.sigmoid(i), "i"), named(tg.sigmoid(f), "f"), named(tg.tanh(g), "g")
    c = named(f * c + i * g, "c[t]")
    o = named(tg.sigmoid(o + leaf("p_o", HIDDEN) * c if peephole else o), "o")
    return named(o * tg.tanh(c), "h[t]"), c


def gru_step():
    x, h = leaf("x[t]", BATCH, INPUT, grad=False), leaf("h[t−1]", BATCH, HIDDEN)
    z, r = tg.split(x @ leaf("W", INPUT, 2 * HIDDEN) + h @ leaf("U", HIDDEN, 2 * HIDDEN), 2, axis=-1)
    z, r = named(tg.sigmoid(z), "z"), named(tg.sigmoid(r), "r")
    n = named(tg.tanh(x @ leaf("W_n", INPUT, HIDDEN) + r * (h @ leaf("U_n", HIDDEN, HIDDEN))), "n")
    return named((1 - z) * n + z * h, "h[t]")


def unrolled(steps=3, f=tg.relu):
    """An RNN with a loss at every step; with relu all its residuals are exact."""
    weights = leaf("W", INPUT, HIDDEN), leaf("U", HIDDEN, HIDDEN), leaf("b", HIDDEN)
    V, h, losses = leaf("V", HIDDEN, 1), leaf("h[0]", BATCH, HIDDEN), []
    for t in range(1, steps + 1):
        with scope("step", t):
            h = rnn_step(h, t, t - 1, weights, f)
            losses.append(named(tg.sum(h @ V), f"loss[{t}]"))
    return losses


def called(make):
    """One call of a cell of the library; nobody names anything."""
    cell = make(INPUT, HIDDEN)
    state = tree.map_leaves(lambda size: tg.tensor(np.ones((BATCH, size), "float32"), requires_grad=True), cell.state_size)
    return cell(tg.tensor(np.ones((BATCH, INPUT), "float32")), state)[1]


def exact_cases():
    """All three cases with gains that can be done in the head: 0.5, 1, 2."""
    w, x, b = leaf("w"), leaf("x"), leaf("b")
    w.data, x.data, b.data = np.array(0.5), np.array(2.0), np.array(1.0)
    return named(tg.relu(w * x + b), "y")


def leaky(x, state):
    """A cell without slopes; with powers of two for its weights every residual is exact: ∂c[T]/∂c[t] = (f + p o)^(T−t) = ½^(T−t)."""
    h, c = state
    f, p, o = leaky.weights
    c = f * c + p * h + x
    h = o * c
    return h, (h, c)


def leaky_run(steps=100, loss=lambda y: tg.sum(y[-1])):
    leaky.weights = [tg.tensor(np.full(HIDDEN, value), requires_grad=True) for value in (0.25, 0.125, 2.0)]
    zeros = tg.tensor(np.zeros((BATCH, HIDDEN)))
    y, _ = tg.scan(leaky, tg.tensor(np.ones((steps, BATCH, HIDDEN))), (zeros, zeros))
    return named(loss(y), "loss")


class Tagger(tg.nn.Module):
    def __init__(self, steps_of=tg.nn.LSTM, **options):
        self.embed = tg.nn.Embedding(5, INPUT)
        self.rnn = steps_of(INPUT, HIDDEN, **options)
        self.readout = tg.nn.Linear(HIDDEN * (2 if options.get("bidirectional") else 1), 2)

    def __call__(self, x):
        y, _ = self.rnn(self.embed(x))
        return self.readout(y)


def tagged(steps=3, **options):
    return named(tg.sum(Tagger(**options)(tg.tensor(np.arange(2 * steps).reshape(steps, 2) % 5))), "loss")


GOLDENS = {
    "three_cases": lambda: tg.draw(exact_cases(), gains=True),
    "rnn": lambda: tg.draw(rnn_step()),
    "lstm": lambda: tg.draw(lstm_step(), title="LSTM step"),
    "lstm_order": lambda: tg.draw(lstm_step(), order=True),
    "peephole": lambda: tg.draw(lstm_step(peephole=True)),
    "gru": lambda: tg.draw(gru_step()),
    "unrolled_3": lambda: tg.draw(unrolled(f=tg.tanh)),
    "unrolled_3_gains": lambda: tg.draw(unrolled(), gains=True),
    "lstm_cell": lambda: tg.draw(called(tg.nn.LSTMCell)),
    "steps_100": lambda: tg.draw(leaky_run(), view="steps"),
    "steps_bidirectional": lambda: tg.draw(tagged(20, num_layers=2, bidirectional=True), view="steps", gains=False),
    "cells_bidirectional": lambda: tg.draw(tagged(20, num_layers=2, bidirectional=True), view="cells", gains=False),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", GOLDENS)
def test_golden_text(name):
    assert GOLDENS[name]().dot == (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")


@pytest.mark.one_backend
def test_text_is_the_same_in_processes_with_other_hashes():
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_graph as t; print(t.GOLDENS['lstm']().dot)"
    told = set()
    for seed in "01":
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        told.add(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
    assert len(told) == 1


# -- the state path -------------------------------------------------------------------------------------------------------------------


def network(outputs):
    outputs = unfolded(outputs)
    return Network(tg.Tape.of(*outputs), outputs)


@pytest.mark.parametrize(
    ("build", "symbols"),
    [
        (rnn_step, ["@", "+", "+", "tanh"]),
        (lstm_step, ["×", "+"]),
        (lambda: lstm_step(peephole=True), ["×", "+"]),
        (gru_step, ["×", "+"]),
        (lambda: unrolled(2, tg.tanh)[-1], ["@", "+", "+", "tanh"] * 2),
    ],
    ids=["rnn", "lstm", "peephole", "gru", "unrolled"],
)
def test_state_path_is_found(build, symbols):
    out = build()
    found = network(out if isinstance(out, tuple) else [out])
    assert [found.tape[place].row.symbol for place in found.path] == symbols


def test_feed_forward_net_has_no_state_path():
    x = leaf("x", BATCH, HIDDEN)
    out = named(tg.tanh(x @ leaf("W", HIDDEN, HIDDEN) + leaf("b", HIDDEN)), "y")
    assert network([out]).path == []
    assert "cluster_path" not in tg.draw(out).dot


@pytest.mark.parametrize(
    ("before", "after", "one"),
    [
        ("c[t−1]", "c[t]", True), ("h(0)", "h(1)", True), ("h0", "h1", True), ("h_0", "h_1", True), ("h", "h_next", True),
        ("h_prev", "h", True), ("状态0", "状态1", True), ("h", "h′", True), ("a", "a2", False), ("a", "ab", False), ("a", "a", False),
        ("x0", "y1", False), ("", "", False),
    ],
)  # fmt: skip
def test_a_state_has_one_name_at_two_times(before, after, one):
    out = named(leaf(before, 2) * 0.5 + leaf("b", 2), after)
    assert bool(network([out]).path) == one


def test_layers_draw_their_steps():
    layer = tg.nn.RNN(INPUT, HIDDEN)
    y, _ = layer(leaf("x", 3, BATCH, INPUT, grad=False).astype("float32"))
    found = network([tg.sum(y)])
    assert [step.label for step in found.steps] == ["0", "1", "2"]
    assert len(found.path) >= 3


def test_each_layer_has_steps_of_its_own():
    y, _ = tg.nn.RNN(INPUT, HIDDEN, num_layers=2)(leaf("x", 2, BATCH, INPUT, grad=False).astype("float32"))
    found = network([tg.sum(y)])
    assert [step.label for step in found.steps] == ["0", "1", "0", "1"]
    assert [step.head for step in found.steps] == ["layer 1: t = 0", "layer 1: t = 1", "layer 2: t = 0", "layer 2: t = 1"]
    assert {found.vertices[0].step, *(step.number for step in found.steps if set(step.places) & set(found.path))} == {1, 3, 4}


def test_of_many_steps_only_the_nearest_is_linked_to_what_joins_them():
    few, many = (tg.draw(leaky_run(steps, tg.sum), view="ops", max_nodes=300).dot for steps in (6, 7))
    assert 'label="stack"' in few
    assert "j" not in re.findall(r"^ +(\w)\d+\w* \[", few, re.MULTILINE)
    stubs = re.findall(r"^ +(j\d+_\d) \[", many, re.MULTILINE)
    assert [stub[-1] for stub in stubs] == list("123456")
    assert all(len(re.findall(rf"^  {stub} -> n\d+ ", many, re.MULTILINE)) == 1 for stub in stubs)


def test_a_single_step_is_drawn_as_a_cell():
    with scope("step", 0):
        out = rnn_step()
    assert tg.draw(out).dot == tg.draw(rnn_step()).dot


def test_parameter_is_copied_into_each_step_but_an_operation_with_several_results_is_one_node():
    found = network(unrolled(3))
    copies = [vertex.id for vertex in found.vertices if vertex.name == "U"]
    assert len(copies) == 3
    assert len({copy.split("_")[0] for copy in copies}) == 1
    assert tg.draw(lstm_step()).dot.count('label="split"') == 1


# -- names from the code --------------------------------------------------------------------------------------------------------------


def labels(drawn):
    return re.findall(r'label="([^"]*)"', drawn.dot)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (tg.nn.RNNCell, {"h[t−1]", "h[t]", "h[t] = tanh", "x"}),
        (tg.nn.LSTMCell, {"c[t−1]", "c[t]", "h[t−1]", "h[t]", "i = σ", "f = σ", "g = tanh", "o = σ", "weight_ih", "weight_hh", "bias_ih"}),
        (tg.nn.PeepholeLSTMCell, {"c[t−1]", "c[t]", "i = σ", "f = σ", "g = tanh", "o = σ", "p_i", "p_f", "p_o"}),
        (tg.nn.GRUCell, {"h[t−1]", "h[t]", "r = σ", "z = σ", "n = tanh"}),
    ],
)
def test_cells_of_the_library_are_drawn_by_their_own_variables(make, wanted):
    drawn = tg.draw(called(make))
    assert wanted <= set(labels(drawn))
    assert ("channel: only" in drawn.dot) == (make is not tg.nn.RNNCell)


class Mixer(tg.nn.Module):
    """A user's cell: its parameters hang on attributes, and a variable is bound twice."""

    def __init__(self):
        self.gain = tg.tensor(np.full(HIDDEN, 0.5), requires_grad=True)
        self.calls = 0

    def __call__(self, x, state):
        self.calls += 1
        gate = x * self.gain
        gate = tg.sigmoid(gate)
        new = self.mixed(gate, state)
        return new, new

    def mixed(self, one, other):
        inner = one * other
        return tg.tanh(inner)


@pytest.mark.parametrize("compiled", ["auto", False])
def test_a_users_cell_is_drawn_by_its_variables_in_every_step(compiled):
    offset = tg.tensor(np.ones(HIDDEN), requires_grad=True)

    def cell(x, h):
        a = x + h * offset
        h = tg.tanh(a)
        return h, h

    y, _ = tg.scan(cell, tg.tensor(np.ones((3, BATCH, HIDDEN))), tg.tensor(np.ones((BATCH, HIDDEN))), compiled=compiled)
    found = labels(tg.draw(y))
    assert [name for name in found if "tanh" in name] == ["h[0] = tanh", "h[1] = tanh", "h[2] = tanh"]
    assert found.count("offset") == found.count("x") == 3
    assert "h[start]" in found


def test_a_loop_of_the_users_own_over_a_cell_has_steps_too():
    cell = tg.nn.LSTMCell(INPUT, HIDDEN)
    state = tuple(tg.tensor(np.ones((BATCH, HIDDEN), "float32"), requires_grad=True, name=name) for name in ("h0", "c0"))
    for _ in range(3):
        y, state = cell(tg.tensor(np.ones((BATCH, INPUT), "float32")), state)
    found = network([tg.sum(y)])
    assert [step.label for step in found.steps] == ["0", "1", "2"]
    assert [found.tape[place].row.symbol for place in found.path] == ["×", "+"] * 3
    assert {"h0", "c0"} <= set(labels(tg.draw(y, max_nodes=200)))


def looped(cell, x, state):
    for x_t in x:
        y, state = cell(x_t, state)
    return y


class Looper(tg.nn.Module):
    """A loop inside of a module, over a user's cell that holds a module."""

    class Cell(tg.nn.Module):
        def __init__(self):
            self.into = tg.nn.Linear(INPUT, HIDDEN)

        def __call__(self, x, h):
            h = tg.tanh(self.into(x) + 0.5 * h)
            return h, h

    def __init__(self):
        self.cell = self.Cell()

    def __call__(self, x):
        return looped(self.cell, x, tg.tensor(np.zeros((BATCH, HIDDEN), "float32")))


def test_steps_of_a_loop_inside_of_a_module_over_a_cell_that_holds_others():
    model = Looper()
    loss = tg.sum(model(tg.tensor(np.ones((5, BATCH, INPUT), "float32"))))
    assert [step.label for step in network([loss]).steps] == list("01234")
    assert len(re.findall("<B>t = ", tg.draw(loss, view="steps").dot)) == 5
    assert "model: Cell, 5 steps" in tg.draw(loss, view="cells").dot


def test_residual_left_in_a_loop_of_the_users_own_is_the_product_of_jacobians(rng):
    cell = tg.nn.RNNCell(INPUT, HIDDEN, dtype="float64")
    x, h = rng.standard_normal((6, BATCH, INPUT)), np.zeros((BATCH, HIDDEN))
    loss = tg.sum(looped(cell, map(tg.tensor, x), tg.tensor(h)))
    (chain,) = find_chains(tg.Tape.of(loss))
    W_ih, W_hh, b_ih, b_hh = (p.numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))
    hs = []
    for x_t in x:
        h = np.tanh(x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        hs.append(h)
    residual, wanted = np.ones((BATCH, HIDDEN)), {}
    for t in reversed(range(6)):
        wanted[t] = np.linalg.norm(residual)
        residual = (residual * (1 - hs[t] ** 2)) @ W_hh
    (sizes,) = Residuals(tg.Tape.of(loss), chain, [loss], alone=True).sizes
    assert sizes == pytest.approx(wanted, rel=1e-12)


def test_a_step_may_hold_a_whole_scan_with_numbers_in_it():
    def inner(x, h):
        h = tg.tanh(x + h * 0.5)
        return h, h

    def outer(x, h):
        y, h = tg.scan(inner, x, h)
        return y[-1], h

    y, _ = tg.scan(outer, leaf("x", 3, BATCH, HIDDEN) * 1.0, tg.tensor(np.zeros(HIDDEN)))
    titles = [scene.title for scene in tg.draw(tg.sum(y), view="cells")._scene.inside.values()]
    assert sum(": inner, 2 steps: t = 1" in title for title in titles) == 3
    assert sum(": outer, 3 steps: t = 2" in title for title in titles) == 1


def test_calls_of_a_module_that_do_not_go_on_from_each_other_are_no_steps():
    cell = tg.nn.GRUCell(INPUT, HIDDEN)
    x, h = tg.tensor(np.ones((BATCH, INPUT), "float32")), tg.tensor(np.ones((BATCH, HIDDEN), "float32"))
    out = cell(x, h)[0] + cell(x, 2.0 * h)[0]
    assert network([out]).steps == []
    assert find_chains(tg.Tape.of(out)) == []


def test_names_follow_the_last_binding_and_the_outer_function_and_leave_no_trace():
    cell = Mixer()
    x, h = tg.tensor(np.ones((BATCH, HIDDEN))), tg.tensor(np.ones((BATCH, HIDDEN)))
    y, _ = cell(x, h)
    tg.random.seed(3)
    state = tg.random.get_state()
    found = labels(tg.draw(y))
    assert {"gate = σ", "state[t−1]", "state[t] = tanh", "gain"} <= set(found)
    assert cell.calls == 1  # what the second call changed is put back
    assert all(np.array_equal(a, b) for a, b in zip(tree.leaves(state), tree.leaves(tg.random.get_state()), strict=True))
    assert [tensor.name for tensor in (x, h, y, cell.gain)] == [None] * 4


def test_variables_of_the_program_that_draws_name_what_it_made():
    weight, start = tg.tensor(np.ones(2), requires_grad=True), tg.tensor(np.ones(2))
    squashed = tg.tanh(weight * start)
    assert {"weight", "start", "squashed", "squashed = tanh"} <= set(labels(tg.draw(squashed)))
    weight.name = "its own"
    assert "its own" in labels(tg.draw(squashed))


def test_names_are_read_while_another_trace_function_is_set():
    lines = []

    def tracer(frame, event, argument):
        lines.append(frame.f_code.co_name)
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        found = labels(tg.draw(called(tg.nn.LSTMCell)))
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert "f = σ" in found
    assert "draw" in lines


def test_a_module_that_draws_itself_is_called_once():
    drawn = []

    class Curious(tg.nn.Module):
        def __call__(self, x):
            y = tg.exp(x)
            drawn.append(tg.draw(y))
            return y

    Curious()(leaf("x", 2))
    assert len(drawn) == 1
    assert "y = exp" in labels(drawn[0])


def test_results_that_nothing_leads_to_are_left_out():
    loss = tagged()
    for view in ("steps", "cells"):
        assert tg.draw([loss, tg.tensor(1.0), leaf("w", 2)], view=view).dot == tg.draw(loss, view=view).dot


def test_a_cell_that_fails_the_second_time_is_drawn_without_names():
    class Once(tg.nn.Module):
        def __call__(self, x):
            kept = tg.exp(x)
            if used:
                raise ZeroDivisionError
            used.append(True)
            return kept * 2.0

    used = []
    out = Once()(leaf("x", 2))
    used_before = list(used)
    assert "exp" in " ".join(labels(tg.draw(out)))
    assert used == used_before


# -- gains ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("gain", "label"),
    [
        (0.0, "×0"), (1.0, "×1"), (1 + 1e-7, "×1"), (1 - 1e-7, "×1"), (0.9999, "≈×1"), (0.999, "×0.999"), (0.25, "×0.25"),
        (0.50012, "×0.5"), (150.0, "×150"), (999.7, "×1000"), (1234.0, "×1e3"), (0.01, "×0.01"), (0.0099, "×1e-2"),
        (3.2e-7, "×3e-7"), (1e-300, "×1e-300"), (float("inf"), "inf"), (float("nan"), "NaN"),
    ],
)  # fmt: skip
def test_gain_label(gain, label):
    assert words.gain_label(gain) == label


@pytest.mark.one_backend
def test_only_equal_shapes_pass_unchanged():
    assert words.gain_label(1.0, same_shape=False) == "≈×1"


@pytest.mark.one_backend
def test_stroke_thins_in_half_decades():
    strokes = [gains.stroke(10.0**d) for d in (0, -1, -2, -3, -9)]
    assert [round(s.width, 1) for s in strokes] == [5.0, 3.4, 1.8, 0.6, 0.6]
    assert [s.style for s in strokes] == ["solid", "solid", "solid", "dashed", "dashed"]
    assert gains.stroke(0.0).style == "dotted"
    assert gains.stroke(0.999) == gains.stroke(1.0) == gains.stroke(float("nan"))


@pytest.mark.parametrize(("values", "norm"), [([3e200, 4e200], 5e200), ([3e-200, 4e-200], 5e-200), ([], 0.0), ([0.0], 0.0)])
def test_size_neither_overflows_nor_vanishes(values, norm):
    x = tg.tensor(np.array(values))
    assert followed.size(x._backend, x._data) == pytest.approx(norm, rel=1e-15)


def measured(out, *of):
    """(operation, label) of every edge that carries a residual, in the order of the tape."""
    found = gains.Gains(of or [out])
    return [
        (e.row.name, found.parts[e.index, i].label) for e in tg.Tape.of(out) for i in range(len(e.inputs)) if (e.index, i) in found.parts
    ]


def test_gains_are_what_one_can_do_in_the_head():
    assert measured(exact_cases()) == [
        ("multiply", "×2"), ("multiply", "×0.5"), ("add", "×1"), ("add", "×1"), ("relu", "×1"),
    ]  # fmt: skip


def test_residuals_that_are_single_numbers_are_measured():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert measured(tg.sum(tg.exp(tg.sum(x) - 3.0)))[-1] == ("sum", "×1")


def test_both_sides_of_a_square_are_told_apart():
    x = tg.tensor(np.array([3.0]), requires_grad=True)
    assert measured(x * x) == [("multiply", "×3"), ("multiply", "×3")]


def test_additions_that_change_the_shape_say_a_verb():
    x, b = leaf("x", 3, 2), leaf("b", 2)
    assert measured(tg.sum(x + b)) == [("add", "×1"), ("add", "added up"), ("sum", "copied")]
    assert measured(tg.concatenate([x, x])) == [("concatenate", "part"), ("concatenate", "part")]
    assert measured(tg.sum(x[0])) == [("getitem", "×1"), ("sum", "copied")]
    assert measured(tg.where(tg.tensor([True, False]), x, x * 1.0))[1:] == [("where", "part"), ("where", "part")]
    assert measured(tg.cumsum(x, 0)) == [("cumsum", "added up")]


def test_no_addition_of_the_cells_prints_a_number_but_one():
    for out in (rnn_step(), lstm_step()[0], gru_step(), unrolled()[-1]):
        found = gains.Gains([out])
        entries = {entry.index: entry for entry in tg.Tape.of(out)}
        labels = {part.label for (index, _), part in found.parts.items() if entries[index].row.case == "addition"}
        assert labels <= {"×1", "×0", "copied", "added up", "part"}


def test_gains_multiply_to_the_residual_that_backward_brings():
    h = leaf("h[0]", BATCH, HIDDEN)
    loss = tg.sum(rnn_step(h))
    found = gains.Gains([loss])
    to_h = next(found.parts[e.index, i] for e in tg.Tape.of(loss) for i, x in enumerate(e.inputs) if x is h)
    loss.backward()
    assert to_h.size == pytest.approx(float(np.linalg.norm(h.grad.numpy())), rel=1e-12)


def test_a_parameter_of_one_step_only_is_no_copy():
    losses = unrolled()
    assert not [vertex for vertex in network(losses[:1]).vertices if vertex.copied]
    assert {vertex.name for vertex in network(losses).vertices if vertex.copied} == {"W", "U", "b", "V"}


def test_grad_is_untouched():
    losses = unrolled()
    leaves = [x for e in tg.Tape.of(*losses) for x in e.inputs if isinstance(x, tg.Tensor) and x.requires_grad]
    losses[0].backward()
    before = [(x.grad, None if x.grad is None else x.grad.numpy().copy()) for x in leaves]
    tg.draw(losses, gains=True)
    for x, (grad, values) in zip(leaves, before, strict=True):
        assert x.grad is grad
        assert grad is None or np.array_equal(grad.numpy(), values)


def test_the_last_loss_is_followed_unless_another_is_named():
    losses = unrolled()
    last, first = tg.draw(losses, gains=True), tg.draw(losses, gains=True, of=losses[0])
    assert last.dot == tg.draw(losses, gains=True, of=losses[-1]).dot != first.dot
    assert "t = 3   residual left: 1" in last.dot
    assert "residual left" not in first.dot  # nothing arrives at the last state
    with pytest.raises(DrawError, match="of="):
        tg.draw(losses, gains=True, of=tg.tensor(1.0))


def test_residuals_that_are_not_finite_are_marked():
    x = leaf("x", 2)
    with np.errstate(all="ignore"):
        out = tg.sum(tg.log(x * 0.0))
    dot = tg.draw(out, gains=True).dot
    assert 'label="inf"' in dot
    assert "#882255" in dot


# -- engines --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["dot", "graphviz-pure"])
def engine(request, monkeypatch):
    """Each engine that is installed."""
    found = shutil.which(request.param) or shutil.which(request.param, path=os.path.dirname(sys.executable))
    if found is None:
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setattr(picture, "_engine", lambda: found)
    return found


def texts(svg):
    """The labels of an SVG and its tooltips."""
    tree = ElementTree.fromstring(svg)
    labels = ["".join(t.itertext()) for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    tooltips = [a.get("{http://www.w3.org/1999/xlink}title") for a in tree.iter("{http://www.w3.org/2000/svg}a")]
    return [[found.replace("\xa0", " ") for found in kind] for kind in (labels, tooltips)]


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["lstm", "unrolled_3_gains", "lstm_order"])
def test_svg_has_every_id_of_the_tape(engine, name):
    drawn = GOLDENS[name]()
    tree = ElementTree.fromstring(drawn.svg())
    groups = [g for g in tree.iter("{http://www.w3.org/2000/svg}g") if g.get("class", "").startswith(("node", "edge"))]
    wanted = re.findall(r'^ +(?:[nopk]\S+|\S+ -> \S+) \[id="([^"]+)"', drawn.dot, re.MULTILINE)
    assert sorted(g.get("id") for g in groups) == sorted(wanted)
    assert len(set(wanted)) == len(wanted)


@pytest.mark.one_backend
@pytest.mark.parametrize("order", [False, True])
def test_hostile_names_come_back_as_they_are(engine, order):
    outs = []
    for name in HOSTILE:
        with scope("step", name):
            outs.append(named(tg.tanh(leaf(name, 2)), name))
    labels, tooltips = texts(tg.draw(outs, order=order, max_nodes=1000, title=HOSTILE[2]).svg())
    for name in HOSTILE:
        assert labels.count(name) >= 2, name  # the leaf and the result
        assert f"{name} = tanh" in labels
        assert f"t = {name}" in labels
        assert any(tip.startswith(f"{name} · parameter") for tip in tooltips)
    assert labels.count(HOSTILE[2]) == 3


@pytest.mark.one_backend
def test_text_that_cannot_be_printed_or_is_long_is_replaced_or_cut(engine):
    out = leaf("a\nb\0c\u202ed\ud800e", 2) * leaf("w" * 100, 2) + leaf("", 2)
    labels, tooltips = texts(tg.draw(out).svg())
    assert "a\ufffdb\ufffdc\ufffdd\ufffde" in labels
    assert "w" * 27 + "…" in labels
    assert any("w" * 100 in tip for tip in tooltips)
    assert "(2,)" in labels  # an empty name is none
    assert text.shown_html("") == "&#160;"


@pytest.mark.one_backend
@pytest.mark.parametrize("kind", ["svg", "png", "dot", "SVG"])
def test_save(engine, kind, tmp_path):
    drawn = tg.draw(rnn_step())
    drawn.save(tmp_path / f"p.{kind}")
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "dot": b"digraph"}
    assert (tmp_path / f"p.{kind}").read_bytes().startswith(starts[kind.lower()])
    assert [path.name for path in tmp_path.iterdir()] == [f"p.{kind}"]


@pytest.mark.one_backend
def test_pdf_is_written_or_refused_by_name(engine, tmp_path):
    drawn = tg.draw(rnn_step())
    if engine.endswith("graphviz-pure"):
        with pytest.raises(DrawError, match="graphviz-pure cannot write pdf"):
            drawn.save(tmp_path / "p.pdf")
        assert not list(tmp_path.iterdir())
    else:
        drawn.save(tmp_path / "p.pdf")
        assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.one_backend
def test_notebook_gets_svg_that_can_be_inlined(engine):
    bundle = tg.draw(rnn_step())._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == "graph of 5 operations (1 composition, 2 addition, 2 weighting)"


# -- what can go wrong ----------------------------------------------------------------------------------------------------------------


@pytest.mark.one_backend
def test_without_an_engine_everything_but_images_works(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    drawn = tg.draw(rnn_step())
    with pytest.raises(DrawError, match=r"pip install graphviz-pure.*\.dot"):
        drawn.svg()
    drawn.save(tmp_path / "p.dot")
    assert "pip install graphviz-pure" in drawn._repr_mimebundle_()["text/plain"]


@pytest.mark.one_backend
def test_save_refuses_and_leaves_what_was_there(tmp_path):
    drawn = tg.draw(rnn_step())
    with pytest.raises(DrawError, match=r"'p\.gif' has none of the endings \.svg, \.png, \.pdf, \.dot"):
        drawn.save(tmp_path / "p.gif")
    with pytest.raises(DrawError, match="cannot write"):
        drawn.save(tmp_path / "no folder" / "p.dot")
    (tmp_path / "p.dot").mkdir()
    with pytest.raises(DrawError, match="cannot write"):
        drawn.save(tmp_path / "p.dot")
    assert [path.name for path in tmp_path.iterdir()] == ["p.dot"]


@pytest.mark.one_backend
def test_broken_text_is_the_engines_error(engine):
    with pytest.raises(DrawError, match="cannot write svg"):
        picture.Picture("digraph {", "", scene=None).svg()


def test_what_cannot_be_drawn_is_refused_by_name():
    x = leaf("x", 2)
    for out in (x, leaf("c", 2, grad=False) * 2.0):
        with pytest.raises(TapeError, match="nothing was recorded"):
            tg.draw(out)
    for out in (3, [], None):
        with pytest.raises(DrawError, match="must be a tensor"):
            tg.draw(out)
    with pytest.raises(DrawError, match="no view 'cell'; the views are 'auto', 'ops', 'steps', 'cells'"):
        tg.draw(x * 2.0, view="cell")
    y = x * 2.0
    tg.Tape.of(y).release()
    with pytest.raises(TapeError, match="released"):
        tg.draw(y)


def test_too_many_nodes_are_refused_until_asked_for():
    y = x = leaf("x", 2)
    for _ in range(60):
        y = y + x
    with pytest.raises(DrawError, match="62 nodes are more than max_nodes=61: draw fewer steps, raise max_nodes"):
        tg.draw(y, view="ops", max_nodes=61)
    assert tg.draw(y, max_nodes=62).dot == tg.draw(y, view="ops", max_nodes=62).dot
    with pytest.raises(DrawError, match="60 operations are more than max_nodes=10, and there are neither modules nor time steps"):
        tg.draw(y, max_nodes=10)
    with pytest.raises(DrawError, match="neither modules nor time steps"):
        tg.draw(y, view="cells")
    with pytest.raises(DrawError, match="nothing here was recorded in time steps"):
        tg.draw(y, view="steps")


def test_a_view_that_can_be_taken_in_is_chosen_and_said():
    with pytest.warns(DrawWarning, match="drew 100 steps as boxes: 503 operations are more than max_nodes=150") as told:
        drawn = tg.draw(leaky_run())
    assert len(told) == 1
    assert told[0].filename == __file__
    assert str(told[0].message).removeprefix("draw: ").replace('"', "&quot;") in drawn.dot
    with pytest.warns(DrawWarning, match="drew 6 modules as boxes: "):
        drawn = tg.draw(tagged(20, num_layers=2, bidirectional=True), max_nodes=31)
    assert "layer 2 reversed: LSTMCell, 20 steps" in drawn.dot
    with pytest.raises(DrawError, match="9 boxes of modules are more, too: draw less"):
        tg.draw(tagged(20, num_layers=2, bidirectional=True), max_nodes=5)
    assert tg.draw(unrolled()).dot == tg.draw(unrolled(), view="ops").dot


def test_values_are_the_range_of_each_result():
    a, b = tg.tensor(np.array([-0.5, 2.0]), requires_grad=True), tg.tensor(np.array([4.0, 4.0]))
    dot = tg.draw(tg.sum(a * b), values=True).dot
    assert ">-2 … 8<" in dot
    assert ">6<" in dot
    assert "…" not in tg.draw(tg.sum(a * b)).dot


# -- views of steps and modules -------------------------------------------------------------------------------------------------------


def residuals(loss, of=None):
    (loss,) = unfolded([loss])
    tape = tg.Tape.of(loss)
    (chain,) = find_chains(tape)
    return Residuals(tape, chain, [loss], alone=of is None)


@pytest.mark.parametrize("masked", [False, True])
def test_residual_left_at_states_is_the_product_of_jacobians(rng, masked):
    """h[t] = tanh(x[t] + h[t−1] U) by hand: δ[t−1] = (δ[t] · (1 − h[t]²)) Uᵀ, and the residual itself where a sample is masked."""
    steps = 12
    U, x, h = rng.standard_normal((HIDDEN, HIDDEN)), rng.standard_normal((steps, BATCH, HIDDEN)), np.zeros((BATCH, HIDDEN))
    live = np.ones((steps, BATCH), bool)
    live[[3, 4, 11], 0] = not masked
    weight, start, states = tg.tensor(U, requires_grad=True), tg.tensor(h, requires_grad=True), []

    def cell(x, h):
        h = tg.tanh(x + h @ weight)
        return h, h

    _, last = tg.scan(cell, tg.tensor(x), start, mask=live)
    for t in range(steps):
        h = np.where(live[t][:, None], np.tanh(x[t] + h @ U), h)
        states.append(h)
    delta, wanted = np.ones_like(h), {}
    for t in reversed(range(steps)):
        wanted[t] = np.linalg.norm(delta)
        delta = np.where(live[t][:, None], (delta * (1 - states[t] ** 2)) @ U.T, delta)
    wanted[-1] = np.linalg.norm(delta)
    (found,) = residuals(tg.sum(last)).sizes
    assert found == pytest.approx(wanted, rel=1e-9)


def test_of_several_losses_the_last_is_followed_through_steps():
    """Every step has a loss: what the last one sends into c[t] is o ½^(T−t), and p of that into h[t−1], whatever the others send."""
    one = np.sqrt(BATCH * HIDDEN)
    c, h = residuals(leaky_run(6, tg.sum)).sizes
    assert c == pytest.approx({t: one * 2 * 0.5 ** (5 - t) for t in range(6)}, rel=1e-12)
    assert h == pytest.approx({t: one * (1 if t == 5 else 0.25 * 0.5 ** (4 - t)) for t in range(6)}, rel=1e-12)
    whole, _ = residuals(leaky_run(6, tg.sum), of="all").sizes
    assert whole[0] == pytest.approx(one * 2 * sum(0.5**k for k in range(6)), rel=1e-12)


def test_steps_say_what_is_left_and_what_the_hidden_ones_do():
    drawn = tg.draw(leaky_run(), view="steps")
    assert "… 93 steps …" in drawn.dot
    assert f" c  ×{0.5**94:.0e} in all " in drawn.dot
    assert drawn.dot.count('label="×0.5"') == 9  # five of c, four of h, which the loss comes into
    assert str(drawn).endswith(f"100 steps; c ×{0.5**99:.0e}, h ×{0.125 * 2 * 0.5**98:.0e}")
    assert tg.draw(leaky_run(8), view="steps").dot.count("<B>t = ") == 8
    assert "×0.5" not in tg.draw(leaky_run(), view="steps", gains=False).dot


def test_a_state_without_slope_and_matrix_is_told_from_others():
    layers = [kind(INPUT, HIDDEN) for kind in (tg.nn.RNN, tg.nn.LSTM, tg.nn.PeepholeLSTM, tg.nn.GRU)]
    dots = [tg.draw(tg.sum(layer(tg.tensor(np.ones((9, BATCH, INPUT), "float32")))[0][-1]), view="steps").dot for layer in layers]
    assert ["grey = state" in dot for dot in dots] == [True, True, True, False]
    assert ["yellow = state" in dot for dot in dots] == [False, True, True, True]


def test_residuals_between_modules_are_those_of_the_chain_rule(rng):
    first, second = tg.nn.Linear(INPUT, HIDDEN, dtype="float64"), tg.nn.Linear(HIDDEN, 2, dtype="float64")
    x = tg.tensor(rng.standard_normal((BATCH, INPUT)), requires_grad=True)
    out = tg.sum(second(tg.tanh(first(x))))
    modules = Modules(tg.Tape.of(out), [], Names(tg.Tape.of(out)), {"first": first, "x": x})
    sizes = modules.measure([out])
    between = np.ones((BATCH, 2)) @ second.weight.numpy()
    into_first = between * (1 - np.tanh(x.numpy() @ first.weight.numpy().T + first.bias.numpy()) ** 2)
    assert [(part.title, part.kind, part.parameters) for part in modules.parts] == [
        ("first", "Linear", INPUT * HIDDEN + HIDDEN), ("", "tanh", 0), ("", "Linear", HIDDEN * 2 + 2), ("", "Σ", 0),
    ]  # fmt: skip
    wanted = {"m3": 1.0, "m2": np.sqrt(2 * BATCH), "m1": np.linalg.norm(between), "m0": np.linalg.norm(into_first)}
    assert sizes.arrived == pytest.approx(wanted, rel=1e-12)
    assert sizes.sent["m0", "p0"] == pytest.approx(np.linalg.norm(into_first @ first.weight.numpy()), rel=1e-12)


def test_inside_of_a_module_are_the_operations_of_the_last_step_that_a_residual_reaches(rng):
    layer = tg.nn.RNN(INPUT, HIDDEN, dtype="float64")
    y, _ = layer(tg.tensor(rng.standard_normal((4, BATCH, INPUT))))
    loss = tg.sum(2.0 * y[1])
    (name, scene), *_ = tg.draw(loss, view="cells")._scene.inside.items()
    assert (name, scene.title) == ("m0", "layer: RNNCell, 4 steps: t = 1")
    assert "one step of 4: the last that a residual reaches" in scene.notes
    labels = sorted(box.label for box in scene.boxes)
    assert labels == sorted(
        ["@", "@", "ᵀ", "ᵀ", "+", "+", "+", "h[t] = tanh", "h[t]", "h[t−1]", "x", "weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    )
    facts = {box.label: dict(box.facts) for box in scene.boxes}
    bent = 2.0 * (1 - y.numpy()[1] ** 2)
    assert float(facts["h[t] = tanh"]["residual"]) == pytest.approx(2.0 * np.sqrt(BATCH * HIDDEN), rel=1e-5)
    back = next(arrow for arrow in scene.arrows if arrow.target == next(box.id for box in scene.boxes if box.label == "h[t] = tanh"))
    assert back.size == pytest.approx(np.linalg.norm(bent), rel=1e-12)
    result = next(arrow for arrow in scene.arrows if arrow.target[0] == "o")
    assert (result.back, result.look["label"]) == (True, "δ in")


def test_inside_of_other_modules_are_all_of_their_operations():
    scenes = {scene.title: scene for scene in tg.draw(tagged(), view="cells")._scene.inside.values()}
    assert list(scenes) == ["rnn: LSTMCell, 3 steps: t = 2", "readout: Linear"]  # of an embedding and of a sum there is one operation only
    assert [box.label for box in scenes["readout: Linear"].boxes if box.rule] == ["ᵀ", "reshape", "@", "reshape", "+"]
    assert tg.draw(tagged(), view="cells", gains=False)._scene.inside
    assert [scene.title for scene in tg.draw(tagged(), view="cells", max_nodes=10)._scene.inside.values()] == ["readout: Linear"]


class Scanner(tg.nn.Linear):
    """A module that scans a function itself, reads out by the module that it is, and holds another."""

    def __init__(self):
        super().__init__(HIDDEN, HIDDEN, dtype="float64")
        self.last = tg.nn.Linear(HIDDEN, 2, dtype="float64")

    def __call__(self, x):
        y, _ = tg.scan(leaky, x, (x[0], x[0]))
        return self.last(tg.nn.Linear.__call__(self, y[-1]))


def test_steps_inside_of_a_module_that_holds_others_are_a_box_of_their_own():
    leaky_run(1)  # sets the weights
    model = Scanner()
    out = tg.sum(model(tg.tensor(np.ones((4, BATCH, HIDDEN)))))
    drawn = tg.draw(out, view="cells").dot
    assert "leaky, 4 steps" in drawn
    assert "last: Linear" in drawn
    assert f"{3 * HIDDEN} parameters" in drawn


def test_grad_is_untouched_by_the_views_of_steps_and_modules():
    layer = tg.nn.LSTM(INPUT, HIDDEN)
    loss = tg.sum(layer(tg.tensor(np.ones((9, BATCH, INPUT), "float32")))[0])
    for view in ("steps", "cells"):
        tg.draw(loss, view=view)
    assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.one_backend
@pytest.mark.parametrize("view", ["steps", "cells"])
def test_hostile_names_come_back_from_steps_and_modules(engine, view):
    model = tg.nn.Sequential()
    h = leaf(HOSTILE[6], 2)
    for name in HOSTILE:
        with scope("step", name):
            h = named(h * 0.5, HOSTILE[2])
        vars(model)[name] = tg.nn.Linear(2, 2, dtype="float64")
        h = h if view == "steps" else vars(model)[name](h)
    with scope("module", model):
        loss = named(tg.sum(model(h)), HOSTILE[0])
    drawn = tg.draw(loss, view=view)
    found = [label.strip() for label in texts(drawn.svg())[0]]
    if view == "steps":
        shown = [*HOSTILE[:3], *HOSTILE[-4:]]
        assert {f"t = {name}" for name in shown} <= set(found)
        assert any(label.startswith(HOSTILE[2] + "  ") for label in found)
    else:
        assert {HOSTILE[0], HOSTILE[6], "Linear"} <= set(found)
    assert f"How residuals go back from {HOSTILE[0]}" in found


@pytest.mark.one_backend
def test_every_row_has_a_shape_and_a_colour():
    assert {row.case for row in tg.rows.values()} == set(PAINTS)
    x = leaf("x", 2, 2)
    out = tg.checkpoint(lambda x: tg.tanh(x))(tg.where(tg.tensor([True, False]), x, x.T) ** 2)
    dot = tg.draw(out, gains=True).dot
    for shown in ('label="tanh"', 'label="where"', 'label="ᵀ"', 'label="x²"', 'shape="hexagon"'):
        assert shown in dot


def test_summary_names_the_smallest_gain():
    drawn = tg.draw(exact_cases(), gains=True)
    assert str(drawn) == "graph of 3 operations (1 composition, 1 addition, 1 weighting); smallest gain ×0.5 at ×"


if __name__ == "__main__":
    for golden, build in GOLDENS.items():
        (GOLDEN / f"{golden}.dot").write_text(build().dot, encoding="utf-8", newline="\n")
