"""The step of S6 and its derivatives as loops by hand, compiled by numba: what one writes who wants this cell
to be fast."""

# without annotations from __future__: numba reads the code of these functions alone

import numba
import numpy as np


@numba.njit(parallel=True, fastmath=True)
def forward(u, dt, b, c, A, before, hs, ys):
    """h[t] = exp(dt[t] A) h[t − 1] + dt[t] u[t] b[t], y[t] = Σₖ h[t] c[t]."""
    T, B, D = u.shape
    for n in numba.prange(B):
        for t in range(T):
            for d in range(D):
                y = np.float32(0)
                for k in range(A.shape[1]):
                    old = hs[t - 1, n, d, k] if t else before[n, d, k]
                    h = np.exp(dt[t, n, d] * A[d, k]) * old + dt[t, n, d] * u[t, n, d] * b[t, n, k]
                    hs[t, n, d, k] = h
                    y += h * c[t, n, k]
                ys[t, n, d] = y


@numba.njit(parallel=True, fastmath=True)
def backward(u, dt, b, c, A, before, hs, g_ys, g_u, g_dt, g_b, g_c, g_A, g_h):
    """The residuals; g_b, g_c, g_h are zeros, g_A is that of each sample."""
    T, B, D = u.shape
    for n in numba.prange(B):
        for t in range(T - 1, -1, -1):
            for d in range(D):
                by_decay = np.float32(0)
                by_input = np.float32(0)
                for k in range(A.shape[1]):
                    old = hs[t - 1, n, d, k] if t else before[n, d, k]
                    decay = np.exp(dt[t, n, d] * A[d, k])
                    g = g_h[n, d, k] + g_ys[t, n, d] * c[t, n, k]
                    slope = g * old * decay
                    by_decay += slope * A[d, k]
                    by_input += g * b[t, n, k]
                    g_A[n, d, k] += slope * dt[t, n, d]
                    g_b[t, n, k] += g * dt[t, n, d] * u[t, n, d]
                    g_c[t, n, k] += g_ys[t, n, d] * hs[t, n, d, k]
                    g_h[n, d, k] = g * decay
                g_dt[t, n, d] = by_decay + by_input * u[t, n, d]
                g_u[t, n, d] = by_input * dt[t, n, d]


def gradients(xs, before, A):
    """ys, and the residuals of Σ ys² with respect to xs and A."""
    hs, ys = np.empty((len(xs[0]), *before.shape), np.float32), np.empty_like(xs[0])
    forward(*xs, A, before, hs, ys)
    streams = [np.zeros_like(x) for x in xs]
    g_A, g_h = np.zeros_like(before), np.zeros_like(before)
    backward(*xs, A, before, hs, 2 * ys, *streams, g_A, g_h)
    return ys, [*streams, g_A.sum(0)]
