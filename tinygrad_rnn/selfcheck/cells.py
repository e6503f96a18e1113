"""Cells of many shapes, as users write them, so without annotations. Each function makes (cell, parameters, xs, state) for a batch and a
width. The tests and the command ``check`` run them."""

from __future__ import annotations

import collections

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn

T = 4


class Maker:
    """Makes tensors of one dtype, reproducibly."""

    def __init__(self, dtype, batch, width, seed=0):
        self.dtype, self.batch, self.width = np.dtype(dtype), batch, width
        self.random = np.random.default_rng(seed)
        self.parameters = []

    def data(self, *shape, grad=True):
        return tg.tensor(self.random.normal(size=shape), self.dtype, requires_grad=grad)

    def p(self, *shape):
        self.parameters.append(tg.tensor(self.random.normal(size=shape) * 0.5, self.dtype, requires_grad=True))
        return self.parameters[-1]

    def x(self, width=3, grad=True):
        return self.data(T, self.batch, width, grad=grad)

    def h(self, width=None, grad=True):
        return self.data(self.batch, width or self.width, grad=grad)


def module(make, build):
    """A built-in cell with random parameters, inputs and states."""

    def made(m):
        cell = build(m.width, m.dtype)
        for parameter in cell.parameters():
            parameter.data = (m.random.normal(size=parameter.shape) * 0.5).astype(m.dtype)
        sizes = cell.state_size
        state = tuple(m.h(n) for n in sizes) if isinstance(sizes, tuple) else m.h(sizes)
        return cell, list(cell.parameters()), m.x(), state

    made.__name__ = make
    return made


BUILT_IN = [
    module("rnn_tanh", lambda n, d: nn.RNNCell(3, n, dtype=d)),
    module("rnn_relu_without_bias", lambda n, d: nn.RNNCell(3, n, bias=False, nonlinearity="relu", dtype=d)),
    module("lstm", lambda n, d: nn.LSTMCell(3, n, dtype=d)),
    module("lstm_projected", lambda n, d: nn.LSTMCell(3, n, proj_size=2, dtype=d)),
    module("lstm_clipped", lambda n, d: nn.LSTMCell(3, n, proj_size=2, cell_clip=0.4, proj_clip=0.2, dtype=d)),
    module("lstm_cell_clip", lambda n, d: nn.LSTMCell(3, n, cell_clip=0.3, dtype=d)),
    module("peephole", lambda n, d: nn.PeepholeLSTMCell(3, n, dtype=d)),
    module("peephole_projected", lambda n, d: nn.PeepholeLSTMCell(3, n, proj_size=2, dtype=d)),
    module("gru_after", lambda n, d: nn.GRUCell(3, n, dtype=d)),
    module("gru_before", lambda n, d: nn.GRUCell(3, n, reset="before", dtype=d)),
]


def peephole_by_hand(m):
    n = m.width
    w, u, b, p = m.p(3, 4 * n), m.p(n, 4 * n), m.p(4 * n), m.p(3, n)

    def cell(x, state):
        h, c = state
        i, f, g, o = tg.split(x @ w + h @ u + b, 4, axis=-1)
        new = tg.sigmoid(f + p[1] * c) * c + tg.sigmoid(i + p[0] * c) * tg.tanh(g)
        h = tg.sigmoid(o + p[2] * new) * tg.tanh(new)
        return h, (h, new)

    return cell, m.parameters, m.x(), (m.h(), m.h())


def coupled_gates(m):
    n = m.width
    w, u, b = m.p(3, 3 * n), m.p(n, 3 * n), m.p(3 * n)

    def cell(x, state):
        h, c = state
        a = x @ w + h @ u + b
        f = tg.sigmoid(a[:, :n])
        c = f * c + (1 - f) * tg.tanh(a[:, n : 2 * n])
        h = tg.sigmoid(a[:, 2 * n :]) * tg.tanh(c)
        return h, (h, c)

    return cell, m.parameters, m.x(), (m.h(), m.h())


