"""The cells and the loop over time in straight NumPy: what the layers must compute."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(p, x, h, activation=np.tanh):
    h = activation(p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"])
    return h, h


def rnn_relu(p, x, h):
    return rnn(p, x, h, lambda a: np.maximum(a, 0))


def lstm(p, x, state):
    h, c = state
    n = len(c)
    zero = np.zeros(n)
    a = p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"]
    i = sigmoid(a[:n] + p.get("p_i", zero) * c)
    f = sigmoid(a[n : 2 * n] + p.get("p_f", zero) * c)
    c = f * c + i * np.tanh(a[2 * n : 3 * n])
    h = sigmoid(a[3 * n :] + p.get("p_o", zero) * c) * np.tanh(c)
    h = p["weight_hr"] @ h if "weight_hr" in p else h
    return h, (h, c)


def gru(p, x, h):
    n = len(h)
    a, b = p["weight_ih"] @ x + p["bias_ih"], p["weight_hh"] @ h + p["bias_hh"]
    r, z = sigmoid(a[:n] + b[:n]), sigmoid(a[n : 2 * n] + b[n : 2 * n])
    h = (1 - z) * np.tanh(a[2 * n :] + r * b[2 * n :]) + z * h
    return h, h


def gru_before(p, x, h):
    w, u = np.split(p["weight_ih"], 3), np.split(p["weight_hh"], 3)
    b, d = np.split(p["bias_ih"], 3), np.split(p["bias_hh"], 3)
    r = sigmoid(w[0] @ x + b[0] + u[0] @ h + d[0])
    z = sigmoid(w[1] @ x + b[1] + u[1] @ h + d[1])
    h = (1 - z) * np.tanh(w[2] @ x + b[2] + u[2] @ (r * h) + d[2]) + z * h
    return h, h


def run(cell, p, xs, state, reverse=False):
    """One sample: xs (T, input) → ys (T, output) and the last state."""
    ys = [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        ys[t], state = cell(p, xs[t], state)
    return ys, state
