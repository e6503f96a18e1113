"""Cells by hand: gates, norms, projections, layers within a step, attention."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg

from .maker import Maker, Sample


def peephole_by_hand(m: Maker) -> Sample:
    n = m.width
    w, u, b, p = m.p(3, 4 * n), m.p(n, 4 * n), m.p(4 * n), m.p(3, n)

    def cell(x, state):
        h, c = state
        i, f, g, o = tg.split(x @ w + h @ u + b, 4, axis=-1)
        new = tg.sigmoid(f + p[1] * c) * c + tg.sigmoid(i + p[0] * c) * tg.tanh(g)
        h = tg.sigmoid(o + p[2] * new) * tg.tanh(new)
        return h, (h, new)

    return cell, m.parameters, m.x(), (m.h(), m.h())


def coupled_gates(m: Maker) -> Sample:
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


def minimal_gated(m: Maker) -> Sample:
    n = m.width
    wf, uf, w, u = m.p(3, n), m.p(n, n), m.p(3, n), m.p(n, n)

    def cell(x, h):
        f = tg.sigmoid(x @ wf + h @ uf)
        h = f * tg.tanh(x @ w + (f * h) @ u) + (1 - f) * h
        return h, h

    return cell, m.parameters, m.x(), m.h()


def two_matmul_gru(m: Maker) -> Sample:
    n = m.width
    wz, uz, w, u = m.p(3, 2 * n), m.p(n, 2 * n), m.p(3, n), m.p(n, n)

    def cell(x, h):
        r, z = tg.split(tg.sigmoid(x @ wz + h @ uz), 2, axis=1)
        h = z * h + (1 - z) * tg.tanh(x @ w + (r * h) @ u)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def multiplicative_lstm(m: Maker) -> Sample:
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


def layer_norm(m: Maker) -> Sample:
    n = m.width
    w, u, gain, shift = m.p(3, n), m.p(n, n), m.p(n), m.p(n)

    def cell(x, h):
        a = x @ w + h @ u
        a = a - tg.mean(a, axis=-1, keepdims=True)
        a = a * (tg.mean(a * a, axis=-1, keepdims=True) + 1e-3) ** -0.5
        h = tg.tanh(a * gain + shift)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def layer_norm_by_root(m: Maker) -> Sample:
    n = m.width
    w, u, gain, shift = m.p(3, n), m.p(n, n), m.p(n), m.p(n)

    def cell(x, h):
        a = x @ w + h @ u
        a = a - tg.mean(a, axis=-1, keepdims=True)
        h = tg.tanh(a / tg.sqrt(tg.mean(a**2, axis=-1, keepdims=True) + 0.01) * gain + shift)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def projected(m: Maker) -> Sample:
    n = m.width
    w, u, r = m.p(3, n), m.p(2, n), m.p(n, 2)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u) @ r
        return h, h

    return cell, m.parameters, m.x(), m.h(2)


def residual(m: Maker) -> Sample:
    n = m.width
    w, u = m.p(n, n), m.p(n, n)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u)
        return h + x, h

    return cell, m.parameters, m.x(n), m.h()


def deep_transition(m: Maker) -> Sample:
    n = m.width
    w, u, b = m.p(3, n), [m.p(n, n) for _ in range(3)], [m.p(n) for _ in range(3)]

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u[0] + b[0])
        for weight, bias in zip(u[1:], b[1:], strict=True):
            h = tg.relu(h @ weight + bias) + 0.1 * h
        return h, h

    return cell, m.parameters, m.x(), m.h()


def clockwork(m: Maker) -> Sample:
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


def attention_over_memory(m: Maker) -> Sample:
    n = m.width
    w, u, keys, values = m.p(3, n), m.p(n, n), m.p(n, 6), m.p(6, n)

    def cell(x, h):
        seen = tg.softmax(h @ keys, axis=-1) @ values
        h = tg.tanh(x @ w + h @ u + seen)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def attention_without_maximum(m: Maker) -> Sample:
    n = m.width
    w, u, keys, values = m.p(3, n), m.p(n, n), m.p(n, 6), m.p(6, n)

    def cell(x, h):
        e = tg.exp(h @ keys)
        h = tg.tanh(x @ w + h @ u + (e / tg.sum(e, axis=-1, keepdims=True)) @ values)
        return h, h

    return cell, m.parameters, m.x(), m.h()


def attention_per_sample(m: Maker) -> Sample:
    """Every sample has its own memory, (B, 4, n), fixed over the steps."""
    n = m.width
    memory, u = m.p(m.batch, 4, n), m.p(n, n)

    def cell(x, h):
        scores = tg.sum(memory * tg.reshape(h, (m.batch, 1, n)), axis=-1)
        seen = tg.sum(tg.reshape(tg.softmax(scores, axis=1), (m.batch, 4, 1)) * memory, axis=1)
        h = tg.tanh(x + h @ u + seen)
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def state_of_two_axes(m: Maker) -> Sample:
    """A fast-weight memory: the state of a sample is a matrix."""
    n, b = m.width, m.batch
    u = m.p(n, n)

    def cell(x, state):
        h, memory = state
        read = tg.sum(memory * tg.reshape(h, (b, 1, n)), axis=2)
        h = tg.tanh(x + h @ u + read)
        return h, (h, 0.9 * memory + 0.1 * tg.reshape(h, (b, n, 1)) * tg.reshape(h, (b, 1, n)))

    return cell, m.parameters, m.x(n), (m.h(), m.data(b, n, n))