def layer_norm(m):
    n = m.width
    w, u, gain, shift = m.p(3, n), m.p(n, n), m.p(n), m.p(n)

    def cell(x, h):
        a = x @ w + h @ u
        a = a - tg.mean(a, axis=-1, keepdims=True)
        a = a * (tg.mean(a * a, axis=-1, keepdims=True) + 1e-3) ** -0.5
        h = tg.tanh(a * gain + shift)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def layer_norm_by_root(m):
    n = m.width
    w, u, gain, shift = m.p(3, n), m.p(n, n), m.p(n), m.p(n)

    def cell(x, h):
        a = x @ w + h @ u
        a = a - tg.mean(a, axis=-1, keepdims=True)
        h = tg.tanh(a / tg.sqrt(tg.mean(a**2, axis=-1, keepdims=True) + 0.01) * gain + shift)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def projected(m):
    n = m.width
    w, u, r = m.p(3, n), m.p(2, n), m.p(n, 2)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u) @ r
        return h, h

    return cell, m.parameters, m.x(), m.h(2)


def multiplicative_lstm(m):
    n = m.width
    wm, um, w, u = m.p(3, n), m.p(n, n), m.p(3, 4 * n), m.p(n, 4 * n)

    def cell(x, state):
        h, c = state
        between = (x @ wm) * (h @ um)
        i, f, g, o = tg.split(x @ w + between @ u, 4, axis=1)
        c = tg.sigmoid(f + 1) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.tanh(c) * tg.sigmoid(o)
        return h, (h, c)

    return cell, m.parameters, m.x(), (m.h(), m.h())


def minimal_gated(m):
    n = m.width
    wf, uf, w, u = m.p(3, n), m.p(n, n), m.p(3, n), m.p(n, n)

    def cell(x, h):
        f = tg.sigmoid(x @ wf + h @ uf)
        h = f * tg.tanh(x @ w + (f * h) @ u) + (1 - f) * h
        return h, h

    return cell, m.parameters, m.x(), m.h()


def clockwork(m):
    """Some units move at every step, the others at every second one: a clock in the state decides."""
    n = m.width
    w, u = m.p(3, n), m.p(n, n)
    slow = tg.tensor(np.arange(n) % 2, m.dtype)

    def cell(x, state):
        h, clock = state
        moving = tg.maximum(1 - slow, clock)
        new = tg.tanh(x @ w + h @ u)
        h = moving * new + (1 - moving) * h
        return h, (h, 1 - clock)

    return cell, m.parameters, m.x(), (m.h(), tg.tensor(np.ones((m.batch, 1)), m.dtype))


def residual(m):
    n = m.width
    w, u = m.p(n, n), m.p(n, n)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u)
        return h + x, h

    return cell, m.parameters, m.x(n), m.h()


def two_matmul_gru(m):
    n = m.width
    wz, uz, w, u = m.p(3, 2 * n), m.p(n, 2 * n), m.p(3, n), m.p(n, n)

    def cell(x, h):
        r, z = tg.split(tg.sigmoid(x @ wz + h @ uz), 2, axis=1)
        h = z * h + (1 - z) * tg.tanh(x @ w + (r * h) @ u)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def attention_over_memory(m):
    n = m.width
    w, u, keys, values = m.p(3, n), m.p(n, n), m.p(n, 6), m.p(6, n)

    def cell(x, h):
        seen = tg.softmax(h @ keys, axis=-1) @ values
        h = tg.tanh(x @ w + h @ u + seen)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def attention_without_maximum(m):
    n = m.width
    w, u, keys, values = m.p(3, n), m.p(n, n), m.p(n, 6), m.p(6, n)

    def cell(x, h):
        e = tg.exp(h @ keys)
        h = tg.tanh(x @ w + h @ u + (e / tg.sum(e, axis=-1, keepdims=True)) @ values)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def attention_per_sample(m):
    """Every sample has its own memory, (B, 4, n), fixed over the steps."""
    n = m.width
    memory, u = m.p(m.batch, 4, n), m.p(n, n)

    def cell(x, h):
        scores = tg.sum(memory * tg.reshape(h, (m.batch, 1, n)), axis=-1)
        seen = tg.sum(tg.reshape(tg.softmax(scores, axis=1), (m.batch, 4, 1)) * memory, axis=1)
        h = tg.tanh(x + h @ u + seen)
        return h, h

    return cell, m.parameters, m.x(n), m.h()


Pair = collections.namedtuple("Pair", "left right")


