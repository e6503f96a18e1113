"""LSTMs whose sums or weights are normalised, within a row, a column or the batch."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import lstm_step, published

EPSILON = 1e-3


@published
def layer_norm_lstm(m):
    """LSTM with layer normalisation. Ba, Kiros & Hinton 2016, equations 20 to 22 of the supplement."""
    n = m.width
    weights = {"W": m.p(4, 4 * n), "U": m.p(n, 4 * n), "b": m.p(4 * n)}
    weights |= {"gain_x": m.p(4 * n), "gain_h": m.p(4 * n), "gain_c": m.p(n), "shift_c": m.p(n)}
    return m.x(4), (m.h(), m.h()), weights


class LayerNorm(tg.nn.Module):
    def __init__(self, gain, shift=0.0):
        self.gain, self.shift = gain, shift

    def __call__(self, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / tg.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON) * self.gain + self.shift


class LayerNormLSTM(tg.nn.Module):
    def __init__(self, W, U, b, gain_x, gain_h, gain_c, shift_c):
        self.W, self.U, self.b = W, U, b
        self.of_x, self.of_h, self.of_c = LayerNorm(gain_x), LayerNorm(gain_h), LayerNorm(gain_c, shift_c)

    def __call__(self, x, state):
        h, c = state
        i, f, o, g = tg.split(self.of_h(h @ self.U) + self.of_x(x @ self.W) + self.b, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(self.of_c(c))
        return h, (h, c)


@layer_norm_lstm.spelling
def layer_norm_lstm_as_a_module(scan, x, state, **weights):
    return scan(LayerNormLSTM(**weights), x, state)


@layer_norm_lstm.spelling
def layer_norm_lstm_by_var(scan, x, state, W, U, b, gain_x, gain_h, gain_c, shift_c):
    def norm(a, gain):
        return gain * (a - tg.mean(a, -1)[:, None]) * (tg.var(a, -1)[:, None] + EPSILON) ** -0.5

    def cell(x, state):
        h, c = state
        i, f, o, g = tg.split(norm(h @ U, gain_h) + norm(x @ W, gain_x) + b, 4, axis=1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(norm(c, gain_c) + shift_c)
        return h, (h, c)

    return scan(cell, x, state)


@layer_norm_lstm.spelling
def layer_norm_lstm_by_std_and_norm(scan, x, state, W, U, b, gain_x, gain_h, gain_c, shift_c):
    def norm(a, gain):
        return (
            (a - tg.mean(a, axis=1, keepdims=True))
            / tg.hypot(tg.std(a, axis=1, keepdims=True), EPSILON**0.5)
            * gain
        )

    def norm_by_length(a, gain):
        centred = a - tg.sum(a, axis=1, keepdims=True) / a.shape[1]
        return centred / tg.sqrt(tg.norm(centred, axis=1, keepdims=True) ** 2 / a.shape[1] + EPSILON) * gain

    def cell(x, state):
        h, c = state
        i, f, o, g = (
            (norm(h @ U, gain_h) + norm_by_length(x @ W, gain_x) + b)
            .reshape(x.shape[0], 4, -1)
            .swapaxes(0, 1)
        )
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(norm_by_length(c, gain_c) + shift_c)
        return h, (h, c)

    return scan(cell, x, state)


@published
def weight_norm_lstm(m):
    """LSTM whose weight vectors are g v / ‖v‖, one for each unit and gate. Salimans & Kingma 2016, equation
    2."""
    n = m.width
    weights = {"V": m.p(4, 4 * n), "g": m.p(4 * n), "R": m.p(n, 4 * n), "r": m.p(4 * n), "b": m.p(4 * n)}
    return m.x(4), (m.h(), m.h()), weights


@weight_norm_lstm.spelling
def weight_norm_lstm_by_norm(scan, x, state, V, g, R, r, b):
    def cell(x, state):
        h, c = state
        W, U = g * V / tg.linalg.norm(V, axis=0), r * R / tg.linalg.norm(R, axis=0, keepdims=True)
        h, c = lstm_step(x @ W + h @ U + b, c)
        return h, (h, c)

    return scan(cell, x, state)


@weight_norm_lstm.spelling
def weight_norm_lstm_by_scaled_products(scan, x, state, V, g, R, r, b):
    def cell(x, state):
        h, c = state
        a = (x @ V) * (g / tg.sqrt(tg.sum(V * V, axis=0))) + (h @ R) * (r * tg.sum(R**2, axis=0) ** -0.5) + b
        h, c = lstm_step(a, c)
        return h, (h, c)

    return scan(cell, x, state)


@weight_norm_lstm.spelling
def weight_norm_lstm_with_rows_of_weights(scan, x, state, V, g, R, r, b):
    """Weights as PyTorch keeps them, (units, inputs), and the norm by einsum."""
    V, R = V.T, R.T

    def weight(v, g):
        return v * (g * tg.einsum("ij,ij->i", v, v) ** -0.5)[:, None]

    def cell(x, state):
        h, c = state
        h, c = lstm_step(x @ weight(V, g).T + tg.inner(h, weight(R, r)) + b, c)
        return h, (h, c)

    return scan(cell, x, state)


@published
def batch_norm_lstm(m):
    """LSTM with recurrent batch normalisation, by the statistics of the batch at hand. Cooijmans et al. 2017,
    equations 6 to 8."""
    n = m.width
    weights = {"W": m.p(4, 4 * n), "U": m.p(n, 4 * n), "b": m.p(4 * n)}
    weights |= {"gain_x": m.p(4 * n), "gain_h": m.p(4 * n), "gain_c": m.p(n), "shift_c": m.p(n)}
    return m.x(4), (m.h(), m.h()), weights


@batch_norm_lstm.spelling
def batch_norm_lstm_by_mean(scan, x, state, W, U, b, gain_x, gain_h, gain_c, shift_c):
    def norm(a, gain):
        centred = a - tg.mean(a, axis=0)
        return gain * centred / tg.sqrt(tg.mean(centred**2, axis=0) + EPSILON)

    def cell(x, state):
        h, c = state
        f, i, o, g = tg.split(norm(h @ U, gain_h) + norm(x @ W, gain_x) + b, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(norm(c, gain_c) + shift_c)
        return h, (h, c)

    return scan(cell, x, state)


@batch_norm_lstm.spelling
def batch_norm_lstm_by_var(scan, x, state, W, U, b, gain_x, gain_h, gain_c, shift_c):
    def norm(a, gain):
        return (a - a.mean(0, keepdims=True)) * (tg.var(a, axis=0, keepdims=True) + EPSILON) ** -0.5 * gain

    def cell(x, state):
        h, c = state
        both = norm(tg.concatenate([h @ U, x @ W], axis=1), tg.concatenate([gain_h, gain_x]))
        of_h, of_x = tg.split(both, 2, axis=1)
        f, i, o, g = tg.split(of_h + of_x + b, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(norm(c, gain_c) + shift_c)
        return h, (h, c)

    return scan(cell, x, state)


@batch_norm_lstm.spelling
def batch_norm_lstm_with_columns(scan, x, state, W, U, b, gain_x, gain_h, gain_c, shift_c):
    """The batch is the last axis; its mean is a product with a vector of 1 / B."""
    share = tg.full((x.shape[1],), 1 / x.shape[1], "float64")
    gain_x, gain_h, gain_c, shift_c, b = (w[:, None] for w in (gain_x, gain_h, gain_c, shift_c, b))

    def norm(a, gain):
        centred = a - (a @ share)[:, None]
        return centred / tg.sqrt((centred * centred) @ share + EPSILON)[:, None] * gain

    def cell(x, state):
        h, c = state
        f, i, o, g = tg.vsplit(norm(U.T @ h, gain_h) + norm(W.T @ x, gain_x) + b, 4)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(norm(c, gain_c) + shift_c)
        return h.T, (h, c)

    ys, last = scan(cell, x.swapaxes(1, 2), tuple(s.T for s in state))
    return ys, [s.T for s in last]
