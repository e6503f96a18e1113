"""Where weights come from and what they multiply: closures, objects, other tensors, both sides, stacks."""

from __future__ import annotations

import tinygrad_rnn as tg

from .maker import Maker, Sample


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
        c = tg.sigmoid(self.gate("f", x, h)) * c + tg.sigmoid(self.gate("i", x, h)) * tg.tanh(
            self.gate("g", x, h)
        )
        h = tg.sigmoid(self.gate("o", x, h)) * tg.tanh(c)
        return h, (h, c)


def separate_matrices(m: Maker) -> Sample:
    return Separate(m), m.parameters, m.x(), (m.h(), m.h())


def constants_from_closures(m: Maker) -> Sample:
    n = m.width
    w1, w2, p, q = m.p(n, 2), m.p(2, n), m.p(n), m.p()

    def cell(x, h):
        h = tg.tanh((x + h) @ (w1 @ w2) * tg.exp(p) + tg.sigmoid(q)) * tg.tensor(0.9, h.dtype)
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def made_outside(m: Maker) -> Sample:
    """What the cell uses was computed before the scan, and its gradient goes on from there."""
    n = m.width
    p, q = m.p(n, n), m.p(n)
    weight, gain = tg.tanh(p), tg.exp(q)

    def cell(x, h):
        h = tg.tanh(x * gain + h @ weight)
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def embedding(m: Maker) -> Sample:
    n = m.width
    table, u = m.p(5, n), m.p(n, n)

    def cell(x, h):
        h = tg.tanh(tg.take(table, x, axis=0) + h @ u)
        return h, h

    return cell, m.parameters, tg.tensor(m.random.integers(0, 5, (m.steps, m.batch))), m.h()


def weight_tied(m: Maker) -> Sample:
    """One matrix on three sides: for x, for h and, transposed, for the output."""
    n = m.width
    u, b = m.p(n, n), m.p(1, n)

    def cell(x, h):
        h = tg.tanh(x @ u + h @ u + b)
        return h @ u.T, h

    return cell, m.parameters, m.x(n), m.h()


def inputs_alone(m: Maker) -> Sample:
    """No step sees the one before, and one product of x goes into the next."""
    n = m.width
    w, u = m.p(3, n), m.p(n, n)

    def cell(x, h):
        a = x @ w
        return a, tg.tanh(a @ u)

    return cell, m.parameters, m.x(), m.h()


def joined_operands(m: Maker) -> Sample:
    n = m.width
    w, b = m.p(n + 3, n), m.p(n)

    def cell(x, h):
        h = tg.tanh(tg.concatenate([x, h], axis=1) @ w + b)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def shared_left_operand(m: Maker) -> Sample:
    n = m.width
    w, u, v, s = m.p(3, n), m.p(n, n), m.p(n, 2 * n), m.p(n, 1)

    def cell(x, h):
        a, b = tg.split(h @ v, 2, axis=1)
        gate = tg.sigmoid(h @ s)
        new = tg.tanh(x @ w + h @ u + a) * gate + (1 - gate) * b
        return new @ u, new

    return cell, m.parameters, m.x(), m.h()


def stacked_weights(m: Maker) -> Sample:
    """Several networks side by side, each sample read by a matrix of its own."""
    n, b = m.width, m.batch
    w, u = m.p(b, 1, n), m.p(b, n, n)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u)
        return h, h

    return cell, m.parameters, m.data(m.steps, b, 2, 1), m.data(b, 2, n)
