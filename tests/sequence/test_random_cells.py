"""Random cells, written by hypothesis from the rows: eager, interpreted and machine code agree."""

from __future__ import annotations

import numpy as np
import pytest
from compare import compare
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import chain_rule

B, X, WIDTHS, STEPS = 3, 2, (1, 2, 5), 3

UNARY = {
    "tanh": tg.tanh,
    "sigmoid": tg.sigmoid,
    "relu": tg.relu,
    "abs": tg.abs,
    "negative": tg.negative,
    "exp": lambda a: tg.exp(tg.clip(a, None, 1.0)),
    "sqrt": lambda a: tg.sqrt(a * a + 0.5),
    "reciprocal": lambda a: 1 / (a * a + 0.5),
    "clip": lambda a: tg.clip(a, -0.6, 0.7),
    "raise_to": lambda a: (a * a + 0.5) ** -1.5,
    "softplus": tg.softplus,
    "log": lambda a: tg.log(a * a + 0.5),
    "sin": tg.sin,
    "erf": tg.erf,
    "arctan": tg.arctan,
    "log1p": lambda a: tg.log1p(a * a),
    "sign": tg.sign,
    "stop_gradient": tg.stop_gradient,
    "greater": lambda a: (a > 0.1).astype("float64"),
    "halves": lambda a: tg.concatenate(tg.split(a, [1], axis=1)[::-1], axis=1),
    "centred": lambda a: a - tg.mean(a, axis=1, keepdims=True),
    "scaled": lambda a: a / tg.sqrt(tg.sum(a * a, axis=1, keepdims=True) + 0.5),
    "first": lambda a: a[:, :1] * a,
    "half": lambda a: 0.5 * a,
    "shifted": lambda a: 1 - a,
}
BINARY = {
    "add": tg.add,
    "subtract": tg.subtract,
    "multiply": tg.multiply,
    "maximum": tg.maximum,
    "minimum": tg.minimum,
    "where": lambda a, b: tg.where(a > b, a * 0.5, b),
    "divide": lambda a, b: a / (b * b + 1),
    "gated": lambda a, b: tg.sigmoid(a) * b,
}


@st.composite
def programs(draw):
    """(widths of the states, instructions, where each new state and the output come from)."""
    widths = draw(st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=2))
    made = [X, *widths]  # the widths of all values so far: x, the states, then what instructions make
    instructions = []

    def value():
        return draw(st.integers(0, len(made) - 1))

    def partner(width):
        return draw(st.sampled_from([v for v, n in enumerate(made) if n == width]))

    for _ in range(draw(st.integers(2, 7))):
        kind = draw(st.sampled_from(["unary", "unary", "binary", "matmul", "matmul", "bias", "slice", "join", "columns"]))
        a = value()
        if kind == "unary":
            instructions.append((kind, a, draw(st.sampled_from(sorted(UNARY)))))
            made.append(made[a])
        elif kind == "binary":
            instructions.append((kind, a, (draw(st.sampled_from(sorted(BINARY))), partner(made[a]))))
            made.append(made[a])
        elif kind == "matmul":
            width = draw(st.sampled_from(WIDTHS))
            instructions.append((kind, a, width))
            made.append(width)
        elif kind == "bias":
            instructions.append((kind, a, draw(st.sampled_from(["vector", "row", "number", "exp"]))))
            made.append(made[a])
        elif kind == "slice":
            start = draw(st.integers(0, made[a] - 1))
            stop = draw(st.integers(start + 1, made[a]))
            instructions.append((kind, a, (start, stop)))
            made.append(stop - start)
        elif kind == "join":
            b = value()
            if made[a] + made[b] > 8:
                continue
            instructions.append((kind, a, b))
            made.append(made[a] + made[b])
        else:
            instructions.append((kind, a, draw(st.sampled_from(["sum", "mean"]))))
            made.append(1)
    ends = [draw(st.integers(0, len(made) - 1)) for _ in (*widths, None)]
    return widths, instructions, ends, made


def build(program, seed):
    """The cell and its parameters."""
    widths, instructions, ends, made = program
    random = np.random.default_rng(seed)
    parameters = []

    def parameter(*shape):
        parameters.append(tg.tensor(random.normal(size=shape) * 0.7, requires_grad=True))
        return parameters[-1]

    weights = {}
    for i, (kind, a, what) in enumerate(instructions):
        if kind == "matmul":
            weights[i] = parameter(made[a], what)
        elif kind == "bias":
            weights[i] = parameter(*{"vector": (made[a],), "row": (1, made[a]), "number": (), "exp": (made[a],)}[what])
    outs = [parameter(made[end], width) for end, width in zip(ends, widths, strict=False)]

    def cell(x, states):
        values = [x, *states]
        for i, (kind, a, what) in enumerate(instructions):
            v = values[a]
            if kind == "unary":
                values.append(UNARY[what](v))
            elif kind == "binary":
                values.append(BINARY[what[0]](v, values[what[1]]))
            elif kind == "matmul":
                values.append(v @ weights[i])
            elif kind == "bias":
                values.append(v * tg.exp(weights[i]) if what == "exp" else v + weights[i])
            elif kind == "slice":
                values.append(v[:, what[0] : what[1]])
            elif kind == "join":
                values.append(tg.concatenate([v, values[what]], axis=1))
            else:
                values.append(getattr(tg, what)(v, axis=1, keepdims=True))
        new = tuple(
            values[end] if made[end] == width and i % 2 else tg.tanh(values[end] @ out)
            for i, (end, width, out) in enumerate(zip(ends, widths, outs, strict=False))
        )
        return values[ends[-1]], new

    return cell, parameters


@pytest.mark.one_backend
@settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(program=programs(), seed=st.integers(0, 3), reverse=st.booleans(), live=st.sampled_from(["all", "zero", "previous"]))
def test_random_cells(program, seed, reverse, live):
    cell, parameters = build(program, seed)
    random = np.random.default_rng(seed + 10)
    x = tg.tensor(random.normal(size=(STEPS, B, X)), requires_grad=True)
    states = tuple(tg.tensor(random.normal(size=(B, n)), requires_grad=True) for n in program[0])
    mask = None if live == "all" else np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]], bool)
    compare(
        "numpy", cell, [*parameters, x, *states], x, states,
        must_be_native=False, reverse=reverse, live=mask, masked_output="zero" if live == "all" else live,
    )  # fmt: skip


def elementwise_rows():
    return [row.name for row in chain_rule.rows.values() if row.elementwise and row.name not in ("astype", "where", "clip", "raise_to")]


@pytest.mark.parametrize("name", elementwise_rows())
def test_every_elementwise_row_in_a_cell(backend, name):
    """Each on numbers that it takes, whether it has machine code or is called."""
    weight = tg.tensor(np.random.default_rng(1).normal(size=(5, 5)) * 0.4, requires_grad=True)
    function = getattr(tg, name)

    def cell(x, h):
        a, b = tg.sigmoid(x + h @ weight) * 0.9 + 0.05, tg.sigmoid(h) + 0.5
        a = a + 1 if name == "arccosh" else a
        new = function(a, b) if binary else function(a)
        h = tg.tanh(new) + 0.1 * h
        return new, h

    random = np.random.default_rng(2)
    x, h = (tg.tensor(random.normal(size=s), requires_grad=True) for s in ((STEPS, B, 5), (B, 5)))
    binary = name in ("add", "subtract", "multiply", "maximum", "minimum", "power", "arctan2", "hypot", "logaddexp")
    compare(backend, cell, [weight, x, h], x, h, must_be_native=False)
