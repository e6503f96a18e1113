"""Names from the user's code in pictures."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import BATCH, HIDDEN, INPUT, called, labels, leaf, looped, network, tagged
from tinygrad_rnn import tree
from tinygrad_rnn.reading.steps import find_chains


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (tg.nn.RNNCell, {"h[t−1]", "h[t]", "h[t] = tanh", "x"}),
        (
            tg.nn.LSTMCell,
            {
                "c[t−1]",
                "c[t]",
                "h[t−1]",
                "h[t]",
                "i = σ",
                "f = σ",
                "g = tanh",
                "o = σ",
                "weight_ihᵀ",
                "weight_hhᵀ",
                "bias_ih",
            },
        ),
        (
            tg.nn.PeepholeLSTMCell,
            {"c[t−1]", "c[t]", "i = σ", "f = σ", "g = tanh", "o = σ", "p_i", "p_f", "p_o"},
        ),
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

    y, _ = tg.scan(
        cell, tg.tensor(np.ones((3, BATCH, HIDDEN))), tg.tensor(np.ones((BATCH, HIDDEN))), compiled=compiled
    )
    found = labels(tg.draw(y))
    assert [name for name in found if "tanh" in name] == ["h[0] = tanh", "h[1] = tanh", "h[2] = tanh"]
    assert found.count("offset") == found.count("x") == 3
    assert "h[start]" in found


def test_a_loop_of_the_users_own_over_a_cell_has_steps_too():
    cell = tg.nn.LSTMCell(INPUT, HIDDEN)
    state = tuple(
        tg.tensor(np.ones((BATCH, HIDDEN), "float32"), requires_grad=True, name=name) for name in ("h0", "c0")
    )
    for _ in range(3):
        y, state = cell(tg.tensor(np.ones((BATCH, INPUT), "float32")), state)
    found = network([tg.sum(y)])
    assert [step.label for step in found.steps] == ["0", "1", "2"]
    assert [found.tape[place].row.symbol for place in found.path] == ["×", "+"] * 3
    assert {"h0", "c0"} <= set(labels(tg.draw(y, max_nodes=200)))


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
    assert all(
        np.array_equal(a, b)
        for a, b in zip(tree.leaves(state), tree.leaves(tg.random.get_state()), strict=True)
    )
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