def nested_states(m):
    n = m.width
    w, u, v = m.p(3, n), m.p(n, n), m.p(n, n + 2)

    def cell(x, state):
        h, (wide, lone) = state["h"], state["rest"]
        h = tg.tanh(x @ w + h @ u) + tg.mean(wide, axis=1, keepdims=True)
        wide = 0.5 * wide + h @ v
        lone = 0.9 * lone + tg.sum(h, axis=1, keepdims=True) * 0.1
        return {"h": h, "more": [wide, (lone * h,)]}, {"h": h, "rest": Pair(wide, lone)}

    return cell, m.parameters, m.x(), {"h": m.h(), "rest": Pair(m.h(n + 2), m.h(1))}


def deep_transition(m):
    n = m.width
    w, u, b = m.p(3, n), [m.p(n, n) for _ in range(3)], [m.p(n) for _ in range(3)]

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u[0] + b[0])
        for weight, bias in zip(u[1:], b[1:], strict=True):
            h = tg.relu(h @ weight + bias) + 0.1 * h
        return h, h

    return cell, m.parameters, m.x(), m.h()


class Separate:
    """A weight matrix and a bias for each gate, as a plain object."""

    def __init__(self, m):
        n = m.width
        self.w = {gate: m.p(3, n) for gate in "ifgo"}
        self.u = {gate: m.p(n, n) for gate in "ifgo"}
        self.b = {gate: m.p(n) for gate in "ifgo"}

    def gate(self, name, x, h):
        return x @ self.w[name] + h @ self.u[name] + self.b[name]

    def __call__(self, x, state):
        h, c = state
        c = tg.sigmoid(self.gate("f", x, h)) * c + tg.sigmoid(self.gate("i", x, h)) * tg.tanh(self.gate("g", x, h))
        h = tg.sigmoid(self.gate("o", x, h)) * tg.tanh(c)
        return h, (h, c)


def separate_matrices(m):
    return Separate(m), m.parameters, m.x(), (m.h(), m.h())


def unchanged_state(m):
    n = m.width
    u = m.p(n, n)

    def cell(x, state):
        h, context = state
        h = tg.tanh(x + h @ u + context)
        return h, (h, context)

    return cell, m.parameters, m.x(n), (m.h(), m.h())


def one_tensor_in_many_places(m):
    n = m.width
    u, v = m.p(n, n), m.p(n, n)

    def cell(x, state):
        a, b = state
        h = tg.tanh(x + a @ u + b @ v)
        return (h, h, x), (h, h)

    return cell, m.parameters, m.x(n), (m.h(), m.h())


def exchanged_states(m):
    n = m.width
    u = m.p(n, n)

    def cell(x, state):
        a, b = state
        return a * b, (b, tg.tanh(x + a @ u))

    return cell, m.parameters, m.x(n), (m.h(), m.h())


def choices(m):
    n = m.width
    u, b, bound = m.p(n, n), m.p(n), m.p(n)

    def cell(x, h):
        a = tg.maximum(x, h @ u) - tg.minimum(b, h)
        a = tg.where(a > 0, a * 0.3, tg.clip(a, -0.5, None)) + tg.relu(bound - a)
        h = tg.where((a < 1) & (a > -1), a, tg.abs(a) * 0.1) * 0.5
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def constants_from_closures(m):
    n = m.width
    w1, w2, p, q = m.p(n, 2), m.p(2, n), m.p(n), m.p()

    def cell(x, h):
        h = tg.tanh((x + h) @ (w1 @ w2) * tg.exp(p) + tg.sigmoid(q)) * tg.tensor(0.9, h.dtype)
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def made_outside(m):
    """What the cell uses was computed before the scan, and its gradient goes on from there."""
    n = m.width
    p, q = m.p(n, n), m.p(n)
    weight, gain = tg.tanh(p), tg.exp(q)

    def cell(x, h):
        h = tg.tanh(x * gain + h @ weight)
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def embedding(m):
    n = m.width
    table, u = m.p(5, n), m.p(n, n)

    def cell(x, h):
        h = tg.tanh(tg.take(table, x, axis=0) + h @ u)
        return h, h

    return cell, m.parameters, tg.tensor(m.random.integers(0, 5, (T, m.batch))), m.h()


