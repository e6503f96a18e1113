"""Recursions that were there before networks: running maxima, returns, filters."""

from __future__ import annotations

import math

import tinygrad_rnn as tg

from .cell import published


@published
def running_maximum(m):
    """The largest so far, of each feature: max-pooling over time. Collobert et al. 2011, section 3.2.2, step
    by step."""
    return m.x(m.width), m.h(), {"W": m.p(m.width, m.width)}


@running_maximum.spelling
def running_maximum_by_maximum(scan, x, h, W):
    def cell(x, h):
        h = tg.maximum(h, x @ W)
        return h, h

    return scan(cell, x, h)


@running_maximum.spelling
def running_maximum_by_where(scan, x, h, W):
    def cell(x, h):
        x = tg.einsum("bi,ij->bj", x, W)
        h = tg.where(x > h, x, h)
        return h, h

    return scan(cell, x, h)


@running_maximum.spelling
def running_maximum_over_a_stack(scan, x, h, W):
    def cell(x, h):
        h = tg.max(tg.stack([h, x], axis=-1), axis=-1)
        return h, h

    return scan(cell, x @ W, h)


@published
def discounted_returns(m):
    """Discounted returns, backwards from 0. Sutton & Barto 2018, equation 3.9. One number for each sample."""
    return m.data(m.steps, m.batch), (), {"gamma": m.between(0.5, 1)}


@discounted_returns.spelling
def discounted_returns_of_vectors(scan, r, state, gamma):
    def cell(r, g):
        g = r + gamma * g
        return g, g

    return scan(cell, r, tg.zeros(r.shape[1], r.dtype), reverse=True)


@discounted_returns.spelling
def discounted_returns_of_columns(scan, r, state, gamma):
    def cell(r, g):
        g = r + g * gamma
        return g, g

    ys, last = scan(cell, r[..., None], tg.zeros((r.shape[1], 1), r.dtype), reverse=True)
    return ys[..., 0], last[:, 0]


@discounted_returns.spelling
def discounted_returns_sample_by_sample(scan, r, state, gamma):
    """Each sample is a sequence of numbers."""

    def cell(rs, gs):
        gs = [r + gamma * g for r, g in zip(rs, gs, strict=True)]
        return gs, gs

    samples = list(tg.unstack(r, axis=1))
    ys, last = scan(cell, samples, [tg.zeros((), r.dtype)] * len(samples), reverse=True)
    return tg.stack(ys, axis=1), tg.stack(last)


@published
def lambda_returns(m):
    """λ-returns, backwards from the last value. Sutton & Barto 2018, equation 12.2, as a recursion: that of
    Hafner et al. 2020."""
    xs = {"r": m.data(m.steps, m.batch), "v": m.data(m.steps, m.batch), "over": m.coins(m.steps, m.batch)}
    return xs, m.data(m.batch), {"gamma": m.between(0.5, 1), "lam": m.between(0.5, 1)}


@lambda_returns.spelling
def lambda_returns_of_vectors(scan, xs, state, gamma, lam):
    def cell(x, g):
        g = x["r"] + tg.where(x["over"], 0, gamma * ((1 - lam) * x["v"] + lam * g))
        return g, g

    return scan(cell, xs, state, reverse=True)


@lambda_returns.spelling
def lambda_returns_of_columns(scan, xs, state, gamma, lam):
    def cell(x, g):
        r, v, goes_on = tg.split(x, 3, axis=1)
        g = r + goes_on * gamma * (v + lam * (g - v))
        return g, g

    x = tg.stack([xs["r"], xs["v"], 1 - xs["over"].astype("float64")], axis=-1)
    ys, g = scan(cell, x, state[:, None], reverse=True)
    return ys[..., 0], tg.ravel(g)


@lambda_returns.spelling
def lambda_returns_turned_round(scan, xs, state, gamma, lam):
    """Forward over the flipped rewards, as a linear recursion."""

    def cell(xs, g):
        a, b = xs
        g = tg.add(b, tg.multiply(a, g))
        return g, g

    goes_on = tg.logical_not(xs["over"]).astype("float64")
    b = xs["r"] + gamma * (1 - lam) * goes_on * xs["v"]
    ys, g = scan(cell, (tg.flip(gamma * lam * goes_on, 0), tg.flip(b, 0)), state)
    return ys[::-1], g


