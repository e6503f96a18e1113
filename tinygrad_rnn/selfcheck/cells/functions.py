"""Elementwise functions, choices and jumps, and places that no residual passes."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg

from .maker import Maker, Sample


def no_products(m: Maker) -> Sample:
    n = m.width
    a, b = m.p(n), m.p(n)

    def cell(x, h):
        h = tg.sigmoid(a) * h + x * b
        return tg.tanh(h), h

    return cell, m.parameters, m.x(n), m.h()


def functions(m: Maker) -> Sample:
    """Operations that have no machine code of their own, beside ones that have."""
    n = m.width
    u = m.p(n, n)

    def cell(x, h):
        a = x + h @ u
        h = tg.softplus(a) - tg.log(1 + a * a) + tg.sin(h) * tg.cumsum(x, axis=1) * 0.1
        return h, h

    return cell, m.parameters, m.x(n), m.h() * 0.3


def choices(m: Maker) -> Sample:
    n = m.width
    u, b, bound = m.p(n, n), m.p(n), m.p(n)

    def cell(x, h):
        a = tg.maximum(x, h @ u) - tg.minimum(b, h)
        a = tg.where(a > 0, a * 0.3, tg.clip(a, -0.5, None)) + tg.relu(bound - a)
        h = tg.where((a < 1) & (a > -1), a, tg.abs(a) * 0.1) * 0.5
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def jumps(m: Maker) -> Sample:
    """Comparisons and signs as factors: no residual passes through them."""
    n = m.width
    u, b = m.p(n, n), m.p(n)

    def cell(x, h):
        a = x + h @ u
        h = (a > b).astype(a.dtype) * tg.tanh(a) + 0.1 * tg.sign(h) * x + (b > 0).astype(a.dtype) * 0.1
        return h, h

    return cell, m.parameters, m.x(n), m.h()


def detached(m: Maker) -> Sample:
    """A state that no residual passes through, and a block that records nothing."""
    n = m.width
    w, u, v = m.p(3, n), m.p(n, n), m.p(n, n)

    def cell(x, h):
        with tg.no_grad():
            seen = tg.tanh(h @ v) * 0.5
        h = tg.tanh(x @ w + h.detach() @ u + h @ u + seen) + tg.stop_gradient(x)[:, :1]
        return h * seen, h

    return cell, m.parameters, m.x(), m.h()


def part_of_a_row(m: Maker) -> Sample:
    """One column of the state, anywhere in its row, is a number for the whole row."""
    u = m.p(m.width, m.width)

    def cell(x, h):
        h = tg.tanh(x + h @ u * h[:, 1:2] + tg.sum(h[:, 2:4], axis=1, keepdims=True))
        return h, h

    return cell, m.parameters, m.x(m.width), m.h()


def elementwise(m: Maker) -> Sample:
    """Every formula that kernels of a device have."""
    n = m.width
    a, b = m.p(n), m.p(n)

    def cell(x, h):
        p, q = tg.exp(tg.tanh(h * a)), tg.tanh(x * b) * 0.9
        y = (
            tg.log(p)
            + tg.log2(p)
            - tg.log10(p)
            + tg.log1p(p)
            + tg.exp2(q)
            + tg.expm1(q)
            + tg.sqrt(p)
            + tg.cbrt(p)
        )
        y = (
            y
            + tg.sin(q) * tg.cos(q)
            - tg.tan(q)
            + tg.arcsin(q)
            - tg.arccos(q)
            + tg.arctan(q)
            + tg.sinh(q)
            - tg.cosh(q)
        )
        y = (
            y
            + tg.arcsinh(q)
            + tg.arccosh(p + 1)
            - tg.arctanh(q)
            + tg.erf(q)
            + tg.softplus(q)
            + tg.abs(q)
            + 1 / p
        )
        y = (
            y
            + p**0.5
            + q**2
            - q**3
            + p**-1
            + p**1.7
            + tg.power(p, q)
            + tg.hypot(p, q)
            - tg.arctan2(q, p)
            + tg.relu(q)
        )
        y = y + tg.maximum(p, q) + tg.minimum(q, h) + tg.clip(q, -0.5, 0.5) + tg.sign(q) * q
        y = y + tg.floor(p) + tg.ceil(q) + tg.rint(p) + tg.trunc(p)
        y = y + tg.where(
            ((q > 0) & (p <= 2)) | ~(h < x) ^ (q == h) | (q >= x) & (h != x) | tg.isnan(q) | tg.isinf(q), p, q
        )
        y = y + tg.where(tg.isfinite(q), q, np.inf) + tg.where(q > 2, -np.inf, tg.where(q > 3, np.nan, x))
        h = tg.tanh(y * 0.02)
        return h, h

    return cell, m.parameters, m.x(n), m.h()
