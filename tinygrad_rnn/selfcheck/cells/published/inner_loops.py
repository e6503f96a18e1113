"""Cells that iterate within a step: until they halt, or to a fixed point."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import published

MOST, ALMOST = 4, 0.99


@published
def act(m):
    """Adaptive computation time: an RNN thinks up to four times about each x. Graves 2016, equations 1 and 5
    to 14; with each output comes its cost, the number of its steps plus the remainder."""
    n = m.width
    weights = {"W": m.p(4, n), "flag": m.p(n), "U": m.p(n, n), "b": m.p(n), "w": m.p(n), "bh": m.p()}
    return m.x(4), m.h(), weights


@act.spelling
def act_by_where(scan, x, h, W, flag, U, b, w, bh):
    def cell(x, s):
        seen = x @ W + b
        total, steps = tg.zeros(x.shape[0], x.dtype), tg.zeros(x.shape[0], x.dtype)
        mean, cost = 0.0, 0.0
        for k in range(MOST):
            s = tg.tanh(seen + s @ U + (flag if k == 0 else 0))
            halt = tg.sigmoid(s @ w + bh)
            running = total < ALMOST
            last = (total + halt >= ALMOST) if k < MOST - 1 else tg.full((x.shape[0],), True, bool)
            p = tg.where(running, tg.where(last, 1 - total, halt), 0)
            cost = cost + tg.where(running & last, 1 - total, 0)
            steps = steps + tg.where(running, 1, 0)
            total = tg.where(running & last, 1, total + p)
            mean = mean + p[:, None] * s
        return (mean, steps + cost), mean

    return scan(cell, x, h)


@act.spelling
def act_by_masks_of_numbers(scan, x, h, W, flag, U, b, w, bh):
    def cell(x, s):
        one = tg.ones((x.shape[0], 1), x.dtype)
        left, running, cost, mean = one, one, 0 * one, 0 * one
        for k in range(MOST):
            s = tg.tanh(
                tg.concatenate([x, (k == 0) * one, s], axis=1) @ tg.concatenate([W, flag[None], U]) + b
            )
            halt = tg.sigmoid(s @ w[:, None] + bh)
            goes_on = running * (halt < left - (1 - ALMOST)).astype(x.dtype) if k < MOST - 1 else 0 * running
            stops = running - goes_on
            mean = mean + (stops * left + goes_on * halt) * s
            cost = cost + running + stops * left
            left, running = left - goes_on * halt, goes_on
        return (mean, cost[:, 0]), mean

    return scan(cell, x, h)


@act.spelling
def act_all_thoughts_first(scan, x, h, W, flag, U, b, w, bh):
    """All four thoughts, then the weight of each by a running sum."""

    def cell(x, s):
        seen, thoughts = x @ W + b, []
        for k in range(MOST):
            s = tg.tanh(seen + flag * (k == 0) + tg.einsum("bi,ij->bj", s, U))
            thoughts.append(s)
        thoughts = tg.stack(thoughts, axis=1)
        halt = tg.sigmoid(tg.einsum("bkn,n->bk", thoughts, w) + bh)
        before = tg.cumsum(halt, axis=1) - halt
        stops = (before + halt >= ALMOST) | (tg.arange(MOST) == MOST - 1)
        first = tg.argmax(stops.astype(int), axis=1, keepdims=True)
        place = tg.arange(MOST)
        p = tg.where(place < first, halt, tg.where(place == first, 1 - before, 0))
        mean = tg.sum(p[:, :, None] * thoughts, axis=1)
        cost = first[:, 0] + 1 + tg.take_along_axis(1 - before, first, axis=1)[:, 0]
        return (mean, cost), mean

    return scan(cell, x, h)


@published
def deep_equilibrium(m):
    """Deep equilibrium: each step solves z = tanh(z A + x W + h U) for z, by Newton's method, and
    differentiates the solution, not the way to it. Bai, Kolter & Koltun 2019, equations 1, 6 and 9."""
    n = m.width
    scale = 0.3 / n
    return m.x(4), m.h(), {"A": m.between(-scale, scale, n, n), "W": m.p(4, n), "U": m.p(n, n)}


ROUNDS = 6


@deep_equilibrium.spelling
def deep_equilibrium_by_solve(scan, x, h, A, W, U):
    def newton(z, u):
        y = tg.tanh(z @ A + u)
        jacobian = tg.eye(A.shape[0], dtype=A.dtype) - (1 - y * y)[:, None, :] * A
        return z - tg.linalg.solve(jacobian.mT, (z - y)[:, :, None])[:, :, 0]

    def cell(x, h):
        u = x @ W + h @ U
        z = tg.zeros_like(u)
        for _ in range(ROUNDS):
            z = newton(tg.stop_gradient(z), u)
        return z, z

    return scan(cell, x, h)


@deep_equilibrium.spelling
def deep_equilibrium_by_inv(scan, x, h, A, W, U):
    """The rounds record nothing, one more does."""

    def step(z, u):
        y = tg.tanh(z @ A + u)
        jacobian = tg.eye(A.shape[0], dtype=A.dtype) - tg.einsum("bj,ij->bij", 1 - y**2, A)
        return z - tg.einsum("bi,bij->bj", z - y, tg.linalg.inv(jacobian))

    def cell(x, h):
        u = tg.concatenate([x, h], axis=1) @ tg.concatenate([W, U])
        with tg.no_grad():
            z = tg.zeros_like(u)
            for _ in range(ROUNDS):
                z = step(z, u)
        z = step(z.detach(), u)
        return z, z

    return scan(cell, x, h)


@deep_equilibrium.spelling
def deep_equilibrium_by_simple_iteration(scan, x, h, A, W, U):
    """The slopes of tanh(z A + u) are below 0.3: forty rounds are enough, and are differentiated as they
    are."""

    def cell(x, h):
        u = x @ W + h @ U
        z = tg.tanh(u)
        for _ in range(40):
            z = tg.tanh(z @ A + u)
        return z, z

    return scan(cell, x, h)