@published
def kalman_filter(m):
    """Kalman filter: mean, covariance and the log-likelihood of each observation. Kalman 1960; Bishop 2006,
    equations 13.89 to 13.92. Covariances are drawn as their factors."""
    n = m.width
    return (
        m.x(2),
        (m.h(), m.p(m.batch, n, n)),
        {"F": m.p(n, n), "H": m.p(2, n), "Q": m.p(n, n), "R": m.p(2, 2)},
    )


def noise(L: tg.Tensor) -> tg.Tensor:
    """A covariance: L Lᵀ + I."""
    return L @ L.mT + tg.eye(L.shape[-1], dtype=L.dtype)


@kalman_filter.spelling
def kalman_filter_by_solve(scan, x, state, F, H, Q, R):
    def cell(x, state):
        m, P = state
        m, P = m @ F.T, F @ P @ F.T + noise(Q)
        error = x - m @ H.T
        S = H @ P @ H.T + noise(R)
        solved = tg.linalg.solve(S, error[:, :, None])[:, :, 0]
        density = -0.5 * tg.sum(error * solved, axis=1) - 0.5 * tg.log(tg.linalg.det(2 * math.pi * S))
        gain = tg.linalg.solve(S, H @ P).mT
        m, P = m + tg.sum(gain * error[:, None, :], axis=2), P - gain @ H @ P
        return (m, density), (m, P)

    return scan(cell, x, (state[0], noise(state[1])))


@kalman_filter.spelling
def kalman_filter_by_inv_and_einsum(scan, x, state, F, H, Q, R):
    def cell(x, state):
        m, P = state
        m = tg.einsum("ij,bj->bi", F, m)
        P = tg.einsum("ij,bjk,lk->bil", F, P, F) + noise(Q)
        error = x - tg.einsum("oi,bi->bo", H, m)
        S = tg.einsum("oi,bij,pj->bop", H, P, H) + noise(R)
        inverse = tg.linalg.inv(S)
        density = -0.5 * (
            tg.einsum("bo,bop,bp->b", error, inverse, error)
            + tg.log(tg.linalg.det(S))
            + 2 * math.log(2 * math.pi)
        )
        gain = tg.einsum("bij,oj,bop->bip", P, H, inverse)
        m = m + tg.einsum("bio,bo->bi", gain, error)
        keep = tg.eye(m.shape[1], dtype=m.dtype) - tg.einsum("bio,oj->bij", gain, H)  # Joseph's form
        P = keep @ P @ keep.mT + gain @ noise(R) @ gain.mT
        return (m, density), (m, P)

    return scan(cell, x, (state[0], noise(state[1])))


@kalman_filter.spelling
def kalman_filter_two_by_two_by_hand(scan, x, state, F, H, Q, R):
    """The inverse and the determinant of the innovation's covariance by their formulas."""
    Q, R = noise(Q), noise(R)

    def cell(x, state):
        m, P = state
        m, P = tg.inner(m, F), tg.matmul(F @ P, F.T) + Q
        error, PH = x - tg.inner(m, H), P @ H.T
        S = H @ PH + R
        a, b, c = S[:, 0, 0], S[:, 0, 1], S[:, 1, 1]
        det = a * c - b * S[:, 1, 0]
        adjoint = tg.stack([tg.stack([c, -b], axis=-1), tg.stack([-S[:, 1, 0], a], axis=-1)], axis=-2)
        inverse = adjoint / det[:, None, None]
        solved = tg.sum(inverse * error[:, None, :], axis=-1)
        density = -0.5 * (tg.vecdot(error, solved) + tg.log(det)) - math.log(2 * math.pi)
        m, P = m + (PH @ solved[:, :, None])[:, :, 0], P - PH @ inverse @ PH.mT
        return (m, density), (m, P)

    return scan(cell, x, (state[0], noise(state[1])))