def several_inputs(m):
    n = m.width
    w, u, v = m.p(3, n), m.p(n, n), m.p(2, n)

    def cell(xs, h):
        x, (z, gate) = xs["x"], xs["rest"]
        h = tg.tanh(x @ w + h @ u) * tg.sigmoid(gate) + z @ v
        return h, h

    return cell, m.parameters, {"x": m.x(3), "rest": (m.x(2, grad=False), m.x(1))}, m.h()


def input_without_gradient(m):
    n = m.width
    w, u = m.p(3, n), m.p(n, n)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u)
        return h, h

    return cell, m.parameters, m.x(grad=False), m.h(grad=False)


def some_parameters(m):
    n = m.width
    w, u, b, frozen = m.p(3, n), m.p(n, n), m.p(n), m.data(n, n, grad=False)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u + h @ frozen + b)
        return h, h

    b.requires_grad_(False)
    return cell, m.parameters, m.x(), m.h()


def nested_outputs(m):
    n = m.width
    u = m.p(n, n)

    def cell(x, h):
        h = tg.tanh(x + h @ u)
        return {"all": (h, h * h), "some": [h[:, :1], tg.concatenate([h, x], axis=1)], "sum": tg.sum(h, axis=1)}, h

    return cell, m.parameters, m.x(n), m.h()


def no_products(m):
    n = m.width
    a, b = m.p(n), m.p(n)

    def cell(x, h):
        h = tg.sigmoid(a) * h + x * b
        return tg.tanh(h), h

    return cell, m.parameters, m.x(n), m.h()


def functions(m):
    """Operations that have no machine code of their own, beside ones that have."""
    n = m.width
    u = m.p(n, n)

    def cell(x, h):
        a = x + h @ u
        h = tg.softplus(a) - tg.log(1 + a * a) + tg.sin(h) * tg.cumsum(x, axis=1) * 0.1
        return h, h

    return cell, m.parameters, m.x(n), m.h() * 0.3


def jumps(m):
    """Comparisons and signs as factors: no residual passes through them."""
    n = m.width
    u, b = m.p(n, n), m.p(n)

    def cell(x, h):
        a = x + h @ u
        h = (a > b).astype(a.dtype) * tg.tanh(a) + 0.1 * tg.sign(h) * x + (b > 0).astype(a.dtype) * 0.1
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def detached(m):
    """A state that no residual passes through, and a block that records nothing."""
    n = m.width
    w, u, v = m.p(3, n), m.p(n, n), m.p(n, n)

    def cell(x, h):
        with tg.no_grad():
            seen = tg.tanh(h @ v) * 0.5
        h = tg.tanh(x @ w + h.detach() @ u + h @ u + seen) + tg.stop_gradient(x)[:, :1]
        return h * seen, h

    return cell, m.parameters, m.x(), m.h()


def parameter_as_output(m):
    n = m.width
    u, b = m.p(n, n), m.p(m.batch, n)

    def cell(x, h):
        h = tg.tanh(x + h @ u)
        return (h, b, b + 1), h

    return cell, m.parameters, m.x(n), m.h()


def weight_tied(m):
    """One matrix on three sides: for x, for h and, transposed, for the output."""
    n = m.width
    u, b = m.p(n, n), m.p(1, n)

    def cell(x, h):
        h = tg.tanh(x @ u + h @ u + b)
        return h @ u.T, h

    return cell, m.parameters, m.x(n), m.h()


def inputs_alone(m):
    """No step sees the one before, and one product of x goes into the next."""
    n = m.width
    w, u = m.p(3, n), m.p(n, n)

    def cell(x, h):
        a = x @ w
        return a, tg.tanh(a @ u)

    return cell, m.parameters, m.x(), m.h()


def joined_operands(m):
    n = m.width
    w, b = m.p(n + 3, n), m.p(n)

    def cell(x, h):
        h = tg.tanh(tg.concatenate([x, h], axis=1) @ w + b)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def shared_left_operand(m):
    n = m.width
    w, u, v, s = m.p(3, n), m.p(n, n), m.p(n, 2 * n), m.p(n, 1)

    def cell(x, h):
        a, b = tg.split(h @ v, 2, axis=1)
        gate = tg.sigmoid(h @ s)
        new = tg.tanh(x @ w + h @ u + a) * gate + (1 - gate) * b
        return new @ u, new

    return cell, m.parameters, m.x(), m.h()


