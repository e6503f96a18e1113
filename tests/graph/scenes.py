"""What the tests of pictures draw: cells written from primitives, layers, names that try to break out, and
the pictures that are kept.

After a wanted change of the look, ``python -m tests.graph.scenes`` writes the golden files anew; look at them
before they are committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import tree
from tinygrad_rnn.graph.network import Network
from tinygrad_rnn.reading.followed import Followed, ones
from tinygrad_rnn.reading.opened import Opened
from tinygrad_rnn.reading.recording import Recording
from tinygrad_rnn.reading.steps import find_chains
from tinygrad_rnn.tape import scope

GOLDEN = Path(__file__).parent / "golden"
BATCH, INPUT, HIDDEN = 2, 3, 4
HOSTILE = [
    'a"b', "back\\slash", "\\N \\G \\L \\E \\T \\H", "a\\nb\\lc\\rd", "x<y>&amp;z", "<b>bold</b>",
    "权重 矩阵", "ünï¢ødé 🚀", "a;b}c]d", "--> {", "o'neil", "label\\", "\\\\", "\\\\N", "\\", "𝔘",
    "<", '"', '\\"', "&#92;N", "&lt;", "a  b", "%d%s", "$x$",
    "/*c*/ //d", "#e", "<!-- -->", "]]>", "&", "\\&#78;", "\\\\\\N", '\\"];evil[label="',
]  # fmt: skip


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
    x, h, c = (
        leaf("x[t]", BATCH, INPUT, grad=False),
        leaf("h[t−1]", BATCH, HIDDEN),
        leaf("c[t−1]", BATCH, HIDDEN),
    )
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
    for parameter in cell.parameters():
        parameter.data = np.full(parameter.shape, 0.25, "float32")
    state = tree.map_leaves(
        lambda size: tg.tensor(np.ones((BATCH, size), "float32"), requires_grad=True), cell.state_size
    )
    return cell(tg.tensor(np.ones((BATCH, INPUT), "float32")), state)[1]


def exact_cases():
    """All three cases with gains that can be done in the head: 0.5, 1, 2."""
    w, x, b = leaf("w"), leaf("x"), leaf("b")
    w.data, x.data, b.data = np.array(0.5), np.array(2.0), np.array(1.0)
    return named(tg.relu(w * x + b), "y")


def classified():
    """A transpose and a function that are drawn with less than all of their operations."""
    logits = leaf("x", BATCH, INPUT, grad=False) @ leaf("W", HIDDEN, INPUT).T + leaf("b", HIDDEN)
    return named(tg.cross_entropy(logits, [0, 3]), "loss")


def leaky(x, state):
    """A cell without slopes; with powers of two for its weights every residual is exact: ∂c[T]/∂c[t] = (f + p
    o)^(T−t) = ½^(T−t)."""
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
    "functions": lambda: tg.draw(classified()),
    "lstm_cell": lambda: tg.draw(called(tg.nn.LSTMCell)),
    "steps_100": lambda: tg.draw(leaky_run(), view="steps"),
    "steps_bidirectional": lambda: tg.draw(
        tagged(20, num_layers=2, bidirectional=True), view="steps", gains=False
    ),
    "cells_bidirectional": lambda: tg.draw(
        tagged(20, num_layers=2, bidirectional=True), view="cells", gains=False
    ),
}


def looped(cell, x, state):
    for x_t in x:
        y, state = cell(x_t, state)
    return y


# -- read ----------------------------------------------------------------------------------------------------


def network(outputs):
    recording = Recording(outputs, [], sys._getframe())
    return Network(recording.tape, recording.results, recording.names, recording.chains)


def labels(drawn):
    return re.findall(r'label="([^"]*)"', drawn.dot)


def residuals(loss, start=None):
    """For each state by step what is left at it; the state before the first step is step −1."""
    (loss,) = Opened([loss]).results
    tape = tg.Tape.of(loss)
    (trail,) = Followed(tape, find_chains(tape), ones([loss]), alone=start is None).trails
    steps = range(-1, len(trail.chain))
    return [
        {t: size for t in steps if (size := trail.size(i, t)) is not None} for i in range(trail.chain.count)
    ]


def texts(svg):
    """The labels of an SVG and its tooltips."""
    tree = ElementTree.fromstring(svg)
    labels = ["".join(t.itertext()) for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    tooltips = [title.text for title in tree.iter("{http://www.w3.org/2000/svg}title")]
    return [[found.replace("\xa0", " ") for found in kind] for kind in (labels, tooltips)]


def printed_with_other_hashes(program):
    """What a program prints in processes whose strings have other hashes, and so sets other orders."""
    told = set()
    for seed in "01":
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        told.add(
            subprocess.run(
                [sys.executable, "-c", program],
                cwd=Path(__file__).parents[2],
                env=environment,
                capture_output=True,
                check=True,
            ).stdout
        )
    return told


if __name__ == "__main__":
    for golden, build in GOLDENS.items():
        (GOLDEN / f"{golden}.dot").write_text(build().dot, encoding="utf-8", newline="\n")
