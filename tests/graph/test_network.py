"""What a picture shows of a tape: the path of the state, steps, copies of parameters."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import (
    BATCH,
    HIDDEN,
    INPUT,
    gru_step,
    leaf,
    lstm_step,
    named,
    network,
    rnn_step,
    unrolled,
)
from tinygrad_rnn.tape import scope


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
        ("c[t−1]", "c[t]", True), ("h(0)", "h(1)", True), ("h0", "h1", True), ("h_0", "h_1", True),
        ("h", "h_next", True),
        ("h_prev", "h", True), ("状态0", "状态1", True), ("h", "h′", True), ("a", "a2", False),
        ("a", "ab", False), ("a", "a", False),
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
    assert [step.head for step in found.steps] == [
        "layer 1: t = 0",
        "layer 1: t = 1",
        "layer 2: t = 0",
        "layer 2: t = 1",
    ]
    assert {
        found.vertices[0].step,
        *(step.index for step in found.steps if set(step.places) & set(found.path)),
    } == {1, 3, 4}


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