def state_of_two_axes(m):
    """A fast-weight memory: the state of a sample is a matrix."""
    n, b = m.width, m.batch
    u = m.p(n, n)

    def cell(x, state):
        h, memory = state
        read = tg.sum(memory * tg.reshape(h, (b, 1, n)), axis=2)
        h = tg.tanh(x + h @ u + read)
        return h, (h, 0.9 * memory + 0.1 * tg.reshape(h, (b, n, 1)) * tg.reshape(h, (b, 1, n)))

    return cell, m.parameters, m.x(n), (m.h(), m.data(b, n, n))


def stacked_weights(m):
    """Several networks side by side, each sample read by a matrix of its own."""
    n, b = m.width, m.batch
    w, u = m.p(b, 1, n), m.p(b, n, n)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u)
        return h, h

    return cell, m.parameters, m.data(T, b, 2, 1), m.data(b, 2, n)


def part_of_a_row(m):
    """One column of the state, anywhere in its row, is a number for the whole row."""
    u = m.p(m.width, m.width)

    def cell(x, h):
        h = tg.tanh(x + h @ u * h[:, 1:2] + tg.sum(h[:, 2:4], axis=1, keepdims=True))
        return h, h

    return cell, m.parameters, m.x(m.width), m.h()


def elementwise(m):
    """Every formula that kernels of a device have."""
    n = m.width
    a, b = m.p(n), m.p(n)

    def cell(x, h):
        p, q = tg.exp(tg.tanh(h * a)), tg.tanh(x * b) * 0.9
        y = tg.log(p) + tg.log2(p) - tg.log10(p) + tg.log1p(p) + tg.exp2(q) + tg.expm1(q) + tg.sqrt(p) + tg.cbrt(p)
        y = y + tg.sin(q) * tg.cos(q) - tg.tan(q) + tg.arcsin(q) - tg.arccos(q) + tg.arctan(q) + tg.sinh(q) - tg.cosh(q)
        y = y + tg.arcsinh(q) + tg.arccosh(p + 1) - tg.arctanh(q) + tg.erf(q) + tg.softplus(q) + tg.abs(q) + 1 / p
        y = y + p**0.5 + q**2 - q**3 + p**-1 + p**1.7 + tg.power(p, q) + tg.hypot(p, q) - tg.arctan2(q, p) + tg.relu(q)
        y = y + tg.maximum(p, q) + tg.minimum(q, h) + tg.clip(q, -0.5, 0.5) + tg.sign(q) * q
        y = y + tg.floor(p) + tg.ceil(q) + tg.rint(p) + tg.trunc(p)
        y = y + tg.where(((q > 0) & (p <= 2)) | ~(h < x) ^ (q == h) | (q >= x) & (h != x) | tg.isnan(q) | tg.isinf(q), p, q)
        y = y + tg.where(tg.isfinite(q), q, np.inf) + tg.where(q > 2, -np.inf, tg.where(q > 3, np.nan, x))
        h = tg.tanh(y * 0.02)
        return h, h

    return cell, m.parameters, m.x(n), m.h()


WRITTEN = [
    peephole_by_hand, coupled_gates, layer_norm, layer_norm_by_root, projected, multiplicative_lstm, minimal_gated, clockwork, residual,
    two_matmul_gru, attention_without_maximum, deep_transition, separate_matrices, unchanged_state, one_tensor_in_many_places,
    exchanged_states, choices, jumps, detached, constants_from_closures, made_outside, several_inputs, input_without_gradient,
    some_parameters, no_products, inputs_alone, weight_tied, joined_operands, shared_left_operand,
]  # fmt: skip
"""Cells that become machine code."""

CALLED = [
    attention_over_memory, attention_per_sample, nested_states, embedding, nested_outputs, functions, parameter_as_output,
    state_of_two_axes, stacked_weights,
]  # fmt: skip
"""Cells that are interpreted, at least for some widths."""

FORMULAS = [part_of_a_row, elementwise]
"""Cells that are kernels on a device."""

ALL = [*BUILT_IN, *WRITTEN, *CALLED]
