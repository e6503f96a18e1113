"""Pictures in a browser: whether their texts, nodes and arrow heads keep clear of each other.

A picture is right only where it is seen: with a browser's own letters, in whatever fonts there are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tests.graph.browser import lstm_layer
from tests.graph.scenes import (
    BATCH,
    HIDDEN,
    INPUT,
    called,
    exact_cases,
    leaf,
    leaky_run,
    lstm_step,
    named,
    rnn_step,
    tagged,
    unrolled,
)

CELLS = [name for name in tg.nn.__all__ if name.endswith("Cell")]


def pictures():
    """What is drawn, by name. A new view, or a picture that went wrong, gets a line here."""
    cells = {name: tg.draw(called(getattr(tg.nn, name))) for name in CELLS}
    return cells | {
        "three cases": tg.draw(exact_cases(), gains=True),
        "LSTM by hand": tg.draw(lstm_step(), title="LSTM step"),
        "LSTM with gains": tg.draw(lstm_step(), gains=True),
        "peephole LSTM with gains": tg.draw(lstm_step(peephole=True), gains=True),
        "layer norm with gains": tg.draw(called(tg.nn.LayerNormLSTMCell), gains=True),
        "order and values": tg.draw(lstm_step(), order=True, values=True),
        "matrix state": tg.draw(matrix_state(), gains=True),
        "one unit": tg.draw(one_unit(), gains=True),
        "names of 40 letters": tg.draw(with_names(lambda name: (name * 40)[:40]), gains=True),
        "Chinese names": tg.draw(with_names(lambda name: f"权重矩阵{name}"), gains=True),
        "NaN": tg.draw(with_nan(), gains=True),
        "attention, modules": tg.draw(attentive(), view="cells"),
        "attention, modules without gains": tg.draw(attentive(), view="cells", gains=False),
        "100 steps": tg.draw(leaky_run(), view="steps"),
        "two layers of 20 steps": tg.draw(tagged(20, num_layers=2, bidirectional=True), view="steps"),
        "MGU with gains": tg.draw(called(tg.nn.MGUCell), gains=True),
        "8 parts of a split": tg.draw(parts_of_a_split(), gains=True),
        "10 arrows to one input": tg.draw(used_often()),
        "3 steps with gains": tg.draw(unrolled(), gains=True),
        "6 steps of an LSTM": tg.draw(lstm_layer(6), view="ops", gains=True),
        "6 steps of two layers": tg.draw(tagged(6, num_layers=2), view="ops", gains=True, max_nodes=400),
        "12 losses in a narrow picture": tg.draw(
            sum(unrolled(12)), view="ops", gains=True, max_nodes=400, width=600
        ),
        "100 steps of two layers in both directions": tg.draw(
            tagged(100, num_layers=2, bidirectional=True), view="steps"
        ),
    }


def matrix_state():
    """Fast weights: a state of one matrix for each sample."""
    S, k = leaf("S[t−1]", BATCH, HIDDEN, INPUT), leaf("k", BATCH, 1, INPUT)
    v, q = leaf("v", BATCH, HIDDEN, 1), leaf("q", BATCH, INPUT, 1)
    f = tg.sigmoid(leaf("f", 1))
    S = named(f * S + v * k, "S[t]")
    return named(tg.tanh(S @ q), "y[t]"), S


def parts_of_a_split(count=8):
    parts = tg.split(leaf("x", BATCH, INPUT) @ leaf("W", INPUT, count * HIDDEN), count, axis=-1)
    weighted = [(tg.tanh if i % 2 else tg.sigmoid)(part) * (i + 1.0) for i, part in enumerate(parts)]
    return named(tg.sum(sum(weighted)), "loss")


def used_often(times=10):
    x = leaf("x", HIDDEN)
    return named(tg.sum(tg.concat([tg.tanh(x * float(i)) for i in range(times)], axis=0)), "loss")


def one_unit():
    x, h, w, u, b = (leaf(name, 1) for name in ("x", "h[t−1]", "w", "u", "b"))
    return named(tg.tanh(w * x + u * h + b), "h[t]")


def with_names(name):
    weights = leaf(name("W"), INPUT, HIDDEN), leaf(name("U"), HIDDEN, HIDDEN), leaf(name("b"), HIDDEN)
    h = leaf(name("h"), BATCH, HIDDEN)
    return named(rnn_step(h, name("t"), weights=weights), name("y"))


def with_nan():
    x = leaf("x", HIDDEN)
    x.data = np.array([0.5, np.nan, 1.0, 2.0])
    return named(tg.sum(tg.tanh(x) * leaf("w", HIDDEN) + tg.log(leaf("zero", HIDDEN) * 0.0)), "loss")


class Attentive(tg.nn.Module):
    """Two layers in both directions, and attention over their steps."""

    def __init__(self):
        self.embed = tg.nn.Embedding(5, INPUT)
        self.rnn = tg.nn.LSTM(INPUT, HIDDEN, num_layers=2, bidirectional=True)
        self.score = tg.nn.Linear(2 * HIDDEN, 1)
        self.readout = tg.nn.Linear(2 * HIDDEN, 2)

    def __call__(self, x):
        y, _ = self.rnn(self.embed(x))
        return self.readout(tg.sum(tg.softmax(self.score(tg.tanh(y)), axis=0) * y, axis=0))


def attentive(steps=4):
    return named(tg.sum(Attentive()(tg.tensor(np.arange(2 * steps).reshape(steps, 2) % 5))), "loss")


# -- in a browser --------------------------------------------------------------------------------------------


def page(svgs):
    """One page of many pictures, each under its name, enlarged: heights of small letters are rounded."""
    style = "svg { max-width: none !important; zoom: 4 }"
    head = f"<!doctype html><meta charset=utf-8><style>{style}</style><body>"
    return head + "".join(
        f'<div data-name="{name}">{svg[svg.index("<svg") :]}</div>' for name, svg in svgs.items()
    )


FAULTS = Path(__file__).with_name("boxes.js").read_text(encoding="utf-8")
"""Tells the pairs that intersect; where a shape is no rectangle, by points of it. A text may lie in its own
node."""


def faults(driver, file, svgs):
    """What is wrong, a line for each, with these pictures opened from a file."""
    file.write_text(page(svgs), encoding="utf-8")
    driver.get(file.as_uri())
    return driver.execute_script(FAULTS)
