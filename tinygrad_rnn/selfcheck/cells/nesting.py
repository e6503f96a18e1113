"""What goes in and comes out: nested, several times, unchanged, without a gradient."""

from __future__ import annotations

import collections

import tinygrad_rnn as tg

from .maker import Maker, Sample

Pair = collections.namedtuple("Pair", "left right")


def nested_states(m: Maker) -> Sample:
    n = m.width
    w, u, v = m.p(3, n), m.p(n, n), m.p(n, n + 2)

    def cell(x, state):
        h, (wide, lone) = state["h"], state["rest"]
        h = tg.tanh(x @ w + h @ u) + tg.mean(wide, axis=1, keepdims=True)
        wide = 0.5 * wide + h @ v
        lone = 0.9 * lone + tg.sum(h, axis=1, keepdims=True) * 0.1
        return {"h": h, "more": [wide, (lone * h,)]}, {"h": h, "rest": Pair(wide, lone)}

    return cell, m.parameters, m.x(), {"h": m.h(), "rest": Pair(m.h(n + 2), m.h(1))}


def nested_outputs(m: Maker) -> Sample:
    n = m.width
    u = m.p(n, n)

    def cell(x, h):
        h = tg.tanh(x + h @ u)
        return {
            "all": (h, h * h),
            "some": [h[:, :1], tg.concatenate([h, x], axis=1)],
            "sum": tg.sum(h, axis=1),
        }, h

    return cell, m.parameters, m.x(n), m.h()


def several_inputs(m: Maker) -> Sample:
    n = m.width
    w, u, v = m.p(3, n), m.p(n, n), m.p(2, n)

    def cell(xs, h):
        x, (z, gate) = xs["x"], xs["rest"]
        h = tg.tanh(x @ w + h @ u) * tg.sigmoid(gate) + z @ v
        return h, h

    return cell, m.parameters, {"x": m.x(3), "rest": (m.x(2, grad=False), m.x(1))}, m.h()


def unchanged_state(m: Maker) -> Sample:
    n = m.width
    u = m.p(n, n)

    def cell(x, state):
        h, context = state
        h = tg.tanh(x + h @ u + context)
        return h, (h, context)

    return cell, m.parameters, m.x(n), (m.h(), m.h())


def one_tensor_in_many_places(m: Maker) -> Sample:
    n = m.width
    u, v = m.p(n, n), m.p(n, n)

    def cell(x, state):
        a, b = state
        h = tg.tanh(x + a @ u + b @ v)
        return (h, h, x), (h, h)

    return cell, m.parameters, m.x(n), (m.h(), m.h())


def exchanged_states(m: Maker) -> Sample:
    n = m.width
    u = m.p(n, n)

    def cell(x, state):
        a, b = state
        return a * b, (b, tg.tanh(x + a @ u))

    return cell, m.parameters, m.x(n), (m.h(), m.h())


def parameter_as_output(m: Maker) -> Sample:
    n = m.width
    u, b = m.p(n, n), m.p(m.batch, n)

    def cell(x, h):
        h = tg.tanh(x + h @ u)
        return (h, b, b + 1), h

    return cell, m.parameters, m.x(n), m.h()


def input_without_gradient(m: Maker) -> Sample:
    n = m.width
    w, u = m.p(3, n), m.p(n, n)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u)
        return h, h

    return cell, m.parameters, m.x(grad=False), m.h(grad=False)


def some_parameters(m: Maker) -> Sample:
    n = m.width
    w, u, b, frozen = m.p(3, n), m.p(n, n), m.p(n), m.data(n, n, grad=False)

    def cell(x, h):
        h = tg.tanh(x @ w + h @ u + h @ frozen + b)
        return h, h

    b.requires_grad_(False)
    return cell, m.parameters, m.x(), m.h()
